"""What is changed in raw tables of engines that take SQL for it.

Loads only append. What is removed or changed is named by key: once `keep_newest` is done, a key has one row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

import duckdb
import sqlglot
from sqlglot import exp

from cdp_pipelines.config import Kind
from cdp_pipelines.database import quoted
from cdp_pipelines.engines.engine import Engine, Key
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.reader import DELETED, RawTable

_KEYS_AT_ONCE = 500


class SqlEngine(Engine):
    """An engine whose tables are changed by statements, which are written once, here, and said in each one's SQL."""

    @abstractmethod
    def run(self, statements: Iterable[str]) -> None:
        """Run statements in the engine's own SQL, each by itself."""

    def keep_newest(self, kind: Kind, connection: str, tables: Iterable[RawTable]) -> None:
        """See Engine."""
        there = set(self.tables(f"raw_{kind}"))
        self._run(
            _remove_older(_relation(kind, table), connection, fields)
            for table in tables
            if table.name in there
            for fields in ((table.replace_by, table.key) if table.replace_by else (table.key,))
        )

    def remove(self, kind: Kind, connection: str, table: RawTable, keys: Collection[Key]) -> None:
        """See Engine."""
        where = f"connection = {_text(connection)}"
        self._run(f"delete from {_relation(kind, table)} where {where} and {some}" for some in _any_of(_columns(table), list(keys)))

    def change(self, kind: Kind, connection: str, table: RawTable, values: Mapping[Key, Mapping[str, str | None]]) -> None:
        """See Engine."""
        self._run(
            f"update {_relation(kind, table)} set {', '.join(f'{_name(c)} = {_text(v)}' for c, v in new.items())} "
            f"where connection = {_text(connection)} and {_is(_columns(table), key)}"
            for key, new in values.items()
        )

    def retire(
        self, shown: duckdb.DuckDBPyConnection, kind: Kind, connection: str, table: RawTable, since: str, values: Sequence[str]
    ) -> None:
        """See Engine."""
        relation, stale = _relation(kind, table), f"connection = {_text(connection)} and _synced_at < {_text(since)}"
        if table.replace_by:
            self._run([f"delete from {relation} where {stale}"])
            return
        nothing = "".join(f", {_name(column)} = null" for column in values)
        empty = " and ".join(f"{_name(column)} is null" for column in values) or "1 = 1"
        dead = f"coalesce({DELETED}, '') = 'true' and {empty}"
        self._run([f"update {relation} set _synced_at = {_text(since)}, {DELETED} = 'true'{nothing} where {stale} and not ({dead})"])

    def _run(self, statements: Iterable[str]) -> None:
        self.run(_in_words_of(self.dialect, statement) for statement in statements)


def _relation(kind: Kind, table: RawTable) -> str:
    return f'raw_{kind}."{table.name}"'


def _columns(table: RawTable) -> list[str]:
    return [column_name(field) for field in table.key]


def _remove_older(relation: str, connection: str, fields: Sequence[str]) -> str:
    # A key's parts may be null: an empty set is a row without members.
    same = " and ".join(f"coalesce(newer.{c}, '') = coalesce(found.{c}, '')" for c in [_name(column_name(field)) for field in fields])
    return (
        f"delete from {relation} as found where found.connection = {_text(connection)} and exists (select 1 from {relation} as newer "
        f"where newer.connection = found.connection and {same} and newer._synced_at > found._synced_at)"
    )


def _any_of(columns: Sequence[str], keys: Sequence[Key]) -> Iterable[str]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        if len(columns) == 1 and all(key[0] is not None for key in some):
            yield f"{_name(columns[0])} in ({', '.join(_text(key[0]) for key in some)})"
        else:
            yield f"({' or '.join(_is(columns, key) for key in some)})"


def _is(columns: Sequence[str], key: Key) -> str:
    tests = (f"{_name(c)} is null" if value is None else f"{_name(c)} = {_text(value)}" for c, value in zip(columns, key, strict=True))
    return f"({' and '.join(tests)})"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: str | None) -> str:
    return "null" if value is None else f"'{quoted(value)}'"


def _in_words_of(dialect: str, sql: str) -> str:
    """A statement of ours in an engine's SQL: quotes, escapes and identifiers as it has them."""
    statement = sqlglot.parse_one(sql, read="postgres")
    if dialect == "snowflake":  # dlt's names are unquoted there, and so in capitals
        for name in statement.find_all(exp.Identifier):
            name.set("this", name.name.upper())
    return statement.sql(dialect=dialect)
