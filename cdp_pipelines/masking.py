"""The masked file: the published tables for those who need not know who anybody is. What becomes of a column is its class's (`pii`).

A token is an HMAC of a value under the privacy key, so that equal values have equal tokens in every table and file, and joins hold; without
the key nobody can compute the token of an address that they try. A column that has no class is left out.
So are the tables of provenance: which record a value comes from is of use to those who see the value, and they are the largest.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from cdp_pipelines import database, mapping, second_names
from cdp_pipelines.audit import keys
from cdp_pipelines.classified import Classes, classes
from cdp_pipelines.config import Settings
from cdp_pipelines.pii import CLASSES, Pii, Treatment
from cdp_pipelines.private_files import replaced

TOKEN_LENGTH = 24
TRUNCATED_TO = 3
"""Of a text of class quasi so many characters are shown; such as of a postal code."""
REPEATED = 4
"""A column's values repeat when on average each stands there so many times."""
_BLOCK = 64
_DATES = ("DATE", "TIMESTAMP")


@dataclass(frozen=True)
class Masked:
    """The file that was written, and the rows of each of its tables."""

    path: Path
    rows: dict[str, int]


@dataclass
class _Table:
    """A table and its columns with their types, in order. `repeating` are the columns whose values stand there several times each."""

    schema: str
    name: str
    columns: list[tuple[str, str]]
    classes: dict[str, Pii]
    repeating: set[str] = field(default_factory=set)

    @property
    def relation(self) -> str:
        return f'published."{self.schema}"."{self.name}"'

    @property
    def masked(self) -> str:
        return f'masked."{self.schema}"."{self.name}"'

    def tokens(self) -> list[str]:
        return [c for c, _ in self.columns if self._treatment(c) == "token"]

    def shown(self) -> Iterator[tuple[str, str]]:
        """Each column of the masked table and its expression. What repeats is looked up in a join that has the column's name."""
        for column, kind in self.columns:
            own = f't."{column}"'
            match self._treatment(column):
                case "kept":
                    yield column, own
                case "token":
                    yield column, f'"{column}".token' if column in self.repeating else f"token_of({own})"
                case "token_of_people":
                    yield column, f"case when lower(trim({own})) in (select name from people) then token_of({own}) else {own} end"
                case "truncated" if kind == "VARCHAR":
                    yield column, f"case when length({own}) > {TRUNCATED_TO} then left({own}, {TRUNCATED_TO}) end"
                case "truncated" if kind in _DATES:
                    yield column, f"date_trunc('year', {own})::{kind}"
                case _:
                    pass

    def _treatment(self, column: str) -> Treatment:
        return CLASSES[self.classes[column]].treatment if column in self.classes else "dropped"


def token_of(settings: Settings, value: str) -> str:
    """The token of a value, as it stands in the masked file."""
    return hmac.digest(_key(settings), value.encode(), "sha256").hex()[:TOKEN_LENGTH]


def mask(settings: Settings) -> Masked | None:
    """Write the masked file anew from the published one; None, and no such file any more, where it is turned off.

    Raises ConfigError for a privacy key that is too short or cannot be read.
    """
    if not settings.masked:
        settings.masked_file.unlink(missing_ok=True)
        return None
    key = _key(settings)
    with replaced(settings.masked_file, mode=settings.masked_permissions) as new:
        new.unlink()
        try:
            with _opened(settings, new) as db:
                return Masked(settings.masked_file, _write(db, classes(mapping.load()), key))
        finally:
            new.with_name(f"{new.name}.wal").unlink(missing_ok=True)


