from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.salesforce_org import Caller, new_store
from tests.sandbox.test_salesforce_api import FIXTURES, fixture

Serve = Callable[[Any], str]


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


@pytest.fixture
def options() -> SalesforceOptions:
    return SalesforceOptions()


@pytest.fixture
def caller(serve: Serve, store: SalesforceStore, options: SalesforceOptions) -> Caller:
    return Caller(serve(app(store, options)), "60.0")


def create(caller: Caller, operation: str, name: str = "Contact", **more: Any) -> Any:
    answer = caller.send("POST", "jobs/ingest", {"object": name, "operation": operation, "contentType": "CSV", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(caller: Caller, operation: str, rows: str, name: str = "Contact", **more: Any) -> Any:
    job = create(caller, operation, name, **more)
    put = caller.http.put(f"/{job['contentUrl']}", content=rows.encode(), headers={"Content-Type": "text/csv"})
    assert (put.status_code, put.content) == (201, b"")
    assert caller.send("PATCH", f"jobs/ingest/{job['id']}", {"state": "UploadComplete"}).status_code == 200
    return caller.get(f"jobs/ingest/{job['id']}").json()


def results(caller: Caller, job: Any, kind: str, delimiter: str = ",") -> list[dict[str, str]]:
    answer = caller.get(f"jobs/ingest/{job['id']}/{kind}")
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), delimiter=delimiter))


def typed(body: Any) -> dict[str, type]:
    return {key: type(value) for key, value in body.items()}


def test_a_job_reads_as_recorded_from_its_creation_to_its_end(caller: Caller) -> None:
    made = create(caller, "upsert", "Opportunity", externalIdFieldName="External_Id__c")
    recorded = fixture("recorded/bulk__write__launch-job-opportunity.json")
    assert typed(made) == typed(recorded)
    assert made["contentUrl"] == f"services/data/v60.0/jobs/ingest/{made['id']}/batches"
    deleting = create(caller, "delete", "Opportunity")
    assert typed(deleting) == typed(fixture("recorded/bulk__delete__launch-job-opportunity.json"))
    caller.http.put(f"/{deleting['contentUrl']}", content=b"Id\n")
    closed = caller.send("PATCH", f"jobs/ingest/{deleting['id']}", {"state": "UploadComplete"}).json()
    assert typed(closed) == typed(fixture("recorded/bulk__delete__update-job-opportunity.json"))
    assert closed["state"] == "UploadComplete"


