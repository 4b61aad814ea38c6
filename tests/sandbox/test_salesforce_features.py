from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from cdp_pipelines.sandbox import clock
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


def test_children_are_nested_as_recorded_and_null_without_any(caller: Caller) -> None:
    recorded = fixture("recorded/read-opportunity-with-contacts.json")["records"][0]
    deal = made(caller, "Opportunity", Name="Big", StageName="Prospecting", CloseDate="2026-12-31", Amount=5)
    soql = (f"SELECT Id, Name, Amount, StageName, (SELECT Id, ContactId, Role FROM opportunitycontactroles) FROM Opportunity "
            f"WHERE Id = '{deal}'")  # fmt: skip
    assert caller.query(soql)["records"][0]["OpportunityContactRoles"] is None
    contact = made(caller, "Contact", LastName="Lee")
    made(caller, "OpportunityContactRole", OpportunityId=deal, ContactId=contact, Role="Influencer")
    row = caller.query(soql)["records"][0]
    assert list(row) == list(recorded)
    children, theirs = row["OpportunityContactRoles"], recorded["OpportunityContactRoles"]
    assert (list(children), list(children["records"][0])) == (list(theirs), list(theirs["records"][0]))
    assert [c["ContactId"] for c in children["records"]] == [contact]


def test_a_subquery_has_conditions_order_and_limit_of_its_own(caller: Caller) -> None:
    account = made(caller, "Account", Name="Acme")
    for name in ("B", "A", "C", "D"):
        made(caller, "Contact", LastName=name, AccountId=account)
    soql = f"SELECT Id, (SELECT LastName, Account.Name FROM Contacts WHERE LastName != 'D' ORDER BY LastName DESC LIMIT 2) FROM Account WHERE Id = '{account}'"
    (row,) = caller.query(soql)["records"]
    assert [(c["LastName"], c["Account"]["Name"]) for c in row["Contacts"]["records"]] == [("C", "Acme"), ("B", "Acme")]


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id, (SELECT Id FROM Contact) FROM Account", "INVALID_TYPE"),
        ("SELECT Id, (SELECT Nope FROM Contacts) FROM Account", "INVALID_FIELD"),
        ("SELECT Id, (SELECT Id, (SELECT Id FROM Users) FROM Contacts) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id, (SELECT COUNT() FROM Contacts) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
        ("SELECT MIN(BillingAddress) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE " + "(" * 500 + "Name = 'a'" + ")" * 500, "QUERY_TOO_COMPLICATED"),
        ("SELECT Id FROM Account LIMIT 99999999999999999999", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE CreatedDate = LAST_N_DAYS:99999999999", "MALFORMED_QUERY"),
    ],
)
def test_queries_that_cannot_be_are_refused(caller: Caller, soql: str, code: str) -> None:
    assert caller.error(soql)["errorCode"] == code


def test_counted_values_may_be_named(caller: Caller) -> None:
    (row,) = caller.query("SELECT COUNT(Id) people, MAX(LeadScore__c) FROM Contact")["records"]
    assert list(row) == ["attributes", "people", "expr0"]


def test_a_formula_moves_with_the_account_and_the_contacts_stamp_does_not(caller: Caller) -> None:
    account = made(caller, "Account", Name="Acme", Region__c="EMEA")
    contact = made(caller, "Contact", LastName="Lee", AccountId=account)
    soql = f"SELECT AccountRegion__c, SystemModstamp FROM Contact WHERE Id = '{contact}'"
    before = caller.query(soql)["records"][0]
    caller.send("PATCH", f"sobjects/Account/{account}", {"Region__c": "APAC"})
    after = caller.query(soql)["records"][0]
    assert (before["AccountRegion__c"], after["AccountRegion__c"]) == ("EMEA", "APAC")
    assert before["SystemModstamp"] == after["SystemModstamp"]
    field = next(f for f in caller.get("sobjects/Contact/describe").json()["fields"] if f["name"] == "AccountRegion__c")
    assert (field["calculated"], field["calculatedFormula"], field["createable"]) == (True, "Account.Region__c", False)
    assert caller.query(f"SELECT Id FROM Contact WHERE AccountRegion__c = 'apac' AND Id = '{contact}'")["totalSize"] == 1


@pytest.mark.parametrize("path", ["sobjects", "sobjects/Contact/describe"])
def test_what_has_not_changed_is_not_sent_again(caller: Caller, store: SalesforceStore, path: str) -> None:
    first = caller.get(path)
    for header, value in (("If-None-Match", first.headers["ETag"]), ("If-Modified-Since", first.headers["Last-Modified"])):
        again = caller.http.get(f"/services/data/v62.0/{path}", headers={header: value})
        assert (again.status_code, again.content) == (304, b"")
    store.add_field("Contact", "Shoe_Size__c", "double")
    changed = caller.http.get(f"/services/data/v62.0/{path}", headers={"If-Modified-Since": first.headers["Last-Modified"]})
    assert changed.status_code == 200


