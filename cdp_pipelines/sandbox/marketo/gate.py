"""Who gets in: sign-in, tokens, limits, permissions, sizes."""

from __future__ import annotations

import gzip
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.envelope import HEADERS, ApiError, Params, failure, read_params, reply
from cdp_pipelines.sandbox.marketo.options import MarketoOptions

CENTRAL = ZoneInfo("America/Chicago")
MAX_URI, MAX_BODY, MAX_IMPORT = 8192, 1 << 20, 10 << 20
_COMPRESSED_FROM = 1024


@dataclass
class Day:
    """What was called on one day, by Central time."""

    calls: int = 0
    errors: dict[str, int] = field(default_factory=dict)


@dataclass
class Gate:
    """Lets requests in: token, limits, permissions. One for each emulated instance."""

    options: MarketoOptions
    days: dict[date, Day] = field(default_factory=dict)
    _token: str = ""
    _expires: float = 0
    _recent: deque[float] = field(default_factory=deque)
    _running: int = 0

    @property
    def today(self) -> Day:
        """What was called today."""
        return self.days.setdefault(datetime.now(CENTRAL).date(), Day())

    @property
    def calls_today(self) -> int:
        """Calls that count for the daily limit."""
        return self.today.calls

    @property
    def errors_today(self) -> dict[str, int]:
        """Today's errors by code."""
        return self.today.errors

    async def sign_in(self, request: Request) -> Response:
        """The identity endpoint: the same token until it expires."""
        try:
            params = await read_params(request)
        except ApiError:
            params = Params([])
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

    def expire(self) -> None:
        """End the current token's hour (602)."""
        self._expires = 0

    async def admit(self, request: Request, family: str, handler: Callable[[Params], Awaitable[Response]]) -> Response:
        """Check the request as Marketo does, then let `handler` answer it."""
        self._running += 1
        try:
            if len(request.url.path) + len(request.url.query) > MAX_URI:
                return Response("Request-URI Too Large", 414, HEADERS)
            if len(await request.body()) > (MAX_IMPORT if request.url.path.startswith("/bulk/") else MAX_BODY):
                return Response("Request Entity Too Large", 413, HEADERS)
            params = await read_params(request)
            if not clock.replaying():
                self._check_token(request, params)
                self._check_limits()
                if family in self.options.denied:
                    raise ApiError(603, "Access denied")
            return _compressed(request, await handler(params))
        except ApiError as error:
            errors = self.today.errors
            errors[error.code] = errors.get(error.code, 0) + 1
            return failure(error)
        finally:
            self._running -= 1

    def _check_token(self, request: Request, params: Params) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            # Since 31 August 2026 the query parameter is no longer taken (vendor's authentication page).
            given = (params.get("access_token") or "") if self.options.token_in_query else ""
        if not given and self.options.no_token_code == 600:
            raise ApiError(600, "Empty access token")
        if not given or given != self._token:
            raise ApiError(601, "Access token invalid")
        if time.monotonic() >= self._expires:
            raise ApiError(602, "Access token expired")

    def _check_limits(self) -> None:
        options, now, today = self.options, time.monotonic(), self.today
        if self._running > options.concurrent_calls:
            raise ApiError(615, f"Concurrent access limit '{options.concurrent_calls}' reached")
        if today.calls >= options.daily_calls:
            raise ApiError(607, "Daily quota reached")
        while self._recent and self._recent[0] <= now - 20:
            self._recent.popleft()
        if len(self._recent) >= options.calls_per_20_seconds:
            raise ApiError(606, f"Max rate limit '{options.calls_per_20_seconds}' exceeded with in '20' secs")
        self._recent.append(now)
        today.calls += 1

    def usage(self, days: int) -> list[dict[str, Any]]:
        """Calls by day and user, the last day first."""
        return [
            {"date": day.isoformat(), "total": about.calls, "users": [{"userId": "apis@sandbox.example.com", "count": about.calls}]}
            for day, about in self._last(days)
        ]

    def errors(self, days: int) -> list[dict[str, Any]]:
        """Errors by day and code, the last day first."""
        return [
            {
                "date": day.isoformat(),
                "total": sum(about.errors.values()),
                "errors": [{"errorCode": code, "count": count} for code, count in about.errors.items()],
            }
            for day, about in self._last(days)
        ]

    def _last(self, days: int) -> list[tuple[date, Day]]:
        _ = self.today
        return sorted(self.days.items(), reverse=True)[:days]


def _compressed(request: Request, answer: Response) -> Response:
    """JSON of some size is compressed for who takes it; bulk files never are."""
    body = bytes(answer.body)
    wanted = "gzip" in request.headers.get("accept-encoding", "") and not request.url.path.startswith("/bulk/")
    if not wanted or len(body) < _COMPRESSED_FROM:
        return answer
    headers = {k: v for k, v in answer.headers.items() if k != "content-length"} | {"Content-Encoding": "gzip"}
    return Response(gzip.compress(body, 1), answer.status_code, headers)
