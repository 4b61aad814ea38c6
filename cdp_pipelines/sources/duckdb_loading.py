"""dlt's DuckDB destination as the warehouse needs it: frugal, and able to write an encrypted file.

DuckDB keeps in memory what one load writes, and fills up the row group that the load before it left, which for a load of 250,000 rows is
most of what a sync takes at all. Given less, it puts that aside in files. How little does depends on how many columns a table has: each has
a block or two of its own (measured: 64 columns are written with 64 MB, 600 with 600 MB but not with 450; documents in a column take more).
A load for which it was not enough is repeated without the limit.

An encrypted file cannot be connected to, only attached, for which dlt has no way: given a connection to a database in memory that has the
warehouse attached, it would load into the one in memory.
"""

from __future__ import annotations

from typing import ClassVar

import duckdb
from dlt.common.destination import DestinationCapabilitiesContext, PreparedTableSchema
from dlt.common.destination.client import LoadJob
from dlt.common.schema import Schema
from dlt.destinations import duckdb as duckdb_destination
from dlt.destinations.exceptions import DatabaseTransientException
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from cdp_pipelines import database, encryption
from cdp_pipelines.config import Settings

# Two threads take a third more processor time for a load than one, and hold row groups of their own in memory each; of those not five are
# to wait for each other. What a load commits is written to the file at once: dlt would have DuckDB write it to the log first, and to the
# file when it closes.
_PRAGMAS = ["threads = 1", "write_buffer_row_group_count = 1", "checkpoint_threshold = '16MB'"]
_MEGABYTES, _MEGABYTES_A_COLUMN = 128, 1.5


class _CopyJob(DuckDbCopyJob):
    def run(self) -> None:
        """Insert a file, if need be with as much memory as DuckDB would take by itself."""
        try:
            super().run()
        except DatabaseTransientException as error:
            client = self._sql_client
            if not isinstance(client, _SqlClient) or not isinstance(error.dbapi_exception, duckdb.OutOfMemoryException):
                raise
            client.destination.frugal = False
            client.native_connection.execute("reset memory_limit")
            super().run()


class _SqlClient(DuckDbSqlClient):
    destination: WarehouseDuckDb
    megabytes: int

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own; all of one process share the database, and what is set for it."""
        if self.encrypted:
            self._conn = database.connect(self.destination.settings, self.destination.settings.warehouse)
            for name, value in self._global_config.items():
                self._conn.execute(f"set {name} = '{value}'")
            for pragma in (*(self.credentials.pragmas or ()), *self._pragmas):
                self._conn.execute(f"pragma {pragma}")
        else:
            super().open_connection()
        if self.destination.frugal:
            self._conn.execute(f"set memory_limit = '{self.megabytes}MB'")
        return self._conn

    def close_connection(self) -> None:
        """Close it; the file is closed with the last one."""
        if not self.encrypted:
            super().close_connection()
        elif self._conn:
            self._conn.close()
            self._conn = None  # ty: ignore[invalid-assignment]

    def catalog_name(self, quote: bool = True, casefold: bool = True) -> str | None:
        """Tables are named with the file that they are in."""
        if not self.encrypted:
            return super().catalog_name(quote, casefold)
        name = self.destination.settings.warehouse.stem
        return self.capabilities.escape_identifier(name) if quote else name

    @property
    def encrypted(self) -> bool:
        """Whether the warehouse is."""
        return encryption.load(self.destination.settings) is not None


class _Client(DuckDbClient):
    destination: ClassVar[WarehouseDuckDb]

    def __init__(self, schema: Schema, config: DuckDbClientConfiguration, capabilities: DestinationCapabilitiesContext):
        super().__init__(schema, config, capabilities)
        usual = self.sql_client
        ours = _SqlClient(usual.dataset_name, usual.staging_dataset_name, config.credentials, capabilities)
        ours.destination, ours.megabytes = self.destination, _megabytes(schema)
        self.sql_client = ours

    def create_load_job(self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False) -> LoadJob:
        """See dlt's client."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path) if isinstance(job, DuckDbCopyJob) else job


class WarehouseDuckDb(duckdb_destination):
    """The destination; `of` gives the one of a data directory. `frugal` until a load needs more memory."""

    settings: Settings
    frugal = True

    @classmethod
    def of(cls, settings: Settings) -> WarehouseDuckDb:
        """The warehouse of these settings."""
        credentials = DuckDbCredentials(pragmas=_PRAGMAS)
        # Given to the constructor, it would be parsed as a URL, for which dlt loads SQLAlchemy.
        credentials.database = str(settings.warehouse)
        made = cls(credentials)
        made.settings = settings
        return made

    @property
    def client_class(self) -> type[DuckDbClient]:
        """See dlt's Destination."""
        return type("Client", (_Client,), {"destination": self})


def _megabytes(schema: Schema) -> int:
    """How much memory DuckDB may take to load into the widest of some tables."""
    columns = max((len(table["columns"]) for table in schema.tables.values()), default=0)
    return max(_MEGABYTES, round(columns * _MEGABYTES_A_COLUMN))
