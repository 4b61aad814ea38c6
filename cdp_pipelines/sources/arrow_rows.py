"""JSON records as Arrow tables of text, column by column: what is text already costs no Python object more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from cdp_pipelines.sources.columns import as_text


def text_table(records: Sequence[Mapping[str, Any]], fields: Iterable[str]) -> pa.Table:
    """The records' fields as text by the rule of `as_text`, null where a record lacks one."""
    return pa.table({field: _text([record.get(field) for record in records]) for field in fields})


def _text(values: list[Any]) -> pa.Array:
    try:
        made = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        # Several types in one column, or an integer that has no place in 64 bits.
        return pa.array(map(as_text, values), pa.string(), size=len(values))
    if pa.types.is_string(made.type):
        return made
    if pa.types.is_boolean(made.type) or pa.types.is_int64(made.type) or pa.types.is_null(made.type):
        return made.cast(pa.string())
    return pa.array(map(as_text, values), pa.string(), size=len(values))
