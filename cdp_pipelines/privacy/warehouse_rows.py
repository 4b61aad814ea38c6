"""What the DuckDB files hold of people: raw rows by the rule of the suppression list, all others by key, by id and by what stands in texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa

from cdp_pipelines.config import KINDS
from cdp_pipelines.privacy.needles import Needles
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.suppression import Suppression
from cdp_pipelines.privacy.where import PEOPLE

ROWS_AT_ONCE = 50_000
# Column of a person's id -> the column of its connection. A row that has one goes; `contact_id` of a deal is only emptied.
_PLACES = {
    "customer_id": "connection", "contact_id": "connection", "left_customer_id": "left_connection", "right_customer_id": "right_connection",
    "between_left_customer_id": "between_left_connection", "between_right_customer_id": "between_right_connection",
}  # fmt: skip
_EMPTIED = {"opportunities": ("contact_id",)}
# Person accounts are companies too.
_COMPANIES = {"companies": "id", "company_records": "company_id", "company_provenance": "id"}
_KEYS = ("customer_key", "old_key", "new_key", "left_customer_key", "right_customer_key")


def sweep_raw(db: duckdb.DuckDBPyConnection, listed: Suppression, *, apply: bool) -> Counter[str]:
    """Take what is listed out of the raw tables; gives rows by table, removed and changed ones together. `apply` false only counts."""
    return +Counter({f"raw_{kind}.{table}": len(rows) for (kind, table), rows in _sweep(db, listed, apply=apply).items()})


def raw_rows(db: duckdb.DuckDBPyConnection, listed: Suppression) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The raw rows that are of listed people or name one, by table."""
    for (kind, table), numbers in _sweep(db, listed, apply=False).items():
        if numbers:
            relation = f'raw_{kind}."{table}"'
            yield f"raw_{kind}.{table}", _dicts(db, f"select * from {relation} where list_contains(?, rowid)", [sorted(numbers)])


def _sweep(db: duckdb.DuckDBPyConnection, listed: Suppression, *, apply: bool) -> dict[tuple[str, str], set[int]]:
    """The row ids by table. People come first, and again for as long as they teach the list more ids; then what names them."""
    tables = [(kind, table) for kind in KINDS for table in _tables(db, f"raw_{kind}")]
    seen: dict[tuple[str, str], set[int]] = {}
    while True:
        known = len(listed.learnt)
        for kind, table in sorted(tables, key=lambda place: place not in PEOPLE):
            seen.setdefault((kind, table), set()).update(_sweep_table(db, listed, kind, table, apply=apply))
        if len(listed.learnt) == known:
            return seen


def _sweep_table(db: duckdb.DuckDBPyConnection, listed: Suppression, kind: str, table: str, *, apply: bool) -> set[int]:
    """The row ids that were removed or changed."""
    relation = f'raw_{kind}."{table}"'
    touched: set[int] = set()
    columns = [
        name for (name,) in db.execute(f"select column_name from (describe {relation}) where column_name not like '_dlt_%'").fetchall()
    ]
    named = ", ".join(f'"{c}"' for c in columns)
    for (connection,) in db.execute(f"select distinct connection from {relation} order by 1").fetchall():
        gone, changed = [], []
        reader = db.execute(f"select rowid as __row, {named} from {relation} where connection = ?", [connection]).to_arrow_reader(
            ROWS_AT_ONCE
        )
        for batch in reader:
            numbers = batch["__row"].to_numpy()
            judged = listed.judge(kind, table, connection, pa.Table.from_batches([batch]).drop_columns(["__row"]))
            gone += numbers[~judged.keep].tolist()
            for column, values in judged.changed.items():
                before = batch[column].to_pylist()
                after = values.to_pylist()
                changed += [(int(numbers[i]), column, new) for i, new in enumerate(after) if judged.keep[i] and new != before[i]]
        touched |= {*gone, *(row for row, _, _ in changed)}
        if apply and (gone or changed):
            _apply(db, relation, gone, changed)
    return touched


