"""The mapping spec, typed and strict: what each standardized field is, and where each CRM keeps it.

`mapping.yml` names the vendors' own fields (`FirstName`, `hs_deal_stage_probability`, `leadScore`). A field of a looked-up table is
written `lookup.Field`; inside SQL a field is written `$Field` or `$lookup.Field`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from cdp_pipelines.config import Kind
from cdp_pipelines.consents import Consents
from cdp_pipelines.pii import Pii
from cdp_pipelines.sources.columns import assign_columns
from cdp_pipelines.strict import Name, Strict, Type, read_yaml
from cdp_pipelines.survivorship import Unified

PATH = Path(__file__).with_name("mapping.yml")
# What every raw row carries besides the vendor's fields; always written as it is.
BOOKKEEPING = ("connection", "_synced_at", "_deleted", "_merged_into")
REFERENCE = re.compile(r"\$([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)")


class MappingError(Exception):
    """mapping.yml is wrong; the text names the file, the place in it and what to do."""


class StandardField(Strict):
    """A column of a standardized table.

    `bookkeeping` says that it comes from what every raw row carries, so that no source lists it. `pii` is its class of
    personal data. `picklist` says that the CRM's administrators set its values, so that one never seen before is told. `references` names the
    `entity.field` that it points to within a connection.
    """

    type: Type
    description: str
    required: bool = False
    accepted: tuple[str, ...] = ()
    pii: Pii
    clean: Literal["email", "domain"] | None = None
    picklist: bool = False
    bookkeeping: Literal["connection", "source_system", "_deleted", "_merged_into", "_synced_at"] | None = None
    references: Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$")] | None = None


class Entity(Strict):
    """A standardized table. `key` identifies a row within a connection."""

    description: str
    key: Annotated[tuple[Name, ...], Field(min_length=1)]
    fields: dict[Name, StandardField]

    @property
    def mapped(self) -> list[str]:
        """Names of the fields that every source has to list."""
        return [name for name, field in self.fields.items() if field.bookkeeping is None]

    @model_validator(mode="after")
    def _key_exists(self) -> Entity:
        if unknown := [name for name in self.key if name not in self.fields]:
            raise ValueError(f"key: {', '.join(unknown)} not among the fields")
        return self


class Table(Strict):
    """A raw table. `key` and `replace_by` are as in `sources.reader.RawTable`, in the vendor's field names."""

    description: str
    key: Annotated[tuple[str, ...], Field(min_length=1)]
    replace_by: tuple[str, ...] = ()


class Lookup(Strict):
    """A row of another raw table of the same connection: the one whose fields (left) equal these (right).

    Where several rows can match, `order_by` says which is meant: the first. `where` narrows them before.
    """

    table: str
    match: Annotated[dict[str, str], Field(min_length=1)]
    where: str | None = None
    order_by: tuple[str, ...] = ()

    @property
    def fields(self) -> list[str]:
        """Vendor fields of the looked-up table that choosing the row needs."""
        return [*self.match, *references(self.where or ""), *references(*self.order_by)]


class FieldSource(Strict):
    """Where a standardized field comes from: exactly one of the forms; `note` says why, for the documentation.

    `optional` says that many CRMs of the kind lack it by design, so that its absence is told but is no fault.

    `field` is one vendor field or null (the CRM has nothing of the kind), `first_of` the first that is not blank, `constant` the same
    for every row, `sql` an expression that already has the field's type.
    """

    field: str | None = None
    first_of: tuple[str, ...] = ()
    constant: str | None = None
    sql: str | None = None
    note: str | None = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"field": value} if value is None or isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_form(self) -> FieldSource:
        forms = self.model_fields_set - {"note", "optional"}
        if len(forms) != 1:
            raise ValueError("give exactly one of field, first_of, constant, sql")
        return self

    @property
    def references(self) -> list[str]:
        """The `Field`s and `lookup.Field`s that it reads, in order."""
        return [*([self.field] if self.field else []), *self.first_of, *references(self.sql or "")]


class Feed(Strict):
    """One raw table that feeds an entity; each becomes a staging model.

    `where` keeps only some rows, `requires` only those for which these lookups find a row. `newest_by` keeps one row for each
    combination of these fields, the first by `order_by`. `note` says why, for the documentation.
    """

    table: str
    where: str | None = None
    newest_by: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    lookups: dict[Name, Lookup] = Field(default_factory=dict)
    requires: tuple[Name, ...] = ()
    note: str | None = None
    fields: dict[Name, FieldSource]

    @model_validator(mode="after")
    def _order_goes_with_newest(self) -> Feed:
        if bool(self.newest_by) != bool(self.order_by):
            raise ValueError("newest_by and order_by go together")
        if unknown := [name for name in self.requires if name not in self.lookups]:
            raise ValueError(f"requires {unknown[0]!r}, which is not one of the lookups")
        return self

    @property
    def takes_every_row(self) -> bool:
        """Whether each row of the raw table becomes a row of the entity."""
        return not (self.where or self.newest_by or self.requires)

    def table_of(self, reference: str) -> tuple[str, str]:
        """The raw table and the vendor field that `Field` or `lookup.Field` means. Raises ValueError for an unknown lookup."""
        lookup, dot, field = reference.rpartition(".")
        if not dot:
            return self.table, field
        if lookup not in self.lookups:
            raise ValueError(
                f"{reference!r} speaks of a lookup {lookup!r} that is not declared; there are {sorted(self.lookups) or 'none'}"
            )
        return self.lookups[lookup].table, field

    def reads(self) -> Iterator[tuple[str, str]]:
        """Every (raw table, vendor field) that this feed reads, with repetitions."""
        for reference in [*references(self.where or "", *self.order_by), *self.newest_by]:
            yield self.table, reference
        for lookup in self.lookups.values():
            for field in lookup.fields:
                yield lookup.table, field
            for reference in lookup.match.values():
                yield self.table_of(reference)
        for source in self.fields.values():
            for reference in source.references:
                yield self.table_of(reference)


