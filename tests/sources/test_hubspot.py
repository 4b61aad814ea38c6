from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from cdp_pipelines.sandbox.change import apply_changes
from tests.conftest import served
from tests.sources.hubspot_synced import Rows, Synced
from tests.sources.known_failures import known_failure

Serve = Callable[[ASGIApp], str]


@pytest.fixture(scope="module")
def first_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a warehouse as the first sync leaves it."""
    folder = tmp_path_factory.mktemp("first")
    with ExitStack() as stack:
        assert Synced(lambda app: stack.enter_context(served(app)), folder).sync().complete
    return folder


@pytest.fixture
def synced(serve: Serve, tmp_path: Path, first_sync: Path) -> Synced:
    """A portal at the world's beginning and a warehouse that has read all of it."""
    return Synced(serve, shutil.copytree(first_sync, tmp_path / "copy"))


def now() -> datetime:
    return datetime.now(UTC)


@known_failure("singer-io/tap-hubspot#224", "airbytehq/airbyte#27799", "airbytehq/airbyte#18991")
def test_a_full_read_holds_every_record_and_link(synced: Synced) -> None:
    store, counts = synced.store, synced.store.counts()
    for table in ("contacts", "companies", "deals"):
        assert synced.query(f"select count(*) from raw_hubspot.{table} where _deleted is null") == [(counts[table],)]
    archived = {i for (i,) in synced.query("select id from raw_hubspot.contacts where archived = 'true' and _deleted = 'true'")}
    assert archived == set(store.deleted_people()) != set()
    merged = dict(synced.query("select id, _merged_into from raw_hubspot.contacts where _merged_into is not null"))
    assert merged == {str(a): str(b) for a, b in store.merged_into.items()} != {}
    links = synced.query("select distinct from_id, to_id from raw_hubspot.deal_contact_associations where to_id is not null order by all")
    assert links == sorted((d, p) for d in store.live_deals() for p in store.deal_people(d))
    assert synced.query("select count(*) from raw_hubspot.owners") == [(len(store.owners),)]
    assert synced.query("select count(*), max(probability) from raw_hubspot.pipeline_stages") == [(7, "1.0")]


def test_rows_hold_the_records_own_keys_and_every_property_as_text(synced: Synced) -> None:
    columns = {c for (c,) in synced.query("select column_name from duckdb_columns() where table_name = 'contacts'")}
    assert {"id", "created_at", "updated_at", "archived", "archived_at", "url", "hs_object_id", "hs_lead_score"} <= columns
    contact = synced.store.live_people()[0]
    row = synced.query(f"select id, hs_object_id, archived, createdate = created_at from raw_hubspot.contacts where id = '{contact}'")
    assert row == [(contact, contact, "false", True)]
    chances = synced.query("select distinct hs_deal_stage_probability from raw_hubspot.deals where dealstage = 'appointmentscheduled'")
    assert chances == [("0.200000000000000011102230246251565404236316680908203125",)]


def test_the_history_of_stages_comes_with_the_contacts_list_and_costs_no_call(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path)
    calls = {t.table: t.calls for t in made.sync(tables=["contacts", "lifecycle_stage_history"]).tables}
    assert calls["lifecycle_stage_history"] == 0
    contacts = made.query("select count(distinct contact_id) from raw_hubspot.lifecycle_stage_history")[0][0]
    assert contacts == made.query("select count(*) from raw_hubspot.contacts")[0][0]
    first = made.store.live_people()[0]
    versions = made.query(f"select value, \"timestamp\" from raw_hubspot.lifecycle_stage_history where contact_id = '{first}' order by 2")
    kept = made.store.records["contacts"].get(int(first)).versions("lifecyclestage")
    assert [v for v, _ in versions] == [v.value for v in reversed(kept)]


@known_failure("singer-io/tap-hubspot#34", "dlt-hub/verified-sources#662", "bruin-data/ingestr#322")
def test_a_second_sync_costs_only_the_fixed_calls(synced: Synced) -> None:
    report = synced.sync()
    assert report.complete
    assert {t.table: t.calls for t in report.tables if t.calls} == {
        "owners": 2, "pipeline_stages": 1,
        "contacts": 3, "companies": 3, "deals": 3,  # properties, search, archived list
    }  # fmt: skip
    assert sum(t.rows_read for t in report.tables if t.table not in ("owners", "pipeline_stages")) == 0


