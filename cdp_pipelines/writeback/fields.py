"""Which of a CRM's fields holds one of ours: mapping.yml read the other way round, and checked against what the CRM has and lets us write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cdp_pipelines.config import Kind
from cdp_pipelines.crm_integrations.base_crm import BaseCRM, FieldInfo
from cdp_pipelines.mapping import Feed, StandardField, load
from cdp_pipelines.sources import registry

ENTITY = "contacts"
# The types of FieldInfo that take whole numbers only.
_WHOLE = ("integer", "int", "long")


@dataclass(frozen=True)
class Via:
    """Another object of the CRM and the field of it that ours is."""

    object: str
    field: str


@dataclass(frozen=True)
class FieldTarget:
    """One of our fields in one object of a CRM: the CRM's field, or why there is none to write to."""

    ours: str
    field: StandardField
    to: str | None
    problem: str | None = None
    whole: bool = False
    """Whether the CRM's field holds whole numbers only."""
    via: Via | None = None
    """The record whose id the field holds, where ours is a value of that record: a Salesforce contact's company is its account."""


@dataclass(frozen=True)
class ObjectTarget:
    """An object of a CRM that holds people: the vendor's name of it, what ours calls such a record, and where each field of ours is."""

    object: str
    record_type: str
    fields: Mapping[str, FieldTarget]

    @property
    def email(self) -> str:
        """The CRM's field with the e-mail address."""
        return self.fields["email"].to or "email"

    def vendor_fields(self, ours: Iterable[str]) -> list[str]:
        """The CRM's fields of these of ours that can be written, once each."""
        return list(dict.fromkeys(to for name in ours if name in self.fields and (to := self.fields[name].to)))


async def objects_of(client: BaseCRM) -> dict[str, ObjectTarget]:
    """The objects with people of one connection by the vendor's name, in the order in which a person is looked for. May raise a CRMError."""
    kind: Kind = client.connection.kind
    found = {}
    for _, _, _, feed in (f for f in load().feeds(ENTITY) if f[0] == kind):
        object_name = _object(kind, feed.table)
        there = {info.name: info for info in await client.describe_fields(object_name)}
        found[object_name] = ObjectTarget(object_name, _record_type(feed), _targets(kind, object_name, feed, there))
    return found


def _object(kind: Kind, table: str) -> str:
    """The vendor's name of what a raw table holds."""
    return next(t.object for t in registry.TABLES[kind] if t.name == table)


def _record_type(feed: Feed) -> str:
    return feed.fields["record_type"].constant or "contact"


def _targets(kind: Kind, object_name: str, feed: Feed, there: Mapping[str, FieldInfo]) -> dict[str, FieldTarget]:
    fields = load().entities[ENTITY].fields
    return {
        name: _linked(kind, name, fields[name], feed, there) or _target(name, fields[name], object_name, feed, there)
        for name in feed.fields
    }


def _linked(kind: Kind, name: str, field: StandardField, feed: Feed, there: Mapping[str, FieldInfo]) -> FieldTarget | None:
    """Where ours is a field of a looked-up record that one field of the object names by its id."""
    lookup_name, dot, value = (feed.fields[name].field or "").partition(".")
    lookup = feed.lookups.get(lookup_name)
    if not dot or lookup is None or len(lookup.match) != 1:
        return None
    ((key, link),) = lookup.match.items()
    if key != "Id" or link not in there or there[link].read_only:
        return None
    return FieldTarget(name, field, link, via=Via(_object(kind, lookup.table), value))


def _target(name: str, field: StandardField, object_name: str, feed: Feed, there: Mapping[str, FieldInfo]) -> FieldTarget:
    source = feed.fields[name]
    own = [f for f in [*([source.field] if source.field else []), *source.first_of] if "." not in f]
    if not own:
        kept = next(iter(source.references), None)
        why = f"{object_name} has it from another record ({kept})" if kept and "." in kept else f"{object_name} has no field for it"
        return FieldTarget(name, field, None, why)
    present = [f for f in own if f in there]
    if not present:
        return FieldTarget(name, field, None, f"this CRM has no field {' or '.join(own)} in {object_name}; put its name into mapping.yml")
    writable = [f for f in present if not (there[f].calculated or there[f].read_only)]
    if not writable:
        return FieldTarget(name, field, None, f"{object_name}.{present[0]} is read only")
    return FieldTarget(name, field, writable[0], whole=there[writable[0]].type in _WHOLE)