def test_a_record_says_when_it_changed(caller: Caller) -> None:
    contact = made(caller, "Contact", LastName="Lee")
    first = caller.get(f"sobjects/Contact/{contact}")
    same = caller.http.get(f"/services/data/v62.0/sobjects/Contact/{contact}", headers={"If-None-Match": first.headers["ETag"]})
    assert same.status_code == 304
    caller.send("PATCH", f"sobjects/Contact/{contact}", {"Title": "x"})
    other = caller.http.get(f"/services/data/v62.0/sobjects/Contact/{contact}", headers={"If-None-Match": first.headers["ETag"]})
    assert other.json()["Title"] == "x"


@pytest.mark.parametrize("version", ["v99.0", "v30.0", "v60", "vxx.0", "v", "v60.1", "v-1.0", "v²0.0"])
def test_an_unknown_version_is_not_found(caller: Caller, version: str) -> None:
    answer = caller.http.get(f"/services/data/{version}/limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_custom_fields_come_and_are_renamed_with_their_values(caller: Caller, store: SalesforceStore) -> None:
    store.add_field("Contact", "Hobby__c")
    contact = made(caller, "Contact", LastName="Lee", Hobby__c="Chess", PreferredTopic__c="Pricing")
    store.rename_field("Contact", "Hobby__c", "Pastime__c")
    store.rename_field("Contact", "PreferredTopic__c", "Topic__c")
    (row,) = caller.query(f"SELECT Pastime__c, Topic__c FROM Contact WHERE Id = '{contact}'")["records"]
    assert (row["Pastime__c"], row["Topic__c"]) == ("Chess", "Pricing")
    assert caller.error("SELECT Hobby__c FROM Contact")["errorCode"] == "INVALID_FIELD"
    assert caller.query("SELECT Id FROM Contact WHERE Topic__c = 'Integrations'")["totalSize"] > 0
    with pytest.raises(ValueError, match="LeadScore__c"):
        store.rename_field("Contact", "LeadScore__c", "Score__c")


@shows("Salesforce: short pages")
def test_short_pages_hold_every_record_once(caller: Caller, options: SalesforceOptions) -> None:
    options.page_size, options.short_pages = 50, True
    page = caller.query("SELECT Id FROM Contact")
    sizes, ids = [len(page["records"])], [r["Id"] for r in page["records"]]
    while not page["done"]:
        page = caller.http.get(page["nextRecordsUrl"]).json()
        sizes.append(len(page["records"]))
        ids += [r["Id"] for r in page["records"]]
    assert len(set(ids)) == len(ids) == page["totalSize"]
    assert len(set(sizes)) > 1
    assert max(sizes) <= 50


@shows("Salesforce: late-visible rows")
def test_late_rows_are_seen_later(caller: Caller, options: SalesforceOptions) -> None:
    contact = made(caller, "Contact", LastName="Lee")
    options.visible_after_seconds = 3600
    assert caller.query(f"SELECT Id FROM Contact WHERE Id = '{contact}'")["totalSize"] == 0
    assert caller.query("SELECT COUNT() FROM Contact")["totalSize"] > 0
    options.visible_after_seconds = 0
    assert caller.query(f"SELECT Id FROM Contact WHERE Id = '{contact}'")["totalSize"] == 1


def test_purged_records_are_listed_as_deleted_only(caller: Caller, store: SalesforceStore) -> None:
    contact = made(caller, "Contact", LastName="Lee")
    start = datetime.now(UTC) - timedelta(minutes=10)
    store.delete(contact, start + timedelta(minutes=5))
    assert store.empty_recycle_bin() > 0
    assert caller.get(f"sobjects/Contact/{contact}").json()[0]["errorCode"] == "NOT_FOUND"
    times = {"start": start.isoformat(), "end": (datetime.now(UTC) + timedelta(minutes=2)).isoformat()}
    assert contact in {r["id"] for r in caller.get("sobjects/Contact/deleted/", **times).json()["deletedRecords"]}
    with pytest.raises(KeyError):
        store.purge(store.live_people()[0])


def test_a_write_is_stamped_by_the_sandboxs_clock_and_replayed_the_same(serve: Serve) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 987_000, UTC)

    def again(inner: Any) -> Any:
        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            with clock.at(moment, replaying=True):
                await inner(scope, receive, send)

        return asgi

    seen = []
    for _ in range(2):
        store = new_store()
        # No session: a replayed write has none.
        answer = httpx2.post(f"{serve(again(app(store)))}/services/data/v62.0/sobjects/Contact", json={"LastName": "Lee"}, trust_env=False)
        contact = answer.json()["id"]
        seen.append((contact, store.value(contact, "SystemModstamp")))
    assert seen[0] == seen[1]
    assert seen[0][1] == moment.replace(microsecond=0)


