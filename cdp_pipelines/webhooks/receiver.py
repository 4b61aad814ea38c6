"""The receiver: `POST /webhooks/<connection>`. A call is checked, its events are on the disk, and only then is it answered.

What cannot be trusted or read is refused with the status that makes its vendor do the right thing, counted, and not kept. HubSpot gives a
call up on 4xx and repeats it on 5xx for a day; where the fault may be ours (a secret that was changed, a clock that is off) it gets 503.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from cdp_pipelines.config import Connection, Kind
from cdp_pipelines.webhooks import hubspot, marketo, salesforce
from cdp_pipelines.webhooks.event import Event, Malformed
from cdp_pipelines.webhooks.inbox import InboxFull, InboxUnavailable
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.metrics import ReceiverMetrics
from cdp_pipelines.webhooks.signatures import Refused, check_hubspot, check_shared_secret

# A hundred events of HubSpot, a hundred notifications of Salesforce or five hundred activities of Marketo are far below it.
LARGEST_BODY = 2_000_000
RETRY_SECONDS = "30"
_JSON, _XML, _FORM = (
    ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json"),
    ("text/xml", "application/xml"),
    ("application/x-www-form-urlencoded",),
)
_TAKEN: dict[Kind, tuple[str, ...]] = {"hubspot": _JSON[:1], "salesforce": (*_JSON, *_XML), "marketo": (*_JSON, *_FORM)}


class _Unanswerable(Exception):
    """A call that ends with a status and a reason, which is also what it is counted as."""

    def __init__(self, status: int, reason: str, text: str, *, later: bool = False):
        super().__init__(text)
        self.status, self.reason, self.text, self.later = status, reason, text, later


@dataclass(frozen=True)
class Receiver:
    """What the receiver knows: the connections by name, where events go, the address that the vendors call (None: as they say), and what it
    counts."""

    connections: Mapping[str, Connection]
    keeper: Keeper
    public_url: str | None = None
    metrics: ReceiverMetrics = field(default_factory=ReceiverMetrics)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/webhooks/{connection}", self.receive, methods=["POST"]),
                Route("/webhooks/{connection}/{secret}", self.receive, methods=["POST"]),
                Route("/health", self.health, methods=["GET"]),
            ]
        )

    async def health(self, request: Request) -> Response:
        """Whether the receiver is there; says nothing else to whoever asks."""
        return PlainTextResponse("ok")

    async def receive(self, request: Request) -> Response:
        """Take one call."""
        connection = self.connections.get(request.path_params["connection"])
        with self.metrics.handling(connection.name if connection else ""):
            return await self._answer(request, connection)

    async def _answer(self, request: Request, connection: Connection | None) -> Response:
        name = connection.name if connection else ""
        try:
            if connection is None:
                raise _Unanswerable(404, "unknown connection", "No such connection.")
            events, outbound = await self._events(request, connection)
            await self._keep(events)
        except _Unanswerable as refusal:
            self.keeper.refused(name, refusal.reason)
            self.metrics.refused(name, refusal.reason)
            return PlainTextResponse(refusal.text, refusal.status, {"Retry-After": RETRY_SECONDS} if refusal.later else None)
        self.metrics.took(name, len(events))
        if outbound:
            return Response(salesforce.ACKNOWLEDGED, media_type="text/xml")
        return JSONResponse({"received": len(events)})

    async def _keep(self, events: list[Event]) -> None:
        try:
            await self.keeper.keep(events)
        except InboxFull:
            raise _Unanswerable(429, "inbox full", "Too many events wait; come again later.", later=True) from None
        except InboxUnavailable:
            raise _Unanswerable(503, "inbox unavailable", "Events cannot be kept now; come again later.", later=True) from None

    async def _events(self, request: Request, connection: Connection) -> tuple[list[Event], bool]:
        """The events of a call that can be trusted, and whether it is an outbound message."""
        form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if form not in _TAKEN[connection.kind] or request.headers.get("content-encoding", "identity").lower() != "identity":
            taken = ", ".join(_TAKEN[connection.kind])
            raise _Unanswerable(415, "wrong type", f"Send {taken}, not compressed.")
        body = await _body(request)
        self._check(request, connection, body)
        try:
            match connection.kind:
                case "hubspot":
                    return hubspot.events(connection.name, body), False
                case "salesforce" if form in _XML:
                    return salesforce.outbound_message(connection.name, body), True
                case "salesforce":
                    return salesforce.change_events(connection.name, body), False
                case "marketo":
                    return marketo.events(connection.name, body, form in _FORM), False
        except Malformed as error:
            raise _Unanswerable(400, "malformed", f"Not understood: {error}.") from None

    def _check(self, request: Request, connection: Connection, body: bytes) -> None:
        secrets = connection.webhook_secrets()
        if not secrets:
            text = f"{connection.variable('webhook_secret')} is not set, so nothing is accepted."
            raise _Unanswerable(503, "no secret", text, later=True)
        try:
            if connection.kind == "hubspot":
                check_hubspot(secrets, request.method, self._called(request), request.headers, body, time.time_ns() // 1_000_000)
            else:
                check_shared_secret(secrets, request.headers, request.path_params.get("secret"))
        except Refused as refusal:
            if connection.kind == "hubspot" and refusal.reason != "missing":
                raise _Unanswerable(503, f"{refusal.reason} signature", "The signature does not fit.", later=True) from None
            raise _Unanswerable(401, f"{refusal.reason} credentials", "The call does not show who it is from.") from None

    def _called(self, request: Request) -> str:
        """The address that HubSpot called: a proxy in front of us has another name than we."""
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
        base = self.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
        query = request.scope["query_string"].decode("latin-1")
        return f"{base}{path}?{query}" if query else f"{base}{path}"


async def _body(request: Request) -> bytes:
    """The raw body, read no further than a call may be long."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        raise _Unanswerable(413, "too large", f"A call may have {LARGEST_BODY:,} bytes.")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                raise _Unanswerable(413, "too large", f"A call may have {LARGEST_BODY:,} bytes.")
    except ClientDisconnect:
        raise _Unanswerable(400, "cut off", "The call was cut off.") from None
    return bytes(body)
