"""The lead fields of the emulated Marketo: ids, types, lengths and names as `leads/describe.json` of a real instance shows them.

Ids from 795 to 829 are an instance's custom fields, one of each type, as found in a recorded answer; those from 1001 on are this
instance's own. Two of these can be reached over SOAP only, as in real instances (Airbyte #55729).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Field(NamedTuple):
    """A field; `name` is None when REST does not show it, `soap` is None when SOAP does not, and "" when its name there is `name` capitalised."""

    id: int
    name: str | None
    label: str
    type: str
    length: int | None = None
    read_only: bool = False
    soap: str | None = ""
    description: str | None = None
    hidden: bool = False
    html_encoded: bool = True
    sensitive: bool = False
    api_created: bool = False

    @property
    def custom(self) -> bool:
        """Whether somebody added it to the instance."""
        return self.id >= 795 and self.name != "ecids"


def searchable(fields: Iterable[Field]) -> frozenset[str]:
    """The names of those fields by which leads can be looked up: some of Marketo's own, and custom ones of three types."""
    always = {"id", "email", "cookies", "leadPartitionId", "externalCompanyId", "sfdcLeadId", "sfdcContactId"}
    return frozenset(always | {f.name for f in fields if f.name and f.custom and f.type in ("string", "email", "integer")})


