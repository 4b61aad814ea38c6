"""How much memory a load may take, and what becomes of one for which that is too little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pytest
from dlt.extract import DltResource

from cdp_pipelines import database
from cdp_pipelines.config import Settings
from cdp_pipelines.sources import duckdb_loading, raw_tables, registry
from cdp_pipelines.sources.duckdb_loading import WarehouseDuckDb

KEY = "ab" * 32
TABLE = next(table for table in registry.TABLES["hubspot"] if table.name == "contacts")


@pytest.fixture(params=["plain", "encrypted"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, **({"encryption_key": KEY} if request.param == "encrypted" else {})})


def loaded(settings: Settings, *fields: str, rows: int = 2_000) -> dlt.Pipeline:
    """Contacts with some fields, each of a thousand characters, in the warehouse."""
    columns = raw_tables.declared_columns("hubspot", TABLE) | {field: field for field in fields}
    schema = raw_tables.schema_of(TABLE, columns)
    texts = {"connection": ["hubspot"] * rows, "id": list(map(str, range(rows))), "_synced_at": ["2026-01-01"] * rows}
    texts |= {field: [f"{n:01000d}" for n in range(rows)] for field in fields}
    given = pa.table([pa.array(texts.get(f.name, [None] * rows), f.type) for f in schema], schema=schema)

    @dlt.source(name="raw_hubspot")
    def crm() -> Iterator[DltResource]:
        yield raw_tables.resource_of(TABLE, columns, lambda: iter([given]), {})

    pipeline = raw_tables.pipeline_of("hubspot", "acme", settings)
    raw_tables.load(pipeline, crm(), "hubspot", settings)
    return pipeline


def limit(pipeline: dlt.Pipeline) -> str:
    """What DuckDB says of a connection like those that load."""
    client = pipeline.sql_client()
    client.open_connection()
    try:
        rows = client.execute_sql("select current_setting('memory_limit')")
    finally:
        client.close_connection()
    assert rows is not None
    return rows[0][0]


def test_a_load_takes_little_memory_and_more_for_a_wide_table(settings: Settings):
    assert limit(loaded(settings)) == "122.0 MiB"
    wide = loaded(settings, *(f"f{n}" for n in range(200)), rows=10)
    assert 300 < float(limit(wide).removesuffix(" MiB")) < 400


def test_a_load_for_which_that_is_too_little_takes_what_it_needs(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duckdb_loading, "_MEGABYTES", 3)
    monkeypatch.setattr(duckdb_loading, "_MEGABYTES_A_COLUMN", 0)
    destination = loaded(settings, "essay").destination
    assert isinstance(destination, WarehouseDuckDb)
    assert not destination.frugal
    with database.connect(settings, settings.warehouse) as db:
        assert db.execute("select count(*), min(length(essay)) from raw_hubspot.contacts").fetchall() == [(2_000, 1_000)]
