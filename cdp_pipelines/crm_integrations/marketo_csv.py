"""Reads Marketo's export files: text columns, a bare `null` is nothing, line ends inside quotes stay.

Arrow reads them without a Python object for each value. What it cannot make sense of (stray quotes, broken UTF-8) a tolerant reader takes,
which cannot tell a quoted "null" from a bare one. A line that has more or fewer values than the header is left out: what stands in it
cannot be told.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

ROWS_AT_ONCE = 10_000
_BLOCK_BYTES = 4 * 2**20


def read_csv(path: Path, records: int, broken: list[str | None]) -> Iterator[pa.Table]:
    """The rows of a file without NUL bytes, some thousands at a time. `records` is how many there are according to Marketo.

    Each line of another length than the header is added to `broken`: with its id where the file begins with that, else as None. (What comes
    after the damage may be any field, so that an id which is not the first value is none that may be told.)
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        header = next(csv.reader(file), [])
    columns = [name.strip() for name in header]
    given = 0
    with contextlib.suppress(pa.ArrowException):
        for table in _read_strictly(path, columns) if columns else ():
            yield table
            given += table.num_rows
    if given < records:
        yield from _read_tolerantly(path, columns, given, broken)


def _read_strictly(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    # In blocks; a line end inside quotes is not taken for the end of a row.
    reading = arrow_csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=columns, skip_rows=1)
    converting = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()), null_values=["null"], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    parsing = arrow_csv.ParseOptions(newlines_in_values=True)
    with arrow_csv.open_csv(path, reading, parsing, converting) as batches:
        for batch in batches:
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def _read_tolerantly(path: Path, columns: list[str], skip: int, broken: list[str | None]) -> Iterator[pa.Table]:
    csv.field_size_limit(1 << 30)
    schema = pa.schema([(name, pa.string()) for name in columns])
    rows: list[dict[str, str | None]] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for number, values in enumerate(v for v in reader if v):
            if number < skip:
                continue
            if len(values) != len(columns):
                broken.append(values[0] if columns[0] in ("id", "marketoGUID") and values[0].isdecimal() else None)
                continue
            rows.append({name: None if value == "null" else value for name, value in zip(columns, values, strict=True)})
            if len(rows) == ROWS_AT_ONCE:
                yield pa.Table.from_pylist(rows, schema)
                rows = []
    if rows:
        yield pa.Table.from_pylist(rows, schema)
