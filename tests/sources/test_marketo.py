"""Marketo's raw tables from the emulated API: all of it, and then only what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp_pipelines.config import MarketoConnection, Settings, connection_from_config
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.marketo import TABLES, MarketoReader
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from tests.conftest import served
from tests.sources.fronts import Altered
from tests.sources.known_failures import known_failure

NAMES = [table.name for table in TABLES]
DEALS = ["leads", "opportunity_roles", "opportunities"]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=150)


class Instance:
    """An emulated Marketo, and warehouses that read it."""

    def __init__(self, store: MarketoStore, url: str, folder: Path):
        self.store, self.url, self.folder = store, url, folder

    def now(self) -> datetime:
        return datetime.now(UTC)

    def connection(self, **settings) -> MarketoConnection:
        quick = {"bulk_poll_seconds": 0.01, "visibility_lag_seconds": 0, "calls_per_20_seconds": 100_000}
        made = connection_from_config("marketo", {"endpoint": self.url, **credentials.MARKETO, **quick, **settings})
        assert isinstance(made, MarketoConnection)
        return made

    def read(self, name: str = "one", **options) -> ExtractReport:
        settings, connection = Settings(data_dir=self.folder / name), self.connection(**options.pop("settings", {}))
        reader = MarketoReader(connection, Warehouse(settings, "marketo", "marketo"))
        return extract(connection, reader, settings, **options)

    def query(self, sql: str, name: str = "one") -> list[tuple]:
        with duckdb.connect(str(self.folder / name / "warehouse.duckdb")) as db:
            return db.execute(sql).fetchall()

    def rows(self, table: str, name: str = "one") -> list[tuple]:
        """The rows that say something: without the mark of an empty set and what differs from load to load."""
        some = " where marketo_guid is not null" if table == "opportunity_roles" else ""
        return sorted(self.query(f'select * exclude (_synced_at, _dlt_load_id) from raw_marketo."{table}"{some}', name), key=repr)


@pytest.fixture
def instance(world: World, serve: Callable, tmp_path: Path) -> Instance:
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    return Instance(store, serve(app(store)), tmp_path)


@pytest.fixture(scope="module")
def read_once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance that was read in full; not to be changed."""
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    with served(app(store)) as url:
        instance = Instance(store, url, tmp_path_factory.mktemp("marketo"))
        assert problems(instance.read()) == {}
        yield instance


def problems(report: ExtractReport) -> dict[str, str | None]:
    return {table.table: table.problem for table in report.tables if table.state != "ok"}


@known_failure("airbytehq/airbyte#19648", "airbytehq/airbyte#17548")
def test_a_first_read_brings_every_record(read_once: Instance):
    counts = read_once.store.counts()
    alive = {table: read_once.query(f'select count(*) from raw_marketo."{table}" where _deleted is null')[0][0] for table in NAMES}
    roles = read_once.query("select distinct external_opportunity_id from raw_marketo.opportunity_roles")
    companies = read_once.query("select distinct external_company_id from raw_marketo.leads where external_company_id is not null")
    assert alive == counts | {"opportunities": len(roles), "companies": len(companies)}


def test_values_are_the_apis_own_text(read_once: Instance):
    notes = read_once.query("select distinct mkto_person_notes from raw_marketo.leads where mkto_person_notes is not null")
    assert notes == [('Asked for "pricing", wants a trial.\nCall back next week\r\n\r\nMet at booth 4',)]
    created, updated = read_once.query("select min(created_at), min(updated_at) from raw_marketo.programs")[0]
    assert created.endswith("Z+0000") and updated.endswith("Z+0000")
    assert read_once.query("select distinct typeof(is_primary), is_primary from raw_marketo.opportunity_roles order by 2") == [
        ("VARCHAR", "false"), ("VARCHAR", "true"),
    ]  # fmt: skip


@known_failure("fivetran/dbt_marketo#17")
def test_deleted_and_merged_leads_are_rows_with_only_their_key(read_once: Instance, world: World):
    expected = sorted(
        (read_once.store.person_id(p.number), "true", (p.merged_into is not None and read_once.store.person_id(p.merged_into)) or None)
        for p in world.marketo.people if p.fate in ("deleted", "merged")
    )  # fmt: skip
    assert len({fate for _, _, fate in expected}) > 1, "the world has both"
    assert (
        sorted(read_once.query("select id, _deleted, _merged_into from raw_marketo.leads where _deleted is not null and email is null"))
        == expected
    )


def change_everything(instance: Instance) -> None:
    """One change of every kind."""
    store, now = instance.store, instance.now
    people, deals = store.live_people(), store.live_deals()
    new = store.create_person({"first_name": "Ada", "last_name": "Null", "email": "ada@new.example", "lead_score": 5}, now())
    store.edit_person(people[0], {"phone": "+1 555 0100", "lead_score": 77}, now())
    store.edit_person(people[1], {"title": None}, now())
    linked = next(d for d in deals if store.deal_people(d))
    store.merge_people(people[2], store.deal_people(linked)[0], now())
    store.merge_people(people[3], people[4], now())
    store.merge_people(people[5], people[3], now())
    shared = [d for d in store.live_deals() if len(store.deal_people(d)) > 1]
    store.delete_person(store.deal_people(shared[0])[1], now())
    store.edit_deal(shared[1], {"stage": 5, "amount": 1234.5}, now())
    store.unlink(shared[1], store.deal_people(shared[1])[0], now())
    made = store.create_deal({"name": "New business", "stage": 2, "amount": None, "close_date": None}, [new, people[6]], now())
    store.link(made, people[7], now())
    store.delete_person(new, now())


