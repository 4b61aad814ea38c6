"""Where a CRM no longer holds what we last wrote: the base against what the syncs have read since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from cdp_pipelines import query
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
from cdp_pipelines.mapping import load
from cdp_pipelines.writeback.fields import ENTITY
from cdp_pipelines.writeback.locating import PARENTS
from cdp_pipelines.writeback.outbox import Outbox, there_is_one
from cdp_pipelines.writeback.values import same


@dataclass(frozen=True)
class Drift:
    """A field that holds something else than we wrote. `theirs` is what the last sync read; `gone` says that the record is deleted or merged."""

    connection: str
    id: str
    field: str
    ours: str | None
    theirs: str | None
    run: str
    written_at: str
    gone: bool = False


def drift(settings: Settings) -> list[Drift]:
    """The fields that differ in the published file, among those whose record was read after we wrote it. No call is made. Raises NotPublished."""
    if not _base(settings):
        return []
    with query.published(settings) as db:
        found = drifted(settings, db, "contacts")
    record(settings, Operation("read", "writeback drift", "ok", len(found)))
    return found


def drifted(settings: Settings, db: duckdb.DuckDBPyConnection, contacts: str) -> list[Drift]:
    """The same in a relation with the standardized contacts."""
    base = _base(settings)
    if not base:
        return []
    wanted = ", ".join(f'"{name}"' for name in load().entities[ENTITY].fields)
    places = [{"connection": connection, "id": id_} for connection, id_ in {(b["connection"], b["id"]) for b in base}]
    given = "select unnest(?::struct(connection varchar, id varchar)[], recursive := true)"
    written = f"select {wanted} from {contacts} where (connection, customer_id) in ({given})"
    rows = {(r["connection"], r["customer_id"]): r for r in query.Rows(db.execute(written, [places])).dicts()}
    fields = load().entities[ENTITY].fields
    found = []
    for b in base:
        row = rows.get((b["connection"], b["id"]))
        if row is None or row["synced_at"] <= datetime.fromisoformat(b["written_at"]):
            continue
        gone = bool(row["is_deleted"])
        column = "company_id" if b["to_field"] in PARENTS.values() else b["field"]  # a link is compared by its id
        theirs = None if row[column] is None else str(row[column])
        if gone or not same(fields[b["field"]], b["value"], theirs):
            found.append(Drift(b["connection"], b["id"], b["field"], b["value"], theirs, b["run"], b["written_at"], gone))
    return found


def _base(settings: Settings) -> list[dict[str, Any]]:
    if not there_is_one(settings):
        return []
    with Outbox(settings) as outbox:
        return outbox.base_rows()
