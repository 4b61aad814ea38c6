"""Our answers against recorded ones: for the same call the same keys in the same order, and values of the same types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from tests.conftest import served
from tests.sandbox.salesforce_org import Caller, new_store
from tests.sandbox.test_salesforce_api import fixture

# Picklists, record types and objects are an org's own; what our org adds stands beside the recorded fields.
_OF_THE_ORG = {"fields", "childRelationships", "recordTypeInfos", "supportedScopes", "urls"}
_OBJECTS = ("Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Campaign", "CampaignMember", "User")
_DESCRIBED = ("Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole")


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with ExitStack() as stack:
        yield Caller(stack.enter_context(served(app(new_store(), SalesforceOptions()))), "60.0")


def shape(value: Any) -> Any:
    """Keys in order and types of the values; a list is what its first item is."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def created(caller: Caller, name: str, **fields: Any) -> str:
    return caller.send("POST", f"sobjects/{name}", fields).json()["id"]


def rows(caller: Caller, method: str, *given: dict[str, Any], **more: Any) -> Any:
    return caller.send(method, "composite/sobjects", {"records": [{"attributes": {"type": "Contact"}, **g} for g in given], **more}).json()


def ingest(caller: Caller, operation: str, content: str | None = None) -> Any:
    external = {"externalIdFieldName": "External_Id__c"} if operation == "upsert" else {}
    job = caller.send("POST", "jobs/ingest", {"object": "Opportunity", "operation": operation, **external}).json()
    if content is None:
        return job
    caller.http.put(f"/{job['contentUrl']}", content=content.encode())
    closed = caller.send("PATCH", f"jobs/ingest/{job['id']}", {"state": "UploadComplete"}).json()
    return closed, caller.get(f"jobs/ingest/{job['id']}").json()


def deal(caller: Caller) -> str:
    contacts = [created(caller, "Contact", LastName=name) for name in ("Lee", "Roe")]
    made = created(caller, "Opportunity", Name="Test", Amount=5, StageName="Prospecting", CloseDate="2026-12-31", ContactId=contacts[0],
                   AccountId=created(caller, "Account", Name="Acme"))  # fmt: skip
    created(caller, "OpportunityContactRole", OpportunityId=made, ContactId=contacts[1], Role="Influencer")
    for role in caller.query(f"SELECT Id FROM OpportunityContactRole WHERE OpportunityId = '{made}'")["records"]:
        caller.send("PATCH", f"sobjects/OpportunityContactRole/{role['Id']}", {"Role": "Influencer"})
    return made


def deal_with(caller: Caller, fields: str) -> Any:
    return caller.query(f"SELECT {fields} FROM Opportunity WHERE Id = '{deal(caller)}'")


def deleted(caller: Caller) -> Any:
    contact = created(caller, "Contact", LastName="Lee")
    caller.send("DELETE", f"sobjects/Contact/{contact}")
    return caller.send("DELETE", f"sobjects/Contact/{contact}").json()


def filled_contact(caller: Caller) -> Any:
    account = created(caller, "Account", Name="Acme")
    contact = created(caller, "Contact", LastName="Lee", AccountId=account, Department="Finance", AssistantName="Jo")
    return caller.query(f"SELECT AccountId, Department, AssistantName, Description FROM Contact WHERE Id = '{contact}'")


def filled_lead(caller: Caller) -> Any:
    lead = created(caller, "Lead", LastName="Lee", Company="X", FirstName="A", City="Rome", Country="IT", State="RM", PostalCode="1", Street="2",
                   CleanStatus="Pending")  # fmt: skip
    return caller.query(f"SELECT Address, City, CleanStatus, FirstName FROM Lead WHERE Id = '{lead}'")


def updated(caller: Caller, **fields: Any) -> Any:
    one, two = (created(caller, "Contact", LastName=name) for name in ("Lee", "Roe"))
    return rows(caller, "PATCH", {"id": one, "LastName": "A"}, {"id": two, **fields}, allOrNone=bool(fields))


