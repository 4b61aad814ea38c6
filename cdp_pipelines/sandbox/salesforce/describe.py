"""What the org's objects look like, from `fields.csv`: the specs that the rest of the emulator uses, and the describe answers.

In the file, `size` is length, digits of an int, or `precision,scale`; `flags` are n nillable, c createable, u updateable, d defaulted on
create, i usable to look a record up, x calculated, - not filterable; `reference` is `relationship:object&object`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

COMPOUND_TYPES = ("address", "location")
_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "double": "xsd:double", "currency": "xsd:double",
    "percent": "xsd:double", "int": "xsd:int", "date": "xsd:date", "datetime": "xsd:dateTime", "address": "urn:address",
}  # fmt: skip
_NOT_GROUPABLE = ("double", "currency", "percent", "datetime", "address")
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_PICKLISTS: dict[str, tuple[str, ...]] = {
    "LeadSource": _SOURCES,
    "AccountSource": _SOURCES,
    "Salutation": ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."),
    "CurrencyIsoCode": ("USD", "EUR", "GBP"),
    "Lead.Status": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    "Campaign.Status": ("Planned", "In Progress", "Completed", "Aborted"),
    "CampaignMember.Status": ("Sent", "Responded"),
    "Role": ("Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator", "Executive Sponsor",
             "Influencer", "Technical Buyer", "Other"),
    "StageName": ("Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers", "Perception Analysis",
                  "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost"),
}  # fmt: skip


@dataclass(frozen=True)
class FieldSpec:
    """A field of an object. `size` is its length, or the digits of an int."""

    name: str
    type: str
    size: int
    precision: int
    scale: int
    flags: str
    relationship: str | None
    targets: tuple[str, ...]
    compound: str | None
    label: str

    @property
    def filterable(self) -> bool:
        """Whether WHERE may use it."""
        return "-" not in self.flags

    @property
    def sortable(self) -> bool:
        """Whether ORDER BY may use it."""
        return self.filterable and self.type not in COMPOUND_TYPES

    @property
    def custom(self) -> bool:
        """Whether the org added it."""
        return self.name.endswith("__c")


@dataclass(frozen=True)
class ObjectSpec:
    """An object of the org. Its fields and relationships are found by lower-case name, since SOQL does not mind case."""

    name: str
    label: str
    plural: str
    prefix: str
    deletable: bool
    undeletable: bool
    mergeable: bool
    searchable: bool
    fields: dict[str, FieldSpec]

    @property
    def relationships(self) -> dict[str, FieldSpec]:
        """Lower-case relationship name -> the reference field behind it."""
        return {f.relationship.lower(): f for f in self.fields.values() if f.relationship}

    @property
    def soft_deletes(self) -> bool:
        """Whether its deleted records stay visible, marked IsDeleted."""
        return "isdeleted" in self.fields


# name, label, plural, key prefix, deletable, undeletable, mergeable, searchable
_OBJECTS: tuple[tuple[str, str, str, str, bool, bool, bool, bool], ...] = (
    ("Account", "Account", "Accounts", "001", True, True, True, True),
    ("Contact", "Contact", "Contacts", "003", True, True, True, True),
    ("Lead", "Lead", "Leads", "00Q", True, True, True, True),
    ("Opportunity", "Opportunity", "Opportunities", "006", True, True, False, True),
    ("OpportunityContactRole", "Opportunity Contact Role", "Opportunity Contact Role", "00K", True, False, False, False),
    ("Campaign", "Campaign", "Campaigns", "701", True, True, False, True),
    ("CampaignMember", "Campaign Member", "Campaign Members", "00v", True, False, False, False),
    ("User", "User", "Users", "005", False, False, False, True),
)


@cache
def objects() -> dict[str, ObjectSpec]:
    """The org's objects by lower-case name."""
    with Path(__file__).with_name("fields.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    fields = {name: {r["name"].lower(): _field(r) for r in rows if r["object"] == name} for name in (o[0] for o in _OBJECTS)}
    return {o[0].lower(): ObjectSpec(*o, fields=fields[o[0]]) for o in _OBJECTS}


def _field(row: dict[str, str]) -> FieldSpec:
    size, _, scale = row["size"].partition(",")
    relationship, _, targets = row["reference"].partition(":")
    return FieldSpec(
        name=row["name"], type=row["type"], size=0 if scale else int(size or 0), precision=int(size) if scale else 0, scale=int(scale or 0),
        flags=row["flags"], relationship=relationship or None, targets=tuple(filter(None, targets.split("&"))),
        compound=row["compound"] or None, label=row["label"],
    )  # fmt: skip


def describe_global(version: str) -> dict[str, Any]:
    """The answer of `/sobjects`."""
    shown = ("searchable", "undeletable", "mergeable")
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [
        {k: v for k, v in _head(spec, version).items() if not isinstance(v, list) and (k in shown or not k.endswith("Layoutable"))}
        for spec in objects().values()
    ]}  # fmt: skip


