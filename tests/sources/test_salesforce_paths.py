"""Every way to read a Salesforce object, and what makes a read leave one way for another; kinds of failure that others' users reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations import salesforce_bulk
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sources import salesforce, salesforce_records
from cdp_pipelines.sources.reader import Batch, Span
from cdp_pipelines.sources.warehouse import Warehouse
from tests.sandbox.salesforce_org import new_store
from tests.sources.fronts import Front
from tests.sources.known_failures import known_failure
from tests.sources.test_salesforce import complete, connection, live, rows, run

CONTACT = next(t for t in salesforce.TABLES if t.name == "contact")
Read = tuple[list[Batch], CRMError | None]


def refusal(code: str, message: str = "no", status: int = 400) -> Response:
    return JSONResponse([{"errorCode": code, "message": message}], status)


def read(url: str, folder: Path, *, most: int | None = None, span: Span | None = None, **settings: Any) -> Read:
    """The batches of a full read of contacts, at most so many, and the error that ended it."""

    async def batches() -> Read:
        reader = salesforce.SalesforceReader(
            connection(url, **settings), Warehouse(Settings(data_dir=folder / "none"), "salesforce", "salesforce")
        )
        found: list[Batch] = []
        reading = reader.read(CONTACT, span or Span("full", None, datetime.now(UTC)))
        try:
            async for batch in reading:
                found.append(batch)
                if len(found) == most:
                    break
        except CRMError as error:
            return found, error
        finally:
            await reading.aclose()
            await reader.client.close()
        return found, None

    return asyncio.run(batches())


def ids(batches: list[Batch]) -> list[str]:
    return [i for batch in batches if not isinstance(batch.rows, list) for i in batch.rows["Id"].to_pylist()]


def contacts(store: Any) -> int:
    return len(store.records["Contact"].stamps)


def test_a_query_that_times_out_is_never_an_empty_table(serve: Callable, tmp_path: Path) -> None:
    front = Front(app(new_store()), lambda call: refusal("QUERY_TIMEOUT") if "FROM Contact" in call or "jobs/query" in call else None)
    found, error = read(serve(front), tmp_path)
    assert found == []
    assert "QUERY_TIMEOUT" in str(error)


@known_failure("airbytehq/airbyte#32166")
@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_what_is_too_much_for_one_query_is_read_by_ids_in_turn(
    serve: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(salesforce_records, "ROWS_BY_ID", 500)
    store = new_store()

    def instead(call: str) -> Response | None:
        big = "FROM Contact" in call and ("LIMIT" not in call or "LIMIT 500" in call)
        return refusal(code) if big or ("POST" in call and "jobs/query" in call) else None

    front = Front(app(store), instead)
    found, error = read(serve(front), tmp_path)
    assert error is None
    assert len(set(ids(found))) == len(ids(found)) == contacts(store)
    assert front.count("LIMIT 125", "Id >") >= contacts(store) // 125


def test_a_query_that_rest_cannot_do_is_done_by_bulk(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    front = Front(app(store), lambda call: refusal("QUERY_TIMEOUT") if "FROM Contact" in call else None)
    found, error = read(serve(front), tmp_path)
    assert error is None
    assert len(ids(found)) == contacts(store)
    assert front.count("POST", "jobs/query") == 1


def test_more_records_than_the_count_said_are_read_by_bulk(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    front = Front(app(store), lambda call: JSONResponse({"sObjects": []}) if "recordCount" in call else None)
    found, error = read(serve(front), tmp_path, bulk_above=10)
    assert error is None
    assert len(ids(found)) == contacts(store)
    assert (front.count("POST", "jobs/query"), front.count("queryAll")) == (1, 1)


@known_failure("airbytehq/airbyte#68166")
def test_an_object_whose_system_modstamp_cannot_be_filtered_is_read_by_another_date(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    text = "field 'SystemModstamp' can not be filtered in a query call"
    front = Front(app(store), lambda call: refusal("INVALID_FIELD", text) if "WHERE SystemModstamp" in call else None)
    url = serve(front)
    complete(run(connection(url), tmp_path, tables=["contact"]))
    person = live(store, "003")[0]
    store.edit_person(person, {"email": "changed@mail.example"}, datetime.now(UTC))
    report = complete(run(connection(url), tmp_path, tables=["contact"]))
    assert rows(tmp_path, "contact")[person]["email"] == "changed@mail.example"
    assert report.tables[0].rows_read < 20
    assert front.count("WHERE LastModifiedDate >=") > 0


def test_an_object_without_a_date_to_filter_is_read_whole(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    text = "field 'SystemModstamp' can not be filtered in a query call"
    front = Front(app(store), lambda call: refusal("INVALID_FIELD", text) if "FROM Contact WHERE" in call else None)
    span = Span("incremental", datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC))
    found, error = read(serve(front), tmp_path, span=span)
    assert error is None
    assert len(ids(found)) == contacts(store)


def test_records_that_share_a_timestamp_at_the_borders_of_windows_are_not_lost(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    people = live(store, "003")[:5]
    for person in people:
        store.edit_person(person, {"title": "At the same second"}, at)
    url = serve(app(store, SalesforceOptions(page_size=2)))
    for start, end in ((at, at + timedelta(minutes=1)), (at - timedelta(minutes=1), at + timedelta(microseconds=1))):
        found, error = read(url, tmp_path, span=Span("incremental", start, end))
        assert error is None
        assert set(people) <= set(ids(found))


def test_a_window_without_changes_moves_the_cursor(serve: Callable, tmp_path: Path) -> None:
    made = connection(serve(app(new_store())), overlap_seconds=0)
    complete(run(made, tmp_path, tables=["campaign"]))
    first, second = (complete(run(made, tmp_path, tables=["campaign"])).tables[0] for _ in range(2))
    assert second.rows_read == 0
    assert first.cursor and second.cursor and second.cursor > first.cursor


def test_a_record_that_shows_late_is_read_by_the_next_run(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    made_app = app(store)
    made = connection(serve(made_app))
    complete(run(made, tmp_path, tables=["contact"]))
    made_app.state.org.options.visible_after_seconds = 3600
    person = live(store, "003")[0]
    store.edit_person(person, {"email": "late@mail.example"}, datetime.now(UTC))
    complete(run(made, tmp_path, tables=["contact"]))
    made_app.state.org.options.visible_after_seconds = 0
    complete(run(made, tmp_path, tables=["contact"]))
    assert rows(tmp_path, "contact")[person]["email"] == "late@mail.example"


def test_a_cursor_that_is_closed_in_the_middle_goes_on_from_the_last_change(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    made = app(store, SalesforceOptions(page_size=40))
    front = Front(made, lambda call: made.state.org.close_cursors() if call.endswith("-80") and front.count("-80") == 1 else None)
    found, error = read(serve(front), tmp_path)
    assert error is None
    assert len(set(ids(found))) == contacts(store)
    assert front.count("SystemModstamp >=") == 1


def test_a_full_read_over_rest_that_stops_goes_on_from_the_last_change_it_saw(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    front = Front(app(store, SalesforceOptions(page_size=40)))
    url = serve(front)
    first, _ = read(url, tmp_path, most=3)
    assert first[-1].resume
    front.calls.clear()
    rest, error = read(url, tmp_path, span=Span("full", None, datetime.now(UTC), resume=json.loads(json.dumps(first[-1].resume))))
    assert error is None
    assert set(ids(first)) | set(ids(rest)) == set(ids(read(url, tmp_path)[0]))
    assert len(ids(rest)) <= contacts(store) - 2 * 40


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce_bulk, "PAGE_ROWS", 50)


@known_failure("simple-salesforce/simple-salesforce#748", "simple-salesforce/simple-salesforce#803")
def test_the_pages_of_a_large_result_come_at_once_and_in_order(serve: Callable, tmp_path: Path, small_pages: None) -> None:
    store, options = new_store(), SalesforceOptions(bulk_page_rows=20)
    front = Front(app(store, options))
    found, error = read(serve(front), tmp_path, bulk_above=0)
    in_turn, _ = read(serve(app(store, options)), tmp_path, bulk_above=0, api_version="57.0")
    assert error is None
    assert ids(found) == ids(in_turn)
    pages = -(-contacts(store) // 20)
    assert (front.count("/results?"), front.count("resultPages")) == (pages, -(-pages // 5))
    assert found[0].expected == contacts(store)


def test_a_bulk_read_that_stops_goes_on_with_the_same_job(serve: Callable, tmp_path: Path, small_pages: None) -> None:
    store = new_store()
    front = Front(app(store, SalesforceOptions(bulk_page_rows=50)))
    url = serve(front)
    first, _ = read(url, tmp_path, most=3, bulk_above=0)
    front.calls.clear()
    rest, error = read(url, tmp_path, span=Span("full", None, datetime.now(UTC), resume=first[-1].resume))
    assert error is None
    assert (front.count("POST", "jobs/query"), front.count("FROM Contact")) == (0, 0)
    assert front.count("DELETE", "jobs/query") == 1
    assert set(ids(first)) | set(ids(rest)) == set(ids(read(url, tmp_path)[0]))
    assert len(ids(rest)) <= contacts(store) - 2 * 50


def test_a_stopped_run_goes_on_with_the_same_job_and_then_with_what_changed_since(
    serve: Callable, tmp_path: Path, small_pages: None
) -> None:
    store = new_store()
    stop = {"on": True}
    front = Front(
        app(store, SalesforceOptions(bulk_page_rows=50)),
        lambda call: (
            refusal("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403) if stop["on"] and "locator=Mt96" in call else None
        ),
    )
    url = serve(front)
    assert not run(connection(url, bulk_above=0), tmp_path, tables=["contact"]).complete
    stop["on"] = False
    person = live(store, "003")[0]
    store.edit_person(person, {"email": "meanwhile@mail.example"}, datetime.now(UTC))
    complete(run(connection(url, bulk_above=10_000), tmp_path, tables=["contact"]))
    found = rows(tmp_path, "contact")
    assert len(found) == contacts(store)
    assert found[person]["email"] == "meanwhile@mail.example"
    assert front.count("POST", "jobs/query") == 1


def test_a_bulk_read_whose_job_is_gone_begins_anew(serve: Callable, tmp_path: Path, small_pages: None) -> None:
    store = new_store()
    url = serve(app(store, SalesforceOptions(bulk_page_rows=50)))
    first, _ = read(url, tmp_path, most=3, bulk_above=0)
    gone = {**(first[-1].resume or {}), "job": "750000000000000AAA"}
    found, error = read(url, tmp_path, span=Span("full", None, datetime.now(UTC), resume=gone), bulk_above=0)
    assert error is None
    assert len(set(ids(found))) == contacts(store)


def test_a_session_that_ends_between_bulk_pages_costs_one_sign_in(serve: Callable, tmp_path: Path, small_pages: None) -> None:
    store = new_store()
    made = app(store, SalesforceOptions(bulk_page_rows=50))
    front = Front(made, lambda call: made.state.org.expire_tokens() if front.count("/results?") == 3 and "/results?" in call else None)
    found, error = read(serve(front), tmp_path, bulk_above=0)
    assert error is None
    assert len(ids(found)) == contacts(store)
    assert front.count("oauth2/token") == 2


@known_failure(
    "simple-salesforce/simple-salesforce#590",
    "simple-salesforce/simple-salesforce#458",
    "simple-salesforce/simple-salesforce#470",
    "forcedotcom/cli#1759",
    "forcedotcom/cli#2968",
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_bulk_loses_no_row_at_the_borders_of_pages(serve: Callable, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce_bulk, "PAGE_ROWS", 10_000)
    store = new_store()
    found, error = read(
        serve(app(store, SalesforceOptions(bulk_page_rows=size if size > 1 else contacts(store) - 1))), tmp_path, bulk_above=0
    )
    assert error is None
    assert len(set(ids(found))) == len(ids(found)) == contacts(store)


def test_describe_calls_that_are_refused_in_a_burst_are_made_again(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    front = Front(
        app(store), lambda call: Response("CustomNotAcceptable", 406) if front.count("describe") == 1 and "describe" in call else None
    )
    found, error = read(serve(front), tmp_path)
    assert error is None
    assert len(ids(found)) == contacts(store)


def test_a_field_that_is_new_in_the_org_arrives_with_the_next_run(serve: Callable, tmp_path: Path) -> None:
    hidden = {"on": True}
    store = new_store()
    inner = app(store)

    async def front(scope: Any, receive: Any, send: Any) -> None:
        async def changed(message: Any) -> None:
            if hidden["on"] and scope["path"].endswith("Contact/describe") and message["type"] == "http.response.body":
                message = {**message, "body": message["body"].replace(b'"LeadScore__c"', b'"Loadscore"')}
            await send(message)

        plain = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"accept-encoding"]}
        await inner(plain, receive, changed)

    made = connection(serve(front))
    assert not run(made, tmp_path, tables=["contact"]).complete, "a field that describe shows and a query refuses is an error"
    hidden["on"] = False
    complete(run(made, tmp_path, tables=["contact"]))
    assert {r["lead_score__c"] for r in rows(tmp_path, "contact").values()} - {None}


def test_names_in_any_script_arrive_whatever_charset_the_answer_claims(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    person = live(store, "003")[0]
    store.edit_person(person, {"first_name": "Zoë 山田", "last_name": "Łukasz 😀"}, datetime.now(UTC))
    inner = app(store)

    async def front(scope: Any, receive: Any, send: Any) -> None:
        async def changed(message: Any) -> None:
            if message["type"] == "http.response.start":
                wrong = [(k, v.replace(b"utf-8", b"ISO-8859-1") if k == b"content-type" else v) for k, v in message["headers"]]
                message = {**message, "headers": wrong}
            await send(message)

        await inner(scope, receive, changed)

    url = serve(front)
    for bulk_above in (0, 10_000):
        found, error = read(url, tmp_path, bulk_above=bulk_above)
        assert error is None
        names = [r["LastName"] for b in found if not isinstance(b.rows, list) for r in b.rows.to_pylist() if r["Id"] == person]
        assert names == ["Łukasz 😀"]


def test_person_accounts_are_a_contact_and_an_account_that_name_each_other(serve: Callable, tmp_path: Path) -> None:
    complete(run(connection(serve(app(new_store(), SalesforceOptions(person_accounts=True)))), tmp_path, tables=["account", "contact"]))
    people = [r for r in rows(tmp_path, "contact").values() if r["is_person_account"] == "true"]
    accounts = rows(tmp_path, "account")
    assert people
    assert all(accounts[r["account_id"]]["person_contact_id"] == r["id"] for r in people)


def test_a_converted_lead_names_what_became_of_it(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    made = connection(serve(app(store)))
    complete(run(made, tmp_path, tables=["lead", "contact"]))
    lead = live(store, "00Q")[0]
    store.convert_person(lead, datetime.now(UTC))
    complete(run(made, tmp_path, tables=["lead", "contact"]))
    found = rows(tmp_path, "lead")[lead]
    assert found["is_converted"] == "true"
    assert found["converted_contact_id"] in rows(tmp_path, "contact")


def test_the_loser_of_a_merge_points_to_the_winner(serve: Callable, tmp_path: Path) -> None:
    store = new_store()
    made = connection(serve(app(store)))
    winner, loser = live(store, "003")[:2]
    store.merge_people(winner, loser, datetime.now(UTC) - timedelta(minutes=3))
    complete(run(made, tmp_path, tables=["contact"]))
    found = rows(tmp_path, "contact")[loser]
    assert (found["_deleted"], found["_merged_into"], found["master_record_id"]) == ("true", winner, winner)
