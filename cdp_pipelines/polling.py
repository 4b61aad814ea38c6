"""Polling, for connections that tell nobody of their changes: each is synced at an interval of its own, as `cdp sync NAME` would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import duckdb

from cdp_pipelines.config import ConfigError, Connection, Settings
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.sources import registry
from cdp_pipelines.sync import SyncReport, sync


def polled(connections: Iterable[Connection | ConfigError]) -> list[Connection]:
    """The connections that have a poll interval."""
    return [c for c in connections if isinstance(c, Connection) and c.poll_minutes is not None]


def due_at(settings: Settings, connection: Connection) -> datetime | None:
    """When a polled connection is to be read again; None: at once, since it was never read.

    The interval counts from the beginning of the last sync of all its tables, whoever started it; a sync that failed counts too.
    """
    assert connection.poll_minutes is not None
    if not settings.published.exists():
        return None
    tables = [table.name for table in registry.TABLES[connection.kind]]
    with duckdb.connect(str(settings.published), read_only=True) as db:
        ((begun, known),) = db.execute(
            "select min(started_at), count(*) from sync_status where connection = ? and object in (select unnest(?::varchar[]))",
            [connection.name, tables],
        ).fetchall()
    return begun.replace(tzinfo=UTC) + timedelta(minutes=connection.poll_minutes) if known == len(tables) else None


def due(settings: Settings, connections: Iterable[Connection | ConfigError], now: datetime) -> list[Connection]:
    """The polled connections that are to be read now."""
    return [c for c in polled(connections) if (at := due_at(settings, c)) is None or at <= now]


def poll(
    settings: Settings, connections: Sequence[Connection | ConfigError], *, on_stage: Callable[[str], None] | None = None
) -> SyncReport | None:
    """Sync the connections that are due, and no other; None when none is, once the warehouse is free. Never raises for a CRM that fails.
    Raises WarehouseBusy.
    """
    with warehouse_lock(settings, "polling", on_stage):
        chosen = due(settings, connections, datetime.now(UTC))
        return sync(settings, chosen, on_stage=on_stage) if chosen else None
