"""Merged records: each one that a CRM merged away is gone from the tables, and says who took its place."""

from __future__ import annotations

from collections.abc import Iterator

from cdp_pipelines import mapping
from cdp_pipelines.quality.looking import Check, Found, Look, rows_of
from cdp_pipelines.sources.raw_tables import CONNECTION
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO

# Where the record that stays, or the one that went, says so itself, beside what every reader notes of merges: column of a raw table, and
# whose id it has.
_SAID = {"hubspot": ("hs_merged_object_ids", "losers"), "salesforce": ("master_record_id", "survivor")}


def _unresolved(look: Look) -> Found:
    return rows_of(look.db, " union all ".join(_queries(_columns(look))))


def _columns(look: Look) -> set[tuple[str, str]]:
    return set(look.db.execute("select schema_name || '.' || table_name, column_name from duckdb_columns()").fetchall())


def _queries(columns: set[tuple[str, str]]) -> Iterator[str]:
    """For each entity with a record of merges, the losers that are alive, or that lead to no record."""
    spec = mapping.load()
    for kind, entity, _, feed in spec.feeds():
        (key, *more) = spec.entities[entity].key
        field = feed.fields[key].field
        if more or not field or "." in field or "merged_into" not in spec.entities[entity].fields:
            continue
        relation, raw_key = f"raw_{kind}.{feed.table}", spec.column(kind, feed.table, field)
        told = [f'select {CONNECTION}, "{raw_key}" as loser, {MERGED_INTO} as survivor from {relation} where {MERGED_INTO} is not null']
        column, whose = _SAID.get(kind, ("", ""))
        if (relation, column) in columns:
            alive = f"{DELETED} is distinct from 'true'"
            if whose == "losers":
                each = f'select {CONNECTION}, "{raw_key}" as survivor, trim(unnest(string_split("{column}", \';\'))) as loser from {relation} where {alive}'
                told.append(f"select {CONNECTION}, loser, survivor from ({each}) where loser not in ('', survivor)")
            else:
                told.append(f'select {CONNECTION}, "{raw_key}", "{column}" from {relation} where "{column}" is not null')
        mine = f"select * from standardized.{entity} where source_system = '{kind}'"
        yield f"""
            select told.{CONNECTION} || ':' || told.loser as key from ({" union all ".join(told)}) as told
            left join ({mine}) as gone on gone.connection = told.{CONNECTION} and gone.{key} = told.loser
            left join ({mine}) as kept on kept.connection = told.{CONNECTION} and kept.{key} = told.survivor
            where not gone.is_deleted or (gone.{key} is not null and kept.{key} is null)"""


MERGES_RESOLVED = Check(
    8, "merges_resolved", "contacts", False, "Warns: a record too many is no reason to keep everybody's changes back.",
    "Each record that a CRM merged into another one is marked as gone, and the other one is there.",
    "Run `cdp sync --reconcile`, which reads these records again.", _unresolved,
)  # fmt: skip
