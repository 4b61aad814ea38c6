"""A person of the world as a lead of the emulated Marketo."""

from __future__ import annotations

from typing import Any

from cdp_pipelines.sandbox.columns import PeopleColumns
from cdp_pipelines.sandbox.marketo.companies import inherited, sales_person
from cdp_pipelines.sandbox.marketo.fields import BOOLEANS, LEAD_NAMES
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.people import CompanyRecord, PersonRecord, does_not_want_calls
from cdp_pipelines.sandbox.salesforce.ids import make_id

_PRODUCTS = ("Analytics", "Automation", "Integration", None)
_REVENUE_STAGE = {"subscriber": 1, "lead": 2, "marketingqualifiedlead": 3, "salesqualifiedlead": 4, "opportunity": 5, "customer": 6}
_STATUS = {
    "subscriber": "New", "lead": "Open", "marketingqualifiedlead": "MQL", "salesqualifiedlead": "SQL", "opportunity": "Working",
    "customer": "Customer",
}  # fmt: skip
_NOTES = 'Asked for "pricing", wants a trial.\nCall back next week\r\n\r\nMet at booth 4'


_BLANK: dict[str, Any] = dict.fromkeys(LEAD_NAMES) | dict.fromkeys(BOOLEANS, False)


def blank() -> dict[str, Any]:
    """A lead of whom nothing is known."""
    return dict(_BLANK)


def lead_of(person: PersonRecord, company: CompanyRecord | None) -> dict[str, Any]:
    """The fields that follow from the person and their company, but for `id`."""
    n, created = person.number, epoch(person.created)
    # Every seventh lead was last changed in a custom field, so its visible time stayed behind.
    visible = created if n % 7 == 3 else epoch(person.updated)
    lead = blank()
    if company:
        lead |= inherited(company) | {"contactCompany": company.number + 1}
    lead |= {
        "company": person.company_name or lead["company"], "firstName": person.first_name, "lastName": person.last_name,
        "mktoName": " ".join(filter(None, (person.first_name, person.last_name))) or None, "email": person.email, "phone": person.phone,
        "mobilePhone": person.mobile, "title": person.title, "city": person.city, "state": person.state, "country": person.country,
        "inferredCountry": person.country, "leadScore": person.lead_score, "leadSource": person.lead_source, "personType": person.role,
        "isLead": person.role == "lead", "unsubscribed": person.do_not_email, "doNotCall": does_not_want_calls(person.person), "marketingSuspended": person.person % 53 == 7, "originalSourceType": "Web form fillout" if n % 3 else "List import",
        "leadStatus": _STATUS.get(person.lifecycle_stage, person.lifecycle_stage), "leadRevenueStageId": _REVENUE_STAGE.get(person.lifecycle_stage),
        "mktoIsCustomer": person.lifecycle_stage == "customer", "productInterest": _PRODUCTS[n % 4], "newsletterOptIn": n % 2 == 0,
        "customerFitScore": n % 101 if n % 4 else None, "urgency": (n % 50) / 10 if n % 6 == 0 else None, "leadPartitionId": 1,
        "mktoPersonNotes": _NOTES if n % 11 == 4 else None, "createdAt": iso(created),
        "updatedAt": iso(visible), "externalSalesPersonId": sales_person(person.owner),
    }  # fmt: skip
    return lead


def salesforce_ids(number: int, people: PeopleColumns | None) -> dict[str, str]:
    """The Salesforce id of a Salesforce person record, in the field for its kind; a converted or merged record has its successor's.

    Without Salesforce's `people` every record counts as a contact.
    """
    while people is not None and (successor := people.merged_into.item(number)) >= 0:
        number = successor
    is_lead = people is not None and not people.contact.item(number)
    return {"sfdcLeadId": make_id("00Q", number)} if is_lead else {"sfdcContactId": make_id("003", number)}
