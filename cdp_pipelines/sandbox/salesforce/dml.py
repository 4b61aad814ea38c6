"""Creating, changing and deleting single records as a client asks for it: the checks, in Salesforce's words, and then the change.

Whoever writes, REST, collections, bulk or SOAP, does it here. Codes and texts are recorded ones where there is a recording (INVALID_FIELD,
REQUIRED_FIELD_MISSING, DUPLICATE_VALUE, MALFORMED_ID and those of `values`), otherwise the documentation's, approximated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.salesforce import duplicates, person_accounts
from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.records import Record
from cdp_pipelines.sandbox.salesforce.replies import Refused, no_record, not_found
from cdp_pipelines.sandbox.salesforce.schema import PICKLIST_DEFAULTS, FieldSpec, ObjectSpec
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sandbox.salesforce.values import read_value

Body = dict[str, Any]


class SeveralMatch(Exception):
    """An external id value that several records have."""

    def __init__(self, ids: list[str]):
        super().__init__("several records match")
        self.ids = ids


@dataclass(frozen=True)
class Upserted:
    """What an upsert did."""

    id: str
    created: bool


class Writer:
    """Writes to a store. Methods raise Refused when Salesforce would refuse; then nothing has changed."""

    def __init__(self, store: SalesforceStore, options: SalesforceOptions):
        self.store, self.options = store, options

    def create(self, spec: ObjectSpec, body: Body, *, save_duplicates: bool = False) -> str:
        """Add a record and give its id."""
        if any(key.lower() == "id" for key in body):
            raise Refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ["Id"])
        values = {name.partition(".")[2]: v for name, v in PICKLIST_DEFAULTS.items() if name.startswith(f"{spec.name}.")}
        values |= self._read(spec, body, "c")
        person = person_accounts.is_person(self.store, spec, values)
        missing = [f.name for f in spec.fields.values() if f.required and values.get(f.name) is None and not (person and f.name == "Name")]
        if missing:
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
        self._check(spec, None, values, save_duplicates)
        if spec.name == "CampaignMember":
            values = self._membership(values)
        if person:
            return person_accounts.create(self.store, values, clock.now())
        return self.store.insert(spec.name, values, clock.now())

    def update(self, spec: ObjectSpec, record_id: str, body: Body, *, save_duplicates: bool = False) -> None:
        """Change a record: null clears, what is absent stays."""
        number = self._alive(spec, record_id)
        values = self._read(spec, body, "u")
        if "Name" in values and self.store.records[spec.name].value(number, "IsPersonAccount"):
            raise _closed(["Name"])
        if emptied := [n for n, v in values.items() if v is None and spec.fields[n.lower()].required]:
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(emptied)}]", emptied)
        if spec.name == "Lead" and self.store.records["Lead"].value(number, "IsConverted"):
            raise Refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
        self._check(spec, number, values, save_duplicates)
        self.store.change(self.store.records[spec.name].id(number), {**values, "LastModifiedById": self.store.me}, clock.now())

    def delete(self, spec: ObjectSpec, record_id: str, *, hard: bool = False) -> None:
        """Put a record into the recycle bin; `hard` takes it out of there too, also when it is in it already."""
        if not spec.deletable:
            raise Refused(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {spec.name} does not support delete", [])
        records = self.store.records[spec.name]
        number = records.number(record_id)
        if not hard or number not in records.deleted:
            number = self._alive(spec, record_id)
            self._lock(record_id)
            self.store.delete(records.id(number), clock.now())
        if hard:
            self.store.purge(record_id)

    def upsert(
        self, spec: ObjectSpec, field_name: str, value: Any, body: Body, *, update_only: bool = False, save_duplicates: bool = False
    ) -> Upserted:
        """Change the record that has this value in a field made for looking up, or add it. Raises SeveralMatch too."""
        field = lookup_field(spec, field_name)
        for name in {key for key in body if key.lower() in (field.name.lower(), "id")}:
            raise Refused(400, "INVALID_FIELD", f"The {name} field should not be specified in the sobject data.", [name])
        if value in (None, ""):
            raise Refused(400, "MISSING_ARGUMENT", f"{field.name} not specified", [])
        found = self.lookup(spec, field, value)
        if len(found) > 1:
            raise SeveralMatch(found)
        if found:
            self.update(spec, found[0], body, save_duplicates=save_duplicates)
            return Upserted(found[0], created=False)
        if update_only or field.name == "Id":
            raise not_found() if update_only else no_record(str(value))
        return Upserted(self.create(spec, {**body, field.name: value}, save_duplicates=save_duplicates), created=True)

    def lookup(self, spec: ObjectSpec, field: FieldSpec, value: Any) -> list[str]:
        """Ids of the records that have a value in a field."""
        records = self.store.records[spec.name]
        if field.name == "Id":
            number = records.number(str(value))
            return [] if number is None else [records.id(number)]
        wanted = read_value(spec, field, value)
        return [records.id(n) for n in records.having(field.name, wanted) if n not in records.deleted]

    def _alive(self, spec: ObjectSpec, record_id: str) -> int:
        records = self.store.records[spec.name]
        number = records.number(record_id)
        if number is None:
            raise no_record(record_id)
        if number in records.deleted:
            raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return number

    def _read(self, spec: ObjectSpec, body: Body, flag: str) -> Record:
        values: Record = {}
        closed: list[str] = []
        for key, given in body.items():
            if key == "attributes":
                continue
            field = spec.fields.get(key.lower())
            if field is None and (hop := spec.relationships.get(key.lower())):
                field, given = hop, self._related(hop, given)
            if field is None:
                raise Refused(400, "INVALID_FIELD", f"No such column '{key}' on sobject of type {spec.name}")
            if field.name == "Id":
                raise Refused(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.", ["Id"])
            if flag not in field.flags:
                closed.append(field.name)
            else:
                values[field.name] = read_value(spec, field, given)
        if closed:
            raise _closed(closed)
        return values

    def _related(self, hop: FieldSpec, given: Any) -> str | None:
        """The id behind `{"Account": {"External_Id__c": "7"}}`."""
        if given is None:
            return None
        target = next((self.store.schema[t.lower()] for t in hop.targets if t.lower() in self.store.schema), None)
        keys = [k for k in given if k != "attributes"] if isinstance(given, dict) else []
        if target is None or len(keys) != 1:
            raise Refused(400, "INVALID_FIELD", f"Cannot reference a foreign key field {hop.relationship}.", [])
        field = lookup_field(target, keys[0])
        found = self.lookup(target, field, given[keys[0]])
        if len(found) != 1:
            problem = f"Foreign key external ID: {given[keys[0]]} not found for field {field.name} in entity {target.name}"
            raise Refused(400, "INVALID_FIELD", problem, [])
        return found[0]

    def _check(self, spec: ObjectSpec, number: int | None, values: Record, save_duplicates: bool) -> None:
        """Checks against other records; references become ids of 18 characters."""
        for name, value in values.items():
            field = spec.fields[name.lower()]
            if value is not None and field.type == "reference":
                values[name] = self._reference(field, value)
            if value is not None and "q" in field.flags:
                records = self.store.records[spec.name]
                for other in records.having(name, value):
                    if other != number and other not in records.deleted:
                        problem = f"duplicate value found: {name} duplicates value on record with id: {records.id(other)}"
                        raise Refused(400, "DUPLICATE_VALUE", problem, [])
        if spec.name in self.options.duplicate_rules and not clock.replaying():
            duplicates.check(self.store, self.options, spec, number, values, save_duplicates)
        self._lock(self.store.me if number is None else self.store.records[spec.name].id(number))

    def _reference(self, field: FieldSpec, value: str) -> str:
        owner = next((s for s in self.store.schema.values() if s.prefix == value[:3]), None)
        if not field.targets or (owner is None and any(t.lower() not in self.store.schema for t in field.targets)):
            return value
        if owner is None or owner.name not in field.targets:
            raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", f"{field.label}: id value of incorrect type: {value}", [field.name])
        records = self.store.records[owner.name]
        number = records.number(value)
        if number is None:
            raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if number in records.deleted:
            raise Refused(400, "ENTITY_IS_DELETED", "entity is deleted", [])
        return records.id(number)

    def _membership(self, values: Record) -> Record:
        """A campaign member with what follows from whom it names."""
        person = values.get("ContactId") or values.get("LeadId")
        if person is None:
            raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", "Attempted to add an entity to campaign without a lead or contact", [])
        members = self.store.records["CampaignMember"]
        field = "ContactId" if values.get("ContactId") else "LeadId"
        if any(members.value(n, "CampaignId") == values["CampaignId"] and n not in members.deleted for n in members.having(field, person)):
            raise Refused(400, "DUPLICATE_VALUE", "Already a campaign member.", [])
        status = values.get("Status") or "Sent"
        return {
            **values,
            "LeadOrContactId": person,
            "Type": field.removesuffix("Id"),
            "Status": status,
            "HasResponded": status == "Responded",
        }

    def _lock(self, record_id: str) -> None:
        if self.options.lock_next_rows > 0 and not clock.replaying():
            self.options.lock_next_rows -= 1
            problem = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
            raise Refused(400, "UNABLE_TO_LOCK_ROW", problem, [])


def lookup_field(spec: ObjectSpec, name: str) -> FieldSpec:
    """A field by which records may be looked up. Raises Refused."""
    field = spec.fields.get(name.lower())
    if field is None or not set("ei") & set(field.flags):
        raise Refused(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")
    return field


def _closed(names: list[str]) -> Refused:
    problem = (f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this field and verify "
               "that it is read/write for your profile or permission set.")  # fmt: skip
    return Refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", problem, names)
