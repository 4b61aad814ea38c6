"""Apache Spark with Iceberg tables: dlt writes the raw tables, Spark's Thrift Server builds the models, and one SQL catalog names them for both.
A raw table's `_deleted` is `_is_deleted` there: Iceberg keeps the first name for itself, and Spark refuses a table that has such a column
(Iceberg 1.10, MetadataColumns). Rows of raw tables are removed and changed by pyiceberg, in commits of their own.

`CDP_ENGINE_URL` is the Thrift Server, `CDP_ICEBERG_CATALOG` the database of the catalog, `CDP_ICEBERG_WAREHOUSE` the folder or bucket of the
tables. The catalog is called `lake`, here and in Spark's settings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType

from cdp_pipelines import database
from cdp_pipelines.config import ConfigError, Kind, Settings
from cdp_pipelines.engines.engine import Engine, Key
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.load_files import LOAD_ID
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, RawTable

CATALOG, STAGING = "lake", "staging"
_KEYS_AT_ONCE = 200
_URL = "the Thrift Server's address, spark://host:10000"


class Spark(Engine):
    """One cluster."""

    name = "spark"
    dialect = "spark"
    load_options: ClassVar[Mapping[str, Any]] = {"table_format": "iceberg", "loader_file_format": "parquet"}
    renamed: ClassVar[Mapping[str, str]] = {DELETED: "_is_deleted"}

    def __init__(self, settings: Settings):
        super().__init__(settings)
        if settings.engine_url is None:
            raise self.missing("CDP_ENGINE_URL", _URL)
        if settings.iceberg_catalog is None:
            raise self.missing(
                "CDP_ICEBERG_CATALOG", "the address of the catalog's database, postgresql+psycopg2://user:password@host/database"
            )
        if settings.iceberg_warehouse is None:
            raise self.missing("CDP_ICEBERG_WAREHOUSE", "where the tables are, file:///folder or s3://bucket/folder, as Spark has it")
        parts = urlsplit(settings.engine_url.get_secret_value())
        if parts.scheme != "spark" or not parts.hostname:
            raise ConfigError("CDP_ENGINE_URL", "is no address of a Thrift Server", f"Set it to {_URL}.")
        self._host, self._port, self._user = parts.hostname, parts.port or 10000, unquote(parts.username or "cdp")
        self._catalog_uri, self._warehouse = settings.iceberg_catalog.get_secret_value(), settings.iceberg_warehouse

    def destination(self) -> Any:
        """See Engine."""
        from cdp_pipelines.engines.lake_loading import Destination

        return Destination(bucket_url=self._warehouse)

    def variables(self) -> dict[str, str]:
        """See Engine."""
        return {
            "CDP_SPARK_HOST": self._host, "CDP_SPARK_PORT": str(self._port), "CDP_SPARK_USER": self._user,
            "ICEBERG_CATALOG__ICEBERG_CATALOG_NAME": CATALOG, "ICEBERG_CATALOG__ICEBERG_CATALOG_TYPE": "sql",
            "ICEBERG_CATALOG__ICEBERG_CATALOG_CONFIG": json.dumps(self._properties()),
        }  # fmt: skip

    def tables(self, schema: str) -> list[str]:
        """See Engine. Spark's views are not among them: they are Spark's to read."""
        catalog = self._catalog()
        if not catalog.namespace_exists(schema):
            return []
        return sorted(name for *_, name in catalog.list_tables(schema))

    def write(self, schema: str, tables: Mapping[str, pa.Table]) -> None:
        """See Engine. Each table in one commit of its own."""
        catalog = self._catalog()
        catalog.create_namespace_if_not_exists(schema)
        for name, rows in tables.items():
            plain = rows.cast(_without_views(rows.schema))
            if catalog.table_exists((schema, name)):
                table = catalog.load_table((schema, name))
                if table.schema().as_arrow().names == plain.schema.names:
                    table.overwrite(plain.cast(table.schema().as_arrow()))
                    continue
                catalog.drop_table((schema, name))
            catalog.create_table((schema, name), plain.schema).append(plain)

    def keep_newest(self, kind: Kind, connection: str, tables: Iterable[RawTable]) -> None:
        """See Engine. A lake keeps what it was told: staging takes the newest version, and so does what is shown of a raw table."""

    def remove(self, kind: Kind, connection: str, table: RawTable, keys: Collection[Key]) -> None:
        """See Engine. The files that have them are written anew; the versions of the table before stay until its snapshots expire."""
        relation = self._catalog().load_table((f"raw_{kind}", table.name))
        for some in _conditions(connection, table, list(keys)):
            relation.delete(some)

    def change(self, kind: Kind, connection: str, table: RawTable, values: Mapping[Key, Mapping[str, str | None]]) -> None:
        """See Engine."""
        relation = self._catalog().load_table((f"raw_{kind}", table.name))
        for key, new in values.items():
            new = {self.renamed.get(column, column): value for column, value in new.items()}
            for where in _conditions(connection, table, [key]):
                rows = relation.scan(row_filter=where).to_arrow()
                for column, value in new.items():
                    rows = rows.set_column(rows.column_names.index(column), column, pa.array([value] * rows.num_rows, pa.string()))
                relation.overwrite(rows.cast(relation.schema().as_arrow()), overwrite_filter=where)

    def retire(
        self, shown: duckdb.DuckDBPyConnection, kind: Kind, connection: str, table: RawTable, since: str, values: Sequence[str]
    ) -> None:
        """See Engine. Versions from before the full read go with them, so that a table grows from one full read to the next alone."""
        relation = self._catalog().load_table((f"raw_{kind}", table.name))
        rows = None if table.replace_by else _tombstones(shown, kind, connection, table, since, values)
        with relation.transaction() as change:
            change.delete(_older(connection, since))
            if rows is not None and rows.num_rows:
                schema = relation.schema().as_arrow()
                columns = [rows[c] if c in rows.column_names else pa.nulls(rows.num_rows, pa.string()) for c in schema.names]
                change.append(pa.table(columns, names=schema.names).cast(schema))

    def forget(self, schema: str, table: str) -> None:
        """See Engine. Snapshots but the newest one expire, and files that it does not name are deleted."""
        found = self._catalog().load_table((schema, table))
        current = found.current_snapshot()
        older = [one.snapshot_id for one in found.snapshots() if current is None or one.snapshot_id != current.snapshot_id]
        if older:
            found.maintenance.expire_snapshots().by_ids(older).commit()
        _delete_unnamed_files(found)

    def drop_staging(self) -> None:
        """See Engine."""
        catalog = self._catalog()
        for name in self.tables(STAGING):
            found = catalog.load_table((STAGING, name))
            catalog.drop_table((STAGING, name))
            _delete_files(found, set())

    def prepare(self, db: duckdb.DuckDBPyConnection) -> None:
        """See Engine."""
        if self._is_local():
            database.load_extensions(db, "CDP_ENGINE", "avro", "iceberg")

    def relation(self, schema: str, table: str) -> str | None:
        """See Engine. The table as it is now: a later version has another address."""
        if not self._is_local():
            return None
        at = self._catalog().load_table((schema, table)).metadata_location
        return f"iceberg_scan('{database.quoted(at)}')"

    def read(self, schema: str, table: str) -> pa.RecordBatchReader | pa.Table:
        """See Engine."""
        return self._catalog().load_table((schema, table)).scan().to_arrow_batch_reader()

    def _is_local(self) -> bool:
        """Whether DuckDB reads the files by itself; of a bucket it would need the credentials that pyiceberg finds by itself."""
        return self._warehouse.startswith("file:")

    def _properties(self) -> dict[str, str]:
        # A connection that is kept may have ended meanwhile.
        return {"type": "sql", "uri": self._catalog_uri, "warehouse": self._warehouse, "pool_pre_ping": "true"}

    def _catalog(self) -> Any:
        return _catalog_of(tuple(self._properties().items()))


@lru_cache(maxsize=4)
def _catalog_of(properties: tuple[tuple[str, str], ...]) -> Any:
    """The same for all who ask: each has connections of its own to the database, which stay open until Python finds that nobody needs them."""
    from pyiceberg.catalog import load_catalog  # ty: ignore[import-not-found]

    return load_catalog(CATALOG, **dict(properties))


def _delete_unnamed_files(table: Any) -> None:
    """Delete the files in a table's folder that its newest snapshot does not name."""
    named = {table.metadata_location}
    if (snapshot := table.current_snapshot()) is not None:
        named.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            named.add(manifest.manifest_path)
            named |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)}
    _delete_files(table, named)


