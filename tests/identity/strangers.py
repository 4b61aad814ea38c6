"""People who have nothing to do with a test's own, with all the dirt that real ones have."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.identity.benchmark.crm_dirt import dirty


@cache
def _strangers(people: int) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    table, truth = dirty(people, seed=7)
    # Ids of their own, whatever a test calls its records.
    rows = tuple({**row, "customer_id": f"stranger-{row['customer_id']}"} for row in table.to_pylist())
    for row in rows:
        for reference in ("salesforce_id", "merged_into", "converted_contact_id"):
            if row[reference]:
                row[reference] = f"stranger-{row[reference]}"
    return rows, tuple(truth["person"].to_pylist())


def strangers(people: int = 150) -> list[dict[str, Any]]:
    """Their records, in no order."""
    return [dict(row) for row in _strangers(people)[0]]


def persons(people: int = 150) -> list[str]:
    """Whose each of those records is."""
    return list(_strangers(people)[1])
