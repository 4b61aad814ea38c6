from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.salesforce_org import Caller, new_store

Serve = Callable[[Any], str]
SPACE = "{http://www.force.com/2009/06/asyncapi/dataload}"


class Bulk1Caller:
    """Speaks as tap-salesforce (CSV jobs, XML batches) and simple-salesforce (JSON throughout) do."""

    def __init__(self, caller: Caller, spelling: str):
        self.http, self.spelling = caller.http, spelling
        self.token = self.http.headers.pop("Authorization").partition(" ")[2]

    def call(self, method: str, path: str, content: Any = None, content_type: str = "application/json", **headers: str) -> httpx2.Response:
        sent = {"X-SFDC-Session": self.token, "Content-Type": content_type, **headers}
        if content is not None and not isinstance(content, str | bytes):
            return self.http.request(method, f"/services/async/61.0/job{path}", json=content, headers=sent)
        return self.http.request(method, f"/services/async/61.0/job{path}", content=content, headers=sent)

    def job(self, operation: str = "queryAll", name: str = "Contact", headers: dict[str, str] | None = None, **more: Any) -> str:
        wish = {"operation": operation, "object": name, "contentType": self.spelling, **more}
        answer = self.call("POST", "", wish, **(headers or {}))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def batch(self, job: str, content: Any) -> dict[str, Any]:
        answer = self.call("POST", f"/{job}/batch", content, "application/json" if self.spelling == "JSON" else "text/csv")
        assert answer.status_code == 201, answer.text
        return self.info(answer)

    def info(self, answer: httpx2.Response) -> dict[str, Any]:
        if self.spelling == "JSON":
            return answer.json()
        root = ElementTree.fromstring(answer.content)
        assert root.tag == f"{SPACE}batchInfo"
        return {child.tag.removeprefix(SPACE): child.text for child in root}

    def rows(self, job: str, batch: str) -> list[dict[str, Any]]:
        listed = self.call("GET", f"/{job}/batch/{batch}/result")
        if self.spelling == "JSON":
            (result,) = listed.json()
            return self.call("GET", f"/{job}/batch/{batch}/result/{result}").json()
        (found,) = ElementTree.fromstring(listed.content).findall(f"{SPACE}result")
        text = self.call("GET", f"/{job}/batch/{batch}/result/{found.text}", content_type="text/csv").text
        return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions()


@pytest.fixture
def caller(serve: Serve, store: SalesforceStore, options: SalesforceOptions) -> Caller:
    return Caller(serve(app(store, options)))


def test_a_csv_query_gives_every_row_as_rest_does(caller: Caller) -> None:
    soql = "SELECT Id, Name, Description, IsDeleted, SystemModstamp FROM Contact"
    expected = caller.get("queryAll", q=soql).json()["records"]
    bulk = Bulk1Caller(caller, "CSV")
    job = bulk.job()
    batch = bulk.batch(job, soql)
    assert bulk.call("POST", f"/{job}", {"state": "Closed"}).json()["state"] == "Closed"
    assert bulk.info(bulk.call("GET", f"/{job}/batch/{batch['id']}"))["state"] == "Completed"
    rows = bulk.rows(job, batch["id"])
    assert [r["Id"] for r in rows] == [e["Id"] for e in expected]
    assert [r["Description"] for r in rows] == [e["Description"] or "" for e in expected]
    assert [r["SystemModstamp"] for r in rows] == [e["SystemModstamp"].replace("+0000", "Z") for e in expected]


def test_a_json_query_gives_times_as_milliseconds(caller: Caller) -> None:
    soql = "SELECT Id, CreatedDate, Account.Name, LeadScore__c FROM Contact"
    expected = caller.query(soql)["records"]
    bulk = Bulk1Caller(caller, "JSON")
    job = bulk.job("query")
    batch = bulk.batch(job, soql)
    assert (batch["jobId"], batch["state"], batch["stateMessage"]) == (job, "Queued", None)
    rows = bulk.rows(job, batch["id"])
    assert [list(r) for r in rows[:1]] == [["attributes", "Id", "CreatedDate", "Account", "LeadScore__c"]]
    assert [datetime.fromtimestamp(r["CreatedDate"] / 1000, UTC) for r in rows] == [
        datetime.fromisoformat(e["CreatedDate"]) for e in expected
    ]
    assert [(r["Account"] or {}).get("Name") for r in rows] == [(e["Account"] or {}).get("Name") for e in expected]


def test_an_xml_job_speaks_xml_throughout(caller: Caller) -> None:
    bulk = Bulk1Caller(caller, "XML")
    wish = (f'<?xml version="1.0"?><jobInfo xmlns="{SPACE[1:-1]}"><operation>query</operation><object>User</object>'
            "<contentType>XML</contentType></jobInfo>")  # fmt: skip
    made = ElementTree.fromstring(bulk.call("POST", "", wish, "application/xml").content)
    assert made.tag == f"{SPACE}jobInfo"
    job = made.findtext(f"{SPACE}id") or ""
    assert made.findtext(f"{SPACE}createdDate", "").endswith(".000Z")
    batch = bulk.info(bulk.call("POST", f"/{job}/batch", "SELECT Id, Email FROM User", "application/xml"))
    result = ElementTree.fromstring(bulk.call("GET", f"/{job}/batch/{batch['id']}/result").content)
    rows = ElementTree.fromstring(bulk.call("GET", f"/{job}/batch/{batch['id']}/result/{result[0].text}").content)
    assert all((row.findtext(f"{SPACE}Id") or "").startswith("005") for row in rows)
    assert len(rows) > 1


