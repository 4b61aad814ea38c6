"""dlt's PostgreSQL destination, which fails at a file without rows (dlt 1.31: ADBC takes no schema from a stream without batches). A table that
a CRM has nothing of is such a file: it makes the table with its columns."""

from __future__ import annotations

from dlt.common.destination.client import LoadJob, PreparedTableSchema
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient
from pyarrow import parquet

from cdp_pipelines.engines.finished_jobs import NothingToDoYet


class _Client(PostgresClient):
    def create_load_job(self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False) -> LoadJob:
        """See dlt's JobClientBase. A file without rows is done: its table was made before."""
        if file_path.endswith(".parquet") and parquet.read_metadata(file_path).num_rows == 0:
            return NothingToDoYet(file_path)
        return super().create_load_job(table, file_path, load_id, restore)


class Destination(postgres):
    """The destination."""

    @property
    def client_class(self) -> type[PostgresClient]:
        """See dlt's Destination."""
        return _Client
