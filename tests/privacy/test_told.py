"""The whole way with the three CRMs: erased here, and not back by any sync; erased in a CRM, and gone here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.types import ASGIApp

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.config import Connection, Settings, connection_from_config
from cdp_pipelines.privacy.certificate import folder_of
from cdp_pipelines.privacy.erasing import erase, would_delete_in_crms
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person, look_up
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sync import sync
from cdp_pipelines.webhooks.catch_up import catch_up
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.receiver import Receiver
from tests.sandbox.faulty import Faulty, faulty

BULK = {"salesforce": {"bulk_above": 0, "bulk_poll_seconds": 0.01}, "hubspot": {}, "marketo": {"bulk_poll_seconds": 0.01}}


@dataclass
class World:
    """A sandbox that tells a receiver of its changes, and a data directory."""

    sandbox: Faulty
    settings: Settings

    @property
    def connections(self) -> list[Connection]:
        common = {"visibility_lag_seconds": 0}
        return [connection_from_config(k, {**c, **common, **BULK[k]}) for k, c in self.sandbox.addresses.connections().items()]

    def post(self, crm: str, path: str, body: Any) -> Any:
        answer = self.sandbox.call(crm, path, method="POST", json=body)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    def settle(self) -> None:
        apps = self.sandbox.server.apps
        assert apps["hubspot"].state.webhooks.settle()
        assert apps["salesforce"].state.events.settle()
        assert apps["marketo"].state.webhooks.settle()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.published), read_only=True) as db:
            return db.execute(query, list(values)).fetchall()

    def somebody(self, number: int) -> Person:
        """A customer whom all three CRMs have, with an address and a number."""
        (key,) = self.rows(
            "select customer_key from customer_contacts join contacts using (connection, customer_id) group by 1 "
            "having count(distinct connection) = 3 and count(email) > 0 and count(phone) > 0 and count(first_name) > 0 order by 1"
        )[number]
        return look_up(self.settings, customer=key)


@pytest.fixture
def world(tmp_path: Path, serve: Callable[[ASGIApp], str]) -> Iterator[World]:
    with faulty(tmp_path / "state", people=60) as sandbox:
        made = World(sandbox, Settings(data_dir=tmp_path / "data", sandbox_dir=tmp_path / "state", erase_told=True))
        assert sync(made.settings, made.connections).complete
        connections = {c.name: c for c in made.connections}
        with Keeper(made.settings.inbox, made.settings.inbox_most) as keeper:
            hosting.notify(sandbox.addresses, serve(Receiver(connections, keeper).app()))
            yield made


def come_back(world: World, person: Person) -> None:
    """The person anew in each CRM, under new ids, by other spellings."""
    hasher = Hasher.of_settings(world.settings)
    mailbox = next(m for a in sorted(person.emails) if (m := hasher.mailbox(a)) and m.address not in person.shared)
    variant = f"{mailbox.name.upper()}+again@{mailbox.domain.title()}"
    line = next(x for n, c in sorted(person.phones, key=str) if (x := hasher.line(n, c)))
    first, last = next((f, x) for f, x in sorted(person.names, key=str) if f and x and len(f) > 1)
    world.post(
        "salesforce", "/services/data/v62.0/sobjects/Contact", {"LastName": last, "FirstName": first, "Phone": f"{line[:2]} {line[2:]}"}
    )
    world.post("salesforce", "/services/data/v62.0/sobjects/Lead", {"LastName": "Other", "Company": "X", "Email": variant})
    world.post("hubspot", "/crm/v3/objects/contacts", {"properties": {"email": variant, "firstname": "Somebody"}})
    world.post("marketo", "/rest/v1/leads.json", {"action": "createOnly", "input": [{"email": variant, "firstName": "Somebody"}]})


def is_held(world: World, person: Person) -> list[str]:
    """Where the person is in the warehouse or in the published file: by address or by record."""
    hasher = Hasher.of_settings(world.settings)
    names = {m.name for a in person.emails if (m := hasher.mailbox(a)) and m.address not in person.shared}
    found = []
    for path in (world.settings.warehouse, world.settings.published):
        with duckdb.connect(str(path), read_only=True) as db:
            for schema, table, column in db.execute(
                "select schema_name, table_name, column_name from duckdb_columns() where data_type = 'VARCHAR' and not starts_with(table_name, '_dlt') "
                "and column_name in ('email', 'customer_id', 'contact_id', 'lead_id', 'customer_key', 'description')"
            ).fetchall():
                for (value,) in db.execute(f'select distinct "{column}" from {schema}."{table}" where "{column}" is not null').fetchall():
                    mine = value in person.keys or any(value == one and len(one) > 5 for _, one in person.ids)
                    if mine or ("@" in value and (m := hasher.mailbox(value)) and m.name in names):
                        found.append(f"{path.name} {schema}.{table}.{column}: {value}")
    return found


def told_of(world: World, person: Person) -> list[Any]:
    """Notifications in the inbox that name one of the person's records."""
    with closing(sqlite3.connect(world.settings.inbox)) as db:
        found = db.execute("select connection, record_id, related, object, what, state from events").fetchall()
    return [row for row in found if any((row[0], one) in person.ids for one in (row[1], *json.loads(row[2])))]


