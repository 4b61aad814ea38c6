"""Leads and companies: the world's neutral records in Marketo's fields, made when they are asked for; only what changed is kept."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from cdp_pipelines.sandbox.marketo.describe import BOOLEANS, LEAD_NAMES
from cdp_pipelines.sandbox.people import CompanyRecord, CrmView, PersonRecord
from cdp_pipelines.sandbox.salesforce.ids import make_id

_PRODUCTS = ("Analytics", "Automation", "Integration", None)
_REVENUE_STAGE = {"subscriber": 1, "lead": 2, "marketingqualifiedlead": 3, "salesqualifiedlead": 4, "opportunity": 5, "customer": 6}
_STATUS = {
    "subscriber": "New", "lead": "Open", "marketingqualifiedlead": "MQL", "salesqualifiedlead": "SQL", "opportunity": "Working",
    "customer": "Customer",
}  # fmt: skip
_NOTES = 'Asked for "pricing", wants a trial.\nCall back next week\r\n\r\nMet at booth 4'


def iso(seconds: float) -> str:
    """A moment as Marketo writes it: whole seconds, UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970; Marketo knows nothing finer."""
    return int(moment.timestamp())


def company_key(number: int) -> str:
    """The `externalCompanyId` of a company."""
    return f"CO-{number + 1:06d}"


def sales_person(owner: int) -> str:
    """The `externalSalesPersonId` of a representative."""
    return f"SP-{owner + 1:03d}"


class Companies:
    """The companies; they never change here."""

    def __init__(self, view: CrmView):
        self._view = view

    def __len__(self) -> int:
        return len(self._view.companies)

    def get(self, identifier: int) -> dict[str, Any] | None:
        """The company with this id."""
        if not 1 <= identifier <= len(self):
            return None
        record = self._view.companies[identifier - 1]
        return {"id": identifier, **_inherited(record), "createdAt": iso(epoch(record.created)), "updatedAt": iso(epoch(record.updated))}

    def find(self, field: str, values: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Companies where `field` is one of `values`."""
        if field == "company":
            wanted = set(values)
            numbers = [n for n, record in enumerate(self._view.companies) if record.name in wanted]
        else:
            digits = (v.removeprefix("CO-") if field == "externalCompanyId" else v for v in dict.fromkeys(values))
            numbers = [int(d) - 1 for d in digits if d.isdecimal()]
        for number in numbers:
            if found := self.get(number + 1):
                yield found


class Leads:
    """The leads. Ids follow the order of creation, as Marketo's do. `created` and `changed` are seconds since 1970, in order of id.

    `changed` is the hidden time that the bulk filter `updatedAt` looks at: the last change of any field, where the visible `updatedAt`
    follows standard fields only.
    """

    def __init__(self, view: CrmView, salesforce_people: Sequence[PersonRecord] | None = None):
        self._view, self._salesforce_people = view, salesforce_people
        self._values: dict[int, dict[str, Any]] = {}
        self._indexes: dict[str, dict[str, list[int]]] = {}
        created, changed, alive = array("q"), array("q"), bytearray()
        for person in view.people:
            created.append(epoch(person.created))
            changed.append(max(epoch(person.created), epoch(person.updated)))
            alive.append(person.fate in ("alive", "converted"))
        order = np.argsort(np.array(created, dtype=np.int64), kind="stable").tolist()
        self._numbers, self._ids = array("i", order), array("i", bytes(4 * len(order)))
        for place, number in enumerate(order):
            self._ids[number] = place + 1
        self.created, self.changed = array("q", (created[n] for n in order)), array("q", (changed[n] for n in order))
        self.alive = bytearray(alive[n] for n in order)

    def id_of(self, number: int) -> int:
        """The lead id of the world's person record with this number."""
        return self._ids[number]

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
        people = (self._view.people[self._numbers[i - 1]] for i in self.ids() if i <= len(self._numbers))
        keys = {company_key(person.company) for person in people if person.company is not None}
        changed = (values.get("externalCompanyId") for identifier, values in self._values.items() if self.is_alive(identifier))
        return keys | {key for key in changed if key}

    def get(self, identifier: int) -> dict[str, Any]:
        """All fields of a lead, also of one that is gone."""
        changed = self._values.get(identifier, {})
        if identifier > len(self._numbers):
            return changed
        person = self._view.people[self._numbers[identifier - 1]]
        company = self._view.companies[person.company] if person.company is not None else None
        number = person.salesforce_number
        return {
            **_lead(person, company),
            "id": identifier,
            **(salesforce_ids(number, self._salesforce_people) if number is not None else {}),
            **changed,
        }

    def find(self, field: str, values: Iterable[str]) -> list[int]:
        """Ids of the leads where `field` is one of `values`."""
        wanted = dict.fromkeys(values)
        if field == "id":
            return [int(v) for v in wanted if v.isdecimal() and self.is_alive(int(v))]
        index = self._indexes.get(field)
        if index is None:
            index = self._indexes[field] = {}
            for identifier in self.ids():
                value = self.get(identifier).get(field)
                if value is not None:
                    index.setdefault(str(value).lower(), []).append(identifier)
        return [identifier for value in wanted for identifier in index.get(value.lower(), [])]

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
        blank = dict.fromkeys(LEAD_NAMES) | dict.fromkeys(BOOLEANS, False)
        stamps = {"createdAt": iso(at), "updatedAt": iso(at), "leadPartitionId": 1, "personType": "contact", "isLead": True}
        self._values[identifier] = blank | stamps | values | {"id": identifier}
        self._named(identifier)
        return identifier

    def edit(self, identifier: int, values: dict[str, Any], at: int) -> None:
        """Change fields of a lead."""
        self._values.setdefault(identifier, {}).update(values, updatedAt=iso(at))
        self.changed[identifier - 1] = max(self.changed[identifier - 1], at)
        self._named(identifier)

    def remove(self, identifier: int) -> None:
        """Take a lead away for good."""
        self.alive[identifier - 1] = 0
        self._indexes.clear()

    def _named(self, identifier: int) -> None:
        lead = self.get(identifier)
        self._values[identifier]["mktoName"] = " ".join(filter(None, (lead["firstName"], lead["lastName"]))) or None
        self._indexes.clear()


