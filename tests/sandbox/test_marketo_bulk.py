"""The life of a bulk export in the emulated Marketo."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable

import pytest

from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.sandbox.listed_faults import shows
from tests.sandbox.marketo_calls import Caller

BASE = "/bulk/v1/leads/export"
JUNE = {"startAt": "2026-05-31T00:00:00Z", "endAt": "2026-07-01T00:00:00Z"}
FIELDS = ["id", "email", "mktoPersonNotes", "doNotCall", "createdAt", "updatedAt"]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=400)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners)


@pytest.fixture
def call(serve: Callable, store: MarketoStore) -> Caller:
    return Caller(serve(app(store)))


def create(call: Caller, filter_name: str = "createdAt", fields: list[str] = FIELDS, base: str = BASE, range: dict = JUNE, **more) -> dict:
    body = {"fields": fields, "format": "CSV", "filter": {filter_name: range} | more}
    answer = call.post(f"{base}/create.json", body)
    return answer["result"][0] if answer["success"] else answer["errors"][0]


def completed(call: Caller, job: dict, base: str = BASE) -> dict:
    call.post(f"{base}/{job['exportId']}/enqueue.json")
    while (job := call.get(f"{base}/{job['exportId']}/status.json")["result"][0])["status"] != "Completed":
        assert job["status"] in ("Queued", "Processing")
    return job


def test_an_export_goes_from_created_to_a_verified_file(call: Caller, store: MarketoStore):
    job = create(call)
    assert job.keys() == {"exportId", "format", "status", "createdAt"} and job["status"] == "Created"
    assert call.http.get(f"{BASE}/{job['exportId']}/file.json").status_code == 404
    job = completed(call, job)
    file = call.http.get(f"{BASE}/{job['exportId']}/file.json")
    assert file.headers["content-type"] == "text/csv;charset=UTF-8"
    assert job["fileSize"] == len(file.content) and job["fileChecksum"] == f"sha256:{hashlib.sha256(file.content).hexdigest()}"
    rows = list(csv.reader(io.StringIO(file.text, newline="")))
    assert rows[0] == FIELDS and len(rows) - 1 == job["numberOfRecords"] == len(store.leads.between("createdAt", 1780185600, 1782864000))


def test_nothing_is_a_bare_null_and_line_ends_stay_in_quotes(call: Caller, store: MarketoStore):
    created = next(lead["createdAt"] for lead in map(store.leads.get, store.leads.ids()) if lead["mktoPersonNotes"])
    job = create(call, range={"startAt": created, "endAt": created})
    text = call.http.get(f"{BASE}/{completed(call, job)['exportId']}/file.json").text
    assert ',"null",' not in text and ",null," in call.http.get(f"{BASE}/{completed(call, create(call))['exportId']}/file.json").text
    assert ',"Asked for ""pricing"", wants a trial.\nCall back next week\r\n\r\nMet at booth 4",' in text


def test_a_file_is_given_in_ranges(call: Caller):
    path = f"{BASE}/{completed(call, create(call))['exportId']}/file.json"
    whole = call.http.get(path).content
    part = call.http.get(path, headers={"Range": "bytes=10-29"})
    assert (part.status_code, part.content) == (206, whole[10:30])
    assert part.headers["content-range"] == f"bytes 10-29/{len(whole)}" and part.headers["accept-ranges"] == "bytes"
    assert call.http.get(path, headers={"Range": f"bytes={len(whole) - 3}-"}).content == whole[-3:]


@shows("Marketo: 1029 for a full queue")
def test_only_two_run_and_ten_wait(serve: Callable, store: MarketoStore):
    call = Caller(serve(app(store, MarketoOptions(export_seconds=3600))))
    jobs = [create(call)["exportId"] for _ in range(11)]
    answers = [call.post(f"{BASE}/{job}/enqueue.json") for job in jobs]
    assert [a["success"] for a in answers] == [True] * 10 + [False]
    assert answers[-1]["errors"][0] == {"code": "1029", "message": "Too many jobs in queue"}
    assert call.post(f"{BASE}/{jobs[0]}/enqueue.json")["errors"][0]["message"] == "Job already queued"
    statuses = [call.get(f"{BASE}/{job}/status.json")["result"][0]["status"] for job in jobs]
    assert statuses == ["Processing"] * 2 + ["Queued"] * 8 + ["Created"]
    assert call.post(f"{BASE}/{jobs[0]}/cancel.json")["result"][0]["status"] == "Cancelled"
    assert call.post(f"{BASE}/{jobs[10]}/enqueue.json")["success"]
    assert {j["exportId"] for j in call.get(f"{BASE}.json", status="Cancelled,Created")["result"]} == {jobs[0]}


@shows("Marketo: 1029 for the day's bytes")
def test_the_daily_allowance_counts_file_bytes(serve: Callable, store: MarketoStore):
    call = Caller(serve(app(store, MarketoOptions(export_bytes_a_day=1))))
    waiting = create(call)
    completed(call, create(call))
    assert create(call)["code"] == "1029"
    assert "quota" in call.post(f"{BASE}/{waiting['exportId']}/enqueue.json")["errors"][0]["message"]


@shows("Marketo: 1035 for the filter by change")
def test_wrong_requests_are_refused(call: Caller, serve: Callable, store: MarketoStore):
    assert create(call, fields=["id", "nonsense"])["message"] == "Invalid fields [nonsense]"
    body = {"fields": ["id"], "filter": {"createdAt": {"startAt": "2026-05-01T00:00:00Z", "endAt": "2026-06-30T00:00:00Z"}}}
    assert call.post(f"{BASE}/create.json", body)["errors"][0]["code"] == "1003"
    assert call.post(f"{BASE}/create.json", {"fields": ["id"]})["errors"][0]["code"] == "1003"
    without = Caller(serve(app(store, MarketoOptions(export_by_updated_at=False))))
    assert create(without, "updatedAt")["code"] == "1035"


def test_the_filter_by_change_sees_changes_that_the_visible_time_does_not(call: Caller, store: MarketoStore):
    rows = call.http.get(f"{BASE}/{completed(call, create(call, 'updatedAt'))['exportId']}/file.json").text
    visible = [row["updatedAt"] for row in csv.DictReader(io.StringIO(rows, newline=""))]
    assert any(time < JUNE["startAt"] for time in visible) and any(time >= JUNE["startAt"] for time in visible)


def test_activities_are_exported_without_deletions(call: Caller):
    base = "/bulk/v1/activities/export"
    job = completed(call, create(call, fields=[], base=base, activityTypeIds=[12, 32, 37, 104]), base)
    rows = list(csv.DictReader(io.StringIO(call.http.get(f"{base}/{job['exportId']}/file.json").text, newline="")))
    assert {row["activityTypeId"] for row in rows} >= {"12", "104"} and "37" not in {row["activityTypeId"] for row in rows}
    assert '"New Status":' in next(row["attributes"] for row in rows if row["activityTypeId"] == "104")


@pytest.mark.parametrize(("separator", "between"), [("semicolon", ";"), ("space", " ")])
def test_the_format_ssv_has_the_separator_that_the_options_say(serve: Callable, store: MarketoStore, separator: str, between: str):
    call = Caller(serve(app(store, MarketoOptions(ssv_separator=separator))))  # ty: ignore[invalid-argument-type]
    wish = {"fields": ["id", "email"], "format": "SSV", "filter": {"createdAt": JUNE}}
    job = call.post(f"{BASE}/create.json", wish)["result"][0]["exportId"]
    call.post(f"{BASE}/{job}/enqueue.json")
    assert call.get(f"{BASE}/{job}/status.json")["result"][0]["status"] == "Completed"
    lines = call.http.get(f"{BASE}/{job}/file.json").text.splitlines()
    assert lines[0] == f"id{between}email"
    assert all(line.split(between)[0].isdigit() for line in lines[1:])
    rows = f"email{between}title\nssv@new.example{between}CTO\n"
    sent = call.http.post("/bulk/v1/leads.json", params={"format": "ssv"}, files={"file": ("leads.ssv", rows, "text/csv")}).json()
    assert sent["success"]
    assert call.get("/rest/v1/leads.json", filterType="email", filterValues="ssv@new.example", fields="title")["result"] == [
        {"title": "CTO"}
    ]
