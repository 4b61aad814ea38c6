"""The org's records and what Salesforce does by itself when one of them changes, whoever changes it.

SystemModstamp and LastModifiedDate move together, in whole seconds; a deleted record stays in the recycle bin, and an account takes its
contacts and opportunities with it; a merge marks the loser deleted with MasterRecordId and moves its children; an opportunity's ContactId
follows its primary role (that this moves the opportunity's stamp too is approximated); a converted lead stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np

from cdp_pipelines.sandbox import columns
from cdp_pipelines.sandbox.people import CrmView, Owner
from cdp_pipelines.sandbox.salesforce import declared, person_accounts
from cdp_pipelines.sandbox.salesforce.records import Record, Records, whole_seconds
from cdp_pipelines.sandbox.salesforce.schema import FieldSpec, fresh_objects
from cdp_pipelines.sandbox.salesforce.translate import Translation, audit, complete_deal, complete_person

# Child object and its field, by parent object: what a merge moves, and what is deleted with an account.
_MERGED = {
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId"), ("Account", "ParentId")),
    "Contact": (("OpportunityContactRole", "ContactId"), ("Opportunity", "ContactId"), ("CampaignMember", "ContactId"), ("Contact", "ReportsToId")),
    "Lead": (("CampaignMember", "LeadId"),),
}  # fmt: skip
# Custom fields that the sandbox itself knows by name.
_FIXED = ("LeadScore__c", "Region__c", "External_Id__c")
_DELETED_WITH = {
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId")),
    "Opportunity": (("OpportunityContactRole", "OpportunityId"),),
}


@dataclass(frozen=True)
class Change:
    """One change of one record, as change data capture tells of it; `fields` are the names of those that changed."""

    object: str
    record_id: str
    type: Literal["CREATE", "UPDATE", "DELETE", "UNDELETE"]
    at: datetime
    fields: tuple[str, ...] = ()


class OrgRecords:
    """One org. `records` maps an object's name to its Records, `schema` its lower-case name to its spec.

    `listeners` are told of changes: of several at once where they are all or nothing.
    """

    def __init__(self, view: CrmView, owners: Sequence[Owner]):
        self._world = Translation(view, owners)
        make: dict[str, Callable[[int], Record]] = {
            "Account": self._world.account, "Contact": self._world.contact, "Lead": self._world.lead, "Opportunity": self._world.opportunity,
            "OpportunityContactRole": self._world.role, "Campaign": self._world.campaign, "CampaignMember": self._world.member,
            "User": self._world.user,
        }  # fmt: skip
        self.schema = fresh_objects()
        self.schema_changes = 0
        self.person_accounts = False
        self.records = {s.name: Records(s, make[s.name], self._world.quick(s.name)) for s in self.schema.values()}
        self._by_prefix = {r.spec.prefix: r for r in self.records.values()}
        self._undo: list[Callable[[], None]] | None = None
        self.listeners: list[Callable[[Sequence[Change]], None]] = []
        self._untold: list[Change] = []
        self._declare(view)
        self._next = {name: r.stamps.end for name, r in self.records.items()}

    def _declare(self, view: CrmView) -> None:
        for name, (stamps, deleted, finders) in declared.world(self._world).items():
            self.records[name].declare(stamps, deleted, finders)
        people = columns.of_people(view.people)
        self._converted = set(np.flatnonzero(people.fate == columns.CONVERTED).tolist())

    @property
    def me(self) -> str:
        """The id of the user as whom clients sign in."""
        return self._world.user_id(0)

    def find(self, record_id: str | None) -> tuple[Records, int] | None:
        """Where the record with this id is; None when there is none."""
        records = self._by_prefix.get((record_id or "")[:3])
        number = records.number(record_id or "") if records else None
        return None if records is None or number is None else (records, number)

    def place(self, record_id: str) -> tuple[Records, int]:
        """Where the record with this id is. Raises KeyError."""
        found = self.find(record_id)
        if found is None:
            raise KeyError(record_id)
        return found

    def get(self, record_id: str | None) -> Record | None:
        """The record with this id, deleted ones too."""
        found = self.find(record_id)
        return found[0].get(found[1]) if found else None

    def value(self, record_id: str | None, field: str) -> Any:
        """One field of the record with this id; None when there is no such record."""
        found = self.find(record_id)
        return found[0].value(found[1], field) if found else None

    @contextmanager
    def undoable(self) -> Generator[tuple[int, dict[str, int]]]:
        """A stretch of changes that `rollback` can take back, given the point that this gives. May lie within another one."""
        outermost = self._undo is None
        if self._undo is None:
            self._undo = []
            self._watch(self._undo)
        try:
            yield len(self._undo), dict(self._next)
        finally:
            if outermost:
                self._undo = None
                self._watch(None)
                self._tell()

    def rollback(self, point: tuple[int, dict[str, int]]) -> None:
        """Take back every change since a point."""
        while self._undo and len(self._undo) > point[0]:
            self._undo.pop()()
        self._next = dict(point[1])

    def _changed(self, records: Records, number: int, before: Record | None, after: Record, at: datetime) -> None:
        """Note a change for the listeners."""
        if not self.listeners:
            return
        record_id = records.id(number)
        what: Literal["CREATE", "UPDATE", "DELETE", "UNDELETE"] = "CREATE" if before is None else "UPDATE"
        if before is not None and bool(before.get("IsDeleted")) != bool(after.get("IsDeleted")):
            what = "DELETE" if after.get("IsDeleted") else "UNDELETE"
        fields = tuple(name for name, value in after.items() if before is not None and before.get(name) != value)
        change = Change(records.spec.name, record_id, what, at, fields)
        self._untold.append(change)
        if self._undo is None:
            self._tell()
        else:
            # Last in, first out: what is taken back is told to nobody.
            self._undo.append(lambda: self._untold.remove(change))

    def _tell(self) -> None:
        changes, self._untold = self._untold, []
        if changes:
            for listener in self.listeners:
                listener(changes)

    def _watch(self, undo: list[Callable[[], None]] | None) -> None:
        for records in self.records.values():
            records.watch(undo)

    def insert(self, name: str, values: Record, at: datetime) -> str:
        """Add a record and give its id. What follows from the values is set, an opportunity with a contact gets its primary role."""
        number = self._next[name]
        self._next[name] += 1
        if name in ("Contact", "Lead"):
            self._next["Contact"] = self._next["Lead"] = number + 1
        record = {"Id": self.records[name].id(number), **audit(self.me, at, at), "IsDeleted": False, "CurrencyIsoCode": "USD", **values}
        self.records[name].put(number, self._completed(name, record, values))
        self._changed(self.records[name], number, None, record, at)
        if name == "Opportunity" and record.get("ContactId"):
            role = {"OpportunityId": record["Id"], "ContactId": record["ContactId"], "Role": None, "IsPrimary": True}
            self.insert("OpportunityContactRole", role, at)
        self._follow(name, {}, record, at)
        return record["Id"]

    def change(self, record_id: str, values: Record, at: datetime) -> None:
        """Set fields of a record."""
        records, number = self.place(record_id)
        moment, before = whole_seconds(at), records.get(number)
        record = {**before, **values, "LastModifiedDate": moment, "SystemModstamp": moment}
        # A change to what is in the recycle bin already does not move its deletion.
        deleted_at = (records.deleted.get(number) or moment) if record.get("IsDeleted") else None
        records.put(number, self._completed(records.spec.name, record, values), deleted_at)
        self._changed(records, number, before, record, at)
        self._follow(records.spec.name, before, record, at)

    def _completed(self, name: str, record: Record, values: Record) -> Record:
        if name in ("Contact", "Lead"):
            return complete_person(record)
        if name == "Opportunity":
            return complete_deal(record, keep_probability="Probability" in values or "StageName" not in values)
        return record

    def _follow(self, name: str, before: Record, after: Record, at: datetime) -> None:
        """What a change brings with it in other records."""
        if after.get("IsPersonAccount"):
            person_accounts.mirror(self.records, name, after)
        if name != "OpportunityContactRole":
            return
        was, is_now = (bool(r.get("IsPrimary")) and not r.get("IsDeleted") for r in (before, after))
        deal = after["OpportunityId"]
        if is_now:
            for role in self.roles(deal):
                if role.get("IsPrimary") and role["Id"] != after["Id"]:
                    self.change(role["Id"], {"IsPrimary": False}, at)
            if self.value(deal, "ContactId") != after["ContactId"]:
                self.change(deal, {"ContactId": after["ContactId"]}, at)
        elif was and self.value(deal, "ContactId") == before["ContactId"]:
            self.change(deal, {"ContactId": None}, at)

    def roles(self, deal: str) -> list[Record]:
        """An opportunity's contact roles that are not deleted."""
        records = self.records["OpportunityContactRole"]
        return [records.get(n) for n in records.having("OpportunityId", deal) if n not in records.deleted]

    def delete(self, record_id: str, at: datetime) -> None:
        """Put a record, and what Salesforce deletes with it, into the recycle bin."""
        records, _ = self.place(record_id)
        for child, field in _DELETED_WITH.get(records.spec.name, ()):
            children = self.records[child]
            for number in children.having(field, record_id):
                if number in children.deleted:
                    continue
                if child == "OpportunityContactRole":
                    self._mark(children, number, at)
                else:
                    self.delete(children.id(number), at)
        self.change(record_id, {"IsDeleted": True}, at)

    def _mark(self, records: Records, number: int, at: datetime) -> None:
        moment = whole_seconds(at)
        before = records.get(number)
        record = {**before, "IsDeleted": True, "LastModifiedDate": moment, "SystemModstamp": moment}
        records.put(number, record, moment)
        self._changed(records, number, before, record, at)

    def undelete(self, record_id: str, at: datetime) -> None:
        """Take a record out of the recycle bin, with what was deleted at the same moment because of it."""
        records, number = self.place(record_id)
        deleted_at = records.deleted.get(number)
        self.change(record_id, {"IsDeleted": False}, at)
        for child, field in _DELETED_WITH.get(records.spec.name, ()):
            children = self.records[child]
            for number in children.having(field, record_id):
                if deleted_at is not None and children.deleted.get(number) == deleted_at:
                    self.undelete(children.id(number), at)

    def purge(self, record_id: str) -> None:
        """Empty a deleted record out of the recycle bin: no query shows it again."""
        records, number = self.place(record_id)
        records.purge(number)

    def empty_recycle_bin(self, before: datetime | None = None) -> int:
        """Purge everything that was deleted (before a moment); gives how many records that were."""
        gone = [(r, n) for r in self.records.values() for n, at in r.deleted.items() if before is None or at < before]
        for records, number in gone:
            records.purge(number)
        return len(gone)

    def merge(self, winner: str, loser: str, at: datetime) -> list[str]:
        """Merge two records of one object (accounts, contacts or leads); gives the ids of the children that were moved."""
        name, moved = self.place(winner)[0].spec.name, []
        self.change(loser, {"IsDeleted": True, "MasterRecordId": winner}, at)
        self.change(winner, {}, at)
        for child, field in _MERGED[name]:
            children = self.records[child]
            for number in children.having(field, loser):
                also = {"LeadOrContactId": winner} if child == "CampaignMember" else {}
                self.change(children.id(number), {field: winner, **also}, at)
                moved.append(children.id(number))
        return moved

    def convert(self, lead: str, contact: str, at: datetime, opportunity: str | None = None) -> None:
        """Mark a lead as converted into a contact, which gets its campaign memberships."""
        self.change(lead, {
            "IsConverted": True, "Status": "Closed - Converted", "ConvertedDate": whole_seconds(at).date(), "ConvertedContactId": contact,
            "ConvertedAccountId": self.value(contact, "AccountId"), "ConvertedOpportunityId": opportunity,
        }, at)  # fmt: skip
        self._converted.add(self.place(lead)[1])
        members = self.records["CampaignMember"]
        for number in members.having("LeadId", lead):
            self.change(members.id(number), {"ContactId": contact, "LeadOrContactId": contact, "Type": "Contact"}, at)

    def enable_person_accounts(self) -> None:
        """Switch person accounts on; as in Salesforce there is no way back. See `person_accounts`."""
        if not self.person_accounts:
            self.person_accounts = True
            self.schema_changes += 1
            person_accounts.add_fields(self.schema)
            contacts = self.records["Contact"]
            for number in [n for n in contacts.stamps if contacts.value(n, "AccountId") is None and n not in contacts.deleted]:
                person_accounts.add_account(self.records, number, self._next["Account"])
                self._next["Account"] += 1

    def add_field(self, object_name: str, name: str, type_: str = "string", label: str | None = None) -> None:
        """Give an object a custom field (its name ends in `__c`), empty in every record. Raises ValueError when it has one of that name."""
        spec = self.schema[object_name.lower()]
        if name.lower() in spec.fields or not name.endswith("__c"):
            raise ValueError(f"{object_name} cannot be given a field {name}")
        precision, size = (18, 0) if type_ in ("double", "currency", "percent") else (0, 255 if type_ == "string" else 0)
        made = FieldSpec(name, type_, size, precision, 0, "ncu", None, (), None, label or name.removesuffix("__c").replace("_", " "))
        spec.fields[name.lower()] = made
        self.schema_changes += 1

    def rename_field(self, object_name: str, old: str, new: str) -> None:
        """Give a custom field another API name, with its values. Raises ValueError when that cannot be."""
        spec = self.schema[object_name.lower()]
        field = spec.fields.get(old.lower())
        if (
            field is None
            or field.name in _FIXED
            or not set("cu") <= set(field.flags)
            or not field.custom
            or not new.endswith("__c")
            or new.lower() in spec.fields
        ):
            raise ValueError(f"{object_name}.{old} cannot become {new}")
        renamed = {n if n != old.lower() else new.lower(): f if n != old.lower() else replace(f, name=new) for n, f in spec.fields.items()}
        spec.fields.clear()
        spec.fields.update(renamed)
        self.records[spec.name].rename(field.name, new)
        self.schema_changes += 1
