"""Bulk import of leads into the emulated Marketo, and the dirt of its exported files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.sandbox.listed_faults import shows
from tests.sandbox.marketo_calls import Caller


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=200)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture
def call(serve: Callable, store: MarketoStore) -> Caller:
    return Caller(serve(app(store)))


def send(call: Caller, content: bytes | str, **params: Any) -> dict[str, Any]:
    answer = call.http.post("/bulk/v1/leads.json", params={"format": "csv"} | params, files={"file": ("leads.csv", content, "text/csv")})
    return answer.json()


def test_a_file_creates_and_updates_leads_and_tells_of_rows_that_failed(call: Caller, store: MarketoStore):
    call.post("/rest/v1/leads.json", {"input": [{"email": "old@new.example", "title": "CTO", "phone": "1"}]})
    text = (
        "email,firstName,title,phone,leadScore\r\n"
        'new@new.example,"An, ""n""",,,3\r\n'
        "old@new.example,Old,,null,many\r\n"
        ",No address,,,\r\n"
        "short@new.example\r\n"
        "new@new.example,Later,,,\r\n"
    )
    made = send(call, text, listId=3002)["result"][0]
    assert made == {"batchId": made["batchId"], "importId": str(made["batchId"]), "status": "Queued"}
    status = call.get(f"/bulk/v1/leads/batch/{made['batchId']}.json")["result"][0]
    assert {k: v for k, v in status.items() if k != "message"} == {
        "batchId": made["batchId"], "importId": str(made["batchId"]), "status": "Complete", "numOfLeadsProcessed": 3, "numOfRowsFailed": 2,
        "numOfRowsWithWarning": 1,
    }  # fmt: skip
    asked = {"filterType": "email", "filterValues": "new@new.example,old@new.example", "fields": "id,firstName,title,phone,leadScore"}
    new, old = call.get("/rest/v1/leads.json", **asked)["result"]
    assert (new["firstName"], new["leadScore"]) == ("Later", 3)
    assert (old["title"], old["phone"], old["leadScore"]) == ("CTO", None, None)
    assert store.lists.has(3002, new["id"])
    failed = list(csv.DictReader(io.StringIO(call.http.get(f"/bulk/v1/leads/batch/{made['batchId']}/failures.json").text)))
    assert failed[0]["firstName"] == "No address"
    assert failed[0]["Import Failure Reason"] == "Value for lookup field 'email' not found"
    warned = call.http.get(f"/bulk/v1/leads/batch/{made['batchId']}/warnings.json").text
    assert "Import Warning Reason" in warned and "'leadScore' and value 'many'" in warned


def test_an_import_is_at_work_for_a_while_and_ten_may_be(serve: Callable, store: MarketoStore):
    options = MarketoOptions(import_seconds=3600)
    call = Caller(serve(app(store, options)))
    answers = [send(call, "email\nx@new.example\n") for _ in range(11)]
    assert [a["success"] for a in answers] == [True] * 10 + [False] and answers[-1]["errors"][0]["code"] == "1016"
    batch = answers[0]["result"][0]["batchId"]
    assert call.get(f"/bulk/v1/leads/batch/{batch}.json")["result"][0]["status"] == "Queued"
    options.import_seconds = 0
    assert call.get(f"/bulk/v1/leads/batch/{batch}.json")["result"][0]["numOfLeadsProcessed"] == 1
    assert call.http.get(f"/bulk/v1/leads/batch/{batch}/failures.json").status_code == 404


