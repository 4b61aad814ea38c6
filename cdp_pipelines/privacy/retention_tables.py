"""What goes from the warehouse by age: records that a CRM deleted, and the history of syncs, checks and lags.

Each function gives how many rows are older than a moment, and takes them out with `apply`. The caller holds the warehouse lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import duckdb

from cdp_pipelines import database, history, mapping
from cdp_pipelines.config import Kind, Settings
from cdp_pipelines.engines import serving
from cdp_pipelines.privacy import rewriting
from cdp_pipelines.privacy.where import LINKS, PEOPLE
from cdp_pipelines.quality import schema
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT, stamp
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO

FullReads = Mapping[tuple[str, str], datetime]


def raw_deleted(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Deleted records, and rows about them, that no full read showed again and nothing current names.

    They leave the tables built from raw with the next sync, and the file's bytes at once.
    """
    with serving.in_hand(settings, registry.TABLES), history.opened(settings) as db:
        count = take_raw_deleted(db, before, _full_reads(db), apply=apply)
    if apply and count:
        history.raw_tables_change(settings)
        rewriting.rewrite(settings, settings.warehouse)
    return count


def take_raw_deleted(db: duckdb.DuckDBPyConnection, before: datetime, full_reads: FullReads, *, apply: bool) -> int:
    """The rows of `raw_deleted`; `full_reads` is when the newest whole read of each table began, by connection and table.

    What such a read did not show the CRM has no more, so that none brings it back. Records that were merged stay: they say who their
    survivor was. So do owners, whose names current records show.
    """
    columns = set(db.execute("select schema_name || '.' || table_name, column_name from duckdb_columns()").fetchall())
    there = {table for table, _ in columns}
    count = 0
    for kind, table, key, naming in _records():
        if f"raw_{kind}.{table}" not in there or not {f"standardized.{name}" for name, _ in naming} <= there:
            continue
        about = [(name, column) for name, column in _about(kind, table) if (f"raw_{kind}.{name}", column) in columns]
        where = [
            f"r.{DELETED} = 'true' and r.{MERGED_INTO} is null and r.{SYNCED_AT} < ? and {_unseen('r', table, full_reads)}",
            *(_not_named(f"standardized.{name}", column, key, "not n.is_deleted") for name, column in naming),
            _not_named(f"raw_{kind}.{table}", MERGED_INTO, key),
            *(_not_named(f"raw_{kind}.{name}", column, key, f"not {_unseen('n', name, full_reads)}") for name, column in about),
        ]
        records = f'select r.{CONNECTION}, r."{key}" as id from raw_{kind}.{table} r where {" and ".join(where)}'
        db.execute(f"create or replace temp table too_old as {records}", [stamp(before)])
        for name, column in [(table, key), *about]:
            count += _take(
                db, f"raw_{kind}.{name}", f'({CONNECTION}, "{column}") in (select ({CONNECTION}, id) from too_old)', [], apply=apply
            )
    return count


def _about(kind: Kind, table: str) -> list[tuple[str, str]]:
    """The other raw tables whose rows are about a person of a table, and the columns that say whom."""
    if (kind, table) not in PEOPLE:
        return []
    found = [(name, column, fate) for (k, name), links in LINKS.items() for column, fate in links.items() if k == kind]
    return [(name, column) for name, column, fate in found if fate == "drop" and (kind, name) not in PEOPLE]


def _not_named(relation: str, column: str, key: str, where: str = "true") -> str:
    """That no row of a relation names a record."""
    return f'not exists (select 1 from {relation} n where n.{CONNECTION} = r.{CONNECTION} and n."{column}" = r."{key}" and {where})'


def _unseen(alias: str, table: str, full_reads: FullReads) -> str:
    """Whether the newest whole read of a table came after a row was read last."""
    began = {connection: stamp(at) for (connection, name), at in full_reads.items() if name == table}
    cases = "".join(f" when '{database.quoted(connection)}' then '{at}'" for connection, at in began.items())
    return f"{alias}.{SYNCED_AT} < case {alias}.{CONNECTION}{cases} else '' end" if cases else "false"


def _full_reads(db: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], datetime]:
    found = db.execute("select connection, object, max(started_at) from ops.table_syncs where mode = 'full' and state = 'ok' group by all")
    return {(connection, table): at.replace(tzinfo=UTC) for connection, table, at in found.fetchall()}


def _records() -> Iterator[tuple[Kind, str, str, list[tuple[str, str]]]]:
    """CRM and raw table whose rows are records of one of our entities, their key, and the standardized columns that may name one.

    A row that must name one is about it and goes with it.
    """
    spec = mapping.load()
    done = set()
    for kind, entity, _, feed in spec.feeds():
        (first, *more) = spec.entities[entity].key
        field = feed.fields[first].field
        if more or not field or "." in field or (kind, feed.table) in done:
            continue
        done.add((kind, feed.table))
        of = f"{entity}.{first}"
        naming = [(n, c) for n, e in spec.entities.items() for c, f in e.fields.items() if f.references == of and not f.required]
        yield kind, feed.table, spec.column(kind, feed.table, field), naming


def sync_history(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Outcomes of syncs but the newest of each kind of each table: complete or not, full or since a moment; and what was rejected in a table
    that was read in full since."""
    newest = "select arg_max(rowid, started_at) from ops.table_syncs group by connection, object, state, mode"
    whole = (
        "select 1 from ops.table_syncs as s where s.connection = r.connection and s.object = r.object and mode = 'full' and state = 'ok'"
    )
    mended = f"started_at < ? and exists ({whole} and s.started_at > r.started_at)"
    rejected = _of_history(settings, "ops.rejected_rows as r", mended, before, apply=apply)
    return rejected + _of_history(settings, "ops.table_syncs", f"ended_at < ? and rowid not in ({newest})", before, apply=apply)


def check_history(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Results of checks but the newest of each, what was measured but the newest, and which fields changed in the CRMs."""
    newest = "select arg_max(rowid, checked_at) from ops.check_results group by name, table_name"
    count = _of_history(settings, "ops.check_results", f"checked_at < ? and rowid not in ({newest})", before, apply=apply)
    count += _of_history(settings, "ops.field_changes", "told_at < ?", before, apply=apply)
    with history.opened(settings) as db:
        schema.create(db)
    for name, table in schema.TABLES.items():
        if table.keeps:
            relation = f"{schema.SCHEMA}.{name}"
            older = f"measured_at < ? and measured_at < (select max(measured_at) from {relation})"
            count += _of_history(settings, relation, older, before, apply=apply)
    return count


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