def test_a_person_account_is_one_person_in_two_records(caller: Caller, options: SalesforceOptions, store: SalesforceStore) -> None:
    assert caller.error("SELECT IsPersonAccount FROM Contact")["errorCode"] == "INVALID_FIELD"
    before = caller.query("SELECT COUNT() FROM Account")["totalSize"]
    alone = caller.query("SELECT Id, Name, Email, SystemModstamp FROM Contact WHERE AccountId = null")["records"]
    options.person_accounts = True
    soql = "SELECT Id, Name, PersonEmail, PersonContactId, SystemModstamp FROM Account WHERE IsPersonAccount = true"
    accounts = {a["PersonContactId"]: a for a in caller.query(soql)["records"]}
    assert caller.query("SELECT COUNT() FROM Account")["totalSize"] == before + len(alone)
    assert {i: (a["Name"], a["PersonEmail"], a["SystemModstamp"]) for i, a in accounts.items()} == {
        c["Id"]: (c["Name"], c["Email"], c["SystemModstamp"]) for c in alone
    }  # fmt: skip
    contact = alone[0]["Id"]
    row = caller.query(f"SELECT IsPersonAccount, AccountId, Account.PersonEmail FROM Contact WHERE Id = '{contact}'")["records"][0]
    assert (row["IsPersonAccount"], row["AccountId"]) == (True, accounts[contact]["Id"])
    assert caller.query("SELECT COUNT() FROM Contact WHERE IsPersonAccount = false")["totalSize"] > 0


def test_either_record_of_a_person_account_changes_both(caller: Caller, options: SalesforceOptions, store: SalesforceStore) -> None:
    options.person_accounts = True
    account = made(caller, "Account", FirstName="Ann", LastName="Lee", PersonEmail="ann@lees.example")
    record = caller.get(f"sobjects/Account/{account}").json()
    contact = record["PersonContactId"]
    assert (record["Name"], record["IsPersonAccount"]) == ("Ann Lee", True)
    assert caller.get(f"sobjects/Contact/{contact}").json()["Email"] == "ann@lees.example"
    caller.send("PATCH", f"sobjects/Account/{account}", {"PersonEmail": "new@lees.example"})
    assert (store.value(contact, "Email"), store.value(contact, "EmailDomain__c")) == ("new@lees.example", "lees.example")
    caller.send("PATCH", f"sobjects/Contact/{contact}", {"LastName": "Roe"})
    assert caller.get(f"sobjects/Account/{account}").json()["Name"] == "Ann Roe"
    refused = caller.send("PATCH", f"sobjects/Account/{account}", {"Name": "Acme"}).json()[0]
    assert (refused["errorCode"], refused["fields"]) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ["Name"])
    caller.send("DELETE", f"sobjects/Account/{account}")
    assert caller.get(f"sobjects/Contact/{contact}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"


def test_companies_are_edited_and_people_moved_between_them(store: SalesforceStore) -> None:
    at = datetime(2026, 9, 1, tzinfo=UTC)
    first, second = store.live_companies()[:2]
    assert store.edit_company(first, {"region": "APAC", "phone": "1", "shoe": "x"}, at) == {"region": "APAC", "phone": "1"}
    assert store.value(first, "Region__c") == "APAC"
    contact = next(p for p in store.live_people() if store.value(p, "AccountId") not in (None, second) and p.startswith("003"))
    assert store.move_person(contact, second, at) is True
    assert (store.value(contact, "AccountId"), store.move_person(contact, second, at)) == (second, False)
    field = store.add_field_for_people(7, at)
    renamed = store.rename_field_for_people(field, 8, at)
    assert store.added_fields() == [renamed]
    assert renamed.lower() in store.schema["lead"].fields


def test_the_user_of_the_session_asks_what_they_may_do(caller: Caller, options: SalesforceOptions) -> None:
    options.user_permissions = frozenset({"ModifyAllData"})
    answer = caller.query("SELECT PermissionsApiEnabled, permissionsmodifyalldata, PermissionsAuthorApex FROM UserPermissionAccess LIMIT 1")
    assert (answer["totalSize"], answer["done"]) == (1, True)
    (row,) = answer["records"]
    assert row.pop("attributes")["type"] == "UserPermissionAccess"
    assert row == {"PermissionsApiEnabled": True, "PermissionsModifyAllData": True, "PermissionsAuthorApex": False}
    error = caller.error("SELECT PermissionsFly FROM UserPermissionAccess")
    assert (error["errorCode"], "PermissionsFly" in error["message"]) == ("INVALID_FIELD", True)


def test_a_token_says_what_it_is_good_for(caller: Caller, options: SalesforceOptions) -> None:
    assert caller.token(grant_type="password").json()["scope"] == "api"
    options.token_scopes = "full refresh_token"
    assert caller.token(grant_type="password").json()["scope"] == "full refresh_token"
