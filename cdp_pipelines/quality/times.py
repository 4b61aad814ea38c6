"""Checks 14: times that can be. A CRM's clock may be ahead of ours by minutes, its records are not from tomorrow, and its times name a zone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from cdp_pipelines import mapping
from cdp_pipelines.quality.check import Check

AHEAD_MINUTES = 5
EARLIEST_YEAR = 1990
"""Before the first of these CRMs, by some years: 1970 and 1900 are what programs write where they have no time."""
_WARNS = "Warns: the row is there and its other values are right; incremental reads go by the vendors' own stamps, not by these."


@cache
def checks() -> tuple[Check, ...]:
    """Two checks for each entity that has times."""
    spec = mapping.load()
    return tuple(check for entity in spec.entities for check in _of(entity))


def _of(entity: str) -> Iterator[Check]:
    spec = mapping.load()
    times = [name for name, field in spec.entities[entity].fields.items() if field.type == "timestamp" and field.bookkeeping is None]
    if not times:
        return
    key = " || '/' || ".join(spec.entities[entity].key)
    impossible = " or ".join(
        f"{name} > now() at time zone 'UTC' + interval {AHEAD_MINUTES} minute or {name} < timestamp '{EARLIEST_YEAR}-01-01'"
        for name in times
    )
    yield Check(
        "times_plausible", entity, False,
        f"No time in {entity} ({', '.join(times)}) is more than {AHEAD_MINUTES} minutes from now in the future, or before {EARLIEST_YEAR}.",
        "Look at these records in the CRM: an import wrote the time, or a clock or a time zone is wrong.",
        f"select connection || ':' || {key} as key, 1 as rows from standardized.{entity} where {impossible}",
        14, _WARNS,
    )  # fmt: skip
    parts = list(_without_zone(entity))
    yield Check(
        "times_have_a_zone", entity, False, f"Every time that a CRM gave for {entity} says its zone.",
        "What has none is taken for UTC. See how the CRM's field is set up; a date in place of a time has none either.",
        " union all ".join(parts), 14, _WARNS,
    )  # fmt: skip


def _without_zone(entity: str) -> Iterator[str]:
    """For each feed: the raw fields that a time comes from, and their values that name no zone. Milliseconds since 1970 are in UTC."""
    spec = mapping.load()
    for kind, _, _, feed in spec.feeds(entity):
        for name, field in spec.entities[entity].fields.items():
            source = feed.fields.get(name)
            if field.type != "timestamp" or source is None:
                continue
            for reference in source.references:
                table, vendor = feed.table_of(reference)
                if "." in reference or table != feed.table:
                    continue  # a looked-up row's own checks are its table's
                column = f'"{spec.column(kind, table, vendor)}"'
                yield (
                    f"select connection || ':{table}.{vendor}' as key, count(*) as rows from raw_{kind}.\"{table}\" "
                    f"where {column} like '____-__-__%' and not regexp_matches({column}, '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})\\s*$') group by connection"
                )
