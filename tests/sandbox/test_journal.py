from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.journal import Batch, Entry, Journal, Purge, Write
from cdp_pipelines.sandbox.replay import Recorder, replay
from tests.conftest import served

AT = datetime(2026, 9, 1, 8, tzinfo=UTC)
WORLD = "people=10 seed=1"


class Shop:
    """An API with ids from a counter, where every record carries the moment of its making."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.app = Starlette(
            routes=[
                Route("/crm/v3/objects/things", self.list),
                Route("/crm/v3/objects/things", self.create, methods=["POST"]),
                Route("/crm/v3/objects/things/later", self.create_later, methods=["POST"]),
                Route("/crm/v3/objects/things/search", self.search, methods=["POST"]),
            ]
        )
        self.searches = 0

    async def list(self, request: Request) -> Response:
        return JSONResponse(self.made)

    async def create(self, request: Request) -> Response:
        if not clock.replaying() and request.headers.get("authorization") != "Bearer secret-token":
            return JSONResponse({"message": "no"}, 401)
        body = await request.body()
        if b"bad" in body:
            return JSONResponse({"message": "bad"}, 400)
        self._make(body)
        return JSONResponse(self.made[-1], 201)

    def _make(self, body: bytes) -> None:
        self.made.append({"id": len(self.made), "at": clock.now().isoformat(), "body": body.decode("latin-1")})

    async def create_later(self, request: Request) -> Response:
        body = await request.body()

        async def make() -> None:
            await asyncio.sleep(0.01)
            self._make(body)

        self._task = asyncio.create_task(make())
        return Response(status_code=202)

    async def search(self, request: Request) -> Response:
        self.searches += 1
        return JSONResponse({"results": self.made})


class Kept:
    """A shop behind a recorder, as the sandbox serves it; the shop catches up with its journal at the start."""

    def __init__(self, path: Path, crm: Kind = "hubspot"):
        self.shop, self.journal = Shop(), Journal(path, WORLD)
        self.apps: dict[Kind, ASGIApp] = {crm: self.shop.app}
        self.noted: list[Write] = []
        self.worked: list[bool] = []
        self.do(self.journal.news())
        self.app = Recorder(crm, self.shop.app, self.journal, asyncio.Lock(), self.do, self.noted.append)

    def do(self, entries: list[Entry]) -> None:
        self.worked += replay([entry for entry in entries if isinstance(entry, Write)], self.apps)


def post(url: str, content: bytes, path: str = "", **more: Any) -> httpx2.Response:
    headers = {"Authorization": "Bearer secret-token", **more.pop("headers", {})}
    return httpx2.post(f"{url}/crm/v3/objects/things{path}", content=content, headers=headers, **more)


def test_writes_are_made_again_at_a_start_with_the_same_ids_and_moments(tmp_path: Path) -> None:
    first = Kept(tmp_path / "changes.jsonl")
    with served(first.app) as url:
        for n in range(3):
            assert post(url, f"thing {n} ä".encode()).status_code == 201
        assert post(url, b"\xff\x00 no text").status_code == 201
    second = Kept(tmp_path / "changes.jsonl")
    assert second.shop.made == first.shop.made
    assert second.worked == [True] * 4


def test_what_failed_or_only_reads_is_not_in_the_journal(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "changes.jsonl")
    with served(kept.app) as url:
        assert post(url, b"bad").status_code == 400
        assert httpx2.post(f"{url}/crm/v3/objects/things", content=b"x").status_code == 401
        assert post(url, b"{}", "/search").status_code == 200
        assert httpx2.get(f"{url}/crm/v3/objects/things").json() == []
    assert kept.shop.searches == 1
    assert not (tmp_path / "changes.jsonl").exists()


def test_no_secret_is_in_the_journal(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "changes.jsonl")
    with served(kept.app) as url:
        body = b"<a><urn:sessionId>secret-session</urn:sessionId>x</a>"
        post(url, body, params={"access_token": "secret-too", "hapikey": "secret-key", "keep": "this"}, headers={"Cookie": "secret=1"})
    text = (tmp_path / "changes.jsonl").read_text()
    assert "secret" not in text
    assert "keep=this" in text
    assert "<a><urn:sessionId></urn:sessionId>x</a>" in json.loads(text)["body"]
    assert Kept(tmp_path / "changes.jsonl").worked == [True]


def test_a_write_that_goes_on_after_its_answer_is_made_again_to_its_end(tmp_path: Path) -> None:
    first = Kept(tmp_path / "changes.jsonl")
    with served(first.app) as url:
        assert post(url, b"later", "/later").status_code == 202
        while not httpx2.get(f"{url}/crm/v3/objects/things").json():
            pass
    second = Kept(tmp_path / "changes.jsonl")
    assert second.shop.made == first.shop.made != []


def test_many_clients_at_once_are_written_down_in_the_order_of_their_ids(tmp_path: Path) -> None:
    first = Kept(tmp_path / "changes.jsonl")

    async def together(url: str) -> None:
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer secret-token"}) as client:
            await asyncio.gather(*(client.post(f"{url}/crm/v3/objects/things", content=f"{n}") for n in range(30)))

    with served(first.app) as url:
        asyncio.run(together(url))
    assert len(first.shop.made) == 30
    assert Kept(tmp_path / "changes.jsonl").shop.made == first.shop.made


def test_two_processes_see_each_others_writes_and_give_no_id_twice(tmp_path: Path) -> None:
    one, two = Kept(tmp_path / "changes.jsonl"), Kept(tmp_path / "changes.jsonl")
    with served(one.app) as url, served(two.app) as other:
        ids = [post(where, b"x").json()["id"] for where in (url, other, other, url)]
    assert ids == [0, 1, 2, 3]
    two.do(two.journal.news())
    assert one.shop.made == two.shop.made


def test_a_write_that_is_refused_when_made_again_does_not_stop_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path / "changes.jsonl", WORLD)
    with journal.writing(lambda news: None):
        for body in (b"good", b"bad", b"good"):
            journal.append(Write("hubspot", AT, "POST", "/crm/v3/objects/things", "", (), body))
    kept = Kept(tmp_path / "changes.jsonl")
    assert kept.worked == [True, False, True]
    assert [one["at"] for one in kept.shop.made] == [AT.isoformat()] * 2
    assert "refused when made again: POST /crm/v3/objects/things" in caplog.text


@pytest.mark.parametrize(
    ("crm", "method", "path", "query", "body", "written"),
    [
        ("salesforce", "PATCH", "/services/data/v62.0/sobjects/Contact/003000000000001AAA", "", b"{}", True),
        ("salesforce", "PUT", "/services/data/v62.0/jobs/ingest/750000000000001AAA/batches", "", b"a,b", True),
        ("salesforce", "POST", "/services/data/v62.0/jobs/query", "", b"{}", False),
        ("salesforce", "POST", "/services/oauth2/token", "", b"", False),
        ("salesforce", "POST", "/services/Soap/u/62.0", "", b"<urn:login>", False),
        ("salesforce", "POST", "/services/Soap/u/62.0", "", b"<urn:merge >", True),
        ("hubspot", "POST", "/crm/v3/objects/contacts/batch/read", "", b"{}", False),
        ("hubspot", "POST", "/crm/v3/objects/contacts/merge", "", b"{}", True),
        ("hubspot", "DELETE", "/crm/v3/objects/contacts/1", "", b"", True),
        ("marketo", "POST", "/rest/v1/leads.json", "", b"{}", True),
        ("marketo", "POST", "/rest/v1/leads.json", "_method=GET", b"filterType=id", False),
        ("marketo", "POST", "/rest/v1/leads.json", "", b"_method=GET&filterType=id", False),
        ("marketo", "POST", "/bulk/v1/leads/export/create.json", "", b"{}", False),
        ("marketo", "GET", "/identity/oauth/token", "", b"", False),
    ],
)
def test_writes_are_told_from_reads(tmp_path: Path, crm: Kind, method: str, path: str, query: str, body: bytes, written: bool) -> None:
    async def fine(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"success": True, "body": (await Request(scope, receive).body()).decode()})(scope, receive, send)

    journal = Journal(tmp_path / "changes.jsonl", WORLD)
    with served(Recorder(crm, fine, journal, asyncio.Lock(), lambda news: None, lambda write: None)) as url:
        answer = httpx2.request(method, f"{url}{path}?{query}", content=body)
    assert answer.json()["body"] == body.decode()
    assert [entry.path for entry in Journal(tmp_path / "changes.jsonl", WORLD).news() if isinstance(entry, Write)] == [path] * written


def test_marketo_errors_inside_200_are_failures(tmp_path: Path) -> None:
    app = JSONResponse({"success": False, "errors": [{"code": "601"}]})
    with served(
        Recorder("marketo", app, Journal(tmp_path / "x.jsonl", WORLD), asyncio.Lock(), lambda news: None, lambda write: None)
    ) as url:
        assert httpx2.post(f"{url}/rest/v1/leads.json", json={}).json()["success"] is False
    assert not (tmp_path / "x.jsonl").exists()


def test_every_kind_of_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    entries: list[Entry] = [
        Batch(1, AT, 5),
        Purge("salesforce", AT, "003000000000001AAA"),
        Write("marketo", AT, "POST", "/rest/v1/leads.json", "a=%20b", (("content-type", "application/json"),), b'{"a": "\xc3\xa4"}'),
    ]
    journal = Journal(tmp_path / "changes.jsonl", WORLD)
    with journal.writing(lambda news: None):
        for entry in entries:
            journal.append(entry)
    assert Journal(tmp_path / "changes.jsonl", WORLD).news() == entries


def test_the_journal_gives_back_what_was_added_and_each_batch_once(tmp_path: Path) -> None:
    log = Journal(tmp_path / "changes.jsonl", WORLD)
    applied: list[Entry] = []
    for seed in (5, 6):
        assert log.add(seed, 10, lambda batch: applied.append(batch) or []) == []
    assert log.news() == []
    assert applied[0].at < applied[1].at
    assert Journal(tmp_path / "changes.jsonl", WORLD).news() == applied
    assert Journal(tmp_path / "changes.jsonl", "people=11 seed=1").news() == []


def test_a_torn_last_line_is_ignored_and_the_next_writer_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    Journal(path, WORLD).add(1, 10, lambda batch: [])
    with path.open("a") as file:
        file.write('{"world": "peop')
    log = Journal(path, WORLD)
    assert [batch.seed for batch in log.news() if isinstance(batch, Batch)] == [1]
    log.add(2, 10, lambda batch: [])
    assert [batch.seed for batch in Journal(path, WORLD).news() if isinstance(batch, Batch)] == [1, 2]


def test_two_processes_apply_each_others_batches_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    seen: dict[str, list[int]] = {"a": [], "b": []}
    logs = {name: Journal(path, WORLD) for name in seen}

    def apply(name: str) -> Any:
        return lambda batch: seen[name].append(batch.seed) or []

    for seed, name in enumerate("abbaab"):
        logs[name].add(seed, 1, apply(name))
    for name, log in logs.items():
        seen[name] += [batch.seed for batch in log.news() if isinstance(batch, Batch)]
    assert seen["a"] == seen["b"] == [0, 1, 2, 3, 4, 5]


def test_a_batch_that_fails_is_not_written(tmp_path: Path) -> None:
    log = Journal(tmp_path / "changes.jsonl", WORLD)

    def fail(batch: Entry) -> list[Any]:
        raise ValueError("a store's mistake")

    with pytest.raises(ValueError, match="mistake"):
        log.add(1, 1, fail)
    assert log.news() == []
