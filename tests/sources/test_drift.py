"""Fields that come, go, change their type or their name, or are hidden from the API user, in each CRM over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.types import ASGIApp

from cdp_pipelines.config import KINDS, Connection, Kind, Settings, connection_from_config
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot.api import app as hubspot_app
from cdp_pipelines.sandbox.hubspot.limits import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.marketo.api import app as marketo_app
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sandbox.salesforce.api import app as salesforce_app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.reader import Mode
from cdp_pipelines.sources.report import TableReport
from tests.sources.fronts import Altered
from tests.sources.histories.quick import QuickWarehouse
from tests.sources.known_failures import known_failure

Entry = dict[str, Any]
every_crm = pytest.mark.parametrize("kind", KINDS)


@dataclass
class Place:
    """Where a CRM describes its people: the list's key, how an entry names a field, its type and its label, and two text fields."""

    table: str
    path: str
    entries: str
    name: Callable[[Entry], str | None]
    type_key: str
    label_key: str
    one: str
    other: str
    address: str
    quick: Entry


PLACES: dict[Kind, Place] = {
    "salesforce": Place(
        "contact", "/Contact/describe", "fields", lambda e: e["name"], "type", "label", "Title", "MobilePhone", "login_url", {},
    ),
    "hubspot": Place(
        "contacts", "/crm/v3/properties/contacts", "results", lambda e: e["name"], "type", "label", "jobtitle", "mobilephone", "base_url",
        {"calls_per_10_seconds": 10_000, "searches_per_second": 1_000},
    ),
    "marketo": Place(
        "leads", "/leads/describe.json", "result", lambda e: (e.get("rest") or {}).get("name"), "dataType", "displayName", "title", "mobilePhone",
        "endpoint", {"bulk_poll_seconds": 0.01, "calls_per_20_seconds": 100_000},
    ),
}  # fmt: skip


@cache
def world() -> World:
    return build_world(people=60, seed=3)


def made_app(kind: Kind) -> ASGIApp:
    made, quick = world(), HubSpotOptions(calls_per_10_seconds=None, searches_per_second=None)
    if kind == "salesforce":
        return salesforce_app(SalesforceStore(made.salesforce, made.owners))
    if kind == "hubspot":
        return hubspot_app(HubSpotStore(made.hubspot, made.owners, salesforce=made.salesforce), quick)
    return marketo_app(MarketoStore(made.marketo, made.owners, made.salesforce.people))


@dataclass
class Described:
    """A CRM whose description of people can be altered: some fields hidden, others with another type or label."""

    kind: Kind
    url: str = ""
    hidden: set[str] = field(default_factory=set)
    changed: dict[str, Entry] = field(default_factory=dict)

    def alter(self, call: str, body: Any) -> Any:
        place = PLACES[self.kind]
        if call.endswith(place.path):
            kept = [entry for entry in body[place.entries] if place.name(entry) not in self.hidden]
            body[place.entries] = [{**entry, **self.changed.get(place.name(entry) or "", {})} for entry in kept]
        return body

    @property
    def place(self) -> Place:
        return PLACES[self.kind]

    def connection(self) -> Connection:
        given = {"salesforce": credentials.SALESFORCE, "hubspot": credentials.HUBSPOT, "marketo": credentials.MARKETO}[self.kind]
        none = {"visibility_lag_seconds": 0, "overlap_seconds": 0}
        return connection_from_config(self.kind, {**given, self.place.address: self.url, **none, **self.place.quick})

    def read(self, warehouse: QuickWarehouse, mode: Mode = "incremental") -> TableReport:
        """Read the people, or reconcile them."""
        (report,) = warehouse.read(self.connection(), datetime.now(UTC), mode, {self.place.table})
        assert (report.state, report.problem) == ("ok", None)
        return report

    def values(self, warehouse: QuickWarehouse, name: str) -> list[Any]:
        """A field of every person, by id."""
        with duckdb.connect(str(warehouse.settings.warehouse)) as db:
            return db.execute(f"select id, {column_name(name)} from raw_{self.kind}.{self.place.table} order by 1").fetchall()

    def fresh(self, folder: Path, name: str) -> list[Any]:
        """The same in a warehouse that is filled only now."""
        warehouse = QuickWarehouse(folder / "fresh")
        self.read(warehouse)
        return self.values(warehouse, name)


