"""Salesforce's raw tables, read from the emulated org over HTTP into a DuckDB file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp_pipelines.config import SalesforceConnection, Settings, connection_from_config
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sources import salesforce, salesforce_deletions, salesforce_soql
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from tests.sandbox.salesforce_org import new_store
from tests.sources.known_failures import known_failure

Serve = Callable[[Any], str]
Rows = dict[str, dict[str, Any]]
OBJECTS = {table.name: table.object for table in salesforce.TABLES}


def connection(url: str, **more: Any) -> SalesforceConnection:
    config = {**credentials.SALESFORCE, "login_url": url, "visibility_lag_seconds": 0, "bulk_poll_seconds": 0.01, "max_attempts": 2, **more}
    made = connection_from_config("salesforce", config)
    assert isinstance(made, SalesforceConnection)
    return made


def run(made: SalesforceConnection, folder: Path, *, full: bool = False, tables: list[str] | None = None) -> ExtractReport:
    settings = Settings(data_dir=folder)
    reader = salesforce.SalesforceReader(made, Warehouse(settings, "salesforce", "salesforce"))
    return extract(made, reader, settings, full=full, tables=tables)


def complete(report: ExtractReport) -> ExtractReport:
    assert report.complete, [(t.table, t.problem, t.remedy) for t in report.tables if t.state != "ok"]
    return report


def rows(folder: Path, table: str) -> Rows:
    """A raw table's rows by id, without what differs from run to run."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as db:
        found = db.execute(f'select * exclude (_synced_at, _dlt_load_id) from raw_salesforce."{table}"').to_arrow_table().to_pylist()
    return {row["id"]: row for row in found}


def all_rows(folder: Path) -> dict[str, Rows]:
    return {table: rows(folder, table) for table in OBJECTS}


def differences(left: Path, right: Path) -> list[tuple[str, str, str, Any, Any]]:
    """(table, id, column, left, right) of every value that two warehouses do not share."""
    found: list[tuple[str, str, str, Any, Any]] = []
    for table in OBJECTS:
        ours, theirs = rows(left, table), rows(right, table)
        for record_id in sorted(ours.keys() | theirs.keys()):
            a, b = ours.get(record_id, {}), theirs.get(record_id, {})
            found += [(table, record_id, c, a.get(c), b.get(c)) for c in sorted(a.keys() | b.keys()) if a.get(c) != b.get(c)]
    return found


def live(store: SalesforceStore, prefix: str) -> list[str]:
    return [p for p in store.live_people() if p.startswith(prefix)]


def a_days_work(store: SalesforceStore, at: datetime) -> None:
    """Every kind of change that the living world makes."""
    contacts, leads, deals = live(store, "003"), live(store, "00Q"), store.live_deals()
    store.edit_person(contacts[0], {"email": "new@mail.example", "company": "A New Company", "lead_score": 99}, at)
    store.delete_person(contacts[1], at)
    store.restore_person(store.deleted_people()[0], at)
    with_role = next(p for d in deals for p in store.deal_people(d) if p in contacts[3:])
    store.merge_people(contacts[2], with_role, at)
    store.merge_people(leads[0], leads[1], at)
    store.convert_person(leads[2], at)
    store.create_person({"first_name": "Zoë", "last_name": "Ng", "email": "zoe@mail.example"}, at)
    deal = store.create_deal({"name": "Brand new", "stage": 2, "amount": 12_345.67}, [contacts[4], contacts[5]], at)
    store.unlink(deal, contacts[4], at)
    store.edit_deal(deals[0], {"stage": 5, "amount": None}, at)
    store.delete_deal(deals[1], at)


