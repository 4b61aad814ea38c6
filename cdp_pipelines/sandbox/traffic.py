"""The latest requests to the emulated CRMs, for the page. Bodies are not kept; tokens and passwords in a path or query are not shown."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Message

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.faults.calls import Call

KEPT = 50
_LONGEST_VALUE, _LONGEST_QUERY = 160, 240
_SECRET_NAME = re.compile(r"token|secret|password|assertion|hapikey|signature|code|sid|session", re.IGNORECASE)
# Where a page goes on is no secret, and worth seeing.
_NO_SECRET = ("nextpagetoken", "errorcode", "statuscode")
_ERROR_INSIDE = re.compile(rb'"success":false,"errors":\[\{"code":"(\d+)"')
_ERROR_BYTES = 500
_SECRET_PATH = re.compile(r"(?<=/access-tokens/)[^/]+|(?<=/refresh-tokens/)[^/]+")


@dataclass(frozen=True)
class Answered:
    """One request and what became of it; `status` is None where the connection was closed without an answer.

    `error` is the code of an error inside a good status, where Marketo puts its errors.
    """

    at: datetime
    crm: Kind
    method: str
    path: str
    query: str
    status: int | None
    milliseconds: float
    faults: tuple[str, ...]
    error: str = ""


class Traffic:
    """A ring of the latest requests, newest last."""

    def __init__(self) -> None:
        self.latest: deque[Answered] = deque(maxlen=KEPT)

    async def watch(self, call: Call, answer: Callable[[Call], Awaitable[None]]) -> None:
        """Let a call be answered and note it. Gives every answer the Date header that the real ones have."""
        at, begun, status, error = datetime.now(UTC), time.perf_counter(), None, ""

        async def send(message: Message) -> None:
            nonlocal status, error
            if message["type"] == "http.response.start":
                status = message["status"]
                if all(name.lower() != b"date" for name, _ in message["headers"]):
                    message = {**message, "headers": [*message["headers"], (b"date", format_datetime(at, usegmt=True).encode())]}
            elif call.crm == "marketo" and (found := _ERROR_INSIDE.search(message.get("body", b"")[:_ERROR_BYTES])):
                error = found[1].decode()
            await call.send(message)

        try:
            await answer(call.with_send(send))
        finally:
            took = (time.perf_counter() - begun) * 1000
            path = _SECRET_PATH.sub("…", call.path)
            self.latest.append(
                Answered(
                    at, call.crm, call.scope["method"], path, shown_query(call.scope), status, round(took, 1), tuple(call.struck), error
                )
            )


def shown_query(scope: MutableMapping[str, Any]) -> str:
    """A request's query, decoded, without the values of parameters that may be secret, and not endless."""
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    hidden = [(name, "…" if _SECRET_NAME.search(name) and name.lower() not in _NO_SECRET else value) for name, value in pairs]
    return _short("&".join(f"{name}={_short(value, _LONGEST_VALUE)}" for name, value in hidden), _LONGEST_QUERY)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
