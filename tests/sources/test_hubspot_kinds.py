"""Ways in which records, links and versions get lost between HubSpot and a warehouse, one test for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.sources.hubspot import TABLES, HubSpotReader
from cdp_pipelines.sources.reader import RawTable, Span
from tests.conftest import served
from tests.sandbox.hubspot_portal import new_store
from tests.sources.hubspot_synced import Rows, Serve, Synced

CONTACTS, DEALS = "/crm/v3/objects/contacts", "/crm/v3/objects/deals"


def now() -> datetime:
    return datetime.now(UTC)


def test_a_portal_with_more_properties_than_a_url_holds_is_read_whole(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path)
    names = [f"a_property_of_a_portal_that_has_very_many_of_them_{n}" for n in range(320)]
    for some in (names[:100], names[100:200], names[200:300], names[300:]):
        inputs = [{"name": n, "label": n, "type": "string", "fieldType": "text", "groupName": "contactinformation"} for n in some]
        made.portal.post("/crm/v3/properties/contacts/batch/create", {"inputs": inputs}, 201)
    first, *_, last = people = made.store.live_people()
    for person, name in ((first, names[0]), (last, names[-1])):
        made.portal.send("PATCH", f"{CONTACTS}/{person}", {"properties": {name: "here"}})
    assert made.sync(tables=["contacts", "lifecycle_stage_history"]).complete
    contacts = "from raw_hubspot.contacts where _deleted is null and {} = 'here'"
    assert made.query(f"select id {contacts.format(names[0])}") == [(first,)]
    assert made.query(f"select id {contacts.format(names[-1])}") == [(last,)]
    assert made.query("select count(*) from raw_hubspot.contacts where _deleted is null") == [(len(people),)]
    histories = "select count(distinct contact_id) from raw_hubspot.lifecycle_stage_history where value is not null"
    assert made.query(histories)[0][0] >= len(people)


def test_more_changes_than_one_search_serves_are_all_read(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path, search_cap=200)
    made.sync(tables=["contacts"])
    people, moment = made.store.live_people(), now()
    for person in people:
        made.store.edit_person(person, {"title": "Moved by one import"}, moment)
    assert made.sync(tables=["contacts"]).complete
    assert made.query("select count(*) from raw_hubspot.contacts where jobtitle = 'Moved by one import'") == [(len(people),)]


def test_what_search_shows_late_is_caught_by_the_overlap(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path, overlap_seconds=600)
    made.sync(tables=["contacts"])
    made.portal.options.search_lag_seconds = 2
    person, title = made.store.live_people()[0], "select jobtitle from raw_hubspot.contacts where id = '{}'"
    made.store.edit_person(person, {"title": "Late"}, now())
    made.sync(tables=["contacts"])
    assert made.query(title.format(person)) != [("Late",)]
    time.sleep(2.1)
    made.sync(tables=["contacts"])
    assert made.query(title.format(person)) == [("Late",)]


def test_merges_of_merges_that_give_new_ids_leave_one_contact_and_its_links(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path, merge_mints_new_id=True)
    assert made.sync().complete
    deal = next(d for d in made.store.live_deals() if made.store.deal_people(d))
    first = made.store.deal_people(deal)[0]
    second, third = [p for p in made.store.live_people() if p != first][:2]
    gone, survivor = {first, second, third}, first
    for other in (second, third):
        survivor = made.portal.post(f"{CONTACTS}/merge", {"primaryObjectId": survivor, "objectIdToMerge": other})["id"]
        gone.add(survivor)
    gone.remove(survivor)
    assert made.sync().complete
    kept = dict(made.query("select id, _merged_into from raw_hubspot.contacts where _merged_into is not null"))
    assert {i: kept[i] for i in (first, second, third)} == dict.fromkeys((first, second, third), survivor)
    links = made.query(f"select distinct to_id from raw_hubspot.deal_contact_associations where from_id = '{deal}'")
    assert (survivor,) in links
    assert not {to for (to,) in links} & gone
    assert made.differences() == {}


def test_labels_and_links_beyond_one_page_are_all_read(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path, association_page=2)
    deal, people = made.portal.post(DEALS, {"properties": {"dealname": "Tea"}}, 201)["id"], made.store.live_people()[:7]
    for person in people:
        made.portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{person}", None)
    label = [{"associationCategory": "USER_DEFINED", "associationTypeId": 23}]
    made.portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/contacts/{people[-1]}", label, 201)
    assert made.sync(tables=["deals", "deal_contact_associations"]).complete
    found = made.query(f"select to_id, type_id, label from raw_hubspot.deal_contact_associations where from_id = '{deal}'")
    assert sorted(found) == sorted([*((p, "3", None) for p in people), (people[-1], "23", "Decision Maker")])


def test_without_the_table_of_stages_contacts_cost_half_the_calls(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path)
    contacts = next(t for t in TABLES if t.name == "contacts")

    async def calls(chosen: frozenset[str] | None) -> int:
        reader = HubSpotReader(made.connection, Rows())
        reader.chosen = chosen
        async with reader.client:
            await Rows().read_table(reader, contacts, Span("full", None, now()))
            return reader.client.calls.total()

    fixed = 2  # the properties and the archived contacts
    pages = asyncio.run(calls(frozenset({"contacts"}))) - fixed
    assert pages == -(-len(made.store.live_people()) // 100)
    assert asyncio.run(calls(None)) - fixed == -(-len(made.store.live_people()) // 50)


@pytest.fixture(scope="module")
def unchanging() -> Iterator[Synced]:
    """A portal in which nothing happens but what a test does and undoes."""
    with ExitStack() as stack:
        yield Synced(lambda app: stack.enter_context(served(app)), Path("nowhere"), new_store())


async def read_in_two(made: Synced, rows: Rows, batches: int, between: Callable[[], None] | None = None) -> dict[str, Any] | None:
    """Read everything, but be stopped after so many batches of contacts, and let another process go on."""
    contacts = next(t for t in TABLES if t.name == "contacts")
    end = now()
    stopped = HubSpotReader(made.connection, rows)
    async with stopped.client:
        resume = await rows.read_table(stopped, contacts, Span("full", None, end), batches=batches)
    if between:
        between()
    reader = HubSpotReader(made.connection, rows)
    async with reader.client:
        for table in TABLES:
            await rows.read_table(reader, table, _span(table, end, resume))
            if between and table == contacts:
                await rows.read_table(reader, table, Span("incremental", end, now()))
    return resume


def _span(table: RawTable, end: datetime, resume: dict[str, Any] | None) -> Span:
    return Span("full", None, end, resume=resume if table.name == "contacts" else None)


@pytest.mark.parametrize("batches", [1, 4, 7])
def test_a_full_read_that_was_stopped_goes_on_and_ends_in_the_same_rows(unchanging: Synced, batches: int) -> None:
    rows, whole = Rows(), Rows()
    resume = asyncio.run(read_in_two(unchanging, rows, batches))
    assert resume is not None
    asyncio.run(whole.read(unchanging.connection, None, now()))
    assert rows.content() == whole.content()


def test_what_happens_between_the_parts_of_a_full_read_is_read_too(serve: Serve, tmp_path: Path) -> None:
    made, rows, whole = Synced(serve, tmp_path), Rows(), Rows()
    edited, archived, winner, loser = made.store.live_people()[:4]

    def happen() -> None:
        made.store.edit_person(edited, {"title": "Baker"}, now())
        made.store.delete_person(archived, now())
        made.store.merge_people(winner, loser, now())
        made.store.create_person({"first_name": "Ann", "email": "ann@tea.example"}, now())

    assert asyncio.run(read_in_two(made, rows, 3, happen)) is not None
    asyncio.run(whole.read(made.connection, None, now()))
    assert rows.content() == whole.content()
