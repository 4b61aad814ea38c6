"""HubSpot's own properties: those that matter, with the names, types and field types of a real portal."""

from __future__ import annotations

from functools import cache

from cdp_pipelines.sandbox.hubspot.properties import Property

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
hs_legal_basis | Legal basis for processing contact's data | enumeration/checkbox
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
salesforceaccountid | Salesforce Account ID | string/text | r
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
hs_salesforceopportunityid | Salesforce Opportunity ID | string/text | r
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
