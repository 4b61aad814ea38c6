"""One request on its way to an emulated CRM, as a fault sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_plus

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from cdp_pipelines.config import Kind

# Where tokens come from. Faults of the API itself leave these alone unless they are pointed there.
SIGN_IN = ("/services/oauth2/", "/services/Soap/", "/identity/", "/oauth/")


@dataclass(frozen=True)
class Call:
    """A request: to which CRM, and the ASGI trio. `options` are that CRM's, `expire` ends its sessions (None where tokens do not expire)."""

    crm: Kind
    scope: Scope
    receive: Receive
    send: Send
    options: Any = None
    expire: Callable[[], None] | None = None
    struck: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.scope["path"]

    @property
    def full_path(self) -> str:
        """Path and query, decoded."""
        query = unquote_plus(self.scope.get("query_string", b"").decode("latin-1"))
        return f"{self.path}?{query}" if query else self.path

    @property
    def signs_in(self) -> bool:
        """Whether this asks for a token."""
        return self.path.startswith(SIGN_IN)

    def header(self, name: str) -> str:
        """A request header; empty when it is not there."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == wanted), "")

    async def answer(self, response: Response) -> None:
        """Answer without asking the CRM."""
        await response(self.scope, self.receive, self.send)

    def with_send(self, send: Send) -> Call:
        """The same call, answered another way."""
        return replace(self, send=send)

    def uncompressed(self) -> Call:
        """The same call by a client that does not take compressed answers."""
        headers = [(key, value) for key, value in self.scope["headers"] if key != b"accept-encoding"]
        return replace(self, scope={**self.scope, "headers": headers})

    async def hang_up(self) -> None:
        """Close the connection after what was sent so far."""
        transport = getattr(getattr(self.receive, "__self__", None), "transport", None)
        if transport is None:
            raise RuntimeError("This server gives no way to close a connection; the sandbox needs uvicorn's.")
        transport.close()
        while (await self.receive())["type"] != "http.disconnect":
            pass


Proceed = Callable[[Call], Awaitable[None]]


async def collected(call: Call, proceed: Proceed) -> tuple[Message, bytes]:
    """The CRM's whole answer, kept back: its start and its body."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await proceed(call.with_send(keep))
    return start, bytes(body)


def with_length(start: Message, length: int, content_type: str | None = None) -> Message:
    """An answer's start with another content-length and, if given, content-type."""
    changed = {b"content-length"} | ({b"content-type"} if content_type else set())
    headers = [(key, value) for key, value in start["headers"] if key.lower() not in changed and key.lower() != b"transfer-encoding"]
    headers.append((b"content-length", str(length).encode()))
    if content_type:
        headers.append((b"content-type", content_type.encode()))
    return {**start, "headers": headers}