_S = ("string", 255)
LEAD_FIELDS: tuple[Field, ...] = (
    Field(4, "company", "Company Name", *_S),
    Field(5, "site", "Site", *_S),
    Field(6, "billingStreet", "Billing Address", "text"),
    Field(7, "billingCity", "Billing City", *_S),
    Field(8, "billingState", "Billing State", *_S),
    Field(9, "billingCountry", "Billing Country", *_S),
    Field(10, "billingPostalCode", "Billing Postal Code", *_S),
    Field(11, "website", "Website", "url", 255),
    Field(12, "mainPhone", "Main Phone", *_S),
    Field(15, "annualRevenue", "Annual Revenue", "currency"),
    Field(16, "numberOfEmployees", "Num Employees", "integer"),
    Field(17, "industry", "Industry", *_S),
    Field(18, "sicCode", "SIC Code", "string", 40, soap="SICCode"),
    Field(20, "mktoCompanyNotes", "Company Notes", "text"),
    Field(41, "externalCompanyId", "External Company Id", "string", 50, soap=None),
    Field(44, "id", "Id", "integer"),
    Field(45, "mktoName", "Full Name", *_S, read_only=True, soap=None),
    Field(46, "personType", "Person Type", "string", 50),
    Field(48, "mktoIsPartner", "Is Partner", "boolean", soap=None),
    Field(49, "isLead", "Is Lead", "boolean"),
    Field(50, "mktoIsCustomer", "Is Customer", "boolean", soap=None),
    Field(51, "isAnonymous", "Is Anonymous", "boolean", soap=None),
    Field(52, "salutation", "Salutation", *_S),
    Field(53, "firstName", "First Name", *_S),
    Field(54, "middleName", "Middle Name", *_S),
    Field(55, "lastName", "Last Name", *_S),
    Field(56, "email", "Email Address", "email", 255),
    Field(57, "phone", "Phone Number", "phone", 255),
    Field(58, "mobilePhone", "Mobile Phone Number", "phone", 255),
    Field(59, "fax", "Fax Number", "phone", 255),
    Field(60, "title", "Job Title", *_S),
    Field(61, "contactCompany", "Contact Company", "reference", read_only=True, soap="Contact Company"),
    Field(62, "dateOfBirth", "Date of Birth", "date", soap="DateofBirth"),
    Field(63, "address", "Address", "text"),
    Field(64, "city", "City", *_S),
    Field(65, "state", "State", *_S),
    Field(66, "country", "Country", *_S),
    Field(67, "postalCode", "Postal Code", *_S),
    Field(68, "personTimeZone", "Person Time Zone", *_S, read_only=True, soap=None),
    Field(70, "originalSourceType", "Original Source Type", *_S, read_only=True),
    Field(71, "originalSourceInfo", "Original Source Info", "string", 2000, read_only=True),
    Field(72, "registrationSourceType", "Registration Source Type", *_S),
    Field(73, "registrationSourceInfo", "Registration Source Info", "string", 2000),
    Field(74, "originalSearchEngine", "Original Search Engine", *_S, read_only=True),
    Field(75, "originalSearchPhrase", "Original Search Phrase", *_S, read_only=True),
    Field(76, "originalReferrer", "Original Referrer", "url", 255, read_only=True),
    Field(77, "emailInvalid", "Email Invalid", "boolean"),
    Field(78, "emailInvalidCause", "Email Invalid Cause", *_S),
    Field(79, "unsubscribed", "Unsubscribed", "boolean"),
    Field(81, "unsubscribedReason", "Unsubscribed Reason", "string", 2000),
    Field(82, "doNotCall", "Do Not Call", "boolean"),
    Field(83, "mktoDoNotCallCause", "Do Not Call Cause", *_S, soap=None),
    Field(84, "doNotCallReason", "Do Not Call Reason", "string", 2000),
    Field(85, "marketingSuspended", "Marketing Suspended", "boolean", soap=None),
    Field(86, "marketingSuspendedCause", "Marketing Suspended Cause", *_S, soap=None),
    Field(87, "blackListed", "Black Listed", "boolean", soap=None),
    Field(88, "blackListedCause", "Black Listed Cause", *_S, soap=None),
    Field(89, "mktoPersonNotes", "Person Notes", "text"),
    Field(103, "anonymousIP", "Anonymous IP", *_S),
    Field(104, "inferredCompany", "Inferred Company", *_S, read_only=True),
    Field(105, "inferredCountry", "Inferred Country", *_S, read_only=True),
    Field(106, "inferredCity", "Inferred City", *_S, read_only=True, soap=None),
    Field(107, "inferredStateRegion", "Inferred State Region", *_S, read_only=True, soap=None),
    Field(108, "inferredPostalCode", "Inferred Postal Code", *_S, read_only=True, soap=None),
    Field(109, "inferredMetropolitanArea", "Inferred Metropolitan Area", *_S, read_only=True, soap=None),
    Field(110, "inferredPhoneAreaCode", "Inferred Phone Area Code", *_S, read_only=True, soap=None),
    Field(123, "emailSuspended", "Email Suspended", "boolean", soap=None),
    Field(124, "emailSuspendedCause", "Email Suspended Cause", *_S, soap=None),
    Field(125, "emailSuspendedAt", "Email Suspended At", "datetime", soap=None),
    Field(126, "department", "Department", *_S),
    Field(130, "createdAt", "Created At", "datetime", read_only=True, soap=None),
    Field(131, "updatedAt", "Updated At", "datetime", read_only=True, soap=None),
    Field(136, "cookies", "Cookies", *_S, soap=None),
    Field(137, "externalSalesPersonId", "External Sales Person Id", "string", 50, soap=None),
    Field(141, "leadPerson", "Lead Person", "reference", read_only=True, soap="Lead Person"),
    Field(143, "leadRole", "Role", "string", 50),
    Field(144, "leadSource", "Lead Source", *_S),
    Field(145, "leadStatus", "Lead Status", *_S),
    Field(146, "leadScore", "Lead Score", "integer"),
    Field(147, "urgency", "Urgency", "float", soap=None),
    Field(148, "priority", "Priority", "integer", soap=None),
    Field(149, "relativeScore", "Relative Score", "integer", soap=None),
    Field(150, "relativeUrgency", "Relative Urgency", "integer", soap=None),
    Field(160, "rating", "Lead Rating", *_S),
    Field(181, "personPrimaryLeadInterest", "Primary Lead Interest", "reference", read_only=True, soap="Person Primary Lead Interest"),
    Field(479, "leadPartitionId", "Lead Partition Id", "reference", soap="Lead Partition ID"),
    Field(485, "leadRevenueCycleModelId", "Lead Revenue Cycle Model ID", "reference", soap="Lead Revenue Cycle Model ID"),
    Field(487, "leadRevenueStageId", "Lead Revenue Stage ID", "reference", soap="Lead Revenue Stage ID"),
    Field(625, "acquisitionProgramId", "Acquisition Program", "reference", soap="Acquisition Program ID"),
    Field(627, "mktoAcquisitionDate", "Acquisition Date", "datetime", soap=None),
    Field(795, "textarea_field", "textarea_field", "text", soap="textarea_field"),
    Field(796, "boolean_field", "boolean_field", "boolean", soap="boolean_field"),
    Field(797, "email_field", "email_field", "email", 255, soap="email_field"),
    Field(798, "integer_field", "integer_field", "integer", soap="integer_field"),
    Field(799, "float_field", "float_field", "float", soap="float_field"),
    Field(800, "datetime_field", "datetime_field", "datetime", soap="datetime_field"),
    Field(801, "score_field", "score_field", "integer", soap="score_field"),
    Field(802, "percent_field", "percent_field", "percent", soap="percent_field"),
    Field(827, "currency_field", "currency_field", "currency", soap="currency_field"),
    Field(830, "ecids", "ECIDs", *_S, read_only=True, soap=None),
    Field(1001, "preferredChannel", "Preferred Channel", *_S),
    Field(1002, "productInterest", "Product Interest", *_S),
    Field(1003, "newsletterOptIn", "Newsletter Opt-In", "boolean"),
    Field(1004, "customerFitScore", "Customer Fit Score", "integer"),
    Field(1005, "contractValue", "Contract Value", "currency"),
    Field(1006, "trialStartedOn", "Trial Started On", "date"),
    Field(1007, "sfdcLeadId", "SFDC Lead Id", "string", 18, read_only=True),
    Field(1008, "sfdcContactId", "SFDC Contact Id", "string", 18, read_only=True),
    Field(1009, None, "Legacy Segment", *_S, soap="LegacySegment"),
    Field(1010, None, "Legacy Region", *_S, soap="LegacyRegion"),
)
REST_FIELDS: dict[str, Field] = {f.name: f for f in LEAD_FIELDS if f.name}
LEAD_NAMES: tuple[str, ...] = tuple(REST_FIELDS)
LEAD_LABELS: dict[str, tuple[int, str]] = {name: (f.id, f.label) for name, f in REST_FIELDS.items()}
BOOLEANS: tuple[str, ...] = tuple(name for name, f in REST_FIELDS.items() if f.type == "boolean")
# What a lead inherits from its company.
COMPANY_FIELDS: tuple[str, ...] = (
    "company", "site", "billingStreet", "billingCity", "billingState", "billingCountry", "billingPostalCode", "website", "mainPhone",
    "annualRevenue", "numberOfEmployees", "industry", "sicCode", "mktoCompanyNotes",
)  # fmt: skip
