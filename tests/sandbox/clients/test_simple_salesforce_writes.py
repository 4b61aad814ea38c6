"""simple-salesforce, unmodified: what it writes, one by one and in bulk, and what is then read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce, bulk, bulk2
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer
from tests.sandbox.clients.redirect import Redirect

CLIENT = "simple-salesforce (writing)"
# The client makes up its objects' attributes as they are asked for; its own annotations know the half of them.
Org = Any
KEYS: dict[str, Any] = {"consumer_key": credentials.SALESFORCE["client_id"], "consumer_secret": credentials.SALESFORCE["client_secret"]}


@pytest.fixture(scope="module")
def session(sandbox: SandboxServer) -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", Redirect({"*": sandbox.addresses.url("salesforce")}))
    return made


@pytest.fixture(scope="module")
def salesforce(session: requests.Session) -> Org:
    return Salesforce(session=session, domain="sandbox.my", **KEYS)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    """The client waits five seconds between looks at a job; here a job is done at once."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (bulk, bulk2):
            patch.setattr(module, "sleep", lambda seconds: None)
        yield


def error(raised: pytest.ExceptionInfo[Any]) -> dict[str, Any]:
    return raised.value.content[0] if isinstance(raised.value.content, list) else raised.value.content


def read(salesforce: Org, record_id: str, *fields: str) -> dict[str, Any]:
    record = salesforce.Contact.get(record_id)
    return {name: record[name] for name in fields}


def rest(salesforce: Org, method: str, path: str, body: Any = None) -> Any:
    """A call that the client has no method for, with its session and headers."""
    answer = salesforce._call_salesforce(method, salesforce.base_url + path, data=json.dumps(body) if body is not None else None)
    return answer.json() if answer.content else None


def test_signing_in_by_soap_opens_a_session(session: requests.Session) -> None:
    user: dict[str, Any] = {"username": credentials.SALESFORCE["username"], "security_token": ""}
    client = Salesforce(session=session, password=credentials.SALESFORCE["password"], **user)
    assert client.query("SELECT count() FROM User")["totalSize"] == 12
    by_organization: dict[str, Any] = {"username": user["username"], "organizationId": "00D000000000001"}
    assert Salesforce(session=session, password=credentials.SALESFORCE["password"], **by_organization).limits()
    with pytest.raises(SalesforceAuthenticationFailed, match=r"INVALID_LOGIN.*Invalid username, password, security token"):
        Salesforce(session=session, password="wrong", **user)


def test_a_record_is_created_read_changed_and_deleted(salesforce: Org) -> None:
    made = salesforce.Contact.create({"LastName": "Lovelace", "FirstName": "Ada", "Email": "ada@new.example"})
    assert (made["success"], made["errors"]) == (True, [])
    assert salesforce.Contact.update(made["id"], {"Title": "Countess", "FirstName": None}) == 204
    assert read(salesforce, made["id"], "LastName", "FirstName", "Title") == {
        "LastName": "Lovelace",
        "FirstName": None,
        "Title": "Countess",
    }
    assert salesforce.Contact.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as raised:
        salesforce.Contact.get(made["id"])
    assert error(raised)["errorCode"] == "ENTITY_IS_DELETED"
    deleted = salesforce.query(f"SELECT IsDeleted FROM Contact WHERE Id = '{made['id']}'", include_deleted=True)["records"]
    assert [record["IsDeleted"] for record in deleted] == [True]


