"""Batches of records as Arrow tables of text, in the columns of their raw table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.sources.columns import as_text, assign_columns
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT, schema_of
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, RawTable

# One Arrow table handed to dlt: large enough that its cost a table vanishes, small enough for little memory.
ROWS_AT_ONCE, BYTES_AT_ONCE = 10_000, 16 << 20
# About what a record takes that came as a dictionary.
BYTES_A_RECORD = 2_000


def size_of(batch: Batch) -> int:
    """About how many bytes of memory a batch takes."""
    return batch.rows.get_total_buffer_size() if isinstance(batch.rows, pa.Table) else len(batch.rows) * BYTES_A_RECORD


def gather(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Small batches put together; what came before an error is given before the error."""
    waiting: list[Batch] = []
    rows = size = 0
    try:
        for batch in batches:
            if waiting and isinstance(batch.rows, pa.Table) != isinstance(waiting[-1].rows, pa.Table):
                yield _joined(waiting)
                waiting, rows, size = [], 0, 0
            waiting.append(batch)
            rows, size = rows + len(batch), size + size_of(batch)
            if rows >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
                yield _joined(waiting)
                waiting, rows, size = [], 0, 0
    except Exception:
        if rows:
            yield _joined(waiting)
        raise
    if rows:
        yield _joined(waiting)


def _joined(batches: Sequence[Batch]) -> Batch:
    """One batch, which ends where the last one ends."""
    tables = [b.rows for b in batches if isinstance(b.rows, pa.Table)]
    rows = (
        pa.concat_tables(tables, promote_options="default") if tables else [r for b in batches if isinstance(b.rows, list) for r in b.rows]
    )
    return Batch(rows, batches[-1].resume, next((b.expected for b in reversed(batches) if b.expected is not None), None))


def raw_rows(table: RawTable, columns: dict[str, str], rows: list[dict[str, Any]] | pa.Table, connection: str, stamp: str) -> pa.Table:
    """The records, each once, in the raw table's columns; fields without a column get one in `columns`."""
    if isinstance(rows, pa.Table):
        rows = _each_once(rows, table.key)
        fields = set(rows.column_names)
    else:
        rows = list({tuple(row.get(f) for f in table.key): row for row in rows}.values())
        fields = set().union(*rows)
    columns |= assign_columns([*columns, *(fields - {DELETED, MERGED_INTO} - columns.keys())], {c: f for f, c in columns.items()})
    schema, size = schema_of(table, columns), len(rows)

    def column(field: str) -> pa.Array | pa.ChunkedArray:
        if field not in fields:
            return pa.nulls(size, pa.string())
        if isinstance(rows, pa.Table):
            return rows[field].cast(pa.string())
        return pa.array([as_text(row.get(field)) for row in rows], pa.string())

    made = {c: column(f) for f, c in columns.items()}
    made |= {DELETED: column(DELETED), MERGED_INTO: column(MERGED_INTO)}
    made |= {name: pa.repeat(value, size).cast(pa.string()) for name, value in ((CONNECTION, connection), (SYNCED_AT, stamp))}
    return pa.table([made[name] for name in schema.names], schema=schema)


def with_key(table: RawTable, rows: list[dict[str, Any]] | pa.Table) -> list[dict[str, Any]] | pa.Table:
    """The rows that can be told apart: those with a value in each field without which the raw table takes none."""
    needed = table.replace_by or table.key
    if not isinstance(rows, pa.Table):
        return [row for row in rows if all(row.get(name) not in (None, "") for name in needed)]
    if not set(needed) <= set(rows.column_names):
        return rows.slice(0, 0)
    there = [pc.call_function("not_equal", [rows[name].cast(pa.string()), pa.scalar("")]).fill_null(False) for name in needed]
    all_there = there[0]
    for one in there[1:]:
        all_there = pc.call_function("and", [all_there, one])
    return rows if pc.call_function("all", [all_there]).as_py() else rows.filter(all_there)


def _each_once(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """The last of the rows with the same key."""
    keys = rows.select([name for name in key if name in rows.column_names])
    if keys.num_columns == 1 and pc.call_function("count_distinct", [keys.column(0)]).as_py() == rows.num_rows:
        return rows
    last = keys.append_column("__row", pa.array(range(rows.num_rows))).group_by(keys.column_names).aggregate([("__row", "max")])
    return rows if last.num_rows == rows.num_rows else rows.take(last["__row_max"].sort())
