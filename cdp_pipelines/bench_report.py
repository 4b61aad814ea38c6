"""`make bench-report`: seconds that the report and the masked file take of a published file of 100,000 contacts.

The file is the one that was published (by `make demo`, say), so many times over: each copy's ids, names and addresses are its own, all else is as
it was. Beside the masked file's seconds are those of a plain copy, table by table, and the time of a token.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import duckdb

from cdp_pipelines import classified, database, mapping, masking, second_names
from cdp_pipelines.config import ConfigError, Settings, load_settings
from cdp_pipelines.pii import Pii
from cdp_pipelines.report import page

CONTACTS = 100_000
TOKENS = 1_000_000
_OWN = ("id", "name", "contact")
"""Classes of personal data (see pii.py) whose values are another copy's no more."""


@dataclass(frozen=True)
class Took:
    """Seconds of the processors and by the clock, and bytes written."""

    cpu: float
    wall: float
    size: int


def multiply(settings: Settings, target: Path, contacts: int) -> dict[str, int]:
    """Write what is published to a file, as many times over as makes so many contacts or a few more; gives the rows of each table.

    What the pipeline says of itself is there once. Raises what `database.attach` raises.
    """
    classes = classified.classes(mapping.load())
    with database.in_memory(settings) as db:
        database.attach(settings, db, settings.published, "given", read_only=True)
        database.attach(settings, db, target, "many")
        times = ceil(contacts / max(_count(db, 'given.main."contacts"'), 1))
        tables = db.execute("select schema_name, table_name from duckdb_tables() where database_name = 'given' order by all").fetchall()
        for schema, table in tables:
            db.execute(f'create schema if not exists many."{schema}"')
            db.execute(f'create table many."{schema}"."{table}" as {_copies(db, schema, table, classes.get(table, {}), times)}')
        second_names.add(db, "many", [table for _, table in tables])
        rows = {table: _count(db, f'many."{schema}"."{table}"') for schema, table in tables}
        db.execute("checkpoint many")
    return rows


def _copies(db: duckdb.DuckDBPyConnection, schema: str, table: str, classes: dict[str, Pii], times: int) -> str:
    columns = db.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'given' and schema_name = ? and table_name = ? order by column_index",
        [schema, table],
    ).fetchall()
    own = {name for name, kind in columns if kind == "VARCHAR" and classes.get(name) in _OWN}
    if not own:
        return f'select * from given."{schema}"."{table}"'
    shown = ", ".join(f"\"{name}\" || if(copy = 0, '', '.' || copy) as \"{name}\"" if name in own else f'"{name}"' for name, _ in columns)
    return f'select {shown} from given."{schema}"."{table}", range({times}) as copies(copy)'


def _count(db: duckdb.DuckDBPyConnection, table: str) -> int:
    return db.execute(f"select count(*) from {table}").fetchall()[0][0]


def took(do: Callable[[], Path]) -> Took:
    """How long something takes that gives the file that it wrote."""
    cpu, wall = time.process_time(), time.perf_counter()
    written = do()
    return Took(time.process_time() - cpu, time.perf_counter() - wall, written.stat().st_size)


def _masked(settings: Settings) -> Path:
    written = masking.mask(settings)
    assert written is not None
    return written.path


def copy(settings: Settings) -> Path:
    """The published file's tables but for those that the masked file leaves out, as they are, in a new file."""
    target = settings.data_dir / "copy.duckdb"
    left_out = {spec.provenance for spec in mapping.load().unified.values()}
    with database.in_memory(settings) as db:
        database.attach(settings, db, settings.published, "published", read_only=True)
        database.attach(settings, db, target, "copy")
        db.execute("begin")
        for schema, table in db.execute("select schema_name, table_name from duckdb_tables() where database_name = 'published'").fetchall():
            if table not in left_out:
                db.execute(f'create table copy."{table}" as from published."{schema}"."{table}"')
        db.execute("commit")
        db.execute("checkpoint copy")
    return target


def microseconds_of_a_token(tokens: int = TOKENS) -> float:
    """Of one processor, beyond making up the values."""
    with database.scratch() as db:
        db.execute("set threads = 1")
        masking.make_token_of(db, b"k" * 32)
        seconds = []
        for value in ("'person' || i || '@example.com'", "token_of('person' || i || '@example.com')"):
            began = time.process_time()
            db.execute(f"select max({value}) from range({tokens}) as t(i)").fetchall()
            seconds.append(time.process_time() - began)
    return (seconds[1] - seconds[0]) / tokens * 1e6


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench_report", description=__doc__)
    parser.add_argument("--contacts", type=int, default=CONTACTS, help="contact records (default: %(default)s)")
    given = parser.parse_args()
    try:
        settings = load_settings()
        if not settings.published.exists():
            sys.exit(f"There is no published file to multiply ({settings.published}). Run `make demo` first.")
        with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
            many = settings.model_copy(update={"data_dir": Path(folder), "masked": True})
            rows = multiply(settings, many.published, given.contacts)
            size = many.published.stat().st_size / 1e6
            print(f"{rows['contacts']:,} contacts, {rows['customers']:,} customers, {sum(rows.values()):,} rows in all; {size:.0f} MB")
            print(f"{'':24}{'CPU s':>8}{'s':>8}{'MB':>8}")
            for what, do in {
                "report": lambda: page.build(many),
                "masked file": lambda: _masked(many),
                "copy without masking": lambda: copy(many),
            }.items():
                found = took(do)
                print(f"{what:24}{found.cpu:8.1f}{found.wall:8.1f}{found.size / 1e6:8.1f}")
            print(f"a token: {microseconds_of_a_token():.1f} microseconds of one processor")
    except ConfigError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
