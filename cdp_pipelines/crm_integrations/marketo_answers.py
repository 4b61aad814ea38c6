"""What a Marketo answer means. Most errors come inside HTTP 200, as codes of three or four digits (vendor's error code page)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2

from cdp_pipelines.config import MarketoConnection
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    CRMError,
    DayOfCalls,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
    Unreachable,
)
from cdp_pipelines.crm_integrations.http import SessionExpired, TryAgain

CENTRAL = ZoneInfo("America/Chicago")
RATE_WINDOW_SECONDS = 20.0
# Token invalid, token expired; both are cured by a new token, and a client that knows one of them only loses the batch
# (segmentio/action-destinations PR 1799).
_EXPIRED = {"600", "601", "602"}
# Timed out, unavailable, system error, too many at once, transient.
_PASSING = {"604", "608", "611", "615", "713"}
# The vendor says that no error of the six hundreds was carried out; of a time-out and a system error that is hard to believe.
_MAYBE_DONE = {"604", "611"}
_REMEDIES = {
    "1003": "Check the fields and the range of time that are asked for.",
    "1018": "This instance is synced with a CRM, which keeps opportunities and companies; read them there.",
    "1035": "The subscription does not support this filter.",
}


def next_midnight(now: datetime | None = None) -> datetime:
    """When the daily allowances start anew: midnight in Marketo's Central Time."""
    day = (now or datetime.now(UTC)).astimezone(CENTRAL).date() + timedelta(days=1)
    return datetime.combine(day, time(), CENTRAL).astimezone(UTC)


def read_body(response: httpx2.Response) -> dict[str, Any]:
    """The JSON body, numbers with a fraction kept as text; read once for each answer. Raises ValueError."""
    kept = response.extensions
    if "body" not in kept:
        body = json.loads(response.content, parse_float=str, parse_constant=str)
        if not isinstance(body, dict):
            raise ValueError("not an object")
        kept["body"] = body
    return kept["body"]


def out_of_quota(connection: str, problem: str) -> QuotaExhausted:
    """A daily allowance is used up; says when the next one begins."""
    resets = next_midnight()
    remedy = f"Run again after {resets:%Y-%m-%d %H:%M} UTC (midnight Central Time); reading goes on where it was."
    return QuotaExhausted(connection, problem, remedy, resets)


class DailyBudget:
    """Keeps part of the instance's daily calls for others. What was used is looked up before the first call and then now and then."""

    LOOK_EVERY = 500

    def __init__(self, connection: MarketoConnection):
        self._connection = connection
        self._used: int | None = None
        self._own_then = 0
        self._looking = False
        self._kept = connection.daily_call_reserve > 0
        self._next_look = 0 if self._kept else None

    def wants_a_look(self, own_calls: int) -> bool:
        """Whether it is time to ask how many calls were made today; `own_calls` are this client's so far."""
        return self._next_look is not None and not self._looking and own_calls >= self._next_look

    @contextlib.contextmanager
    def looking(self) -> Generator[None]:
        """The call that looks needs no look before it; if it fails, no other is tried."""
        self._looking, self._next_look = True, None
        try:
            yield
        finally:
            self._looking = False

    def seen(self, used: int, own_calls: int) -> None:
        """So many calls of all clients were made today."""
        self._used, self._own_then = used, own_calls
        self._next_look = own_calls + self.LOOK_EVERY if self._kept else None

    def check(self, own_calls: int) -> None:
        """Raise QuotaExhausted when what is left for today is less than the reserve."""
        left = self._left(own_calls)
        if left is None or self._looking:
            return
        allowed, reserve = self._connection.daily_calls, self._connection.daily_call_reserve
        if left < allowed * reserve:
            problem = (
                f"only {max(left, 0)} of the instance's {allowed} API calls of this day are left, and {reserve:.0%} are kept for others."
            )
            raise out_of_quota(self._connection.name, f"{problem[:-1]} (daily_calls, daily_call_reserve).")

    def day(self, own_calls: int) -> DayOfCalls:
        """The day's calls: what was looked up last, and this client's own since. The allowance is the setting `daily_calls`."""
        left = self._left(own_calls)
        return DayOfCalls() if left is None else DayOfCalls(self._connection.daily_calls, max(left, 0))

    def _left(self, own_calls: int) -> int | None:
        return None if self._used is None else self._connection.daily_calls - self._used - (own_calls - self._own_then)


