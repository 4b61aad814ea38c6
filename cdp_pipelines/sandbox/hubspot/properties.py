"""The portal's object types, and what a property is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LIFECYCLE_STAGES = {
    "subscriber": "Subscriber",
    "lead": "Lead",
    "marketingqualifiedlead": "Marketing Qualified Lead",
    "salesqualifiedlead": "Sales Qualified Lead",
    "opportunity": "Opportunity",
    "customer": "Customer",
    "evangelist": "Evangelist",
    "other": "Other",
}
# Stage id -> label and probability, in order; neutral stage 5 is won, 6 is lost.
DEAL_STAGES = {
    "appointmentscheduled": ("Appointment Scheduled", "0.2"),
    "qualifiedtobuy": ("Qualified To Buy", "0.4"),
    "presentationscheduled": ("Presentation Scheduled", "0.6"),
    "decisionmakerboughtin": ("Decision Maker Bought-In", "0.8"),
    "contractsent": ("Contract Sent", "0.9"),
    "closedwon": ("Closed Won", "1.0"),
    "closedlost": ("Closed Lost", "0.0"),
}
_SOURCES = [
    "ORGANIC_SEARCH",
    "PAID_SEARCH",
    "EMAIL_MARKETING",
    "SOCIAL_MEDIA",
    "REFERRALS",
    "OTHER_CAMPAIGNS",
    "DIRECT_TRAFFIC",
    "OFFLINE",
    "PAID_SOCIAL",
]
_LEAD_STATUSES = ["NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED", "BAD_TIMING"]
_OPTIONS: dict[str, dict[str, str]] = {
    "lifecyclestage": LIFECYCLE_STAGES,
    "hs_analytics_source": {s: s.replace("_", " ").title() for s in _SOURCES},
    "hs_lead_status": {s: s.replace("_", " ").capitalize() for s in _LEAD_STATUSES},
    "hs_marketable_status": {"true": "Marketing contact", "false": "Non-marketing contact"},
    "dealtype": {"newbusiness": "New Business", "existingbusiness": "Existing Business"},
    "deal_currency_code": {"USD": "USD", "EUR": "EUR", "GBP": "GBP"},
    "type": {s: s.capitalize() for s in ("PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER")},
}


@dataclass(frozen=True)
class ObjectType:
    """A kind of record. `type_id` is HubSpot's number for it, `modified` the property that holds the last change."""

    plural: str
    singular: str
    type_id: str
    modified: str = "hs_lastmodifieddate"
    default: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()


CONTACTS = ObjectType(
    "contacts", "contact", "0-1", "lastmodifieddate",
    ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    ("email", "firstname", "lastname", "phone", "company"),
)  # fmt: skip
COMPANIES = ObjectType(
    "companies", "company", "0-2",
    default=("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    searched=("name", "domain", "phone", "website"),
)  # fmt: skip
DEALS = ObjectType(
    "deals", "deal", "0-3",
    default=("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id", "pipeline"),
    searched=("dealname",),
)  # fmt: skip
# Types that every portal has and this one has no records of, so that clients which ask for all of them find their way.
_EMPTY = [
    ("tickets", "ticket", "0-5"), ("products", "product", "0-7"), ("line_items", "line_item", "0-8"), ("quotes", "quote", "0-14"),
    ("communications", "communication", "0-18"), ("tasks", "task", "0-27"), ("notes", "note", "0-46"), ("meetings", "meeting", "0-47"), ("calls", "call", "0-48"),
    ("emails", "email", "0-49"), ("leads", "lead", "0-136"), ("forms", "form", "0-28"), ("deal_splits", "deal_split", "0-72"),
    ("goal_targets", "goal_target", "0-74"),
]  # fmt: skip
TYPES = (CONTACTS, COMPANIES, DEALS, *(ObjectType(*names) for names in _EMPTY))
_BY_NAME = {name: t for t in TYPES for name in (t.plural, t.singular, t.type_id)}


def object_type(name: str) -> ObjectType | None:
    """The type with this plural name, singular name or number."""
    return _BY_NAME.get(name)


@dataclass(frozen=True)
class Property:
    """A property as the API describes it. Flags: `r` read-only value, `c` calculated, `u` unique, `e` external options, `h` hidden,
    `x` custom (not HubSpot's own). `options` (value -> label) is None for those of HubSpot's own properties."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    flags: str = ""
    description: str = ""
    options: tuple[tuple[str, str], ...] | None = None
    order: int | None = None
    form_field: bool | None = None
    formula: str | None = None
    created: datetime = datetime(2019, 8, 6, 2, 41, 8, 204_000, tzinfo=UTC)
    updated: datetime = datetime(2024, 9, 5, 17, 14, 4, 747_000, tzinfo=UTC)

    @property
    def custom(self) -> bool:
        """Whether the portal made it."""
        return "x" in self.flags

    @property
    def read_only(self) -> bool:
        """Whether its value cannot be set."""
        return "r" in self.flags or "c" in self.flags

    def choices(self) -> dict[str, str]:
        """The values that it can have, with their labels; empty when that is not limited."""
        if self.options is not None:
            return dict(self.options)
        if self.type == "bool":
            return {"true": "Yes", "false": "No"}
        return _OPTIONS.get(self.name, {}) if self.type == "enumeration" else {}

    def as_json(self, order: int) -> dict[str, Any]:
        """The definition as `/crm/v3/properties` gives it."""
        options = [
            {"label": label, "value": value, "displayOrder": place, "hidden": False}
            for place, (value, label) in enumerate(self.choices().items())
        ]
        referenced = {"hubspot_owner_id": "OWNER", "associatedcompanyid": "COMPANY"}.get(self.name)
        return {
            "updatedAt": _iso(self.updated),
            "createdAt": _iso(self.created),
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": options,
            **({"referencedObjectType": referenced} if referenced else {}),
            **({"calculationFormula": self.formula} if self.formula else {}),
            "displayOrder": order if self.order is None else self.order,
            "calculated": "c" in self.flags,
            "externalOptions": "e" in self.flags,
            "hasUniqueValue": "u" in self.flags,
            "hidden": "h" in self.flags,
            "hubspotDefined": not self.custom,
            "modificationMetadata": {
                "archivable": True,
                "readOnlyDefinition": not self.custom,
                "readOnlyValue": self.read_only,
            },
            "formField": not self.flags if self.form_field is None else self.form_field,
            "dataSensitivity": "non_sensitive",
        }


def _iso(moment: datetime) -> str:
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{moment.microsecond // 1000:03d}Z"
