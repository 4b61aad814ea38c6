"""What surrounds every answer: sign-in, limits, the envelope, paging tokens. Errors come inside HTTP 200, as strings of digits."""

from __future__ import annotations

import base64
import json
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cdp_pipelines.sandbox.marketo.options import MarketoOptions

CENTRAL = ZoneInfo("America/Chicago")
HEADERS = {
    "Server": "nginx", "Cache-Control": "no-store", "Pragma": "no-cache", "X-XSS-Protection": "1; mode=block", "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}  # fmt: skip
MAX_URI = 8192


class ApiError(Exception):
    """An error of the API; `status` is 200 but for a few."""

    def __init__(self, code: int, message: str, status: int = 200):
        super().__init__(message)
        self.code, self.status = str(code), status


def request_id() -> str:
    """Some hex digits, and the moment in milliseconds, in hex."""
    return f"{random.randrange(0x100, 0xFFFFF):x}#{int(time.time() * 1000):x}"


def reply(body: dict[str, Any], status: int = 200) -> Response:
    """A JSON answer with Marketo's headers."""
    headers = HEADERS | {"Content-Type": "application/json;charset=UTF-8"}
    return Response(orjson.dumps(body), status, headers)


def success(result: list[Any] | None = None, **extra: Any) -> Response:
    """A good answer of the lead database."""
    body: dict[str, Any] = {"requestId": request_id()}
    if result is not None:
        body["result"] = result
    return reply(body | {k: v for k, v in extra.items() if v is not None} | {"success": True})


def failure(error: ApiError) -> Response:
    """A bad answer."""
    body = {"requestId": request_id(), "success": False, "errors": [{"code": error.code, "message": str(error)}]}
    return reply(body | ({"warnings": []} if error.code == "610" else {}), error.status)


def make_token(**content: Any) -> str:
    """An opaque paging token."""
    return base64.b32encode(orjson.dumps(content)).decode()


def read_token(token: str) -> dict[str, Any]:
    """What a paging token stands for."""
    try:
        return orjson.loads(base64.b32decode(token))
    except ValueError:
        raise ApiError(1003, "Malformed paging token") from None


class Params:
    """A request's parameters: the query's and, for `POST ..._method=GET`, the form's. Lists come repeated or with commas."""

    def __init__(self, pairs: list[tuple[str, str]], body: Any = None):
        self.pairs, self.body = pairs, body

    def get(self, name: str) -> str | None:
        """The last value of a parameter."""
        return next((v for k, v in reversed(self.pairs) if k == name and v != ""), None)

    def need(self, name: str) -> str:
        """The value of a parameter that must be there."""
        if (value := self.get(name)) is None:
            raise ApiError(1002, f"Missing value for the required parameter '{name}'")
        return value

    def many(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [part for k, v in self.pairs if k == name for part in v.split(",") if part]

    def size(self, name: str, default: int, most: int) -> int:
        """A page size, held below the vendor's maximum."""
        text = self.get(name)
        if text is None:
            return default
        if not text.isdecimal() or not int(text):
            raise ApiError(1003, f"Invalid value for parameter '{name}'")
        return min(int(text), most)


async def read_params(request: Request) -> Params:
    """The parameters of a request, wherever `_method=GET` allows them to be."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    body: Any = None
    if request.method == "POST":
        raw = await request.body()
        if "json" in request.headers.get("content-type", ""):
            try:
                body = json.loads(raw or b"{}")
            except ValueError:
                raise ApiError(609, "Invalid JSON") from None
        else:
            pairs += parse_qsl(raw.decode(), keep_blank_values=True)
    return Params(pairs, body)


@dataclass
class Gate:
    """Lets requests in: token, limits, permissions. One for each emulated instance."""

    options: MarketoOptions
    calls_today: int = 0
    errors_today: dict[str, int] = field(default_factory=dict)
    _token: str = ""
    _expires: float = 0
    _recent: deque[float] = field(default_factory=deque)
    _running: int = 0
    _day: Any = None

    def sign_in(self, params: Params) -> Response:
        """The identity endpoint: the same token until it expires."""
        options = self.options
        if params.get("client_id") != options.client_id:
            text = f"No client with requested id: {params.get('client_id')}"
            return JSONResponse({"error": "unauthorized", "error_description": text}, 401)
        if params.get("client_secret") != options.client_secret:
            return JSONResponse({"error": "invalid_client", "error_description": "Bad client credentials"}, 401)
        if params.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "invalid_request", "error_description": "Missing grant type"}, 400)
        now = time.monotonic()
        if now >= self._expires:
            self._token, self._expires = f"{uuid.uuid4()}:int", now + options.token_seconds
        remaining = max(int(self._expires - now) - 1, 0)
        return reply({"access_token": self._token, "token_type": "bearer", "expires_in": remaining, "scope": "apis@sandbox.example.com"})

    def revoke(self) -> None:
        """Make the current token invalid (601)."""
        self._token, self._expires = "", 0

    async def admit(self, request: Request, family: str, handler: Callable[[Params], Awaitable[Response]]) -> Response:
        """Check the request as Marketo does, then let `handler` answer it."""
        self._running += 1
        try:
            if len(request.url.path) + len(request.url.query) > MAX_URI:
                return Response("Request-URI Too Large", 414, HEADERS)
            params = await read_params(request)
            self._check_token(request, params)
            self._check_limits()
            if family in self.options.denied:
                raise ApiError(603, "Access denied")
            return await handler(params)
        except ApiError as error:
            self.errors_today[error.code] = self.errors_today.get(error.code, 0) + 1
            return failure(error)
        finally:
            self._running -= 1

    def _check_token(self, request: Request, params: Params) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            # Since 31 August 2026 the query parameter is no longer taken (vendor's authentication page).
            given = (params.get("access_token") or "") if self.options.token_in_query else ""
        if not given or given != self._token:
            raise ApiError(601, "Access token invalid")
        if time.monotonic() >= self._expires:
            raise ApiError(602, "Access token expired")

    def _check_limits(self) -> None:
        options, now = self.options, time.monotonic()
        if (today := datetime.now(CENTRAL).date()) != self._day:
            self._day, self.calls_today, self.errors_today = today, 0, {}
        if self._running > options.concurrent_calls:
            raise ApiError(615, f"Concurrent access limit '{options.concurrent_calls}' reached")
        if self.calls_today >= options.daily_calls:
            raise ApiError(607, "Daily quota reached")
        while self._recent and self._recent[0] <= now - 20:
            self._recent.popleft()
        if len(self._recent) >= options.calls_per_20_seconds:
            raise ApiError(606, f"Max rate limit '{options.calls_per_20_seconds}' exceeded with in '20' secs")
        self._recent.append(now)
        self.calls_today += 1
