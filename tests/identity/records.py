"""Rows of `standardized.contacts` for the tests, and what a resolution made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from cdp_pipelines import mapping

NOON = datetime(2026, 3, 1, 12)
Key = tuple[str, str]
_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(), "timestamp": pa.timestamp("us"), "boolean": pa.bool_(), "decimal(9,2)": pa.decimal128(9, 2),
}  # fmt: skip
SCHEMA = pa.schema([(name, _TYPES[field.type]) for name, field in mapping.load().entities["contacts"].fields.items()])


def contact(key: str, **values: Any) -> dict[str, Any]:
    """One row; `key` is `hubspot:12`, a connection and an id. A connection is named after its CRM, with a number after it or not."""
    connection, _, customer_id = key.partition(":")
    system = connection.rstrip("0123456789")
    kind = "lead" if system == "marketo" else "contact"
    given = {"created_date": NOON, "last_updated": NOON, "synced_at": NOON, "is_deleted": False}
    return {"connection": connection, "source_system": system, "record_type": kind, "customer_id": customer_id, **given, **values}


def contacts(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """The rows as a table with all columns of `standardized.contacts`; what a row leaves out is null."""
    rows = list(rows)
    return pa.table({field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in SCHEMA}, schema=SCHEMA)


def keys(links: pa.Table) -> dict[str, str]:
    """`hubspot:12` -> its customer's key."""
    columns = links.select(["connection", "customer_id", "customer_key"]).to_pydict()
    return {f"{c}:{i}": k for c, i, k in zip(columns["connection"], columns["customer_id"], columns["customer_key"], strict=True)}


def groups(links: pa.Table, among: Sequence[str] | None = None) -> list[list[str]]:
    """Who was put together: the members of each customer, sorted; of those `among` whom one asks, if given."""
    found: dict[str, list[str]] = {}
    for member, key in keys(links).items():
        if among is None or member in among:
            found.setdefault(key, []).append(member)
    return sorted(sorted(members) for members in found.values())
