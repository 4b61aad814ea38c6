"""What the warehouse holds of a connection."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import duckdb

from cdp_pipelines import database
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.engines.choice import elsewhere
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT, stamp
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, RawTable


class Warehouse:
    """What the warehouse holds of a connection; a `KnownRecords`."""

    def __init__(self, settings: Settings, kind: str, connection: str):
        self.settings, self.schema, self.connection = settings, f"raw_{kind}", connection

    def values(self, table: str, field: str, where: Mapping[str, str | Collection[str]] | None = None) -> Iterator[str]:
        """See KnownRecords."""
        column = column_name(field)
        tests, allowed = self._conditions(where)
        query = f'select distinct "{column}" from {self.schema}."{table}" where {tests} and "{column}" is not null order by 1'
        yield from (value for (value,) in self._rows(query, allowed))

    def pairs(
        self, table: str, field: str, other: str, where: Mapping[str, str | Collection[str]] | None = None
    ) -> Iterator[tuple[str, str]]:
        """See KnownRecords."""
        first, second = column_name(field), column_name(other)
        tests, allowed = self._conditions(where)
        query = (
            f'select distinct "{first}", "{second}" from {self.schema}."{table}" where {tests} and "{first}" <> \'\' and "{second}" <> \'\''
        )
        yield from self._rows(query, allowed)

    def gone_since(self, table: str, field: str, moment: datetime) -> Iterator[str]:
        """See KnownRecords."""
        column = column_name(field)
        query = (
            f'select distinct "{column}" from {self.schema}."{table}" where {CONNECTION} = ? and {DELETED} = \'true\' and {SYNCED_AT} >= ?'
        )
        yield from (row[0] for row in self._rows(query, [self.connection, stamp(moment)]))

    def _conditions(self, where: Mapping[str, str | Collection[str]] | None) -> tuple[str, list[list[str]]]:
        conditions = {CONNECTION: self.connection, **{column_name(k): v for k, v in (where or {}).items()}}
        tests = " and ".join(f'"{column}" in (select unnest(?::varchar[]))' for column in conditions)
        return tests, [[v] if isinstance(v, str) else list(v) for v in conditions.values()]

    def _rows(self, query: str, values: Iterable[Any]) -> Iterator[Any]:
        if not self.settings.warehouse.exists():
            return
        nothing_loaded_yet = contextlib.suppress(duckdb.CatalogException, duckdb.BinderException)
        with database.connect(self.settings, self.settings.warehouse) as db, nothing_loaded_yet:
            rows = db.execute(query, list(values))
            while some := rows.fetchmany(10_000):
                yield from some


def keep_newest(settings: Settings, connection: Connection, tables: Iterable[RawTable]) -> None:
    """Of each record only the newest version, of each set only its newest read: what the last load replaced goes, and what a stop left."""
    if (engine := elsewhere(settings)) is not None:
        engine.keep_newest(connection.kind, connection.name, tables)
        return
    with database.connect(settings, settings.warehouse) as db:
        for table in tables:
            relation = f'raw_{connection.kind}."{table.name}"'
            if table.replace_by:
                _remove_older(db, relation, connection.name, table.replace_by, f"found.{SYNCED_AT}")
            _remove_older(db, relation, connection.name, table.key, f"{{'read': found.{SYNCED_AT}, 'row': found.rowid}}")


def remove(settings: Settings, connection: Connection, table: RawTable, keys: Collection[tuple[str | None, ...]]) -> None:
    """Remove records by key: those whose newest version is an erased person's, so that no older one may stay."""
    if not keys:
        return
    if (engine := elsewhere(settings)) is not None:
        engine.remove(connection.kind, connection.name, table, keys)
        return
    columns = [f'"{column_name(field)}"' for field in table.key]
    same = " and ".join(f"gone.{c} is not distinct from found.{c}" for c in columns)
    with database.connect(settings, settings.warehouse) as db:
        db.execute(f"create or replace temp table gone ({', '.join(f'{c} varchar' for c in columns)})")
        db.executemany(f"insert into gone values ({', '.join('?' * len(columns))})", [list(key) for key in keys])
        db.execute(
            f'delete from raw_{connection.kind}."{table.name}" as found using gone where found.{CONNECTION} = ? and {same}',
            [connection.name],
        )


