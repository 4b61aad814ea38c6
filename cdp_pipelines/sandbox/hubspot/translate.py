"""From the world's neutral records to HubSpot's properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from cdp_pipelines.sandbox.hubspot.properties import DEAL_STAGES, LIFECYCLE_STAGES
from cdp_pipelines.sandbox.hubspot.records import Record, Version
from cdp_pipelines.sandbox.people import CompanyRecord, Deal, PersonRecord
from cdp_pipelines.sandbox.salesforce.ids import make_id

STAGES = tuple(DEAL_STAGES)
# Neutral field -> property.
PERSON_FIELDS = {
    "first_name": "firstname", "last_name": "lastname", "email": "email", "phone": "phone", "title": "jobtitle",
    "company": "company", "lead_score": "hs_lead_score",
}  # fmt: skip
DEAL_FIELDS = {"name": "dealname", "stage": "dealstage", "amount": "amount", "close_date": "closedate"}
# What people choose from; several at once are not made up here.
_LEGAL_BASES = (
    None, "Legitimate interest – prospect/lead", None, "Legitimate interest – existing customer", "Freely given consent from contact", None,
    "Performance of a contract", None, None, "Not applicable", None,
)  # fmt: skip
_SOURCES = {
    "Web": "ORGANIC_SEARCH", "Webinar": "OTHER_CAMPAIGNS", "Trade Show": "OFFLINE", "Referral": "REFERRALS", "Advertisement": "PAID_SEARCH",
    "Partner": "REFERRALS", "Purchased List": "OFFLINE",
}  # fmt: skip


def owner_id(number: int) -> int:
    """The id of an owner."""
    return 904_875_188 + 1_009 * number


def text_of(field: str, value: Any) -> str:
    """A neutral value as HubSpot keeps it; a cleared property is ''."""
    if value is None:
        return ""
    if field == "stage":
        return STAGES[value]
    if field == "close_date":
        return close_date(value)
    if field == "email":
        return value.strip().lower()  # HubSpot keeps addresses in lower case
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def close_date(day: date) -> str:
    """A date as a person picked it on screen: HubSpot adds the time of day at which they did (here always the same day in America)."""
    minutes = day.toordinal() * 7919 % 360
    return f"{day.isoformat()}T{14 + minutes // 60:02d}:{minutes % 60:02d}:17.479Z"


def contact(record_id: int, person: PersonRecord, salesforce: Callable[[int], dict[str, str]]) -> Record:
    """A contact. `salesforce` gives the properties that name a Salesforce record."""
    properties = {
        "firstname": person.first_name,
        "lastname": person.last_name,
        "email": text_of("email", person.email),
        "phone": person.phone,
        "jobtitle": person.title,
        "hs_lead_score": text_of("lead_score", person.lead_score),
        "company": person.company_name,
        "mobilephone": person.mobile,
        "city": person.city,
        "state": person.state,
        "country": person.country,
        "lifecyclestage": person.lifecycle_stage,
        "hs_analytics_source": _SOURCES.get(person.lead_source, "DIRECT_TRAFFIC") if person.lead_source else None,
        "hs_email_optout": "true" if person.do_not_email else None,
        "hs_legal_basis": _LEGAL_BASES[person.person % len(_LEGAL_BASES)],
        "hs_marketable_status": "false" if person.do_not_email else "true",
        "hubspot_owner_id": str(owner_id(person.owner)),
        "hs_object_source": "IMPORT",
        **(salesforce(person.salesforce_number) if person.salesforce_number is not None else {}),
    }
    record = Record(record_id, person.created, max(person.updated, person.created), properties=_set(properties))
    record.archived = person.fate_at if person.fate == "deleted" else None
    stage, created, updated = person.lifecycle_stage, record.created, record.updated
    record.past = lambda name: _stages(stage, created, updated) if name == "lifecyclestage" else []
    return record


def company(record_id: int, company: CompanyRecord) -> Record:
    """A company."""
    properties = {
        "name": company.name,
        "domain": company.domain,
        "website": f"https://www.{company.domain.removeprefix('www.')}" if company.domain else None,
        "industry": company.industry.upper().replace(" ", "_") if company.industry else None,
        "phone": company.phone,
        "address": company.street,
        "city": company.city,
        "state": company.state,
        "zip": company.postal_code,
        "country": company.country,
        "numberofemployees": None if company.employees is None else str(company.employees),
        "annualrevenue": text_of("amount", company.annual_revenue),
        "hubspot_owner_id": str(owner_id(company.owner)),
        "hs_object_source": "IMPORT",
        "salesforceaccountid": None if company.salesforce_number is None else make_id("001", company.salesforce_number),
    }
    return Record(record_id, company.created, max(company.updated, company.created), properties=_set(properties))


def deal(record_id: int, deal: Deal) -> Record:
    """A deal."""
    properties = {
        **{name: text_of(field, getattr(deal, field)) for field, name in DEAL_FIELDS.items()},
        "pipeline": "default",
        "deal_currency_code": deal.currency,
        "hubspot_owner_id": str(owner_id(deal.owner)),
        "hs_object_source": "CRM_UI",
        "hs_salesforceopportunityid": None if deal.salesforce_number is None else make_id("006", deal.salesforce_number),
    }
    record = Record(record_id, deal.created, max(deal.updated, deal.created), properties=_set(properties))
    record.archived = record.updated if deal.deleted else None
    return record


def _set(properties: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in properties.items() if value}


def _stages(stage: str, created: datetime, updated: datetime) -> list[Version]:
    """How a contact came to its stage: up to two earlier ones, spread over the time to its last change; newest first."""
    order = list(LIFECYCLE_STAGES)
    place = order.index(stage) if stage in order else 0
    way = order[max(0, place - 2) : place + 1] if stage in order else [stage]
    step = (updated - created) / len(way)
    moments = [created + step * n for n in range(len(way))]
    versions = [Version(s, m - timedelta(microseconds=m.microsecond % 1000), "IMPORT" if n == 0 else "CRM_UI", "sandbox")
                for n, (s, m) in enumerate(zip(way, moments, strict=True))]  # fmt: skip
    return versions[::-1]
