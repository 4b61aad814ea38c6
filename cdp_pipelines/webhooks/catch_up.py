"""From the inbox to the published file: what waits is read again, the tables are built and published, and only then is it done.

Nothing but the CRM's answer of now reaches the tables, so that a late, repeated or reordered event changes nothing. A table whose CRM lost
track of its changes is synced and compared as a whole. Events of a CRM that cannot be read wait on; one that fails again and again is dealt
with alone, so that it takes no other with it when it is given up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cdp_pipelines import history, transform
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import ConfigError, Connection, Settings
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.history import EventLag
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.privacy.told import about_erased, erase_told
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.named import read_named
from cdp_pipelines.sources.reader import Named
from cdp_pipelines.sources.reconcile import reconcile
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from cdp_pipelines.sync import ConnectionOutcome, SyncReport, build
from cdp_pipelines.webhooks.inbox import Inbox, Waiting
from cdp_pipelines.webhooks.wanted import ends_of, links_of, wanted_of

# Events that one run deals with; the next run has the rest.
A_RUN = 50_000
# After so many failures an event is dealt with alone, and so many of those in a run.
TRIES_TOGETHER, ALONE = 2, 20


@dataclass(frozen=True)
class Dealt:
    """Some events of a connection that were read together. `problem` says why they are not done; `waits`, that it is not their fault."""

    events: Sequence[Waiting]
    problem: str | None = None
    waits: bool = False


@dataclass(frozen=True)
class CaughtUp:
    """What a run did: its report, and how many events it dealt with, could not deal with, and left for later since their CRM cannot be read.

    `lags` is, by connection, the time from a change in the CRM to the published file.
    """

    report: SyncReport
    done: int
    failed: int
    left: int
    lags: list[EventLag]


def catch_up(
    settings: Settings,
    connections: Sequence[Connection | ConfigError],
    *,
    on_stage: Callable[[str], None] | None = None,
) -> CaughtUp | None:
    """Deal with the events that wait; None when there are none. Never raises for a CRM that fails. Raises WarehouseBusy.

    Events of a connection that is not among these stay.
    """
    usable = {c.name: c for c in connections if isinstance(c, Connection)}
    say = on_stage or (lambda text: None)
    with closing(Inbox(settings.inbox, settings.inbox_most, Sealer.of(settings))) as inbox, warehouse_lock(settings, "catching up", say):
        by_connection: defaultdict[str, list[Waiting]] = defaultdict(list)
        for waiting in inbox.waiting(usable, A_RUN):
            by_connection[waiting.event.connection].append(waiting)
        if not by_connection:
            return None
        started = datetime.now(UTC)
        report = SyncReport(started, started, [])
        beside: dict[str, Named] = {}
        if settings.erase_told:
            beside = {name: _beside_erased(settings, usable[name], events) for name, events in by_connection.items()}
            erase_told(settings, (waiting.event for events in by_connection.values() for waiting in events))
        built = history.raw_tables_change(settings)
        say("reading what changed")
        dealt = [part for name, events in by_connection.items() for part in _read(settings, usable[name], events, beside.get(name), report)]
        changed = {(o.kind, t.table) for o in report.connections for t in o.tables}
        build(settings, report, say, changed=changed if built == transform.version() else None, told=_told(dealt))
        report.ended_at = datetime.now(UTC)
        done = CaughtUp(report, *_settle(inbox, dealt, report), report.lags)
        inbox.forget(about_erased(settings, {waiting.id: waiting.event for part in dealt for waiting in part.events}))
        record(settings, Operation("webhooks", "inbox", "ok" if done.left == done.failed == 0 else "incomplete", done.done, _about(done)))
        return done


def _about(done: CaughtUp) -> dict[str, Any]:
    return {"failed": done.failed, "left": done.left, "connections": [c.connection for c in done.report.connections]}


def _told(dealt: Iterable[Dealt]) -> dict[str, list[datetime]]:
    """When the changes were, by connection, of which events came through; where the CRM says it."""
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for event in (waiting.event for part in dealt if not part.problem for waiting in part.events):
        if event.occurred_at:
            found[event.connection].append(event.occurred_at)
    return found


def _settle(inbox: Inbox, dealt: Iterable[Dealt], report: SyncReport) -> tuple[int, int, int]:
    done = failed = left = 0
    for part in dealt:
        ids = [waiting.id for waiting in part.events]
        if part.waits or (part.problem is None and report.problem):
            # What was read is in the warehouse, and the next run that comes through publishes it; until then it waits.
            left += len(ids)
        elif part.problem:
            inbox.failed(ids, part.problem)
            failed += len(ids)
        else:
            inbox.done(ids)
            done += len(ids)
    return done, failed, left


def _beside_erased(settings: Settings, connection: Connection, events: Sequence[Waiting]) -> Named:
    """What stands beside records that the CRM erased, companies say, which change with them: of whom nobody knows any more afterwards."""
    erased = [waiting.event for waiting in events if waiting.event.what == "erased"]
    return wanted_of(connection.kind, erased, Warehouse(settings, connection.kind, connection.name)).named


def _read(settings: Settings, connection: Connection, events: Sequence[Waiting], beside: Named | None, report: SyncReport) -> list[Dealt]:
    outcome = ConnectionOutcome(connection.name, connection.kind, True)
    report.connections.append(outcome)
    if other := history.claim(settings, connection):
        outcome.complete, outcome.problem = False, f"until now this connection was {other}"
        outcome.remedy = "Give it another name in CDP_CONNECTIONS."
        return [Dealt(events, outcome.problem, waits=True)]
    together = [waiting for waiting in events if waiting.tries < TRIES_TOGETHER]
    alone = [[waiting] for waiting in events if waiting.tries >= TRIES_TOGETHER][:ALONE]
    dealt: list[Dealt] = []
    for some in ([together] if together else []) + alone:
        dealt.append(_read_together(settings, connection, some, beside or Named(), outcome))
        beside = None  # once is enough
        if dealt[-1].waits:
            break
    outcome.complete = all(part.problem is None for part in dealt)
    outcome.problem = next((part.problem for part in dealt if part.problem), None)
    return dealt


def _read_together(
    settings: Settings, connection: Connection, events: Sequence[Waiting], beside: Named, outcome: ConnectionOutcome
) -> Dealt:
    known = Warehouse(settings, connection.kind, connection.name)
    wanted = wanted_of(connection.kind, [waiting.event for waiting in events], known)
    found: list[ExtractReport] = []
    if wanted.whole:
        found.append(extract(connection, registry.reader(connection, settings), settings, tables=wanted.whole))
        found.append(reconcile(connection, registry.reader(connection, settings), settings, tables=wanted.whole))
    before = links_of(connection.kind, wanted.named, known)
    for named in (wanted.named, beside.without(wanted.named)):
        if named.tables:
            found.append(read_named(connection, registry.reader(connection, settings), settings, named))
    others = ends_of(before, links_of(connection.kind, wanted.named, known)).without(wanted.named)
    if others.tables:
        found.append(read_named(connection, registry.reader(connection, settings), settings, others))
    for one in found:
        history.record_syncs(settings, one.tables)
        outcome.tables += one.tables
        outcome.calls += one.calls
        outcome.warnings += one.warnings
    problems = [f"{t.table}: {t.problem}" for one in found for t in one.tables if t.state != "ok"]
    return Dealt(events, "; ".join(problems) or None, waits=any(one.unreadable for one in found))
