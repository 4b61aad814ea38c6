"""The portal's object types and their properties: stock ones that matter, with the names, types and field types of a real portal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
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


# name | label | type/fieldType | flags
_EVERY = """
createdate | Create Date | datetime/date | r
hs_object_id | Record ID | number/number | r
hs_merged_object_ids | Merged record IDs | enumeration/checkbox | reh
hs_object_source | Record creation source | string/text | rh
hs_object_source_id | Record creation source ID | string/text | rh
hs_object_source_label | Record source | string/text | r
hubspot_owner_id | Owner | enumeration/select | e
"""
_CONTACT = """
email | Email | string/text | u
firstname | First Name | string/text
lastname | Last Name | string/text
phone | Phone Number | string/phonenumber
mobilephone | Mobile Phone Number | string/phonenumber
jobtitle | Job Title | string/text
company | Company Name | string/text
website | Website URL | string/text
address | Street Address | string/text
city | City | string/text
state | State/Region | string/text
zip | Postal Code | string/text
country | Country/Region | string/text
industry | Industry | string/text
annualrevenue | Annual Revenue | string/text
numemployees | Number of Employees | enumeration/select
date_of_birth | Date of birth | string/text
hs_language | Preferred language | enumeration/select | e
lifecyclestage | Lifecycle Stage | enumeration/radio | e
hs_lead_status | Lead Status | enumeration/radio
hs_analytics_source | Original Traffic Source | enumeration/select | r
hs_marketable_status | Marketing contact status | enumeration/select | r
hs_email_optout | Unsubscribed from all email | bool/booleancheckbox | r
hs_email_domain | Email Domain | string/text | r
hs_full_name_or_email | Full name or email | string/calculation_equation | ch
hs_is_contact | Is a contact | bool/calculation_equation | ch
hs_is_unworked | Contact unworked | bool/calculation_equation | c
hs_additional_emails | Additional email addresses | enumeration/checkbox | re
hs_associated_target_accounts | Associated Target Accounts | number/calculation_rollup | ch
hs_currently_enrolled_in_prospecting_agent | Currently enrolled in Prospecting Agent | bool/calculation_equation | ch
hs_membership_has_accessed_private_content | Has accessed private content | number/number | rh
hs_prospecting_agent_actively_enrolled_count | Prospecting Agent Actively Enrolled Count | number/calculation_rollup | ch
hs_prospecting_agent_total_enrolled_count | Prospecting Agent Total Enrolled Count | number/calculation_rollup | ch
hs_registered_member | Registered member | number/number | rh
hs_sequences_actively_enrolled_count | Number of sequences actively enrolled | number/calculation_rollup | ch
num_notes | Number of Sales Activities | number/number | r
hs_calculated_merged_vids | Merged vids with timestamps of a contact | enumeration/checkbox | reh
hs_all_contact_vids | All vids for a contact | enumeration/checkbox | reh
hs_predictivecontactscore_v2 | Likelihood to close | number/number | rh
hs_lead_score | Lead Score | number/number | x
hubspotscore | HubSpot Score | number/calculation_score | c
associatedcompanyid | Primary Associated Company ID | number/number | eh
num_associated_deals | Number of Associated Deals | number/calculation_rollup | c
lastmodifieddate | Last Modified Date | datetime/date | r
hs_lastmodifieddate | Object last modified date/time | datetime/date | rh
hs_lifecyclestage_lead_date | Became a Lead Date | datetime/date | r
hs_pipeline | Pipeline | enumeration/select | reh
notes_last_contacted | Last Contacted | datetime/date | r
salesforcecontactid | Salesforce Contact ID | string/text | r
salesforceleadid | Salesforce Lead ID | string/text | r
"""
_COMPANY = """
name | Company name | string/text
domain | Company Domain Name | string/text
website | Website URL | string/text
industry | Industry | enumeration/select | e
type | Type | enumeration/select
phone | Phone Number | string/phonenumber
address | Street Address | string/text
city | City | string/text
state | State/Region | string/text
zip | Postal Code | string/text
country | Country/Region | string/text
numberofemployees | Number of Employees | number/number
annualrevenue | Annual Revenue | number/number
description | Description | string/textarea
founded_year | Year Founded | string/text
timezone | Time Zone | string/text
lifecyclestage | Lifecycle Stage | enumeration/radio | e
hs_lead_status | Lead Status | enumeration/radio
hs_parent_company_id | Parent Company ID | number/number | r
hs_num_child_companies | Number of child companies | number/number | r
num_associated_contacts | Number of Associated Contacts | number/calculation_rollup | c
num_associated_deals | Number of Associated Deals | number/calculation_rollup | c
hs_lastmodifieddate | Last Modified Date | datetime/date | r
"""
_DEAL = """
dealname | Deal Name | string/text
dealstage | Deal Stage | enumeration/radio | e
pipeline | Pipeline | enumeration/select | e
amount | Amount | number/number
deal_currency_code | Currency | enumeration/select
amount_in_home_currency | Amount in company currency | number/calculation_equation | c
hs_exchange_rate | Exchange rate | number/number | r
closedate | Close Date | datetime/date
dealtype | Deal Type | enumeration/radio
description | Deal Description | string/textarea
hs_deal_stage_probability | Deal probability | number/calculation_equation | c
hs_projected_amount | Weighted amount | number/calculation_equation | c
hs_is_closed | Is Deal Closed? | bool/calculation_equation | c
hs_is_closed_won | Is Closed Won | bool/calculation_equation | c
hs_is_closed_lost | Is closed lost | bool/calculation_equation | c
days_to_close | Days to close | number/calculation_equation | c
hs_open_deal_create_date | Open deal create date | number/calculation_equation | ch
hs_priority | Priority | enumeration/select | e
closed_lost_reason | Closed Lost Reason | string/textarea
closed_won_reason | Closed Won Reason | string/textarea
num_associated_contacts | Number of Associated Contacts | number/calculation_rollup | c
hs_lastmodifieddate | Last Modified Date | datetime/date | r
"""
_OTHER = """
hs_lastmodifieddate | Last Modified Date | datetime/date | r
"""
# What there is to write on the types that this portal has no records of.
_ACTIVITY = f"""{_OTHER}hs_timestamp | Activity date | datetime/date
hs_body_preview | Body preview | string/text | rh
"""
_TICKET = f"""{_OTHER}subject | Ticket name | string/text
content | Ticket description | string/textarea
hs_pipeline | Pipeline | enumeration/select | e
hs_pipeline_stage | Ticket status | enumeration/select | e
hs_ticket_priority | Priority | enumeration/select | e
"""
_TABLES = {
    "tickets": (_TICKET, "ticketinformation"), "products": (f"{_OTHER}name | Name | string/text\nprice | Unit price | number/number", "productinformation"),
    "notes": (f"{_ACTIVITY}hs_note_body | Note body | string/html", "note"),
    "tasks": (f"{_ACTIVITY}hs_task_subject | Task Title | string/text\nhs_task_body | Task Notes | string/html", "task"),
    "contacts": (_CONTACT, "contactinformation"), "companies": (_COMPANY, "companyinformation"), "deals": (_DEAL, "dealinformation"),
}  # fmt: skip


@cache
def properties(type_name: str) -> dict[str, Property]:
    """Every property that an object type (plural name) can have, by name, in order of name."""
    table, group = _TABLES.get(type_name, (_OTHER, "information"))
    lines = [line for line in (_EVERY + table).splitlines() if line]
    rows = [[part.strip() for part in line.split("|")] for line in lines]
    found = (
        Property(name, label, kinds.partition("/")[0], kinds.partition("/")[2], group, "".join(flags))
        for name, label, kinds, *flags in rows
    )
    return dict(sorted((p.name, p) for p in found))