@known_failure("airbytehq/airbyte#37528")
def test_every_record_of_the_org_arrives(serve: Serve, tmp_path: Path) -> None:
    store = new_store()
    report = complete(run(connection(serve(app(store))), tmp_path))
    for table, object_name in OBJECTS.items():
        found = rows(tmp_path, table)
        assert len(found) == len(store.records[object_name].stamps)
        assert len([r for r in found.values() if r["_deleted"] is None]) == store.counts()[object_name]
    merged = [r for r in rows(tmp_path, "contact").values() if r["master_record_id"]]
    assert merged
    assert all(r["_merged_into"] == r["master_record_id"] and r["_deleted"] == r["is_deleted"] == "true" for r in merged)
    assert {t.mode for t in report.tables} == {"full"}


@known_failure("egen/spark-salesforce#53")
def test_bulk_and_rest_give_the_same_text(serve: Serve, tmp_path: Path) -> None:
    url = serve(app(new_store()))
    complete(run(connection(url, bulk_above=10_000), tmp_path / "rest"))
    complete(run(connection(url, bulk_above=0), tmp_path / "bulk"))

    def normal(tables: dict[str, Rows]) -> dict[str, Rows]:
        return {t: {i: {k: v.replace("+0000", "Z") if v and k.endswith(("date", "stamp")) else v for k, v in r.items()} for i, r in found.items()}
                for t, found in tables.items()}  # fmt: skip

    rest, bulk = normal(all_rows(tmp_path / "rest")), normal(all_rows(tmp_path / "bulk"))
    assert rest == bulk
    assert any("\r\nLine two\n\nLine four" in (r["description"] or "") for r in bulk["contact"].values())
    scores = {r["lead_score__c"] for r in bulk["contact"].values()} - {None}
    assert scores
    assert all(score.endswith(".0") for score in scores)


@known_failure("airbytehq/airbyte#42490")
@pytest.mark.slow
def test_incremental_reading_gives_what_a_fresh_full_read_gives(serve: Serve, tmp_path: Path) -> None:
    store = new_store()
    made = connection(serve(app(store)))
    complete(run(made, tmp_path / "kept"))
    for _ in range(2):
        a_days_work(store, datetime.now(UTC))
        report = complete(run(made, tmp_path / "kept"))
    assert {t.mode for t in report.tables} == {"incremental"}
    assert sum(t.rows_read for t in report.tables) < 100
    complete(run(made, tmp_path / "fresh"))
    assert differences(tmp_path / "kept", tmp_path / "fresh") == []


@known_failure("airbytehq/airbyte#10140", "airbytehq/airbyte#10155", "airbytehq/airbyte#34082")
@pytest.mark.slow
def test_purged_records_become_their_id_alone(serve: Serve, tmp_path: Path) -> None:
    store = new_store()
    made = connection(serve(app(store)))
    complete(run(made, tmp_path / "kept"))
    person, deal = live(store, "003")[0], next(d for d in store.live_deals() if not store.deal_people(d))
    at = datetime.now(UTC) - timedelta(minutes=3)
    store.delete_person(person, at)
    store.delete_deal(deal, at)
    store.purge(person)
    store.purge(deal)
    complete(run(made, tmp_path / "kept"))
    stub = {k: v for k, v in rows(tmp_path / "kept", "contact")[person].items() if v is not None}
    assert stub == {"connection": "salesforce", "id": person, "_deleted": "true"}
    complete(run(made, tmp_path / "fresh"))
    assert differences(tmp_path / "kept", tmp_path / "fresh") == []


