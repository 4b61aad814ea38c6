"""How much memory a load may take, and what becomes of one for which that is too little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.destinations.exceptions import DatabaseTransientException
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.extract import DltResource

from cdp_pipelines import database
from cdp_pipelines.config import Settings
from cdp_pipelines.sources import duckdb_loading, raw_tables, registry

KEY = "ab" * 32
NOW = "select current_setting('memory_limit'), current_setting('threads')"
TABLE = next(table for table in registry.TABLES["hubspot"] if table.name == "contacts")


@pytest.fixture(params=["plain", "encrypted"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, **({"encryption_key": KEY} if request.param == "encrypted" else {})})


def loaded(settings: Settings, *fields: str, rows: int = 2_000) -> None:
    """Contacts with some fields, each of a thousand characters, in the warehouse."""
    columns = raw_tables.declared_columns("hubspot", TABLE) | {field: field for field in fields}
    schema = raw_tables.schema_of(TABLE, columns)
    texts = {"connection": ["hubspot"] * rows, "id": list(map(str, range(rows))), "_synced_at": ["2026-01-01"] * rows}
    texts |= {field: [f"{n:01000d}" for n in range(rows)] for field in fields}
    given = pa.table([pa.array(texts.get(f.name, [None] * rows), f.type) for f in schema], schema=schema)

    @dlt.source(name="raw_hubspot")
    def crm() -> Iterator[DltResource]:
        yield raw_tables.resource_of(TABLE, columns, lambda: iter([given]), {})

    raw_tables.load(raw_tables.pipeline_of("hubspot", "acme", settings), crm(), "hubspot", settings)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """With how much memory DuckDB tried to load what."""
    tried: list[str] = []
    run = DuckDbCopyJob.run

    def told(job: DuckDbCopyJob) -> None:
        db = job._job_client.sql_client.native_connection
        tried.append(db.execute("select current_setting('memory_limit')").fetchall()[0][0])
        run(job)

    monkeypatch.setattr(DuckDbCopyJob, "run", told)
    return tried


def megabytes(limit: str) -> float:
    assert limit.endswith(" MiB"), limit
    return float(limit.removesuffix(" MiB")) * 1.048576


def test_a_load_takes_little_memory_and_more_for_a_wide_table(settings: Settings, limits: list[str]):
    with database.connect(settings, settings.warehouse) as db:
        db.execute(f"set memory_limit = '{database.memory_limit(settings)}'")
        before = db.execute(NOW).fetchall()
        loaded(settings)
        assert megabytes(limits[-1]) == pytest.approx(128, abs=1)
        loaded(settings, *(f"f{n}" for n in range(200)), rows=10)
        assert 200 < megabytes(limits[-1]) < 300
        assert db.execute(NOW).fetchall() == before, "what else is done with the file has all"


def test_a_load_for_which_that_is_too_little_takes_what_it_needs(settings: Settings, limits: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duckdb_loading, "_MEGABYTES", 3)
    monkeypatch.setattr(duckdb_loading, "_MEGABYTES_A_COLUMN", 0)
    loaded(settings, "essay")
    assert megabytes(limits[-2]) < 4
    assert limits[-1].endswith("GiB")
    with database.connect(settings, settings.warehouse) as db:
        assert db.execute("select count(*), min(length(essay)) from raw_hubspot.contacts").fetchall() == [(2_000, 1_000)]


def test_so_does_one_that_could_not_be_committed(settings: Settings, limits: list[str], monkeypatch: pytest.MonkeyPatch):
    insert = DuckDbSqlClient.execute_sql

    def failing(client: DuckDbSqlClient, sql: str, *given: object) -> object:
        if sql.startswith("INSERT INTO") and "read_parquet" in sql and len(limits) == 1:
            raise DatabaseTransientException(duckdb.TransactionException("Failed to commit: failed to pin block of size 256.0 KiB"))
        return insert(client, sql, *given)

    monkeypatch.setattr(DuckDbSqlClient, "execute_sql", failing)
    loaded(settings, "essay")
    assert [limit.split()[-1] for limit in limits] == ["MiB", "GiB"]
    with database.connect(settings, settings.warehouse) as db:
        assert db.execute("select count(*) from raw_hubspot.contacts").fetchall() == [(2_000,)]


def test_a_large_load_is_whole_where_somebody_reads_meanwhile(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """DuckDB then makes no checkpoint."""
    monkeypatch.setattr(duckdb_loading, "_LARGE", 1)
    loaded(settings, "essay")
    with database.connect(settings, settings.warehouse) as db:
        db.begin()
        assert db.execute("select count(*) from raw_hubspot.contacts").fetchall() == [(2_000,)]
        loaded(settings, "essay")
        db.rollback()
        assert db.execute("select count(*) from raw_hubspot.contacts").fetchall() == [(4_000,)]


def test_what_a_large_load_wrote_is_in_the_file_while_memory_is_still_little(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duckdb_loading, "_LARGE", 1)
    log = settings.warehouse.with_name("warehouse.duckdb.wal")
    with database.connect(settings, settings.warehouse):
        loaded(settings, "essay")
        assert settings.warehouse.stat().st_size > 100_000
        assert not log.exists() or log.stat().st_size < 100_000
