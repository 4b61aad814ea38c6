"""The fields of the emulated Marketo, with the ids, types and lengths that `leads/describe.json` really shows.

Ids from 1001 on are this instance's own custom fields. Two entries can be reached over SOAP only, as in real instances (Airbyte #55729).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field; `name` is None when REST does not show it."""

    id: int
    name: str | None
    label: str
    type: str
    length: int | None = None
    read_only: bool = False


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
    Field(41, "externalCompanyId", "External Company Id", "string", 50),
    Field(44, "id", "Id", "integer"),
    Field(45, "mktoName", "Full Name", *_S, read_only=True),
    Field(46, "personType", "Person Type", "string", 50),
    Field(49, "isLead", "Is Lead", "boolean"),
    Field(50, "mktoIsCustomer", "Is Customer", "boolean"),
    Field(51, "isAnonymous", "Is Anonymous", "boolean"),
    Field(52, "salutation", "Salutation", *_S),
    Field(53, "firstName", "First Name", *_S),
    Field(54, "middleName", "Middle Name", *_S),
    Field(55, "lastName", "Last Name", *_S),
    Field(56, "email", "Email Address", "email", 255),
    Field(57, "phone", "Phone Number", "phone", 255),
    Field(58, "mobilePhone", "Mobile Phone Number", "phone", 255),
    Field(60, "title", "Job Title", *_S),
    Field(61, "contactCompany", "Contact Company", "reference", read_only=True),
    Field(62, "dateOfBirth", "Date of Birth", "date"),
    Field(63, "address", "Address", "text"),
    Field(64, "city", "City", *_S),
    Field(65, "state", "State", *_S),
    Field(66, "country", "Country", *_S),
    Field(67, "postalCode", "Postal Code", *_S),
    Field(70, "originalSourceType", "Original Source Type", *_S, read_only=True),
    Field(71, "originalSourceInfo", "Original Source Info", "string", 2000, read_only=True),
    Field(72, "registrationSourceType", "Registration Source Type", *_S),
    Field(77, "emailInvalid", "Email Invalid", "boolean"),
    Field(78, "emailInvalidCause", "Email Invalid Cause", *_S),
    Field(79, "unsubscribed", "Unsubscribed", "boolean"),
    Field(81, "unsubscribedReason", "Unsubscribed Reason", "string", 2000),
    Field(82, "doNotCall", "Do Not Call", "boolean"),
    Field(85, "marketingSuspended", "Marketing Suspended", "boolean"),
    Field(87, "blackListed", "Black Listed", "boolean"),
    Field(89, "mktoPersonNotes", "Person Notes", "text"),
    Field(105, "inferredCountry", "Inferred Country", *_S, read_only=True),
    Field(126, "department", "Department", *_S),
    Field(130, "createdAt", "Created At", "datetime", read_only=True),
    Field(131, "updatedAt", "Updated At", "datetime", read_only=True),
    Field(136, "cookies", "Cookies", *_S),
    Field(137, "externalSalesPersonId", "External Sales Person Id", "string", 50),
    Field(144, "leadSource", "Lead Source", *_S),
    Field(145, "leadStatus", "Lead Status", *_S),
    Field(146, "leadScore", "Lead Score", "integer"),
    Field(147, "urgency", "Urgency", "float"),
    Field(148, "priority", "Priority", "integer"),
    Field(149, "relativeScore", "Relative Score", "integer"),
    Field(150, "relativeUrgency", "Relative Urgency", "integer"),
    Field(160, "rating", "Lead Rating", *_S),
    Field(479, "leadPartitionId", "Lead Partition Id", "reference"),
    Field(487, "leadRevenueStageId", "Lead Revenue Stage ID", "reference"),
    Field(625, "acquisitionProgramId", "Acquisition Program", "reference"),
    Field(627, "mktoAcquisitionDate", "Acquisition Date", "datetime"),
    Field(830, "ecids", "ECIDs", *_S, read_only=True),
    Field(1001, "preferredChannel", "Preferred Channel", *_S),
    Field(1002, "productInterest", "Product Interest", *_S),
    Field(1003, "newsletterOptIn", "Newsletter Opt-In", "boolean"),
    Field(1004, "customerFitScore", "Customer Fit Score", "integer"),
    Field(1005, "contractValue", "Contract Value", "currency"),
    Field(1006, "trialStartedOn", "Trial Started On", "date"),
    Field(1007, "sfdcLeadId", "SFDC Lead Id", "string", 18, read_only=True),
    Field(1008, "sfdcContactId", "SFDC Contact Id", "string", 18, read_only=True),
    Field(1009, None, "Legacy Segment", *_S),
    Field(1010, None, "Legacy Region", *_S),
)
LEAD_NAMES: tuple[str, ...] = tuple(f.name for f in LEAD_FIELDS if f.name)
LEAD_LABELS: dict[str, tuple[int, str]] = {f.name: (f.id, f.label) for f in LEAD_FIELDS if f.name}
LEAD_SEARCHABLE = frozenset(
    {"id", "email", "cookies", "leadPartitionId", "externalCompanyId", "sfdcLeadId", "sfdcContactId"}
    | {f.name for f in LEAD_FIELDS if f.name and f.id >= 1001 and f.type in ("string", "email", "integer")}
)
BOOLEANS: tuple[str, ...] = tuple(f.name for f in LEAD_FIELDS if f.name and f.type == "boolean")