def _remove_older(db: duckdb.DuckDBPyConnection, relation: str, connection: str, key: Iterable[str], version: str) -> None:
    columns = [f'"{column_name(field)}"' for field in key]
    # Versions are compared of what is there more than once alone: to remember them for each of a million keys takes a third more memory.
    again = " and ".join(f"again.{c} is not distinct from found.{c}" for c in columns)
    db.execute(
        f"""create or replace temp table several as
            with again as (select {", ".join(columns)} from {relation} where {CONNECTION} = $connection group by all having count(*) > 1)
            select {", ".join(f"found.{c}" for c in columns)}, max({version}) as newest
            from {relation} as found semi join again on {again}
            where found.{CONNECTION} = $connection group by all having min({version}) < max({version})""",
        {"connection": connection},
    )
    if db.execute("select count(*) from several").fetchall() != [(0,)]:
        same = " and ".join(f"several.{c} is not distinct from found.{c}" for c in columns)
        db.execute(
            f"delete from {relation} as found using several where found.{CONNECTION} = ? and {same} and {version} < several.newest",
            [connection],
        )


def retire_rows_of_older_full_reads(
    settings: Settings, connection: Connection, tables: Iterable[RawTable], full_since: Mapping[str, str]
) -> None:
    """After a full read, what it did not see again is gone from the CRM: records become tombstones, sets and their rows go.

    Done after every load, so that a stop in between mends itself. Events stay: the CRM has merely stopped to keep them.
    """
    engine = elsewhere(settings)
    with database.connect(settings, settings.warehouse) as db:
        for table in tables:
            if table.events or not (since := full_since.get(table.name)):
                continue
            if engine is not None:
                engine.retire(db, connection.kind, connection.name, table, since, value_columns(db, connection.kind, table))
                continue
            relation, stale = f'raw_{connection.kind}."{table.name}"', f"{CONNECTION} = $connection and {SYNCED_AT} < $since"
            given = {"connection": connection.name, "since": since}
            if table.replace_by:
                db.execute(f"delete from {relation} where {stale}", given)
                continue
            values = value_columns(db, connection.kind, table)
            nothing = ", ".join(f'"{column}" = null' for column in values)
            tombstones = f"{DELETED} = 'true' and {no_value(values)}"
            db.execute(
                f"update {relation} set {SYNCED_AT} = $since, {DELETED} = 'true', {nothing} where {stale} and not coalesce({tombstones}, false)",
                given,
            )


def value_columns(db: duckdb.DuckDBPyConnection, kind: str, table: RawTable) -> list[str]:
    """The columns of a raw table that a tombstone leaves empty: all of the vendor's but the key. None before the first load."""
    found = db.execute(
        "select column_name from duckdb_columns() where schema_name = ? and table_name = ? order by column_index",
        [f"raw_{kind}", table.name],
    )
    kept = {CONNECTION, SYNCED_AT, DELETED, MERGED_INTO, *map(column_name, table.key)}
    return [name for (name,) in found.fetchall() if name not in kept and not name.startswith("_dlt_")]


def no_value(columns: Iterable[str]) -> str:
    """Whether all of these columns are null, as SQL."""
    named = ", ".join(f'"{column}"' for column in columns)
    return f"coalesce({named}) is null" if named else "true"


def count_rows(settings: Settings, connection: Connection, tables: Iterable[RawTable]) -> dict[str, int]:
    """Rows of a connection in each raw table that exists."""
    counts: dict[str, int] = {}
    if not settings.warehouse.exists():
        return counts
    with database.connect(settings, settings.warehouse) as db:
        for table in tables:
            with contextlib.suppress(duckdb.CatalogException):  # not loaded yet
                query = f'select count(*) from raw_{connection.kind}."{table.name}" where {CONNECTION} = ?'
                counts[table.name] = db.execute(query, [connection.name]).fetchall()[0][0]
    return counts
