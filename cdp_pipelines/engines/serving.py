"""The engine's tables in the warehouse file, under the names that they would have there, so that all who read read one file.

Raw and staging tables are views that DuckDB reads in place, where it can: of raw ones the newest version of each row, as the file itself
would have it. Standardized and unified tables are copies, made when they were built: a couple of hundred checks read them, and analysts
get a file of their own anyhow. Where DuckDB cannot read in place, raw and staging tables are copies too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines import database
from cdp_pipelines.config import Kind, Settings
from cdp_pipelines.engines.choice import elsewhere
from cdp_pipelines.engines.engine import Engine, Key
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.reader import RawTable

STAGING, COPIED = "staging", ("standardized", "unified")
_BEFORE = "__before"
_IN_UTC = " at time zone 'UTC'"


def show_raw(settings: Settings, kind: Kind, tables: Iterable[RawTable]) -> None:
    """Show a CRM's raw tables as they are in the engine now; nothing where DuckDB is the engine. The caller holds the warehouse lock."""
    if (engine := elsewhere(settings)) is None:
        return
    schema = f"raw_{kind}"
    with database.connect(settings, settings.warehouse) as db:
        db.execute(f"create schema if not exists {schema}")
        for table in _there(engine, kind, tables):
            _show(db, engine, schema, table.name, _newest(table))


def show_models(settings: Settings, models: Collection[str], manifest: Callable[[Settings], Path]) -> None:
    """Show the models that were built; nothing where DuckDB is the engine. `manifest` gives dbt's, which says where each is and what its columns
    mean. The caller holds the warehouse lock."""
    if (engine := elsewhere(settings)) is None or not models:
        return
    described = {n["name"]: n for n in json.loads(manifest(settings).read_text())["nodes"].values() if n["resource_type"] == "model"}
    with database.connect(settings, settings.warehouse) as db:
        for name in sorted(models):
            schema = described[name]["schema"]
            if schema not in (STAGING, *COPIED):  # parts of models, which nobody else reads
                continue
            db.execute(f"create schema if not exists {schema}")
            if schema in COPIED:
                _copy(db, engine, schema, name, "")
                _describe(db, schema, name, described[name])
            else:
                _show(db, engine, schema, name, "")


def send(settings: Settings, schema: str, tables: Iterable[str]) -> None:
    """Bring tables of the warehouse file to the engine, where models are made of them; nothing where DuckDB is the engine."""
    if (engine := elsewhere(settings)) is None:
        return
    with database.connect(settings, settings.warehouse) as db:
        given = {name: db.execute(f'from {schema}."{name}"').to_arrow_table() for name in tables}
    engine.write(schema, given)


@contextmanager
def in_hand(settings: Settings, raw: Mapping[Kind, Iterable[RawTable]]) -> Generator[None]:
    """Raw tables as tables of the warehouse file, for as long as the block runs, so that rows are found and taken out as they would be there.

    Then the engine's tables lose and change the same rows: raw ones by key, all others as a whole, and neither keeps what was before. The caller
    holds the warehouse lock. After a stop in between, the next block begins with the engine's tables as they are.
    """
    if (engine := elsewhere(settings)) is None:
        yield
        return
    with database.connect(settings, settings.warehouse) as db:
        tables = [(kind, table) for kind, some in raw.items() for table in _there(engine, kind, some)]
        for kind, table in tables:
            _copy(db, engine, f"raw_{kind}", table.name, _newest(table))
        copies = db.execute(f"select schema_name, table_name from duckdb_tables() where schema_name in {COPIED} order by all").fetchall()
        copies = [(schema, name) for schema, name in copies if name in engine.tables(schema)]
        before = {place: _digest(db, *place) for place in [*((f"raw_{kind}", table.name) for kind, table in tables), *copies]}
    yield
    with database.connect(settings, settings.warehouse) as db:
        changed = {place for place, digest in before.items() if _digest(db, *place) != digest}
        for kind, table in tables:
            if (f"raw_{kind}", table.name) in changed:
                _take_over(db, engine, kind, table)
            _show(db, engine, f"raw_{kind}", table.name, _newest(table))
        for schema, name in changed & set(copies):
            engine.write(schema, {name: db.execute(f'from {schema}."{name}"').to_arrow_table()})
            engine.forget(schema, name)
    if changed:
        engine.drop_staging()


def _there(engine: Engine, kind: Kind, tables: Iterable[RawTable]) -> list[RawTable]:
    """Those raw tables that the engine has."""
    found = set(engine.tables(f"raw_{kind}"))
    return [table for table in tables if table.name in found]