def _apply(db: duckdb.DuckDBPyConnection, relation: str, gone: list[int], changed: list[tuple[int, str, str | None]]) -> None:
    db.begin()
    for column in sorted({column for _, column, _ in changed}):
        some = [(row, new) for row, c, new in changed if c == column]
        given = pa.table({"row": pa.array([row for row, _ in some], pa.int64()), "new": pa.array([new for _, new in some], pa.string())})
        db.register("given", given)
        db.execute(f'update {relation} as there set "{column}" = given.new from given where there.rowid = given.row')
        db.unregister("given")
    if gone:
        db.register("given", pa.table({"row": pa.array(gone, pa.int64())}))
        db.execute(f"delete from {relation} as there using given where there.rowid = given.row")
        db.unregister("given")
    db.commit()


def purge_tables(db: duckdb.DuckDBPyConnection, catalog: str, person: Person, needles: Needles, *, apply: bool) -> Counter[str]:
    """Take a person out of all tables of a file but the raw ones; gives rows by table. The file is attached as `catalog`."""
    counts: Counter[str] = Counter()
    for schema, table in _told_of(db, catalog, person):
        if count := _purge_table(db, f'"{catalog}"."{schema}"."{table}"', table, needles, apply=apply):
            counts[f"{schema}.{table}"] = count
    return counts


def other_rows(db: duckdb.DuckDBPyConnection, catalog: str, person: Person) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows of all tables but the raw ones that are about a person, by table."""
    for schema, table in _told_of(db, catalog, person):
        relation = f'"{catalog}"."{schema}"."{table}"'
        types = _types(db, relation)
        if (conditions := _conditions(types, _places(types, table))) and (
            found := _dicts(db, f"select * from {relation} where {' or '.join(conditions)}", [])
        ):
            yield f"{schema}.{table}", found


def _told_of(db: duckdb.DuckDBPyConnection, catalog: str, person: Person) -> list[tuple[str, str]]:
    """Let SQL know of the person's records and keys; gives schema and name of the tables of a file but the raw ones."""
    db.execute("create or replace temp table erased_ids (connection varchar, id varchar)")
    db.execute("create or replace temp table erased_keys (key varchar)")
    if person.ids:
        db.executemany("insert into erased_ids values (?, ?)", sorted(person.ids))
    if person.keys:
        db.executemany("insert into erased_keys values (?)", [(key,) for key in sorted(person.keys)])
    tables = (
        "select schema_name, table_name from duckdb_tables() where database_name = ? and not starts_with(schema_name, 'raw_') order by all"
    )
    return db.execute(tables, [catalog]).fetchall()


