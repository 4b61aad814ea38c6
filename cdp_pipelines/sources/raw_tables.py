"""The raw tables as dlt makes them: bookkeeping columns, then the vendor's fields as text, appended.

dlt's own merge would write each row twice, to a staging table and from there, and sort whole rows; `warehouse.keep_newest` looks at keys alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dlt
import pyarrow as pa
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.extract import DltResource, DltSource

from cdp_pipelines import mapping
from cdp_pipelines.config import Kind, Settings
from cdp_pipelines.sources.columns import arrow_schema, assign_columns, column_name
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, RawTable

CONNECTION, SYNCED_AT = "connection", "_synced_at"


def create_raw_tables(kind: Kind, tables: Iterable[RawTable], settings: Settings) -> None:
    """Create a CRM's raw tables, empty, where there is no connection that could fill them: the models read all of them."""

    @dlt.source(name=f"raw_{kind}")
    def declared() -> Iterator[DltResource]:
        for table in tables:
            columns = declared_columns(kind, table)
            yield resource_of(table, columns, partial(_no_rows, schema_of(table, columns)))

    run(pipeline_of(kind, "none", settings), declared())


def declared_columns(kind: str, table: RawTable) -> dict[str, str]:
    """Field -> column for the fields that exist whatever the CRM has: the table's own and the ones that the mapping reads."""
    return assign_columns([*table.key, *table.fields, *mapping.load().raw_fields(kind, table.name)], {})


def schema_of(table: RawTable, columns: Mapping[str, str]) -> pa.Schema:
    """Bookkeeping first, then the vendor's fields."""
    return arrow_schema([CONNECTION, SYNCED_AT, DELETED, MERGED_INTO, *columns.values()], required=_required(table))


def _no_rows(schema: pa.Schema) -> Iterator[pa.Table]:
    yield schema.empty_table()


def _required(table: RawTable) -> list[str]:
    return [CONNECTION, SYNCED_AT, *(column_name(f) for f in table.replace_by or table.key)]


def resource_of(table: RawTable, columns: Mapping[str, str], rows: Callable[[], Iterator[pa.Table]]) -> DltResource:
    """A raw table as a dlt resource; `rows` gives its Arrow tables."""
    required = _required(table)
    hints: dict[str, Any] = {
        c: {"data_type": "text", "nullable": c not in required}
        for c in (CONNECTION, SYNCED_AT, DELETED, MERGED_INTO, *columns.values())
    }  # fmt: skip
    key = [CONNECTION, *map(column_name, table.key)]

    def items() -> Iterator[pa.Table]:  # dlt takes a function's parameters for configuration, so this one has none
        yield from rows()

    return dlt.resource(items, name=table.name, write_disposition="append", columns=hints, primary_key=key)


def pipeline_of(kind: str, name: str, settings: Settings) -> dlt.Pipeline:
    """A pipeline whose local state is scratch: the warehouse remembers, so that the two can never disagree."""
    folder, pipeline = settings.data_dir / "dlt", f"{kind}__{name}"
    # Before dlt looks at it: it fails at a file that was cut off.
    shutil.rmtree(folder / pipeline, ignore_errors=True)
    return dlt.pipeline(
        pipeline,
        pipelines_dir=str(folder),
        dataset_name=f"raw_{kind}",
        # One thread: two take a third more processor time for a load, and hold a row group of their own in memory each.
        destination=dlt.destinations.duckdb(DuckDbCredentials(str(settings.warehouse), global_config={"threads": 1})),
    )


def run(pipeline: dlt.Pipeline, source: DltSource) -> None:
    """Extract, normalize and load. Raises PipelineStepFailed."""
    # One table after the other: a table may need what the ones before it found. Their pages are fetched ahead all the same.
    logging.getLogger("dlt").setLevel(logging.CRITICAL)  # it logs what it raises too, with tracebacks
    with _dlt_configured():
        pipeline.run(source)


@contextlib.contextmanager
def _dlt_configured() -> Generator[None]:
    values = {
        "EXTRACT__NEXT_ITEM_MODE": "fifo",
        "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def stamp(moment: datetime) -> str:
    """Text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
