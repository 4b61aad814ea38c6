"""What the emulated Marketo says of its fields and objects."""

from __future__ import annotations

from typing import Any, NamedTuple

from cdp_pipelines.sandbox.marketo.fields import Field
from cdp_pipelines.sandbox.marketo.lead_fields import LeadFields

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
    "annualRevenue": "currency", "numberOfEmployees": "integer", "industry": "string", "sicCode": "string", "externalSalesPersonId": "string", "createdAt": "datetime", "updatedAt": "datetime",
}  # fmt: skip


class ObjectType(NamedTuple):
    """A lead-database object other than the lead. `dedupe` is the alias `dedupeFields`, `id_field` the alias `idField`."""

    name: str
    fields: dict[str, str]
    id_field: str
    dedupe: tuple[str, ...]
    searchable: tuple[str, ...]
    defaults: tuple[str, ...]
    read_only: tuple[str, ...]


OBJECTS: dict[str, ObjectType] = {
    "opportunities": ObjectType(
        "opportunity", _OPPORTUNITY, "marketoGUID", ("externalOpportunityId",), ("externalOpportunityId", "marketoGUID", "externalCompanyId"),
        ("marketoGUID", "externalOpportunityId", "createdAt", "updatedAt"), ("marketoGUID", "createdAt", "updatedAt"),
    ),
    "opportunities/roles": ObjectType(
        "opportunityRole", _ROLE, "marketoGUID", ("externalOpportunityId", "leadId", "role"), ("marketoGUID", "leadId", "externalOpportunityId"),
        ("marketoGUID", "externalOpportunityId", "leadId", "role", "createdAt", "updatedAt"), ("marketoGUID", "createdAt", "updatedAt"),
    ),
    "companies": ObjectType(
        "company", _COMPANY, "id", ("externalCompanyId",), ("externalCompanyId", "id", "company"),
        ("id", "externalCompanyId", "createdAt", "updatedAt"), ("id", "createdAt", "updatedAt"),
    ),
}  # fmt: skip


def describe_leads(known: LeadFields) -> list[dict[str, Any]]:
    """The result of `leads/describe.json`."""

    def entry(field: Field) -> dict[str, Any]:
        made: dict[str, Any] = {"id": field.id, "displayName": field.label, "dataType": field.type}
        if field.length:
            made["length"] = field.length
        if field.name:
            made["rest"] = {"name": field.name, "readOnly": field.read_only}
        if field.soap is not None:
            made["soap"] = {"name": field.soap or f"{(field.name or '')[:1].upper()}{(field.name or '')[1:]}", "readOnly": False}
        return made

    return [entry(field) for field in known.all.values()]


def describe_leads_2(known: LeadFields) -> list[dict[str, Any]]:
    """The result of `leads/describe2.json`."""
    fields = [
        {"name": f.name, "displayName": f.label, "dataType": f.type, "length": f.length, "updateable": not f.read_only, "crmManaged": False}
        for f in known.by_name.values()
    ]  # fmt: skip
    return [{"name": "API Lead", "searchableFields": [[name] for name in sorted(known.searchable)], "fields": fields}]


def lead_schema(known: LeadFields) -> list[dict[str, Any]]:
    """All entries of `leads/schema/fields.json`."""
    return [
        {"displayName": f.label, "name": f.name, "description": f.description, "dataType": f.type, "length": f.length, "isHidden": f.hidden,
         "isHtmlEncodingInEmail": f.html_encoded, "isSensitive": f.sensitive, "isCustom": f.custom, "isApiCreated": f.api_created}
        for f in known.by_name.values()
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
            "fields": [{"name": n, "displayName": n, "dataType": t, "updateable": n not in kind.read_only} for n, t in kind.fields.items()],
        }
    ]
