"""What the org's objects look like: the specs that the whole emulator uses, from `fields.csv`.

In the file, `size` is length, digits of an int, or `precision,scale`; `flags` are n nillable, c createable, u updateable, d defaulted on
create, i usable to look a record up, e external id, q unique, r restricted picklist, x calculated, - not filterable; `reference` is
`relationship:object&object`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

COMPOUND_TYPES = ("address", "location")
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_INDUSTRIES = (
    "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting", "Education",
    "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance", "Food & Beverage", "Government", "Healthcare",
    "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media", "Not For Profit", "Recreation", "Retail", "Shipping", "Technology",
    "Telecommunications", "Transportation", "Utilities", "Other",
)  # fmt: skip
_RATINGS = ("Hot", "Warm", "Cold")
# Values of standard picklists as recorded answers show them; `value=label` where the two differ.
_PICKLISTS: dict[str, tuple[str, ...]] = {
    "LeadSource": _SOURCES,
    "AccountSource": _SOURCES,
    "Salutation": ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
    "Lead.Salutation": ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."),
    "CurrencyIsoCode": ("USD", "EUR", "GBP"),
    "Industry": _INDUSTRIES,
    "Rating": _RATINGS,
    "Ownership": ("Public", "Private", "Subsidiary", "Other"),
    "CleanStatus": ("Matched=In Sync", "Different", "Acknowledged=Reviewed", "NotFound=Not Found", "Inactive", "Pending=Not Compared",
                    "SelectMatch=Select Match", "Skipped"),
    "GeocodeAccuracy": ("Address", "NearAddress", "Block", "Street", "ExtendedZip", "Zip", "Neighborhood", "City", "County", "State", "Unknown"),
    "Account.Type": ("Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller", "Installation Partner",
                     "Technology Partner", "Other"),
    "Opportunity.Type": ("Existing Customer - Upgrade", "Existing Customer - Replacement", "Existing Customer - Downgrade", "New Customer"),
    "ForecastCategory": ("Omitted", "Pipeline", "BestCase=Best Case", "MostLikely=Most Likely", "Forecast=Commit", "Closed"),
    "ForecastCategoryName": ("Omitted", "Pipeline", "Best Case", "Commit", "Closed"),
    "Lead.Status": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    "Campaign.Status": ("Planned", "In Progress", "Completed", "Aborted"),
    "CampaignMember.Status": ("Sent", "Responded"),
    "Role": ("Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator", "Executive Sponsor",
             "Influencer", "Technical Buyer", "Other"),
    "StageName": ("Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers", "Perception Analysis",
                  "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost"),
}  # fmt: skip
PICKLIST_DEFAULTS = {"Lead.Status": "Open - Not Contacted"}
FORMULAS = {
    "Contact.EmailDomain__c": 'LOWER(MID(Email, FIND("@", Email) + 1, LEN(Email)))',
    "Lead.EmailDomain__c": 'LOWER(MID(Email, FIND("@", Email) + 1, LEN(Email)))',
    "Contact.AccountRegion__c": "Account.Region__c",
}
# Reference field -> name of the relationship from the parent's side, and whether deleting the parent deletes the child.
CHILD_RELATIONSHIPS = {
    "Account.ParentId": ("ChildAccounts", False), "Contact.AccountId": ("Contacts", True), "Opportunity.AccountId": ("Opportunities", True),
    "User.AccountId": ("Users", False), "User.ContactId": ("Users", False), "CampaignMember.ContactId": ("CampaignMembers", True),
    "CampaignMember.LeadId": ("CampaignMembers", True), "CampaignMember.CampaignId": ("CampaignMembers", True),
    "OpportunityContactRole.ContactId": ("OpportunityContactRoles", True),
    "OpportunityContactRole.OpportunityId": ("OpportunityContactRoles", True), "Opportunity.ContactId": ("Opportunities", False),
    "Opportunity.CampaignId": ("Opportunities", False), "Campaign.ParentId": ("ChildCampaigns", False),
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

    @property
    def required(self) -> bool:
        """Whether a record cannot be without it."""
        return not set("nd") & set(self.flags) and "c" in self.flags and self.type != "boolean"


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

    def picklist(self, field: FieldSpec) -> list[tuple[str, str]]:
        """Values and labels of a field's picklist."""
        name = "GeocodeAccuracy" if field.name.endswith("GeocodeAccuracy") else field.name
        values = () if field.type != "picklist" else _PICKLISTS.get(f"{self.name}.{name}") or _PICKLISTS.get(name, ())
        return [(value, label or value) for value, _, label in (v.partition("=") for v in values)]

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


def fresh_objects() -> dict[str, ObjectSpec]:
    """A schema of one org, whose objects may be given fields."""
    return {name: replace(spec, fields=dict(spec.fields)) for name, spec in objects().items()}


def child_relationships(schema: dict[str, ObjectSpec], parent: ObjectSpec) -> dict[str, tuple[ObjectSpec, FieldSpec]]:
    """Lower-case name of each relationship from an object to its children -> the child and its reference field."""
    found = {}
    for child in schema.values():
        for field in child.fields.values():
            name, _ = CHILD_RELATIONSHIPS.get(f"{child.name}.{field.name}", (None, False))
            if name and parent.name in field.targets:
                found[name.lower()] = (child, field)
    return found


def _field(row: dict[str, str]) -> FieldSpec:
    size, _, scale = row["size"].partition(",")
    relationship, _, targets = row["reference"].partition(":")
    return FieldSpec(
        name=row["name"], type=row["type"], size=0 if scale else int(size or 0), precision=int(size) if scale else 0, scale=int(scale or 0),
        flags=row["flags"], relationship=relationship or None, targets=tuple(filter(None, targets.split("&"))),
        compound=row["compound"] or None, label=row["label"],
    )  # fmt: skip
