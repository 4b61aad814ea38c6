"""The companies, which leads inherit fields from. Only what changed through the API is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cdp_pipelines.sandbox.marketo.describe import OBJECTS
from cdp_pipelines.sandbox.marketo.envelope import whole
from cdp_pipelines.sandbox.marketo.fields import COMPANY_FIELDS
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.people import CompanyRecord, CrmView


def company_key(number: int) -> str:
    """The `externalCompanyId` of a company of the world."""
    return f"CO-{number + 1:06d}"


def company_number(key: str) -> int | None:
    """The number of the world's company in an `externalCompanyId`; None when it is none of those."""
    digits = whole(key.removeprefix("CO-"))
    return digits - 1 if digits and company_key(digits - 1) == key else None


def sales_person(owner: int) -> str:
    """The `externalSalesPersonId` of a representative."""
    return f"SP-{owner + 1:03d}"


def inherited(record: CompanyRecord) -> dict[str, Any]:
    """A company's fields, as far as its leads have them too."""
    return {
        "externalCompanyId": company_key(record.number), "company": record.name, "site": None, "billingStreet": record.street,
        "billingCity": record.city, "billingState": record.state, "billingCountry": record.country, "billingPostalCode": record.postal_code,
        "website": f"https://www.{record.domain.removeprefix('www.')}" if record.domain else None, "mainPhone": record.phone, "industry": record.industry,
        "annualRevenue": float(record.annual_revenue) if record.annual_revenue is not None else None, "numberOfEmployees": record.employees,
        "externalSalesPersonId": sales_person(record.owner),
    }  # fmt: skip


# What a lead shows of its company only; its company's name is mostly its own.
INHERITED = frozenset({
    "contactCompany", "site", "billingStreet", "billingCity", "billingState", "billingCountry", "billingPostalCode", "website", "mainPhone",
    "industry", "annualRevenue", "numberOfEmployees",
})  # fmt: skip


class Companies:
    """The companies. Ids are 1, 2, 3 ... in order of the world's records, then of their making."""

    def __init__(self, view: CrmView):
        self._view = view
        self._values: dict[int, dict[str, Any]] = {}
        self._keys: dict[str, int] = {}
        self._gone: set[int] = set()
        self._count = len(view.companies)

    def __len__(self) -> int:
        return self._count - len(self._gone)

    def ids(self) -> Iterator[int]:
        """Ids of the companies that exist."""
        return (n for n in range(1, self._count + 1) if n not in self._gone)

    @property
    def untouched(self) -> bool:
        """Whether the companies are as the world made them."""
        return not self._values and not self._gone

    def get(self, identifier: int) -> dict[str, Any] | None:
        """The company with this id."""
        if not 1 <= identifier <= self._count or identifier in self._gone:
            return None
        changed = self._values.get(identifier, {})
        if identifier > len(self._view.companies):
            return changed
        record = self._view.companies[identifier - 1]
        stamps = {"createdAt": iso(epoch(record.created)), "updatedAt": iso(epoch(record.updated))}
        return {"id": identifier, **inherited(record), "sicCode": None, **stamps, **changed}

    def id_of(self, key: str) -> int | None:
        """The id of the company with this `externalCompanyId`."""
        identifier = self._keys.get(key) or whole(key.removeprefix("CO-"))
        found = self.get(identifier) if identifier else None
        return found["id"] if found and found["externalCompanyId"] == key else None

    def find(self, field: str, values: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Companies where `field` is one of `values`."""
        wanted = dict.fromkeys(v.strip() for v in values)
        if field == "company":
            numbers: Iterable[int | None] = [n + 1 for n, c in enumerate(self._view.companies) if c.name in wanted or n + 1 in self._values]
            numbers = [*numbers, *range(len(self._view.companies) + 1, self._count + 1)]
        else:
            numbers = [self.id_of(v) if field == "externalCompanyId" else whole(v) for v in wanted]
        for number in numbers:
            if number and (found := self.get(number)) and str(found[field]) in wanted:
                yield found

    def add(self, values: dict[str, Any], at: int) -> int:
        """A new company with these fields."""
        self._count += 1
        stamps = {"id": self._count, "createdAt": iso(at), "updatedAt": iso(at)}
        self._values[self._count] = dict.fromkeys(OBJECTS["companies"].fields) | values | stamps
        self._keys[values["externalCompanyId"]] = self._count
        return self._count

    def edit(self, identifier: int, values: dict[str, Any], at: int) -> None:
        """Change fields of a company."""
        self._values.setdefault(identifier, {}).update(values, updatedAt=iso(at))
        if key := values.get("externalCompanyId"):
            self._keys[key] = identifier

    def remove(self, identifier: int) -> None:
        """Take a company away for good."""
        self._gone.add(identifier)

    def overlay(self, lead: dict[str, Any], own: str | None) -> dict[str, Any]:
        """What a lead has from its company beyond what the world gave it; `own` is the company that the world put it in."""
        key = lead.get("externalCompanyId")
        if key is None or (self.untouched and key == own):
            return {}
        identifier = self.id_of(key)
        if identifier is None:
            return {"externalCompanyId": None, "contactCompany": None}
        fields = self._values.get(identifier, {}) if key == own else self.get(identifier) or {}
        return {k: v for k, v in fields.items() if k in COMPANY_FIELDS} | {"contactCompany": identifier}
