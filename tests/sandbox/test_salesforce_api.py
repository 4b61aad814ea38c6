from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from tests.sandbox.salesforce_org import Caller, new_store

FIXTURES = PROJECT_DIR.parent / "shared" / "fixtures" / "salesforce"
Serve = Callable[[Any], str]


def fixture(name: str) -> Any:
    path = FIXTURES / name
    if not path.exists():
        pytest.skip("../shared/fixtures is not here")
    return json.loads(path.read_text())


def test_signing_in_answers_as_salesforce_does(serve: Serve) -> None:
    url = serve(app(new_store()))
    body = Caller(url).token(grant_type="password").json()
    assert set(body) == {"access_token", "instance_url", "id", "token_type", "issued_at", "signature", "scope"}
    assert body["instance_url"] == url
    assert body["issued_at"].isdigit()


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ({"grant_type": "password", "password": "x"}, {"error": "invalid_grant", "error_description": "authentication failure"}),
        ({"grant_type": "password", "client_id": "x"}, {"error": "invalid_client_id", "error_description": "client identifier invalid"}),
        ({"grant_type": "password", "client_secret": "x"}, {"error": "invalid_client", "error_description": "invalid client credentials"}),
        ({"grant_type": "magic"}, {"error": "unsupported_grant_type", "error_description": "grant type not supported"}),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, {"error": "invalid_grant", "error_description": "expired access/refresh token"}),
    ],
)  # fmt: skip
def test_a_wrong_sign_in_says_what_is_wrong(serve: Serve, form: dict[str, str], body: dict[str, str]) -> None:
    answer = Caller(serve(app(new_store()))).token(**form)
    assert (answer.status_code, answer.json()) == (400, body)


def test_client_credentials_may_come_as_basic_authorization(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    auth = (credentials.SALESFORCE["client_id"], credentials.SALESFORCE["client_secret"])
    answer = caller.http.post("/services/oauth2/token", data={"grant_type": "client_credentials"}, auth=auth)
    assert answer.json()["access_token"]


def test_a_rotated_refresh_token_works_once(serve: Serve) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(rotate_refresh_tokens=True))))
    fresh = caller.token(grant_type="refresh_token", refresh_token="sandbox-refresh-token").json()["refresh_token"]
    assert caller.token(grant_type="refresh_token", refresh_token="sandbox-refresh-token").status_code == 400
    assert caller.token(grant_type="refresh_token", refresh_token=fresh).status_code == 200


def test_an_expired_session_is_refused(serve: Serve) -> None:
    made = app(new_store())
    caller = Caller(serve(made))
    made.state.org.expire_tokens()
    answer = caller.get("limits")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_a_token_ends_with_its_life(serve: Serve) -> None:
    assert Caller(serve(app(new_store(), SalesforceOptions(token_seconds=0)))).get("limits").status_code == 401


def test_every_version_is_spoken_and_echoed(serve: Serve) -> None:
    url = serve(app(new_store()))
    versions = Caller(url).http.get("/services/data").json()
    assert [v["version"] for v in versions] == [f"{n}.0" for n in range(31, 67)]
    assert {"label": "Spring '24", "url": "/services/data/v60.0", "version": "60.0"} in versions
    record = Caller(url, "45.0").query("SELECT Id FROM Account LIMIT 1")["records"][0]
    assert record["attributes"]["url"] == f"/services/data/v45.0/sobjects/Account/{record['Id']}"
    gone = Caller(url, "99.0").get("limits")
    assert (gone.status_code, gone.json()) == (404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])


def test_unknown_paths_and_methods_get_the_vendors_bodies(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    assert caller.get("nonsense/at/all").json()[0]["errorCode"] == "NOT_FOUND"
    answer = caller.send("DELETE", "limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")


def test_counted_answers_tell_of_the_days_calls_until_they_are_used_up(serve: Serve) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(daily_calls=2))))
    assert [caller.get("limits").headers["Sforce-Limit-Info"] for _ in range(2)] == ["api-usage=1/2", "api-usage=2/2"]
    assert "Sforce-Limit-Info" not in caller.http.get("/services/data").headers
    refused = caller.get("limits")
    assert refused.status_code == 403
    assert refused.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_pages_hold_every_record_once(serve: Serve) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(page_size=50))))
    page = caller.get("queryAll", q="SELECT Id FROM Contact ORDER BY SystemModstamp, Id").json()
    total, ids = page["totalSize"], [r["Id"] for r in page["records"]]
    assert page["nextRecordsUrl"].startswith("/services/data/v62.0/query/01g")
    while not page["done"]:
        page = caller.http.get(page["nextRecordsUrl"]).json()
        ids += [r["Id"] for r in page["records"]]
    assert "nextRecordsUrl" not in page
    assert (len(ids), len(set(ids))) == (total, total)
    assert total > 100


