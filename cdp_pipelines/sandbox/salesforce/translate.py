"""From the world's neutral records to Salesforce's: accounts, contacts, leads, opportunities and their roles, campaigns, members, users."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from cdp_pipelines.sandbox import columns
from cdp_pipelines.sandbox.people import CrmView, Owner, PersonRecord, does_not_want_calls
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.records import Record, whole_seconds

# The world's stage -> StageName, Probability, ForecastCategory and its label.
STAGES = (
    ("Prospecting", 10.0, "Pipeline", "Pipeline"),
    ("Qualification", 10.0, "Pipeline", "Pipeline"),
    ("Needs Analysis", 20.0, "Pipeline", "Pipeline"),
    ("Proposal/Price Quote", 75.0, "BestCase", "Best Case"),
    ("Negotiation/Review", 90.0, "Forecast", "Commit"),
    ("Closed Won", 100.0, "Closed", "Closed"),
    ("Closed Lost", 0.0, "Omitted", "Omitted"),
)
# StageName -> Probability, ForecastCategory and its label, of every stage that the org knows.
STAGE_FACTS = {name: facts for name, *facts in STAGES} | {
    "Value Proposition": [50.0, "Pipeline", "Pipeline"],
    "Id. Decision Makers": [60.0, "Pipeline", "Pipeline"],
    "Perception Analysis": [70.0, "Pipeline", "Pipeline"],
}
CLOSED_STAGES = ("Closed Won", "Closed Lost")
_UNKNOWN_STAGE = [0.0, "Omitted", "Omitted"]
ROLES_PER_DEAL = 100
"""A role's number is its deal's number times this, and its place in the deal."""
NOT_PROVIDED = "[not provided]"
REGIONS = ("EMEA", "AMER", "APAC", None)
_TOPICS = ("Pricing", "Integrations", None, "Security & privacy", None)
_REMARKS = {
    3: 'Met at the "Spring" fair,\nasked for a call back.',
    8: "Prefers e-mail; speaks français, 日本語",
    13: "Line one\r\nLine two\n\nLine four, with a comma",
}


def text(value: str | None) -> str | None:
    """Text as Salesforce keeps it: trimmed, and null when nothing is left."""
    return (value or "").strip() or None


def complete_person(record: Record) -> Record:
    """Set what follows from a contact's or lead's other fields: its full name and its formula field."""
    email = record.get("Email")
    record["Name"] = " ".join(filter(None, (record.get("FirstName"), record["LastName"])))
    record["EmailDomain__c"] = email.rsplit("@", 1)[-1].lower() if email and "@" in email else None
    return record


def deal_values(stage: int, amount: Decimal | float | None, close: date) -> Record:
    """The fields of an opportunity that follow from its stage, amount and close date."""
    return complete_deal({"StageName": STAGES[stage][0], "Amount": None if amount is None else float(amount), "CloseDate": close})


def complete_deal(record: Record, *, keep_probability: bool = False) -> Record:
    """Set what follows from an opportunity's other fields; `keep_probability` when somebody has set another than its stage's.

    That a stage which the org does not know counts as omitted is approximated.
    """
    stage, amount, close = record["StageName"], record.get("Amount"), record["CloseDate"]
    probability, category, label = STAGE_FACTS.get(stage, _UNKNOWN_STAGE)
    if keep_probability and record.get("Probability") is not None:
        probability = record["Probability"]
    quarter = (close.month - 1) // 3 + 1
    record |= {
        "Probability": probability, "ForecastCategory": category, "ForecastCategoryName": label, "IsClosed": stage in CLOSED_STAGES,
        "IsWon": stage == CLOSED_STAGES[0], "ExpectedRevenue": None if amount is None else round(amount * probability / 100, 2),
        "FiscalYear": close.year, "FiscalQuarter": quarter, "Fiscal": f"{close.year} {quarter}",
    }  # fmt: skip
    return record


def audit(owner: str, created: datetime, updated: datetime) -> Record:
    """Who and when; a user's change and the system's stamp fall together."""
    created, updated = whole_seconds(created), whole_seconds(updated)
    return {
        "OwnerId": owner, "CreatedDate": created, "CreatedById": owner, "LastModifiedDate": updated, "LastModifiedById": owner,
        "SystemModstamp": updated,
    }  # fmt: skip


class Translation:
    """Makes the record with a given number of each object."""

    def __init__(self, view: CrmView, owners: Sequence[Owner]):
        self.view, self.owners = view, owners
        self._people = columns.of_people(view.people)
        self._member_ends = list(accumulate(len(c.members) for c in view.campaigns))

    def account(self, number: int) -> Record:
        """A company."""
        c = self.view.companies[number]
        return {
            "Id": make_id("001", number), "Name": text(c.name) or NOT_PROVIDED, "Website": c.domain and f"https://www.{c.domain.removeprefix('www.')}",
            "Industry": c.industry, "Phone": text(c.phone), "BillingStreet": text(c.street), "BillingCity": text(c.city),
            "BillingState": text(c.state), "BillingPostalCode": text(c.postal_code), "BillingCountry": text(c.country),
            "NumberOfEmployees": c.employees, "AnnualRevenue": None if c.annual_revenue is None else float(c.annual_revenue),
            "CurrencyIsoCode": "USD", "Region__c": REGIONS[number % 4],
            **audit(self.user_id(c.owner), c.created, c.updated),
        }  # fmt: skip

    def contact(self, number: int) -> Record:
        """A person whose role is contact."""
        p = self.view.people[number]
        record = self._person("003", p) | {
            "AccountId": self.account_id(p.company), "MailingCity": text(p.city), "MailingState": text(p.state), "MailingCountry": text(p.country),
        }  # fmt: skip
        return complete_person(record)

    def lead(self, number: int) -> Record:
        """A person whose role is lead."""
        p = self.view.people[number]
        company = text(p.company_name) or (None if p.company is None else text(self.view.companies[p.company].name))
        record = self._person("00Q", p) | {
            "Company": company or NOT_PROVIDED, "City": text(p.city), "State": text(p.state), "Country": text(p.country),
            "Status": "Open - Not Contacted" if p.lifecycle_stage in ("subscriber", "lead") else "Working - Contacted",
        }  # fmt: skip
        if p.fate == "converted" and p.fate_at:
            contact = p.merged_into
            record |= {
                "IsConverted": True, "ConvertedDate": whole_seconds(p.fate_at).date(), "Status": "Closed - Converted",
                "ConvertedContactId": None if contact is None else make_id("003", contact),
                "ConvertedAccountId": None if contact is None else self._account_of(self._people.company[contact]),
            }  # fmt: skip
        return complete_person(record)

    def _person(self, prefix: str, p: PersonRecord) -> Record:
        gone = p.fate in ("deleted", "merged")
        return {
            "Id": make_id(prefix, p.number), "IsDeleted": gone,
            "MasterRecordId": None if p.merged_into is None or p.fate != "merged" else make_id(prefix, p.merged_into),
            "FirstName": text(p.first_name), "LastName": text(p.last_name) or NOT_PROVIDED, "Email": text(p.email), "Phone": text(p.phone),
            "MobilePhone": text(p.mobile), "Title": text(p.title), "LeadSource": p.lead_source, "HasOptedOutOfEmail": p.do_not_email,
            "DoNotCall": does_not_want_calls(p.person),
            "LeadScore__c": None if p.lead_score is None else float(p.lead_score), "PreferredTopic__c": _TOPICS[p.number % len(_TOPICS)],
            "Description": _REMARKS.get(p.number % 17), "CurrencyIsoCode": "USD",
            **audit(self.user_id(p.owner), p.created, person_stamp(p)),
        }  # fmt: skip

    def opportunity(self, number: int) -> Record:
        """A deal."""
        d = self.view.deals[number]
        primary = next((c.person for c in d.contacts if c.primary and self.is_contact(c.person)), None)
        return {
            "Id": make_id("006", number), "IsDeleted": d.deleted, "Name": text(d.name) or NOT_PROVIDED, "AccountId": self.account_id(d.company),
            "CurrencyIsoCode": d.currency, "ContactId": None if primary is None else make_id("003", primary),
            **deal_values(d.stage, d.amount, d.close_date or d.created.date()), **audit(self.user_id(d.owner), d.created, d.updated),
        }  # fmt: skip

    def role(self, number: int) -> Record:
        """A contact's part in a deal."""
        deal, place = divmod(number, ROLES_PER_DEAL)
        d = self.view.deals[deal]
        part = d.contacts[place]
        return {
            "Id": make_id("00K", number), "OpportunityId": make_id("006", deal), "ContactId": make_id("003", part.person), "Role": part.role,
            "IsPrimary": part.primary, "IsDeleted": d.deleted, **audit(self.user_id(d.owner), d.created, d.updated),
        }  # fmt: skip

    def campaign(self, number: int) -> Record:
        """A campaign."""
        c = self.view.campaigns[number]
        members = columns.of_members(c)
        contacts = int(self._people.contact[members.person].sum())
        return {
            "Id": make_id("701", number), "Name": text(c.name), "Type": c.type, "Status": c.status, "StartDate": c.start, "EndDate": c.end,
            "IsActive": c.end is None, "NumberOfContacts": contacts, "NumberOfLeads": len(c.members) - contacts,
            "NumberOfResponses": int(members.responded.sum()), "CurrencyIsoCode": "USD",
            **audit(self.user_id(c.owner), c.created, c.updated),
        }  # fmt: skip

    def member(self, number: int) -> Record:
        """A person's part in a campaign; members are counted through all campaigns."""
        campaign = bisect_right(self._member_ends, number)
        c = self.view.campaigns[campaign]
        m = c.members[number - (self._member_ends[campaign] - len(c.members))]
        contact = self.is_contact(m.person)
        person = make_id("003" if contact else "00Q", m.person)
        return {
            "Id": make_id("00v", number), "CampaignId": make_id("701", campaign), "ContactId": person if contact else None,
            "LeadId": None if contact else person, "LeadOrContactId": person, "Type": "Contact" if contact else "Lead", "Status": m.status,
            "HasResponded": m.responded, "FirstRespondedDate": whole_seconds(m.created).date() if m.responded else None,
            **audit(self.user_id(c.owner), m.created, m.created),
        }  # fmt: skip

    def user(self, number: int) -> Record:
        """A sales representative."""
        o = self.owners[number]
        since = min((c.created for c in self.view.companies[:1]), default=datetime.fromisoformat("2024-01-01T00:00:00+00:00"))
        values: dict[str, Any] = audit(self.user_id(number), since, since)
        del values["OwnerId"]
        return {
            "Id": make_id("005", number), "Username": o.email, "Email": o.email, "FirstName": o.first_name, "LastName": o.last_name,
            "Name": f"{o.first_name} {o.last_name}", "Alias": o.last_name[:8].lower(), "CommunityNickname": o.email.split("@")[0][:40],
            "IsActive": o.active, "TimeZoneSidKey": "America/New_York", "LocaleSidKey": "en_US", "LanguageLocaleKey": "en_US",
            "EmailEncodingKey": "UTF-8", "UserType": "Standard", **values,
        }  # fmt: skip

    def quick(self, name: str) -> dict[str, Callable[[int], Any]]:
        """Fields of an object that can be had without making the record."""
        view = self.view
        if name == "Account":
            return {"Name": lambda n: text(view.companies[n].name) or NOT_PROVIDED, "Region__c": lambda n: REGIONS[n % 4]}
        if name == "Contact":
            return {"AccountId": lambda n: self._account_of(self._people.company[n]), "Email": lambda n: text(view.people[n].email),
                    "MasterRecordId": lambda n: self._master("003", n)}  # fmt: skip
        if name == "Lead":
            return {"Email": lambda n: text(view.people[n].email), "MasterRecordId": lambda n: self._master("00Q", n)}
        if name == "Opportunity":
            return {"AccountId": lambda n: self.account_id(view.deals[n].company)}
        if name == "OpportunityContactRole":
            return {
                "OpportunityId": lambda n: make_id("006", n // ROLES_PER_DEAL),
                "ContactId": lambda n: make_id("003", view.deals[n // ROLES_PER_DEAL].contacts[n % ROLES_PER_DEAL].person),
            }
        return {}

    def is_contact(self, person: int) -> bool:
        """Whether a person's record here is a contact."""
        return bool(self._people.contact[person])

    def account_id(self, company: int | None) -> str | None:
        """The id of a company's account."""
        return None if company is None else make_id("001", company)

    def _master(self, prefix: str, person: int) -> str | None:
        return make_id(prefix, int(self._people.merged_into[person])) if self._people.fate[person] == columns.MERGED else None

    def _account_of(self, company: int) -> str | None:
        return self.account_id(int(company) if company >= 0 else None)

    def user_id(self, owner: int) -> str:
        """The id of an owner's user."""
        return make_id("005", owner)


def person_stamp(p: PersonRecord) -> datetime:
    """When a person's record last changed."""
    return max(p.updated, p.fate_at) if p.fate_at else p.updated
