"""Which record's value a unified row shows: the part of the mapping spec that says so, field by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.pii import Pii
from cdp_pipelines.strict import Name, Strict, Type

Strategy = Literal["source_order", "newest", "oldest", "most_complete", "most_frequent", "highest", "lowest"]
STRATEGIES: dict[Strategy, str] = {
    "source_order": "the record of the CRM that comes first in `source_order`",
    "newest": "the record that was changed last",
    "oldest": "the record that was made first",
    "most_complete": "the record that fills the most of the fields that go `together`, then the one with the longest text",
    "most_frequent": "the value that most records have, letters' case aside",
    "highest": "the greatest value",
    "lowest": "the least value",
}
"""What each strategy prefers. Of equals the record that was changed last wins, then the one made last, then by connection and id."""
# Without them there is no saying which record is newer.
DATES = ("last_updated", "created_date")
LINKS = "links"


class SurvivingField(Strict):
    """A column of a unified table that comes from one of its records.

    `value` is a field of the records, `links.column` or `lookup.column`; without it, the record's field of the same name. Only what is not
    a field of the records needs `type`, `description` and `pii`. Fields with the same `together` come from one record. `source_order` is this
    field's own order of CRMs.
    """

    by: Strategy
    value: Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)?$")] | None = None
    together: Name | None = None
    source_order: tuple[Kind, ...] = ()
    type: Type | None = None
    description: str | None = None
    pii: Pii | None = None

    @model_validator(mode="after")
    def _order_is_whole(self) -> SurvivingField:
        if self.source_order:
            if self.by != "source_order":
                raise ValueError(f"source_order is of no use to {self.by}")
            _check_order(self.source_order)
        if self.together and self.by in ("highest", "lowest"):
            raise ValueError(f"{self.by} looks at one field alone, so it cannot go together with others")
        return self


class RecordLookup(Strict):
    """A row of another unified table of the same connection: the one whose columns (left) equal the record's fields (right)."""

    table: Name
    match: Annotated[dict[Name, Name], Field(min_length=1)]


class Total(Strict):
    """A column that `totals` adds; `missing` is what stands there for those of whom it has no row."""

    type: Type
    pii: Pii
    description: str
    missing: str | None = None


class Totals(Strict):
    """A table with at most one row for each unified row, under the same key, whose columns the unified table shows too."""

    table: Name
    fields: Annotated[dict[Name, Total], Field(min_length=1)]


class Unified(Strict):
    """A unified table: one row for each `key` of `links`, each value from one of the records that may speak.

    `records` is the standardized table, `links` the table that says whose each record is: `connection`, the record's `id`, `key` and
    `is_current`. A record that is not current never wins, nor does one that a table of `excluded_by` has (`connection` and the record's
    id, such as a list of suppressed people). `provenance` is the table that says which record won. `also_named` is a second name.
    """

    description: str
    records: Name
    links: Name
    id: Name
    link_id: Name | None = None
    key: Name
    noun: str
    count: Name
    provenance: Name
    source_order: tuple[Kind, ...]
    excluded_by: tuple[Name, ...] = ()
    lookups: dict[Name, RecordLookup] = Field(default_factory=dict)
    fields: Annotated[dict[Name, SurvivingField], Field(min_length=1)]
    totals: Totals | None = None
    also_named: Name | None = None

    @property
    def record_key(self) -> str:
        """The column of `links` that holds the record's id."""
        return self.link_id or self.id

    def order_of(self, field: SurvivingField) -> tuple[Kind, ...]:
        """The order of CRMs for a field."""
        return field.source_order or self.source_order

    def group_of(self, name: str) -> list[str]:
        """The fields that come from the same record as this one, itself among them."""
        together = self.fields[name].together
        return [n for n, field in self.fields.items() if field.together == together] if together else [name]

    @model_validator(mode="after")
    def _hangs_together(self) -> Unified:
        _check_order(self.source_order)
        if LINKS in self.lookups:
            raise ValueError(f"lookups.{LINKS}: the name is taken by the table of links")
        own = {self.key, self.count, "source_systems", "is_deleted"}
        for name, field in self.fields.items():
            if name in own or (self.totals and name in self.totals.fields):
                raise ValueError(f"fields.{name}: there is another column of this name")
            first = self.fields[self.group_of(name)[0]]
            if (field.by, self.order_of(field)) != (first.by, self.order_of(first)):
                raise ValueError(f"fields.{name}: goes together with {self.group_of(name)[0]}, so it needs the same strategy and order")
        if self.totals and (clash := own & set(self.totals.fields)):
            raise ValueError(f"totals.fields.{clash.pop()}: there is another column of this name")
        return self

    def check_against(self, where: str, entities: Mapping[str, Collection[str]]) -> None:
        """Raise ValueError, beginning with `where`, when it speaks of a table, field or lookup that is not there; entities by name."""
        if self.records not in entities:
            raise ValueError(f"{where}.records: there is no entity {self.records!r}")
        there = entities[self.records]
        if missing := [name for name in (self.id, *DATES) if name not in there]:
            raise ValueError(f"{where}.records: {self.records} has no {missing[0]}, without which no record can win")
        for name, lookup in self.lookups.items():
            if unknown := [field for field in lookup.match.values() if field not in there]:
                raise ValueError(f"{where}.lookups.{name}: {self.records} has no field {unknown[0]!r}")
        for name, field in self.fields.items():
            source, dot, column = (field.value or name).rpartition(".")
            if not dot and column not in there:
                raise ValueError(f"{where}.fields.{name}: {self.records} has no field {column!r}; name another with `value`")
            if dot and source != LINKS and source not in self.lookups:
                raise ValueError(f"{where}.fields.{name}: {field.value!r} speaks of a lookup {source!r} that is not declared")
            if dot and (field.type is None or field.description is None or field.pii is None):
                raise ValueError(f"{where}.fields.{name}: comes from {source}, so give its type, description and pii")
            if not dot and (given := next((n for n in ("type", "pii") if getattr(field, n) is not None), None)):
                raise ValueError(f"{where}.fields.{name}.{given}: it is that of {self.records}.{column}; leave it out")


def _check_order(order: tuple[Kind, ...]) -> None:
    if sorted(order) != sorted(KINDS):
        raise ValueError(f"source_order: name each of {', '.join(KINDS)} once")