class MarketoJudge:
    """Judges the answers that one connection gets; an instance is what `HttpClient` calls a judge."""

    def __init__(self, connection: str):
        self.connection = connection

    def __call__(self, response: httpx2.Response) -> None:
        """Return for success. Raises a CRMError, TryAgain or SessionExpired."""
        self._judge_status(response)
        try:
            body = read_body(response)
        except ValueError:
            raise self._passing("answered with something that is not JSON", begun=True) from None
        if body.get("success") is not True:
            self._judge_errors(body.get("errors") or [])

    def file(self, response: httpx2.Response) -> None:
        """As calling it, for an answer that should be an export's file."""
        if "json" in response.headers.get("content-type", ""):
            return self(response)
        if response.status_code == 404:
            raise RequestRejected(self.connection, "an export's file is no longer there.", "Run the same command again.", code="404")
        return self._judge_status(response)

    def token(self, response: httpx2.Response) -> None:
        """As calling it, for an answer of the identity endpoint. The vendor's text is not repeated: it holds the client id."""
        if response.status_code in (400, 401):
            raise AuthenticationError(
                self.connection, "Marketo does not accept the client id and secret.",
                f"Copy {self.connection.upper()}_CLIENT_ID and {self.connection.upper()}_CLIENT_SECRET anew from Admin > Integration > "
                "LaunchPoint > View Details of the custom service.",
            )  # fmt: skip
        self._judge_status(response)
        try:
            found = bool(read_body(response).get("access_token"))
        except ValueError:
            found = False
        if not found:
            raise self._passing("gave no access token")

    def _judge_status(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status >= 500 or status == 429:
            raise self._passing(f"answered with HTTP {status}", RATE_WINDOW_SECONDS if status == 429 else None, begun=status != 429)
        if status == 401:
            raise self._expired()
        if status == 404 and "json" not in response.headers.get("content-type", ""):
            raise RequestRejected(
                self.connection, "the endpoint does not answer like Marketo (HTTP 404).",
                "Check the REST endpoint in Admin > Integration > Web Services.", code="404",
            )  # fmt: skip
        if status >= 300 and status != 404:
            raise RequestRejected(self.connection, f"Marketo refused a request (HTTP {status}).", code=str(status))

    def _judge_errors(self, errors: list[dict[str, Any]]) -> None:
        first = errors[0] if errors else {}
        code, message = str(first.get("code", "")), str(first.get("message", "no reason given"))
        what = f"Marketo says {code}: {message}."
        if code in _EXPIRED:
            raise self._expired()
        if code == "603":
            raise PermissionDenied(
                self.connection, what, "Give the API user's role the permission (Admin > Users & Roles > Roles > Access API)."
            )
        if code == "606":
            error = Unreachable(self.connection, what, "Lower calls_per_20_seconds: others use this instance's API too.")
            raise TryAgain(error, after=RATE_WINDOW_SECONDS)
        if code == "607" or (code == "1029" and "quota" in message.lower()):
            raise out_of_quota(self.connection, what)
        if code in _PASSING:
            raise self._passing(f"says {code}: {message}", begun=code in _MAYBE_DONE)
        raise RequestRejected(self.connection, what, _REMEDIES.get(code, ""), code=code)

    def _expired(self) -> SessionExpired:
        error: CRMError = AuthenticationError(
            self.connection,
            "Marketo accepts no access token, not even a fresh one.",
            "Check that the API user and the custom service still exist.",
        )
        return SessionExpired(error)

    def _passing(self, what: str, after: float | None = None, *, begun: bool = False) -> TryAgain:
        return TryAgain(Unreachable(self.connection, f"Marketo {what}.", "Try again later."), after, begun=begun)