_OPPORTUNITY = {
    "marketoGUID": "string", "externalOpportunityId": "string", "name": "string", "description": "string", "type": "string",
    "stage": "string", "amount": "currency", "expectedRevenue": "currency", "probability": "integer", "closeDate": "date",
    "isClosed": "boolean", "isWon": "boolean", "source": "string", "fiscalYear": "integer", "fiscalQuarter": "integer",
    "externalCompanyId": "string", "externalSalesPersonId": "string", "externalCreatedDate": "datetime", "currency": "string",
    "createdAt": "datetime", "updatedAt": "datetime",
}  # fmt: skip
_ROLE = {
    "marketoGUID": "string", "externalOpportunityId": "string", "leadId": "integer", "role": "string", "isPrimary": "boolean",
    "externalCreatedDate": "datetime", "createdAt": "datetime", "updatedAt": "datetime",
}  # fmt: skip
_COMPANY = {
    "id": "integer", "externalCompanyId": "string", "company": "string", "site": "string", "billingStreet": "text", "billingCity": "string",
    "billingState": "string", "billingCountry": "string", "billingPostalCode": "string", "website": "url", "mainPhone": "phone",
    "annualRevenue": "currency", "numberOfEmployees": "integer", "industry": "string", "externalSalesPersonId": "string", "createdAt": "datetime", "updatedAt": "datetime",
}  # fmt: skip


class ObjectType(NamedTuple):
    """A lead-database object other than the lead. `dedupe` is the alias `dedupeFields`, `id_field` the alias `idField`."""

    name: str
    fields: dict[str, str]
    id_field: str
    dedupe: tuple[str, ...]
    searchable: tuple[str, ...]
    defaults: tuple[str, ...]


OBJECTS: dict[str, ObjectType] = {
    "opportunities": ObjectType(
        "opportunity", _OPPORTUNITY, "marketoGUID", ("externalOpportunityId",), ("externalOpportunityId", "marketoGUID", "externalCompanyId"),
        ("marketoGUID", "externalOpportunityId", "createdAt", "updatedAt"),
    ),
    "opportunities/roles": ObjectType(
        "opportunityRole", _ROLE, "marketoGUID", ("externalOpportunityId", "leadId", "role"), ("marketoGUID", "leadId", "externalOpportunityId"),
        ("marketoGUID", "externalOpportunityId", "leadId", "role", "createdAt", "updatedAt"),
    ),
    "companies": ObjectType(
        "company", _COMPANY, "id", ("externalCompanyId",), ("externalCompanyId", "id", "company"),
        ("id", "externalCompanyId", "createdAt", "updatedAt"),
    ),
}  # fmt: skip


def describe_leads() -> list[dict[str, Any]]:
    """The result of `leads/describe.json`."""

    def entry(field: Field) -> dict[str, Any]:
        made: dict[str, Any] = {"id": field.id, "displayName": field.label, "dataType": field.type}
        if field.length:
            made["length"] = field.length
        if field.name:
            made["rest"] = {"name": field.name, "readOnly": field.read_only}
        else:
            made["soap"] = {"name": field.label.replace(" ", ""), "readOnly": False}
        return made

    return [entry(field) for field in LEAD_FIELDS]


def describe_leads_2() -> list[dict[str, Any]]:
    """The result of `leads/describe2.json`."""
    fields = [
        {"name": f.name, "displayName": f.label, "dataType": f.type, "length": f.length, "updateable": not f.read_only, "crmManaged": False}
        for f in LEAD_FIELDS if f.name
    ]  # fmt: skip
    return [{"name": "API Lead", "searchableFields": [[name] for name in sorted(LEAD_SEARCHABLE)], "fields": fields}]


def lead_schema() -> list[dict[str, Any]]:
    """All entries of `leads/schema/fields.json`."""
    return [
        {"displayName": f.label, "name": f.name, "description": None, "dataType": f.type, "length": f.length, "isHidden": False,
         "isHtmlEncodingInEmail": True, "isSensitive": False, "isCustom": f.id >= 1001, "isApiCreated": False}
        for f in LEAD_FIELDS if f.name
    ]  # fmt: skip


def describe_object(kind: ObjectType) -> list[dict[str, Any]]:
    """The result of an object's own `describe.json`."""
    return [
        {
            "name": kind.name,
            "displayName": kind.name,
            "idField": kind.id_field,
            "dedupeFields": list(kind.dedupe),
            "searchableFields": [[name] for name in kind.searchable],
            "fields": [
                {"name": n, "displayName": n, "dataType": t, "updateable": n not in ("createdAt", "updatedAt", kind.id_field)}
                for n, t in kind.fields.items()
            ],
        }
    ]
