"""The lead fields of one instance: those that it begins with, and what people added and changed since."""

from __future__ import annotations

from typing import Any

from cdp_pipelines.sandbox.marketo.fields import LEAD_FIELDS, Field, searchable

FIRST_ADDED_ID = 1101
# Filters that every instance takes; no lead here has a value for them.
_FILTERS_WITHOUT_VALUES = {"facebookId", "linkedInId", "twitterId", "sfdcAccountId", "sfdcLeadOwnerId", "sfdcOpptyId"}
_LENGTHS = {"string": 255, "email": 255, "phone": 255, "url": 255}


class LeadFields:
    """All fields, `by_name` those that REST shows.

    `searchable` are the names by which leads can be looked up, `filters` those that `filterType` takes. `blanks` is what a lead has in the
    added fields before anybody fills them; it stays the same dictionary.
    """

    def __init__(self) -> None:
        self.all: dict[int, Field] = {field.id: field for field in LEAD_FIELDS}
        self.by_name: dict[str, Field] = {}
        self.blanks: dict[str, Any] = {}
        self._look_up()

    def add(self, name: str, label: str, kind: str, **more: Any) -> Field:
        """Add a custom field of a `dataType`; `more` are other parts of a Field. A score is a whole number, as describe shows it."""
        kind = {"score": "integer", "textarea": "text"}.get(kind, kind)
        field = Field(max(*self.all, FIRST_ADDED_ID - 1) + 1, name, label, kind, _LENGTHS.get(kind), **more)
        self.all[field.id] = field
        self.blanks[name] = False if kind == "boolean" else None
        self._look_up()
        return field

    def change(self, name: str, **parts: Any) -> Field:
        """Change parts of a field; its name and type are for ever."""
        field = self.by_name[name]._replace(**parts)
        self.all[field.id] = field
        self._look_up()
        return field

    def label(self, name: str) -> tuple[int, str]:
        """The id and the label of a field, by which activities name it."""
        return self.by_name[name].id, self.by_name[name].label

    def with_label(self, label: str) -> str:
        """The name of the field that people know by this label, letters' case aside; '' when there is none."""
        return next((name for name, field in self.by_name.items() if field.label.lower() == label.lower()), "")

    def _look_up(self) -> None:
        self.by_name = {field.name: field for field in self.all.values() if field.name}
        self.searchable = searchable(self.all.values())
        self.filters = self.searchable | _FILTERS_WITHOUT_VALUES