def test_inserted_rows_are_told_in_order(caller: Caller) -> None:
    job = run(caller, "insert", 'LastName,Title,Description\nLee,Chief,"two\nlines, and ""quotes"""\nRoe,,x\n')
    assert (job["state"], job["jobType"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", "V2Ingest", 2, 0)
    done = results(caller, job, "successfulResults")
    assert [(r["sf__Created"], r["LastName"]) for r in done] == [("true", "Lee"), ("true", "Roe")]
    assert list(done[0]) == ["sf__Id", "sf__Created", "LastName", "Title", "Description"]
    record = caller.get(f"sobjects/Contact/{done[0]['sf__Id']}").json()
    assert record["Description"] == 'two\nlines, and "quotes"'
    assert results(caller, job, "failedResults") == results(caller, job, "unprocessedrecords") == []


def test_an_empty_cell_leaves_a_field_and_a_mark_clears_it(caller: Caller) -> None:
    first = run(caller, "insert", "LastName,Title,Phone\nLee,Chief,1\n")
    (row,) = results(caller, first, "successfulResults")
    run(caller, "update", f"Id,Title,Phone\n{row['sf__Id']},,#N/A\n")
    record = caller.get(f"sobjects/Contact/{row['sf__Id']}").json()
    assert (record["Title"], record["Phone"]) == ("Chief", None)


def test_failed_rows_read_as_recorded_and_do_not_fail_the_job(caller: Caller) -> None:
    path = FIXTURES / "recorded" / "bulk__info__partial-failure.csv"
    fixture("recorded/bulk__info__partial-failure.json")
    recorded = path.read_text()
    header, row = recorded.splitlines()
    rows = ",".join(header.split(",")[2:]) + "\n" + row.split('--",', 1)[1] + "\nGood One,GENERATED,external-id-4,2003-04-09\n"
    job = run(caller, "upsert", rows, "Opportunity", externalIdFieldName="external_id__c")
    assert typed(job) == typed(fixture("recorded/bulk__info__partial-failure.json"))
    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", 2, 1)
    assert caller.get(f"jobs/ingest/{job['id']}/failedResults").text.strip() == recorded.strip()
    assert [r["sf__Created"] for r in results(caller, job, "successfulResults")] == ["true"]


def test_an_unknown_column_fails_the_whole_job_as_recorded(caller: Caller) -> None:
    recorded = fixture("recorded/bulk__info__complete-failure.json")
    name = recorded["errorMessage"].rpartition(" ")[2]
    job = run(caller, "upsert", f"External_Id__c,{name}\n1,x\n", "Opportunity", externalIdFieldName="External_Id__c")
    assert typed(job) == typed(recorded)
    assert (job["state"], job["errorMessage"]) == ("Failed", recorded["errorMessage"])


def test_rows_of_every_operation_fail_on_their_own(caller: Caller) -> None:
    inserted = run(caller, "insert", "LastName,External_Id__c,Email\nLee,1,a@b.example\n,2,\nRoe,1,\nPoe,3,bad\n")
    errors = [r["sf__Error"].partition(":")[0] for r in results(caller, inserted, "failedResults")]
    assert errors == ["REQUIRED_FIELD_MISSING", "DUPLICATE_VALUE", "INVALID_EMAIL_ADDRESS"]
    (row,) = results(caller, inserted, "successfulResults")
    record_id = row["sf__Id"]
    upserted = run(caller, "upsert", "External_Id__c,Title\n1,Chief\n9,x\n", externalIdFieldName="External_Id__c")
    assert [r["sf__Created"] for r in results(caller, upserted, "successfulResults")] == ["false"]
    deleted = run(caller, "delete", f"Id\n{record_id}\n{record_id}\nnonsense\n")
    assert [r["sf__Error"].partition(":")[0] for r in results(caller, deleted, "failedResults")] == ["ENTITY_IS_DELETED", "MALFORMED_ID"]


def test_a_hard_delete_leaves_nothing_in_the_recycle_bin(caller: Caller, store: SalesforceStore) -> None:
    rows = run(caller, "insert", "LastName\nLee\nRoe\n")
    first, second = (r["sf__Id"] for r in results(caller, rows, "successfulResults"))
    caller.send("DELETE", f"sobjects/Contact/{first}")
    job = run(caller, "hardDelete", f"Id\n{first}\n{second}\n")
    assert job["numberRecordsFailed"] == 0
    assert caller.get("queryAll", q=f"SELECT Id FROM Contact WHERE Id IN ('{first}','{second}')").json()["totalSize"] == 0
    assert store.get(first) is None


def test_parents_may_be_named_by_external_id(caller: Caller) -> None:
    run(caller, "insert", "Name,External_Id__c\nAcme,acme\n", "Account")
    job = run(caller, "insert", "LastName,Account.External_Id__c\nLee,acme\nRoe,none\n")
    (done,), (failed,) = results(caller, job, "successfulResults"), results(caller, job, "failedResults")
    assert caller.query(f"SELECT Account.Name FROM Contact WHERE Id = '{done['sf__Id']}'")["records"][0]["Account"]["Name"] == "Acme"
    assert "Foreign key external ID: none not found" in failed["sf__Error"]


@pytest.mark.parametrize(("delimiter", "mark"), [("SEMICOLON", ";"), ("TAB", "\t"), ("PIPE", "|")])
def test_files_come_in_other_spellings(caller: Caller, delimiter: str, mark: str) -> None:
    job = run(caller, "insert", f"LastName{mark}Title\r\nLee{mark}Chief\r\n", columnDelimiter=delimiter, lineEnding="CRLF")
    assert [r["Title"] for r in results(caller, job, "successfulResults", mark)] == ["Chief"]


def test_another_line_ending_than_declared_fails_the_job(caller: Caller) -> None:
    job = run(caller, "insert", "LastName\r\nLee\r\n")
    assert (job["state"], job["errorMessage"]) == (
        "Failed", "InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is LF",
    )  # fmt: skip


def test_a_job_can_hang_be_aborted_and_be_deleted(caller: Caller, options: SalesforceOptions) -> None:
    options.bulk_hangs = True
    job = run(caller, "insert", "LastName\nLee\n")
    assert typed(job) == {k: v for k, v in typed(fixture("recorded/bulk__info__in-progress.json")).items() if k != "externalIdFieldName"}
    assert (job["state"], job["numberRecordsProcessed"]) == ("InProgress", 0)
    path = f"jobs/ingest/{job['id']}"
    assert caller.get(f"{path}/successfulResults").json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert caller.send("DELETE", path).status_code == 400
    assert caller.send("PATCH", path, {"state": "Aborted"}).json()["state"] == "Aborted"
    assert caller.send("DELETE", path).status_code == 204
    assert caller.get(path).status_code == 404


def test_rows_after_a_failure_are_unprocessed(caller: Caller, options: SalesforceOptions) -> None:
    options.bulk_partial_rows = 1
    job = run(caller, "insert", "LastName\nLee\nRoe\nPoe\n")
    assert (job["state"], job["numberRecordsProcessed"]) == ("Failed", 1)
    assert [r["LastName"] for r in results(caller, job, "unprocessedrecords")] == ["Roe", "Poe"]


@pytest.mark.parametrize(
    "wish", [{"object": "Nonsense", "operation": "insert"}, {"object": "Contact", "operation": "melt"}, {"object": "Contact", "operation": "upsert"},
             {"object": "Contact", "operation": "upsert", "externalIdFieldName": "Title"}, {"object": "Contact", "operation": "insert", "lineEnding": "X"}],
)  # fmt: skip
def test_a_job_that_cannot_be_is_refused(caller: Caller, wish: Any) -> None:
    assert caller.send("POST", "jobs/ingest", wish).status_code == 400
    assert caller.get("jobs/ingest").json()["records"] == []


def test_rows_are_uploaded_once_and_only_to_an_open_job(caller: Caller) -> None:
    job = create(caller, "insert")
    put = lambda: caller.http.put(f"/{job['contentUrl']}", content=b"LastName\nLee\n").status_code
    assert (put(), put()) == (201, 400)
    assert caller.http.put(f"/{create(caller, 'insert')['contentUrl']}", content=b"\xff").status_code == 400
