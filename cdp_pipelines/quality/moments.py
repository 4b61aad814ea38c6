"""Histories of what is measured, kept so that they stay small: of the last two days the newest of each hour, of earlier ones that of each day.

A run after change notifications comes every few seconds, and what it measures is what the last one measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import duckdb

HOURLY_FOR = timedelta(days=2)
LOOKED_BACK = 30
"""So many earlier moments say what is usual."""
WARM_UP = 7
"""With fewer earlier moments nothing is said to be unusual."""


def make_room(db: duckdb.DuckDBPyConnection, table: str, now: datetime) -> None:
    """Take out what the measurement of `now` (UTC, no zone) replaces in a table with a column `measured_at`, and what is older than it need be."""
    moments = [moment for (moment,) in db.execute(f"select distinct measured_at from {table} order by 1").fetchall()]
    if gone := list(_replaced(moments, now)):
        db.execute(f"delete from {table} where measured_at in (select unnest(?::timestamp[]))", [gone])


def _replaced(moments: Iterable[datetime], now: datetime) -> Iterable[datetime]:
    """Of some moments in order, those that a later one of the same hour or day stands for."""
    newest: dict[str, datetime] = {}
    for moment in sorted([*moments, now]):
        place = f"{moment:%Y-%m-%d %H}" if now - moment < HOURLY_FOR else f"{moment:%Y-%m-%d}"
        if place in newest:
            yield newest[place]
        newest[place] = moment


def earlier(db: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many moments before the newest there are in a table, at most as many as are looked at."""
    count = db.execute(f"select count(distinct measured_at) from {table}").fetchall()[0][0]
    return min(max(count - 1, 0), LOOKED_BACK)


def newest(table: str) -> str:
    """The newest moment of a table, as SQL."""
    return f"(select max(measured_at) from {table})"


def before(table: str) -> str:
    """The moments that say what is usual, as SQL for `in`."""
    return f"(select distinct measured_at from {table} where measured_at < {newest(table)} order by 1 desc limit {LOOKED_BACK})"


def measured_in_hour(db: duckdb.DuckDBPyConnection, table: str, now: datetime) -> bool:
    """Whether there is a measurement of the hour of `now`."""
    query = f"select count(*) from {table} where date_trunc('hour', measured_at) = date_trunc('hour', ?::timestamp)"
    return db.execute(query, [now]).fetchall()[0][0] > 0


def thin_results(db: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """The same for what checks found; and each result stays in which a check began to fail or to pass, and all of this hour."""
    of_check = "partition by table_name, name"
    db.execute(
        f"""delete from ops.check_results where rowid in (
            select number from (
                select rowid as number, checked_at, passed is distinct from lag(passed) over ({of_check} order by checked_at, rowid) as turned,
                    row_number() over ({of_check}, date_trunc(case when checked_at > $now - $hourly then 'hour' else 'day' end, checked_at)
                        order by checked_at desc, rowid desc) as place
                from ops.check_results
            ) where place > 1 and not turned and checked_at < date_trunc('hour', $now)
        )""",
        {"now": now, "hourly": HOURLY_FOR},
    )
