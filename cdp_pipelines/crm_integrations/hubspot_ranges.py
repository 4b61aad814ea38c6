"""A list in order of id, read in several ranges at once.

The `after` of HubSpot's lists is the id at which the next page begins, so that a list can be entered anywhere. Whoever has nothing left to do
takes half of the largest range that is left: ids are uneven, equal parts would not be. Each range must prove that it came to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import numpy as np

from cdp_pipelines.crm_integrations.base_crm import IncompleteRead, PermissionDenied, RequestRejected
from cdp_pipelines.crm_integrations.hubspot_pages import Ranges, RecordPage

# Pages that are read one after the other before it is worth a search to find where the list ends.
PAGES_BEFORE_SPLIT = 10
# A range with fewer pages left is not split: the new range costs a call for the page that both have a part of.
SMALLEST_SPLIT = 20
# A range more for so many pages of the list, so that ids in clusters, whose ranges are misjudged again and again, cost few calls.
PAGES_PER_SPLIT = 20

Fetch = Callable[[str | None], Awaitable[tuple[RecordPage, str | None]]]


@dataclass(eq=False)
class _Range:
    """Ids from `at` on, up to and without `end`; `cursor` is what to ask for next."""

    at: int
    end: int | None
    cursor: str | None
    pages: int = 0
    begun: int = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.at

    def pages_left(self, top: int) -> float:
        """How many pages are left, if ids go on as they did so far. `top` is the highest id that is known."""
        if not self.pages or self.at <= self.begun:
            return 0.0
        return ((self.end or top) - self.at) * self.pages / (self.at - self.begun)


class RangedList:
    """Reads one list.

    `fetch(cursor)` gives a page and the cursor of the next one; `top()` the highest id (or None) and the number of records, if it is known;
    it is called once at most. `ranges` are what to read (see `RecordPage.remaining`), everything without.
    """

    def __init__(
        self,
        fetch: Fetch,
        top: Callable[[], Awaitable[tuple[int | None, int | None]]],
        *,
        connection: str,
        what: str,
        most: int,
        ranges: Ranges | None = None,
    ):
        self._fetch, self._find_top, self._connection, self._what, self._most = fetch, top, connection, what, most
        self._open = [_Range(0, None, None)] if ranges is None else [_range(low, high) for low, high in ranges if low is not None]
        # Whether cursors are ids in order. Nothing is split while they are not.
        self._by_id = True
        self._top: int | None = None
        self._total: int | None = None
        self._looked = False
        self._read, self._page_size, self._splits = 0, 1, 0

    async def pages(self) -> AsyncIterator[RecordPage]:
        """The pages, in order within each range and in any order between them. Raises IncompleteRead."""
        waiting = list(self._open)
        running: dict[asyncio.Task[tuple[RecordPage, str | None]], _Range] = {}

        def start() -> None:
            while waiting and len(running) < self._most:
                part = waiting.pop(0)
                running[asyncio.ensure_future(self._fetch(part.cursor))] = part

        try:
            start()
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    part = running.pop(task)
                    page = self._taken(part, *task.result())
                    if part in self._open:
                        waiting.insert(0, part)
                    await self._look_for_the_end()
                    waiting += self._split(self._most - len(running) - len(waiting))
                    start()  # before this page is dealt with
                    remaining: Ranges | None = [[p.at, p.end] for p in self._open] if self._by_id else None
                    yield replace(page, remaining=remaining, total=self._total)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _taken(self, part: _Range, page: RecordPage, following: str | None) -> RecordPage:
        """The part of a page that belongs to the range; the range goes on behind it, or is over."""
        ids = page.ids
        if following is not None and following == part.cursor:
            raise self._lost(f"pages of {self._what} lead to themselves")
        if self._by_id and not _in_order(ids, part.cursor, following):
            if len(self._open) > 1 or part.end is not None:
                raise self._lost(f"a list of {self._what} is not in order of id")
            self._by_id = False
        self._read, self._page_size = self._read + 1, max(self._page_size, len(page))
        if not self._by_id:
            part.cursor = following
            if following is None:
                self._open.remove(part)
            return page
        kept = page.between(part.at, part.end)
        if len(ids):
            if not part.pages:
                part.begun = max(part.begun, int(ids[0]))
            part.at, part.pages = max(part.at, int(ids[-1]) + 1), part.pages + 1
        part.cursor = following
        if following is None or (part.end is not None and max(part.at, int(following)) >= part.end):
            self._open.remove(part)
        return kept

    async def _look_for_the_end(self) -> None:
        if self._by_id and self._read >= PAGES_BEFORE_SPLIT and not self._looked and self._open and self._most > 1:
            self._looked = True
            with contextlib.suppress(PermissionDenied, RequestRejected):  # the list can be read without, only slower
                self._top, self._total = await self._find_top()

    def _split(self, idle: int) -> list[_Range]:
        """New ranges for those who have nothing to do, each the second half of the largest one."""
        made: list[_Range] = []
        pages = self._total / self._page_size if self._total else self._read
        idle = min(idle, int(pages / PAGES_PER_SPLIT) + 1 - self._splits)
        while self._by_id and self._top is not None and len(made) < idle and self._open:
            top = self._top
            largest = max(self._open, key=lambda part: part.pages_left(top))
            if largest.pages_left(top) < SMALLEST_SPLIT:
                break
            middle = (largest.at + (largest.end or top)) // 2
            half = _range(middle, largest.end)
            # Until it has pages of its own, it is thought to be like the one that it was taken from.
            half.pages, half.begun = largest.pages, middle - (largest.at - largest.begun)
            largest.end = middle
            self._open.append(half)
            made.append(half)
            self._splits += 1
        return made

    def _lost(self, problem: str) -> IncompleteRead:
        return IncompleteRead(self._connection, f"{problem}.", "Run it again.")


def _in_order(ids: np.ndarray, cursor: str | None, following: str | None) -> bool:
    """Whether ids ascend, from the cursor on, and the next cursor is an id behind them."""
    cursor_is_id = following is None or (following.isdigit() and (not len(ids) or int(following) >= ids[-1]))
    return cursor_is_id and bool(np.all(ids[1:] > ids[:-1])) and (not len(ids) or cursor is None or bool(ids[0] >= int(cursor)))


def _range(low: int, high: int | None) -> _Range:
    # One id before the range: whether `after` is the next id or the last one, the range's first record is then in the page.
    return _Range(low, high, str(low - 1) if low > 0 else None)