@pytest.mark.slow
def test_incremental_reads_give_what_a_full_read_gives(instance: Instance):
    instance.read()
    change_everything(instance)
    report = instance.read()
    assert problems(report) == {}
    assert {table.mode for table in report.tables} == {"incremental"}
    instance.read("fresh")
    for table in NAMES:
        if table in ("opportunities", "companies"):
            assert set(instance.rows(table, "fresh")) <= set(instance.rows(table)), table
        else:
            assert instance.rows(table) == instance.rows(table, "fresh"), table
    before = {table: instance.rows(table) for table in NAMES}
    assert problems(instance.read(full=True)) == {}
    assert {table: instance.rows(table) for table in NAMES} == before, "a full read keeps what only the warehouse still knows of"


def test_a_later_merge_moves_the_earlier_losers_to_the_last_winner(instance: Instance):
    a, b, c = instance.store.live_people()[:3]
    instance.store.merge_people(b, a, instance.now())
    instance.read(tables=["leads"])
    instance.store.merge_people(c, b, instance.now())
    instance.read(tables=["leads"], settings={"overlap_seconds": 0})
    found = instance.query(f"select id, _merged_into from raw_marketo.leads where id in ('{a}', '{b}') order by id")
    assert found == sorted([(a, c), (b, c)])


def test_an_opportunity_that_was_deleted_is_marked_and_one_without_roles_stays_fresh(instance: Instance):
    instance.read(tables=DEALS)
    store = instance.store
    gone, orphan = [d for d in store.live_deals() if len(store.deal_people(d)) == 1][:2]
    guids = dict(instance.query("select external_opportunity_id, marketo_guid from raw_marketo.opportunities"))
    store.delete_deal(gone, instance.now())
    store.unlink(orphan, store.deal_people(orphan)[0], instance.now())
    instance.read(tables=DEALS)
    store.edit_deal(orphan, {"name": "Renamed while nobody was linked"}, instance.now())
    instance.read(tables=DEALS, settings={"overlap_seconds": 0})
    found = instance.query(f"select _deleted, name from raw_marketo.opportunities where marketo_guid = '{guids[gone]}'")
    assert found == [("true", None)]
    found = instance.query(f"select _deleted, name from raw_marketo.opportunities where marketo_guid = '{guids[orphan]}'")
    assert found == [(None, "Renamed while nobody was linked")]


def test_reading_again_when_nothing_changed_takes_few_calls(read_once: Instance):
    report = read_once.read(settings={"overlap_seconds": 0})
    assert problems(report) == {}
    assert {table.mode for table in report.tables} == {"incremental"}
    assert report.calls <= 25, {table.table: table.calls for table in report.tables}


def test_without_the_export_by_change_activities_lead_to_the_changed_leads(world: World, serve: Callable, tmp_path: Path):
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    instance = Instance(store, serve(app(store, MarketoOptions(export_by_updated_at=False))), tmp_path)
    instance.read(tables=["leads"])
    store.edit_person(store.live_people()[0], {"phone": "+1 555 0199"}, instance.now())
    instance.store.merge_people(store.live_people()[2], store.live_people()[1], instance.now())
    assert problems(instance.read(tables=["leads"])) == {}
    instance.read("fresh", tables=["leads"])
    assert instance.rows("leads") == instance.rows("leads", "fresh")


@pytest.mark.parametrize("options", [MarketoOptions(denied=frozenset({"opportunities"})), MarketoOptions(crm_sync="disabled")])
def test_opportunities_that_may_not_be_read_fail_alone(world: World, serve: Callable, tmp_path: Path, options: MarketoOptions):
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    report = Instance(store, serve(app(store, options)), tmp_path).read()
    failed = problems(report)
    assert "opportunities" in failed and "opportunity_roles" in failed
    assert not {"leads", "campaigns", "programs", "activities"} & failed.keys()
    assert any(word in str(failed["opportunities"]) for word in ("603", "1018"))


def test_an_empty_instance_gives_empty_tables_without_twenty_years_of_exports(serve: Callable, tmp_path: Path):
    nobody = build_world(people=20, empty=frozenset({"marketo"}))
    instance = Instance(MarketoStore(nobody.marketo, nobody.owners), "", tmp_path)
    instance.url = serve(app(instance.store))
    report = instance.read()
    assert problems(report) == {}
    assert {table.rows_total for table in report.tables} == {0}
    assert report.calls < 200


@known_failure("airbytehq/airbyte#76484")
def test_the_daily_limit_stops_a_table_and_the_next_run_goes_on(world: World, serve: Callable, tmp_path: Path):
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    served = app(store, MarketoOptions(daily_calls=10))
    instance = Instance(store, serve(served), tmp_path)
    assert all("607" in str(problem) for problem in problems(instance.read(tables=["leads"])).values())
    served.state.gate.options.daily_calls = 100_000
    report = instance.read(tables=["leads"])
    assert problems(report) == {}
    assert instance.query("select count(*) from raw_marketo.leads where _deleted is null")[0][0] == store.counts()["leads"]


def test_a_formula_field_which_the_api_never_computes_is_named(world: World, serve: Callable, tmp_path: Path):
    def alter(call: str, body: Any) -> Any:
        for entry in body["result"] if call.endswith("/leads/describe.json") else ():
            if (entry.get("rest") or {}).get("name") == "title":
                entry["rest"]["readOnly"] = True
        return body

    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    instance = Instance(store, serve(Altered(app(store), alter)), tmp_path)
    assert instance.read(tables=["leads"]).warnings == []
    for person in store.live_people():
        store.edit_person(person, {"title": None}, instance.now())
    (told,) = instance.read(tables=["leads"], full=True).warnings
    assert "no lead a value in title" in told and "never computes formula fields" in told
