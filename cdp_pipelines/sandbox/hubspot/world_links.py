"""The links of the world's records, found when somebody asks: in a large portal most are never asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np

from cdp_pipelines.sandbox import columns
from cdp_pipelines.sandbox.columns import Column
from cdp_pipelines.sandbox.hubspot.associations import (
    CONTACT_COMPANY,
    CONTACT_COMPANY_PRIMARY,
    DEAL_COMPANY,
    DEAL_COMPANY_PRIMARY,
    DEAL_CONTACT,
    DEAL_CONTACT_LABELS,
    PRIMARY_CONTACT,
    Types,
)
from cdp_pipelines.sandbox.hubspot.records import FIRST_ID, STEP
from cdp_pipelines.sandbox.people import CrmView, DealContact

Ends = Callable[[int], dict[int, Types]]


class WorldLinks:
    """For each kind of link two functions: a record's id -> the ids at the other end with the types, as read from the link's start.

    What was merged away has none; its links are the survivor's.
    """

    def __init__(self, view: CrmView):
        self._view = view
        self._people, self._deals = columns.of_people(view.people), columns.of_deals(view.deals)
        self.survivors = self._people.survivors()
        lost = np.flatnonzero(self.survivors != np.arange(len(self.survivors)))
        self.losers: dict[int, list[int]] = {}
        for loser, winner in zip(lost.tolist(), self.survivors[lost].tolist(), strict=True):
            self.losers.setdefault(winner, []).append(loser)

    def companies_of(self, contact: int) -> dict[int, Types]:
        """A contact's companies: the first is the primary one."""
        found: dict[int, Types] = {}
        for number in self._members("contacts", contact, len(self.survivors)):
            company = int(self._people.company[number])
            if company >= 0:
                found.setdefault(_id("companies", company), (CONTACT_COMPANY,) if found else (CONTACT_COMPANY_PRIMARY, CONTACT_COMPANY))
        return found

    def contacts_of(self, company: int) -> dict[int, Types]:
        """A company's contacts."""
        numbers = self._by_company(_number("companies", company))
        contacts = dict.fromkeys(_id("contacts", int(self.survivors[n])) for n in numbers)
        return {contact: self.companies_of(contact)[company] for contact in contacts}

    def deal_contacts_of(self, deal: int) -> dict[int, Types]:
        """A deal's contacts."""
        number = _number("deals", deal)
        found: dict[int, Types] = {}
        for part in self._view.deals[number].contacts if 0 <= number < len(self._view.deals) else ():
            contact = _id("contacts", int(self.survivors[part.person]))
            found[contact] = tuple(dict.fromkeys((*found.get(contact, ()), *_types(part))))
        return found

    def contact_deals_of(self, contact: int) -> dict[int, Types]:
        """A contact's deals."""
        places = (place for number in self._members("contacts", contact, len(self.survivors)) for place in self._by_person(number))
        deals = sorted({int(self._deals.part_deal[place]) for place in places})
        return {_id("deals", deal): self.deal_contacts_of(_id("deals", deal))[contact] for deal in deals}

    def company_of_deal(self, deal: int) -> dict[int, Types]:
        """A deal's company."""
        number = _number("deals", deal)
        company = int(self._deals.company[number]) if 0 <= number < len(self._deals.company) else -1
        return {_id("companies", company): (DEAL_COMPANY_PRIMARY, DEAL_COMPANY)} if company >= 0 else {}

    def deals_of_company(self, company: int) -> dict[int, Types]:
        """A company's deals."""
        return {_id("deals", n): (DEAL_COMPANY_PRIMARY, DEAL_COMPANY) for n in self._by_deal_company(_number("companies", company))}

    def _members(self, kind: str, record_id: int, size: int) -> list[int]:
        """The numbers of a live contact and of what was merged into it."""
        number = _number(kind, record_id)
        if not 0 <= number < size or self.survivors[number] != number:
            return []
        return sorted([number, *self.losers.get(number, ())])

    @cached_property
    def _by_company(self) -> Callable[[int], Iterable[int]]:
        return _grouped(self._people.company)

    @cached_property
    def _by_person(self) -> Callable[[int], Iterable[int]]:
        return _grouped(self._deals.part_person)

    @cached_property
    def _by_deal_company(self) -> Callable[[int], Iterable[int]]:
        return _grouped(self._deals.company)


def _grouped(column: Column) -> Callable[[int], Iterable[int]]:
    """A function from a value to the places where it stands, in order."""
    order = np.argsort(column, kind="stable").astype(np.int32)
    in_order = column[order]
    return lambda value: order[np.searchsorted(in_order, value) : np.searchsorted(in_order, value, side="right")].tolist()


def _types(part: DealContact) -> Types:
    labels = [*([PRIMARY_CONTACT] if part.primary else []), *([part.role] if part.role else [])]
    return (DEAL_CONTACT, *(DEAL_CONTACT_LABELS[label] for label in labels if label in DEAL_CONTACT_LABELS))


def _id(kind: str, number: int) -> int:
    return FIRST_ID[kind] + number * STEP


def _number(kind: str, record_id: int) -> int:
    number, rest = divmod(record_id - FIRST_ID[kind], STEP)
    return number if not rest else -2
