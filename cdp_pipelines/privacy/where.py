"""Where people are in the raw tables: the rows that are people, and the rows that name one by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# drop: the row is about that person and goes. set: it is one end of a link in a set of links, whose other rows stay. blank: the id alone goes.
Fate = Literal["drop", "set", "blank"]


@dataclass(frozen=True)
class People:
    """The columns by which a table's rows are known as people. `only` must be `true` where not every row is a person."""

    emails: tuple[str, ...]
    phones: tuple[str, ...]
    first: str
    last: str
    country: str
    only: str | None = None


PEOPLE: dict[tuple[str, str], People] = {
    ("salesforce", "account"): People(
        ("person_email",), ("phone", "person_mobile_phone", "person_home_phone", "person_other_phone"), "first_name", "last_name",
        "billing_country", "is_person_account",
    ),
    ("salesforce", "contact"): People(
        ("email",), ("phone", "mobile_phone", "home_phone", "other_phone"), "first_name", "last_name", "mailing_country"
    ),
    ("salesforce", "lead"): People(("email",), ("phone", "mobile_phone"), "first_name", "last_name", "country"),
    ("hubspot", "contacts"): People(
        ("email", "hs_additional_emails", "work_email"), ("phone", "mobilephone"), "firstname", "lastname", "country"
    ),
    ("marketo", "leads"): People(("email",), ("phone", "mobile_phone"), "first_name", "last_name", "country"),
}  # fmt: skip

LINKS: dict[tuple[str, str], dict[str, Fate]] = {
    ("salesforce", "account"): {"person_contact_id": "drop"},
    ("salesforce", "contact"): {"master_record_id": "drop"},
    ("salesforce", "lead"): {"converted_contact_id": "drop", "master_record_id": "drop"},
    ("salesforce", "opportunity"): {"contact_id": "blank", "account_id": "blank"},
    ("salesforce", "opportunity_contact_role"): {"contact_id": "drop"},
    ("salesforce", "campaign_member"): {"contact_id": "drop", "lead_id": "drop", "lead_or_contact_id": "drop"},
    ("hubspot", "contact_company_associations"): {"from_id": "drop"},
    ("hubspot", "deal_contact_associations"): {"to_id": "set"},
    ("hubspot", "lifecycle_stage_history"): {"contact_id": "drop"},
    ("marketo", "opportunity_roles"): {"lead_id": "drop"},
    ("marketo", "activities"): {"lead_id": "drop"},
}
# Salesforce's ids say what they are of: contacts, leads and accounts. Any other field may be a lookup to one.
SALESFORCE_PEOPLE = ("003", "00Q", "001")
