from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from cdp_pipelines.config import HubSpotConnection, Settings, connection_from_config
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.change import apply_changes
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sources.columns import as_text
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.hubspot import TABLES, HubSpotReader
from cdp_pipelines.sources.reader import Span
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from tests.conftest import served
from tests.sandbox.hubspot_portal import Portal
from tests.sources.known_failures import known_failure

Serve = Callable[[ASGIApp], str]


class Synced:
    """A portal and a warehouse that is filled from it."""

    def __init__(self, serve: Serve, folder: Path, store: HubSpotStore | None = None, **options: Any):
        self.portal = Portal(serve, store, **options)
        self.store = self.portal.store
        self.folder = folder
        config = {
            **credentials.HUBSPOT, "base_url": self.portal.url, "visibility_lag_seconds": 0, "overlap_seconds": 0,
            "calls_per_10_seconds": 10_000, "searches_per_second": 1_000,
        }  # fmt: skip
        made = connection_from_config("hubspot", config)
        assert isinstance(made, HubSpotConnection)
        self.connection = made

    def sync(self, warehouse: str = "main", **options: Any) -> ExtractReport:
        """Read into a warehouse, which begins empty."""
        made = Settings(data_dir=self.folder / warehouse)
        reader = HubSpotReader(self.connection, Warehouse(made.warehouse, "hubspot", "hubspot"))
        return extract(self.connection, reader, made, **options)

    def query(self, sql: str, warehouse: str = "main") -> list[Any]:
        """Rows of a query of a warehouse."""
        with duckdb.connect(str(self.folder / warehouse / "warehouse.duckdb"), read_only=True) as db:
            return db.execute(sql).fetchall()

    def content(self, warehouse: str) -> dict[str, list[Any]]:
        """All raw tables."""
        return {t.name: self.rows(t.name, warehouse) for t in TABLES}

    def rows(self, table: str, warehouse: str) -> list[Any]:
        """A raw table without what tells one load from another."""
        # By name: where a column stands depends on when its property came.
        names = sorted(name for name, *_ in self.query(f"describe raw_hubspot.{table}", warehouse))
        columns = ", ".join(f'"{name}"' for name in names if not name.startswith("_dlt") and name != "_synced_at")
        return self.query(f"select {columns} from raw_hubspot.{table} order by all", warehouse)

    def differences(self) -> dict[str, Any]:
        """Tables in which the warehouse differs from a fresh full read, with what is only on either side."""
        assert self.sync("fresh", full=True).complete
        kept, fresh = self.content("main"), self.content("fresh")
        return {
            name: {"incremental": [r for r in kept[name] if r not in fresh[name]], "full": [r for r in fresh[name] if r not in kept[name]]}
            for name in kept if kept[name] != fresh[name]
        }  # fmt: skip


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


@known_failure("singer-io/tap-hubspot#224", "airbytehq/airbyte#27799")
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


@known_failure("singer-io/tap-hubspot#34", "dlt-hub/verified-sources#662")
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


class Rows:
    """Raw tables in memory, merged as the warehouse does; a `KnownRecords`. Much quicker than a warehouse, for many histories."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, list[dict[str, Any]]]] = {t.name: {} for t in TABLES}

    def values(self, table: str, field: str, where: dict[str, str] | None = None) -> Iterator[str]:
        rows = [row for rows in self.tables[table].values() for row in rows]
        fit = [row for row in rows if all(as_text(row.get(k)) == v for k, v in (where or {}).items())]
        yield from sorted({row[field] for row in fit if row.get(field) is not None})

    async def read(self, connection: HubSpotConnection, start: datetime | None, end: datetime) -> None:
        """One sync of all tables."""
        reader = HubSpotReader(connection, self)
        async with reader.client:
            for table in TABLES:
                found: dict[Any, list[dict[str, Any]]] = {}
                async for batch in reader.read(table, Span("incremental" if start else "full", start, end)):
                    for row in batch.rows:
                        assert isinstance(row, dict)
                        key = tuple(as_text(row.get(k)) for k in table.replace_by or table.key)
                        found[key] = [*found.get(key, []), row] if table.replace_by else [row]
                self.tables[table.name] |= found

    def merged_into(self, winners: set[str]) -> Iterator[str]:
        """Contacts that were merged into one of these."""
        yield from (i for winner in winners for i in self.values("contacts", "id", {"_merged_into": winner}))

    def content(self, without: set[str]) -> dict[str, list[str]]:
        """Every row as text, in order, but for the rows of some contacts."""
        own = ("id", "from_id", "contact_id")
        return {name: sorted(_text(r) for rows in t.values() for r in rows if not {r.get(k) for k in own} & without)
                for name, t in self.tables.items()}  # fmt: skip


def _text(row: dict[str, Any]) -> str:
    """A row without what its links to others make of an archived record: the portal counts them anew without archiving it anew, so that
    only the next full read sees the count; and without what is null, since a new property is in new rows only until it has a value.
    """
    row = {name: value for name, value in row.items() if value is not None}
    if row.get("archived"):
        row = {name: value for name, value in row.items() if not name.startswith("num_associated_")}
    return json.dumps(row, sort_keys=True)


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
