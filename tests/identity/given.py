"""Contacts for tests of the identity modules, by what matters of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa

from cdp_pipelines.identity import Resolution

TEXT = (
    "connection", "customer_id", "source_system", "record_type", "email", "first_name", "last_name", "phone", "mobile_phone", "company",
    "company_id", "country", "salesforce_id", "merged_into", "converted_contact_id", "date_of_birth", "national_id", "street", "postcode", "city",
    "state",
)  # fmt: skip
SCHEMA = pa.schema([*((name, pa.string()) for name in TEXT), ("is_deleted", pa.bool_()), ("created_date", pa.timestamp("us"))])


def contacts(*rows: dict[str, Any]) -> pa.Table:
    """Rows as `person` makes them; ids are 1, 2, 3 unless they say otherwise."""
    return pa.Table.from_pylist([{"customer_id": str(i), **row} for i, row in enumerate(rows, 1)], schema=SCHEMA)


def person(
    name: str | None = None, email: str | None = None, phone: str | None = None, company: str | None = None, **values: Any
) -> dict[str, Any]:
    """A contact of HubSpot; `name` is first and last name with a blank between them."""
    first, _, last = (name or "").partition(" ")
    given = {
        "connection": "hubspot",
        "source_system": "hubspot",
        "record_type": "contact",
        "is_deleted": False,
        "created_date": datetime(2026, 1, 1),
    }
    return {**given, "first_name": first or None, "last_name": last or None, "email": email, "phone": phone, "company": company, **values}


def together(found: Resolution) -> list[str]:
    """The ids of each customer, with a blank between them."""
    members: dict[str, list[str]] = {}
    for row in found.customer_contacts.to_pylist():
        members.setdefault(row["customer_key"], []).append(row["customer_id"])
    return sorted(" ".join(sorted(ids)) for ids in members.values())


def override(kind: str, left: str, right: str, day: int = 1) -> dict[str, Any]:
    """A decision about two of HubSpot's records."""
    return {"kind": kind, "left_connection": "hubspot", "left_customer_id": left, "right_connection": "hubspot", "right_customer_id": right,
            "who": "kim", "why": "asked", "decided_at": datetime(2026, 1, day)}  # fmt: skip
