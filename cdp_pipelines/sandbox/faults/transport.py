"""Faults of the way to the CRM and back: time, connection, body, headers, gateways."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

from starlette.responses import Response
from starlette.types import Message

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.faults import answers
from cdp_pipelines.sandbox.faults.calls import Call, Proceed, collected, with_length
from cdp_pipelines.sandbox.faults.kind import FaultKind
from cdp_pipelines.sandbox.faults.settings import setting


@dataclass(frozen=True)
class Slow(FaultKind):
    """The answer comes late; more seconds than a client's time-out make it hang."""

    seconds: float = setting(2.0, "How late.")
    middle: bool = setting(False, "Half of the body at once, the rest late.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Wait, then go on."""
        if not self.middle:
            await asyncio.sleep(self.seconds)
            return await proceed(call)
        start, body = await collected(call, proceed)
        await call.send(start)
        await call.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await asyncio.sleep(self.seconds)
        return await call.send({"type": "http.response.body", "body": body[len(body) // 2 :]})


@dataclass(frozen=True)
class Drop(FaultKind):
    """The connection is closed without an answer."""

    done: bool = setting(False, "The CRM has done what was asked before; only its answer is lost.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Close the connection."""
        if self.done:
            await collected(call, proceed)
        await call.hang_up()


@dataclass(frozen=True)
class Truncate(FaultKind):
    """The connection is closed in the middle of the body; content-length still says the whole."""

    keep: float = setting(0.5, "Which part of the body is sent, from 0 to 1.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Send a part."""
        start, body = await collected(call, proceed)
        await call.send(with_length(start, len(body)))
        kept = min(int(len(body) * self.keep), len(body) - 1)
        if kept > 0:
            await call.send({"type": "http.response.body", "body": body[:kept], "more_body": True})
        await call.hang_up()


@dataclass(frozen=True)
class EmptyBody(FaultKind):
    """Status and headers as ever, and no body."""

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Leave the body out."""
        start, _ = await collected(call, proceed)
        await call.send(with_length(start, 0))
        await call.send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True)
class MalformedJson(FaultKind):
    """A whole answer whose JSON breaks off (content-length is that of what is sent)."""

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Cut the text."""
        start, body = await collected(call.uncompressed(), proceed)
        body = body[: len(body) * 2 // 3]
        await call.send(with_length(start, len(body)))
        await call.send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class HtmlInstead(FaultKind):
    """A web page instead of JSON, as from a proxy, a login page or a maintenance notice."""

    status: int = setting(200, "HTTP status of the page.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Send the page."""
        await call.answer(answers.web_page(call, self.status, "Down for maintenance"))


@dataclass(frozen=True)
class WrongCharset(FaultKind):
    """The content-type calls UTF-8 text ISO-8859-1, as Salesforce's bulk results do (simple-salesforce#687)."""

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Change the header."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (k, v.split(b";")[0] + b";charset=ISO-8859-1" if k.lower() == b"content-type" else v) for k, v in message["headers"]
                ]
                message = {**message, "headers": headers}
            await call.send(message)

        await proceed(call.with_send(send))


@dataclass(frozen=True)
class ClockSkew(FaultKind):
    """The CRM's clock goes wrong: the Date header, and every moment that the call writes or reckons with."""

    seconds: float = setting(300.0, "How far ahead; negative is behind.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Go on at another time."""
        moment = clock.now() + timedelta(seconds=self.seconds)
        date = (b"date", format_datetime(moment, usegmt=True).encode())

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], date]}
            await call.send(message)

        with clock.at(moment):
            await proceed(call.with_send(send))


@dataclass(frozen=True)
class ServerError(FaultKind):
    """5xx: JSON where the vendor's application answers, a page where the gateway before it does (502, 504, 521 to 526)."""

    status: int = setting(503, "HTTP status, such as 500, 502, 503, 504, 521.")
    done: bool = setting(False, "The CRM has done what was asked before; only its answer is lost.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Answer with the error."""
        if self.done:
            await collected(call, proceed)
        await call.answer(answers.broken(call, self.status))


@dataclass(frozen=True)
class UriTooLong(FaultKind):
    """414, as for a query with too many fields; the emulators also give it by themselves beyond the vendor's length."""

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        if call.crm == "salesforce":
            return await call.answer(Response("URI Too Long", 414, media_type="text/plain"))
        return await call.answer(answers.web_page(call, 414, "Request-URI Too Large"))