def _inherited(record: CompanyRecord) -> dict[str, Any]:
    return {
        "externalCompanyId": company_key(record.number), "company": record.name, "site": None, "billingStreet": record.street,
        "billingCity": record.city, "billingState": record.state, "billingCountry": record.country, "billingPostalCode": record.postal_code,
        "website": f"https://www.{record.domain}" if record.domain else None, "mainPhone": record.phone, "industry": record.industry,
        "annualRevenue": float(record.annual_revenue) if record.annual_revenue is not None else None, "numberOfEmployees": record.employees,
        "externalSalesPersonId": sales_person(record.owner),
    }  # fmt: skip


def _lead(person: PersonRecord, company: CompanyRecord | None) -> dict[str, Any]:
    n, created = person.number, epoch(person.created)
    # Every seventh lead was last changed in a custom field, so its visible time stayed behind.
    visible = created if n % 7 == 3 else epoch(person.updated)
    lead: dict[str, Any] = dict.fromkeys(LEAD_NAMES) | dict.fromkeys(BOOLEANS, False)
    if company:
        lead |= _inherited(company) | {"contactCompany": company.number + 1}
    lead |= {
        "company": person.company_name or lead["company"], "firstName": person.first_name, "lastName": person.last_name,
        "mktoName": " ".join(filter(None, (person.first_name, person.last_name))) or None, "email": person.email, "phone": person.phone,
        "mobilePhone": person.mobile, "title": person.title, "city": person.city, "state": person.state, "country": person.country,
        "inferredCountry": person.country, "leadScore": person.lead_score, "leadSource": person.lead_source, "personType": person.role,
        "isLead": person.role == "lead", "unsubscribed": person.do_not_email, "originalSourceType": "Web form fillout" if n % 3 else "List import",
        "leadStatus": _STATUS.get(person.lifecycle_stage, person.lifecycle_stage), "leadRevenueStageId": _REVENUE_STAGE.get(person.lifecycle_stage),
        "mktoIsCustomer": person.lifecycle_stage == "customer", "productInterest": _PRODUCTS[n % 4], "newsletterOptIn": n % 2 == 0,
        "customerFitScore": n % 101 if n % 4 else None, "urgency": (n % 50) / 10 if n % 6 == 0 else None, "leadPartitionId": 1,
        "mktoPersonNotes": _NOTES if n % 11 == 4 else None, "createdAt": iso(created),
        "updatedAt": iso(visible), "externalSalesPersonId": sales_person(person.owner),
    }  # fmt: skip
    return lead


def salesforce_ids(number: int, people: Sequence[PersonRecord] | None) -> dict[str, str]:
    """The Salesforce id of a Salesforce person record, in the field for its kind; a converted or merged record has its successor's.

    Without Salesforce's `people` every record counts as a contact.
    """
    while people and (successor := people[number].merged_into) is not None:
        number = successor
    is_lead = people is not None and people[number].role == "lead"
    return {"sfdcLeadId": make_id("00Q", number)} if is_lead else {"sfdcContactId": make_id("003", number)}
