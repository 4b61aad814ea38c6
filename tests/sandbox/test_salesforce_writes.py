from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
import pytest

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.listed_faults import shows
from tests.sandbox.salesforce_org import Caller, new_store
from tests.sandbox.test_salesforce_api import fixture

Serve = Callable[[Any], str]


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions()


@pytest.fixture
def caller(serve: Serve, store: SalesforceStore, options: SalesforceOptions) -> Caller:
    return Caller(serve(app(store, options)))


def made(caller: Caller, name: str, **fields: Any) -> str:
    answer = caller.send("POST", f"sobjects/{name}", fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def lead(caller: Caller, **fields: Any) -> str:
    return made(caller, "Lead", **{"LastName": "Okafor", "Company": "Okafor Ltd", **fields})


def seen(caller: Caller, name: str, record_id: str) -> dict[str, Any]:
    answer = caller.get(f"sobjects/{name}/{record_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer: httpx2.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()
    return error


def test_a_created_record_is_read_back_with_what_follows_from_it(caller: Caller) -> None:
    answer = caller.send(
        "POST", "sobjects/Contact", {"LastName": "Lee", "FirstName": " Ann ", "Email": "Ann@Example.COM", "MailingCity": "Rome"}
    )
    body = answer.json()
    assert (answer.status_code, list(body)) == (201, list(fixture("recorded/create-ok.json")))
    assert answer.headers["Location"] == f"/services/data/v62.0/sobjects/Contact/{body['id']}"
    record = seen(caller, "Contact", body["id"])
    assert next(iter(record)) == "attributes"
    assert (record["FirstName"], record["Name"], record["EmailDomain__c"]) == ("Ann", "Ann Lee", "example.com")
    assert record["MailingAddress"]["city"] == "Rome"
    assert record["CreatedDate"] == record["SystemModstamp"] == record["LastModifiedDate"]
    assert record["HasOptedOutOfEmail"] is False


def test_only_the_fields_asked_for_are_read_parents_too(caller: Caller) -> None:
    account = made(caller, "Account", Name="Acme")
    contact = made(caller, "Contact", LastName="Lee", AccountId=account)
    record = caller.get(f"sobjects/Contact/{contact}", fields="LastName,Account.Name").json()
    assert (list(record), record["Account"]["Name"]) == (["attributes", "LastName", "Account"], "Acme")
    assert problem(caller.get(f"sobjects/Contact/{contact}", fields="Nope"))["errorCode"] == "INVALID_FIELD"


def test_a_change_leaves_what_is_absent_and_clears_what_is_null(caller: Caller) -> None:
    record_id = lead(caller, Title="Chief", Phone="1", LeadScore__c="7")
    assert seen(caller, "Lead", record_id)["LeadScore__c"] == 7.0
    answer = caller.send("PATCH", f"sobjects/Lead/{record_id}", {"Phone": None, "Email": "a@b.example"})
    assert (answer.status_code, answer.content) == (204, b"")
    record = seen(caller, "Lead", record_id)
    assert (record["Title"], record["Phone"], record["Email"]) == ("Chief", None, "a@b.example")


def test_a_deleted_record_is_in_the_recycle_bin(caller: Caller) -> None:
    record_id = lead(caller)
    assert caller.send("DELETE", f"sobjects/Lead/{record_id}").status_code == 204
    for answer in (
        caller.get(f"sobjects/Lead/{record_id}"),
        caller.send("DELETE", f"sobjects/Lead/{record_id}"),
        caller.send("PATCH", f"sobjects/Lead/{record_id}", {"Title": "x"}),
    ):
        assert (answer.status_code, answer.json()) == (404, fixture("recorded/crm__delete__not-found.json"))
    assert caller.get("queryAll", q=f"SELECT IsDeleted FROM Lead WHERE Id = '{record_id}'").json()["records"][0]["IsDeleted"] is True


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("Contact", {"FirstName": "A"}, ("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"])),
        ("Opportunity", {"Name": "A"}, ("REQUIRED_FIELD_MISSING", "Required fields are missing: [StageName, CloseDate]", ["StageName", "CloseDate"])),
        ("Account", {"AccountNumer": "1", "Name": "A"}, ("INVALID_FIELD", "No such column 'AccountNumer' on sobject of type Account", None)),
        ("Contact", {"LastName": "A", "Email": "badone"}, ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: badone", ["Email"])),
        ("Contact", {"LastName": "x" * 81}, ("STRING_TOO_LONG", f"Last Name: data value too large: {'x' * 81} (max length=80)", ["LastName"])),
        ("Contact", {"LastName": "A", "AccountId": "nonsense"}, ("MALFORMED_ID", "Account ID: id value of incorrect type: nonsense", ["AccountId"])),
        ("Contact", {"LastName": "A", "AccountId": "001Kx0zzzzzzzzz"}, ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])),
        ("Contact", {"LastName": "A", "LeadScore__c": "many"}, ("JSON_PARSER_ERROR", None, None)),
        ("Contact", {"LastName": "A", "HasOptedOutOfEmail": None}, ("JSON_PARSER_ERROR", None, None)),
        ("Contact", {"LastName": "A", "Birthdate": "2003-02-30"}, ("JSON_PARSER_ERROR", None, None)),
        ("Contact", {"LastName": "A", "LeadScore__c": 1e30}, ("NUMBER_OUTSIDE_VALID_RANGE", None, ["LeadScore__c"])),
        ("Contact", {"LastName": "A", "CleanStatus": "Odd"}, ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", None, ["CleanStatus"])),
        ("Contact", {"LastName": "A", "Id": "003000000000000AAA"}, ("INVALID_FIELD_FOR_INSERT_UPDATE", None, ["Id"])),
    ],
)  # fmt: skip
def test_a_wrong_record_is_refused_in_salesforce_words(caller: Caller, name: str, fields: Any, expected: tuple[str, Any, Any]) -> None:
    error = problem(caller.send("POST", f"sobjects/{name}", fields))
    assert (error["errorCode"], error.get("fields")) == (expected[0], expected[2])
    assert expected[1] in (None, error["message"])


