"""dlt's destination for Iceberg tables: each table's files are collected first, which is nothing to do, and then committed."""

from __future__ import annotations

from types import TracebackType

from dlt.common.destination.client import LoadJob, PreparedTableSchema
from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from cdp_pipelines.engines.finished_jobs import that_tells


class _Client(FilesystemClient):
    def create_load_job(self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False) -> LoadJob:
        """See dlt's JobClientBase."""
        return that_tells(super().create_load_job(table, file_path, load_id, restore))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:  # as dlt's
        """See dlt's JobClientBase. Each job has a client, whose connections to the catalog would stay open until Python finds that nobody needs them."""
        if self._catalog is not None:
            self._catalog.close()


class Destination(filesystem):
    """The destination."""

    @property
    def client_class(self) -> type[FilesystemClient]:
        """See dlt's Destination."""
        return _Client
