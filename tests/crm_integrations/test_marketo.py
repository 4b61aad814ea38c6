"""Marketo's client against the emulated API over real HTTP, with the faults that a long read meets."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from cdp_pipelines.config import MarketoConnection, connection_from_config
from cdp_pipelines.crm_integrations import marketo_answers, marketo_export
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    CRMError,
    IncompleteRead,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
)
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.marketo_export import split_windows, whole_second
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.sources.known_failures import known_failure

WINDOWS = split_windows(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))


class Faulty:
    """An application before which some answers are replaced or spoiled, each once."""

    def __init__(self, inner: Starlette):
        self.inner, self.seen = inner, []
        self.instead: list[tuple[str, Response]] = []
        self.spoil: list[tuple[str, Callable[[bytes], bytes]]] = []
        self.cut: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.seen.append((scope["method"], path, scope["query_string"].decode(), dict(scope["headers"])))
        for entry in self.instead:
            if entry[0] in path:
                self.instead.remove(entry)
                return await entry[1](scope, receive, send)
        return await self.inner(scope, receive, self._spoiled(path, send))

    def _spoiled(self, path: str, send: Send) -> Send:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.body":
                for part in self.cut:
                    if part in path:
                        self.cut.remove(part)
                        await send({**message, "body": message["body"][: len(message["body"]) // 2], "more_body": True})
                        raise ConnectionResetError("cut for the test")
                for entry in self.spoil:
                    if entry[0] in path:
                        self.spoil.remove(entry)
                        message = {**message, "body": entry[1](message["body"])}
            await send(message)

        return changed


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=300)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners)


@pytest.fixture
def instance(store: MarketoStore) -> Starlette:
    return app(store)


def connection(url: str, **settings: Any) -> MarketoConnection:
    quick = {"bulk_poll_seconds": 0.02, "calls_per_20_seconds": 100_000}
    made = connection_from_config("marketo", {"endpoint": url, **credentials.MARKETO, **quick, **settings})
    assert isinstance(made, MarketoConnection)
    return made


def use(url: str, work: Callable[[Marketo], Awaitable[Any]], **settings: Any) -> Any:
    """What `work` gives with a client of the instance."""

    async def run() -> Any:
        async with Marketo(connection(url, **settings)) as client:
            return await work(client)

    return asyncio.run(run())


async def exported(client: Marketo, fields: tuple[str, ...] = ("id", "email", "title", "mktoPersonNotes")) -> list[dict[str, Any]]:
    return [row async for part in client.export_leads("createdAt", WINDOWS, fields) for row in part.rows.to_pylist()]


def in_the_store(store: MarketoStore) -> set[str]:
    start, end = (int(w.timestamp()) for w in (WINDOWS[0][0], WINDOWS[-1][1]))
    return {str(i) for i in store.leads.between("createdAt", start, end)}


@known_failure("airbytehq/airbyte#7286", "airbytehq/airbyte#8483")
def test_an_export_over_several_windows_gives_each_lead_once(serve: Callable, instance: Starlette, store: MarketoStore):
    rows = use(serve(instance), exported)
    assert len(rows) == len(in_the_store(store)) > 20
    assert {row["id"] for row in rows} == in_the_store(store)
    assert len(instance.state.exports.jobs) == len(WINDOWS) == 3


@known_failure("singer-io/tap-marketo#73", "airbytehq/airbyte (R1)")
def test_line_ends_quotes_and_commas_arrive_as_they_are(serve: Callable, instance: Starlette, store: MarketoStore):
    text = 'first, "line"\r\n\r\nthird\nnull\u2028last'
    lead = next(iter(in_the_store(store)))
    store.edit_person(lead, {"title": text}, datetime.now(UTC))
    assert next(row["title"] for row in use(serve(instance), exported) if row["id"] == lead) == text


@known_failure("segmentio/action-destinations#1799")
def test_a_token_that_is_revoked_or_expires_in_the_middle_is_renewed(serve: Callable, store: MarketoStore):
    served = app(store, MarketoOptions(token_seconds=1.0))

    async def work(client: Marketo) -> int:
        before = await client.describe_leads()
        served.state.gate.revoke()
        assert await client.describe_leads() == before
        await asyncio.sleep(1.1)
        assert await client.describe_leads() == before
        return served.state.gate.errors_today["601"] + served.state.gate.errors_today["602"]

    assert use(serve(served), work) == 2


@known_failure("jepcastelein/marketo-rest-python#62", "jepcastelein/marketo-rest-python#2")
def test_wrong_credentials_are_told_without_repeating_them(serve: Callable, instance: Starlette):
    test = use(serve(instance), lambda client: client.test_connection(), client_secret="not-the-secret")
    assert not test.ok and "client id and secret" in test.problem and "LaunchPoint" in test.remedy
    assert "not-the-secret" not in repr(test) and credentials.MARKETO["client_id"] not in repr(test)
    with pytest.raises(AuthenticationError):
        use(serve(instance), exported, client_id="nobody")


def test_a_good_connection_says_how_many_calls_were_made_today(serve: Callable, instance: Starlette, store: MarketoStore):
    test = use(serve(instance), lambda client: client.test_connection())
    assert test.ok and test.calls_used == 1
    denied = app(store, MarketoOptions(denied=frozenset({"stats"})))
    assert use(serve(denied), lambda client: client.test_connection()).ok


@known_failure("singer-io/tap-marketo#60", "MicrosoftDocs/powerbi-docs#635", "singer-io/tap-marketo#61")
def test_the_rate_limit_is_waited_for(serve: Callable, instance: Starlette, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(marketo_answers, "RATE_WINDOW_SECONDS", 0.4)
    faulty = Faulty(instance)
    limit = {
        "requestId": "1#1",
        "success": False,
        "errors": [{"code": "606", "message": "Max rate limit '100' exceeded with in '20' secs"}],
    }
    faulty.instead = [("describe.json", JSONResponse(limit)), ("describe.json", JSONResponse(limit))]
    started = time.monotonic()
    assert len(use(serve(faulty), lambda client: client.describe_leads())) > 50
    assert time.monotonic() - started >= 0.8


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<html>502 Bad Gateway</html>", 502),
        HTMLResponse("<html>maintenance</html>", 200),
        JSONResponse({"success": False, "errors": [{"code": "608", "message": "API Temporarily Unavailable"}]}),
        JSONResponse({"success": False, "errors": [{"code": "615", "message": "Concurrent access limit '10' reached"}]}),
        JSONResponse({"success": False, "errors": [{"code": "713", "message": "Transient Error"}]}),
    ],
    ids=["502", "html", "608", "615", "713"],
)  # fmt: skip
def test_what_passes_is_tried_again(serve: Callable, instance: Starlette, answer: Response):
    faulty = Faulty(instance)
    faulty.instead = [("campaigns.json", answer)]

    async def campaigns(client: Marketo) -> int:
        return sum([len(page) async for page in client.campaigns()])

    assert use(serve(faulty), campaigns) == 12


@known_failure("airbytehq/airbyte#76484")
def test_the_daily_limit_stops_with_the_time_when_it_ends(serve: Callable, store: MarketoStore):
    served = app(store, MarketoOptions(daily_calls=0))
    with pytest.raises(QuotaExhausted) as caught:
        use(serve(served), exported)
    resets = caught.value.resets_at
    assert resets is not None and resets > datetime.now(UTC)
    local = resets.astimezone(marketo_answers.CENTRAL)
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    refused = served.state.gate.errors_today
    assert set(refused) == {"607"}
    assert refused["607"] <= 2, "two exports may be under way at once; neither is tried again"


@known_failure("airbytehq/airbyte#33999", "jepcastelein/marketo-rest-python#63", "jepcastelein/marketo-rest-python#69")
def test_the_export_allowance_of_the_day_is_a_daily_limit_too(serve: Callable, store: MarketoStore):
    with pytest.raises(QuotaExhausted, match="1029"):
        use(serve(app(store, MarketoOptions(export_bytes_a_day=1))), exported)


@known_failure("airbytehq/airbyte#10191", "airbytehq/airbyte#7598", "airbytehq/airbyte#16986", "jepcastelein/marketo-rest-python#53")
def test_missing_permission_and_refused_requests_name_what_to_mend(serve: Callable, store: MarketoStore):
    denied = serve(app(store, MarketoOptions(denied=frozenset({"leads"}))))
    with pytest.raises(PermissionDenied, match="603") as caught:
        use(denied, lambda client: client.describe_leads())
    assert "role" in caught.value.remedy

    async def by_date(client: Marketo) -> list:
        return [page async for page in client.leads_by("createdAt", ["2026-01-01"], ["id"])]

    with pytest.raises(RequestRejected) as refused:
        use(serve(app(store)), by_date)
    assert refused.value.code == "1011"


def test_a_full_queue_is_waited_for(serve: Callable, store: MarketoStore):
    served = app(store, MarketoOptions(export_slots=1, export_seconds=0.2))
    assert {row["id"] for row in use(serve(served), exported)} == in_the_store(store)
    assert served.state.gate.errors_today["1029"] > 0


def test_a_broken_download_goes_on_where_it_broke(serve: Callable, instance: Starlette, store: MarketoStore, monkeypatch):
    monkeypatch.setattr(marketo_export, "PART_BYTES", 200)
    faulty = Faulty(instance)
    faulty.cut = ["file.json"]
    rows = use(serve(faulty), exported)
    assert {row["id"] for row in rows} == in_the_store(store) and faulty.cut == []
    ranges = [headers[b"range"].decode() for _, path, _, headers in faulty.seen if "file.json" in path]
    assert ranges.count("bytes=0-199") == len(WINDOWS) + 1, "only the broken part was fetched again"
    assert "bytes=200-399" in ranges


@pytest.mark.parametrize(
    ("path", "change", "problem"),
    [
        ("file.json", lambda body: body.replace(b"e", b"f", 1), "checksum"),
        ("status.json", lambda body: re.sub(rb'"numberOfRecords":\d', b'"numberOfRecords":9', body), "rows where Marketo says"),
    ],
)
def test_a_file_that_is_not_what_marketo_says_is_refused(serve: Callable, instance: Starlette, path: str, change: Callable, problem: str):
    faulty = Faulty(instance)

    def completed_only(body: bytes) -> bytes:
        return change(body) if b"Completed" in body or path == "file.json" else body

    faulty.spoil = [(path, completed_only)] * 6
    with pytest.raises(IncompleteRead, match=problem):
        use(serve(faulty), exported)


@known_failure("airbytehq/airbyte#25064")
def test_fields_that_cannot_be_exported_are_left_out(serve: Callable, instance: Starlette, store: MarketoStore):
    rows = use(serve(instance), lambda client: exported(client, ("id", "nonsense", "email")))
    assert {row["id"] for row in rows} == in_the_store(store) and set(rows[0]) == {"id", "email"}


def test_an_export_that_somebody_cancels_is_an_error_and_one_that_is_left_is_cancelled(serve: Callable, store: MarketoStore):
    served = app(store, MarketoOptions(export_seconds=3600))
    jobs = served.state.exports.jobs

    async def cancelled(client: Marketo) -> None:
        reading = asyncio.create_task(exported(client))
        # Two are begun side by side, in whichever order; the client waits for that of the first window.
        earliest = whole_second(WINDOWS[0][0])
        while not (begun := [j for j in jobs.values() if j.status == "Processing" and j.filter["createdAt"]["startAt"] == earliest]):
            assert not reading.done(), reading
            await asyncio.sleep(0.01)
        begun[0].status, begun[0].shown = "Cancelled", None
        await reading

    with pytest.raises(CRMError, match="cancelled"):
        use(serve(served), cancelled)
    assert {job.status for job in jobs.values()} == {"Cancelled"}


def test_a_long_request_is_sent_as_a_form(serve: Callable, instance: Starlette, store: MarketoStore):
    faulty = Faulty(instance)
    values = [f"{'x' * 40}{n}@nowhere.example" for n in range(299)] + [store.leads.get(int(store.live_people()[0]))["email"] or ""]

    async def leads(client: Marketo) -> int:
        return sum([len(page) async for page in client.leads_by("email", values, ["id", "email"])])

    assert use(serve(faulty), leads) >= 1
    assert [(method, query) for method, path, query, _ in faulty.seen if path == "/rest/v1/leads.json"] == [("POST", "_method=GET")]


@known_failure("jepcastelein/marketo-rest-python#15")
def test_more_than_300_ids_are_asked_for_in_several_calls(serve: Callable, instance: Starlette, store: MarketoStore):
    async def leads(client: Marketo) -> list[str]:
        return [str(row["id"]) async for page in client.leads_by("id", range(1, 1501), ["id"]) for row in page]

    assert use(serve(instance), leads) == store.live_people()


@known_failure("jepcastelein/marketo-rest-python#42")
def test_activities_go_on_after_empty_pages(serve: Callable, store: MarketoStore):
    async def deletions(client: Marketo) -> list[int]:
        token = await client.paging_token(datetime(2024, 1, 1, tzinfo=UTC))
        return [len(page.rows) async for page in client.activities([37], token)]

    pages = use(serve(app(store, MarketoOptions(activity_block=50))), deletions)
    assert 0 in pages[:-1] and sum(pages) == sum(p.fate == "deleted" for p in store.view.people)
