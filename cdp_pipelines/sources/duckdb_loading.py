"""dlt's DuckDB destination as the warehouse needs it: by the one door to DuckDB files, encrypted ones too, and frugal.

dlt would connect to the file, which an encrypted one does not allow: it can only be attached, and given a connection to a database in memory
that has the warehouse attached, dlt would load into the one in memory.

DuckDB keeps in memory what one load writes, and when it has written that to the file, fills up the row group that the load before it left,
which for loads of 250,000 rows is most of the memory that a sync takes at all. Given less, it puts that aside in files. How little does
depends on how many columns a table has, since each has a block or two of its own (measured: 64 columns are written with 64 MB, 600 with
600 MB but not with 450), and on how much the rows of a row group say. A load for which it was not enough is repeated without the limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow.parquet as pq
from dlt.common.destination import DestinationCapabilitiesContext, PreparedTableSchema
from dlt.common.destination.client import LoadJob
from dlt.common.schema import Schema
from dlt.destinations import duckdb as duckdb_destination
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from cdp_pipelines import database
from cdp_pipelines.config import Settings

# Of several row groups not five are to wait for each other in memory. What a load commits is written to the file at once: dlt would have
# DuckDB write it to the log first, and to the file when it closes.
_SETTINGS = ("write_buffer_row_group_count = 1", "checkpoint_threshold = '16MB'")
# Of a Parquet file, in bytes.
_LARGE = 4 << 20
_MEGABYTES, _MEGABYTES_A_COLUMN, _TIMES_WHAT_IS_SAID = 128, 1.1, 1.2
_ROW_GROUP = 122_880
# The second says then that it failed to commit, and has taken all back; or, of a checkpoint, that somebody reads.
_TOO_LITTLE_MEMORY = (duckdb.OutOfMemoryException, duckdb.TransactionException)


class _CopyJob(DuckDbCopyJob):
    def __init__(self, file_path: str, settings: Settings):
        super().__init__(file_path)
        self._usual = database.memory_limit(settings)
        self._is_large = Path(file_path).stat().st_size > _LARGE
        self._megabytes = _megabytes(pq.read_metadata(file_path))

    def run(self) -> None:
        """Insert a file, if need be with as much memory as DuckDB would take by itself."""
        db = self._job_client.sql_client.native_connection
        try:
            self._insert(db, f"{self._megabytes}MB")
        except DatabaseException as error:
            if not isinstance(error.dbapi_exception, _TOO_LITTLE_MEMORY):
                raise
            self._insert(db, self._usual)

    def _insert(self, db: duckdb.DuckDBPyConnection, memory: str) -> None:
        with _frugal(db, memory, self._usual):
            super().run()
            if self._is_large:
                # Which is when row groups are filled up. If it cannot be done now, it is when the file is closed.
                with contextlib.suppress(*_TOO_LITTLE_MEMORY):
                    db.execute("checkpoint")


class _SqlClient(DuckDbSqlClient):
    settings: Settings

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own; all of one process share the database."""
        self._conn = database.connect(self.settings, self.settings.warehouse)
        for setting in _SETTINGS:
            self._conn.execute(f"set {setting}")
        return self._conn

    def close_connection(self) -> None:
        """Close it; the file is closed with the last one."""
        if self._conn:
            self._conn.close()
            self._conn = None  # ty: ignore[invalid-assignment]

    def catalog_name(self, quote: bool = True, casefold: bool = True) -> str | None:
        """Tables are named with the file that they are in."""
        name = self.settings.warehouse.stem
        return self.capabilities.escape_identifier(name) if quote else name


class _Client(DuckDbClient):
    settings: ClassVar[Settings]

    def __init__(self, schema: Schema, config: DuckDbClientConfiguration, capabilities: DestinationCapabilitiesContext):
        super().__init__(schema, config, capabilities)
        usual = self.sql_client
        ours = _SqlClient(usual.dataset_name, usual.staging_dataset_name, config.credentials, capabilities)
        ours.settings = self.settings
        self.sql_client = ours

    def create_load_job(self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False) -> LoadJob:
        """See dlt's client."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path, self.settings) if isinstance(job, DuckDbCopyJob) else job


class WarehouseDuckDb(duckdb_destination):
    """The destination; `of` gives the one of a data directory."""

    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> WarehouseDuckDb:
        """The warehouse of these settings."""
        credentials = DuckDbCredentials()
        # Given to the constructor, it would be parsed as a URL, for which dlt loads SQLAlchemy.
        credentials.database = str(settings.warehouse)
        made = cls(credentials)
        made.settings = settings
        return made

    @property
    def client_class(self) -> type[DuckDbClient]:
        """See dlt's Destination."""
        return type("Client", (_Client,), {"settings": self.settings})


def _megabytes(file: pq.FileMetaData) -> int:
    """With how much memory DuckDB should do to load a file into its table."""
    said = sum(file.row_group(n).total_byte_size for n in range(file.num_row_groups)) / 1e6 * min(_ROW_GROUP / max(file.num_rows, 1), 1)
    return max(_MEGABYTES, round(_MEGABYTES_A_COLUMN * file.num_columns), round(_TIMES_WHAT_IS_SAID * said))


@contextlib.contextmanager
def _frugal(db: duckdb.DuckDBPyConnection, memory: str, usual: str) -> Generator[None]:
    """Little memory, and one thread: two take a third more processor time for a load, and hold row groups of their own in memory each.
    Then again the usual memory; DuckDB's own `reset` of it changes what it says and not what it takes."""
    db.execute(f"set memory_limit = '{memory}'; set threads = 1")
    try:
        yield
    finally:
        db.execute(f"reset threads; set memory_limit = '{usual}'")
