"""What goes from the warehouse by age: records that a CRM deleted, and the history of syncs, checks and lags.

Each function gives how many rows are older than a moment, and takes them out with `apply`. The caller holds the warehouse lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb

from cdp_pipelines import history, mapping
from cdp_pipelines.config import Settings
from cdp_pipelines.privacy import rewriting
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT, stamp
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO


def raw_deleted(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Deleted records that nothing current names. They leave the tables built from raw with the next sync.

    Records that were merged stay: they say who their survivor was. So do deleted owners and users, whose names current records show.
    """
    count = 0
    with history.opened(settings) as db:
        there = {f"{s}.{t}" for s, t in db.execute("select schema_name, table_name from duckdb_tables()").fetchall()}
        for relation, key, naming in _records():
            if relation not in there or not {f"standardized.{table}" for table, _ in naming} <= there:
                continue
            named = "".join(
                f' and not exists (select 1 from standardized.{table} s where s.connection = r.{CONNECTION} and s."{column}" = r."{key}" '
                "and not s.is_deleted)"
                for table, column in naming
            )
            where = (
                f"r.{DELETED} = 'true' and r.{MERGED_INTO} is null and r.{SYNCED_AT} < ?{named} and not exists "
                f'(select 1 from {relation} m where m.{CONNECTION} = r.{CONNECTION} and m.{MERGED_INTO} = r."{key}")'
            )
            count += _take(db, f"{relation} r", where, [stamp(before)], apply=apply)
    if apply and count:
        history.raw_tables_change(settings)
        rewriting.rewrite(settings.warehouse)
    return count


def _records() -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """The raw relations whose rows are records of one of our entities, their key, and the standardized columns that name one."""
    spec = mapping.load()
    done = set()
    for kind, entity, _, feed in spec.feeds():
        (first, *more), relation = spec.entities[entity].key, f"raw_{kind}.{feed.table}"
        field = feed.fields[first].field
        if more or not field or "." in field or relation in done:
            continue
        done.add(relation)
        naming = [
            (name, column) for name, e in spec.entities.items() for column, f in e.fields.items() if f.references == f"{entity}.{first}"
        ]
        yield relation, spec.column(kind, feed.table, field), naming


def sync_history(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Outcomes of syncs but the newest of each kind of each table: complete or not, full or since a moment."""
    newest = "select arg_max(rowid, started_at) from ops.table_syncs group by connection, object, state, mode"
    return _of_history(settings, "ops.table_syncs", f"ended_at < ? and rowid not in ({newest})", before, apply=apply)


def check_history(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Results of checks but the newest of each."""
    newest = "select arg_max(rowid, checked_at) from ops.check_results group by name, table_name"
    return _of_history(settings, "ops.check_results", f"checked_at < ? and rowid not in ({newest})", before, apply=apply)


def event_lags(settings: Settings, before: datetime, *, apply: bool) -> int:
    """How fast notified changes were."""
    return _of_history(settings, "ops.event_lags", "published_at < ?", before, apply=apply)


def _of_history(settings: Settings, relation: str, where: str, before: datetime, *, apply: bool) -> int:
    with history.opened(settings) as db:
        return _take(db, relation, where, [before.replace(tzinfo=None)], apply=apply)


def _take(db: duckdb.DuckDBPyConnection, relation: str, where: str, values: list[object], *, apply: bool) -> int:
    count = db.execute(f"select count(*) from {relation} where {where}", values).fetchall()[0][0]
    if apply and count:
        db.execute(f"delete from {relation} where {where}", values)
    return count