@pytest.mark.slow
def test_an_erasure_in_the_crms_is_told_by_them_and_changes_nothing_more(world: World):
    person = world.somebody(0)
    others = "select connection, customer_id, email, phone, is_deleted from contacts order by all"
    before, plan = world.rows(others), would_delete_in_crms(world.settings, [person], world.connections)
    done = erase(world.settings, [person], asked_by="kim", connections=world.connections)
    left = [row for row in before if (row[0], row[1]) not in person.ids]
    assert done.result == "complete"
    assert {(e.connection, e.id) for e in plan.entries} == person.ids, "what was shown is what was done"
    assert {one["connection"] for one in done.in_crms or ()} == {"salesforce", "hubspot", "marketo"}
    assert world.rows(others) == left
    world.settle()
    # Some came while the erasure was under way, and went with it.
    caught = catch_up(world.settings, world.connections)
    assert caught is None or (caught.failed, caught.left, caught.report.problem) == (0, 0, None)
    assert told_of(world, person) == [], "nor does the inbox keep whom they were about"
    assert is_held(world, person) == [] and world.rows(others) == left
    assert sync(world.settings, world.connections, full=True, reconcile=True).complete
    assert is_held(world, person) == [] and world.rows(others) == left
    assert len(list(folder_of(world.settings).glob("*.json"))) == 1, "nobody was erased twice"


@pytest.mark.slow
def test_erased_here_or_in_hubspot_nobody_comes_back_by_a_notification_or_a_sync(world: World):
    person, told = world.somebody(0), world.somebody(1)
    others = "select connection, customer_id, email, phone, is_deleted from contacts order by all"
    assert is_held(world, person) != [] and is_held(world, told) != []
    before = world.rows(others)
    assert erase(world.settings, [person], asked_by="kim").result == "complete"
    assert is_held(world, person) == []
    assert world.rows(others) == [row for row in before if (row[0], row[1]) not in person.ids]

    come_back(world, person)
    mine = next(one for connection, one in sorted(told.ids) if connection == "hubspot")
    world.post("hubspot", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": mine})
    world.settle()
    done = catch_up(world.settings, world.connections)
    assert done is not None and (done.failed, done.left, done.report.problem) == (0, 0, None)
    assert is_held(world, person) == is_held(world, told) == []
    assert told_of(world, person) == told_of(world, told) == []
    pages = [page.read_text() for page in sorted(folder_of(world.settings).glob("*.json"))]
    assert ["privacy deletion in hubspot" in page for page in pages] == [False, True]

    report = sync(world.settings, world.connections, full=True, reconcile=True)
    assert report.complete
    assert is_held(world, person) == is_held(world, told) == []
    left = [row for row in before if (row[0], row[1]) not in person.ids | told.ids]
    assert world.rows(others) == left
    assert all(any("were erased" in warning for warning in c.warnings) for c in report.connections)
    assert verify(AuditLog(world.settings)).ok
    erasures = [entry["result"] for entry in AuditLog(world.settings).entries() if entry["what"] == "erase"]
    assert erasures == ["complete", "complete"]
