"""The emulated Marketo's records, and the everyday changes that the sandbox's world makes to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.ids import Ids
from cdp_pipelines.sandbox.marketo.activities import Activity, ActivityLog, changes_text
from cdp_pipelines.sandbox.marketo.assets import Assets
from cdp_pipelines.sandbox.marketo.companies import Companies, sales_person
from cdp_pipelines.sandbox.marketo.deals import Deals, closing, guid, stage_fields
from cdp_pipelines.sandbox.marketo.envelope import whole
from cdp_pipelines.sandbox.marketo.lead_fields import LeadFields
from cdp_pipelines.sandbox.marketo.leads import Leads
from cdp_pipelines.sandbox.marketo.lists import StaticLists
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.people import CrmView, Owner, PersonRecord

_PERSON_FIELDS = {
    "first_name": "firstName", "last_name": "lastName", "email": "email", "phone": "phone", "title": "title", "company": "company",
    "lead_score": "leadScore",
}  # fmt: skip
_COMPANY_FIELDS = {"industry": "industry", "phone": "mainPhone", "region": "billingState"}
# What the names of fields begin with that everyday changes add.
_ADDED = "everyday"
_NOT_MERGED = frozenset({"id", "createdAt", "updatedAt", "mktoName"})


class MarketoStore:
    """A `CrmStore` that `KeepsCompanies` and `HasCustomFields`. Deletes are final: nothing can be restored. Ids are lead ids and `externalOpportunityId`s.

    `salesforce_people` are Salesforce's records, to tell whether `salesforce_number` means a contact or a lead there.
    `listeners` are called with each new activity.
    """

    kind: Kind = "marketo"

    def __init__(self, view: CrmView, owners: Sequence[Owner], salesforce_people: Sequence[PersonRecord] | None = None):
        self.view, self.owners = view, owners
        self._salesforce_people = salesforce_people
        self.listeners: list[Callable[[Activity], None]] = []
        self.fields = LeadFields()

    @cached_property
    def companies(self) -> Companies:
        """The companies."""
        return Companies(self.view)

    @cached_property
    def leads(self) -> Leads:
        """The leads."""
        return Leads(self.view, self._salesforce_people, self.companies, self.fields.blanks)

    @cached_property
    def deals(self) -> Deals:
        """The opportunities and roles."""
        return Deals(self.view, self.leads)

    @cached_property
    def log(self) -> ActivityLog:
        """The activities."""
        return ActivityLog(self.view, self.leads, self.deals, self.listeners)

    @cached_property
    def lists(self) -> StaticLists:
        """The static lists."""
        return StaticLists(self.view, self.leads)

    @cached_property
    def assets(self) -> Assets:
        """Programs and smart campaigns."""
        return Assets(self.view)

    @cached_property
    def sales_people(self) -> frozenset[str]:
        """The `externalSalesPersonId`s that there are."""
        return frozenset(sales_person(owner.number) for owner in self.owners)

    def person_id(self, number: int) -> str:
        """The lead id of the world's person record with this number."""
        return str(self.leads.id_of(number))

    def company_id(self, number: int) -> str:
        """The id of the world's company record with this number."""
        return str(number + 1)  # see Companies

    def deal_id(self, number: int) -> str:
        """The marketoGUID of the opportunity with this number in the world."""
        return guid(number)

    def live_people(self) -> Ids:
        """See CrmStore."""
        return _numbers(self.leads.ids())

    def deleted_people(self) -> list[str]:
        """See CrmStore: Marketo has no way back."""
        return []

    def added_fields(self) -> list[str]:
        """See HasCustomFields."""
        return [name for name in self.fields.blanks if name.startswith(_ADDED)]

    def add_field_for_people(self, number: int, at: datetime) -> str:
        """See HasCustomFields."""
        name = f"{_ADDED}{number}"
        if name not in self.fields.by_name:
            self.fields.add(name, f"Everyday {number}", "string")
        return name

    def rename_field_for_people(self, field: str, number: int, at: datetime) -> str:
        """See HasCustomFields. In Marketo only a field's label can change, never its API name."""
        self.fields.change(field, label=f"Everyday {number}")
        return field

    def live_deals(self) -> Ids:
        """See CrmStore."""
        return Ids(np.fromiter(self.deals.numbers(), dtype=np.int64), self.deals.key, self.deals.with_key)

    def deal_people(self, deal: str) -> list[str]:
        """See CrmStore."""
        return list(dict.fromkeys(str(role["leadId"]) for role in self.deals.roles(self._deal(deal))))

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """See CrmStore."""
        return str(self.create_lead({_PERSON_FIELDS[name]: value for name, value in fields.items()}, at))

    def create_lead(self, values: dict[str, Any], at: datetime, source: str = "Web service API") -> int:
        """Add a lead with these fields and give its id; `source` is where the activity New Lead says that it comes from."""
        lead = self.leads.add(values, epoch(at))
        self.log.add(epoch(at), 12, lead, Source_Type=source, Created_Date=iso(epoch(at))[:10])
        return lead

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore."""
        self.edit_lead(int(person), {_PERSON_FIELDS[name]: value for name, value in fields.items()}, at)

    def edit_lead(self, lead: int, values: dict[str, Any], at: datetime, source: str = "Web service API") -> None:
        """Set fields of a lead. What stays as it was is no change: no activity, and its `updatedAt` stays too."""
        before, when = self.leads.get(lead), epoch(at)
        values = {k: v for k, v in values.items() if v != before.get(k)}
        if not values:
            return
        self.leads.edit(lead, values, when)
        for name, value in values.items():
            old = before.get(name)
            # A change of score is written down twice, as a change of score and as one of a value.
            if name == "leadScore":
                change = f"{(value or 0) - (old or 0):+d}"
                self.log.add(when, 22, lead, self.fields.label(name), Change_Value=change, New_Value=value, Old_Value=old)
            self.log.add(when, 13, lead, self.fields.label(name), New_Value=_text(value), Old_Value=_text(old), Source=source)

    def delete_person(self, person: str, at: datetime) -> None:
        """See CrmStore."""
        lead = int(person)
        name = self.leads.get(lead)["mktoName"]
        for number in self.deals.of_lead(lead):
            self.deals.unlink(number, lead)
        self.leads.remove(lead)
        self.log.add(epoch(at), 37, lead, (lead, name), Campaign="Run Action Delete Lead")

    def restore_person(self, person: str, at: datetime) -> None:
        """See CrmStore. Raises ValueError: a deleted lead is gone."""
        raise ValueError("Marketo cannot bring back a deleted lead")

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        """See CrmStore. The winner's blanks take the loser's values, and the loser's roles and lists become the winner's."""
        self.merge_leads(int(winner), [int(loser)], at)

    def merge_leads(self, winner: int, losers: Sequence[int], at: datetime) -> None:
        """Merge leads into one; earlier losers' values go before later ones'."""
        when, name = epoch(at), self.leads.get(winner)["mktoName"]
        updated = False
        for loser in losers:
            kept, gone = self.leads.get(winner), self.leads.get(loser)
            filled = {k: v for k, v in gone.items() if k not in _NOT_MERGED and kept.get(k) in (None, "") and v not in (None, "")}
            updated = updated or bool(filled)
            self.leads.edit(winner, filled, when)
            self.deals.move(loser, winner, when)
            self.lists.merged(loser, winner)
            self.leads.remove(loser)
        merged = {"Master_Updated": updated, "Merge_IDs": list(losers), "Merge_Source": "leaddb"}
        self.log.add(when, 32, winner, (winner, name), **merged)

    def live_companies(self) -> Ids:
        """See KeepsCompanies."""
        return _numbers(self.companies.ids())

    def edit_company(self, company: str, fields: dict[str, Any], at: datetime) -> dict[str, Any]:
        """See KeepsCompanies."""
        self.write_company(int(company), {_COMPANY_FIELDS[name]: value for name, value in fields.items()}, at)
        return fields

    def write_company(self, company: int, values: dict[str, Any], at: datetime) -> None:
        """Set fields of a company. Its leads show them at once and count as changed, though their visible time stays."""
        found, when = self.companies.get(company), epoch(at)
        assert found is not None, f"there is no company {company}"
        leads = self.leads.find("externalCompanyId", [found["externalCompanyId"]])
        self.companies.edit(company, values, when)
        for lead in leads:
            self.leads.touch(lead, when)

    def move_person(self, person: str, company: str, at: datetime) -> bool:
        """See KeepsCompanies."""
        lead, found = int(person), self.companies.get(int(company))
        if found is None or self.leads.get(lead)["externalCompanyId"] == found["externalCompanyId"]:
            return False
        self.edit_lead(lead, {"externalCompanyId": found["externalCompanyId"]}, at)
        return True

    def delete_company(self, company: int, at: datetime) -> None:
        """Delete a company; its leads belong to none then."""
        found = self.companies.get(company)
        assert found is not None, f"there is no company {company}"
        leads = self.leads.find("externalCompanyId", [found["externalCompanyId"]])
        self.companies.remove(company)
        self.leads.forget("externalCompanyId")
        for lead in leads:
            self.leads.touch(lead, epoch(at))

    def convert_person(self, person: str, at: datetime) -> str | None:
        """See CrmStore: Marketo knows leads only."""
        return None

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """See CrmStore."""
        number = self.deals.add(_deal_values(fields), epoch(at))
        deal = self.deals.key(number)
        for person in people:
            self.link(deal, person, at)
        return deal

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore."""
        self.edit_opportunity(self._deal(deal), _deal_values(fields), at)

    def edit_opportunity(self, number: int, values: dict[str, Any], at: datetime) -> None:
        """Set fields of an opportunity; each lead with a part in it has an activity that tells what changed."""
        before = self.deals.get(number)
        changed = [(f"{name[0].upper()}{name[1:]}", before.get(name), new) for name, new in values.items() if new != before.get(name)]
        if not changed:
            return
        self.deals.edit(number, values, epoch(at))
        for role in self.deals.roles(number):
            self.deal_activity(36, number, role, at, Data_Value_Changes=changes_text(changed))

    def delete_deal(self, deal: str, at: datetime) -> None:
        """See CrmStore."""
        self.delete_opportunity(self._deal(deal), at)

    def delete_opportunity(self, number: int, at: datetime) -> None:
        """Delete an opportunity and its roles."""
        for role in self.deals.roles(number):
            self.deal_activity(35, number, role, at)
        self.deals.remove(number)

    def link(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        number = self._deal(deal)
        if role := self.deals.link(number, int(person), epoch(at)):
            self.deal_activity(34, number, role, at)

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        number = self._deal(deal)
        for role in self.deals.unlink(number, int(person)):
            self.deal_activity(35, number, role, at)

    def deal_activity(self, kind: int, number: int, role: dict[str, Any], at: datetime, **attributes: Any) -> None:
        """Write down that a lead got (34) or lost (35) a part in an opportunity, or that something about it changed (36)."""
        primary = (number + 1, self.deals.get(number)["name"])
        self.log.add(epoch(at), kind, role["leadId"], primary, **attributes, Role=role["role"], Is_Primary=role["isPrimary"])

    def _deal(self, key: str) -> int:
        number = self.deals.with_key(key)
        assert number is not None, f"there is no opportunity {key}"
        return number

    def counts(self) -> dict[str, int]:
        """See CrmStore. Marketo lists opportunities only through their roles and companies only through their leads, so only those count."""
        opportunities, roles = self.deals.role_counts()
        return {
            "leads": len(self.leads), "opportunities": opportunities, "companies": len(self.leads.company_keys()), "opportunity_roles": roles,
            "campaigns": len(self.view.campaigns), "programs": len(self.view.campaigns), "activities": len(self.log),
        }  # fmt: skip


def _deal_values(fields: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "stage":
            values |= stage_fields(value)
        elif name == "close_date":
            values |= closing(value)
        else:
            values[name] = float(value) if name == "amount" and value is not None else value
    return values


def _numbers(ids: Iterable[int]) -> Ids:
    return Ids(np.fromiter(ids, dtype=np.int64), str, whole)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