@pytest.mark.parametrize(
    ("content", "params", "code"),
    [
        ("email,nonsense\na@b.example,1\n", {}, "1006"),
        ("firstName\nAnn\n", {}, "1003"),
        ("", {}, "1003"),
        (b"email\n\xff\xfe\n", {}, "1003"),
        ("email\na@b.example\n", {"format": "xls"}, "1003"),
        ("email\na@b.example\n", {"lookupField": "title"}, "1011"),
        ("email\na@b.example\n", {"listId": "7"}, "1013"),
        ("email\na@b.example\n", {"partitionName": "Nowhere"}, "1008"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(call: Caller, content: Any, params: dict, code: str):
    assert send(call, content, **params)["errors"][0]["code"] == code


@shows("Marketo: 413")
def test_bodies_beyond_the_limit_are_too_large(call: Caller):
    assert call.http.post("/rest/v1/leads.json", content=b" " * 1_048_577).status_code == 413
    assert call.http.post("/bulk/v1/leads.json", content=b" " * 1_048_577).json()["errors"][0]["code"] == "612"
    assert call.http.post("/bulk/v1/leads.json", content=b" " * 10_485_761).status_code == 413


def exported(call: Caller, fields: list[str], **wanted: Any) -> bytes:
    job = call.post("/bulk/v1/leads/export/create.json", {"fields": fields, "format": "CSV", "filter": wanted})["result"][0]["exportId"]
    call.post(f"/bulk/v1/leads/export/{job}/enqueue.json")
    call.get(f"/bulk/v1/leads/export/{job}/status.json")
    return call.http.get(f"/bulk/v1/leads/export/{job}/file.json").content


def test_a_file_of_a_static_list_has_its_members(call: Caller, store: MarketoStore):
    rows = exported(call, ["id"], staticListId=3001).decode().splitlines()
    assert rows == ["id", *map(str, store.lists.members(3001))]


@shows("Marketo: dirt in the file")
def test_dirt_comes_into_files_on_request_only(serve: Callable, store: MarketoStore):
    options = MarketoOptions()
    call = Caller(serve(app(store, options)))
    for lead in range(3, 60, 10):
        store.leads.alive[lead - 1] = 1
        store.lists.put(3001, lead)
    clean = exported(call, ["id", "lastName"], staticListId=3001)
    assert b"\x00" not in clean and "\u2028" not in clean.decode() and list(csv.reader(io.StringIO(clean.decode())))
    options.csv_dirt = frozenset({"nul", "u2028", "crlf"})
    dirty = exported(call, ["id", "lastName"], staticListId=3001).decode()
    assert dirty.count("\x00\u2028\r\n") >= 6
    assert len(list(csv.reader(io.StringIO(dirty, newline="")))) == clean.count(b"\n"), "the file is still good CSV"
    options.csv_dirt = frozenset({"quotes"})
    stray = [line for line in exported(call, ["id", "lastName"], staticListId=3001).decode().splitlines() if line.startswith("3,")]
    assert stray[0].count('"') == 3 and stray[0].endswith('"'), "text in quotes with one more inside, which is not doubled"


@pytest.mark.parametrize(("outcome", "status"), [("fail", "Failed"), ("hang", "Processing")])
@shows("Marketo: export that fails", "Marketo: export that hangs", "Marketo: Cancelled spelt either way")
def test_exports_can_fail_or_hang(serve: Callable, store: MarketoStore, outcome: Any, status: str):
    call = Caller(serve(app(store, MarketoOptions(exports=outcome, cancelled="Canceled"))))
    body = {"fields": ["id"], "filter": {"createdAt": {"startAt": "2026-05-01T00:00:00+0000", "endAt": "2026-05-02T00:00:00-00:00"}}}
    job = call.post("/bulk/v1/leads/export/create.json", body)["result"][0]["exportId"]
    call.post(f"/bulk/v1/leads/export/{job}/enqueue.json")
    shown = [call.get(f"/bulk/v1/leads/export/{job}/status.json")["result"][0] for _ in range(3)][-1]
    assert shown["status"] == status and ("errorMsg" in shown) is (outcome == "fail")
    assert call.http.get(f"/bulk/v1/leads/export/{job}/file.json").status_code == 404
    assert call.post(f"/bulk/v1/leads/export/{job}/cancel.json")["result"][0]["status"] == ("Canceled" if outcome == "hang" else "Failed")