def _opened(settings: Settings, new: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the published file as `published` and the new one as `masked`."""
    db = database.in_memory(settings)
    database.attach(settings, db, settings.published, "published", read_only=True)
    database.attach(settings, db, new, "masked")
    return db


def _key(settings: Settings) -> bytes:
    return keys.load(settings).of("masking")


def _write(db: duckdb.DuckDBPyConnection, known: Classes, key: bytes) -> dict[str, int]:
    tables = _tables(db, known)
    db.execute("begin")
    _make_people(db, tables)
    make_token_of(db, key)
    for table in tables:
        _mask_table(db, table)
    _describe(db, tables)
    second_names.add(db, "masked", {table.name for table in tables})
    db.execute("commit")
    rows = {t.name: db.execute(f"select count(*) from {t.masked}").fetchall()[0][0] for t in tables if any(t.shown())}
    db.execute("checkpoint masked")
    return rows


def _tables(db: duckdb.DuckDBPyConnection, known: Classes) -> list[_Table]:
    columns = db.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() join duckdb_tables() using (database_name, schema_name, table_name) "
        "where database_name = 'published' order by schema_name, table_name, column_index"
    ).fetchall()
    found: dict[tuple[str, str], _Table] = {}
    left_out = {spec.provenance for spec in mapping.load().unified.values()}
    for schema, name, column, kind in columns:
        if name in left_out:
            continue
        table = found.setdefault((schema, name), _Table(schema, name, [], known.get(name, {})))
        table.columns.append((column, kind))
    return list(found.values())


def _make_people(db: duckdb.DuckDBPyConnection, tables: Iterable[_Table]) -> None:
    """The full names of the people in the contacts: where a company is called so, it is a person's."""
    there = {c for table in tables if table.name == "contacts" for c, _ in table.columns} >= {"first_name", "last_name"}
    name = "lower(trim(first_name) || ' ' || trim(last_name))"
    named = f"select distinct {name} as name from published.contacts where {name} is not null" if there else "select '' as name limit 0"
    db.execute(f"create temp table people as {named}")


def make_token_of(db: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """HMAC-SHA-256 in SQL, which has none of its own: RFC 2104, section 2."""
    inner, outer = (_blob(bytes(b ^ pad for b in key.ljust(_BLOCK, b"\0"))) for pad in (0x36, 0x5C))
    hashed = f"sha256({outer} || unhex(sha256({inner} || encode(value::varchar))))"
    db.execute(f"create temp macro token_of(value) as left({hashed}, {TOKEN_LENGTH})")


def _mask_table(db: duckdb.DuckDBPyConnection, table: _Table) -> None:
    _find_repeating(db, table)
    shown = ", ".join(f'{sql} as "{column}"' for column, sql in table.shown())
    joins = "".join(
        f' left join (select value, token_of(value) as token from (select distinct "{c}" as value from {table.relation})) as "{c}" '
        f'on "{c}".value = t."{c}"'
        for c in table.repeating
    )
    if shown:
        db.execute(f'create schema if not exists masked."{table.schema}"')
        db.execute(f"create table {table.masked} as select {shown} from {table.relation} as t{joins}")


def _find_repeating(db: duckdb.DuckDBPyConnection, table: _Table) -> None:
    """A token takes longer than a look-up, so that what stands there often is computed once."""
    if columns := table.tokens():
        counts = ", ".join(f'count("{c}") >= {REPEATED} * approx_count_distinct("{c}")' for c in columns)
        (found,) = db.execute(f"select {counts} from {table.relation}").fetchall()
        table.repeating = {c for c, often in zip(columns, found, strict=True) if often}


def _describe(db: duckdb.DuckDBPyConnection, tables: Iterable[_Table]) -> None:
    """What tables and columns are, as in the published file, and how they are masked."""
    said = {
        (schema, table): text
        for schema, table, text in db.execute(
            "select schema_name, table_name, comment from duckdb_tables() where database_name = 'published' and comment is not null"
        ).fetchall()
    }
    columns = {
        (table, column): text
        for table, column, text in db.execute(
            "select table_name, column_name, comment from duckdb_columns() where database_name = 'published' and comment is not null"
        ).fetchall()
    }
    for table in tables:
        if text := said.get((table.schema, table.name)):
            db.execute(f"comment on table {table.masked} is '{database.quoted(text)}'")
        for column, _ in table.shown():
            pii = table.classes[column]
            masked = "" if pii == "none" else f" Masked: {CLASSES[pii].masked}."
            if text := f"{columns.get((table.name, column)) or ''}{masked}".strip():
                db.execute(f"comment on column {table.masked}.\"{column}\" is '{database.quoted(text)}'")


def _blob(content: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::blob"
