"""Check 4: fields that came, went, or changed their name or type in a CRM."""

from __future__ import annotations

from functools import cache

from cdp_pipelines import mapping
from cdp_pipelines.quality.check import Check

TOLD_HOURS = 24
"""A change is no state that passes: it is told for a day."""


@cache
def checks() -> tuple[Check, ...]:
    """One check for each entity, over the raw tables that feed it."""
    return tuple(_check(entity) for entity in mapping.load().entities)


def _check(entity: str) -> Check:
    spec = mapping.load()
    tables = ", ".join(
        sorted({f"('{kind}', '{table}')" for kind, _, _, feed in spec.feeds(entity) for table in (feed.table, *(one.table for one in feed.lookups.values()))})
    )  # fmt: skip
    return Check(
        "fields_as_before", entity, False,
        f"In the last {TOLD_HOURS} hours no field of what feeds {entity} came, went, or changed its name or type in its CRM.",
        "`cdp sync` said what it means; see quality.field_changes. Map a new or renamed field (`cdp mapping check`); for one that is gone, give the "
        "API user the permission to see it.",
        f"""select distinct connection || ':' || object || '.' || field || ' (' || change || ')' as key, 1 as rows from ops.field_changes
            where (source_system, object) in ({tables}) and told_at > now() at time zone 'UTC' - interval {TOLD_HOURS} hour""",
        4, "Warns: raw columns are text and never dropped, so that nothing is lost by it, and a new field is no fault.",
    )  # fmt: skip
