"""The org's records, and what happens to them. Implements `sandbox.store.CrmStore`; side effects are as in Salesforce:

SystemModstamp and LastModifiedDate move together, in whole seconds; a deleted record stays in the recycle bin; a merge marks the loser
deleted with MasterRecordId and moves its roles and campaign memberships; an opportunity's ContactId follows its primary role (that this
moves the opportunity's stamp too is approximated); a converted lead stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.people import CrmView, Owner
from cdp_pipelines.sandbox.salesforce.describe import objects
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.records import Record, Records, whole_seconds
from cdp_pipelines.sandbox.salesforce.translate import (
    NOT_PROVIDED,
    ROLES_PER_DEAL,
    STAGES,
    Translation,
    audit,
    complete_person,
    deal_values,
    person_stamp,
    text,
)

_PERSON_FIELDS = {"first_name": "FirstName", "last_name": "LastName", "email": "Email", "phone": "Phone", "title": "Title"}
_STAGE_NUMBERS = {name: number for number, (name, *_) in enumerate(STAGES)}


class SalesforceStore:
    """One org. `records` maps an object's name to its Records."""

    kind: Kind = "salesforce"

    def __init__(self, view: CrmView, owners: Sequence[Owner]):
        self._world = Translation(view, owners)
        make = {
            "Account": self._world.account, "Contact": self._world.contact, "Lead": self._world.lead, "Opportunity": self._world.opportunity,
            "OpportunityContactRole": self._world.role, "Campaign": self._world.campaign, "CampaignMember": self._world.member,
            "User": self._world.user,
        }  # fmt: skip
        self.records = {spec.name: Records(spec, make[spec.name]) for spec in objects().values()}
        self._by_prefix = {r.spec.prefix: r for r in self.records.values()}
        self._roles_of: dict[int, list[int]] = {}
        self._declare(view, owners)
        self._next = {name: max(r.stamps, default=-1) + 1 for name, r in self.records.items()}
        self._next["OpportunityContactRole"] = len(view.deals) * ROLES_PER_DEAL
        self._next["Contact"] = self._next["Lead"] = len(view.people)
        self._accounts: dict[str, int] | None = None

    def _declare(self, view: CrmView, owners: Sequence[Owner]) -> None:
        self._converted: set[int] = set()
        self._members_of: dict[int, list[int]] = {}
        for company in view.companies:
            self.records["Account"].declare(company.number, company.updated)
        for p in view.people:
            records = self.records["Contact" if p.role == "contact" else "Lead"]
            records.declare(p.number, person_stamp(p), p.fate_at or p.updated if p.fate in ("deleted", "merged") else None)
            if p.fate == "converted":
                self._converted.add(p.number)
        for deal in view.deals:
            gone = deal.updated if deal.deleted else None
            self.records["Opportunity"].declare(deal.number, deal.updated, gone)
            for place, part in enumerate(deal.contacts):
                if self._world.is_contact(part.person):
                    number = deal.number * ROLES_PER_DEAL + place
                    self.records["OpportunityContactRole"].declare(number, deal.updated, gone)
                    self._roles_of.setdefault(deal.number, []).append(number)
        member = 0
        for campaign in view.campaigns:
            self.records["Campaign"].declare(campaign.number, campaign.updated)
            for m in campaign.members:
                self.records["CampaignMember"].declare(member, m.created)
                self._members_of.setdefault(m.person, []).append(member)
                member += 1
        for owner in owners:
            self.records["User"].declare(owner.number, self._world.user(owner.number)["SystemModstamp"])

    # What the API needs.

    def find(self, record_id: str | None) -> tuple[Records, int] | None:
        """Where the record with this id is; None when there is none."""
        records = self._by_prefix.get((record_id or "")[:3])
        number = records.number(record_id or "") if records else None
        return None if records is None or number is None else (records, number)

    def get(self, record_id: str | None) -> Record | None:
        """The record with this id, deleted ones too."""
        found = self.find(record_id)
        return found[0].get(found[1]) if found else None

    def person_id(self, number: int) -> str:
        """The id of the world's person record with this number."""
        return self._person_records(number).id(number)

    def company_id(self, number: int) -> str:
        """The id of the account with this number in the world."""
        return self.records["Account"].id(number)

    def purge(self, record_id: str) -> None:
        """Empty a deleted record out of the recycle bin: no query shows it again."""
        records, number = self._place(record_id)
        records.purge(number)

    # What the living world does (CrmStore).

    def live_people(self) -> list[str]:
        """See CrmStore."""
        return [self.person_id(n) for n in sorted(self._people()) if n not in self._person_records(n).deleted and n not in self._converted]

    def deleted_people(self) -> list[str]:
        """See CrmStore. Merge losers cannot come back."""
        binned = sorted({**self.records["Contact"].deleted, **self.records["Lead"].deleted})
        return [self.person_id(n) for n in binned if self._person_records(n).get(n).get("MasterRecordId") is None]

    def live_deals(self) -> list[str]:
        """See CrmStore."""
        return [self.records["Opportunity"].id(n) for n in self.records["Opportunity"].listed(include_deleted=False)]

    def deal_people(self, deal: str) -> list[str]:
        """See CrmStore."""
        return [role["ContactId"] for role in self._roles(deal)]

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """A contact when a company is given that is an account already, else a lead: that is how people come into a CRM."""
        company = text(fields.get("company"))
        if company and self._account_named(company) is not None:
            return self._create("Contact", at, complete_person(self._person_values(fields, self._fresh_person(), contact=True)))
        return self._create("Lead", at, complete_person(self._person_values(fields, self._fresh_person() | {"Company": NOT_PROVIDED,
                            "Status": "Open - Not Contacted", "IsConverted": False}, contact=False)))  # fmt: skip

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore. A contact's company is an account: the one with that name, or a new one."""
        records, number = self._place(person)
        contact = records.spec.name == "Contact"
        if contact and (company := text(fields.get("company"))) and self._account_named(company) is None:
            self._create_account(company, at)
        self._change(person, at, complete_person(self._person_values(fields, dict(records.get(number)), contact=contact)))

    def delete_person(self, person: str, at: datetime) -> None:
        """See CrmStore."""
        self._change(person, at, {"IsDeleted": True})

    def restore_person(self, person: str, at: datetime) -> None:
        """See CrmStore."""
        self._change(person, at, {"IsDeleted": False})

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        """See CrmStore. A lead and a contact cannot be merged: there the lead is converted into the contact, as people do."""
        if winner[:3] != loser[:3]:
            lead, contact = (winner, loser) if winner.startswith("00Q") else (loser, winner)
            self._convert(lead, contact, at)
            return
        self._change(loser, at, {"IsDeleted": True, "MasterRecordId": winner})
        self._change(winner, at, {})
        field = "ContactId" if winner.startswith("003") else "LeadId"
        for name in ("OpportunityContactRole", "Opportunity"):
            records = self.records[name]
            for number in [n for n in records.stamps if records.get(n).get(field) == loser]:
                self._change(records.id(number), at, {field: winner})
        self._move_members(loser, winner, at, {field: winner, "LeadOrContactId": winner})

    def convert_person(self, person: str, at: datetime) -> str | None:
        """See CrmStore. The contact's account is the one with the lead's company's name, or a new one."""
        if not person.startswith("00Q"):
            return None
        lead = self.get(person) or {}
        account = self._account_named(lead["Company"])
        copied = ("FirstName", "LastName", "Email", "Phone", "MobilePhone", "Title", "LeadSource", "HasOptedOutOfEmail", "LeadScore__c",
                  "PreferredTopic__c", "Description", "CurrencyIsoCode")  # fmt: skip
        values = {f: lead.get(f) for f in copied} | {"AccountId": account or self._create_account(lead["Company"], at), "IsDeleted": False}
        contact = self._create("Contact", at, complete_person(values))
        self._convert(person, contact, at)
        return contact

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """See CrmStore. The first contact's role is the primary one; leads have no part in an opportunity and are left out."""
        contacts = [p for p in people if p.startswith("003")]
        account = (self.get(contacts[0]) or {}).get("AccountId") if contacts else None
        values = deal_values(fields.get("stage", 0), fields.get("amount"), fields.get("close_date") or at.date())
        deal = self._create("Opportunity", at, {"IsDeleted": False, "Name": text(fields.get("name")) or NOT_PROVIDED, "AccountId": account,
                            "CurrencyIsoCode": "USD", "ContactId": None, **values})  # fmt: skip
        for contact in contacts:
            self.link(deal, contact, at)
        return deal

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore. Name, stage and close date cannot be empty in Salesforce: clearing them changes nothing."""
        now = self.get(deal) or {}
        stage = fields.get("stage")
        values = deal_values(
            _STAGE_NUMBERS[now["StageName"]] if stage is None else stage,
            fields["amount"] if "amount" in fields else now.get("Amount"),
            fields.get("close_date") or now["CloseDate"],
        )
        self._change(deal, at, {**values, "Name": text(fields.get("name")) or now["Name"]})

    def delete_deal(self, deal: str, at: datetime) -> None:
        """See CrmStore. Its roles go with it."""
        for role in self._roles(deal):
            self._change(role["Id"], at, {"IsDeleted": True})
        self._change(deal, at, {"IsDeleted": True})

    def link(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore. Nothing happens for a lead, or when the contact has a role already."""
        roles = self._roles(deal)
        if not person.startswith("003") or any(r["ContactId"] == person for r in roles):
            return
        primary = not any(r["IsPrimary"] for r in roles)
        role = self._create("OpportunityContactRole", at, {"OpportunityId": deal, "ContactId": person, "Role": None, "IsPrimary": primary,
                            "IsDeleted": False})  # fmt: skip
        number = self._place(deal)[1]
        self._roles_of.setdefault(number, []).append(self._place(role)[1])
        if primary:
            self._change(deal, at, {"ContactId": person})

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        for role in self._roles(deal):
            if role["ContactId"] == person:
                self._change(role["Id"], at, {"IsDeleted": True})
                if role["IsPrimary"]:
                    self._change(deal, at, {"ContactId": None})

    def counts(self) -> dict[str, int]:
        """See CrmStore."""
        return {name: len(r.stamps) - len(r.deleted) for name, r in self.records.items()}

    def _people(self) -> Iterator[int]:
        yield from self.records["Contact"].stamps
        yield from self.records["Lead"].stamps

    def _person_records(self, number: int) -> Records:
        contacts = self.records["Contact"]
        return contacts if number in contacts.stamps or number in contacts.purged else self.records["Lead"]

    def _place(self, record_id: str) -> tuple[Records, int]:
        found = self.find(record_id)
        if found is None:
            raise KeyError(record_id)
        return found

    def _change(self, record_id: str, at: datetime, values: Record) -> None:
        records, number = self._place(record_id)
        moment = whole_seconds(at)
        record = {**records.get(number), **values, "LastModifiedDate": moment, "SystemModstamp": moment}
        # A change to what is in the recycle bin already does not move its deletion.
        deleted_at = (records.deleted.get(number) or moment) if record.get("IsDeleted") else None
        records.put(number, record, deleted_at)

    def _create(self, name: str, at: datetime, values: Record) -> str:
        number = self._next[name]
        self._next[name] += 1
        if name in ("Contact", "Lead"):
            self._next["Contact"] = self._next["Lead"] = number + 1
        record = {"Id": self.records[name].id(number), **values, **audit(self._world.user_id(0), at, at)}
        self.records[name].put(number, record)
        return record["Id"]

    def _roles(self, deal: str) -> list[Record]:
        """A deal's roles that are not deleted."""
        records = self.records["OpportunityContactRole"]
        return [records.get(n) for n in self._roles_of.get(self._place(deal)[1], ()) if n not in records.deleted]

    def _convert(self, lead: str, contact: str, at: datetime) -> None:
        self._change(lead, at, {
            "IsConverted": True, "Status": "Closed - Converted", "ConvertedDate": whole_seconds(at).date(), "ConvertedContactId": contact,
            "ConvertedAccountId": (self.get(contact) or {}).get("AccountId"),
        })  # fmt: skip
        self._converted.add(self._place(lead)[1])
        self._move_members(lead, contact, at, {"ContactId": contact, "LeadOrContactId": contact, "Type": "Contact"})

    def _move_members(self, old: str, new: str, at: datetime, values: Record) -> None:
        """Change the campaign members of one person to those of another. By an index: there are several for each person."""
        members = self.records["CampaignMember"]
        moved = [number for number in self._members_of.pop(self._place(old)[1], ()) if number in members.stamps]
        for number in moved:
            self._change(members.id(number), at, values)
        self._members_of.setdefault(self._place(new)[1], []).extend(moved)

    def _fresh_person(self) -> Record:
        return {"IsDeleted": False, "LastName": NOT_PROVIDED, "HasOptedOutOfEmail": False, "CurrencyIsoCode": "USD", "LeadSource": "Other"}

    def _person_values(self, fields: dict[str, Any], record: Record, *, contact: bool) -> Record:
        """The record with the neutral fields written over it."""
        for field, name in _PERSON_FIELDS.items():
            if field in fields:
                record[name] = text(fields[field])
        record["LastName"] = record["LastName"] or NOT_PROVIDED
        if "lead_score" in fields:
            record["LeadScore__c"] = None if fields["lead_score"] is None else float(fields["lead_score"])
        if "company" in fields:
            company = text(fields["company"])
            if contact:
                record["AccountId"] = self._account_named(company) if company else None
            else:
                record["Company"] = company or NOT_PROVIDED
        return record

    def _account_named(self, name: str) -> str | None:
        accounts = self.records["Account"]
        if self._accounts is None:
            self._accounts = {}
            for number in accounts.stamps:
                self._accounts.setdefault(accounts.get(number)["Name"].lower(), number)
        number = self._accounts.get(name.lower())
        return None if number is None else make_id("001", number)

    def _create_account(self, name: str, at: datetime) -> str:
        account = self._create("Account", at, {"IsDeleted": False, "Name": name, "CurrencyIsoCode": "USD"})
        if self._accounts is not None:
            self._accounts.setdefault(name.lower(), self._place(account)[1])
        return account