def _types(db: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return dict(db.execute(f"select column_name, column_type from (describe {relation})").fetchall())


def _places(types: dict[str, str], table: str) -> dict[str, str]:
    """The columns of a table that hold ids of people, and the columns of their connections."""
    places = {c: of for c, of in _PLACES.items() if c in types and of in types}
    if table in _COMPANIES and _COMPANIES[table] in types:
        places[_COMPANIES[table]] = "connection"
    return places


def _conditions(types: dict[str, str], places: dict[str, str]) -> list[str]:
    """What makes a row the person's, as SQL."""
    by_key = [f'"{key}" in (select key from erased_keys)' for key in _KEYS if key in types]
    return by_key + [f'("{of}", "{c}") in (select (connection, id) from erased_ids)' for c, of in places.items()]


def _purge_table(db: duckdb.DuckDBPyConnection, relation: str, table: str, needles: Needles, *, apply: bool) -> int:
    types = _types(db, relation)
    places, emptied = _places(types, table), _EMPTIED.get(table, ())
    conditions = _conditions(types, {c: of for c, of in places.items() if c not in emptied})
    count, stays = 0, "true"
    if conditions:
        where = " or ".join(conditions)
        stays = f"not coalesce({where}, false)"
        count += db.execute(f"select count(*) from {relation} where {where}").fetchall()[0][0]
        if apply and count:
            db.execute(f"delete from {relation} where {where}")
    for column in emptied:
        where = f'("connection", "{column}") in (select (connection, id) from erased_ids)'
        count += _change(db, relation, f'"{column}" = null', where, apply=apply)
    if "first_key" in types:
        where = '"first_key" in (select key from erased_keys) and "customer_key" not in (select key from erased_keys)'
        count += _change(db, relation, '"first_key" = "customer_key"', where, apply=apply)
    for column in (c for c, kind in types.items() if kind == "VARCHAR[]"):
        count += _shorten(db, relation, column, apply=apply)
    texts = [c for c, kind in types.items() if kind == "VARCHAR" and c not in places and c not in _KEYS]
    return count + _scrub(db, relation, texts, needles, stays, apply=apply)


def _shorten(db: duckdb.DuckDBPyConnection, relation: str, column: str, *, apply: bool) -> int:
    """Take records out of the lists of `connection:id` in one column."""
    erased = {name for (name,) in db.execute("select connection || ':' || id from erased_ids").fetchall()}
    count = 0
    for (old,) in db.execute(f'select distinct "{column}" from {relation} where "{column}" is not null').fetchall():
        if not erased.isdisjoint(old):
            count += db.execute(f'select count(*) from {relation} where "{column}" = ?', [old]).fetchall()[0][0]
            if apply:
                left = [one for one in old if one not in erased]
                db.execute(f'update {relation} set "{column}" = ? where "{column}" = ?', [left, old])
    return count


def _scrub(db: duckdb.DuckDBPyConnection, relation: str, columns: list[str], needles: Needles, stays: str, *, apply: bool) -> int:
    """Take values out of the texts of some columns, in the rows that stay."""
    pattern, count = needles.regex(with_records=True), 0
    for column in _columns_with(db, relation, columns, pattern):
        rows = db.execute(
            f'select distinct "{column}" from {relation} where {stays} and regexp_matches("{column}", ?, \'i\')', [pattern]
        ).fetchall()
        for old, new in [(text, new) for (text,) in rows if (new := needles.without(text)) != text]:
            count += db.execute(f'select count(*) from {relation} where {stays} and "{column}" = ?', [old]).fetchall()[0][0]
            if apply:
                db.execute(f'update {relation} set "{column}" = ? where "{column}" = ?', [new, old])
    return count


def _columns_with(db: duckdb.DuckDBPyConnection, relation: str, columns: list[str], pattern: str) -> list[str]:
    """Those of some text columns in which a pattern is found, asked for all of them at once."""
    if not columns or not pattern:
        return []
    tests = ", ".join(f"coalesce(bool_or(regexp_matches(\"{c}\"::varchar, $1, 'i')), false)" for c in columns)
    (found,) = db.execute(f"select {tests} from {relation}", [pattern]).fetchall()
    return [column for column, there in zip(columns, found, strict=True) if there]


def _change(db: duckdb.DuckDBPyConnection, relation: str, change: str, where: str, *, apply: bool) -> int:
    count = db.execute(f"select count(*) from {relation} where {where}").fetchall()[0][0]
    if apply and count:
        db.execute(f"update {relation} set {change} where {where}")
    return count


def _tables(db: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    found = db.execute(
        "select table_name from duckdb_tables() where schema_name = ? and not starts_with(table_name, '_dlt_') order by 1", [schema]
    )
    return [name for (name,) in found.fetchall()]


def still_there(db: duckdb.DuckDBPyConnection, catalog: str, needles: Needles) -> Iterator[tuple[str, str, bool]]:
    """The places (table and column) of a file where a value still is, the value in lower case, and whether it stands there by itself.

    One that does not is a part of somebody else's: ann@acme.com of joann@acme.com.
    """
    pattern = needles.regex()
    tables = db.execute("select schema_name, table_name from duckdb_tables() where database_name = ? order by all", [catalog]).fetchall()
    for schema, table in tables:
        relation = f'"{catalog}"."{schema}"."{table}"'
        columns = db.execute(f"select column_name from (describe {relation}) where column_type like 'VARCHAR%'").fetchall()
        for column in _columns_with(db, relation, [name for (name,) in columns], pattern):
            query = f'select distinct "{column}"::varchar from {relation} where regexp_matches("{column}"::varchar, ?, \'i\')'
            for (text,) in db.execute(query, [pattern]).fetchall():
                for value in needles.values:
                    if value.lower() in text.lower():
                        yield f"{schema}.{table}.{column}", value.lower(), needles.found_in(text)


def _dicts(db: duckdb.DuckDBPyConnection, query: str, values: list[Any]) -> list[dict[str, Any]]:
    result = db.execute(query, values)
    columns = [name for name, *_ in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
