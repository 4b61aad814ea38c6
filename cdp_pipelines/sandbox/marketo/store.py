"""The emulated Marketo's records, and the everyday changes that the sandbox's world makes to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.marketo.activities import CAMPAIGN_ID, PROGRAM_ID, ActivityLog, stage_change
from cdp_pipelines.sandbox.marketo.deals import Deals, closing, number_of, opportunity_key, stage_fields
from cdp_pipelines.sandbox.marketo.describe import LEAD_LABELS
from cdp_pipelines.sandbox.marketo.leads import Companies, Leads, epoch, iso
from cdp_pipelines.sandbox.people import Campaign, CrmView, Owner, PersonRecord

_PERSON_FIELDS = {
    "first_name": "firstName", "last_name": "lastName", "email": "email", "phone": "phone", "title": "title", "company": "company",
    "lead_score": "leadScore",
}  # fmt: skip


class MarketoStore:
    """A `CrmStore`. Deletes are final: nothing can be restored. Ids are lead ids and `externalOpportunityId`s.

    `salesforce_people` are Salesforce's records, to tell whether `salesforce_number` means a contact or a lead there.
    """

    kind: Kind = "marketo"

    def __init__(self, view: CrmView, owners: Sequence[Owner], salesforce_people: Sequence[PersonRecord] | None = None):
        self.view, self.owners = view, owners
        self._salesforce_people = salesforce_people

    @cached_property
    def companies(self) -> Companies:
        """The companies."""
        return Companies(self.view)

    @cached_property
    def leads(self) -> Leads:
        """The leads."""
        return Leads(self.view, self._salesforce_people)

    @cached_property
    def deals(self) -> Deals:
        """The opportunities and roles."""
        return Deals(self.view, self.leads)

    @cached_property
    def log(self) -> ActivityLog:
        """The activities."""
        return ActivityLog(self.view, self.leads, self.deals)

    def person_id(self, number: int) -> str:
        """The lead id of the world's person record with this number."""
        return str(self.leads.id_of(number))

    def company_id(self, number: int) -> str:
        """The id of the world's company record with this number."""
        return str(self.leads.id_of(number))

    def live_people(self) -> list[str]:
        """See CrmStore."""
        return [str(i) for i in self.leads.ids()]

    def deleted_people(self) -> list[str]:
        """See CrmStore: Marketo has no way back."""
        return []

    def live_deals(self) -> list[str]:
        """See CrmStore."""
        return [opportunity_key(n) for n in self.deals.numbers()]

    def deal_people(self, deal: str) -> list[str]:
        """See CrmStore."""
        return list(dict.fromkeys(str(role["leadId"]) for role in self.deals.roles(_number(deal))))

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """See CrmStore."""
        lead = self.leads.add({_PERSON_FIELDS[name]: value for name, value in fields.items()}, epoch(at))
        self.log.add(epoch(at), 12, lead, Source_Type="Web service API", Created_Date=iso(epoch(at))[:10])
        return str(lead)

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore."""
        lead, before = int(person), self.leads.get(int(person))
        values = {_PERSON_FIELDS[name]: value for name, value in fields.items()}
        self._edit_lead(lead, {k: v for k, v in values.items() if v != before[k]}, before, epoch(at))

    def _edit_lead(self, lead: int, values: dict[str, Any], before: dict[str, Any], at: int) -> None:
        if not values:
            return
        self.leads.edit(lead, values, at)
        for name, value in values.items():
            old, text = before[name], None if value is None else str(value)
            # A change of score is written down twice, as a change of score and as one of a value.
            if name == "leadScore":
                change = f"{(value or 0) - (old or 0):+d}"
                self.log.add(at, 22, lead, LEAD_LABELS[name], Change_Value=change, New_Value=value, Old_Value=old)
            self.log.add(
                at, 13, lead, LEAD_LABELS[name], New_Value=text, Old_Value=None if old is None else str(old), Source="Web service API"
            )

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
        """See CrmStore. The winner's blanks take the loser's values, and the loser's roles become the winner's."""
        kept, gone, when = self.leads.get(int(winner)), self.leads.get(int(loser)), epoch(at)
        read_only = {"id", "createdAt", "updatedAt", "mktoName"}
        filled = {k: v for k, v in gone.items() if k not in read_only and kept.get(k) in (None, "") and v not in (None, "")}
        self.leads.edit(int(winner), filled, when)
        self.leads.remove(int(loser))
        self.deals.move(int(loser), int(winner), when)
        merged = {"Master_Updated": bool(filled), "Merge_IDs": [int(loser)], "Merge_Source": "leaddb"}
        self.log.add(when, 32, int(winner), (int(winner), kept["mktoName"]), **merged)

    def convert_person(self, person: str, at: datetime) -> str | None:
        """See CrmStore: Marketo knows leads only."""
        return None

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """See CrmStore."""
        number = self.deals.add(_deal_values(fields), epoch(at))
        deal = opportunity_key(number)
        for person in people:
            self.link(deal, person, at)
        return deal

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore."""
        number, before = _number(deal), self.deals.get(_number(deal))
        values = _deal_values(fields)
        self.deals.edit(number, values, epoch(at))
        changed = next(iter(values), "stage")
        for role in self.deals.roles(number):
            self._deal_activity(
                36, number, role, at, Data_Value_Changes=stage_change(before[changed], values.get(changed), changed.capitalize())
            )

    def delete_deal(self, deal: str, at: datetime) -> None:
        """See CrmStore."""
        number = _number(deal)
        for role in self.deals.roles(number):
            self._deal_activity(35, number, role, at)
        self.deals.remove(number)

    def link(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        if role := self.deals.link(_number(deal), int(person), epoch(at)):
            self._deal_activity(34, _number(deal), role, at)

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        for role in self.deals.unlink(_number(deal), int(person)):
            self._deal_activity(35, _number(deal), role, at)

    def _deal_activity(self, kind: int, number: int, role: dict[str, Any], at: datetime, **attributes: Any) -> None:
        primary = (number + 1, self.deals.get(number)["name"])
        self.log.add(epoch(at), kind, role["leadId"], primary, **attributes, Role=role["role"], Is_Primary=role["isPrimary"])

    def counts(self) -> dict[str, int]:
        """See CrmStore. Marketo lists opportunities only through their roles and companies only through their leads, so only those count."""
        roles = [len(self.deals.roles(n)) for n in self.deals.numbers()]
        return {
            "leads": len(self.leads), "opportunities": sum(map(bool, roles)), "companies": len(self.leads.company_keys()), "opportunity_roles": sum(roles),
            "campaigns": len(self.view.campaigns), "programs": len(self.view.campaigns), "activities": len(self.log),
        }  # fmt: skip

    def campaigns(self) -> list[dict[str, Any]]:
        """The smart campaigns, one for each program."""
        return [
            {"id": CAMPAIGN_ID + c.number, "name": f"{c.name} - Invite", "type": "trigger" if c.number % 3 == 0 else "batch", "programName": c.name,
             "programId": PROGRAM_ID + c.number, "workspaceName": "Default", "createdAt": iso(epoch(c.created)),
             "updatedAt": iso(epoch(c.updated)), "active": c.status == "In Progress"}
            for c in self.view.campaigns
        ]  # fmt: skip

    def programs(self) -> list[dict[str, Any]]:
        """The programs, as the asset API shows them."""
        return [_program(c) for c in self.view.campaigns]


def _program(campaign: Campaign) -> dict[str, Any]:
    # The asset API's odd way to write a time.
    created, updated = f"{iso(epoch(campaign.created))}+0000", f"{iso(epoch(campaign.updated))}+0000"
    folder = {"type": "Folder", "value": 21, "folderName": "Programs"}
    made = {
        "id": PROGRAM_ID + campaign.number, "name": campaign.name, "description": "", "createdAt": created, "updatedAt": updated,
        "url": f"https://app.example.com/#PG{PROGRAM_ID + campaign.number}A1", "type": "Event" if campaign.type == "Conference" else "Default",
        "channel": campaign.type, "folder": folder, "status": campaign.status, "workspace": "Default", "headStart": False,
    }  # fmt: skip
    if campaign.type in ("Conference", "Webinar", "Trade Show"):
        made |= {"startDate": f"{campaign.start}T00:00:00Z+0000"}
        if campaign.end:
            made |= {"endDate": f"{campaign.end}T00:00:00Z+0000"}
    return made


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


def _number(deal: str) -> int:
    number = number_of(deal)
    assert number is not None, f"{deal} is no externalOpportunityId"
    return number