def _digest(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> tuple[int, int]:
    """What tells a table's rows from others, whatever their order: how many there are, and their hashes together."""
    return db.execute(f'select count(*), sum(hash(rows)::hugeint) from {schema}."{table}" as rows').fetchall()[0]


def _take_over(db: duckdb.DuckDBPyConnection, engine: Engine, kind: Kind, table: RawTable) -> None:
    """Remove and change in the engine what was removed and changed in the copy of a raw table."""
    schema, keys = f"raw_{kind}", [column_name(field) for field in table.key]
    _copy(db, engine, schema, f"{table.name}{_BEFORE}", _newest(table), of=table.name)
    before, after = f'{schema}."{table.name}{_BEFORE}"', f'{schema}."{table.name}"'
    same = " and ".join(f'b."{c}" is not distinct from a."{c}"' for c in ["connection", *keys])
    names = [name for name, *_ in db.execute(f"describe {before}").fetchall()]
    key = ", ".join(f'b."{c}"' for c in ["connection", *keys])
    gone, other = defaultdict[str, list[Key]](list), defaultdict[str, dict[Key, dict[str, str | None]]](dict)
    for connection, *rest in db.execute(f"select distinct {key} from {before} b anti join {after} a on {same}").fetchall():
        gone[connection].append(tuple(rest))
    for column in (name for name in names if name not in {"connection", *keys}):
        found = db.execute(
            f'select {key}, a."{column}" from {before} b join {after} a on {same} where b."{column}" is distinct from a."{column}"'
        )
        for connection, *rest, new in found.fetchall():
            other[connection].setdefault(tuple(rest), {})[column] = new
    db.execute(f"drop table {before}")
    for connection, some in gone.items():
        engine.remove(kind, connection, table, some)
    for connection, values in other.items():
        engine.change(kind, connection, table, values)
    engine.forget(schema, table.name)


def _show(db: duckdb.DuckDBPyConnection, engine: Engine, schema: str, table: str, only: str) -> None:
    """A table in place, where DuckDB can read it there, else a copy; of both only the rows that `only` leaves, as SQL."""
    if (relation := engine.relation(schema, table)) is None:
        _copy(db, engine, schema, table, only)
    else:
        _remove(db, schema, table)
        db.execute(f'create view {schema}."{table}" as select {_columns(db, relation, engine)} from {relation} {only}')


def _copy(db: duckdb.DuckDBPyConnection, engine: Engine, schema: str, table: str, only: str, *, of: str | None = None) -> None:
    """The rows of a table, or of another one of the schema, as a table of ours."""
    relation = engine.relation(schema, of or table)
    if relation is None:
        db.register("given", engine.read(schema, of or table))
        # Read twice below, which a stream could not be.
        db.execute("create or replace temp table given_rows as from given")
        db.unregister("given")
        relation = "given_rows"
    columns = _columns(db, relation, engine)
    _remove(db, schema, table)
    db.execute(f'create table {schema}."{table}" as select {columns} from {relation} {only}')
    db.execute("drop table if exists temp.given_rows")


def _remove(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> None:
    """What was shown under a name, be it a table or a view."""
    for kind in ("table", "view"):
        try:
            db.execute(f'drop {kind} if exists {schema}."{table}"')
        except duckdb.CatalogException:  # it is the other kind
            continue


def _columns(db: duckdb.DuckDBPyConnection, relation: str, engine: Engine) -> str:
    """The columns of a relation as ours are: our names, in lower case, and times in UTC without a zone."""
    ours = {there: here for here, there in engine.renamed.items()}
    found = db.execute(f"describe from {relation}").fetchall()
    return ", ".join(
        f'"{name}"{_IN_UTC if kind == "TIMESTAMP WITH TIME ZONE" else ""} as "{ours.get(name.lower(), name.lower())}"'
        for name, kind, *_ in found
    )


def _newest(table: RawTable) -> str:
    """What leaves the newest version of each row, as SQL."""
    keys, sets = (", ".join(f'"{column_name(f)}"' for f in fields) for fields in (table.key, table.replace_by))
    newest = f"row_number() over (partition by connection, {keys} order by _synced_at desc, _dlt_load_id desc) = 1"
    if not sets:
        return f"qualify {newest}"
    return f"qualify rank() over (partition by connection, {sets} order by _synced_at desc) = 1 and {newest}"


def _describe(db: duckdb.DuckDBPyConnection, schema: str, table: str, node: Mapping[str, Any]) -> None:
    """The descriptions that dbt would have written here."""
    there = {name for name, *_ in db.execute(f'describe {schema}."{table}"').fetchall()}
    if node["description"]:
        db.execute(f"comment on table {schema}.\"{table}\" is '{database.quoted(node['description'])}'")
    for name, column in node["columns"].items():
        if column["description"] and name in there:
            db.execute(f'comment on column {schema}."{table}"."{name}" is \'{database.quoted(column["description"])}\'')