def test_a_change_moves_the_cursor_to_a_whole_second(salesforce: Org) -> None:
    made = salesforce.Account.create({"Name": "Cursor and Co"})["id"]
    salesforce.Account.update(made, {"Phone": "1"})
    stamp = salesforce.Account.get(made)["SystemModstamp"]
    assert stamp.endswith(".000+0000")
    assert salesforce.query_all(f"SELECT Id FROM Account WHERE SystemModstamp >= {stamp[:19]}Z AND Id = '{made}'")["totalSize"] == 1


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"FirstName": "Nobody"}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": "Odd", "NoSuchField": "x"}, "INVALID_FIELD"),
        ({"LastName": "Odd", "Email": "no address"}, "INVALID_EMAIL_ADDRESS"),
        ({"LastName": "x" * 81}, "STRING_TOO_LONG"),
        ({"LastName": "Odd", "MasterRecordId": "003000000000000AAA"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
def test_a_wrong_record_is_refused_with_the_code_for_it(salesforce: Org, values: dict[str, str], code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as raised:
        salesforce.Contact.create(values)
    assert error(raised)["errorCode"] == code


def test_an_upsert_creates_then_updates_by_a_key_of_ones_own(salesforce: Org) -> None:
    field = next(f["name"] for f in salesforce.Contact.describe()["fields"] if f["externalId"])
    created = salesforce.Contact.upsert(f"{field}/client-1", {"LastName": "First"}, raw_response=True)
    updated = salesforce.Contact.upsert(f"{field}/client-1", {"LastName": "Second"}, raw_response=True)
    assert (created.status_code, updated.status_code) == (201, 200)
    assert created.json()["id"] == updated.json()["id"]
    assert salesforce.Contact.get_by_custom_id(field, "client-1")["LastName"] == "Second"
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Contact.get_by_custom_id(field, "client-none")


def test_an_email_that_two_contacts_share_is_no_key(salesforce: Org) -> None:
    for name in ("One", "Other"):
        salesforce.Contact.create(
            {"LastName": name, "Email": "shared@new.example"}, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"}
        )
    with pytest.raises(SalesforceMoreThanOneRecord):
        salesforce.Contact.upsert("Email/shared@new.example", {"LastName": "Both"})


def test_a_converted_lead_cannot_be_changed(salesforce: Org) -> None:
    converted = salesforce.query("SELECT Id FROM Lead WHERE IsConverted = true LIMIT 1")["records"][0]["Id"]
    with pytest.raises(SalesforceMalformedRequest) as raised:
        salesforce.Lead.update(converted, {"Title": "Too late"})
    assert (error(raised)["errorCode"], error(raised)["message"]) == ("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")


def test_an_opportunity_with_a_contact_has_its_primary_role(salesforce: Org) -> None:
    contact = salesforce.Contact.create({"LastName": "Buyer"})["id"]
    wish = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-31", "ContactId": contact}
    made = salesforce.Opportunity.create(wish)["id"]
    roles = salesforce.query_all(f"SELECT ContactId, IsPrimary FROM OpportunityContactRole WHERE OpportunityId = '{made}'")["records"]
    assert [(role["ContactId"], role["IsPrimary"]) for role in roles] == [(contact, True)]


def test_deleting_an_account_deletes_its_contacts(salesforce: Org) -> None:
    account = salesforce.Account.create({"Name": "Gone and Co"})["id"]
    contact = salesforce.Contact.create({"LastName": "Member", "AccountId": account})["id"]
    salesforce.Account.delete(account)
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Contact.get(contact)


def test_a_collection_is_written_in_order_with_an_error_for_each_wrong_row(salesforce: Org) -> None:
    rows = [{"attributes": {"type": "Contact"}, "LastName": "Row"}, {"attributes": {"type": "Contact"}, "FirstName": "Wrong"}]
    good, bad = rest(salesforce, "POST", "composite/sobjects", {"allOrNone": False, "records": rows})
    assert (good["success"], bad["success"], bad["errors"][0]["statusCode"]) == (True, False, "REQUIRED_FIELD_MISSING")
    assert "id" not in bad
    change = {"attributes": {"type": "Contact"}, "id": good["id"], "Title": "Changed"}
    assert rest(salesforce, "PATCH", "composite/sobjects", {"allOrNone": True, "records": [change]})[0]["success"]
    assert read(salesforce, good["id"], "Title") == {"Title": "Changed"}
    assert rest(salesforce, "DELETE", f"composite/sobjects?ids={good['id']}&allOrNone=true")[0]["success"]


def test_all_or_none_rolls_the_good_rows_back(salesforce: Org) -> None:
    rows = [{"attributes": {"type": "Contact"}, "LastName": "Rolled Back"}, {"attributes": {"type": "Contact"}, "FirstName": "Wrong"}]
    answers = rest(salesforce, "POST", "composite/sobjects", {"allOrNone": True, "records": rows})
    assert [a["errors"][0]["statusCode"] for a in answers] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert salesforce.query("SELECT count() FROM Contact WHERE LastName = 'Rolled Back'")["totalSize"] == 0


def test_requests_are_put_together(salesforce: Org) -> None:
    base = f"/services/data/v{salesforce.sf_version}"
    steps = [
        {"method": "POST", "url": f"{base}/sobjects/Account", "referenceId": "account", "body": {"Name": "Together"}},
        {
            "method": "POST",
            "url": f"{base}/sobjects/Contact",
            "referenceId": "contact",
            "body": {"LastName": "T", "AccountId": "@{account.id}"},
        },
    ]
    answers = rest(salesforce, "POST", "composite", {"allOrNone": True, "compositeRequest": steps})["compositeResponse"]
    assert [answer["httpStatusCode"] for answer in answers] == [201, 201]
    assert salesforce.Contact.get(answers[1]["body"]["id"])["AccountId"] == answers[0]["body"]["id"]
    batch = {"batchRequests": [{"method": "GET", "url": f"v{salesforce.sf_version}/limits"}, {"method": "GET", "url": "v59.0/nonsense"}]}
    told = rest(salesforce, "POST", "composite/batch", batch)
    assert (told["hasErrors"], [result["statusCode"] for result in told["results"]]) == (True, [200, 404])


def test_bulk_2_writes_what_is_right_and_tells_what_is_wrong(salesforce: Org) -> None:
    rows = [{"LastName": "Bulk Two", "Email": "bulk2@new.example"}, {"LastName": "Bulk Bad", "Email": "no address"}]
    job = salesforce.bulk2.Contact.insert(records=rows)[0]
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 1)
    results = salesforce.bulk2.Contact.get_all_ingest_records(job["job_id"])
    (good,), (bad,) = results["successfulRecords"], results["failedRecords"]
    assert (good["sf__Created"], bad["sf__Error"].split(":")[0]) == ("true", "INVALID_EMAIL_ADDRESS")
    assert read(salesforce, good["sf__Id"], "Email") == {"Email": "bulk2@new.example"}


def test_bulk_2_updates_clears_upserts_and_deletes(salesforce: Org) -> None:
    field = next(f["name"] for f in salesforce.Contact.describe()["fields"] if f["externalId"])
    made = salesforce.Contact.create({"LastName": "Bulk", "Title": "Before", "Department": "Kept"})["id"]
    salesforce.bulk2.Contact.update(records=[{"Id": made, "Title": "#N/A", "Department": ""}])
    assert read(salesforce, made, "Title", "Department") == {"Title": None, "Department": "Kept"}
    job = salesforce.bulk2.Contact.upsert(records=[{field: "bulk-2", "LastName": "Upserted"}], external_id_field=field)[0]
    assert job["numberRecordsFailed"] == 0
    assert salesforce.Contact.get_by_custom_id(field, "bulk-2")["LastName"] == "Upserted"
    salesforce.bulk2.Contact.delete(records=[{"Id": made}])
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Contact.get(made)


def test_a_bulk_2_job_with_a_wrong_header_fails_whole(salesforce: Org) -> None:
    with pytest.raises(bulk2.SalesforceOperationError, match="InvalidBatch : Field name not found : NoSuchField"):
        salesforce.bulk2.Contact.insert(records=[{"LastName": "x", "NoSuchField": "y"}])


def test_bulk_1_reads_all_rows_with_times_in_milliseconds(salesforce: Org) -> None:
    expected = salesforce.query("SELECT count() FROM Lead")["totalSize"]
    rows = salesforce.bulk.Lead.query("SELECT Id, CreatedDate FROM Lead")
    assert len({row["Id"] for row in rows}) == expected
    assert all(isinstance(row["CreatedDate"], int) for row in rows)
    assert len(salesforce.bulk.Contact.query_all("SELECT Id FROM Contact")) > salesforce.query("SELECT count() FROM Contact")["totalSize"]


def test_bulk_1_tells_of_a_query_that_cannot_be_done(salesforce: Org) -> None:
    with pytest.raises((SalesforceMalformedRequest, SalesforceGeneralError), match="NoSuchField"):
        salesforce.bulk.Lead.query("SELECT NoSuchField FROM Lead")


def test_bulk_1_takes_no_session_that_has_ended(salesforce: Org) -> None:
    ended: Org = bulk.SFBulkHandler("gone", salesforce.bulk_url, session=salesforce.session)
    with pytest.raises(SalesforceMalformedRequest) as raised:
        ended.Lead.query("SELECT Id FROM Lead")
    assert raised.value.status == 400
    assert error(raised)["exceptionCode"] == "InvalidSessionId"


def test_bulk_1_writes_what_is_right_and_tells_what_is_wrong(salesforce: Org) -> None:
    good, bad = salesforce.bulk.Contact.insert([{"LastName": "Bulk One"}, {"FirstName": "Wrong"}])
    assert (good["success"], good["created"], bad["success"], bad["errors"][0]["statusCode"]) == (
        True,
        True,
        False,
        "REQUIRED_FIELD_MISSING",
    )
    (changed,) = salesforce.bulk.Contact.update([{"Id": good["id"], "Title": "Changed"}])
    assert (changed["success"], changed["created"]) == (True, False)
    assert read(salesforce, good["id"], "Title") == {"Title": "Changed"}
    field = next(f["name"] for f in salesforce.Contact.describe()["fields"] if f["externalId"])
    (upserted,) = salesforce.bulk.Contact.upsert([{field: "bulk-1", "LastName": "Upserted"}], field)
    assert salesforce.Contact.get_by_custom_id(field, "bulk-1")["Id"] == upserted["id"]
    (deleted,) = salesforce.bulk.submit_dml("Contact", "delete", [{"Id": good["id"]}])
    assert deleted["success"]
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Contact.get(good["id"])


def test_an_ingest_job_is_made_step_by_step_and_may_be_abandoned(salesforce: Org) -> None:
    client = salesforce.bulk2.Contact._client
    job = client.create_job(bulk2.Operation.insert)
    client.upload_job_data(job["id"], "LastName\nStep by Step\n")
    assert client.get_job(job["id"], False)["state"] == "Open"
    assert job["id"] in {listed["id"] for listed in salesforce.restful("jobs/ingest")["records"]}
    assert client.abort_job(job["id"], False)["state"] == "Aborted"
    with pytest.raises(requests.JSONDecodeError):  # the client reads the body of a 204, which has none
        client.delete_job(job["id"], False)
    assert salesforce.query("SELECT count() FROM Contact WHERE LastName = 'Step by Step'")["totalSize"] == 0


def test_collections_are_upserted_and_read(salesforce: Org) -> None:
    field = next(f["name"] for f in salesforce.Contact.describe()["fields"] if f["externalId"])
    rows = [{"attributes": {"type": "Contact"}, field: f"many-{n}", "LastName": "Many"} for n in range(2)]
    wish = {"allOrNone": False, "records": rows}
    first, again = (rest(salesforce, "PATCH", f"composite/sobjects/Contact/{field}", wish) for _ in range(2))
    assert [(row["success"], row["created"]) for row in (*first, *again)] == [(True, True)] * 2 + [(True, False)] * 2
    ids = [row["id"] for row in first]
    assert [record["Id"] for record in salesforce.restful(f"composite/sobjects/Contact?ids={','.join(ids)}&fields=Id,LastName")] == ids
    read_back = rest(salesforce, "POST", "composite/sobjects/Contact", {"ids": ids, "fields": ["LastName"]})
    assert [record["LastName"] for record in read_back] == ["Many", "Many"]


def test_a_tree_of_records_is_created(salesforce: Org) -> None:
    child = {"attributes": {"type": "Contact", "referenceId": "child"}, "LastName": "Planted"}
    root = {"attributes": {"type": "Account", "referenceId": "root"}, "Name": "Planted", "Contacts": {"records": [child]}}
    made = {r["referenceId"]: r["id"] for r in rest(salesforce, "POST", "composite/tree/Account", {"records": [root]})["results"]}
    assert salesforce.Contact.get(made["child"])["AccountId"] == made["root"]