CALLS: dict[str, Callable[[Caller], Any]] = {
    "create-ok": lambda c: c.send("POST", "sobjects/Account", {"Name": "Acme"}).json(),
    "unknown-field": lambda c: c.send("POST", "sobjects/Account", {"AccountNumer": "1"}).json(),
    "unknown-object": lambda c: c.get("query", q="SELECT Id,Name,BillingCity,IsDeleted FROM Accout").json(),
    "invalid-field-upsert": lambda c: c.send("PATCH", "sobjects/Account/External_Id__c/1", {"Name": "A", "MasterRecordId": "x"}).json(),
    "crm__delete__not-found": deleted,
    "batch__create__contacts__success": lambda c: rows(c, "POST", {"LastName": "Dyer"}, {"LastName": "Blevins"}),
    "batch__create__contacts__err-bad-request": lambda c: rows(c, "POST"),
    "batch__create__contacts__partial-but-allOrNone": lambda c: rows(c, "POST", {}, {"LastName": "Dyer"}, allOrNone=True),
    "batch__update__contacts__success": updated,
    "batch__update__contacts__err-each-no-ids": lambda c: rows(c, "PATCH", {"LastName": "A"}, {"LastName": "B"}),
    "batch__update__contacts__partial-but-allOrNone": lambda c: updated(c, unknownField_LastName="x"),
    "bulk__read-launch-job-account": lambda c: c.send("POST", "jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"}).json(),
    "bulk__write__launch-job-opportunity": lambda c: ingest(c, "upsert"),
    "bulk__write__update-job-opportunity": lambda c: ingest(c, "upsert", "External_Id__c\n")[0],
    "bulk__delete__launch-job-opportunity": lambda c: ingest(c, "delete"),
    "bulk__delete__update-job-opportunity": lambda c: ingest(c, "delete", "Id\n")[0],
    "bulk__info__success": lambda c: ingest(c, "upsert", "External_Id__c,Name,StageName,CloseDate\n1,A,B,2026-01-01\n")[1],
    "bulk__info__partial-failure": lambda c: ingest(c, "upsert", "External_Id__c,Name,StageName,CloseDate\n2,A,B,oops\n")[1],
    "bulk__info__complete-failure": lambda c: ingest(c, "upsert", "Nonsense\n1\n")[1],
    "read-list-contacts": filled_contact,
    "read-list-leads": filled_lead,
    "read-opportunity-with-account": lambda c: deal_with(c, "Id, Name, AccountId, Amount, StageName"),
    "read-opportunity-with-contacts": lambda c: deal_with(c, "Id, Name, Amount, StageName, (SELECT Id, ContactId, Role FROM OpportunityContactRoles)"),
}  # fmt: skip
# What the recorded body has and a shorter answer has not, or the other way round.
ALLOWED = {"read-list-leads": {"nextRecordsUrl"}}


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_has_the_recorded_keys_and_types(caller: Caller, name: str) -> None:
    recorded = fixture(f"recorded/{name}.json")
    ours = CALLS[name](caller)
    if isinstance(recorded, dict):
        recorded = {key: value for key, value in recorded.items() if key not in ALLOWED.get(name, ())}
    # Null and empty values say nothing of their type: those of the recorded rows that do are compared.
    expected, found = shape(recorded), shape(ours)
    assert _same(expected, found), f"\n{expected}\n{found}"


def _same(expected: Any, found: Any) -> bool:
    if "NoneType" in (expected, found):
        return True
    if isinstance(expected, list) and isinstance(found, list) and all(isinstance(e, tuple) for e in [*expected, *found]):
        return [k for k, _ in expected] == [k for k, _ in found] and all(
            _same(a, b) for (_, a), (_, b) in zip(expected, found, strict=True)
        )
    if isinstance(expected, list) and isinstance(found, list):
        return not expected or not found or _same(expected[0], found[0])
    return expected == found


@pytest.mark.parametrize("name", _DESCRIBED)
def test_a_describe_has_every_recorded_key_and_value(caller: Caller, name: str) -> None:
    recorded = fixture(f"describe/{name}.json")
    ours = caller.get(f"sobjects/{name}/describe").json()
    assert {k: ours.get(k, "absent") for k in recorded if k not in _OF_THE_ORG} == {
        k: v for k, v in recorded.items() if k not in _OF_THE_ORG
    }
    assert set(ours["urls"]) == set(recorded["urls"])
    assert {tuple(scope) for scope in ours["supportedScopes"]} == {tuple(scope) for scope in recorded["supportedScopes"]}
    assert {tuple(info) for info in ours["recordTypeInfos"]} == {tuple(info) for info in recorded["recordTypeInfos"]}


@pytest.mark.parametrize("name", _DESCRIBED)
def test_a_describes_standard_fields_are_the_recorded_ones_key_by_key(caller: Caller, name: str) -> None:
    recorded = [f for f in fixture(f"describe/{name}.json")["fields"] if not f["name"].endswith("__c")]
    ours = {f["name"]: f for f in caller.get(f"sobjects/{name}/describe").json()["fields"]}
    assert [n for n in ours if n in {f["name"] for f in recorded}] == [f["name"] for f in recorded]
    differences = [
        (f["name"], key, f.get(key, "absent"), ours[f["name"]].get(key, "absent"))
        for f in recorded for key in f if f[key] != ours[f["name"]].get(key, "absent")
    ]  # fmt: skip
    assert differences == []


@pytest.mark.parametrize("name", _DESCRIBED)
def test_a_describes_children_are_the_recorded_ones_among_our_objects(caller: Caller, name: str) -> None:
    theirs = [c for c in fixture(f"describe/{name}.json")["childRelationships"] if c["childSObject"] in _OBJECTS]
    ours = caller.get(f"sobjects/{name}/describe").json()["childRelationships"]
    by_field = lambda c: (c["childSObject"], c["field"])
    assert sorted(ours, key=by_field) == sorted(theirs, key=by_field)
