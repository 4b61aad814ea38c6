"""PostgreSQL, and what speaks its protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

import duckdb
import pyarrow as pa

from cdp_pipelines import database
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.engines.raw import SqlEngine
from cdp_pipelines.scrubbing import know

_URL = "the database's address, postgresql://user:password@host:5432/database, with ?sslmode=... where it is to be asked for"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Postgres(SqlEngine):
    """One database; CDP_ENGINE_URL says which."""

    name = "postgres"
    dialect = "postgres"
    load_options: ClassVar[Mapping[str, Any]] = {"loader_file_format": "parquet"}

    def __init__(self, settings: Settings):
        super().__init__(settings)
        if settings.engine_url is None:
            raise self.missing("CDP_ENGINE_URL", _URL)
        parts = urlsplit(settings.engine_url.get_secret_value())
        try:
            port = parts.port or 5432
        except ValueError:
            port = 0
        if not (parts.scheme in ("postgres", "postgresql") and parts.hostname and parts.username and parts.path.strip("/") and port):
            raise ConfigError("CDP_ENGINE_URL", "is no address of a PostgreSQL database", f"Set it to {_URL}.")
        asked = parse_qs(parts.query, keep_blank_values=True)
        self._sslmode = asked.pop("sslmode", ["prefer"])[-1]
        if asked or self._sslmode not in _SSL_MODES:
            said = ", ".join(asked) or f"sslmode={self._sslmode}"
            raise ConfigError("CDP_ENGINE_URL", f"asks for {said}, which is not known", f"sslmode is one of {', '.join(_SSL_MODES)}.")
        self._host, self._port, self._database = parts.hostname, port, unquote(parts.path.strip("/"))
        # dlt takes an empty password for none; a server that trusts the address does not look at it.
        self._user, self._password = unquote(parts.username), unquote(parts.password or "") or "none"
        know(self._password)

    def destination(self) -> Any:
        """See Engine."""
        from dlt.destinations.impl.postgres.configuration import PostgresCredentials

        from cdp_pipelines.engines.postgres_loading import Destination

        credentials = PostgresCredentials()
        credentials.host, credentials.port, credentials.database = self._host, self._port, self._database
        credentials.username, credentials.password = self._user, self._password
        credentials.query = {"sslmode": self._sslmode}
        return Destination(credentials)

    def variables(self) -> dict[str, str]:
        """See Engine."""
        return {
            "CDP_POSTGRES_HOST": self._host, "CDP_POSTGRES_PORT": str(self._port), "CDP_POSTGRES_DATABASE": self._database,
            "CDP_POSTGRES_USER": self._user, "DBT_ENV_SECRET_POSTGRES_PASSWORD": self._password,
            "CDP_POSTGRES_SSLMODE": self._sslmode,
        }  # fmt: skip

    def tables(self, schema: str) -> list[str]:
        """See Engine."""
        with closing(self._connected()) as db, db.cursor() as cursor:
            cursor.execute("select table_name from information_schema.tables where table_schema = %s order by 1", [schema])
            return [name for (name,) in cursor.fetchall()]

    def run(self, statements: Iterable[str]) -> None:
        """See SqlEngine."""
        with closing(self._connected()) as db, db.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                db.commit()

    def write(self, schema: str, tables: Mapping[str, pa.Table]) -> None:
        """See Engine. In one transaction, so that no reader sees some of them."""
        from adbc_driver_postgresql import dbapi  # ty: ignore[import-not-found]

        user, database_name = f"{quote(self._user, '')}:{quote(self._password, '')}", quote(self._database, "")
        where = f"postgresql://{user}@{self._host}:{self._port}/{database_name}?sslmode={self._sslmode}"
        with dbapi.connect(where) as db, db.cursor() as cursor:
            cursor.execute(f"create schema if not exists {schema}")
            for name, rows in tables.items():
                if alike := self._columns(schema, name) == rows.column_names:
                    cursor.execute(f'truncate {schema}."{name}"')  # views of it stay
                else:
                    cursor.execute(f'drop table if exists {schema}."{name}" cascade')
                cursor.adbc_ingest(name, rows, mode="append" if alike else "create", db_schema_name=schema)
            db.commit()

    def forget(self, schema: str, table: str) -> None:
        """See Engine."""
        with closing(self._connected()) as db:
            db.autocommit = True
            with db.cursor() as cursor:
                cursor.execute(f'vacuum full {schema}."{table}"')

    def prepare(self, db: duckdb.DuckDBPyConnection) -> None:
        """See Engine."""
        database.load_extensions(db, "CDP_ENGINE", "postgres_scanner")
        # A view that names the server is not to name its password too.
        os.environ["PGPASSWORD"] = self._password

    def relation(self, schema: str, table: str) -> str | None:
        """See Engine."""
        return f"postgres_scan('{self._where()}', '{schema}', '{table}')"

    def read(self, schema: str, table: str) -> pa.RecordBatchReader | pa.Table:
        """See Engine."""
        with database.scratch() as db:
            self.prepare(db)
            return db.execute(f"from {self.relation(schema, table)}").to_arrow_table()

    def _where(self) -> str:
        """The server without its password, for libpq."""
        parts = {"host": self._host, "port": self._port, "dbname": self._database, "user": self._user, "sslmode": self._sslmode}
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in parts.items()).replace("'", "''")

    def _columns(self, schema: str, table: str) -> list[str]:
        """A table's columns in their order; none where there is no such table."""
        query = "select column_name from information_schema.columns where table_schema = %s and table_name = %s order by ordinal_position"
        with closing(self._connected()) as db, db.cursor() as cursor:
            cursor.execute(query, [schema, table])
            return [name for (name,) in cursor.fetchall()]

    def _connected(self) -> Any:
        import psycopg2  # ty: ignore[import-not-found]

        return psycopg2.connect(
            host=self._host,
            port=self._port,
            dbname=self._database,
            user=self._user,
            password=self._password,
            sslmode=self._sslmode,
            connect_timeout=10,
        )


def _quoted(value: str) -> str:
    """A value of libpq's connection string."""
    if value and not any(c in value for c in " '\\"):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