def test_recorded_refusals_are_ours_word_for_word(caller: Caller) -> None:
    contact = made(caller, "Contact", LastName="Lee")
    refused = caller.send("PATCH", f"sobjects/Contact/{contact}", {"MasterRecordId": contact})
    assert (refused.status_code, refused.json()) == (400, fixture("recorded/invalid-field-upsert.json"))
    assert caller.send("POST", "sobjects/Account", {"AccountNumer": "1"}).json() == fixture("recorded/unknown-field.json")
    assert caller.send("POST", "composite/sobjects", {"records": []}).json() == fixture(
        "recorded/batch__create__contacts__err-bad-request.json"
    )


def test_a_converted_lead_cannot_be_changed(caller: Caller, store: SalesforceStore) -> None:
    record_id = lead(caller)
    store.convert_person(record_id, datetime.fromisoformat("2026-09-01T00:00:00+00:00"))
    assert problem(caller.send("PATCH", f"sobjects/Lead/{record_id}", {"Title": "x"})) == {
        "message": "cannot reference converted lead", "errorCode": "CANNOT_UPDATE_CONVERTED_LEAD", "fields": [],
    }  # fmt: skip


def test_ids_that_name_nothing_are_not_found(caller: Caller) -> None:
    assert (
        problem(caller.get("sobjects/Contact/abc"), 404)["message"] == "Provided external ID field does not exist or is not accessible: abc"
    )
    missing = problem(caller.get("sobjects/Contact/003Kx0zzzzzzzzz"), 404)
    assert (missing["errorCode"], missing["message"]) == ("NOT_FOUND", "The requested resource does not exist")
    assert problem(caller.send("POST", "sobjects/Nonsense", {}), 404)["errorCode"] == "NOT_FOUND"
    assert problem(caller.http.post("/services/data/v62.0/sobjects/Contact", content=b"{oops"))["errorCode"] == "JSON_PARSER_ERROR"


def test_an_upsert_finds_its_record_without_regard_to_case(caller: Caller) -> None:
    path = "sobjects/Contact/External_Id__c/Aa%2F1"
    first = caller.send("PATCH", path, {"LastName": "Lee"})
    assert (first.status_code, first.json()["created"], list(first.json())) == (201, True, ["id", "success", "errors", "created"])
    second = caller.send("PATCH", path.lower(), {"Title": "Chief"})
    assert (second.status_code, second.json()) == (200, {**first.json(), "created": False})
    record = caller.get(path).json()
    assert (record["External_Id__c"], record["Title"], record["Id"]) == ("Aa/1", "Chief", first.json()["id"])
    taken = problem(caller.send("POST", "sobjects/Contact", {"LastName": "Roe", "External_Id__c": "AA/1"}))
    assert taken == {
        "message": f"duplicate value found: External_Id__c duplicates value on record with id: {record['Id']}",
        "errorCode": "DUPLICATE_VALUE", "fields": [],
    }  # fmt: skip
    assert caller.send("DELETE", path).status_code == 204
    assert problem(caller.get(path), 404)["errorCode"] == "NOT_FOUND"


