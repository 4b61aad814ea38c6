"""docs/mapping.md: for each standardized field, where each CRM keeps it, and why."""

from __future__ import annotations

from cdp_pipelines.classified import class_of
from cdp_pipelines.mapping import Feed, FieldSource, Mapping
from cdp_pipelines.pii import CLASSES
from cdp_pipelines.survivorship import STRATEGIES, Unified

INTRODUCTION = """\
# Mapping

Which field of each CRM becomes which standardized field. To change it, edit `cdp_pipelines/mapping.yml` and run `make generate`.

Text is trimmed and blank text is null. Times are UTC. What does not cast is null in the standardized table, stays as it was in the raw
table, and is counted in `staging.failed_casts`. A field with several sources takes the first that is not blank; a dash means that the
CRM has nothing of the kind.
"""

UNIFIED = """\
## Whose value a unified row shows

A unified row is made of the records that are one person or company. Deleted, merged and converted records never win, nor do those in a table
that `excluded_by` names (such as a list of suppressed people); a row of whose records none is left stays, without values, marked `is_deleted`.
Each field has a strategy, which says whose value wins. Of equals the record that was changed last wins, then the one made last, then the
first by connection and id. A blank value takes no part. The `*_provenance` tables say which record won and what it beat. The strategies:

"""


PERSONAL_DATA = """\
## Personal data

Every column of the published file has a class (`pii` in `mapping.yml`); the class says what `cdp_masked.duckdb` shows of it.

| class | what it holds | in the masked file |
|---|---|---|
"""
OTHER_TABLES = """
Columns of the tables that the mapping does not make, by class; all others of these tables have the class none:

"""


def mapping_page(spec: Mapping) -> str:
    """The page in Markdown."""
    parts = [INTRODUCTION, _personal_data(spec), *(_entity(spec, entity) for entity in spec.entities)]
    if spec.unified:
        parts += [UNIFIED + "".join(f"- `{name}`: {text}\n" for name, text in STRATEGIES.items())]
        parts += [_unified(spec, name, table) for name, table in spec.unified.items()]
    return "\n".join(parts)


def _personal_data(spec: Mapping) -> str:
    rows = "".join(f"| {name} | {one.holds} | {one.masked} |\n" for name, one in CLASSES.items())
    others = []
    for table, columns in spec.other_tables.items():
        by_class = {pii: [c for c, of in columns.items() if of == pii] for pii in CLASSES if pii != "none"}
        if said := "; ".join(f"{pii}: {', '.join(f'`{c}`' for c in names)}" for pii, names in by_class.items() if names):
            others.append(f"- `{table}`: {said}\n")
    return PERSONAL_DATA + rows + OTHER_TABLES + "".join(others)


def _entity(spec: Mapping, name: str) -> str:
    entity, feeds = spec.entities[name], list(spec.feeds(name))
    headings = [f"{kind} `{feed.table}`" for kind, _, _, feed in feeds]
    lines = [
        f"## {name}\n\n{entity.description} Key: `connection`, {', '.join(f'`{k}`' for k in entity.key)}.\n",
        f"| field | type | personal data | meaning | {' | '.join(headings)} |",
        f"|---|---|---|---|{'---|' * len(feeds)}",
    ]
    notes = []
    for field_name, field in entity.fields.items():
        cells = [_cell(feed, feed.fields.get(field_name)) for _, _, _, feed in feeds]
        if field.bookkeeping:
            cells = ["the kind" if field.bookkeeping == "source_system" else f"`{field.bookkeeping}`"] * len(feeds)
        lines.append(f"| `{field_name}` | {field.type} | {field.pii} | {_escape(field.description)} | {' | '.join(cells)} |")
        for kind, _, _, feed in feeds:
            if (source := feed.fields.get(field_name)) and source.note:
                notes.append(f"- `{field_name}`, {kind} `{feed.table}`: {source.note}")
    for kind, _, _, feed in feeds:
        notes += _feed_notes(kind, feed)
    return "\n".join(lines) + "\n" + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _unified(spec: Mapping, name: str, table: Unified) -> str:
    lines = [
        f"### {name}\n\n{table.description} From `{table.records}`, joined by `{table.links}`; winners in `{table.provenance}`.",
        f"The CRMs in order: {', '.join(table.source_order)}.\n",
        "| field | strategy | from | personal data |",
        "|---|---|---|---|",
    ]
    for field_name, field in table.fields.items():
        order = f" ({', '.join(field.source_order)})" if field.source_order else ""
        together = [n for n in table.group_of(field_name) if n != field_name]
        along = f", together with {', '.join(f'`{n}`' for n in together)}" if together else ""
        pii = class_of(spec, table, field_name, field)
        lines.append(f"| `{field_name}` | {field.by}{order}{along} | `{field.value or field_name}` | {pii} |")
    return "\n".join(lines) + "\n"


def _cell(feed: Feed, source: FieldSource | None) -> str:
    if source is None:
        return ""
    if source.constant is not None:
        return f"always {source.constant}"
    if source.sql is not None:
        return f"`{_escape(source.sql)}`"
    return ", ".join(f"`{r}`" for r in source.references) or "-"


def _feed_notes(kind: str, feed: Feed) -> list[str]:
    notes = [f"- {kind} `{feed.table}`: {feed.note}"] if feed.note else []
    if feed.requires:
        notes.append(f"- {kind} `{feed.table}`: only rows that have a {', '.join(f'`{name}`' for name in feed.requires)} (below).")
    if feed.where:
        notes.append(f"- {kind} `{feed.table}`: only rows with `{feed.where}`.")
    if feed.newest_by:
        notes.append(
            f"- {kind} `{feed.table}`: one row for each {' and '.join(f'`{f}`' for f in feed.newest_by)}, first by `{', '.join(feed.order_by)}`."
        )
    for name, lookup in feed.lookups.items():
        match = " and ".join(f"`{field}` = `{reference}`" for field, reference in lookup.match.items())
        where = f", only where `{lookup.where}`" if lookup.where else ""
        order = f", first by `{', '.join(lookup.order_by)}`" if lookup.order_by else ""
        notes.append(f"- {kind} `{feed.table}`: `{name}` is the row of `{lookup.table}` with {match}{where}{order}.")
    return notes


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
