"""HubSpot's answers kept and given once more, each after a while: what a read takes over a network, where the sandbox, which makes up each
record when it is asked for, would be what takes the time.

The first read goes through to the sandbox. Later ones get the same records, page by page wherever they begin, and the same answers to all else.
"""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LISTS = "/crm/v3/objects/"


@dataclass
class _List:
    """The records of one list, as JSON, in order of id."""

    records: dict[int, bytes] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)

    def keep(self, results: list[dict[str, object]]) -> None:
        self.records |= {int(str(record["id"])): orjson.dumps(record) for record in results}

    def page(self, after: int, limit: int) -> bytes:
        if len(self.ids) != len(self.records):
            self.ids = sorted(self.records)
        first = bisect_left(self.ids, after)
        results = b",".join(self.records[i] for i in self.ids[first : first + limit])
        following = self.ids[first + limit : first + limit + 1]
        paging = b',"paging":{"next":{"after":"%d"}}' % following[0] if following else b""
        return b'{"results":[%b]%b}' % (results, paging)


class Replay:
    """A stand-in for the HubSpot at a base URL. While `latency` (seconds) is None, all calls go through to it and are kept."""

    def __init__(self, base_url: str):
        self.latency: float | None = None
        self._base_url = base_url
        self._lists: dict[tuple[str, ...], _List] = defaultdict(_List)
        self._answers: dict[tuple[str, str, bytes], tuple[int, bytes]] = {}
        self._http = httpx2.AsyncClient(timeout=60, trust_env=False)

    async def answer(self, request: Request) -> Response:
        """An answer of HubSpot's, new or kept."""
        parts, body = urlsplit(str(request.url)), await request.body()
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        listed = request.method == "GET" and parts.path.startswith(LISTS) and "/" not in parts.path.removeprefix(LISTS)
        name = (parts.path, *sorted(f"{key}={value}" for key, value in asked.items() if key not in ("after", "limit")))
        key = (request.method, f"{parts.path}?{parts.query}", body)
        if self.latency is not None:
            await asyncio.sleep(self.latency)
            if listed and name in self._lists:
                return _json(200, self._lists[name].page(int(asked.get("after", 0)), int(asked.get("limit", 10))))
            if key in self._answers:
                return _json(*self._answers[key])
        headers = {k: v for k, v in request.headers.items() if k in ("authorization", "content-type")}
        found = await self._http.request(request.method, f"{self._base_url}{key[1]}", content=body, headers=headers)
        if listed and found.status_code == 200:
            self._lists[name].keep(orjson.loads(found.content)["results"])
        else:
            self._answers[key] = (found.status_code, found.content)
        return _json(found.status_code, found.content)


def _json(status: int, content: bytes) -> Response:
    return Response(content, status, media_type="application/json;charset=utf-8")


@contextmanager
def replaying(base_url: str) -> Generator[tuple[Replay, str]]:
    """A `Replay` of this HubSpot and its own base URL, on loopback, for as long as this is held."""
    kept = Replay(base_url)
    app = Starlette(routes=[Route("/{path:path}", kept.answer, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, name="replay", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield kept, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
