"""What Salesforce's objects know of the world's records before any is made: stamps, what is in the recycle bin, and who refers to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from cdp_pipelines.sandbox import columns
from cdp_pipelines.sandbox.columns import Column, candidates, moment
from cdp_pipelines.sandbox.salesforce.ids import read_id
from cdp_pipelines.sandbox.salesforce.stamps import Stamps
from cdp_pipelines.sandbox.salesforce.translate import ROLES_PER_DEAL, Translation, text

Finder = Callable[[Any], Iterable[int]]
Declared = tuple[Stamps, dict[int, datetime], dict[str, Finder]]


def world(made: Translation) -> dict[str, Declared]:
    """By object: stamps, moments of deletion, and how to find the records with a reference."""
    view = made.view
    companies = columns.of_companies(view.companies)
    members = [columns.of_members(campaign) for campaign in view.campaigns]
    person, joined = (_joined([getattr(m, name) for m in members]) for name in ("person", "created"))
    campaign = np.repeat(np.arange(len(members)), [len(m.person) for m in members])
    contact = columns.of_people(view.people).contact
    return {
        "Account": (Stamps(companies.updated // 1000), {}, {"ParentId": _nobody, "Name": lambda name: _having(view.companies, "name", name)}),
        **_people(made),
        **_deals(made),
        "Campaign": (Stamps(np.array([int(c.updated.timestamp()) for c in view.campaigns], dtype=np.int64)), {}, {"ParentId": _nobody}),
        "CampaignMember": (Stamps(joined // 1000), {}, {
            "CampaignId": _where("701", campaign), "ContactId": _where("003", person, lambda found: contact[person[found]]),
            "LeadId": _where("00Q", person, lambda found: ~contact[person[found]]),
        }),
        "User": (Stamps(np.array([int(made.user(o.number)["SystemModstamp"].timestamp()) for o in made.owners], dtype=np.int64)), {}, {}),
    }  # fmt: skip


def _people(made: Translation) -> dict[str, Declared]:
    people = columns.of_people(made.view.people)
    stamps = np.maximum(people.updated, people.fate_at) // 1000
    gone = (people.fate == columns.DELETED) | (people.fate == columns.MERGED)
    account = _where("001", people.company, lambda found: people.contact[found])

    def with_email(is_contact: bool) -> Finder:
        return lambda value: [n for n in _having(made.view.people, "email", value) if people.contact[n] == is_contact]

    return {
        name: (
            Stamps(np.where(people.contact == is_contact, stamps, -1)),
            _moments(gone & (people.contact == is_contact), people.fate_at),
            {**finders, "Email": with_email(is_contact)},
        )
        for name, is_contact, finders in (("Contact", True, {"AccountId": account, "ReportsToId": _nobody}), ("Lead", False, {}))
    }


def _deals(made: Translation) -> dict[str, Declared]:
    deals = columns.of_deals(made.view.deals)
    stamps = deals.updated // 1000
    deleted = _moments(deals.deleted, deals.updated)
    fit = columns.of_people(made.view.people).contact[deals.part_person] if len(deals.part_person) else np.zeros(0, dtype=bool)
    deal, place, person = deals.part_deal[fit], deals.part_place[fit], deals.part_person[fit]
    roles = deal * ROLES_PER_DEAL + place
    role_stamps = np.full(len(stamps) * ROLES_PER_DEAL, -1, dtype=np.int64)
    role_stamps[roles] = stamps[deal]

    def with_contact(value: Any) -> list[int]:
        number = read_id(value, "003") if isinstance(value, str) else None
        candidates = dict.fromkeys(deal[np.flatnonzero(person == number)].tolist()) if number is not None else ()
        return [n for n in candidates if made.opportunity(n)["ContactId"] == value]

    def roles_of(prefix: str, column: Column) -> Finder:
        find = _where(prefix, column)
        return lambda value: roles[np.fromiter(find(value), dtype=np.int64)].tolist()

    return {
        "Opportunity": (
            Stamps(stamps.copy()), deleted,
            {"AccountId": _where("001", deals.company), "ContactId": with_contact, "CampaignId": _nobody},
        ),
        "OpportunityContactRole": (
            Stamps(role_stamps), {int(r): deleted[d] for r, d in zip(roles.tolist(), deal.tolist(), strict=True) if d in deleted},
            {"OpportunityId": roles_of("006", deal), "ContactId": roles_of("003", person)},
        ),
    }  # fmt: skip


def _moments(of: Column, at: Column) -> dict[int, datetime]:
    """Place -> the moment there, in whole seconds, for the places that are asked for."""
    places = np.flatnonzero(of)
    seconds = at[places] // 1000 * 1000
    return {place: moment(milliseconds) for place, milliseconds in zip(places.tolist(), seconds.tolist(), strict=True)}


def _where(prefix: str, column: Column, fits: Callable[[Column], Column] | None = None) -> Finder:
    """Places in a column of numbers at which the number in an id stands."""

    def find(value: Any) -> list[int]:
        number = read_id(value, prefix) if isinstance(value, str) else None
        if number is None:
            return []
        found = np.flatnonzero(column == number)
        return (found if fits is None else found[fits(found)]).tolist()

    return find


def _having(records: Sequence[Any], field: str, value: Any) -> list[int]:
    """Numbers of the world's records whose field, as Salesforce keeps it, is this text in lower case."""
    if not isinstance(value, str):
        return [n for n, record in enumerate(records) if text(getattr(record, field)) == value]
    return [n for n in candidates(records, field, value) if (text(getattr(records[n], field)) or "").lower() == value]


def _nobody(value: Any) -> tuple[int, ...]:
    return ()


def _joined(parts: list[Column]) -> Column:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
