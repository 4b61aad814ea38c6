"""From the vendor's fields to raw columns: one naming rule, and text as given.

The rule is dlt's snake case (`LastModifiedDate` is `last_modified_date`, `marketoGUID` is `marketo_guid`, `LeadScore__c` is
`lead_score__c`). Two fields of a table that come to the same column are both kept: the one that was there first, or else sorts first,
has the plain name, the other one carries six digits of its own name's hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache

import pyarrow as pa
from dlt.common.normalizers.naming.snake_case import NamingConvention

from cdp_pipelines.crm_integrations.json_text import as_text

__all__ = ["arrow_schema", "as_text", "assign_columns", "column_name"]

_naming = NamingConvention()


@cache
def column_name(field: str) -> str:
    """The raw column of a vendor field, before collisions."""
    return _naming.normalize_path(field)


def assign_columns(fields: Iterable[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Field -> column for all fields. `taken` is the column -> field assignment of earlier runs, which never changes."""
    columns = {field: column for column, field in taken.items()}
    used = set(taken)
    for field in sorted(set(fields) - set(columns), key=lambda f: (f.endswith("__c"), f)):
        column = column_name(field)
        if column in used:
            column = f"{column}_{hashlib.sha256(field.encode()).hexdigest()[:6]}"
        used.add(column)
        columns[field] = column
    return columns


def arrow_schema(columns: Iterable[str], required: Iterable[str]) -> pa.Schema:
    """A schema of text columns."""
    needed = set(required)
    return pa.schema([pa.field(c, pa.string(), nullable=c not in needed) for c in columns])
