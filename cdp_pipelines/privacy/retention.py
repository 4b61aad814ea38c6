"""Retention: what is older than retention.yml keeps it, counted or taken away; and what is overdue."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.privacy import retention_files as files
from cdp_pipelines.privacy import retention_tables as tables
from cdp_pipelines.privacy.retention_rules import read
from cdp_pipelines.writeback.outbox import there_is_one
from cdp_pipelines.writeback.service import writing

CHECK = "retention"
# The schedule runs every day; what has been due for so long was forgotten.
FORGOTTEN_AFTER = timedelta(days=7)
DAGSTER_RUNS = "dagster_runs"
DeleteRuns = Callable[[datetime], int]


class _Taking(Protocol):
    def __call__(self, settings: Settings, before: datetime, *, apply: bool) -> int: ...


_TAKING: dict[str, _Taking] = {
    "raw_deleted": tables.raw_deleted, "sync_history": tables.sync_history, "check_history": tables.check_history,
    "event_lags": tables.event_lags, "inbox_done": files.inbox_done, "inbox_dead": files.inbox_dead, "inbox_refusals": files.inbox_refusals,
    "outbox": files.outbox, "plans": files.plans, "audit_payloads": files.audit_payloads, "logs": files.logs, "exports": files.exports,
    "certificates": files.certificates,
}  # fmt: skip


@dataclass(frozen=True)
class Retained:
    """What was, or would be, taken away: of each kind that does not stay for ever how many, and what is older than which moment.

    `left` has what is due and somebody else must delete.
    """

    counts: dict[str, int]
    before: dict[str, datetime]
    left: dict[str, int]

    @property
    def total(self) -> int:
        """How many in all."""
        return sum(self.counts.values())


def due(settings: Settings, now: datetime | None = None) -> Retained:
    """What is older than it is kept. Nothing is changed. Raises RetentionError, WarehouseBusy."""
    return _each(settings, now or datetime.now(UTC), apply=False, delete_runs=None)


def retain(settings: Settings, now: datetime | None = None, *, delete_runs: DeleteRuns | None = None) -> Retained:
    """Take away what is older than it is kept. `delete_runs` deletes Dagster's runs that are older than a moment; without it they stay.

    Raises RetentionError, WarehouseBusy, WritebackBusy, StillOpen; run it again then.
    """
    with warehouse_lock(settings, "cdp privacy retain"), writing(settings) if there_is_one(settings) else nullcontext():
        done = _each(settings, now or datetime.now(UTC), apply=True, delete_runs=delete_runs)
        removed = {name: count for name, count in done.counts.items() if count}
        record(settings, Operation("retain", "data", "ok", done.total, {"removed": removed, "left": done.left}))
    return done


def _each(settings: Settings, now: datetime, *, apply: bool, delete_runs: DeleteRuns | None) -> Retained:
    done = Retained({}, dict(read(settings.retention_file).before(now)), {})
    with warehouse_lock(settings, "cdp privacy retain"):
        for name, before in done.before.items():
            if name != DAGSTER_RUNS:
                done.counts[name] = _TAKING[name](settings, before, apply=apply)
            elif apply and delete_runs:
                done.counts[name] = delete_runs(before)
            elif apply:
                done.left.update({name: count} if (count := files.dagster_runs(settings, before)) else {})
            else:
                done.counts[name] = files.dagster_runs(settings, before)
    return done


def overdue(settings: Settings, now: datetime | None = None) -> dict[str, int]:
    """How many of each kind have been due for days."""
    counts = due(settings, (now or datetime.now(UTC)) - FORGOTTEN_AFTER).counts
    return {name: count for name, count in counts.items() if count}
