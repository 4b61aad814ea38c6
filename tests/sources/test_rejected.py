"""Rows that cannot be kept: counted, told by reason and id, never a reason to lose others, and never taken for deleted."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.types import ASGIApp

from cdp_pipelines import checks, database, history, publish, status
from cdp_pipelines.config import KINDS, Connection, Kind, MarketoConnection, SalesforceConnection, Settings
from cdp_pipelines.crm_integrations.base_crm import ConnectionTest, CRMError
from cdp_pipelines.crm_integrations.rejected import NO_KEY, WRONG_WIDTH
from cdp_pipelines.privacy.hashes import Hasher, id_bucket
from cdp_pipelines.privacy.hashes import Kind as Hash
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.sandbox.hubspot.api import app as hubspot_app
from cdp_pipelines.sandbox.hubspot.limits import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.raw_rows import with_key
from cdp_pipelines.sources.reader import Batch, RawTable, Span
from cdp_pipelines.sources.report import TableReport
from tests.sources.fake_reader import TABLES, FakeReader, problem, salesforce
from tests.sources.fronts import Altered
from tests.sources.test_drift import Described, made_app, world

ALIVE = "select id from raw_{kind}.{table} where _deleted is null order by 1"


def read_all(crm: Described, settings: Settings, **options: Any) -> TableReport:
    """The CRM's people; Salesforce's in bulk."""
    made = crm.connection()
    if isinstance(made, SalesforceConnection):
        made = made.model_copy(update={"bulk_above": 0})
    (report,) = extract(made, registry.reader(made, settings), settings, tables=[crm.place.table], **options).tables
    return report


async def tried(connection: Connection) -> ConnectionTest:
    async with registry.client(connection) as client:
        return await client.test_connection()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def query(settings: Settings, sql: str) -> list[Any]:
    with database.connect(settings, settings.warehouse) as db:
        return db.execute(sql).fetchall()


def read(settings: Settings, rows: list[dict[str, Any]], fail: CRMError | None = None, **options: Any) -> TableReport:
    """The rows, read as Salesforce's contacts."""
    reader = FakeReader({"contact": [rows]}, {"contact": fail} if fail else None)
    report = extract(salesforce(), reader, settings, tables=["contact"], **options)
    history.record_syncs(settings, report.tables)
    return report.tables[0]


def contact(key: str | None) -> dict[str, Any]:
    return {"Id": key, "Name": f"n{key}"}


def test_a_row_without_key_is_counted_and_the_others_are_kept(settings: Settings) -> None:
    report = read(settings, [contact("1"), contact(None), contact(""), {"Name": "none"}, contact("2")])
    assert (report.state, report.rows_read, report.rows_rejected, report.rows_total) == ("ok", 2, 3, 2)
    assert {reason: found.rows for reason, found in report.rejected.items()} == {NO_KEY: 3}
    assert query(settings, "select id from raw_salesforce.contact order by 1") == [("1",), ("2",)]


@pytest.mark.parametrize("columns", [{"Id": ["1", None, ""]}, {"Name": ["a", "b", "c"]}, {"Id": pa.nulls(3, pa.string())}])
def test_tables_are_looked_through_for_keys_as_records_are(columns: dict[str, Any]) -> None:
    rows = pa.table(columns)
    as_records = with_key(TABLES[0], rows.to_pylist())
    as_table = with_key(TABLES[0], rows)
    assert isinstance(as_table, pa.Table)
    assert as_table.to_pylist() == as_records


def test_a_set_needs_only_what_it_is_replaced_by(settings: Settings) -> None:
    rows = [{"from_id": "1"}, {"from_id": "2", "to_id": "3"}, {"to_id": "4"}]
    report = extract(salesforce(), FakeReader({"roles": [rows]}), settings, tables=["roles"]).tables[0]
    assert (report.rows_read, report.rows_rejected) == (2, 1)


def test_a_full_read_with_rejected_rows_takes_no_record_for_deleted_and_the_next_whole_one_does(settings: Settings) -> None:
    read(settings, [contact("1"), contact("2")])
    read(settings, [contact("1"), contact(None)], full=True)
    assert query(settings, ALIVE.format(kind="salesforce", table="contact")) == [("1",), ("2",)], "2 may be the one without its id"
    read(settings, [contact("1")], full=True)
    assert query(settings, ALIVE.format(kind="salesforce", table="contact")) == [("1",)]


def test_what_was_rejected_before_a_stop_counts_after_it_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read(settings, [contact("1"), contact("2")])
    reader = FakeReader({"contact": [[contact(None)]]}, {"contact": problem("cut off")})

    async def resumable(table: RawTable, span: Span) -> AsyncIterator[Batch]:
        yield Batch([contact(None), contact("1")], {"place": 1})
        raise problem("cut off")

    monkeypatch.setattr(reader, "read", resumable)
    assert extract(salesforce(), reader, settings, tables=["contact"], full=True).tables[0].state == "incomplete"
    assert read(settings, [contact("3")], full=True).state == "ok"
    assert query(settings, ALIVE.format(kind="salesforce", table="contact")) == [("1",), ("2",), ("3",)]


