"""Lag: how long a change in a CRM takes until the published file shows it, and whether that is too long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cdp_pipelines import query, status
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.history import CheckResult
from cdp_pipelines.webhooks.inbox import read_place, read_status

CHECK = "real_time_lag"


def check(settings: Settings, connections: Iterable[Connection], now: datetime, *, read: Mapping[str, Any] | None = None) -> CheckResult:
    """Whether changes are published as soon as they should be.

    Fails for a connection of whose changes of the last day, as notifications told them, 95 % took longer than `real_time_lag_minutes`; of
    which a notification waits for longer than that; or that is polled, and was last read that much longer ago than its interval. The
    description says which, and how slow; it never names a record. `read` is what `status.read` says of each connection, or will say of what is
    about to be published; without it the published file is looked at.
    """
    limit = timedelta(minutes=settings.real_time_lag_minutes)
    if read is None:
        try:
            read = status.read(settings)["connections"]
        except query.NotPublished:
            read = {}
    told = {name: one["events"] for name, one in read.items() if one["events"]["last_day"]}
    slow = [
        *((name, words, _EVENTS) for name, one in told.items() if (words := _slow_events(one, limit))),
        *((name, words, _WAITING) for name, words in _waiting(settings, now, limit)),
        *((c.name, words, _POLLS) for c in connections if (words := _slow_polls(settings, c, read.get(c.name), now, limit))),
    ]
    if slow:
        description = " ".join(f"{name}: {words}; the limit is {_length(limit)}." for name, words, _ in slow)
        remedy = " ".join(dict.fromkeys(remedy for *_, remedy in slow)) + " CDP_REAL_TIME_LAG_MINUTES is the limit."
    else:
        description = " ".join(f"{name}: {_in_words(one)}." for name, one in told.items()) or "No events in the last day."
        remedy = ""
    names = list(dict.fromkeys(name for name, *_ in slow))
    return CheckResult(CHECK, "sync_status", not slow, False, len(names), description, remedy, names)


_EVENTS = (
    "See how long the runs of `catch_up_with_events` take and what they wait for, and whether the CRM itself sends late "
    "(`cdp webhooks status`)."
)
_WAITING = "See why the last runs of `catch_up_with_events` failed, or why none ran: is the Dagster daemon running?"
_POLLS = "See why the last runs of `poll_connections` failed, or took so long, or why none ran: is the Dagster daemon running?"


def _slow_events(events: Mapping[str, Any], limit: timedelta) -> str | None:
    return _in_words(events) if events["p95_seconds"] > limit.total_seconds() else None


def _in_words(events: Mapping[str, Any]) -> str:
    median, p95 = (_length(timedelta(seconds=events[key])) for key in ("median_seconds", "p95_seconds"))
    return f"of {events['last_day']:,} changes that it told in the last day, half were published within {median} and 95 % within {p95}"


def _waiting(settings: Settings, now: datetime, limit: timedelta) -> Iterator[tuple[str, str]]:
    for name, one in ((read_status(settings.inbox, Sealer.of(settings)) or {}).get("connections", {})).items():
        oldest = datetime.fromisoformat(one["oldest_waiting"]) if one["oldest_waiting"] else now
        if now - oldest > limit:
            yield name, f"{one['waiting']:,} notifications wait, the first of them for {_length(now - oldest)}"


def _slow_polls(settings: Settings, connection: Connection, read: Mapping[str, Any] | None, now: datetime, limit: timedelta) -> str | None:
    """`read` is what `status.read` says of the connection; None when it was never synced, which is for the first sync to mend."""
    if connection.poll_minutes is None or read is None:
        return None
    longest = timedelta(minutes=connection.poll_minutes) + limit
    if (log := read_place(settings.inbox, connection.name, Sealer.of(settings))) and now - log.read_at <= longest:
        return None
    seen = [one["seen_until"] for one in read["objects"].values()]
    if None in seen:
        return "what was polled has never been published"
    age = now - min(seen).astimezone(UTC)
    if age <= longest:
        return None
    return f"it is polled every {connection.poll_minutes} min, but what changed in the last {_length(age)} is not in the published file"


def _length(time: timedelta) -> str:
    """A length of time in a person's words: seconds up to two minutes, then minutes, then hours."""
    seconds = time.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
