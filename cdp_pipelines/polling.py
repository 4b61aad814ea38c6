"""Polling, for connections that tell nobody of their changes: each is synced at an interval of its own, as `cdp sync NAME` would.

Marketo has a log of what happens. Once it was synced, that is read instead, and what it names goes the way of notifications.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cdp_pipelines import database
from cdp_pipelines.config import ConfigError, Connection, MarketoConnection, Settings
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.sources import registry
from cdp_pipelines.sync import SyncReport, sync
from cdp_pipelines.webhooks.inbox import InboxFull, InboxUnavailable, read_place
from cdp_pipelines.webhooks.marketo_log import read_log


@dataclass
class Polled:
    """What a poll did: the report of the connections that were synced (None: there was none); by connection whose log was read, how many
    events are new in the inbox; and what went wrong there."""

    report: SyncReport | None = None
    told: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def polled(connections: Iterable[Connection | ConfigError]) -> list[Connection]:
    """The connections that have a poll interval."""
    return [c for c in connections if isinstance(c, Connection) and c.poll_minutes is not None]


def due_at(settings: Settings, connection: Connection) -> datetime | None:
    """When a polled connection is to be read again; None: at once, since it was never read.

    The interval counts from the beginning of the last sync of all its tables, whoever started it, or from when its log was last read; a sync
    that failed counts too.
    """
    assert connection.poll_minutes is not None
    if not settings.published.exists():
        return None
    tables = [table.name for table in registry.TABLES[connection.kind]]
    with database.connect(settings, settings.published, read_only=True) as db:
        ((begun, known),) = db.execute(
            "select min(started_at), count(*) from sync_status where connection = ? and object in (select unnest(?::varchar[]))",
            [connection.name, tables],
        ).fetchall()
    if known < len(tables):
        return None
    place = read_place(settings.inbox, connection.name, Sealer.of(settings))
    last = max([begun.replace(tzinfo=UTC), *([place.read_at] if place else [])])
    return last + timedelta(minutes=connection.poll_minutes)


def due(settings: Settings, connections: Iterable[Connection | ConfigError], now: datetime) -> list[Connection]:
    """The polled connections that are to be read now."""
    return [c for c in polled(connections) if (at := due_at(settings, c)) is None or at <= now]


def poll(
    settings: Settings, connections: Sequence[Connection | ConfigError], *, on_stage: Callable[[str], None] | None = None
) -> Polled | None:
    """Poll the connections that are due, and no other; None when none is, once the warehouse is free. Never raises for a CRM that fails.
    Raises WarehouseBusy.
    """
    with warehouse_lock(settings, "polling", on_stage):
        chosen = due(settings, connections, datetime.now(UTC))
        if not chosen:
            return None
        done = Polled()
        by_log = [c for c in chosen if isinstance(c, MarketoConnection) and due_at(settings, c) is not None]
        for connection in by_log:
            try:
                done.told[connection.name] = asyncio.run(read_log(settings, connection))
            except (CRMError, InboxFull, InboxUnavailable) as error:
                done.problems.append(str(error))
        if others := [c for c in chosen if c not in by_log]:
            done.report = sync(settings, others, on_stage=on_stage)
        return done
