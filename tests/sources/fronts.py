"""What stands in front of an emulated API: chosen calls get another answer, all calls are written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Front:
    """An app with `instead(call)` before it: a Response to give instead, or None. A call is `METHOD path?query`, decoded."""

    def __init__(self, inner: ASGIApp, instead: Callable[[str], Response | None] = lambda call: None):
        self.inner, self.instead = inner, instead
        self.calls: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = unquote_plus(scope["query_string"].decode())
        call = f"{scope['method']} {scope['path']}" + (f"?{query}" if query else "")
        self.calls.append(call)
        await (self.instead(call) or self.inner)(scope, receive, send)

    def count(self, *parts: str) -> int:
        """How many calls hold all of these texts."""
        return sum(all(part in call for part in parts) for call in self.calls)


class Altered:
    """An app whose JSON answers may be altered: `alter(call, body)` gives the body to send; a call is `METHOD path`. `spoil` does the same to
    the bytes of CSV answers."""

    def __init__(self, inner: ASGIApp, alter: Callable[[str, Any], Any], spoil: Callable[[str, bytes], bytes] = lambda call, body: body):
        self.inner, self.alter, self.spoil = inner, alter, spoil

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        plain = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
        await self.inner({**scope, "headers": plain}, receive, keep)
        start, body = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
        headers = MutableHeaders(raw=list(start["headers"]))
        if "json" in headers.get("content-type", "") and body:
            altered = self.alter(f"{scope['method']} {scope['path']}", json.loads(body))
            body = json.dumps(altered).encode()
            headers["content-length"] = str(len(body))
        elif "csv" in headers.get("content-type", ""):
            body = self.spoil(f"{scope['method']} {scope['path']}", body)
            del headers["content-range"]
            headers["content-length"] = str(len(body))
        await send({**start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": body})
