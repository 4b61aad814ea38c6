"""The properties that a portal's objects have: HubSpot's own, and those that were added, changed and archived since."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cdp_pipelines.sandbox.hubspot.properties import Property
from cdp_pipelines.sandbox.hubspot.stock_properties import properties

GROUPS = {"contacts": "contactinformation", "companies": "companyinformation", "deals": "dealinformation"}


@dataclass(frozen=True)
class Group:
    """A group of properties as people see them on screen."""

    name: str
    label: str
    order: int
    archived: bool = False


@dataclass
class _Type:
    own: dict[str, Property] = field(default_factory=dict)
    archived: dict[str, tuple[Property, datetime]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)


class Schema:
    """Definitions by object type. `version` grows with every change."""

    def __init__(self) -> None:
        self._types: dict[str, _Type] = {}
        self._known: dict[str, dict[str, Property]] = {}
        self.version = 0

    def definitions(self, kind: str) -> dict[str, Property]:
        """The properties of a type (plural name) that are not archived, by name, in order of name."""
        if kind not in self._known:
            changed = self._of(kind)
            found = {**properties(kind), **changed.own}
            self._known[kind] = {name: found[name] for name in sorted(found) if name not in changed.archived}
        return self._known[kind]

    def archived(self, kind: str) -> dict[str, tuple[Property, datetime]]:
        """The archived ones, and since when."""
        return self._of(kind).archived

    def put(self, kind: str, definition: Property) -> None:
        """Add a property or change its definition; one that was archived is there again."""
        changed = self._of(kind)
        changed.own[definition.name] = definition
        changed.archived.pop(definition.name, None)
        self._changed(kind)

    def change(self, kind: str, name: str, at: datetime, **changes: Any) -> Property:
        """Change parts of a property's definition."""
        new = replace(self.definitions(kind)[name], **changes, updated=at)
        self.put(kind, new)
        return new

    def archive(self, kind: str, name: str, at: datetime) -> None:
        """Archive a property: records no longer have it."""
        changed = self._of(kind)
        changed.archived[name] = (self.definitions(kind)[name], at)
        self._changed(kind)

    def groups(self, kind: str) -> dict[str, Group]:
        """The groups of a type, archived ones left out."""
        return {name: group for name, group in self._of(kind).groups.items() if not group.archived}

    def put_group(self, kind: str, group: Group) -> None:
        """Add or change a group."""
        self._of(kind).groups[group.name] = group
        self.version += 1

    def _of(self, kind: str) -> _Type:
        if kind not in self._types:
            name = GROUPS.get(kind, "information")
            self._types[kind] = _Type(groups={name: Group(name, name.replace("information", " information").capitalize(), 0)})
        return self._types[kind]

    def _changed(self, kind: str) -> None:
        self._known.pop(kind, None)
        self.version += 1
