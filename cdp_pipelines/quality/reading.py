"""Whether everything was read, with how many calls left, and how fast changes were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdp_pipelines import history, lag
from cdp_pipelines.doctor import FEW_CALLS
from cdp_pipelines.quality.looking import Check, Found, Look, rows_of

_NEWEST = """
from ops.table_syncs where mode <> 'named'
qualify row_number() over (partition by connection, object order by started_at desc, ended_at desc) = 1
"""


def _unread(look: Look) -> Found:
    return rows_of(look.db, f"select connection || ':' || object as key from ({_NEWEST}) where state <> 'ok'")


def _few_calls(look: Look) -> Found:
    """From the headers of the calls that the last reads made, where the vendor's answers have such; no call is made for it."""
    rows = look.db.execute(
        f"""select connection, arg_max(calls_left, ended_at) as calls_left, arg_max(calls_allowed, ended_at) as calls_allowed
            from ops.table_syncs where calls_left is not null and ended_at > ?::timestamp - interval 1 day
            group by connection having calls_left < {FEW_CALLS} * calls_allowed order by connection""",
        [look.now.replace(tzinfo=None)],
    ).fetchall()
    said = " ".join(f"{name} had {left:,} of the day's {allowed:,} calls left." for name, left, allowed in rows)
    return Found(len(rows), [name for name, *_ in rows], said)


def _late(look: Look) -> Found:
    found = lag.check(look.settings, (), look.now, read=_to_be_published(look))
    return Found(found.failed_rows, found.sample_keys, f"{found.description} {found.remedy}".strip())


def _to_be_published(look: Look) -> Mapping[str, Any]:
    """What the published file will say of each connection's events, as `status.read` gives it."""
    rows = look.db.execute(
        "select connection, events, median_seconds, p95_seconds from ops.event_lags where published_at > ?::timestamp - interval 1 day",
        [look.now.replace(tzinfo=None)],
    ).fetchall()
    lags = [history.EventLag(*row) for row in rows] + history.lags_of(look.told, look.now)
    found = {}
    for name in {one.connection for one in lags}:
        mine = [one for one in lags if one.connection == name]
        median, p95 = (
            _weighted([(getattr(one, what), one.events) for one in mine], part) for what, part in (("median", 0.5), ("p95", 0.95))
        )
        events = {"last_day": sum(one.events for one in mine), "median_seconds": median, "p95_seconds": p95}
        found[name] = {"events": events, "objects": {}}
    return found


def _weighted(values: list[tuple[float, int]], part: float) -> float:
    """The smallest value up to which there is a part of all events, each run's value counting as often as it had events."""
    needed, reached = part * sum(events for _, events in values), 0
    for value, events in sorted(values):
        reached += events
        if reached >= needed:
            return value
    raise ValueError("no events")


EVERYTHING_READ = Check(
    1, "everything_read", "sync_status", False, "Warns: what could be read is right and is published; the sync ends as incomplete, and Dagster's run fails.",
    "Every table of every connection was read to its end, with as many records as its CRM counts.",
    "`cdp status` says why of each, and what to do; `cdp sync` goes on where it stopped.", _unread,
)  # fmt: skip
REAL_TIME_LAG = Check(
    3, lag.CHECK, "sync_status", False, "Warns: the data is right, only late.",
    "Changes that notifications told of reach the published file within CDP_REAL_TIME_LAG_MINUTES.",
    "It names the connection, and which runs to look at.", _late,
)  # fmt: skip
CALLS_LEFT = Check(
    21, "calls_left", "sync_status", False, "Warns: what was read is whole; the next reads may stop.",
    f"Each connection has at least {FEW_CALLS:.0%} of its day's API calls left.",
    "Wait until the vendor's day is over, or let other programs call less; reads stop before the reserve and go on by themselves.", _few_calls,
)  # fmt: skip
