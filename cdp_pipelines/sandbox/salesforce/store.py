"""The org's records as the living world changes them: implements `sandbox.store.CrmStore` in Salesforce's objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.columns import Column
from cdp_pipelines.sandbox.ids import Ids
from cdp_pipelines.sandbox.people import CrmView, Owner
from cdp_pipelines.sandbox.salesforce.ids import read_id
from cdp_pipelines.sandbox.salesforce.org_records import OrgRecords
from cdp_pipelines.sandbox.salesforce.records import Record, Records
from cdp_pipelines.sandbox.salesforce.translate import NOT_PROVIDED, STAGES, deal_values, text

_PERSON_FIELDS = {"first_name": "FirstName", "last_name": "LastName", "email": "Email", "phone": "Phone", "title": "Title"}
_COMPANY_FIELDS = {"industry": "Industry", "phone": "Phone", "region": "Region__c"}
# What a lead's contact takes over.
_CONVERTED = ("FirstName", "LastName", "Email", "Phone", "MobilePhone", "Title", "LeadSource", "HasOptedOutOfEmail", "LeadScore__c",
              "PreferredTopic__c", "Description", "CurrencyIsoCode")  # fmt: skip


class SalesforceStore(OrgRecords):
    """One org."""

    kind: Kind = "salesforce"

    def __init__(self, view: CrmView, owners: Sequence[Owner]):
        super().__init__(view, owners)
        self._added: list[str] = []

    def person_id(self, number: int) -> str:
        """The id of the world's person record with this number."""
        return self._person_records(number).id(number)

    def company_id(self, number: int) -> str:
        """The id of the account with this number in the world."""
        return self.records["Account"].id(number)

    def deal_id(self, number: int) -> str:
        """The id of the opportunity with this number in the world."""
        return self.records["Opportunity"].id(number)

    def live_people(self) -> Ids:
        """See CrmStore."""
        there = np.zeros(self._next["Contact"], dtype=bool)
        for name in ("Contact", "Lead"):
            there[list(self.records[name].listed(include_deleted=False))] = True
        there[list(self._converted)] = False
        return self._person_ids(np.flatnonzero(there))

    def deleted_people(self) -> Ids:
        """See CrmStore. Merge losers cannot come back."""
        binned = self._binned()
        return self._person_ids(np.array([n for n in binned if self._person_records(n).value(n, "MasterRecordId") is None], dtype=np.int64))

    def purgeable_people(self) -> Ids:
        """See Purges: all contacts and leads in the recycle bin, merged ones too."""
        return self._person_ids(np.array(self._binned(), dtype=np.int64))

    def _binned(self) -> list[int]:
        return sorted({**self.records["Contact"].deleted, **self.records["Lead"].deleted})

    def _person_ids(self, numbers: Column) -> Ids:
        contacts, prefix = self.records["Contact"], self.records["Contact"].spec.prefix
        return Ids(numbers, self.person_id, _person_number, lambda some, start: contacts.stamps.have(some) == (start == prefix))

    def purge_record(self, record: str, at: datetime) -> None:
        """See Purges. Remove any record in the recycle bin for good. Raises KeyError when it is not there."""
        self.purge(record)

    def live_deals(self) -> Ids:
        """See CrmStore."""
        return _listed(self.records["Opportunity"])

    def deal_people(self, deal: str) -> list[str]:
        """See CrmStore."""
        return [role["ContactId"] for role in self.roles(deal)]

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """A contact when a company is given that is an account already, else a lead: that is how people come into a CRM."""
        company = text(fields.get("company"))
        if company and self._account_named(company) is not None:
            return self.insert("Contact", self._person_values(fields, self._fresh_person(), contact=True), at)
        lead = self._fresh_person() | {"Company": NOT_PROVIDED, "Status": "Open - Not Contacted", "IsConverted": False}
        return self.insert("Lead", self._person_values(fields, lead, contact=False), at)

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore. A contact's company is an account: the one with that name, or a new one."""
        records, number = self.place(person)
        contact = records.spec.name == "Contact"
        if records.value(number, "IsPersonAccount"):
            fields = {name: value for name, value in fields.items() if name != "company"}
        if contact and (company := text(fields.get("company"))) and self._account_named(company) is None:
            self._create_account(company, at)
        self.change(person, self._person_values(fields, dict(records.get(number)), contact=contact), at)

    def delete_person(self, person: str, at: datetime) -> None:
        """See CrmStore."""
        self.delete(person, at)

    def restore_person(self, person: str, at: datetime) -> None:
        """See CrmStore."""
        self.undelete(person, at)

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        """See CrmStore. A lead and a contact cannot be merged: there the lead is converted into the contact, as people do."""
        if winner[:3] != loser[:3]:
            lead, contact = (winner, loser) if winner.startswith("00Q") else (loser, winner)
            self.convert(lead, contact, at)
            return
        self.merge(winner, loser, at)

    def convert_person(self, person: str, at: datetime) -> str | None:
        """See CrmStore. The contact's account is the one with the lead's company's name, or a new one."""
        if not person.startswith("00Q"):
            return None
        return self.convert_lead(person, at, account=self._account_named(self.value(person, "Company")))[1]

    def convert_lead(
        self, lead: str, at: datetime, *, account: str | None = None, contact: str | None = None, opportunity: str | None = None
    ) -> tuple[str | None, str, str | None]:
        """Convert a lead into the given account and contact, or new ones, and an opportunity (None: without; empty: named as its account).

        Gives their ids.
        """
        values = self.get(lead) or {}
        if contact is None:
            account = account or self._create_account(values["Company"], at)
            contact = self.insert("Contact", {**{f: values.get(f) for f in _CONVERTED}, "AccountId": account}, at)
        account = self.value(contact, "AccountId")
        deal = None
        if opportunity is not None:
            first = {"StageName": STAGES[0][0], "CloseDate": at.date(), "AccountId": account, "ContactId": contact}
            deal = self.insert("Opportunity", {"Name": opportunity or f"{values['Company']}-", **first}, at)
        self.convert(lead, contact, at, deal)
        return account, contact, deal

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """See CrmStore. The first contact's role is the primary one; leads have no part in an opportunity and are left out."""
        contacts = [p for p in people if p.startswith("003")]
        account = (self.get(contacts[0]) or {}).get("AccountId") if contacts else None
        values = deal_values(fields.get("stage", 0), fields.get("amount"), fields.get("close_date") or at.date())
        deal = self.insert("Opportunity", {"Name": text(fields.get("name")) or NOT_PROVIDED, "AccountId": account, **values}, at)
        for contact in contacts:
            self.link(deal, contact, at)
        return deal

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore. Name, stage and close date cannot be empty in Salesforce: clearing them changes nothing."""
        values: Record = {}
        if (stage := fields.get("stage")) is not None:
            values["StageName"] = STAGES[stage][0]
        if "amount" in fields:
            values["Amount"] = None if fields["amount"] is None else float(fields["amount"])
        if fields.get("close_date"):
            values["CloseDate"] = fields["close_date"]
        if name := text(fields.get("name")):
            values["Name"] = name
        self.change(deal, values, at)

    def delete_deal(self, deal: str, at: datetime) -> None:
        """See CrmStore. Its roles go with it."""
        self.delete(deal, at)

    def link(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore. Nothing happens for a lead, or when the contact has a role already."""
        roles = self.roles(deal)
        if not person.startswith("003") or any(r["ContactId"] == person for r in roles):
            return
        primary = not any(r.get("IsPrimary") for r in roles)
        self.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": person, "Role": None, "IsPrimary": primary}, at)

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        for role in self.roles(deal):
            if role["ContactId"] == person:
                self.delete(role["Id"], at)

    def live_companies(self) -> Ids:
        """See KeepsCompanies."""
        return _listed(self.records["Account"])

    def edit_company(self, company: str, fields: dict[str, Any], at: datetime) -> dict[str, Any]:
        """See KeepsCompanies. The region is what a formula field of the account's contacts shows."""
        known = {name: fields[name] for name in _COMPANY_FIELDS if name in fields}
        self.change(company, {_COMPANY_FIELDS[name]: text(value) for name, value in known.items()}, at)
        return known

    def move_person(self, person: str, company: str, at: datetime) -> bool:
        """See KeepsCompanies. Contacts can be moved that are not accounts themselves."""
        records, number = self.place(person)
        if records.spec.name != "Contact" or records.value(number, "IsPersonAccount") or records.value(number, "AccountId") == company:
            return False
        self.change(person, {"AccountId": company}, at)
        return True

    def added_fields(self) -> list[str]:
        """See HasCustomFields."""
        return list(self._added)

    def add_field_for_people(self, number: int, at: datetime) -> str:
        """See HasCustomFields. Contacts and leads get it."""
        name = f"Extra{number}__c"
        if name not in self._added:
            for people in ("Contact", "Lead"):
                self.add_field(people, name)
            self._added.append(name)
        return name

    def rename_field_for_people(self, field: str, number: int, at: datetime) -> str:
        """See HasCustomFields."""
        name = f"Renamed{number}__c"
        if name not in self._added:
            for people in ("Contact", "Lead"):
                self.rename_field(people, field, name)
            self._added[self._added.index(field)] = name
        return name

    def counts(self) -> dict[str, int]:
        """See CrmStore."""
        return {name: len(r.stamps) - len(r.deleted) for name, r in self.records.items()}

    def _person_records(self, number: int) -> Records:
        contacts = self.records["Contact"]
        return contacts if number in contacts.stamps or number in contacts.purged else self.records["Lead"]

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
        return next((accounts.id(n) for n in accounts.having("Name", name) if n not in accounts.deleted), None)

    def _create_account(self, name: str, at: datetime) -> str:
        return self.insert("Account", {"Name": name}, at)


def _listed(records: Records) -> Ids:
    return Ids(np.array(records.listed(include_deleted=False), dtype=np.int64), records.id, records.number)


def _person_number(text: str) -> int | None:
    return read_id(text, text[:3]) if text[:3] in ("003", "00Q") else None
