"""The checks that every REST call passes before its handler runs: path, session and the day's limit; and calls that the org makes to itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.salesforce.org import Org
from cdp_pipelines.sandbox.salesforce.records import Records
from cdp_pipelines.sandbox.salesforce.replies import Refused, not_found, reply
from cdp_pipelines.sandbox.salesforce.soql_query import SoqlError
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

FIRST_VERSION, LAST_VERSION = 31, 66
MAX_URI_BYTES = 16_384
_INNER = "cdp.salesforce.inner"

Handler = Callable[[Request], Awaitable[Response]]


class Gate:
    """What stands before the handlers of one org."""

    def __init__(self, store: SalesforceStore, org: Org):
        self.store, self.org = store, org

    def counted(self, handler: Handler) -> Handler:
        """The handler behind the checks."""

        async def endpoint(request: Request) -> Response:
            if len(request.url.path) + len(request.url.query) > MAX_URI_BYTES:
                return PlainTextResponse("URI Too Long", 414)
            try:
                self._admit(request)
                answer = await handler(request)
            except Refused as refused:
                answer = refused.reply()
            except SoqlError as error:
                answer = Refused(400, error.code, error.message).reply()
            answer.headers["Sforce-Limit-Info"] = self.org.limit_info
            return answer

        return endpoint

    def _admit(self, request: Request) -> None:
        if not known_version(request.path_params["version"]):
            raise not_found()
        if self.org.options.person_accounts:
            self.store.enable_person_accounts()
        counted = request.scope.get(_INNER)
        if counted is False or clock.replaying():
            return
        if counted is None:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if token and scheme.lower() not in ("bearer", "oauth"):
                raise Refused(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
            if not self.org.accepts(token):
                raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if not self.org.count_call():
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def object(self, name: str) -> Records:
        """The records of an object that a path names. Raises Refused."""
        spec = self.store.schema.get(name.lower())
        if spec is None:
            raise not_found()
        return self.store.records[spec.name]


def known_version(version: str) -> bool:
    """Whether the org speaks this version (`62.0`)."""
    whole = version.removesuffix(".0")
    return whole != version and whole.isascii() and whole.isdigit() and FIRST_VERSION <= int(whole[:4]) <= LAST_VERSION


@dataclass
class Answer:
    """What a call of the org to itself gave; `body` is None when there was none."""

    status: int
    headers: dict[str, str]
    body: Any


async def call_self(app: ASGIApp, request: Request, method: str, url: str, body: Any, headers: dict[str, str], *, count: bool) -> Answer:
    """Do one part of a composite request. It has the outer request's session; `count` says whether it counts against the day's limit."""
    path, _, query = url.partition("?")
    content = b"" if body is None else orjson.dumps(body)
    raw = [(k.lower().encode(), v.encode("latin-1", "replace")) for k, v in headers.items()]
    scope = {
        **{k: request.scope[k] for k in ("type", "asgi", "http_version", "scheme", "server", "client")}, "method": method, "path": unquote(path),
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "headers": raw, _INNER: count,
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(m for m in sent if m["type"] == "http.response.start")
    answer = b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")
    named = {k.decode("latin-1"): v.decode("latin-1") for k, v in start["headers"]}
    is_json = "json" in named.get("content-type", "")
    return Answer(start["status"], named, orjson.loads(answer) if answer and is_json else answer.decode(errors="replace") or None)


def cached(request: Request, body: Any, changed: datetime) -> Response:
    """An answer with ETag and Last-Modified, or 304 when the client has it already."""
    tag = f'"{sha256(orjson.dumps(body)).hexdigest()[:8]}"'
    headers = {"ETag": tag, "Last-Modified": format_datetime(changed.astimezone(UTC).replace(microsecond=0), usegmt=True)}
    known = [t.strip().removesuffix("--gzip") for t in request.headers.get("If-None-Match", "").split(",")]
    if tag in known or _not_since(request.headers.get("If-Modified-Since"), changed):
        return Response(status_code=304, headers=headers)
    return reply(body, headers=headers)


def _not_since(text: str | None, changed: datetime) -> bool:
    try:
        since = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return False
    return changed.replace(microsecond=0) <= (since if since.tzinfo else since.replace(tzinfo=UTC))
