"""The mapping against what a CRM really has: fields that are missing or of another type, and custom fields that nothing maps."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cdp_pipelines.config import Kind
from cdp_pipelines.crm_integrations.base_crm import FieldInfo, PermissionDenied, RequestRejected
from cdp_pipelines.mapping import Feed, FieldSource, Mapping
from cdp_pipelines.sources.reader import RawTable, Reader

# The vendors' own type names by what they hold; a type that is not listed can hold anything, and nothing is said about it.
_HOLDS = {
    **dict.fromkeys(("int", "integer", "double", "long", "float", "number", "currency", "percent", "score"), "numbers"),
    "date": "dates", "datetime": "times", "boolean": "booleans", "bool": "booleans",
    **dict.fromkeys(("string", "textarea", "text", "email", "phone", "phone_number", "url", "picklist", "multipicklist", "reference", "id"), "text"),
}  # fmt: skip
_EXPECTED = {
    "integer": {"numbers"},
    "decimal": {"numbers"},
    "boolean": {"booleans"},
    "date": {"dates", "times"},
    "timestamp": {"times", "dates"},
}
NEAR_NAMES, NEARNESS = 3, 0.75


@dataclass(frozen=True)
class Finding:
    """One difference between the mapping and a CRM.

    `what` is `missing` (mapped, but the CRM has no such field), `retyped` (its type cannot give what the standardized field needs),
    `unmapped` (a custom field that no standardized field uses) or `unreadable` (the table's fields could not be asked for).
    `used_by` are the standardized fields concerned, as `entity.field`; `empty` says that one of them gets no value at all, `blocking`
    that this is a fault, since the mapping does not call the field optional.
    """

    table: str
    what: str
    field: str
    detail: str
    blocking: bool = False
    empty: bool = False
    used_by: list[str] = field(default_factory=list)
    near_names: list[str] = field(default_factory=list)


async def compare(spec: Mapping, kind: Kind, reader: Reader) -> list[Finding]:
    """What differs for one connection, the missing fields first. Raises CRMError when the CRM cannot be asked at all."""
    existing: dict[str, set[str]] = {}
    described: dict[str, list[FieldInfo]] = {}
    findings: list[Finding] = []
    for table in reader.tables:
        try:
            existing[table.name] = {*await reader.fields(table), *table.key, *table.replace_by, *table.fields}
            described[table.name] = [info for info in await _described(reader, table) if info.name in existing[table.name]]
        except (PermissionDenied, RequestRejected) as error:
            findings.append(Finding(table.name, "unreadable", "", f"{error.problem} {error.remedy}".strip(), blocking=True))
    for name in existing:
        findings += _missing(spec, kind, name, existing, described[name])
        findings += _retyped(spec, kind, name, described[name])
        findings += _unmapped(spec, kind, name, described[name])
    order = ("unreadable", "missing", "retyped", "unmapped")
    return sorted(findings, key=lambda f: (order.index(f.what), not f.blocking, f.table, f.field))


async def _described(reader: Reader, table: RawTable) -> list[FieldInfo]:
    try:
        return await reader.client.describe_fields(table.object)
    except RequestRejected:  # associations, stages and the like are no objects that can be described
        return []


def _missing(spec: Mapping, kind: Kind, table: str, existing: dict[str, set[str]], infos: list[FieldInfo]) -> Iterator[Finding]:
    for name in spec.raw_fields(kind, table):
        if name in existing[table]:
            continue
        uses = list(_uses(spec, kind, table, name))
        # A field that only chooses or joins rows has no stand-in.
        replaced = [_has_alternative(feed, source, existing) for _, feed, source in uses]
        blocked = not uses or not all(there or source.optional for there, (_, _, source) in zip(replaced, uses, strict=True))
        empty = not uses or not all(replaced)
        detail = "nothing takes its place" if empty else "another field of the list takes its place"
        targets = list(dict.fromkeys(target for target, _, _ in uses))
        yield Finding(table, "missing", name, detail, blocked, empty, targets, _near(name, infos, spec.raw_fields(kind, table)))


def _retyped(spec: Mapping, kind: Kind, table: str, infos: list[FieldInfo]) -> Iterator[Finding]:
    types = {info.name: info.type for info in infos}
    for name in spec.raw_fields(kind, table):
        holds = _HOLDS.get(types.get(name, "").lower())
        for target, _, source in _uses(spec, kind, table, name):
            entity, _, our_field = target.partition(".")
            needed = spec.entities[entity].fields[our_field].type
            expected = _EXPECTED.get(re.sub(r"\(.*", "", needed))
            if holds and expected and not source.sql and holds not in expected:
                yield Finding(table, "retyped", name, f"{target} is {needed}, but the CRM's type is {types[name]}", used_by=[target])


def _unmapped(spec: Mapping, kind: Kind, table: str, infos: list[FieldInfo]) -> Iterator[Finding]:
    mapped = set(spec.raw_fields(kind, table))
    for info in infos:
        if info.custom and info.name not in mapped:
            yield Finding(table, "unmapped", info.name, f"{info.type}, {info.label!r}; kept in raw_{kind}.{table}")


def _uses(spec: Mapping, kind: Kind, table: str, name: str) -> Iterator[tuple[str, Feed, FieldSource]]:
    """The standardized fields (`entity.field`) that read a vendor field, with the feed and the way in which they do."""
    for crm, entity, _, feed in spec.feeds():
        if crm == kind:
            for our_field, source in feed.fields.items():
                if any(feed.table_of(reference) == (table, name) for reference in source.references):
                    yield f"{entity}.{our_field}", feed, source


def _has_alternative(feed: Feed, source: FieldSource, existing: dict[str, set[str]]) -> bool:
    places = (feed.table_of(reference) for reference in source.first_of)
    return any(name in existing.get(table, ()) for table, name in places)


def _near(name: str, infos: Iterable[FieldInfo], mapped: Iterable[str]) -> list[str]:
    """Fields that the missing one may have become: not mapped yet, and named alike."""
    taken = set(mapped)
    plain = {_plain(info.name): info.name for info in infos if info.name not in taken}
    return [plain[match] for match in difflib.get_close_matches(_plain(name), plain, NEAR_NAMES, NEARNESS)]


def _plain(name: str) -> str:
    """Without what differs only in style: case, underscores, Salesforce's custom suffix."""
    return name.lower().removesuffix("__c").replace("_", "")