def describe(spec: ObjectSpec, version: str) -> dict[str, Any]:
    """The answer of `/sobjects/X/describe`."""
    children = [
        {"cascadeDelete": False, "childSObject": child.name, "deprecatedAndHidden": False, "field": f.name, "junctionIdListNames": [],
         "junctionReferenceTo": [], "relationshipName": None, "restrictedDelete": False}
        for child in objects().values() for f in child.fields.values() if spec.name in f.targets
    ]  # fmt: skip
    return {**_head(spec, version), "childRelationships": children, "fields": [_describe_field(spec, f) for f in spec.fields.values()]}


def _head(spec: ObjectSpec, version: str) -> dict[str, Any]:
    base = f"/services/data/v{version}/sobjects/{spec.name}"
    return {
        "actionOverrides": [], "activateable": False, "associateEntityType": None, "associateParentEntity": None, "childRelationships": [],
        "compactLayoutable": True, "createable": True, "custom": False, "customSetting": False, "deepCloneable": False,
        "defaultImplementation": None, "deletable": spec.deletable, "deprecatedAndHidden": False, "extendedBy": None,
        "extendsInterfaces": None, "feedEnabled": spec.searchable, "fields": [], "hasSubtypes": False, "implementedBy": None,
        "implementsInterfaces": None, "isInterface": False, "isSubtype": False, "keyPrefix": spec.prefix, "label": spec.label,
        "labelPlural": spec.plural, "layoutable": True, "listviewable": None, "lookupLayoutable": None, "mergeable": spec.mergeable,
        "mruEnabled": spec.searchable, "name": spec.name, "namedLayoutInfos": [], "networkScopeFieldName": None, "queryable": True,
        "recordTypeInfos": [], "replicateable": True, "retrieveable": True, "searchLayoutable": spec.searchable, "searchable": spec.searchable,
        "sobjectDescribeOption": "FULL", "supportedScopes": [{"label": f"All {spec.plural.lower()}", "name": "everything"}],
        "triggerable": True, "undeletable": spec.undeletable, "updateable": True,
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
    }  # fmt: skip


def _describe_field(spec: ObjectSpec, field: FieldSpec) -> dict[str, Any]:
    flags, type_ = field.flags, field.type
    groupable = field.filterable and type_ not in _NOT_GROUPABLE and "x" not in flags
    is_name = field.name == "Name" and spec.name != "CampaignMember"
    person = spec.name in ("Contact", "Lead", "User")
    extra = {"textarea": "plaintextarea"}.get(type_, "imageurl" if field.name == "PhotoUrl" else None)
    if field.compound == "Name" or is_name:
        extra = "personname" if person else "switchablepersonname" if spec.name == "Account" else None
    return {
        "aggregatable": field.sortable and type_ != "boolean", "aiPredictionField": False, "autoNumber": False,
        "byteLength": field.size if type_ in ("id", "reference") or field.name == "Fiscal" else 0 if type_ == "int" else field.size * 3,
        "calculated": "x" in flags, "calculatedFormula": None, "cascadeDelete": False, "caseSensitive": False,
        "compoundFieldName": field.compound, "controllerName": None, "createable": "c" in flags, "custom": field.custom,
        "defaultValue": False if type_ == "boolean" else None, "defaultValueFormula": None, "defaultedOnCreate": "d" in flags,
        "dependentPicklist": False, "deprecatedAndHidden": False, "digits": field.size if type_ == "int" else 0,
        "displayLocationInDecimal": False, "encrypted": False, "externalId": False, "extraTypeInfo": extra, "filterable": field.filterable,
        "filteredLookupInfo": None, "formulaTreatNullNumberAsZero": False, "groupable": groupable, "highScaleNumber": False,
        "htmlFormatted": False, "idLookup": "i" in flags, "inlineHelpText": None, "label": field.label,
        "length": 0 if type_ == "int" else field.size, "mask": None, "maskType": None, "name": field.name, "nameField": is_name,
        "namePointing": len(field.targets) > 1, "nillable": "n" in flags, "permissionable": "n" in flags and bool(set("cux") & set(flags)),
        "picklistValues": _picklist(spec, field), "polymorphicForeignKey": len(field.targets) > 1, "precision": field.precision,
        "queryByDistance": type_ in COMPOUND_TYPES, "referenceTargetField": None, "referenceTo": list(field.targets),
        "relationshipName": field.relationship, "relationshipOrder": None, "restrictedDelete": False, "restrictedPicklist": False,
        "scale": field.scale, "searchPrefilterable": type_ == "reference" and "n" in flags and "c" in flags,
        "soapType": _SOAP.get(type_, "xsd:string"), "sortable": field.sortable, "type": type_, "unique": False,
        "updateable": "u" in flags, "writeRequiresMasterRead": False,
    }  # fmt: skip


def _picklist(spec: ObjectSpec, field: FieldSpec) -> list[dict[str, Any]]:
    if field.type != "picklist":
        return []
    values = _PICKLISTS.get(f"{spec.name}.{field.name}") or _PICKLISTS.get(field.name, ())
    return [{"active": True, "defaultValue": False, "label": v, "validFor": None, "value": v} for v in values]
