"""Notifications as the three vendors send them, taken apart and put together into calls as one likes: repeated, shuffled, many at once."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.sax.saxutils import escape

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cdp_pipelines.sandbox import credentials
from tests.webhooks.test_receiver import signed

Form = Literal["hubspot", "change event", "outbound message", "data stream", "call webhook"]
_PATHS: dict[Form, str] = {
    "hubspot": "hubspot", "change event": "salesforce", "outbound message": f"salesforce/{credentials.WEBHOOK_SECRET}",
    "data stream": "marketo", "call webhook": "marketo",
}  # fmt: skip
_NOTIFICATION = re.compile(r'<Notification><Id>(\w+)</Id><sObject xsi:type="sf:(\w+)"[^>]*><sf:Id>(\w+)</sf:Id></sObject></Notification>')
_ACKNOWLEDGED = b"<Ack>true</Ack>"


@dataclass(frozen=True)
class Notification:
    """One event in the form of its vendor, by its JSON or, of an outbound message, by notification id, object and record."""

    form: Form
    event: str


@dataclass
class Call:
    """Some events of one form in one call; afterwards, whether it was answered as done, and how long each attempt took."""

    events: Sequence[Notification]
    acknowledged: bool = False
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def request(self, url: str) -> tuple[str, bytes, dict[str, str]]:
        """Address, body and headers, signed now."""
        form = self.events[0].form
        address, secret = f"{url}/webhooks/{_PATHS[form]}", {"X-Webhook-Secret": credentials.WEBHOOK_SECRET}
        body = f"[{', '.join(one.event for one in self.events)}]".encode()
        match form:
            case "hubspot":
                return address, body, {"Content-Type": "application/json", **signed(address, body, credentials.HUBSPOT_CLIENT_SECRET)}
            case "change event":
                return address, body, {"Content-Type": "application/json", **secret}
            case "data stream":
                return address, body, {"Content-Type": "application/cloudevents-batch+json", **secret}
            case "call webhook":
                return address, self.events[0].event.encode(), {"Content-Type": "application/json", **secret}
            case "outbound message":
                return address, _message(self.events), {"Content-Type": "text/xml; charset=UTF-8"}


def calls_of(events: Iterable[Notification], dice: random.Random, most: int = 20) -> list[Call]:
    """Events in the order given, put into calls of some size each; a Marketo flow step has one."""
    open_calls: dict[Form, list[Notification]] = {}
    size: dict[Form, int] = {}
    found: list[Call] = []
    for one in events:
        together = open_calls.setdefault(one.form, [])
        together.append(one)
        size.setdefault(one.form, 1 if one.form == "call webhook" else dice.randint(1, most))
        if len(together) >= size[one.form]:
            found.append(Call(open_calls.pop(one.form)))
            del size[one.form]
    return [*found, *(Call(together) for together in open_calls.values())]


def send(url: str, calls: Sequence[Call], *, at_once: int = 16, until: Callable[[], bool] | None = None) -> None:
    """Make the calls, so many at a time. What is not acknowledged is sent again, as vendors do, as long as `until` does not say enough;
    without it each call is made once.
    """

    async def one(http: httpx2.AsyncClient, turns: asyncio.Semaphore, call: Call) -> None:
        while True:
            async with turns:
                address, body, headers = call.request(url)
                begun = time.perf_counter()
                try:
                    answer = await http.post(address, content=body, headers=headers)
                except httpx2.HTTPError:
                    answer = None
                call.seconds.append(time.perf_counter() - begun)
            if answer is not None:
                call.statuses.append(answer.status_code)
                if answer.status_code == 200 and (call.events[0].form != "outbound message" or _ACKNOWLEDGED in answer.content):
                    call.acknowledged = True
                    return
            if until is None or until():
                return
            await asyncio.sleep(0.5)

    async def everything() -> None:
        limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=limits) as http:
            turns = asyncio.Semaphore(at_once)
            await asyncio.gather(*(one(http, turns, call) for call in calls))

    asyncio.run(everything())


class PostBox:
    """A receiver that keeps what the sandbox tells, one event at a time, for a test to send on as it likes."""

    def __init__(self) -> None:
        self._kept: list[Notification] = []
        self._lock = threading.Lock()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[Route(path, self._take, methods=["POST"]) for path in ("/webhooks/{connection}", "/webhooks/{connection}/{secret}")]
        )

    def take(self) -> list[Notification]:
        """What came since the last time."""
        with self._lock:
            kept, self._kept = self._kept, []
        return kept

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        forms: dict[str, Form] = {"hubspot": "hubspot", "salesforce": "change event", "marketo": "data stream"}
        form = forms[request.path_params["connection"]]
        if body.startswith(b"<"):
            form, items = "outbound message", [" ".join(found) for found in _NOTIFICATION.findall(body.decode())]
        else:
            value = json.loads(body)
            items = [json.dumps(item) for item in (value if isinstance(value, list) else [value])]
        with self._lock:
            self._kept += [Notification(form, item) for item in items]
        return PlainTextResponse(_ACKNOWLEDGED.decode())


def invented(count: int) -> list[Notification]:
    """So many different events of all three vendors, about records that nobody has."""
    found: list[Notification] = []
    for n in range(1, count + 1):
        match n % 4:
            case 0:
                found.append(
                    _json("hubspot", objectId=n, propertyName="email", propertyValue="x", portalId=1, occurredAt=1_770_000_000_000 + n,
                          subscriptionType="contact.propertyChange", eventId=n % 7, attemptNumber=0)
                )  # fmt: skip
            case 1:
                header = {
                    "entityName": "Contact", "recordIds": [f"003{n:012d}"], "changeType": "UPDATE", "changedFields": ["Title"], "transactionKey": f"t{n // 5}",
                    "sequenceNumber": n, "commitTimestamp": 1_770_000_000_000 + n, "commitNumber": n, "commitUser": "005",
                }  # fmt: skip
                found.append(_json("change event", schema="x", payload={"ChangeEventHeader": header}, event={"replayId": n}))
            case 2:
                found.append(Notification("outbound message", f"04l{n:012d}AAA Lead 00Q{n:012d}AAA"))
            case _:
                data = {"leadId": str(n), "activityDate": "2026-01-02T03:04:05Z", "activityTypeId": 13, "attributes": []}
                found.append(
                    _json("data stream", specversion="1.0", type="com.adobe.platform.marketo", source="urn:x", id=str(n), data=data)
                )
    return found


def other_forms(one: Notification) -> list[Notification]:
    """A change event or an activity as its vendor's older way tells it: an outbound message, a flow step. HubSpot has one way."""
    event = json.loads(one.event) if one.form in ("change event", "data stream") else {}
    if one.form == "change event":
        header = event["payload"]["ChangeEventHeader"]
        if header["changeType"] in ("CREATE", "UPDATE"):
            number = f"04l{zlib.crc32(one.event.encode()):012d}AAA"
            return [Notification("outbound message", f"{number} {header['entityName']} {record}") for record in header["recordIds"]]
    if one.form == "data stream":
        return [Notification("call webhook", json.dumps({"id": event["data"]["leadId"]}))]
    return []


def _json(form: Form, **event: Any) -> Notification:
    return Notification(form, json.dumps(event))


def _message(events: Sequence[Notification]) -> bytes:
    notifications = ""
    for one in events:
        number, name, record = one.event.split(" ")
        notifications += (
            f'<Notification><Id>{number}</Id><sObject xsi:type="sf:{escape(name)}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
            f"<sf:Id>{record}</sf:Id></sObject></Notification>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        "<OrganizationId>00D000000000001EAA</OrganizationId><ActionId>04k000000000001AAA</ActionId>"
        f'<SessionId xsi:nil="true"/>{notifications}</notifications></soapenv:Body></soapenv:Envelope>'
    ).encode()