def _delete_files(table: Any, but: set[str]) -> None:
    """Delete the files in a table's folder but for some."""
    files, root = FileSystem.from_uri(table.location())
    kept = {FileSystem.from_uri(one)[1] for one in but}
    for found in files.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        if found.type == FileType.File and found.path not in kept:
            files.delete_file(found.path)


def _tombstones(
    shown: duckdb.DuckDBPyConnection, kind: Kind, connection: str, table: RawTable, since: str, values: Sequence[str]
) -> pa.Table:
    """What stays of the records that a full read did not see again. Those that were tombstones before keep their moment."""
    kept = ", ".join(f'"{column}"' for column in [*map(column_name, table.key), MERGED_INTO])
    dead = f"{DELETED} = 'true' and " + (" and ".join(f'"{column}" is null' for column in values) or "true")
    return shown.execute(
        f"""select {CONNECTION}, {kept}, 'true' as _is_deleted, 'retired' as {LOAD_ID},
            case when coalesce({dead}, false) then {SYNCED_AT} else $since end as {SYNCED_AT}
            from raw_{kind}."{table.name}" where {CONNECTION} = $connection and {SYNCED_AT} < $since""",
        {"connection": connection, "since": since},
    ).to_arrow_table()


def _older(connection: str, since: str) -> Any:
    """What finds a connection's rows from before a moment."""
    from pyiceberg import expressions as e  # ty: ignore[import-not-found]

    return e.And(e.EqualTo(CONNECTION, connection), e.LessThan(SYNCED_AT, since))


def _conditions(connection: str, table: RawTable, keys: Sequence[Key]) -> Iterator[Any]:
    """What finds rows by key, some hundred of them at a time."""
    from pyiceberg import expressions as e  # ty: ignore[import-not-found]

    columns = [column_name(field) for field in table.key]
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        if len(columns) == 1:
            found = e.In(columns[0], [key[0] for key in some])
        else:
            each = [[e.IsNull(c) if v is None else e.EqualTo(c, v) for c, v in zip(columns, key, strict=True)] for key in some]
            found = reduce(e.Or, [reduce(e.And, tests) for tests in each])
        yield e.And(e.EqualTo(CONNECTION, connection), found)


def _without_views(schema: pa.Schema) -> pa.Schema:
    """The same with plain strings, where DuckDB gives string views."""
    return pa.schema(
        [f.with_type(pa.string()) if pa.types.is_string_view(f.type) or pa.types.is_large_string(f.type) else f for f in schema]
    )
