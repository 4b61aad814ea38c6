"""Every way to read Marketo's leads and activities, and what makes a read leave one way for another; kinds of failure that others' users
reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations import marketo_answers, marketo_export
from cdp_pipelines.crm_integrations.base_crm import CRMError, QuotaExhausted
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sources import marketo_leads
from cdp_pipelines.sources.marketo import TABLES, MarketoReader
from cdp_pipelines.sources.reader import Batch, Span
from cdp_pipelines.sources.warehouse import Warehouse
from tests.sources.fronts import Front
from tests.sources.known_failures import known_failure
from tests.sources.test_marketo import Instance, change_everything, problems

BY_NAME = {table.name: table for table in TABLES}


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=150)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


def refusal(code: int, message: str = "no") -> Response:
    return JSONResponse({"requestId": "1#1", "success": False, "errors": [{"code": str(code), "message": message}]})


def read(instance: Instance, table: str = "leads", *, most: int | None = None, resume: dict | None = None, **settings):
    """The batches of a full read of a table, at most so many, and the error that ended it."""

    async def batches() -> tuple[list[Batch], CRMError | None]:
        reader = MarketoReader(
            instance.connection(**settings), Warehouse(Settings(data_dir=instance.folder / "none"), "marketo", "marketo")
        )
        found: list[Batch] = []
        reading = reader.read(BY_NAME[table], Span("full", None, datetime.now(UTC), resume=json.loads(json.dumps(resume))))
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


def texts(batches: list[Batch], field: str = "id") -> list[str]:
    return [v for b in batches if not isinstance(b.rows, list) and field in b.rows.column_names for v in b.rows[field].to_pylist()]


@known_failure("airbytehq/airbyte (R4)")
@pytest.mark.parametrize(
    "refused",
    [refusal(603, "Access denied"), pytest.param(refusal(1035, "Unsupported filter type for target subscription"), marks=pytest.mark.slow)],
)
def test_without_bulk_access_every_table_is_read_over_rest(
    serve: Callable, tmp_path: Path, store: MarketoStore, refused: Response, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(marketo_leads, "IDS_WITHOUT_LEADS", 2400)
    instance = Instance(store, serve(Front(app(store), lambda call: refused if "/bulk/" in call else None)), tmp_path)
    assert problems(instance.read("rest")) == {}
    change_everything(instance)
    report = instance.read("rest")
    assert problems(report) == {}
    assert {table.mode for table in report.tables} == {"incremental"}
    instance.url = serve(app(store))
    instance.read("bulk")
    for table in ("leads", "opportunity_roles", "campaigns", "programs", "activities"):
        assert instance.rows(table, "rest") == instance.rows(table, "bulk"), table


def test_when_the_days_exports_are_used_up_changed_leads_come_over_rest(serve: Callable, tmp_path: Path, store: MarketoStore):
    served = app(store)
    instance = Instance(store, serve(served), tmp_path)
    assert problems(instance.read(tables=["leads"])) == {}
    store.edit_person(store.live_people()[0], {"phone": "+1 555 0177"}, instance.now())
    served.state.gate.options.export_bytes_a_day = 1
    assert problems(instance.read(tables=["leads"])) == {}
    assert instance.query("select count(*) from raw_marketo.leads where phone = '+1 555 0177'") == [(1,)]


def test_a_full_read_whose_exports_are_used_up_says_when_it_goes_on(serve: Callable, tmp_path: Path, store: MarketoStore):
    instance = Instance(store, serve(app(store, MarketoOptions(export_bytes_a_day=20_000))), tmp_path)
    found, error = read(instance)
    assert isinstance(error, QuotaExhausted)
    assert error.resets_at == marketo_answers.next_midnight()
    assert f"{error.resets_at:%Y-%m-%d %H:%M} UTC (midnight Central Time)" in error.remedy
    assert found
    assert found[-1].resume


@pytest.mark.parametrize("table", ["leads", "activities"])
def test_a_full_read_that_stops_goes_on_after_the_last_window(serve: Callable, tmp_path: Path, store: MarketoStore, table: str):
    front = Front(app(store))
    instance = Instance(store, serve(front), tmp_path)
    key = "id" if table == "leads" else "marketoGUID"
    whole, _ = read(instance, table)
    exports = front.count("create.json")
    first, _ = read(instance, table, most=8)
    front.calls.clear()
    rest, error = read(instance, table, resume=first[-1].resume)
    assert error is None
    assert set(texts(first, key)) | set(texts(rest, key)) >= set(texts(whole, key))
    assert front.count("create.json") < exports - 4


def test_a_full_read_by_ids_that_stops_goes_on_with_the_next_ones(
    serve: Callable, tmp_path: Path, store: MarketoStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(marketo_leads, "IDS_AT_ONCE", 50)
    monkeypatch.setattr(marketo_leads, "IDS_WITHOUT_LEADS", 300)
    instance = Instance(store, serve(Front(app(store), lambda call: refusal(603) if "/bulk/" in call else None)), tmp_path)
    whole, _ = read(instance)
    first, _ = read(instance, most=2)
    rest, error = read(instance, resume=first[-1].resume)
    assert error is None
    assert set(texts(first)) | set(texts(rest)) == set(texts(whole))
    assert texts(first)[0] not in texts(rest)


@pytest.mark.parametrize("step", ["create", "enqueue"])
def test_an_export_that_cannot_be_made_is_never_skipped(serve: Callable, tmp_path: Path, store: MarketoStore, step: str):
    front = Front(
        app(store),
        lambda call: refusal(1003, "Invalid date range") if f"{step}.json" in call and front.count(f"{step}.json") == 3 else None,
    )
    report = Instance(store, serve(front), tmp_path).read(tables=["leads"])
    assert "1003" in str(problems(report)["leads"])
    assert report.tables[0].cursor is None


@pytest.mark.parametrize("spelling", ["Cancelled", "Canceled"])
def test_an_export_that_was_cancelled_or_failed_is_an_error_however_it_is_spelt(
    serve: Callable, tmp_path: Path, store: MarketoStore, spelling: str
):
    status = JSONResponse({"success": True, "result": [{"exportId": "x", "status": spelling}]})
    front = Front(app(store), lambda call: status if "status.json" in call and front.count("status.json") == 2 else None)
    assert spelling.lower() in str(problems(Instance(store, serve(front), tmp_path).read(tables=["leads"]))["leads"])
    failing = Instance(store, serve(app(store, MarketoOptions(exports="fail"))), tmp_path)
    assert "failed" in str(problems(failing.read("failing", tables=["leads"]))["leads"])


@pytest.mark.parametrize("path", ["describe.json", "create.json", "status.json", "file.json", "activities.json"])
def test_a_token_that_expires_at_any_call_costs_one_new_token(serve: Callable, tmp_path: Path, store: MarketoStore, path: str):
    expired, first = refusal(602, "Access token expired"), path in ("describe.json", "activities.json")
    front = Front(app(store), lambda call: expired if path in call and front.count(path) == (1 if first else 2) else None)
    found, error = read(Instance(store, serve(front), tmp_path))
    assert error is None
    assert len(set(texts(found))) == store.counts()["leads"]
    assert front.count("oauth/token") == 2


@pytest.mark.parametrize("code", [604, 608, 611, 615, 713])
def test_errors_that_pass_are_never_an_empty_table(serve: Callable, tmp_path: Path, store: MarketoStore, code: int):
    front = Front(app(store), lambda call: refusal(code) if "campaigns.json" in call else None)
    report = Instance(store, serve(front), tmp_path).read(tables=["campaigns"], settings={"max_attempts": 2})
    assert str(code) in str(problems(report)["campaigns"])
    assert front.count("campaigns.json") == 2


def test_dirt_in_a_file_loses_no_lead_and_no_line(serve: Callable, tmp_path: Path, store: MarketoStore):
    clean, _ = read(Instance(store, serve(app(store)), tmp_path))
    dirty, error = read(Instance(store, serve(app(store, MarketoOptions(csv_dirt=frozenset({"nul", "u2028", "crlf"})))), tmp_path))
    assert error is None
    assert texts(dirty) == texts(clean)
    values = [v for b in dirty if not isinstance(b.rows, list) for c in b.rows.columns for v in c.to_pylist() if v]
    assert any("\u2028\r\n" in value for value in values)
    assert not any("\0" in value for value in values)


def test_a_list_whose_end_has_no_result_is_read_to_its_end(serve: Callable, tmp_path: Path, store: MarketoStore):
    page = [{"id": n, "name": f"Program {n}"} for n in range(200)]
    end = JSONResponse({"success": True, "errors": [], "requestId": "1#1", "warnings": ["No assets found for the given search criteria."]})

    def instead(call: str) -> Response | None:
        if "programs.json" not in call:
            return None
        return JSONResponse({"success": True, "requestId": "1#1", "result": page}) if "offset=0" in call else end

    report = Instance(store, serve(Front(app(store), instead)), tmp_path).read(tables=["programs"])
    assert problems(report) == {}
    assert report.tables[0].rows_read == 200


def test_windows_are_never_longer_than_31_days_and_leave_nothing_out():
    start = datetime(2024, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    windows = marketo_export.split_windows(start, start + timedelta(days=400, microseconds=1))
    assert all(end - begin <= timedelta(days=31) for begin, end in windows)
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert windows[0][0] <= start
    assert windows[-1][1] >= start + timedelta(days=400, microseconds=1)


@pytest.mark.slow
def test_a_part_of_the_days_calls_is_left_to_others(serve: Callable, tmp_path: Path, store: MarketoStore):
    front = Front(app(store))
    instance = Instance(store, serve(front), tmp_path)
    report = instance.read(settings={"daily_calls": 60, "daily_call_reserve": 0.5})
    assert all("are kept for others" in str(problem) for problem in problems(report).values())
    assert 25 <= len(front.calls) <= 35
    assert problems(instance.read(settings={"daily_calls": 1000})) == {}
    denied = Instance(store, serve(app(store, MarketoOptions(denied=frozenset({"stats"})))), tmp_path)
    assert problems(denied.read("denied", tables=["campaigns"])) == {}, "who may not see the usage reads without a reserve"


@known_failure("airbytehq/airbyte#12732", "HGData/mk-node-marketo#61")
def test_one_export_brings_all_kinds_of_activities_of_a_window(serve: Callable, tmp_path: Path, store: MarketoStore):
    front = Front(app(store))
    found, _ = read(Instance(store, serve(front), tmp_path), "activities")
    assert len(set(texts(found, "activityTypeId"))) > 5
    first = min(datetime.fromisoformat(text) for text in texts(found, "activityDate"))
    assert front.count("create.json") == len(marketo_export.split_windows(first, datetime.now(UTC)))
