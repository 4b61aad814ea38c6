"""The leads: the world's people in Marketo's fields, made when they are asked for; only what changed is kept."""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from cdp_pipelines.sandbox.columns import ALIVE, CONVERTED, Column, of_people
from cdp_pipelines.sandbox.marketo.companies import Companies, company_key
from cdp_pipelines.sandbox.marketo.envelope import whole
from cdp_pipelines.sandbox.marketo.lead_records import blank, lead_of, salesforce_ids
from cdp_pipelines.sandbox.marketo.moments import iso
from cdp_pipelines.sandbox.people import CrmView, PersonRecord


class Leads:
    """The leads. Ids follow the order of creation, as Marketo's do. `created` and `changed` are seconds since 1970, in order of id.

    `changed` is the hidden time that the bulk filter `updatedAt` looks at: the last change of any field, where the visible `updatedAt`
    follows standard fields only. `added` are fields that the instance got since, with what a lead has in them at first.
    """

    def __init__(
        self,
        view: CrmView,
        salesforce_people: Sequence[PersonRecord] | None = None,
        companies: Companies | None = None,
        added: dict[str, Any] | None = None,
    ):
        self._view = view
        self._salesforce_people = of_people(salesforce_people) if salesforce_people else None
        self._companies = companies or Companies(view)
        self._added = {} if added is None else added
        self._values: dict[int, dict[str, Any]] = {}
        self._indexes: dict[str, dict[str, list[int]]] = {}
        self._columns = of_people(view.people)
        created = self._columns.created // 1000
        changed = np.maximum(created, self._columns.updated // 1000)
        order = np.argsort(created, kind="stable")
        self._numbers, self._ids = order, np.empty(len(order), dtype=np.int64)
        self._ids[order] = np.arange(1, len(order) + 1)
        self.created, self.changed = array("q", created[order].tolist()), array("q", changed[order].tolist())
        self.alive = bytearray(np.isin(self._columns.fate, (ALIVE, CONVERTED))[order].astype(np.uint8).tobytes())

    def id_of(self, number: int) -> int:
        """The lead id of the world's person record with this number."""
        return int(self._ids[number])

    def survivor(self, number: int) -> int:
        """The lead id of the world's person record with this number, or of the record that it was merged into."""
        return self.id_of(int(self._survivors[number]))

    def survivors_of(self, numbers: Column) -> Column:
        """The same for many."""
        return self._ids[self._survivors[numbers]]

    def are_alive(self, identifiers: Column) -> Column:
        """Which of these leads exist today."""
        return np.frombuffer(bytes(self.alive), dtype=bool)[identifiers - 1]

    @cached_property
    def _survivors(self) -> Column:
        return self._columns.survivors()

    def __len__(self) -> int:
        return self.alive.count(1)

    def is_alive(self, identifier: int) -> bool:
        """Whether the lead exists today."""
        return 1 <= identifier <= len(self.alive) and bool(self.alive[identifier - 1])

    def ids(self) -> Iterator[int]:
        """Ids of the leads that exist, oldest first."""
        return (n + 1 for n, alive in enumerate(self.alive) if alive)

    def company_keys(self) -> set[str]:
        """The `externalCompanyId`s of the leads that exist."""
        living = self._numbers[np.frombuffer(bytes(self.alive[: len(self._numbers)]), dtype=bool)]
        companies = self._columns.company[living]
        keys = {company_key(int(company)) for company in np.unique(companies[companies >= 0])}
        changed = (values.get("externalCompanyId") for identifier, values in self._values.items() if self.is_alive(identifier))
        keys |= {key for key in changed if key}
        return keys if self._companies.untouched else {key for key in keys if self._companies.id_of(key)}

    def get(self, identifier: int) -> dict[str, Any]:
        """All fields of a lead, also of one that is gone."""
        changed = self._values.get(identifier, {})
        if identifier > len(self._numbers):
            return {**self._added, **changed, **self._companies.overlay(changed, None)}
        person = self._view.people[self._numbers[identifier - 1]]
        company = self._view.companies[person.company] if person.company is not None else None
        lead = lead_of(person, company)
        own, number = lead["externalCompanyId"], person.salesforce_number
        lead["id"] = identifier
        if number is not None:
            lead |= salesforce_ids(number, self._salesforce_people)
        lead |= self._added
        lead |= changed
        return lead | self._companies.overlay(lead, own)

    def find(self, field: str, values: Iterable[str]) -> list[int]:
        """Ids of the leads where `field` is one of `values`, letters' case aside."""
        wanted = dict.fromkeys(v.lower() for v in values)
        if field == "id":
            numbers = dict.fromkeys(map(whole, wanted))
            return [n for n in numbers if n is not None and self.is_alive(n)]
        index = self._indexes.get(field)
        if index is None:
            index = self._indexes[field] = {}
            for identifier in self.ids():
                for text in self._text(identifier, field):
                    index.setdefault(text, []).append(identifier)
        found = (identifier for value in wanted for identifier in index.get(value, []))
        return list(dict.fromkeys(found))

    def _text(self, identifier: int, field: str) -> list[str]:
        """What a lead is found by in a field: one text or none; of cookies, each."""
        if field == "email" and identifier not in self._values:
            value: Any = self._view.people[self._numbers[identifier - 1]].email
        elif field == "externalCompanyId" and identifier not in self._values and self._companies.untouched:
            company = int(self._columns.company[self._numbers[identifier - 1]])
            value = company_key(company) if company >= 0 else None
        else:
            value = self.get(identifier).get(field)
        if field == "cookies" and value:
            return value.lower().split(",")
        return [] if value is None else [str(value).lower()]

    def forget(self, field: str) -> None:
        """Make the index of a field anew when it is next needed, since it changed beyond the leads' own fields."""
        self._indexes.pop(field, None)

    def between(self, field: str, start: int, end: int) -> list[int]:
        """Ids of the leads that were created (`createdAt`) or last changed (`updatedAt`) from `start` to `end`, both included."""
        times = np.array(self.created if field == "createdAt" else self.changed)
        inside = (times >= start) & (times <= end) & np.array(self.alive, dtype=bool)
        return (np.nonzero(inside)[0] + 1).tolist()

    def add(self, values: dict[str, Any], at: int) -> int:
        """A new lead with these fields."""
        self.created.append(at)
        self.changed.append(at)
        self.alive.append(1)
        identifier = len(self.alive)
        stamps = {"createdAt": iso(at), "updatedAt": iso(at), "leadPartitionId": 1, "personType": "contact", "isLead": True}
        self._values[identifier] = blank() | stamps | values | {"id": identifier}
        self._name(identifier)
        self._index(identifier, {})
        return identifier

    def edit(self, identifier: int, values: dict[str, Any], at: int) -> None:
        """Change fields of a lead."""
        before = {field: self._text(identifier, field) for field in self._indexes}
        self._values.setdefault(identifier, {}).update(values, updatedAt=iso(at))
        self.touch(identifier, at)
        if {"firstName", "lastName"} & values.keys():
            self._name(identifier)
        self._index(identifier, before)

    def touch(self, identifier: int, at: int) -> None:
        """Note a change of something that a lead inherits; its visible time stays."""
        self.changed[identifier - 1] = max(self.changed[identifier - 1], at)

    def remove(self, identifier: int) -> None:
        """Take a lead away for good."""
        before = {field: self._text(identifier, field) for field in self._indexes}
        self.alive[identifier - 1] = 0
        self._index(identifier, before)

    def _name(self, identifier: int) -> None:
        lead = self.get(identifier)
        self._values[identifier]["mktoName"] = " ".join(filter(None, (lead["firstName"], lead["lastName"]))) or None

    def _index(self, identifier: int, before: dict[str, list[str]]) -> None:
        """Bring the indexes up to date; `before` is what the lead was found by."""
        for field, index in self._indexes.items():
            old = before.get(field, [])
            new = self._text(identifier, field) if self.is_alive(identifier) else []
            for text in old:
                if text not in new:
                    index[text].remove(identifier)
            for text in new:
                if text not in old:
                    insort(index.setdefault(text, []), identifier)