def test_it_is_told_until_the_table_was_read_in_full_without_it(settings: Settings) -> None:
    def told() -> tuple[list[Any], list[Any], list[bool]]:
        found = [r for r in checks.run_raw(settings, ["salesforce"]) if r.table == "raw_salesforce.contact"]
        publish.publish(settings)
        with database.connect(settings, settings.published, read_only=True) as db:
            rejected = db.execute("select connection, object, reason, rows, example_keys from rejected_rows").fetchall()
            newest = db.execute("select rows_rejected from sync_status").fetchall()
        return rejected, newest, [r.passed for r in found]

    read(settings, [contact("1"), contact(None)])
    assert told() == ([("salesforce", "contact", NO_KEY, 1, [])], [(1,)], [False])
    read(settings, [contact("2")])
    assert told() == ([("salesforce", "contact", NO_KEY, 1, [])], [(0,)], [False]), "a sync of what changed does not read it again"
    (check,) = status.read(settings)["failed_checks"]
    assert (check["name"], check["blocking"], check["failed_rows"]) == ("nothing_rejected", False, 1)
    assert check["sample_keys"] == [f"salesforce: {NO_KEY}"]
    read(settings, [contact("1"), contact("2")], full=True)
    assert told() == ([], [(0,)], [True])


def test_an_erased_persons_id_is_no_example(settings: Settings) -> None:
    class Broken(FakeReader):
        async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
            self.client.rejected.note(WRONG_WIDTH, 3, ["1", "2"])
            yield Batch([contact("3")])

    hasher = Hasher.of_settings(settings)
    erased: list[tuple[Hash, str]] = [("id", hasher.id("salesforce", "1")), ("bucket", hasher.bucket("id", id_bucket("1")))]
    SuppressionList(settings).add("one/0", erased)
    (report,) = extract(salesforce(), Broken({}), settings, tables=["contact"]).tables
    assert [(found.rows, found.keys) for found in report.rejected.values()] == [(3, ["salesforce:2"])]


@pytest.mark.parametrize("kind", KINDS)
def test_the_calls_left_are_those_that_the_crm_tells(kind: Kind, serve: Callable[[ASGIApp], str], settings: Settings) -> None:
    crm = Described(kind)
    # Without limits it would tell nothing of the day.
    limited = hubspot_app(HubSpotStore(world().hubspot, [], salesforce=world().salesforce), HubSpotOptions(searches_per_second=None))
    crm.url = serve(limited if kind == "hubspot" else made_app(kind))
    report = read_all(crm, settings)
    told = asyncio.run(tried(crm.connection()))
    left = told.calls_left if told.calls_left is not None else MarketoConnection.model_fields["daily_calls"].default - told.calls_used
    assert report.calls_left is not None
    assert 0 <= report.calls_left - left <= 2, "the test itself takes a call or two"
    assert report.calls_allowed == (told.calls_used or 0) + left


@dataclass
class Spoiling(Described):
    """A CRM over HTTP whose answers are spoiled while `on`."""

    on: bool = False
    spoiled: list[str] = field(default_factory=list)

    def __init__(self, kind: Kind, serve: Callable[[ASGIApp], str]):
        super().__init__(kind)
        self.on, self.spoiled = False, []
        self.url = serve(Altered(made_app(kind), self.change, self.spoil))

    def change(self, call: str, body: Any) -> Any:
        if self.kind == "hubspot" and self.on and call.endswith("/objects/contacts"):
            for record in body["results"][:2]:
                self.spoiled.append(record.pop("id"))
        if self.kind == "marketo" and call.endswith("/status.json"):
            for job in body.get("result", ()):
                job.pop("fileChecksum", None)
                job.pop("fileSize", None)
        return body

    def spoil(self, call: str, body: bytes) -> bytes:
        if not self.on or body.count(b"\n") < 3:
            return body
        header, first, second, *rest = csv.reader(io.StringIO(body.decode(), newline=""))
        self.spoiled += [first[header.index(self.key)], second[header.index(self.key)]]
        made = io.StringIO(newline="")
        csv.writer(made, lineterminator="\n").writerows([header, [*first, "one more"], second[:-1], *rest])
        return made.getvalue().encode()

    @property
    def key(self) -> str:
        return "Id" if self.kind == "salesforce" else "id"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "reason"), [("salesforce", WRONG_WIDTH), ("marketo", WRONG_WIDTH), ("hubspot", NO_KEY)])
def test_rows_that_a_crm_sends_broken_are_counted_and_come_back_when_they_are_whole(
    kind: Kind, reason: str, serve: Callable[[ASGIApp], str], settings: Settings
) -> None:
    crm, fresh = Spoiling(kind, serve), Settings(data_dir=settings.data_dir / "fresh")
    alive = ALIVE.format(kind=kind, table=crm.place.table)
    read_all(crm, fresh)
    whole = set(query(fresh, alive))
    crm.on = True
    first = read_all(crm, settings)
    assert (first.state, list(first.rejected)) == ("ok", [reason])
    assert len(crm.spoiled) == first.rows_rejected >= 2
    assert set(query(settings, alive)) == whole - {(key,) for key in crm.spoiled} < whole
    assert set(first.rejected[reason].keys) <= {f"{kind}:{key}" for key in crm.spoiled}
    crm.on = False
    second = read_all(crm, settings, full=True)
    assert (second.rows_rejected, set(query(settings, alive))) == (0, whole)
    crm.on = True
    assert read_all(crm, settings, full=True).rows_rejected
    assert set(query(settings, alive)) == whole, "what was sent broken is not gone"
