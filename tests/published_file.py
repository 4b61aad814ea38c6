"""A small published file, written by the real `publish` from a warehouse with a few rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.mapping import load
from cdp_pipelines.publish import publish
from cdp_pipelines.sources.report import TableReport
from cdp_pipelines.sync import ConnectionOutcome, SyncReport

NOON = datetime(2026, 3, 1, 12)
_TYPES = {"text": "varchar", "integer": "bigint"}


def settings_in(folder: Path) -> Settings:
    return Settings(data_dir=folder, connections=None)


def contact(customer_id: str, connection: str = "salesforce", **values: Any) -> dict[str, Any]:
    given = {"source_system": connection, "record_type": "contact", "is_deleted": False, "synced_at": NOON}
    return {"connection": connection, "customer_id": customer_id, **given, **values}


CONTACTS = [
    contact("003A", email="ann@example.com", first_name="Ann", company="Acme [bold]", lead_score=Decimal("75.50"), created_date=NOON),
    contact(
        "003a", email="bob@example.com", first_name="Bob", company="acme", lead_score=Decimal(50), created_date=NOON + timedelta(days=1)
    ),
    contact("003C", email=None, first_name="Søren", lead_score=None, do_not_email=True),
    contact("003D", email="gone@example.com", is_deleted=True),
    contact("003E", email="merged@example.com", is_deleted=True, merged_into="003A"),
    contact("11", "hubspot", email="ann@example.com", first_name="Ann", lead_score=Decimal(80), do_not_email=False),
    contact("12", "hubspot", email="o'neil@example.com", last_name='O\'Neil, "Jr"', title="CEO\nand \x1b[31mmore"),
]
CUSTOMER_KEYS = {("salesforce", "003A"): "k1", ("hubspot", "11"): "k1", ("salesforce", "003a"): "k2"}
OPPORTUNITIES = [
    {"connection": "salesforce", "source_system": "salesforce", "id": "006A", "contact_id": "003A", "name": "Big", "value": Decimal("1234567890123456.78"),
     "probability": Decimal("0.25"), "close_date": NOON.date(), "is_won": False, "is_deleted": False, "synced_at": NOON},
    {"connection": "hubspot", "source_system": "hubspot", "id": "7", "name": "Small", "value": None, "is_won": True, "is_deleted": False, "synced_at": NOON},
    {"connection": "hubspot", "source_system": "hubspot", "id": "8", "name": "Dropped", "is_deleted": True, "synced_at": NOON},
]  # fmt: skip


def report(connection: str, table: str, *, ended: datetime, **values: Any) -> TableReport:
    given: dict[str, Any] = {"state": "ok", "problem": None, "remedy": None, "cursor": ended - timedelta(minutes=5), "calls": 3}
    return TableReport(connection, connection, table, "incremental", ended - timedelta(minutes=1), ended, **{**given, **values})


def write(settings: Settings, *, incomplete: bool = False, failed: bool = False) -> None:
    """Publish the rows above; `incomplete` leaves HubSpot's deals unread, `failed` fails a blocking check."""
    now = datetime.now(UTC)
    with history.opened(settings) as db:
        db.execute("create schema if not exists standardized; create schema if not exists unified")
        _table(db, "contacts", CONTACTS)
        _table(db, "opportunities", OPPORTUNITIES)
        db.execute("create or replace table unified.customer_contacts (customer_key text, connection text, customer_id text, rule text)")
        rows = [(key, *place, "email") for place, key in CUSTOMER_KEYS.items()]
        db.executemany("insert into unified.customer_contacts values (?, ?, ?, ?)", rows)
    broken = {"state": "incomplete", "problem": "deals may not be read.", "remedy": "Add the scope crm.objects.deals.read.", "cursor": None}
    syncs = [
        report("salesforce", "contact", ended=now - timedelta(hours=3), rows_read=5, rows_total=5),
        report("hubspot", "contacts", ended=now, rows_read=2, rows_total=2),
        report("hubspot", "deals", ended=now, **(broken if incomplete else {})),
    ]
    history.record_syncs(settings, syncs)
    checks = [
        CheckResult("no_rows_lost", "contacts", not failed, True, 2 if failed else 0, "Every raw record has its row.", "Look at staging.", ["salesforce:003X"]),
        CheckResult("casts", "contacts", False, False, 1, "Every lead_score is a number.", "Look at the raw value."),
    ]  # fmt: skip
    history.record_checks(settings, now, checks)
    publish(settings)


def sync_report(folder: Path, *, incomplete: bool = False, failed: bool = False) -> SyncReport:
    """The report of a HubSpot sync that took 75 seconds."""
    end = datetime.now(UTC)
    broken = {"state": "incomplete", "problem": "host cannot be reached.", "remedy": "Check the network.", "cursor": None}
    tables = [report("hubspot", table, ended=end, rows_read=7, **(broken if incomplete else {})) for table in ("contacts", "deals")]
    outcome = ConnectionOutcome("hubspot", "hubspot", not incomplete, None, None, tables, 12, ["hs_lead_score is not there"])
    check = CheckResult(
        "no_rows_lost", "contacts", not failed, True, 2 if failed else 0, "Every raw record has its row.", "Look at staging.",
        ["hubspot:1", "hubspot:2"] if failed else [],
    )  # fmt: skip
    problem = "a blocking check failed (contacts.no_rows_lost)" if failed else None
    return SyncReport(end - timedelta(seconds=75), end, [outcome], [check], None if failed else folder / "cdp.duckdb", problem)


def _table(db: duckdb.DuckDBPyConnection, entity: str, rows: list[dict[str, Any]]) -> None:
    fields = load().entities[entity].fields
    columns = ", ".join(f'"{name}" {_TYPES.get(field.type, field.type)}' for name, field in fields.items())
    db.execute(f"create or replace table standardized.{entity} ({columns})")
    values = [[row.get(name) for name in fields] for row in rows]
    db.executemany(f"insert into standardized.{entity} values ({', '.join('?' * len(fields))})", values)