def test_a_job_split_by_primary_key_has_every_row_once(caller: Caller) -> None:
    ids = [r["Id"] for r in caller.get("queryAll", q="SELECT Id FROM Contact").json()["records"]]
    bulk = Bulk1Caller(caller, "CSV")
    job = bulk.job(headers={"Sforce-Enable-PKChunking": "true; chunkSize=50; parent=Account"})
    first = bulk.batch(job, "SELECT Id FROM Contact")
    listed = ElementTree.fromstring(bulk.call("GET", f"/{job}/batch").content)
    states = {b.findtext(f"{SPACE}id"): b.findtext(f"{SPACE}state") for b in listed}
    assert states.pop(first["id"]) == "Not Processed"
    assert set(states.values()) == {"Completed"}
    assert len(states) == -(-len(ids) // 50)
    assert [r["Id"] for batch in states for r in bulk.rows(job, batch or "")] == sorted(ids)


def test_an_expired_session_is_400_here(caller: Caller) -> None:
    bulk = Bulk1Caller(caller, "JSON")
    bulk.token = "expired"
    answer = bulk.call("POST", "", {"operation": "query", "object": "Contact", "contentType": "JSON"})
    assert (answer.status_code, answer.json()) == (400, {"exceptionCode": "InvalidSessionId", "exceptionMessage": "Invalid session id"})
    xml = ElementTree.fromstring(bulk.call("GET", "/750", content_type="application/xml").content)
    assert xml.findtext(f"{SPACE}exceptionCode") == "InvalidSessionId"


def test_what_is_not_there_or_not_possible_is_said_with_its_code(caller: Caller, options: SalesforceOptions) -> None:
    bulk = Bulk1Caller(caller, "JSON")
    missing = bulk.call("GET", "/750000000000000AAA")
    assert (missing.status_code, missing.headers["Content-Type"], missing.json()["exceptionCode"]) == (
        400,
        "application/json",
        "InvalidJob",
    )
    options.bulk_refuses = frozenset({"Lead"})
    refused = bulk.call("POST", "", {"operation": "query", "object": "Lead", "contentType": "JSON"})
    assert refused.json()["exceptionCode"] == "FeatureNotEnabled"
    assert bulk.call("POST", "", b"{oops").json()["exceptionCode"] == "InvalidJob"
    job = bulk.job("query")
    failed = bulk.batch(job, "SELECT Nope FROM Contact")
    told = bulk.info(bulk.call("GET", f"/{job}/batch/{failed['id']}"))
    assert told["state"] == "Failed"
    assert told["stateMessage"].startswith("InvalidBatch : Failed to process query: INVALID_FIELD")
    assert bulk.call("GET", f"/{job}/batch/{failed['id']}/result").json()["exceptionCode"] == "InvalidBatch"
    bulk.call("POST", f"/{job}", {"state": "Closed"})
    assert bulk.call("POST", f"/{job}/batch", "SELECT Id FROM Contact").json()["exceptionCode"] == "InvalidJobState"


def test_an_empty_csv_result_says_so(caller: Caller) -> None:
    bulk = Bulk1Caller(caller, "CSV")
    job = bulk.job()
    batch = bulk.batch(job, "SELECT Id FROM Contact WHERE Name = 'nobody at all'")
    result = ElementTree.fromstring(bulk.call("GET", f"/{job}/batch/{batch['id']}/result").content)[0].text
    text = bulk.call("GET", f"/{job}/batch/{batch['id']}/result/{result}", content_type="text/csv").text
    assert text == '"Records not found for this query"\n'


def test_rows_are_written_and_told_in_order(caller: Caller) -> None:
    bulk = Bulk1Caller(caller, "JSON")
    job = bulk.job("insert")
    batch = bulk.batch(job, [{"LastName": "Lee", "Title": "Chief"}, {"FirstName": "Nobody"}])
    made, failed = bulk.call("GET", f"/{job}/batch/{batch['id']}/result").json()
    assert (made["success"], made["created"], made["errors"]) == (True, True, [])
    assert (failed["success"], failed["id"], failed["errors"][0]["statusCode"]) == (False, None, "REQUIRED_FIELD_MISSING")
    job = bulk.job("update")
    bulk.batch(job, [{"Id": made["id"], "Title": None}])
    job = bulk.job("upsert", externalIdFieldName="External_Id__c")
    upserted = bulk.batch(job, [{"External_Id__c": "7", "LastName": "Roe"}, {"External_Id__c": "7", "LastName": "Poe"}])
    assert [r["created"] for r in bulk.call("GET", f"/{job}/batch/{upserted['id']}/result").json()] == [True, False]
    job = bulk.job("query")
    soql = f"SELECT LastName, Title FROM Contact WHERE Id = '{made['id']}' OR External_Id__c = '7'"
    assert [(r["LastName"], r["Title"]) for r in bulk.rows(job, bulk.batch(job, soql)["id"])] == [("Lee", None), ("Poe", None)]


def test_csv_rows_clear_with_a_mark(caller: Caller, store: SalesforceStore) -> None:
    bulk = Bulk1Caller(caller, "CSV")
    person = next(p for p in store.live_people() if p.startswith("003"))
    job = bulk.job("update")
    batch = bulk.batch(job, f"Id,Title,LastName\n{person},#N/A,\n")
    text = bulk.call("GET", f"/{job}/batch/{batch['id']}/result").text
    assert text == f'"Id","Success","Created","Error"\n"{person}","true","false",""\n'
    assert store.value(person, "Title") is None
    assert store.value(person, "LastName")
