"""Rows on their way to dlt: Parquet files with the columns of dlt's schema in its order, which go to DuckDB as they are.

dlt would take Arrow tables too, but it works out the schema anew for each of them, compresses them, and writes all of it once more where a
column is not in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import dlt
import pyarrow as pa
from dlt.extract.items import DataItemWithMeta
from pyarrow import parquet

LOAD_ID = "_dlt_load_id"


def load_files(name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[DataItemWithMeta]:
    """A raw table's Arrow tables as files of the load that is under way: one, or more where columns are added in between. Without any table
    it is an empty file with the columns of `schema`.

    Each file is there until the next one is asked for; dlt has a link of its own to it by then. Raises OSError when the disk is full.
    """
    file: _LoadFile | None = None
    for table in tables:
        if file is not None and table.schema != file.given:
            yield from file.handed_over()
            file = None
        file = file or _LoadFile(name, table.schema)
        file.write(table)
    yield from (file or _LoadFile(name, schema)).handed_over()


class _LoadFile:
    """A file of one schema, and dlt's load id with each row. Plain values: it lives for seconds."""

    def __init__(self, name: str, given: pa.Schema):
        self.given = given
        self._load_id = dlt.current.load_package_state()["load_id"]
        known = dlt.current.source_schema().tables.get(name, {}).get("columns", {})
        own = given.append(pa.field(LOAD_ID, pa.string(), nullable=False))
        # A column of another connection's is null in this one's rows.
        self._schema = pa.schema(
            [own.field(c) if c in own.names else pa.field(c, pa.string()) for c in dict.fromkeys([*known, *own.names])]
        )
        self._path = Path(dlt.current.pipeline().working_dir) / f"{name}.parquet"
        self._writer = parquet.ParquetWriter(self._path, self._schema, compression="none", use_dictionary=[LOAD_ID], write_statistics=False)
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        load_id = pa.repeat(self._load_id, table.num_rows).cast(pa.string())
        columns = [
            load_id if c == LOAD_ID else table[c] if c in self.given.names else pa.nulls(table.num_rows, pa.string())
            for c in self._schema.names
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._rows += table.num_rows

    def handed_over(self) -> Iterator[DataItemWithMeta]:
        """The file as dlt takes it in."""
        self._writer.close()
        yield dlt.mark.with_file_import(str(self._path), "parquet", self._rows, self._schema.empty_table())
        self._path.unlink()
