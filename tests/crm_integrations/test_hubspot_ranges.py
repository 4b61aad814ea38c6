"""Lists that are read in several ranges of ids at once, against a list that pages as HubSpot's do."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_pipelines.crm_integrations.base_crm import IncompleteRead, PermissionDenied
from cdp_pipelines.crm_integrations.hubspot_pages import Ranges, RecordPage
from cdp_pipelines.crm_integrations.hubspot_ranges import PAGES_BEFORE_SPLIT, PAGES_PER_SPLIT, RangedList

Pages = list[tuple[list[int], Ranges | None]]


class ListOfIds:
    """Pages of ids; `inclusive` says whether `after` is the next id or the last one."""

    def __init__(self, ids: Iterable[int], *, page: int = 5, inclusive: bool = True, top: int | None = None):
        self.ids, self.page, self.inclusive = sorted(ids), page, inclusive
        self.top = top if top is not None else max(self.ids, default=None)
        self.asked = self.searches = self.under_way = self.most_at_once = 0

    async def fetch(self, cursor: str | None) -> tuple[RecordPage, str | None]:
        self.asked += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        start = 0 if cursor is None else (bisect.bisect_left if self.inclusive else bisect.bisect_right)(self.ids, int(cursor))
        some, more = self.ids[start : start + self.page], self.ids[start + self.page :]
        following = str(more[0] if self.inclusive else some[-1]) if more else None
        return page_of_ids(some), following

    async def find_top(self) -> tuple[int | None, int | None]:
        self.searches += 1
        return self.top, len(self.ids)

    def read(self, ranges: Ranges | None = None, *, most: int = 4, stop_after: int | None = None) -> Pages:
        """What the list gives: ids and what remains after them, page by page."""

        async def run() -> Pages:
            found: Pages = []
            pages = RangedList(self.fetch, self.find_top, connection="hubspot", what="contacts", most=most, ranges=ranges).pages()
            async for page in pages:
                found.append((page.ids.tolist(), page.remaining))
                if len(found) == stop_after:
                    break
            await pages.aclose()  # ty: ignore[missing-attribute]
            return found

        return asyncio.run(run())


def page_of_ids(ids: Iterable[int]) -> RecordPage:
    return RecordPage(pa.table({"id": pa.array([str(i) for i in ids], pa.string())}))


def all_of(pages: Pages) -> list[int]:
    return [i for ids, _ in pages for i in ids]


# Ids in clusters, as they are where a portal took in another one.
clustered = st.lists(
    st.tuples(st.integers(1, 10**11), st.integers(1, 300), st.integers(1, 5)), min_size=0, max_size=4
).map(lambda clusters: {first + n * step for first, many, step in clusters for n in range(many)})  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(ids=clustered, most=st.integers(1, 12), inclusive=st.booleans(), above_top=st.integers(0, 3))
def test_every_record_comes_once_whatever_the_ids_and_however_after_is_meant(
    ids: set[int], most: int, inclusive: bool, above_top: int
) -> None:
    known = sorted(ids)[: max(len(ids) - above_top, 1)]  # a search does not see the newest yet
    listed = ListOfIds(ids, inclusive=inclusive, top=max(known, default=0))
    assert sorted(all_of(listed.read(most=most))) == listed.ids
    assert listed.most_at_once <= most


@settings(max_examples=40, deadline=None)
@given(ids=clustered, stop=st.integers(1, 60), inclusive=st.booleans())
def test_a_read_that_was_stopped_goes_on_where_it_was(ids: set[int], stop: int, inclusive: bool) -> None:
    listed = ListOfIds(ids, inclusive=inclusive)
    before = listed.read(stop_after=stop)
    remaining = before[-1][1]
    assert remaining is not None
    assert sorted(all_of(before) + all_of(listed.read(remaining))) == listed.ids


def test_a_long_list_is_read_by_all_at_once_for_few_calls_more() -> None:
    listed = ListOfIds(range(1000, 6000, 1), page=10)
    assert sorted(all_of(listed.read(most=10))) == listed.ids
    assert listed.most_at_once == 10
    assert listed.searches == 1
    assert listed.asked <= 500 + 500 / PAGES_PER_SPLIT + 1


def test_ids_in_clusters_cost_few_calls_more() -> None:
    listed = ListOfIds([*range(1000, 3000), *range(10**9, 10**11, 10**8 // 3)], page=10)
    assert sorted(all_of(listed.read(most=10))) == listed.ids
    pages = len(listed.ids) / 10
    assert listed.asked <= pages + pages / PAGES_PER_SPLIT + 2


def test_a_short_list_costs_no_search() -> None:
    listed = ListOfIds(range(1, 5 * PAGES_BEFORE_SPLIT), page=5)
    assert all_of(listed.read(most=10)) == listed.ids
    assert (listed.asked, listed.searches) == (PAGES_BEFORE_SPLIT, 0)


def test_without_the_right_to_search_a_list_is_read_in_one_piece() -> None:
    listed = ListOfIds(range(1, 1000))

    async def refused() -> tuple[int | None, int | None]:
        raise PermissionDenied("hubspot", "no search.")

    listed.find_top = refused
    assert all_of(listed.read()) == listed.ids
    assert listed.most_at_once == 1


def answers(pages: dict[str | None, tuple[list[int], str | None]]) -> Any:
    async def fetch(cursor: str | None) -> tuple[RecordPage, str | None]:
        ids, following = pages[cursor]
        return page_of_ids(ids), following

    return fetch


def read(pages: dict[str | None, tuple[list[int], str | None]], ranges: Ranges | None = None) -> Pages:
    listed = ListOfIds([])
    listed.fetch = answers(pages)
    return listed.read(ranges)


def test_empty_pages_are_followed() -> None:
    pages = read({None: ([1, 2], "3"), "3": ([], "9"), "9": ([9], None)})
    assert all_of(pages) == [1, 2, 9]


def test_cursors_that_are_no_ids_are_followed_one_after_the_other_and_cannot_be_gone_on_with() -> None:
    pages = read({None: ([1, 2], "NTI1"), "NTI1": ([3], None)})
    assert pages == [([1, 2], None), ([3], None)]


@pytest.mark.parametrize("ids", [[12, 11], [3, 12]], ids=["falling", "before the range"])
def test_a_range_out_of_order_is_incomplete(ids: list[int]) -> None:
    with pytest.raises(IncompleteRead, match="not in order of id"):
        read({"9": (ids, "20")}, [[10, 100]])


def test_a_page_that_leads_to_itself_is_incomplete() -> None:
    with pytest.raises(IncompleteRead, match="lead to themselves"):
        read({None: ([1], "2"), "2": ([], "2")})
