"""Person accounts: a person who is an account and a contact at once, two records that show the same values.

Once they are switched on, contacts without an account have such an account (approximated: a real org keeps them private), and an account
created with a LastName and no Name is one. A change to either record is written to both, at the same moment.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cdp_pipelines.sandbox.salesforce.records import Record, Records
from cdp_pipelines.sandbox.salesforce.schema import FieldSpec, ObjectSpec
from cdp_pipelines.sandbox.salesforce.translate import complete_person

if TYPE_CHECKING:
    from cdp_pipelines.sandbox.salesforce.org_records import OrgRecords

# Account's field -> Contact's.
_MIRRORED = {
    "FirstName": "FirstName", "LastName": "LastName", "Salutation": "Salutation", "PersonEmail": "Email", "PersonMobilePhone": "MobilePhone",
    "PersonTitle": "Title", "Phone": "Phone", "OwnerId": "OwnerId", "IsDeleted": "IsDeleted", "SystemModstamp": "SystemModstamp",
    "LastModifiedDate": "LastModifiedDate",
}  # fmt: skip
_ACCOUNT_FIELDS = (
    ("IsPersonAccount", "boolean", 0, "d", "Is Person Account"), ("PersonContactId", "reference", 18, "n", "Contact ID"),
    ("FirstName", "string", 40, "ncu", "First Name"), ("LastName", "string", 80, "ncu", "Last Name"),
    ("Salutation", "picklist", 40, "ncu", "Salutation"), ("PersonEmail", "email", 80, "ncu", "Email"),
    ("PersonMobilePhone", "phone", 40, "ncu", "Mobile"), ("PersonTitle", "string", 80, "ncu", "Title"),
)  # fmt: skip


def add_fields(schema: dict[str, ObjectSpec]) -> None:
    """Give Account and Contact the fields that person accounts bring."""
    for name, type_, size, flags, label in _ACCOUNT_FIELDS:
        reference = ("PersonContact", ("Contact",)) if type_ == "reference" else (None, ())
        schema["account"].fields[name.lower()] = FieldSpec(name, type_, size, 0, 0, flags, *reference, None, label)
    schema["contact"].fields["ispersonaccount"] = schema["account"].fields["ispersonaccount"]


def add_account(records: dict[str, Records], contact: int, account: int) -> None:
    """Make a contact that is there a person account, without a change of its stamp."""
    contacts, accounts = records["Contact"], records["Account"]
    more = {"AccountId": accounts.id(account), "IsPersonAccount": True}
    if contacts.kept(contact):
        contacts.put(contact, {**contacts.get(contact), **more})
    else:
        contacts.amend(contact, more)
    accounts.remake(account, lambda _: account_of(contacts.get(contact), accounts.id(account)), contacts.stamps[contact])


def account_of(contact: Record, account_id: str) -> Record:
    """The account of a person."""
    copied = ("CreatedDate", "CreatedById", "LastModifiedById", "CurrencyIsoCode")
    return {
        "Id": account_id, "Name": contact.get("Name"), "IsPersonAccount": True, "PersonContactId": contact["Id"],
        **{ours: contact.get(theirs) for ours, theirs in _MIRRORED.items()}, **{name: contact.get(name) for name in copied},
    }  # fmt: skip


def is_person(store: OrgRecords, spec: ObjectSpec, values: Record) -> bool:
    """Whether an account that is to be created is a person."""
    return store.person_accounts and spec.name == "Account" and values.get("LastName") is not None and values.get("Name") is None


def create(store: OrgRecords, values: Record, at: datetime) -> str:
    """Add a person: its account, whose id is given, and its contact."""
    account = store.insert("Account", {**values, "Name": values["LastName"], "IsPersonAccount": True}, at)
    contact = {theirs: values[ours] for ours, theirs in _MIRRORED.items() if ours in values}
    store.insert("Contact", {**contact, "AccountId": account, "IsPersonAccount": True}, at)
    return account


def mirror(records: dict[str, Records], name: str, changed: Record) -> None:
    """Write what was changed in one of a person's two records to the other."""
    other, other_id = ("Account", changed.get("AccountId")) if name == "Contact" else ("Contact", changed.get("PersonContactId"))
    number = records[other].number(other_id or "")
    if number is None:
        return
    if other == "Account":
        values = {ours: changed.get(theirs) for ours, theirs in _MIRRORED.items()}
        values |= {"Name": changed.get("Name"), "PersonContactId": changed["Id"]}
    else:
        values = {theirs: changed.get(ours) for ours, theirs in _MIRRORED.items()}
    deleted_at = changed["SystemModstamp"] if changed.get("IsDeleted") else None
    record = {**records[other].get(number), **values}
    records[other].put(number, complete_person(record) if other == "Contact" else record, deleted_at)