def test_an_upsert_says_what_it_cannot_do(caller: Caller) -> None:
    unknown = problem(caller.send("PATCH", "sobjects/Contact/Title/x", {"LastName": "Lee"}), 404)
    assert unknown["message"] == "Provided external ID field does not exist or is not accessible: Title"
    twice = caller.send("PATCH", "sobjects/Contact/External_Id__c/1", {"LastName": "Lee", "External_Id__c": "1"})
    assert problem(twice)["errorCode"] == "INVALID_FIELD"
    assert problem(caller.send("PATCH", "sobjects/Contact/External_Id__c/1?updateOnly=true", {"LastName": "Lee"}), 404)
    ids = [made(caller, "Contact", LastName="Lee", Email="two@lees.example") for _ in range(2)]
    several = caller.send("PATCH", "sobjects/Contact/Email/TWO@lees.example", {"Title": "x"})
    assert (several.status_code, several.json()) == (300, [f"/services/data/v62.0/sobjects/Contact/{i}" for i in ids])


def test_an_old_version_says_less_of_an_upsert(serve: Serve, store: SalesforceStore) -> None:
    old = Caller(serve(app(store)), "45.0")
    assert "created" not in old.send("PATCH", "sobjects/Contact/External_Id__c/1", {"LastName": "Lee"}).json()
    assert old.send("PATCH", "sobjects/Contact/External_Id__c/1", {"LastName": "Lee"}).status_code == 204


def test_a_parent_can_be_named_by_its_external_id(caller: Caller) -> None:
    account = made(caller, "Account", Name="Acme", External_Id__c="acme")
    contact = made(caller, "Contact", LastName="Lee", Account={"External_Id__c": "ACME"})
    assert seen(caller, "Contact", contact)["AccountId"] == account
    error = problem(caller.send("POST", "sobjects/Contact", {"LastName": "Lee", "Account": {"External_Id__c": "none"}}))
    assert error["message"] == "Foreign key external ID: none not found for field External_Id__c in entity Account"


def test_duplicates_are_refused_by_the_rule_and_saved_by_the_header(caller: Caller, options: SalesforceOptions) -> None:
    first = made(caller, "Contact", LastName="Lee", Email="lee@lees.example")
    options.duplicate_rules = frozenset({"Contact"})
    again = {"LastName": "Li", "Email": "LEE@lees.example"}
    error = problem(caller.send("POST", "sobjects/Contact", again))
    assert list(error) == ["duplicateResult", "message", "errorCode"]
    result = error["duplicateResult"]
    assert (error["errorCode"], result["duplicateRule"], result["allowSave"]) == (
        "DUPLICATES_DETECTED",
        "Standard_Contact_Duplicate_Rule",
        True,
    )
    assert [m["record"]["Id"] for m in result["matchResults"][0]["matchRecords"]] == [first]
    caller.http.headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
    made(caller, "Contact", **again)
    options.duplicate_allow_save = False
    assert problem(caller.send("POST", "sobjects/Contact", again))["duplicateResult"]["allowSave"] is False


@shows("Salesforce: locked rows")
def test_a_locked_row_is_refused_once(caller: Caller, options: SalesforceOptions) -> None:
    record_id = lead(caller)
    options.lock_next_rows = 1
    error = problem(caller.send("PATCH", f"sobjects/Lead/{record_id}", {"Title": "x"}))
    assert error["errorCode"] == "UNABLE_TO_LOCK_ROW"
    assert error["message"].endswith(f"1 records: {record_id}")
    assert caller.send("PATCH", f"sobjects/Lead/{record_id}", {"Title": "x"}).status_code == 204


