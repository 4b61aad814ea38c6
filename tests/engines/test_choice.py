"""Which engine the settings name, what each needs, and what is said where something is missing."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.engines import raw
from cdp_pipelines.engines.choice import elsewhere, names_elsewhere
from cdp_pipelines.engines.postgres import Postgres
from cdp_pipelines.engines.spark import Spark
from cdp_pipelines.sources.reader import RawTable

ADDRESSES = {
    "postgres": "postgresql://ann:pass%2Fword@db.example:5433/crm",
    "spark": "spark://thrift.example:10001",
    "snowflake": "snowflake://ann:pass%2Fword@acme/crm?warehouse=small&role=loader",
    "bigquery": "bigquery://acme-crm?location=EU",
    "databricks": "databricks://token:pass%2Fword@acme.example/crm?http_path=/sql/1.0/warehouses/1",
    "redshift": "redshift://ann:pass%2Fword@cluster.example:5439/crm",
}
LAKE = {"iceberg_catalog": "postgresql+psycopg2://ann@db.example/lake", "iceberg_warehouse": "file:///srv/lake"}


def settings(engine: str, **more: Any) -> Settings:
    return Settings.model_validate({"engine": engine, **more})


def test_duckdb_is_no_other_engine():
    assert elsewhere(settings("duckdb")) is None
    assert names_elsewhere(settings("duckdb")) == {}


@pytest.mark.parametrize("engine", ADDRESSES)
def test_each_engine_tells_dbt_where_it_is_and_keeps_its_password_for_a_secret(engine: str):
    chosen = elsewhere(settings(engine, engine_url=ADDRESSES[engine], **LAKE))
    assert chosen is not None
    assert chosen.name == engine
    told = chosen.variables()
    secrets = {name: value for name, value in told.items() if value == "pass/word"}
    assert all(name.startswith("DBT_ENV_SECRET_") for name in secrets)
    assert bool(secrets) == ("pass" in ADDRESSES[engine])
    assert any(name.startswith(f"CDP_{engine.upper()}_") for name in told)


@pytest.mark.parametrize("engine", ADDRESSES)
def test_a_missing_address_is_named_with_what_it_looks_like(engine: str):
    with pytest.raises(ConfigError) as raised:
        elsewhere(settings(engine, **LAKE))
    assert raised.value.setting == "CDP_ENGINE_URL"
    assert engine in str(raised.value)
    assert "://" in raised.value.remedy


@pytest.mark.parametrize("engine", ADDRESSES)
def test_an_address_of_something_else_is_refused_without_showing_it(engine: str):
    with pytest.raises(ConfigError) as raised:
        elsewhere(settings(engine, engine_url="mysql://ann:pass-word@db.example/crm", **LAKE))
    assert raised.value.setting == "CDP_ENGINE_URL"
    assert "pass-word" not in str(raised.value)


@pytest.mark.parametrize("missing", LAKE)
def test_spark_needs_its_catalog_and_where_the_tables_are(missing: str):
    with pytest.raises(ConfigError) as raised:
        elsewhere(settings("spark", engine_url=ADDRESSES["spark"], **(LAKE | {missing: None})))
    assert raised.value.setting == f"CDP_{missing.upper()}"


def test_a_view_of_a_postgres_table_names_the_server_and_no_password():
    relation = Postgres(settings("postgres", engine_url=ADDRESSES["postgres"])).relation("raw_hubspot", "contacts")
    assert relation == "postgres_scan('host=db.example port=5433 dbname=crm user=ann sslmode=prefer', 'raw_hubspot', 'contacts')"


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_the_encryption_that_is_asked_for_is_asked_of_the_server_in_every_way(mode: str):
    engine = Postgres(settings("postgres", engine_url=f"{ADDRESSES['postgres']}?sslmode={mode}"))
    assert engine.variables()["CDP_POSTGRES_SSLMODE"] == mode
    assert f"sslmode={mode}" in (engine.relation("raw_hubspot", "contacts") or "")


@pytest.mark.parametrize("query", ["sslmode=on", "sslrootcert=ca.pem", "sslmode="])
def test_what_an_address_asks_for_and_nobody_would_heed_is_refused(query: str):
    with pytest.raises(ConfigError, match="CDP_ENGINE_URL asks for"):
        Postgres(settings("postgres", engine_url=f"{ADDRESSES['postgres']}?{query}"))


def test_a_bucket_is_read_by_pyiceberg_not_in_place():
    spark = Spark(settings("spark", engine_url=ADDRESSES["spark"], **(LAKE | {"iceberg_warehouse": "s3://acme/lake"})))
    assert spark.relation("raw_hubspot", "contacts") is None


class Told(raw.SqlEngine):
    """Keeps the statements."""

    name = "told"

    def __init__(self):
        self.said: list[str] = []

    def run(self, statements):
        self.said += statements

    def tables(self, schema):
        return ["deal_contact_associations", "user"]

    destination = variables = write = read = forget = None


TABLES = (
    RawTable("user", "User", ("Id",)),
    RawTable("deal_contact_associations", "associations", ("from_id", "to_id"), replace_by=("from_id",)),
    RawTable("not_there", "NotThere", ("Id",)),
)


@pytest.mark.parametrize("dialect", ["postgres", "snowflake", "bigquery", "redshift", "databricks", "duckdb"])
def test_what_changes_raw_tables_is_said_in_each_engines_words(dialect: str):
    engine = type("ToldIn", (Told,), {"dialect": dialect})()
    engine.keep_newest("hubspot", "o'brien", TABLES)
    engine.remove("hubspot", "o'brien", TABLES[0], [["1"], ["2"]])
    engine.remove("hubspot", "o'brien", TABLES[1], [["1", None], ["2", "it's"]])
    engine.change("hubspot", "acme", TABLES[0], {("1",): {"email": None, "name": 'a "b"'}})
    engine.retire(None, "hubspot", "acme", TABLES[0], "2026", ["email"])  # ty: ignore[invalid-argument-type]
    engine.retire(None, "hubspot", "acme", TABLES[1], "2026", [])  # ty: ignore[invalid-argument-type]
    kinds = [type(sqlglot.parse_one(one, read=dialect)).__name__ for one in engine.said]
    assert kinds == ["Delete"] * 5 + ["Update", "Update", "Delete"]
    assert not any("not_there" in one.lower() for one in engine.said)
    quoted = {"bigquery": "`user`", "databricks": "`user`", "snowflake": '"USER"'}.get(dialect, '"user"')
    assert quoted in engine.said[0]
