"""What a SOQL path means: which references to follow from a record, and the field at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cdp_pipelines.sandbox.salesforce.records import Record
from cdp_pipelines.sandbox.salesforce.schema import COMPOUND_TYPES, FieldSpec, ObjectSpec
from cdp_pipelines.sandbox.salesforce.soql_query import Path, error_at
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

ADVICE = (
    "If you are attempting to use a custom {}, be sure to append the '__{}' after the {} name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)

# Formula fields that look at another record: their value moves with that one, and this one's SystemModstamp does not.
_FORMULAS: dict[str, Callable[[SalesforceStore, Record], Any]] = {
    "AccountRegion__c": lambda store, record: store.value(record.get("AccountId"), "Region__c"),
}


@dataclass(frozen=True)
class Column:
    """A field of the answer: the reference fields to follow from the record, and the field at the end."""

    hops: tuple[FieldSpec, ...]
    field: FieldSpec

    @property
    def name(self) -> str:
        """As CSV heads it: `Account.Name`."""
        return ".".join([*(h.relationship or "" for h in self.hops), self.field.name])

    @cached_property
    def _default(self) -> Any:
        """Booleans are never null, nor are counted fields."""
        if self.field.type == "boolean":
            return False
        return 0 if self.field.type == "int" and "n" not in self.field.flags else None

    def value(self, store: SalesforceStore, record: Record) -> Any:
        """The field's value for a record."""
        for hop in self.hops:
            parent = store.get(record.get(hop.name))
            if parent is None:
                return None
            record = parent
        if self.field.type in COMPOUND_TYPES:
            return _address(self.field, record)
        if (formula := _FORMULAS.get(self.field.name)) is not None:
            return formula(store, record)
        value = record.get(self.field.name)
        return self._default if value is None else value


def resolve(schema: dict[str, ObjectSpec], spec: ObjectSpec, path: Path, text: str) -> Column:
    """The column that a path names. Raises SoqlError when there is none."""
    hops: list[FieldSpec] = []
    for part in path.parts[:-1]:
        hop = spec.relationships.get(part.lower())
        target = next((schema[t.lower()] for t in reversed(hop.targets) if t.lower() in schema), None) if hop else None
        if hop is None or target is None:
            problem = f"Didn't understand relationship '{part}' in field path. " + ADVICE.format("relationship", "r", "custom relationship")
            raise error_at("INVALID_FIELD", text, path.at, problem)
        hops.append(hop)
        spec = target
    if field := spec.fields.get(path.parts[-1].lower()):
        return Column(tuple(hops), field)
    problem = f"No such column '{path.parts[-1]}' on entity '{spec.name}'. " + ADVICE.format("field", "c", "custom field")
    raise error_at("INVALID_FIELD", text, path.at, problem)


def _address(field: FieldSpec, record: Record) -> dict[str, Any] | None:
    prefix = field.name.removesuffix("Address")
    parts = ("City", "Country", "GeocodeAccuracy", "Latitude", "Longitude", "PostalCode", "State", "Street")
    value: dict[str, Any] = {part[0].lower() + part[1:]: record.get(prefix + part) for part in parts}
    return value if any(v is not None for v in value.values()) else None