def test_an_opportunity_with_a_contact_gets_its_primary_role(caller: Caller) -> None:
    first, second = (made(caller, "Contact", LastName=name) for name in ("Lee", "Roe"))
    deal = made(caller, "Opportunity", Name="Big", StageName="Perception Analysis", CloseDate="2026-12-31", Amount=200, ContactId=first)
    soql = f"SELECT Id, ContactId, IsPrimary FROM OpportunityContactRole WHERE OpportunityId = '{deal}' ORDER BY Id"
    (role,) = caller.query(soql)["records"]
    assert (role["ContactId"], role["IsPrimary"]) == (first, True)
    record = seen(caller, "Opportunity", deal)
    assert (record["Probability"], record["ExpectedRevenue"], record["FiscalQuarter"], record["IsClosed"]) == (70.0, 140.0, 4, False)
    refused = problem(caller.send("PATCH", f"sobjects/Opportunity/{deal}", {"ContactId": second}))
    assert refused["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    made(caller, "OpportunityContactRole", OpportunityId=deal, ContactId=second, IsPrimary=True)
    assert [r["IsPrimary"] for r in caller.query(soql)["records"]] == [False, True]
    assert seen(caller, "Opportunity", deal)["ContactId"] == second
    caller.send("PATCH", f"sobjects/OpportunityContactRole/{role['Id']}", {"IsPrimary": True})
    assert seen(caller, "Opportunity", deal)["ContactId"] == first
    caller.send("DELETE", f"sobjects/OpportunityContactRole/{role['Id']}")
    assert seen(caller, "Opportunity", deal)["ContactId"] is None


def test_an_account_takes_its_contacts_and_deals_into_the_bin_and_out_of_it(caller: Caller, store: SalesforceStore) -> None:
    account = made(caller, "Account", Name="Acme")
    contact = made(caller, "Contact", LastName="Lee", AccountId=account)
    deal = made(caller, "Opportunity", Name="Big", StageName="Closed Won", CloseDate="2026-12-31", AccountId=account, ContactId=contact)
    caller.send("DELETE", f"sobjects/Account/{account}")
    gone = {r["id"] for r in _deleted(caller, "Contact")} | {r["id"] for r in _deleted(caller, "Opportunity")}
    assert {contact, deal} <= gone
    assert caller.get("queryAll", q=f"SELECT ContactId FROM Opportunity WHERE Id = '{deal}'").json()["records"][0]["ContactId"] == contact
    store.undelete(account, datetime.fromisoformat("2026-12-01T00:00:00+00:00"))
    assert seen(caller, "Contact", contact)["AccountId"] == account
    assert [r["ContactId"] for r in store.roles(deal)] == [contact]


def _deleted(caller: Caller, name: str) -> list[dict[str, str]]:
    rows = caller.get("queryAll", q=f"SELECT Id FROM {name} WHERE IsDeleted = true").json()["records"]
    return [{"id": row["Id"]} for row in rows]


def test_a_campaign_member_names_its_person_once(caller: Caller) -> None:
    campaign, person = made(caller, "Campaign", Name="Spring"), lead(caller)
    member = made(caller, "CampaignMember", CampaignId=campaign, LeadId=person, Status="Responded")
    record = seen(caller, "CampaignMember", member)
    assert (record["LeadOrContactId"], record["Type"], record["HasResponded"]) == (person, "Lead", True)
    again = problem(caller.send("POST", "sobjects/CampaignMember", {"CampaignId": campaign, "LeadId": person}))
    assert (again["errorCode"], again["message"]) == ("DUPLICATE_VALUE", "Already a campaign member.")


def test_users_cannot_be_deleted(caller: Caller, store: SalesforceStore) -> None:
    assert problem(caller.send("DELETE", f"sobjects/User/{store.me}"))["errorCode"] == "INVALID_TYPE_FOR_OPERATION"


def test_ids_that_differ_only_in_case_are_two_records_in_every_call(caller: Caller) -> None:
    seen: dict[str, str] = {}
    ids = [row["Id"] for row in caller.query("SELECT Id FROM Contact")["records"]]
    one, other = next((seen[key], i) for i in ids if seen.setdefault(key := i[:15].lower(), i) != i)
    assert one[:15].lower() == other[:15].lower()
    for long in (one, other):
        assert caller.get(f"sobjects/Contact/{long[:15]}").json()["Id"] == long
        assert caller.query(f"SELECT Id FROM Contact WHERE Id = '{long[:15]}'")["records"][0]["Id"] == long
    before = caller.get(f"sobjects/Contact/{other}").json()
    assert caller.send("PATCH", f"sobjects/Contact/{one[:15]}", {"Title": "Told apart"}).status_code == 204
    assert caller.get(f"sobjects/Contact/{one}").json()["Title"] == "Told apart"
    assert caller.send("DELETE", f"composite/sobjects?ids={one[:15]}").json()[0]["id"] == one
    assert caller.get(f"sobjects/Contact/{one}").status_code == 404
    assert caller.get(f"sobjects/Contact/{other}").json() == before
