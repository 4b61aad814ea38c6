"""Which columns a column is made of, as mapping.yml says: raw to staging, staging to standardized, standardized to unified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdp_pipelines.generate.sql import model_name
from cdp_pipelines.mapping import BOOKKEEPING, Feed, Mapping
from cdp_pipelines.survivorship import LINKS, Unified


class Column(NamedTuple):
    """A column of a table of the warehouse."""

    schema: str
    table: str
    name: str


Sources = dict[str, list[Column]]


def sources(spec: Mapping, schema: str, table: str) -> Sources:
    """By column of a table, the columns that its values come from; nothing for a table that the mapping does not make."""
    match schema:
        case "staging":
            for kind, entity, model, feed in spec.feeds():
                if table == model_name(kind, model):
                    return _staging(spec, kind, entity, feed)
        case "standardized" if table in spec.entities:
            return _standardized(spec, table)
        case "unified":
            for name, unified in spec.unified.items():
                if table == name:
                    return _unified(unified)
    return {}


def origins(spec: Mapping, schema: str, table: str) -> Sources:
    """By column of a table, the columns at the beginning of the way: raw ones, or those of a table that the mapping does not make."""
    return {name: list(dict.fromkeys(_beginning(spec, found))) for name, found in sources(spec, schema, table).items()}


def _beginning(spec: Mapping, columns: Iterable[Column]) -> Iterator[Column]:
    for column in columns:
        made_of = sources(spec, column.schema, column.table)
        if column.name in made_of:
            yield from _beginning(spec, made_of[column.name])
        elif not made_of:
            yield column  # else it is a constant there, or null


def raw_descriptions(spec: Mapping, kind: str, table: str, columns: Iterable[str]) -> dict[str, str]:
    """What the columns of a raw table are: the vendor's field, and the standardized columns that are made of it."""
    fields = {column: field for field, column in spec.raw_columns(kind, table).items()}
    becomes: dict[str, list[str]] = {}
    for of, entity, _, feed in spec.feeds():
        if of == kind:
            for name, found in _staging(spec, kind, entity, feed).items():
                for source in found:
                    if source.table == table:
                        becomes.setdefault(source.name, []).append(f"{entity}.{name}")
    told = {
        "connection": "Connection that the row came through.",
        "_synced_at": "When this version was read, UTC.",
        "_deleted": "'true' when the record is deleted or no longer shown.",
        "_merged_into": "Id of the record that this one was merged into.",
        "_dlt_load_id": "The load that brought the row.",
    }
    for column in columns:
        if column in told:
            continue
        what = f"The vendor's {fields[column]}, as given." if column in fields else "A field of the vendor's, as given."
        used = ", ".join(dict.fromkeys(becomes.get(column, ())))
        told[column] = f"{what} Read for {used}." if used else f"{what} No standardized column is made of it."
    return told


def _staging(spec: Mapping, kind: str, entity: str, feed: Feed) -> Sources:
    def raw(reference: str) -> Column:
        table, field = feed.table_of(reference)
        return Column(f"raw_{kind}", table, spec.column(kind, table, field))

    found: Sources = {}
    for name, field in spec.entities[entity].fields.items():
        if field.bookkeeping in BOOKKEEPING:
            found[name] = [Column(f"raw_{kind}", feed.table, str(field.bookkeeping))]
        elif name in feed.fields and (references := feed.fields[name].references):
            found[name] = list(dict.fromkeys(map(raw, references)))
    return found


def _standardized(spec: Mapping, entity: str) -> Sources:
    models = [model_name(kind, model) for kind, _, model, _ in spec.feeds(entity)]
    return {name: [Column("staging", model, name) for model in models] for name in spec.entities[entity].fields}


def _unified(table: Unified) -> Sources:
    found: Sources = {table.key: [Column("unified", table.links, table.key)]}
    for name, field in table.fields.items():
        of, _, column = (field.value or name).rpartition(".")
        if not of:
            found[name] = [Column("standardized", table.records, column)]
        else:
            found[name] = [Column("unified", table.links if of == LINKS else table.lookups[of].table, column)]
    found[table.count] = [Column("unified", table.links, table.key)]
    found["source_systems"] = [Column("standardized", table.records, "source_system")]
    return found
