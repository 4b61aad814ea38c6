"""What a table just made holds, at a glance: Markdown for whoever looks at the run that made it, counts and sums only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import duckdb

from cdp_pipelines.report.figures import Figure, Figures, figure, written

BAR = 12
_BY_SOURCE = """
    select source_system as "CRM", count(*) filter (where not is_deleted) as "rows", count(*) filter (where is_deleted) as "gone"
    from {table} group by 1 order by 1
"""
_BY_STAGE = """
    select source_system as "CRM", coalesce(stage, 'none') as "stage", coalesce(currency, 'not said') as "currency", count(*) as "deals",
        round(coalesce(sum(value), 0))::bigint as "value"
    from standardized.opportunities where not is_deleted and not is_closed group by all order by 1, max(probability), 2, 3
"""


@dataclass(frozen=True)
class _Glance:
    """A figure of the report (see figures.py), and the column that is drawn as bars."""

    name: str
    bars: str


# Unified table -> what is shown of it once it is there.
_OF = {
    "customer_contacts": (_Glance("evidence", "records"),),
    "customers": (_Glance("overlap", "customers"), _Glance("records", "customers"), _Glance("duplicates", "duplicates"), _Glance("matching", "number"), _Glance("stages", "this far or further")),
    "customer_provenance": (_Glance("agreement", "disagreeing, %"),),
    "opportunity_links": (_Glance("pipeline", "deals"),),
}  # fmt: skip
# What the preview of the report shows of it.
_PREVIEW = (
    _Glance("overlap", "customers"),
    _Glance("matching", "number"),
    _Glance("stages", "this far or further"),
    _Glance("freshness", ""),
)


def glances(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> dict[str, str]:
    """Markdown by title for a standardized or unified table of the warehouse, which is open; nothing for others.

    Of a standardized one: rows by CRM. Of unified ones: the figures that the report has of them.
    """
    if schema == "standardized":
        found = {"Rows by CRM": _asked(db, _BY_SOURCE.format(table=f'standardized."{table}"'), "rows")}
        return found | ({"Open deals by stage": _asked(db, _BY_STAGE, "deals")} if table == "opportunities" else {})
    if schema != "unified" or table not in _OF:
        return {}
    # The report's queries are of the published file, where these schemas are one.
    (before,) = db.execute("select current_setting('search_path')").fetchall()[0]
    catalog = db.execute("select current_database()").fetchall()[0][0]
    db.execute(f'set search_path = \'"{catalog}".unified,"{catalog}".standardized\'')
    try:
        shown = {glance: figure(db, glance.name) for glance in _OF[table]}
    finally:
        db.execute(f"set search_path = '{before}'")
    return {one.title: markdown(one, glance.bars) for glance, one in shown.items()}


def preview(found: Figures) -> str:
    """Markdown with the headlines of the report and some of its figures."""
    head = " · ".join(f"**{number}** {what}" for what, number in found.headlines.items())
    parts = [f"### {found.figures[glance.name].title}\n\n{markdown(found.figures[glance.name], glance.bars)}" for glance in _PREVIEW]
    return "\n\n".join([head, *parts])


def markdown(shown: Figure, bars: str = "") -> str:
    """A figure as a table; with the name of one of its columns, with a bar of that number at the end of each row."""
    rows = [[written(value).replace("|", "\\|").replace("\n", " ") for value in row] for row in shown.rows]
    if bars:
        numbers = [float(row[bars] or 0) for row in shown.records()]
        most = max(numbers, default=0)
        rows = [[*row, "█" * round(BAR * number / most) if most > 0 else ""] for row, number in zip(rows, numbers, strict=True)]
    columns = [*shown.columns, *([""] if bars else [])]
    aligned = ["---:" if any(isinstance(row[i], int | float | Decimal) for row in shown.rows) else "---" for i in range(len(shown.columns))]
    lines = [columns, [*aligned, *(["---"] if bars else [])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else "Nothing yet."


def _asked(db: duckdb.DuckDBPyConnection, sql: str, bars: str) -> str:
    result = db.execute(sql)
    return markdown(Figure("", "", "", [name for name, *_ in result.description], result.fetchall()), bars)
