"""How fresh and how sound the published tables are: the last sync of every object, and the checks that fail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cdp_pipelines import query
from cdp_pipelines.config import Settings


def read(settings: Settings) -> dict[str, Any]:
    """The newest sync of each connection and object, and every check that fails, as the published file has them.

    `state` is `complete` or `incomplete` (an object was not read to its end, or a blocking check failed); `lag_seconds` is the time
    between now and the moment until which the file surely has an object's changes (`seen_until`). A connection's `events` are the changes
    of the last day that notifications told of: how many (`last_day`), and how long until they were published (`median_seconds`,
    `p95_seconds`; None where there were none). Raises NotPublished when nothing was ever published.
    """
    now = datetime.now(UTC)
    connections: dict[str, dict[str, Any]] = {}
    with query.published(settings) as db:
        for row in query.execute(db, "from sync_status order by connection, object").dicts():
            name, source_system = row.pop("connection"), row.pop("source_system")
            events = {"last_day": row.pop("events_last_day")}
            events |= {key: row.pop(f"event_lag_{key}") for key in ("median_seconds", "p95_seconds")}
            connection = connections.setdefault(name, {"source_system": source_system, "objects": {}, "events": events})
            connection["objects"][row.pop("object")] = row | {"lag_seconds": _lag(row["seen_until"], now)}
        failed_checks = list(query.execute(db, "from data_quality where not passed order by blocking desc, table_name, name").dicts())
    for connection in connections.values():
        connection |= _overall(list(connection["objects"].values()))
    overall = _overall(list(connections.values()))
    if any(check["blocking"] for check in failed_checks):
        overall["state"] = "incomplete"
    return {**overall, "connections": connections, "failed_checks": failed_checks}


def _overall(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """State, last end, worst lag and calls of several objects or connections together."""
    lags = [part["lag_seconds"] for part in parts]
    return {
        "state": "complete" if parts and all(part["state"] in ("ok", "complete") for part in parts) else "incomplete",
        "ended_at": max((part["ended_at"] for part in parts), default=None),
        "lag_seconds": None if None in lags else max(lags, default=None),
        "calls": sum(part["calls"] for part in parts),
    }


def _lag(seen_until: datetime | None, now: datetime) -> float | None:
    return (now - seen_until).total_seconds() if seen_until else None
