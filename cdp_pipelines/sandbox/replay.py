"""Writes through the CRMs' APIs: recognised and put in the journal when they are made, and made again through the same apps at a start."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.journal import Entry, Journal, Write, without_secrets

_log = logging.getLogger(__name__)
# Requests that change nothing though their method says so: sign-in, searches, reads of many, jobs that only read.
_READS: dict[Kind, re.Pattern[str]] = {
    "salesforce": re.compile(r"/services/oauth2/.*|/services/data/v[\d.]+/jobs/query(/.*)?"),
    "hubspot": re.compile(r".*/(search|batch/read|merge-preview)/?|/oauth/.*"),
    "marketo": re.compile(r"/identity/.*|/bulk/v1/.+/export(/.*)?"),
}
_SOAP_WRITES = re.compile(rb"<(?:\w+:)?(create|update|upsert|delete|undelete|merge|convertLead|emptyRecycleBin)[\s>]")
_BULK_READS = re.compile(rb"operation[\">:\s]+query|\A\s*select\s", re.IGNORECASE)
_KEPT_HEADERS = ("content-type", "content-encoding", "accept", "if-", "sforce-", "x-http-method-override")
_FINISHING_SECONDS = 10.0


def is_write(crm: Kind, scope: Scope, body: bytes) -> bool:
    """Whether a request may change records."""
    path: str = scope["path"]
    if path.startswith("/services/async/"):
        # Bulk API 1.0 says in the body whether a job only reads.
        return scope["method"] == "POST" and path.endswith(("/job", "/batch")) and not _BULK_READS.search(body)
    if scope["method"] not in ("POST", "PUT", "PATCH", "DELETE") or _READS[crm].fullmatch(path):
        return False
    if path.startswith("/services/Soap/"):
        return _SOAP_WRITES.search(body) is not None
    return not (
        crm == "marketo"
        and (b"_method=GET" in scope.get("query_string", b"") or body.startswith(b"_method=GET") or b"&_method=GET" in body)
    )


class Recorder:
    """An app whose successful writes go into the journal before they are answered. Writes are done one after another, in that order.

    `one_at_a_time` is shared by all that write to the journal, `apply_news` does what other processes wrote there, and `noted` is told of
    every write that worked.
    """

    def __init__(
        self,
        crm: Kind,
        app: ASGIApp,
        journal: Journal,
        one_at_a_time: asyncio.Lock,
        apply_news: Callable[[list[Entry]], Any],
        noted: Callable[[Write], None],
    ):
        self._crm, self._app, self._journal, self._one_at_a_time = crm, app, journal, one_at_a_time
        self._apply_news, self._noted = apply_news, noted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self._app(scope, receive, send)
        body, ended = await _whole(receive)
        if ended or not is_write(self._crm, scope, body):
            return await self._app(scope, _giving(body, receive), send)
        async with self._one_at_a_time:
            with self._journal.writing(self._apply_news):
                write = _write(self._crm, scope, body)
                with clock.at(write.at):
                    messages = await _answers(self._app, scope, body)
                if _worked(self._crm, messages):
                    self._journal.append(write)
                    self._noted(write)
        for message in messages:
            await send(message)
        return None


def replay(writes: Sequence[Write], apps: dict[Kind, ASGIApp]) -> list[bool]:
    """Make writes again, each at its moment and to its end; tells of each whether it worked.

    Runs a loop of its own in a thread, so that it may be called wherever one runs already.
    """
    worked: list[bool] = []

    async def all_of_them() -> None:
        for write in writes:
            worked.append(await _again(write, apps[write.crm]))

    thread = Thread(target=lambda: asyncio.run(all_of_them()), name="sandbox-replay")
    thread.start()
    thread.join()
    return worked


async def _again(write: Write, app: ASGIApp) -> bool:
    scope: Scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": write.method, "scheme": "http", "path": write.path,
        "raw_path": write.path.encode(), "query_string": write.query.encode(), "root_path": "", "client": None, "server": ("127.0.0.1", 80),
        "headers": [(name.encode(), value.encode()) for name, value in (*write.headers, ("host", "127.0.0.1"))], "state": {},
    }  # fmt: skip
    try:
        with clock.at(write.at, replaying=True):
            messages = await _answers(app, scope, write.body)
            # What the write started is part of it.
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            if rest:
                await asyncio.wait(rest, timeout=_FINISHING_SECONDS)
        done = _worked(write.crm, messages)
    except Exception:  # noqa: BLE001 (whatever an app raises, the rest of the journal is still to be done)
        _log.exception("A write of %s could not be made again: %s %s", write.at.isoformat(), write.method, write.path)
        return False
    if not done:
        _log.warning("A write of %s was refused when made again: %s %s", write.at.isoformat(), write.method, write.path)
    return done


def _write(crm: Kind, scope: Scope, body: bytes) -> Write:
    named = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    headers = tuple((name, value) for name, value in named if name.startswith(_KEPT_HEADERS))
    query = scope.get("query_string", b"").decode("latin-1")
    return without_secrets(Write(crm, clock.now(), scope["method"], scope["path"], query, headers, body))


def _worked(crm: Kind, messages: Sequence[Message]) -> bool:
    start = next((message for message in messages if message["type"] == "http.response.start"), None)
    if start is None or not 200 <= start["status"] < 300:
        return False
    if crm != "marketo":
        return True
    # Marketo tells of errors inside 200.
    try:
        return json.loads(b"".join(message.get("body", b"") for message in messages)).get("success") is not False
    except (ValueError, AttributeError):
        return True


async def _answers(app: ASGIApp, scope: Scope, body: bytes) -> list[Message]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, _giving(body, None), keep)
    return messages


async def _whole(receive: Receive) -> tuple[bytes, bool]:
    """A request's body, and whether the client went away before its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts), True
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts), False


def _giving(body: bytes, then: Receive | None) -> Receive:
    """A `receive` that gives this body, then what `then` gives; without it, it waits for ever as a patient client does."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        if then is not None:
            return await then()
        await asyncio.Event().wait()
        raise AssertionError

    return receive