@known_failure(
    "airbytehq/airbyte#34446",
    "airbytehq/airbyte#40591",
    "singer-io/tap-hubspot#49",
    "fivetran/dbt_hubspot#46",
    "airbytehq/airbyte#14390",
    "airbytehq/airbyte#14639",
    "airbytehq/airbyte#69203",
)
def test_everything_that_happens_in_a_portal_reaches_the_tables(synced: Synced) -> None:
    store = synced.store
    deal = next(d for d in store.live_deals() if len(store.deal_people(d)) > 1)
    archived, loser = store.deal_people(deal)[:2]
    other = next(d for d in store.live_deals() if store.deal_people(d) and not {archived, loser} & set(store.deal_people(d)))
    unlinked = store.deal_people(other)
    winner, last, edited = [p for p in store.live_people() if p not in {archived, loser, *unlinked}][:3]

    store.edit_person(edited, {"title": "Chief Tea Officer", "phone": None}, now())
    newcomer = store.create_person({"first_name": "Ann", "email": "ann@tea.example"}, now())
    tea = store.create_deal({"name": "Tea", "amount": Decimal("12.50")}, [newcomer], now())
    store.delete_person(archived, now())
    store.merge_people(winner, loser, now())
    for person in unlinked:
        store.unlink(other, person, now())
    store.delete_deal(store.live_deals()[-2], now())
    assert synced.sync().complete

    contact = "select jobtitle, phone, archived, _deleted, _merged_into from raw_hubspot.contacts where id = '{}'"
    assert synced.query(contact.format(edited)) == [("Chief Tea Officer", "", "false", None, None)]
    assert synced.query(contact.format(archived))[0][2:] == ("true", "true", None)
    assert synced.query(contact.format(loser)) == [(None, None, None, "true", winner)]
    links = "select distinct to_id from raw_hubspot.deal_contact_associations where from_id = '{}' order by 1"
    assert synced.query(links.format(other)) == [(None,)]
    assert [p for (p,) in synced.query(links.format(deal))] == sorted(store.deal_people(deal))
    assert synced.differences() == {}

    store.restore_person(archived, now())
    store.merge_people(last, winner, now())
    store.link(other, newcomer, now())
    store.edit_deal(tea, {"stage": 5}, now())
    assert synced.sync().complete

    assert synced.query(contact.format(archived))[0][2:] == ("false", None, None)
    assert synced.query(contact.format(loser)) == [(None, None, None, "true", last)]
    assert [p for (p,) in synced.query(links.format(deal))] == sorted(store.deal_people(deal))
    assert synced.query(links.format(other)) == [(newcomer,)]
    history = f"select value from raw_hubspot.lifecycle_stage_history where contact_id = '{newcomer}'"
    assert {v for (v,) in synced.query(history)} == {"lead", "opportunity", "customer"}
    assert synced.differences() == {}


@known_failure("airbytehq/airbyte#35017", "airbytehq/airbyte#19838")
def test_archiving_is_noticed_also_where_it_bumps_no_deal(serve: Serve, tmp_path: Path, first_sync: Path) -> None:
    made = Synced(serve, shutil.copytree(first_sync, tmp_path / "copy"), association_changes_bump=False)
    deal = next(d for d in made.store.live_deals() if made.store.deal_people(d))
    person = made.store.deal_people(deal)[0]
    links = f"select count(*) from raw_hubspot.deal_contact_associations where from_id = '{deal}' and to_id = '{person}'"
    before = made.query(links)
    made.store.delete_person(person, now())
    made.sync()
    assert made.query(links) == [(0,)]
    made.store.restore_person(person, now())
    made.sync()
    assert made.query(links) == before != [(0,)]


def test_links_and_history_can_be_read_without_the_tables_that_they_come_after(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path)
    names = ["deal_contact_associations", "lifecycle_stage_history"]
    assert made.sync(tables=names).complete
    deal = next(d for d in made.store.live_deals() if made.store.deal_people(d))
    made.store.unlink(deal, made.store.deal_people(deal)[0], now())
    made.store.edit_deal(deal, {"stage": 5}, now())
    assert made.sync(tables=names).complete
    made.sync("fresh")
    for name in names:
        assert made.rows(name, "main") == made.rows(name, "fresh")


@known_failure("airbytehq/airbyte#60881")
def test_a_missing_scope_leaves_the_other_tables_complete(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path, withheld_scopes=frozenset({"crm.objects.owners.read"}))
    report = made.sync(tables=["owners", "deals"])
    assert {t.table for t in report.tables if t.state != "ok"} == {"owners"}
    owners = next(t for t in report.tables if t.table == "owners")
    assert "crm.objects.owners.read" in str(owners.problem)


def test_a_portal_without_a_lead_score_is_told_of(serve: Serve, tmp_path: Path) -> None:
    made = Synced(serve, tmp_path, lead_score=False)
    warnings = made.sync(tables=["contacts"]).warnings
    assert [w for w in warnings if "hs_lead_score" in w and "contacts.lead_score" in w]
    assert made.query("select count(*) from raw_hubspot.contacts where hs_lead_score is not null") == [(0,)]


@settings(max_examples=12, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4))
def test_any_history_of_changes_is_read_to_the_same_rows_as_one_full_read(seeds: list[int]) -> None:
    with ExitStack() as stack, TemporaryDirectory() as folder:
        made, rows, fresh = Synced(lambda app: stack.enter_context(served(app)), Path(folder)), Rows(), Rows()
        cursor = now()
        asyncio.run(rows.read(made.connection, None, cursor))
        erased: set[str] = set()
        for seed in seeds:
            erased |= {c["id"] for c in apply_changes({"hubspot": made.store}, seed, now(), 40) if c["op"] == "purge"}
            start, cursor = cursor, now()
            asyncio.run(rows.read(made.connection, start, cursor))
        asyncio.run(fresh.read(made.connection, None, now()))
        # Of a contact that was erased, and of those merged into it, no search tells: that is the reconcile's part.
        erased |= set(rows.merged_into(erased))
        assert rows.content(without=erased) == fresh.content(without=erased)


def test_what_belongs_to_a_vanished_contact_goes_though_a_run_was_stopped_right_after_it(synced: Synced) -> None:
    contact = next(i for (i,) in synced.query("select contact_id from raw_hubspot.lifecycle_stage_history where value is not null"))
    synced.store.delete_person(contact, now())
    assert synced.sync().complete
    synced.store.purge_record(contact, now())
    assert synced.sync(tables=["contacts"]).complete
    assert synced.sync().complete
    left = f"select count(value) from raw_hubspot.lifecycle_stage_history where contact_id = '{contact}'"
    assert synced.query(left) == [(0,)]