@pytest.fixture
def kept(tmp_path: Path) -> QuickWarehouse:
    return QuickWarehouse(tmp_path / "kept")


@pytest.fixture
def crm(kind: Kind, serve: Callable[[ASGIApp], str]) -> Described:
    made = Described(kind)
    made.url = serve(Altered(made_app(kind), made.alter))
    return made


@every_crm
@known_failure("dlt-hub/verified-sources#631", "dlt-hub/verified-sources#647")
def test_a_field_with_another_name_is_told_and_a_reconcile_brings_its_values(crm: Described, kept: QuickWarehouse, tmp_path: Path) -> None:
    one, other, place = crm.place.one, crm.place.other, crm.place
    alike: Entry = {place.type_key: "text", place.label_key: "What it is called"}
    crm.hidden, crm.changed = {other}, {one: alike}
    assert crm.read(kept).notes == []
    assert len({value for _, value in crm.values(kept, one)}) > 5
    crm.hidden, crm.changed = {one}, {other: alike}
    (told,) = crm.read(kept).notes
    assert f"{crm.kind}: {place.table}.{one} is now called {other}, it seems" in told
    crm.read(kept, "reconcile")
    assert crm.values(kept, other) == crm.fresh(tmp_path, other)
    assert len({value for _, value in crm.values(kept, other)}) > 5
    assert (crm.read(kept).notes, crm.read(kept, "reconcile").rows_read) == ([], 0)


@every_crm
@known_failure("airbytehq/airbyte#74136")
def test_a_new_field_is_told_and_a_reconcile_brings_what_was_there_before(crm: Described, kept: QuickWarehouse, tmp_path: Path) -> None:
    other = crm.place.other
    crm.hidden = {other}
    crm.read(kept)
    crm.hidden = set()
    assert crm.read(kept).notes == [f"{crm.kind}: {crm.place.table} has new fields: {other}."]
    crm.read(kept, "reconcile")
    assert crm.values(kept, other) == crm.fresh(tmp_path, other)


@known_failure("bruin-data/ingestr#1011")
@every_crm
def test_a_field_that_is_hidden_is_told_once_and_keeps_its_values_till_the_next_full_read(crm: Described, kept: QuickWarehouse) -> None:
    one = crm.place.one
    crm.read(kept)
    before = crm.values(kept, one)
    crm.hidden = {one}
    (told,) = crm.read(kept).notes
    assert f"{crm.place.table}.{one} is gone or hidden from the API user" in told
    assert "give the API user the permission" in told
    crm.read(kept, "reconcile")
    assert (crm.read(kept).notes, crm.values(kept, one)) == ([], before)
    crm.read(kept, "full")
    assert {value for _, value in crm.values(kept, one)} == {None}
    crm.hidden = set()
    crm.read(kept)
    crm.read(kept, "reconcile")
    assert crm.values(kept, one) == before


@every_crm
def test_a_field_of_another_type_is_told_and_read_as_before(crm: Described, kept: QuickWarehouse) -> None:
    one, place = crm.place.one, crm.place
    crm.changed = {one: {place.type_key: "text"}}
    crm.read(kept)
    before = crm.values(kept, one)
    crm.changed = {one: {place.type_key: "number"}}
    (told,) = crm.read(kept).notes
    assert f"{place.table}.{one} was text and is number" in told
    crm.read(kept, "full")
    assert crm.values(kept, one) == before


def test_a_sync_says_what_became_of_the_fields(tmp_path: Path, serve: Callable[[ASGIApp], str]) -> None:
    crm = Described("marketo")
    crm.url = serve(Altered(made_app("marketo"), crm.alter))
    settings, connection = Settings(data_dir=tmp_path), crm.connection()
    assert extract(connection, registry.reader(connection, settings), settings, tables=["leads"]).complete
    crm.hidden = {"title"}
    report = extract(connection, registry.reader(connection, settings), settings, tables=["leads"])
    assert [warning for warning in report.warnings if "leads.title is gone or hidden from the API user" in warning]
