"""Checks 15: fields of which two CRMs that know one customer or company say something else.

The table has the rates; which value counts in the unified tables is another matter (docs/mapping.md). A CRM may have several records of a
customer: it disagrees when none of its values is one of the other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb

from cdp_pipelines import mapping
from cdp_pipelines.identity.phones import COUNTRIES
from cdp_pipelines.mapping import Mapping
from cdp_pipelines.quality import moments
from cdp_pipelines.survivorship import Unified

TABLE, EXAMPLES = "quality.disagreements", "quality.disagreement_examples"
MOST_EXAMPLES = 10
# Scales and words of their own, by design: what CRMs say there cannot agree.
_OF_EACH_CRM = {"lead_score", "lifecycle_stage", "acquisition_source", "created_date", "last_updated"}
_CODES = "map {" + ", ".join(f"'{name}': '{code.lower()}'" for name, code in COUNTRIES.items()) + "}"
# Numbers without what people put between digits, without extension, and without country code or trunk zero: the last nine digits.
_PHONE = (
    "nullif(right(regexp_replace(regexp_replace(lower({f}), '(ext|x|#|durchwahl|dw)[. ]*[0-9]{{1,6}}$', ''), '[^0-9]', '', 'g'), 9), '')"
)


def measure(db: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Compare every pair of CRMs, field by field. `now` is in UTC, without zone."""
    spec = mapping.load()
    moments.make_room(db, TABLE, now)
    db.execute(f"delete from {EXAMPLES}")
    for name, table in spec.unified.items():
        fields = compared(spec, table)
        db.execute(f"create or replace temp table pairs as {_pairs(spec, table, fields)}")
        db.execute(
            f"insert into {TABLE} select $1, $2, field, l, r, count(*), count(*) filter (not agree), count(*) filter (not agree) / count(*) "
            "from pairs group by field, l, r order by all",
            [now, name],
        )
        db.execute(
            f"insert into {EXAMPLES} (table_name, field, left_system, right_system, {table.key}) "
            f"select $1, field, l, r, unnest(list(key order by key)[:{MOST_EXAMPLES}]) from pairs where not agree group by field, l, r",
            [name],
        )
        db.execute("drop table pairs")


def compared(spec: Mapping, table: Unified) -> list[str]:
    """The fields of a unified table's records that two CRMs or more have, and that can agree."""
    own = spec.entities[table.records].fields
    return [name for name in table.fields if name in own and name not in _OF_EACH_CRM and len(set(_with(spec, table.records, name))) > 1]


def _with(spec: Mapping, entity: str, name: str) -> Iterator[str]:
    return (kind for kind, _, _, feed in spec.feeds(entity) if feed.fields[name].references)


def _pairs(spec: Mapping, table: Unified, fields: list[str]) -> str:
    """A row for each key, field and two CRMs (`l`, `r`) that both have a value, with whether they have one in common."""
    values = ", ".join(f"{_plain(spec, table.records, name)} as {name}" for name in fields)
    link = table.link_id or table.id
    return f"""
    with said as (
        select links.{table.key} as key, records.source_system, {values}
        from standardized.{table.records} as records
        join unified.{table.links} as links on links.connection = records.connection and links.{link} = records.{table.id}
        where not records.is_deleted
    ),
    given as (select distinct key, field, source_system, value from (unpivot said on {", ".join(fields)} into name field value value))
    select l.key, l.field, l.source_system as l, r.source_system as r, bool_or(l.value = r.value) as agree
    from given as l join given as r on r.key = l.key and r.field = l.field and r.source_system > l.source_system
    group by all"""


def _plain(spec: Mapping, entity: str, name: str) -> str:
    """A value for comparing, as text; what stands for no value is none."""
    column = f'records."{name}"'
    if name in ("phone", "mobile_phone"):
        return _PHONE.format(f=column)
    if spec.entities[entity].fields[name].type == "text":
        plain = f"regexp_replace(strip_accents(lower(trim({column}))), '\\s+', ' ', 'g')"
        if name == "country":
            plain = f"coalesce({_CODES}[{plain}], {plain})"
        return f"case when {plain} not in ('n/a', 'null', 'none', '-', 'unknown', '[not provided]', 'x') then {plain} end"
    return f"{column}::varchar"