def test_the_batch_size_header_is_kept_within_bounds(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    caller.http.headers["Sforce-Query-Options"] = "batchSize=10"
    assert len(caller.query("SELECT Id FROM CampaignMember")["records"]) == 200


def test_a_closed_cursor_is_refused(serve: Serve) -> None:
    made = app(new_store(), SalesforceOptions(page_size=50))
    caller = Caller(serve(made))
    url = caller.query("SELECT Id FROM Contact")["nextRecordsUrl"]
    made.state.org.close_cursors()
    answer = caller.http.get(url)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_deleted_records_show_in_query_all_only(serve: Serve) -> None:
    store = new_store()
    caller = Caller(serve(app(store)))
    person = next(p for p in store.live_people() if p.startswith("003"))
    store.delete_person(person, datetime.now(UTC))
    soql = f"SELECT Id, IsDeleted FROM Contact WHERE Id = '{person}'"
    assert caller.query(soql)["totalSize"] == 0
    assert caller.get("queryAll", q=soql).json()["records"][0]["IsDeleted"] is True
    assert caller.get(f"sobjects/Contact/{person}").json() == fixture("recorded/crm__delete__not-found.json")


def test_deletions_and_updates_are_listed_by_time(serve: Serve) -> None:
    store = new_store()
    caller = Caller(serve(app(store)))
    at = datetime.now(UTC) - timedelta(minutes=10)
    gone, purged, kept = [p for p in store.live_people() if p.startswith("003")][:3]
    for person in (gone, purged):
        store.delete_person(person, at)
    store.purge(purged)
    store.edit_person(kept, {"title": "Chief"}, at)
    times = {"start": (at - timedelta(minutes=5)).isoformat(), "end": datetime.now(UTC).isoformat()}
    body = caller.get("sobjects/Contact/deleted/", **times).json()
    assert {r["id"] for r in body["deletedRecords"]} == {gone, purged}
    assert set(body) == {"deletedRecords", "earliestDateAvailable", "latestDateCovered"}
    assert caller.get("sobjects/Contact/updated/", **times).json()["ids"] == [kept]
    wrong = caller.get("sobjects/Contact/deleted/", start=times["end"], end=times["end"])
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_counts_leave_out_empty_objects(serve: Serve) -> None:
    store = new_store()
    caller = Caller(serve(app(store)))
    body = caller.get("limits/recordCount", sObjects="Contact,User,Nonsense").json()
    assert {e["name"]: e["count"] for e in body["sObjects"]} == {n: c for n, c in store.counts().items() if n in ("Contact", "User")}


def test_a_record_has_every_field_compound_ones_too(serve: Serve) -> None:
    store = new_store()
    caller = Caller(serve(app(store)))
    person = next(p for p in store.live_people() if (store.get(p) or {}).get("MailingCity"))
    record = caller.get(f"sobjects/Contact/{person}").json()
    described = caller.get("sobjects/Contact/describe").json()
    assert list(record) == ["attributes", *(f["name"] for f in described["fields"])]
    assert record["MailingAddress"]["city"] == record["MailingCity"]
    assert set(record["MailingAddress"]) == set(fixture("recorded/read-list-leads.json")["records"][0]["Address"])


def test_a_url_that_is_too_long_is_refused(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    assert caller.get("query", q="SELECT Id FROM Contact WHERE Name = '" + "x" * 17_000 + "'").status_code in (414, 431)


@pytest.mark.parametrize("name", ["Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole"])
def test_describe_has_the_recorded_standard_fields(serve: Serve, name: str) -> None:
    recorded = fixture(f"describe/{name}.json")
    body = Caller(serve(app(new_store()))).get(f"sobjects/{name}/describe").json()
    assert {k for k in recorded if k not in body} <= {"associateEntityType"}
    ours = {f["name"]: f for f in body["fields"]}
    same = ("type", "soapType", "length", "byteLength", "precision", "scale", "digits", "nillable", "createable", "updateable", "filterable",
            "sortable", "idLookup", "compoundFieldName", "relationshipName", "calculated", "custom", "label")  # fmt: skip
    for field in recorded["fields"]:
        if not field["name"].endswith("__c"):
            assert set(field) <= set(ours[field["name"]])
            assert {k: ours[field["name"]][k] for k in same} == {k: field[k] for k in same}


def test_query_answers_have_the_recorded_shape(serve: Serve) -> None:
    recorded = fixture("recorded/read-list-contacts.json")
    fields = [k for k in recorded["records"][0] if k != "attributes"]
    body = Caller(serve(app(new_store())), "60.0").query(f"SELECT {', '.join(fields)} FROM Contact LIMIT 5")
    assert list(body) == list(recorded)
    for row in body["records"]:
        assert list(row) == list(recorded["records"][0])
        assert row["attributes"]["url"].startswith("/services/data/v60.0/sobjects/Contact/003")


def test_an_unknown_object_reads_as_recorded(serve: Serve) -> None:
    recorded = fixture("recorded/unknown-object.json")
    answer = Caller(serve(app(new_store()))).get("query", q="SELECT Id,Name,BillingCity,IsDeleted FROM Accout")
    assert answer.json() == recorded


def test_the_next_page_is_the_same_under_query_all(serve: Serve) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(page_size=50))))
    url = caller.get("queryAll", q="SELECT Id FROM Contact ORDER BY Id").json()["nextRecordsUrl"]
    assert caller.http.get(url.replace("/query/", "/queryAll/")).json()["records"] == caller.http.get(url).json()["records"]
