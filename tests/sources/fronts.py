"""What stands in front of an emulated API: chosen calls get another answer, all calls are written down."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_plus

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


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
