"""How fresh and how sound the published tables are: the last sync of every object, and the checks that fail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb

from cdp_pipelines import query
from cdp_pipelines.config import Settings

# Columns that a file published by an earlier version lacks.
_NOT_TOLD_BEFORE: dict[str, Any] = {"rows_rejected": None, "calls_left": None, "calls_allowed": None}


def read(settings: Settings) -> dict[str, Any]:
    """The newest sync of each connection and object, and every check that fails, as the published file has them.

    `state` is `complete` or `incomplete` (an object was not read to its end, or a blocking check failed); `lag_seconds` is the time
    between now and the moment until which the file surely has an object's changes (`seen_until`). A connection's `events` are the changes
    of the last day that notifications told of: how many (`last_day`), and how long until they were published (`median_seconds`,
    `p95_seconds`; None where there were none). `calls` are those that the syncs took; `calls_left` of `calls_allowed` is what the account had
    left for the day after the newest (None where the CRM does not say). `rejected_rows` is what could not be kept, and why. Raises NotPublished
    when nothing was ever published.
    """
    now = datetime.now(UTC)
    connections: dict[str, dict[str, Any]] = {}
    with query.published(settings) as db:
        for row in query.execute(db, "from sync_status order by connection, object").dicts():
            row = _NOT_TOLD_BEFORE | row
            name, source_system = row.pop("connection"), row.pop("source_system")
            events = {"last_day": row.pop("events_last_day")}
            events |= {key: row.pop(f"event_lag_{key}") for key in ("median_seconds", "p95_seconds")}
            connection = connections.setdefault(name, {"source_system": source_system, "objects": {}, "events": events})
            connection["objects"][row.pop("object")] = row | {"lag_seconds": _lag(row["seen_until"], now)}
        rejected_rows = (
            list(query.execute(db, "from rejected_rows order by connection, object, reason").dicts()) if _has_rejects(db) else []
        )
        failed_checks = list(query.execute(db, "from data_quality where not passed order by blocking desc, table_name, name").dicts())
    for connection in connections.values():
        newest = max(connection["objects"].values(), key=lambda one: one["ended_at"])
        connection |= _overall(list(connection["objects"].values()))
        connection |= {which: newest[which] for which in ("calls_left", "calls_allowed")}
    overall = _overall(list(connections.values()))
    if any(check["blocking"] for check in failed_checks):
        overall["state"] = "incomplete"
    return {**overall, "connections": connections, "failed_checks": failed_checks, "rejected_rows": rejected_rows}


def _has_rejects(db: duckdb.DuckDBPyConnection) -> bool:
    """A file that was published by an earlier version has no such table."""
    return bool(db.execute("select 1 from duckdb_tables() where table_name = 'rejected_rows'").fetchall())


def _overall(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """State, last end, worst lag and calls of several objects or connections together."""
    lags = [part["lag_seconds"] for part in parts]
    return {
        "state": "complete" if parts and all(part["state"] in ("ok", "complete") for part in parts) else "incomplete",
        "ended_at": max((part["ended_at"] for part in parts), default=None),
        "lag_seconds": None if None in lags else max(lags, default=None),
        "calls": sum(part["calls"] for part in parts),
        "rows_rejected": sum(part["rows_rejected"] or 0 for part in parts),
    }


def _lag(seen_until: datetime | None, now: datetime) -> float | None:
    return (now - seen_until).total_seconds() if seen_until else None