@known_failure("airbytehq/airbyte#34082")
@pytest.mark.slow
def test_a_record_that_was_deleted_earlier_and_purged_later_is_found_the_next_day(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    made = connection(serve(app(store)))
    complete(run(made, tmp_path))
    binned = next(p for p in store.deleted_people() if p.startswith("003"))
    store.purge(binned)
    complete(run(made, tmp_path, tables=["contact"]))
    complete(run(made, tmp_path, tables=["contact"]))
    assert rows(tmp_path, "contact")[binned]["last_name"] is not None
    monkeypatch.setattr(salesforce_deletions, "BIN_CHECK_EVERY", timedelta(0))
    complete(run(made, tmp_path, tables=["contact"]))
    assert rows(tmp_path, "contact")[binned]["last_name"] is None


def test_a_merged_record_that_was_purged_still_says_into_which_one(serve: Serve, tmp_path: Path) -> None:
    store = new_store()
    made = connection(serve(app(store)))
    winner, loser = live(store, "003")[:2]
    store.merge_people(winner, loser, datetime.now(UTC) - timedelta(minutes=3))
    complete(run(made, tmp_path, tables=["contact"]))
    store.purge(loser)
    complete(run(made, tmp_path, tables=["contact"]))
    stub = {k: v for k, v in rows(tmp_path, "contact")[loser].items() if v is not None}
    assert stub == {"connection": "salesforce", "id": loser, "_deleted": "true", "_merged_into": winner}


@known_failure("airbytehq/airbyte#13088")
def test_an_object_that_bulk_refuses_is_read_over_rest(serve: Serve, tmp_path: Path) -> None:
    store = new_store()
    options = SalesforceOptions(bulk_refuses=frozenset({"Contact"}), bulk_fails=frozenset({"Lead"}))
    made = connection(serve(app(store, options)), bulk_above=0)
    complete(run(made, tmp_path, tables=["contact", "lead", "account"]))
    assert len(rows(tmp_path, "contact")) == len(store.records["Contact"].stamps)
    assert len(rows(tmp_path, "lead")) == len(store.records["Lead"].stamps)


@known_failure("airbytehq/airbyte#10111", "airbytehq/airbyte#20703")
def test_fields_too_many_for_a_url_are_read_in_parts(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store()
    url = serve(app(store, SalesforceOptions(bulk_refuses=frozenset({"Contact"}), page_size=60)))
    complete(run(connection(url), tmp_path / "whole", tables=["contact"]))
    monkeypatch.setattr(salesforce_soql, "MAX_QUERY_BYTES", 800)
    report = complete(run(connection(url), tmp_path / "parts", tables=["contact"]))
    assert report.calls > 20
    assert rows(tmp_path / "parts", "contact") == rows(tmp_path / "whole", "contact")


def test_a_table_that_fails_does_not_lose_the_others(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = tuple(salesforce.RawTable(t.name, "Nothing__c", t.key) if t.name == "campaign" else t for t in salesforce.TABLES)
    monkeypatch.setattr(salesforce.SalesforceReader, "tables", tables)
    report = run(connection(serve(app(new_store()))), tmp_path)
    failed = [(t.table, t.problem) for t in report.tables if t.state != "ok"]
    assert [table for table, _ in failed] == ["campaign"]
    assert "NOT_FOUND" in (failed[0][1] or "")
    assert rows(tmp_path, "user")


@known_failure("singer-io/tap-salesforce#221", "airbytehq/airbyte#26520")
def test_the_days_calls_running_out_stops_in_a_state_that_goes_on(serve: Serve, tmp_path: Path) -> None:
    store = new_store()
    made_app = app(store, SalesforceOptions(daily_calls=40))
    made = connection(serve(made_app), daily_call_reserve=0.5)
    report = run(made, tmp_path)
    assert not report.complete
    assert any("API calls of this day are left" in (t.problem or "") for t in report.tables)
    assert made_app.state.org.calls_today <= 21
    made_app.state.org.calls_today = 0
    made_app.state.org.options.daily_calls = 1000
    complete(run(made, tmp_path))
    assert len(rows(tmp_path, "campaign_member")) == len(store.records["CampaignMember"].stamps)


def test_mapped_fields_that_the_org_has_no_substitute_for_are_reported(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = connection(serve(app(new_store())))
    assert complete(run(made, tmp_path, tables=["user"])).warnings == []
    fields = salesforce.SalesforceReader.fields

    async def without_email(self: salesforce.SalesforceReader, table: salesforce.RawTable) -> list[str]:
        return [f for f in await fields(self, table) if f != "Email"]

    monkeypatch.setattr(salesforce.SalesforceReader, "fields", without_email)
    assert any("contact.Email is not in this org" in w for w in complete(run(made, tmp_path, tables=["user"])).warnings)
