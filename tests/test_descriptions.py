"""Whoever opens a published file finds what each table and column of it means."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.publish import publish
from tests.test_transform import RawWarehouse


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Every table that there is, built by the real models from CRMs that hold nobody."""
    raw = RawWarehouse(tmp_path_factory.mktemp("warehouse"))
    assert all(result.ok for result in raw.build())
    publish(raw.settings)
    return raw.settings


def undescribed(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as db:
        columns = db.execute(
            "select schema_name || '.' || table_name || '.' || column_name from duckdb_columns() "
            "where not internal and database_name = current_database() and comment is null order by all"
        ).fetchall()
        tables = db.execute(
            "select table_name from duckdb_tables() where comment is null "
            "union all select view_name from duckdb_views() where not internal and comment is null"
        ).fetchall()
    return [name for (name,) in columns + tables]


def test_every_column_and_table_of_the_published_file_is_described(published: Settings):
    assert undescribed(published.published) == []


def test_and_of_the_masked_file(published: Settings):
    assert undescribed(published.masked_file) == []


def test_a_second_name_says_what_the_table_says(published: Settings):
    told = "select column_name, comment from duckdb_columns() where schema_name = '{}' and table_name = '{}' order by all"
    with duckdb.connect(str(published.published), read_only=True) as db:
        view = db.execute(told.format("unified", "companies")).fetchall()
        assert view == db.execute(told.format("main", "customer_companies")).fetchall() != []
