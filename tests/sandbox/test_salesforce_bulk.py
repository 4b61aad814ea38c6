from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from typing import Any

import pytest

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from tests.sandbox.listed_faults import shows
from tests.sandbox.salesforce_org import Caller, new_store
from tests.sandbox.test_salesforce_api import fixture

Serve = Callable[[Any], str]
SOQL = "SELECT Id, Name, Description, LeadScore__c, IsDeleted, SystemModstamp, Account.Name FROM Contact"


def create(caller: Caller, soql: str = SOQL, operation: str = "query") -> Any:
    answer = caller.send("POST", "jobs/query", {"operation": operation, "query": soql, "contentType": "CSV"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(caller: Caller, soql: str) -> Any:
    answer = caller.send("POST", "jobs/query", {"operation": "query", "query": soql})
    assert answer.status_code == 400
    return answer.json()[0]


def all_rows(caller: Caller, job: str, page: int) -> list[dict[str, str]]:
    rows, locator = [], ""
    while True:
        answer = caller.get(f"jobs/query/{job}/results", maxRecords=page, **({"locator": locator} if locator else {}))
        read = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8"), newline="")))
        assert len(read) == int(answer.headers["Sforce-NumberOfRecords"]) <= page
        rows += read
        locator = answer.headers["Sforce-Locator"]
        if locator == "null":
            return rows


def test_a_new_job_reads_as_recorded(serve: Serve) -> None:
    made = create(Caller(serve(app(new_store())), "60.0"), "SELECT Id FROM Account")
    recorded = fixture("recorded/bulk__read-launch-job-account.json")
    assert list(made) == list(recorded)
    assert {k: made[k] for k in made if k not in ("id", "createdById", "createdDate", "systemModstamp")} == {
        k: recorded[k] for k in recorded if k not in ("id", "createdById", "createdDate", "systemModstamp")
    }


def test_bulk_pages_together_are_what_rest_gives(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    job = create(caller)["id"]
    info = caller.get(f"jobs/query/{job}").json()
    assert (info["state"], info["jobType"]) == ("JobComplete", "V2Query")
    rows = all_rows(caller, job, 37)
    expected = caller.query(SOQL)["records"]
    assert len(rows) == info["numberRecordsProcessed"] == len(expected)
    for row, record in zip(rows, expected, strict=True):
        assert row["Account.Name"] == ((record["Account"] or {}).get("Name") or "")
        assert row["Description"] == (record["Description"] or "")
        assert row["SystemModstamp"] == record["SystemModstamp"].replace("+0000", "Z")
        assert row["LeadScore__c"] == ("" if record["LeadScore__c"] is None else str(record["LeadScore__c"]))
        assert row["IsDeleted"] == "false"
    assert any("\n" in row["Description"] and '"' in row["Description"] for row in rows)


def test_every_value_is_quoted_and_gzip_is_given_when_asked(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    job = create(caller, "SELECT Id, LeadScore__c FROM Contact ORDER BY Id LIMIT 50")["id"]
    plain = caller.http.get(f"/services/data/v62.0/jobs/query/{job}/results", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    lines = plain.text.splitlines()
    assert lines[0] == '"Id","LeadScore__c"'
    assert all(line.startswith('"003') and line.endswith('"') and line.count('"') == 4 for line in lines[1:])
    with caller.http.stream("GET", f"/services/data/v62.0/jobs/query/{job}/results", headers={"Accept-Encoding": "gzip"}) as packed:
        assert gzip.decompress(b"".join(packed.iter_raw())).decode() == plain.text


def test_an_empty_result_is_a_header_alone(serve: Serve) -> None:
    caller = Caller(serve(app(new_store())))
    job = create(caller, "SELECT Id FROM Contact WHERE Name = 'nobody at all'")["id"]
    answer = caller.get(f"jobs/query/{job}/results")
    assert (answer.text, answer.headers["Sforce-NumberOfRecords"], answer.headers["Sforce-Locator"]) == ('"Id"\n', "0", "null")


def test_what_bulk_cannot_do_is_refused(serve: Serve) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(bulk_refuses=frozenset({"Lead"})))))
    assert refused(caller, "SELECT Id, MailingAddress FROM Contact") == {
        "message": "Selecting compound data not supported in Bulk Query", "errorCode": "INVALID_FIELD",
    }  # fmt: skip
    assert refused(caller, "SELECT Id FROM Lead") == {
        "message": "Entity 'Lead' is not supported by the Bulk API.", "errorCode": "INVALIDENTITY",
    }  # fmt: skip
    assert refused(caller, "SELECT COUNT(Id) FROM Contact")["errorCode"] == "API_ERROR"
    assert refused(caller, "SELECT Nope FROM Contact")["errorCode"] == "INVALID_FIELD"


@pytest.mark.parametrize("final", ["DELETE", "PATCH"])
def test_a_running_job_can_be_aborted_and_an_ended_one_deleted(serve: Serve, final: str) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(bulk_job_seconds=60 if final == "PATCH" else 0))))
    job = create(caller)["id"]
    if final == "PATCH":
        assert caller.get(f"jobs/query/{job}").json()["state"] == "InProgress"
        assert caller.get(f"jobs/query/{job}/results").status_code == 400
        assert caller.send("DELETE", f"jobs/query/{job}").status_code == 400
        assert caller.send("PATCH", f"jobs/query/{job}", {"state": "Aborted"}).json()["state"] == "Aborted"
    assert [j["id"] for j in caller.get("jobs/query").json()["records"]] == [job]
    assert caller.send("DELETE", f"jobs/query/{job}").status_code == 204
    assert caller.get(f"jobs/query/{job}").status_code == 404


@shows("Salesforce: results of another version")
def test_results_are_read_with_the_version_that_made_the_job(serve: Serve) -> None:
    url = serve(app(new_store()))
    job = create(Caller(url, "60.0"))["id"]
    assert Caller(url, "61.0").get(f"jobs/query/{job}/results").status_code == 409


def test_pages_of_a_result_can_be_fetched_at_once(serve: Serve) -> None:
    caller = Caller(serve(app(new_store(), SalesforceOptions(bulk_page_rows=7))))
    job = create(caller)["id"]
    path, pages, lists = f"/services/data/v62.0/jobs/query/{job}/resultPages", [], 0
    while path:
        body = caller.http.get(path).json()
        assert 1 <= len(body["resultPages"]) <= 5
        assert body["done"] is ("nextRecordsUrl" not in body)
        pages += [page["resultUrl"] for page in body["resultPages"]]
        path, lists = body.get("nextRecordsUrl"), lists + 1
    assert lists > 1
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(caller.http.get(page).text, newline=""))]
    assert rows == all_rows(caller, job, 7)


def test_pages_of_a_result_come_since_version_58_and_from_a_finished_job(serve: Serve) -> None:
    url = serve(app(new_store(), options := SalesforceOptions()))
    job = create(Caller(url, "57.0"), "SELECT Id FROM Contact WHERE Name = 'nobody at all'")["id"]
    assert Caller(url, "57.0").get(f"jobs/query/{job}/resultPages").status_code == 404
    assert Caller(url, "62.0").get(f"jobs/query/{job}/resultPages").status_code == 409
    caller = Caller(url)
    job = create(caller, "SELECT Id FROM Contact WHERE Name = 'nobody at all'")["id"]
    (page,) = caller.get(f"jobs/query/{job}/resultPages").json()["resultPages"]
    assert caller.http.get(page["resultUrl"]).text == '"Id"\n'
    options.bulk_hangs = True
    assert caller.get(f"jobs/query/{job}/resultPages").status_code == 400
