"""Opportunities and their roles. A role is a lead's part in an opportunity; the opportunity itself knows no lead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from cdp_pipelines.sandbox.columns import of_deals
from cdp_pipelines.sandbox.marketo.companies import company_key, sales_person
from cdp_pipelines.sandbox.marketo.describe import OBJECTS
from cdp_pipelines.sandbox.marketo.leads import Leads
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.people import CrmView, Deal

# Stage and probability (percent), as in the other two CRMs' default pipelines.
STAGES: tuple[tuple[str, int], ...] = (
    ("Prospecting", 10), ("Qualification", 20), ("Needs Analysis", 40), ("Proposal", 60), ("Negotiation", 80), ("Closed Won", 100),
    ("Closed Lost", 0),
)  # fmt: skip
Role = dict[str, Any]


def opportunity_key(number: int) -> str:
    """The `externalOpportunityId` of an opportunity."""
    return f"OPP-{number + 1:06d}"


def number_of(key: str) -> int | None:
    """The opportunity's number in an `externalOpportunityId` or its `marketoGUID`; None when it is neither."""
    digits = key.removeprefix("OPP-") if key.startswith("OPP-") else key.strip()[:8]
    try:
        return int(digits, 10 if key.startswith("OPP-") else 16) - 1
    except ValueError:
        return None


def guid(number: int, part: int = 0) -> str:
    """The `marketoGUID` of an opportunity, or of a role in it."""
    # The number is readable in front, so that no table of GUIDs is needed.
    return f"{number + 1:08x}-{part:04x}-4f0c-8d1e-{(number * 0x9E3779B1 + part * 0x85EBCA6B) % 2**48:012x}"


def stage_fields(stage: int) -> dict[str, Any]:
    """What follows from a stage from 0 to 6."""
    name, probability = STAGES[stage]
    return {"stage": name, "probability": probability, "isClosed": stage >= 5, "isWon": stage == 5}


