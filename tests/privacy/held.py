"""A data directory in which a person is held everywhere that something of a person can be, beside others; made without a sync."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines import history, mapping, sync
from cdp_pipelines.audit import subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.identity.deciding import decide
from cdp_pipelines.identity.step import identify
from cdp_pipelines.publish import publish
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.outgoing import Result
from cdp_pipelines.writeback.plan import Change, Entry, Plan, save

EMAIL, MOBILE, SALESFORCE_ID = "Robert.Tamm@Quarzwerk.example", "+49 171 5550143", "003Kx00000ROBERTAQ"
# What no byte of the directory may hold afterwards.
SECRET = ("robert.tamm", "rtamm@gmail.com", "5550143", "49 171", "003Kx00000ROBERT", "Robert Tamm")
# Somebody else, whose address has the person's other one in it.
NEIGHBOUR = "mrtamm@gmail.com"
SWITCHBOARD = "+49 30 901820"
# Deleted values as they lay in the tables before: (kind, table) -> rows.
RAW: dict[tuple[str, str], list[dict[str, str | None]]] = {
    ("salesforce", "contact"): [
        {"id": SALESFORCE_ID, "email": EMAIL, "first_name": "Robert", "last_name": "Tamm", "phone": SWITCHBOARD, "mobile_phone": MOBILE},
        {"id": "003Kx00000ZOEZOEAQ", "email": NEIGHBOUR, "first_name": "Zoe", "last_name": "Ray", "phone": SWITCHBOARD,
         "reports_to_id": SALESFORCE_ID},
    ],
    ("salesforce", "opportunity"): [
        {"id": "006A", "name": "Renewal", "contact_id": SALESFORCE_ID, "description": f"ask {EMAIL.lower()}"},
        {"id": "006B", "name": "Pilot", "contact_id": "003Kx00000ZOEZOEAQ", "description": None},
    ],
    ("salesforce", "opportunity_contact_role"): [{"id": "00K1", "contact_id": SALESFORCE_ID, "opportunity_id": "006A"}],
    ("hubspot", "contacts"): [
        {"id": "101", "email": "robert.tamm+news@quarzwerk.example", "firstname": "Bob", "lastname": "Tamm"},
        {"id": "102", "email": "kim@acme.example", "firstname": "Kim", "lastname": "Oh"},
    ],
    ("hubspot", "lifecycle_stage_history"): [{"contact_id": "101", "value": "lead", "timestamp": "1"}, {"contact_id": "102", "value": "lead", "timestamp": "1"}],
    ("marketo", "leads"): [{"id": "7", "email": "rtamm@gmail.com", "first_name": "Robert", "last_name": "Tamm", "mobile_phone": "0171 5550143", "country": "Germany"}],
    ("marketo", "activities"): [{"marketo_guid": "a1", "lead_id": "7", "attributes": "{}"}, {"marketo_guid": "a2", "lead_id": "8", "attributes": "{}"}],
}  # fmt: skip
_CONTACTS = {
    "salesforce": ("contact", "contact", {"first_name": "first_name", "last_name": "last_name", "phone": "phone", "mobile_phone": "mobile_phone"}),
    "hubspot": ("contacts", "contact", {"first_name": "firstname", "last_name": "lastname"}),
    "marketo": ("leads", "lead", {"first_name": "first_name", "last_name": "last_name", "mobile_phone": "mobile_phone", "country": "country"}),
}  # fmt: skip
_TYPES = {"text": "varchar", "integer": "bigint"}


def make(folder: Path) -> Settings:
    """The directory."""
    settings = Settings(data_dir=folder, lock_wait_seconds=5, sandbox_dir=folder / "sandbox", erase_told=True)
    sync.create_missing_raw_tables(settings)
    with duckdb.connect(str(settings.warehouse)) as db:
        for (kind, table), rows in RAW.items():
            put_raw(db, kind, table, rows)
        _standardize(db)
    with history.opened(settings) as db:
        db.executemany("insert into ops.connections values (?, ?, 'sandbox')", [(kind, kind) for kind in _CONTACTS])
    identify(settings)
    history.record_checks(
        settings, datetime.now(UTC), [CheckResult("some", "contacts", False, False, 2, "x", sample_keys=["hubspot:101", "hubspot:1012"])]
    )
    publish(settings)
    decide(settings, "split", "hubspot:101", "hubspot:102", who="kim", why="Robert Tamm is not Kim")
    _notifications(settings)
    _write_backs(settings)
    _dagster(settings)
    for name in ("dbt/logs/dbt.log", "logs/demo.log"):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(f"a value of {EMAIL} and one of hubspot:101, none of hubspot:1012\n")
    (folder / "dlt" / "hubspot__hubspot").mkdir(parents=True, exist_ok=True)
    (folder / "dlt" / "hubspot__hubspot" / "package.jsonl").write_text(EMAIL)
    (folder / ".cdp.duckdb.999999.new").write_text(f"left by a killed process: {EMAIL}")
    return settings


def put_raw(db: duckdb.DuckDBPyConnection, kind: str, table: str, rows: list[dict[str, str | None]]) -> None:
    """Rows of the connection that is called as its kind."""
    relation = f'raw_{kind}."{table}"'
    there = {name for name, *_ in db.execute(f"describe {relation}").fetchall()}
    for row in rows:
        for column in row.keys() - there:
            db.execute(f'alter table {relation} add column "{column}" varchar')
            there.add(column)
        values: dict[str, Any] = {"connection": kind, "_synced_at": "2026-01-01T00:00:00.000000Z", "_dlt_load_id": "1", **row}
        columns = ", ".join(f'"{name}"' for name in values)
        db.execute(f"insert into {relation} ({columns}) values ({', '.join('?' * len(values))})", list(values.values()))


def _standardize(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("create schema standardized")
    for name, entity in mapping.load().entities.items():
        columns = ", ".join(f'"{n}" {_TYPES.get(field.type, field.type)}' for n, field in entity.fields.items())
        db.execute(f"create table standardized.{name} ({columns})")
    for kind, (table, record_type, fields) in _CONTACTS.items():
        chosen = ", ".join(f'"{theirs}" as {ours}' for ours, theirs in fields.items())
        db.execute(
            f"insert into standardized.contacts by name select connection, '{kind}' as source_system, '{record_type}' as record_type, id as customer_id, "
            f"lower(email) as email, {chosen}, false as is_deleted, now()::timestamp as synced_at, timestamp '2026-01-01' as created_date from raw_{kind}.{table}"
        )
    # Marketo's lead has another address; its CRM knows that it is the contact.
    db.execute("update standardized.contacts set salesforce_id = ? where connection = 'marketo'", [SALESFORCE_ID])
    db.execute(
        "insert into standardized.opportunities by name select connection, 'salesforce' as source_system, id, name, contact_id, false as is_deleted, "
        "now()::timestamp as synced_at from raw_salesforce.opportunity"
    )
    db.execute(
        "insert into standardized.opportunity_contacts by name select connection, 'salesforce' as source_system, id, opportunity_id, contact_id, "
        "false as is_deleted, now()::timestamp as synced_at from raw_salesforce.opportunity_contact_role"
    )


def _notifications(settings: Settings) -> None:
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add(
            [
                Event("hubspot", "contacts", "101", "changed", identity="1"), Event("hubspot", "contacts", "102", "changed", identity="2"),
                Event("hubspot", "deals", "101", "changed", identity="3"),  # a deal with the same number
                Event("hubspot", "deals/contacts", "5", "linked", identity="4", related=("101", "102")),
                Event("salesforce", "Contact", SALESFORCE_ID, "changed", identity="5"),
            ]
        )  # fmt: skip


def _write_backs(settings: Settings) -> None:
    change = Change("title", "jobtitle", "Engineer", "Chief", "source_wins")
    mine = Entry("key1", "hubspot", "hubspot", "contacts", "update", "101", EMAIL.lower(), "k1", changes=(change,))
    other = Entry("key2", "hubspot", "hubspot", "contacts", "update", "102", "kim@acme.example", "k2", changes=(change,))
    plan, others = Plan("write", (mine, other)), Plan("write", (other,), made_at="2026-01-01T00:00:00+00:00")
    with Outbox(settings) as outbox:
        for one in (plan, others):
            outbox.note_plan(one, save(settings, one))
        outbox.begin(plan, "w1")
        outbox.record("w1", [Result("key1", "updated", "101"), Result("key2", "updated", "102")])
        outbox.call(
            "c1", "w1", "marketo", "update", {"values": {}, "ids": [["7", "lead"]], "email": "rtamm@gmail.com", "customer_key": None}
        )
    key = AuditLog(settings).key
    whom = (subjects.of_record(key, "salesforce", SALESFORCE_ID),)
    AuditLog(settings).append([Operation("writeback", "salesforce", "updated", 1, subjects=whom, payload={"after": {"Email": EMAIL}})])


def _dagster(settings: Settings) -> None:
    folder = settings.data_dir / "dagster" / "history" / "runs"
    folder.mkdir(parents=True)
    plan = f"| CRM | record |\n|---|---|\n| hubspot | contacts 101 | update | jobtitle | Engineer | Chief |\n| hubspot | contacts 102 | update | {EMAIL} |"
    with closing(sqlite3.connect(folder / "run.db")) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table event_logs (id integer primary key, event text)")
        db.execute("insert into event_logs (event) values (?)", [json.dumps({"metadata": plan})])
        db.execute("insert into event_logs (event) values ('nothing of anybody')")
        db.commit()


def values_left(folder: Path) -> list[str]:
    """The files with one of the person's values in their bytes, whatever the case."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes().lower()
            content = content.replace(NEIGHBOUR.encode(), b"somebody else")
            found += [f"{path.relative_to(folder)}: {value}" for value in SECRET if value.lower().encode() in content]
    return found
