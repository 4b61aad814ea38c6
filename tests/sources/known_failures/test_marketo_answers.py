"""Reports about what Marketo answers and how often it is asked that no other test answers, over HTTP against an emulated instance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from cdp_pipelines.crm_integrations import http, marketo_answers, marketo_export
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.sources.fronts import Altered, Front
from tests.sources.known_failures import known_failure
from tests.sources.test_marketo import DEALS, Instance, problems

Serve = Callable[[Any], str]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=60)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)
    monkeypatch.setattr(marketo_answers, "RATE_WINDOW_SECONDS", 0.05)


def refusal(code: int, message: str = "no") -> Response:
    return JSONResponse({"requestId": "1#1", "success": False, "errors": [{"code": str(code), "message": message}]})


@known_failure("airbytehq/airbyte#55729", "airbytehq/airbyte#60823", "treasure-data/embulk-input-marketo@0.6.1")
def test_a_field_for_soap_only_is_left_out(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    def alter(call: str, body: Any) -> Any:
        if call.endswith("/leads/describe.json"):
            body["result"] += [
                {"id": 90001, "displayName": "Old", "dataType": "string", "soap": {"name": "OldOne", "readOnly": True}},
                {"id": 90002, "displayName": "None", "dataType": "string", "rest": None},
            ]
        return body

    instance = Instance(store, serve(Altered(app(store), alter)), tmp_path)
    assert problems(instance.read(tables=["leads"])) == {}
    assert instance.query("select count(*) from raw_marketo.leads where _deleted is null") == [(store.counts()["leads"],)]


@known_failure("airbytehq/airbyte#15823", "airbytehq/airbyte#15824")
def test_campaigns_and_programs_are_asked_for_once(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    front = Front(app(store))
    assert problems(Instance(store, serve(front), tmp_path).read()) == {}
    assert (front.count("/rest/v1/campaigns.json"), front.count("/rest/asset/v1/programs.json")) == (1, 1)


@known_failure("singer-io/tap-marketo#42")
def test_a_percentage_with_a_fraction_is_kept(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    def alter(call: str, body: Any) -> Any:
        for row in body["result"] if call.endswith("/rest/v1/opportunities.json") else ():
            row["probability"] = 33.25
        return body

    instance = Instance(store, serve(Altered(app(store), alter)), tmp_path)
    assert problems(instance.read(tables=DEALS)) == {}
    assert instance.query("select distinct probability from raw_marketo.opportunities") == [("33.25",)]


@known_failure("singer-io/tap-marketo#82")
def test_an_activity_needs_no_campaign(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    def alter(call: str, body: Any) -> Any:
        for row in body.get("result", ()) if call.endswith("/activities.json") else ():
            row.pop("campaignId", None)
        return body

    without_bulk = Front(Altered(app(store), alter), lambda call: refusal(603) if "/bulk/" in call else None)
    instance = Instance(store, serve(without_bulk), tmp_path)
    assert problems(instance.read(tables=["activities"])) == {}
    assert instance.query("select count(campaign_id), count(*) > 50 from raw_marketo.activities") == [(0, True)]


@known_failure("singer-io/tap-marketo#84")
def test_numbers_among_the_settings_may_be_text(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    instance = Instance(store, serve(app(store)), tmp_path)
    assert problems(instance.read(tables=["campaigns"], settings={"daily_calls": "40000", "calls_per_20_seconds": "90"})) == {}


@known_failure("jepcastelein/marketo-rest-python#55", "jepcastelein/marketo-rest-python#30", "treasure-data/embulk-input-marketo@0.6.5")
@pytest.mark.parametrize(("path", "table"), [("/activities.json", "activities"), ("/campaigns.json", "campaigns")])
def test_pages_that_lead_to_themselves_are_named_and_not_read_for_ever(
    serve: Serve, tmp_path: Path, store: MarketoStore, path: str, table: str
) -> None:
    again = JSONResponse({"requestId": "1#1", "success": True, "result": [], "nextPageToken": "AGAIN", "moreResult": True})
    front = Front(app(store), lambda call: again if path in call else refusal(603) if "/bulk/" in call else None)
    report = Instance(store, serve(front), tmp_path).read(tables=[table])
    assert "lead to themselves" in (problems(report)[table] or "")
    assert front.count(path) < 10


@known_failure("airbytehq/airbyte (R2)")
@pytest.mark.parametrize("code", [603, 606])
def test_a_refusal_inside_a_good_status_is_a_problem_and_no_empty_table(
    serve: Serve, tmp_path: Path, store: MarketoStore, code: int
) -> None:
    front = Front(app(store), lambda call: refusal(code) if "campaigns.json" in call else None)
    (table,) = Instance(store, serve(front), tmp_path).read(tables=["campaigns"], settings={"max_attempts": 2}).tables
    assert (table.state, table.cursor) == ("incomplete", None)
    assert str(code) in (table.problem or "")


@known_failure("airbytehq/airbyte (R3)")
def test_a_description_that_is_refused_makes_no_table_vanish(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    front = Front(app(store), lambda call: refusal(606) if "leads/describe.json" in call else None)
    report = Instance(store, serve(front), tmp_path).read(tables=["leads", "campaigns"], settings={"max_attempts": 2})
    # What is too busy for one table is too busy for the others, which say so too.
    assert {t.table: (t.state, t.cursor, "606" in str(t.problem)) for t in report.tables} == dict.fromkeys(
        ("leads", "campaigns"), ("incomplete", None, True)
    )


@known_failure("treasure-data/embulk-input-marketo@0.6.24", "jepcastelein/marketo-rest-python (R12)")
@pytest.mark.parametrize("answer", [Response(b'{"success": tr', media_type="application/json"), HTMLResponse("<html>Bad Gateway", 502)])
def test_half_an_answer_or_a_page_of_a_proxy_is_asked_for_again(
    serve: Serve, tmp_path: Path, store: MarketoStore, answer: Response
) -> None:
    front = Front(app(store), lambda call: answer if "campaigns.json" in call and front.count("campaigns.json") == 1 else None)
    assert problems(Instance(store, serve(front), tmp_path).read(tables=["campaigns"])) == {}
    assert front.count("campaigns.json") == 2


@known_failure("treasure-data/embulk-input-marketo@0.6.27", "treasure-data/embulk-input-marketo@0.6.28")
def test_a_stray_quote_and_a_charset_beside_the_type_cost_no_lead(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    clean = Instance(store, serve(app(store)), tmp_path)
    assert problems(clean.read("clean", tables=["leads"])) == {}
    dirty = Instance(store, serve(app(store, MarketoOptions(csv_dirt=frozenset({"quotes"})))), tmp_path)
    assert problems(dirty.read("dirty", tables=["leads"])) == {}
    ids = "select id, email from raw_marketo.leads order by id"
    assert dirty.query(ids, "dirty") == clean.query(ids, "clean")


@known_failure("treasure-data/embulk-input-marketo@0.6.4")
def test_an_export_that_never_ends_is_given_up_with_a_reason(
    serve: Serve, tmp_path: Path, store: MarketoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marketo_export, "LONGEST_WAIT_SECONDS", 0.2)
    (table,) = Instance(store, serve(app(store, MarketoOptions(exports="hang"))), tmp_path).read(tables=["leads"]).tables
    assert (table.state, table.cursor) == ("incomplete", None)
    assert "did not finish" in (table.problem or "")


@known_failure("singer-io/tap-marketo (R8)")
def test_an_old_lead_that_changed_is_found_without_an_export_by_change(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    instance = Instance(store, serve(app(store, MarketoOptions(export_by_updated_at=False))), tmp_path)
    instance.read(tables=["leads"])
    store.edit_person(store.live_people()[0], {"phone": "+1 555 0188"}, instance.now())
    assert problems(instance.read(tables=["leads"])) == {}
    assert instance.query("select count(*) from raw_marketo.leads where phone = '+1 555 0188'") == [(1,)]


@known_failure("singer-io/tap-marketo (R9)")
def test_a_read_of_what_changed_makes_one_export_and_no_empty_ones(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    front = Front(app(store))
    instance = Instance(store, serve(front), tmp_path)
    instance.read()
    front.calls.clear()
    assert problems(instance.read()) == {}
    assert front.count("/create.json") == 1


@known_failure("jepcastelein/marketo-rest-python#13")
def test_the_next_run_goes_on_where_this_one_ended(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    front = Front(app(store))
    instance = Instance(store, serve(front), tmp_path)
    (first,) = instance.read(tables=["activities"]).tables
    assert first.cursor is not None
    front.calls.clear()
    instance.read(tables=["activities"], settings={"overlap_seconds": 0})
    asked = f"sinceDatetime={first.cursor.replace(microsecond=0):%Y-%m-%dT%H:%M:%SZ}"
    assert front.count("pagingtoken.json", asked) == front.count("pagingtoken.json") == 1


@known_failure("airbytehq/airbyte (R7)")
def test_a_cancelled_export_ends_the_wait_however_it_is_spelt(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    cancelled = JSONResponse({"success": True, "result": [{"exportId": "x", "status": "Canceled"}]})
    front = Front(app(store), lambda call: cancelled if "status.json" in call else None)
    report = Instance(store, serve(front), tmp_path).read(tables=["leads"])
    assert "canceled" in (problems(report)["leads"] or "")


@known_failure("airbytehq/airbyte (R5)", "singer-io/tap-marketo (R10)")
def test_a_full_queue_is_waited_for_and_no_end_of_the_day(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    served = app(store, MarketoOptions(export_slots=1, export_seconds=0.05))
    assert problems(Instance(store, serve(served), tmp_path).read(tables=["leads"])) == {}
    assert served.state.gate.errors_today["1029"] > 0


@known_failure("jepcastelein/marketo-rest-python (R11)", "airbytehq/airbyte (R6)")
def test_a_revoked_token_is_renewed_once_and_the_call_made_again(serve: Serve, tmp_path: Path, store: MarketoStore) -> None:
    front = Front(app(store), lambda call: refusal(601) if "campaigns.json" in call and front.count("campaigns.json") == 1 else None)
    assert problems(Instance(store, serve(front), tmp_path).read(tables=["campaigns"])) == {}
    assert (front.count("campaigns.json"), front.count("oauth/token")) == (2, 2)