def closing(day: date | None) -> dict[str, Any]:
    """What follows from a closing date."""
    return {"closeDate": day and day.isoformat(), "fiscalYear": day and day.year, "fiscalQuarter": day and (day.month + 2) // 3}


class Deals:
    """The opportunities and roles; only what changed is kept."""

    def __init__(self, view: CrmView, leads: Leads):
        self._view, self._leads = view, leads
        self._values: dict[int, dict[str, Any]] = {}
        self._keys: dict[str, int] = {}
        self._roles: dict[int, list[Role]] = {}
        self._columns = of_deals(view.deals)
        self._gone: set[int] = set(np.nonzero(self._columns.deleted)[0].tolist())
        self._count = len(view.deals)
        self._made = 0

    @cached_property
    def _of_lead(self) -> dict[int, set[int]]:
        """Lead -> the opportunities in which it may have a part."""
        found: dict[int, set[int]] = defaultdict(set)
        leads = self._leads.survivors_of(self._columns.part_person) if len(self._columns.part_person) else np.zeros(0, dtype=np.int64)
        for number, lead in zip(self._columns.part_deal.tolist(), leads.tolist(), strict=True):
            found[lead].add(number)
        return found

    def __len__(self) -> int:
        return self._count - len(self._gone)

    def numbers(self) -> Iterator[int]:
        """Numbers of the opportunities that exist, oldest first."""
        return (n for n in range(self._count) if n not in self._gone)

    def exists(self, number: int | None) -> bool:
        """Whether there is such an opportunity today."""
        return number is not None and 0 <= number < self._count and number not in self._gone

    def get(self, number: int) -> dict[str, Any]:
        """All fields of an opportunity, also of one that is gone."""
        base = _opportunity(self._view.deals[number]) if number < len(self._view.deals) else {}
        return {**base, **self._values.get(number, {})}

    def key(self, number: int) -> str:
        """The `externalOpportunityId` of an opportunity."""
        return self._values.get(number, {}).get("externalOpportunityId") or opportunity_key(number)

    def roles(self, number: int) -> list[Role]:
        """The roles of an opportunity, in order of their making."""
        if number in self._roles:
            return self._roles[number]
        deal = self._view.deals[number]
        made: dict[tuple[int, str], Role] = {}
        for nth, contact in enumerate(deal.contacts):
            lead = self._leads.survivor(contact.person)
            if self._leads.is_alive(lead):
                role = _role(number, opportunity_key(number), nth, lead, contact.role or "Other", contact.primary, epoch(deal.created))
                made.setdefault((lead, role["role"]), role)
        self._roles[number] = list(made.values())
        return self._roles[number]

    def role_counts(self) -> tuple[int, int]:
        """How many opportunities have a role, and how many roles there are. Roles that nobody has asked for are not made for this."""
        columns, leads = self._columns, self._leads.survivors_of(self._columns.part_person)
        shown = self._leads.are_alive(leads)
        parts, leads = columns.part_deal[shown], leads[shown]
        pairs, times = np.unique(np.stack([parts, leads]), axis=1, return_counts=True)
        # Parts of one lead in one opportunity can be one role.
        for number in np.unique(pairs[0][times > 1]).tolist():
            self.roles(number)
        counts = np.bincount(parts, minlength=self._count)
        for number, roles in self._roles.items():
            counts[number] = len(roles)
        counts[list(self._gone)] = 0
        return int((counts > 0).sum()), int(counts.sum())

    def of_lead(self, lead: int) -> list[int]:
        """Numbers of the opportunities in which a lead has a part."""
        return sorted(n for n in self._of_lead.get(lead, ()) if n not in self._gone and any(r["leadId"] == lead for r in self.roles(n)))

    def find(self, field: str, values: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Opportunities where `field` is one of `values`."""
        wanted = dict.fromkeys(v.strip() for v in values)
        if field == "externalCompanyId":
            yield from (o for o in map(self.get, self.numbers()) if o["externalCompanyId"] in wanted)
            return
        for value in wanted:
            number = self._number(value)
            if number is not None and self.get(number)[field] == value:
                yield self.get(number)

    def _number(self, key: str) -> int | None:
        """The number of the opportunity that exists and may have this `externalOpportunityId` or `marketoGUID`."""
        number = self._keys[key] if key in self._keys else number_of(key)
        return number if self.exists(number) else None

    def with_key(self, key: str) -> int | None:
        """The number of the opportunity with this `externalOpportunityId`."""
        number = self._number(key)
        return number if number is not None and self.get(number)["externalOpportunityId"] == key else None

    def find_roles(self, field: str, values: Iterable[str]) -> Iterator[Role]:
        """Roles where `field` is one of `values`."""
        wanted = dict.fromkeys(v.strip() for v in values)
        if field == "leadId":
            leads = [int(v) for v in wanted if v.isdecimal()]
            yield from (r for lead in leads for n in self.of_lead(lead) for r in self.roles(n) if r["leadId"] == lead)
            return
        numbers = dict.fromkeys(n for n in map(self._number, wanted) if n is not None)
        yield from (r for n in numbers for r in self.roles(n) if r[field] in wanted)

    def add(self, values: dict[str, Any], at: int) -> int:
        """A new opportunity."""
        number = self._count
        self._count += 1
        keys = {"marketoGUID": guid(number), "externalOpportunityId": opportunity_key(number)}
        stamps = {"createdAt": iso(at), "updatedAt": iso(at), "externalCreatedDate": iso(at)}
        self._values[number] = dict.fromkeys(OBJECTS["opportunities"].fields) | keys | stage_fields(0) | stamps | values
        self._keys[self._values[number]["externalOpportunityId"]] = number
        self._roles[number] = []
        return number

    def edit(self, number: int, values: dict[str, Any], at: int) -> None:
        """Change fields of an opportunity."""
        self._values.setdefault(number, {}).update(values, updatedAt=iso(at))

    def remove(self, number: int) -> None:
        """Take an opportunity and its roles away for good."""
        self._gone.add(number)

    def link(self, number: int, lead: int, at: int, role: str = "Other", primary: bool | None = None) -> Role | None:
        """A new role, or None when the lead has it already. Unless it is said, the first role of an opportunity is the primary one."""
        roles = self.roles(number)
        if self.role(number, lead, role):
            return None
        self._made += 1
        made = _role(
            number,
            self.key(number),
            0x1000 + self._made,
            lead,
            role,
            not roles if primary is None else primary,
            at,
        )
        roles.append(made)
        self._of_lead[lead].add(number)
        return made

    def role(self, number: int, lead: int, role: str) -> Role | None:
        """The role that is known by these three."""
        return next((r for r in self.roles(number) if r["leadId"] == lead and r["role"] == role), None)

    def unlink_role(self, number: int, role: Role) -> None:
        """Take one role away."""
        self.roles(number).remove(role)

    def unlink(self, number: int, lead: int) -> list[Role]:
        """Take a lead's roles in an opportunity away; gives those that there were."""
        roles = self.roles(number)
        gone = [r for r in roles if r["leadId"] == lead]
        self._roles[number] = [r for r in roles if r["leadId"] != lead]
        return gone

    def move(self, loser: int, winner: int, at: int) -> None:
        """Give a merged lead's roles to the one that it was merged into."""
        for number in self.of_lead(loser):
            for role in self.unlink(number, loser):
                if not any(r["leadId"] == winner and r["role"] == role["role"] for r in self.roles(number)):
                    self.roles(number).append({**role, "leadId": winner, "updatedAt": iso(at)})
                    self._of_lead[winner].add(number)


def _opportunity(deal: Deal) -> dict[str, Any]:
    # A recorded answer gives amounts as text now and then.
    amount = float(deal.amount) if deal.amount is not None else None
    probability = STAGES[deal.stage][1]
    return {
        "marketoGUID": guid(deal.number), "externalOpportunityId": opportunity_key(deal.number), "name": deal.name, "description": None,
        "type": "New Business", "amount": str(deal.amount) if amount is not None and deal.number % 5 == 0 else amount,
        "expectedRevenue": round(amount * probability / 100, 2) if amount is not None else None, **stage_fields(deal.stage), **closing(deal.close_date),
        "source": None, "externalCompanyId": company_key(deal.company) if deal.company is not None else None,
        "externalSalesPersonId": sales_person(deal.owner), "externalCreatedDate": iso(epoch(deal.created)), "currency": deal.currency,
        "createdAt": iso(epoch(deal.created)), "updatedAt": iso(max(epoch(deal.created), epoch(deal.updated))),
    }  # fmt: skip


def _role(number: int, key: str, part: int, lead: int, role: str, primary: bool, at: int) -> Role:
    stamps = {"externalCreatedDate": iso(at), "createdAt": iso(at), "updatedAt": iso(at)}
    return {
        "marketoGUID": guid(number, 1 + part),
        "externalOpportunityId": key,
        "leadId": lead,
        "role": role,
        "isPrimary": primary,
    } | stamps
