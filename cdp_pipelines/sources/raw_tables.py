"""The raw tables as dlt makes them: bookkeeping columns, then the vendor's fields as text, appended.

dlt's own merge would write each row twice, to a staging table and from there, and sort whole rows; `warehouse.keep_newest` looks at keys alone.
Rows reach dlt as Parquet files (`load_files.py`), which it hands to DuckDB as they are.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource, DltSource

from cdp_pipelines import mapping
from cdp_pipelines.config import Kind, Settings
from cdp_pipelines.engines.choice import elsewhere, names_elsewhere
from cdp_pipelines.environment import environment
from cdp_pipelines.sources.columns import arrow_schema, assign_columns, column_name
from cdp_pipelines.sources.duckdb_loading import WarehouseDuckDb
from cdp_pipelines.sources.load_files import load_files
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, RawTable

CONNECTION, SYNCED_AT = "connection", "_synced_at"

# One table after the other: a table may need what the ones before it found. Their pages are fetched ahead all the same.
_DLT = {"EXTRACT__NEXT_ITEM_MODE": "fifo", "LOAD__WORKERS": "1"}


def create_raw_tables(kind: Kind, tables: Iterable[RawTable], settings: Settings) -> None:
    """Create a CRM's raw tables, empty, where there is no connection that could fill them: the models read all of them."""

    names = names_elsewhere(settings)

    @dlt.source(name=f"raw_{kind}")
    def declared() -> Iterator[DltResource]:
        for table in tables:
            yield resource_of(table, declared_columns(kind, table), lambda: iter(()), names)

    load(pipeline_of(kind, "none", settings), declared(), kind, settings)


def declared_columns(kind: str, table: RawTable) -> dict[str, str]:
    """Field -> column for the fields that exist whatever the CRM has: the table's own and the ones that the mapping reads."""
    return assign_columns([*table.key, *table.fields, *mapping.load().raw_fields(kind, table.name)], {})


def schema_of(table: RawTable, columns: Mapping[str, str]) -> pa.Schema:
    """Bookkeeping first, then the vendor's fields."""
    return arrow_schema([CONNECTION, SYNCED_AT, DELETED, MERGED_INTO, *columns.values()], required=_required(table))


def _required(table: RawTable) -> list[str]:
    return [CONNECTION, SYNCED_AT, *(column_name(f) for f in table.replace_by or table.key)]


def resource_of(
    table: RawTable, columns: Mapping[str, str], rows: Callable[[], Iterator[pa.Table]], names: Mapping[str, str]
) -> DltResource:
    """A raw table as a dlt resource; `rows` gives its Arrow tables, `columns` those that it has in any case, and `names` which of them are
    called otherwise where they are loaded to."""

    def items() -> Iterator[object]:  # dlt takes a function's parameters for configuration, so this one has none
        schema = schema_of(table, columns)
        empty = _called(schema.empty_table(), names).schema
        yield from load_files(table.name, empty, (_called(some, names) for some in rows()))

    return dlt.resource(items, name=table.name, write_disposition="append")


def _called(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return rows.rename_columns([names.get(name, name) for name in rows.column_names]) if names else rows


def pipeline_of(kind: str, name: str, settings: Settings) -> dlt.Pipeline:
    """A pipeline whose local state is scratch: the warehouse remembers, so that the two can never disagree."""
    folder, pipeline = settings.data_dir / "dlt", f"{kind}__{name}"
    # Before dlt looks at it: it fails at a file that was cut off.
    shutil.rmtree(folder / pipeline, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return dlt.pipeline(pipeline, pipelines_dir=str(folder), dataset_name=f"raw_{kind}", destination=_destination(settings))


def _destination(settings: Settings) -> Any:
    if (engine := elsewhere(settings)) is not None:
        return engine.destination()
    return WarehouseDuckDb.of(settings)


def load(pipeline: dlt.Pipeline, source: DltSource, kind: Kind, settings: Settings) -> None:
    """Extract, normalize and load a CRM's tables. Raises PipelineStepFailed."""
    logging.getLogger("dlt").setLevel(logging.CRITICAL)  # it logs what it raises too, with tracebacks
    engine = elsewhere(settings)
    with environment(_DLT | (engine.variables() if engine else {})):
        pipeline.run(source, **(engine.load_options if engine else {}))


def stamp(moment: datetime) -> str:
    """Text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