class Mapping(Strict):
    """The whole spec.

    `raw` describes each CRM's raw tables; `sources` holds, for each CRM and entity, the feeds by model name; `unified` says whose values
    the unified tables show, `consents` which fields say whether a person may be reached. `other_tables` has the class of personal data of each column of the published tables that it does not make.
    """

    entities: dict[Name, Entity]
    unified: dict[Name, Unified] = Field(default_factory=dict)
    consents: Consents | None = None
    other_tables: dict[Name, dict[Name, Pii]] = Field(default_factory=dict)
    raw: dict[Kind, dict[Name, Table]]
    sources: dict[Kind, dict[Name, dict[Name, Feed]]]

    def feeds(self, entity: str | None = None) -> Iterator[tuple[Kind, str, str, Feed]]:
        """(CRM, entity, model name, feed) in the spec's order, of one entity or all. The model is `stg_<CRM>__<model name>`."""
        for kind, entities in self.sources.items():
            for name, feeds in entities.items():
                if entity in (None, name):
                    for model, feed in feeds.items():
                        yield kind, name, model, feed

    def raw_fields(self, kind: str, table: str) -> list[str]:
        """The vendor's names of the fields that are read from a raw table: its key, then the others in the spec's order."""
        return self._raw_fields.get((kind, table), [])

    def raw_columns(self, kind: str, table: str) -> dict[str, str]:
        """Field -> raw column for `raw_fields`."""
        return assign_columns(self.raw_fields(kind, table), {})

    def column(self, kind: str, table: str, field: str) -> str:
        """The raw column of one field that the spec reads; bookkeeping columns stand for themselves."""
        return field if field in BOOKKEEPING else self.raw_columns(kind, table)[field]

    @cached_property
    def _raw_fields(self) -> dict[tuple[str, str], list[str]]:
        found = {(kind, name): dict.fromkeys([*t.key, *t.replace_by]) for kind, tables in self.raw.items() for name, t in tables.items()}
        for kind, _, _, feed in self.feeds():
            for table, field in feed.reads():
                if field not in BOOKKEEPING:
                    found[kind, table][field] = None
        return {key: list(fields) for key, fields in found.items()}

    @model_validator(mode="after")
    def _hangs_together(self) -> Mapping:
        models: set[tuple[str, str]] = set()
        for kind, entity, model, feed in self.feeds():
            where = f"sources.{kind}.{entity}.{model}"
            if entity not in self.entities:
                raise ValueError(f"{where}: there is no entity {entity!r}")
            if (kind, model) in models:
                raise ValueError(f"{where}: another feed of {kind} has the same name")
            models.add((kind, model))
            wanted = self.entities[entity].mapped
            if missing := [f for f in wanted if f not in feed.fields]:
                raise ValueError(f"{where}.fields: {', '.join(missing)} not listed; write null for what the CRM does not have")
            if unknown := [f for f in feed.fields if f not in wanted]:
                raise ValueError(f"{where}.fields: {', '.join(unknown)} not among the fields of {entity}")
            self._check_tables(where, kind, feed)
        for name, entity in self.entities.items():
            self._check_references(name, entity)
        if self.consents:
            records = self.entities.get(self.consents.records)
            self.consents.check_against({n: field.type for n, field in records.fields.items()} if records else {})
        for name, table in self.unified.items():
            table.check_against(f"unified.{name}", {e: entity.fields for e, entity in self.entities.items()})
        return self

    def _check_tables(self, where: str, kind: Kind, feed: Feed) -> None:
        tables = self.raw.get(kind, {})
        for table in [feed.table, *(lookup.table for lookup in feed.lookups.values())]:
            if table not in tables:
                raise ValueError(f"{where}: there is no raw table {kind}.{table}")
        for name, lookup in feed.lookups.items():
            if not lookup.order_by and set(lookup.match) != set(tables[lookup.table].key):
                raise ValueError(f"{where}.lookups.{name}: several rows of {lookup.table} can match; say which with order_by")
        try:
            list(feed.reads())
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def _check_references(self, name: str, entity: Entity) -> None:
        for field_name, field in entity.fields.items():
            if field.references:
                other, _, target = field.references.partition(".")
                if other not in self.entities or target not in self.entities[other].fields:
                    raise ValueError(f"entities.{name}.fields.{field_name}: references {field.references}, which does not exist")


def references(*sql: str) -> list[str]:
    """The `$Field`s and `$lookup.Field`s of SQL texts, without the dollar, in order and once each."""
    return list(dict.fromkeys(match for text in sql for match in REFERENCE.findall(text)))


def read(path: Path) -> Mapping:
    """The spec in a file. Raises MappingError with the file and the place of the first few mistakes."""
    try:
        return Mapping(**read_yaml(path))
    except yaml.YAMLError as error:
        raise MappingError(f"{path.name}: {error}") from None
    except ValidationError as error:
        raise MappingError("\n".join(_say(path, e["loc"], e["msg"]) for e in error.errors()[:10])) from None


@cache
def load() -> Mapping:
    """The project's own spec. Raises MappingError."""
    return read(PATH)


def _say(path: Path, place: Iterable[int | str], message: str) -> str:
    dotted = ".".join(str(part) for part in place)
    return f"{path.name}: {dotted}{': ' if dotted else ''}{message.removeprefix('Value error, ')}"
