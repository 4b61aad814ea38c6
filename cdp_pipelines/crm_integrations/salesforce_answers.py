"""What Salesforce's answers mean: which are good, which pass by themselves, and what a person should read about the others."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2

from cdp_pipelines.config import SalesforceConnection
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
from cdp_pipelines.scrubbing import scrub

# More than one client has under way at a time.
CALLS_UNDER_WAY = 25
_USAGE = re.compile(r"\bapi-usage=(\d+)/(\d+)")
_EMAIL = re.compile(r"[^\s\"'@]+@[^\s\"'@]+")
# 406 comes in bursts of describe calls (singer-io/tap-salesforce PR 184); 420 and 429 are short-term limits.
_PASSING_STATUS = (406, 408, 420, 425, 429)
_PASSING_CODES = ("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE")
_NO_PERMISSION = (
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "API_DISABLED_FOR_ORG",
    "API_CURRENTLY_DISABLED",
)
_QUOTA_REMEDY = "Salesforce frees calls over 24 hours; run the same command again later, it goes on where it stopped."


def read_json(response: httpx2.Response) -> Any:
    """The body, numbers with a fraction as text, and NaN too: they must reach the tables as they were given. Read once for each answer."""
    kept = response.extensions
    if "body" not in kept:
        kept["body"] = json.loads(response.content, parse_float=str, parse_constant=str)
    return kept["body"]


def error_of(response: httpx2.Response) -> tuple[str, str]:
    """Code and message of an error answer: a list of errors, or (jsforce saw it) one error by itself; else nothing."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return "", ""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("errorCode") or first.get("error") or ""), str(first.get("message") or first.get("error_description") or "")


class Answers:
    """Judges the answers of one connection, and remembers what they say of the day's calls."""

    def __init__(self, connection: SalesforceConnection):
        self._connection, self._name = connection, connection.name
        self.calls_used: int | None = None
        self.calls_allowed: int | None = None

    def check_reserve(self) -> None:
        """Called before each call: raise QuotaExhausted when less of the day's calls is left than the connection's reserve."""
        if self.calls_used is None or not self.calls_allowed:
            return
        left, reserve = self.calls_allowed - self.calls_used, self._connection.daily_call_reserve
        if left < self.calls_allowed * reserve:
            raise QuotaExhausted(
                self._name,
                f"only {left} of the org's {self.calls_allowed} API calls of this day are left, and {reserve:.0%} are kept for others "
                "(daily_call_reserve).",
                _QUOTA_REMEDY,
            )
        self.calls_used += 1

    def day(self) -> DayOfCalls:
        """The day's calls as the answers so far tell them."""
        used, allowed = self.calls_used, self.calls_allowed
        return DayOfCalls(allowed, None if used is None or allowed is None else max(allowed - used, 0))

    def judge(self, response: httpx2.Response) -> None:
        """Return for a good answer of the REST API; else raise a CRMError, TryAgain or SessionExpired."""
        if usage := _USAGE.search(response.headers.get("Sforce-Limit-Info", "")):
            used, self.calls_allowed = int(usage[1]), int(usage[2])
            # An answer that counts somewhat less than we do was given before the calls that are under way now.
            if self.calls_used is None or not 0 < self.calls_used - used <= CALLS_UNDER_WAY:
                self.calls_used = used
        status = response.status_code
        if status < 300:
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise TryAgain(self._web_page(response), begun=True)
            if "json" in response.headers.get("Content-Type", "") and response.is_stream_consumed:
                self._check_json(response)
            return
        code, message = error_of(response)
        if status == 401 and code != "INVALID_AUTH_HEADER":
            raise SessionExpired(
                AuthenticationError(self._name, f"Salesforce does not accept the session ({message or 'HTTP 401'}).",
                                    "Check that the API user may use the API and that the Connected App's policies allow this machine.")
            )  # fmt: skip
        if 300 <= status < 400:
            raise RequestRejected(
                self._name, f"Salesforce answered with a redirect (HTTP {status}).", "Check domain and login_url in the settings."
            )
        raise self._refusal(status, code, message)

    def judge_token(self, response: httpx2.Response) -> None:
        """As `judge`, for the token endpoint."""
        status = response.status_code
        if status in _PASSING_STATUS or status >= 500:
            raise TryAgain(
                Unreachable(self._name, f"Salesforce's sign-in answered HTTP {status}.", "Try again later; see status.salesforce.com.")
            )
        if status != 200:
            raise AuthenticationError(self._name, *self._sign_in_problem(*error_of(response), status))

    def _refusal(self, status: int, code: str, message: str) -> CRMError | TryAgain:
        said = f"{code}: {_first_lines(message)}" if code else f"HTTP {status}"
        if status >= 500 or status in _PASSING_STATUS or code in _PASSING_CODES:
            error = Unreachable(self._name, f"Salesforce answered {said}.", "Try again later; see status.salesforce.com.")
            return TryAgain(error, begun=status >= 500 or status == 408)
        if code == "REQUEST_LIMIT_EXCEEDED":
            if "Concurrent" in message:
                return TryAgain(QuotaExhausted(self._name, "too many long requests run in the org at once.", "Try again later."), after=20)
            return QuotaExhausted(self._name, "the org's API calls of this day are used up.", _QUOTA_REMEDY)
        if status == 401:
            return AuthenticationError(
                self._name, f"Salesforce refused the request ({said}).", "Check that login_url is a Salesforce host."
            )
        if status == 403 or code in _NO_PERMISSION:
            remedy = "Give the API user the permission 'API Enabled' and read access to the object (Setup > Permission Sets)."
            return PermissionDenied(self._name, f"the API user may not do this ({said}).", remedy)
        if status in (414, 431):
            return RequestRejected(
                self._name, "the query is too long for the REST API.", "Raise api_version or name fewer fields.", "URI_TOO_LONG"
            )
        remedy = {
            "INVALID_TYPE": "Check that the object exists in this org and that the API user may read it.",
            "INVALID_FIELD": "Check that the field exists in this org and that the API user may read it (field-level security).",
            "NOT_FOUND": "Check that the object exists in this org, that the API user may read it, and api_version.",
            "OPERATION_TOO_LARGE": "Give the API user the permission 'View All Data', which lifts this limit.",
            "INVALID_QUERY_LOCATOR": "The cursor was closed before all pages were read; run the same command again.",
        }.get(code, "")
        return RequestRejected(self._name, f"Salesforce refused the request ({said}).", remedy, code or f"HTTP_{status}")

    def _sign_in_problem(self, code: str, message: str, status: int) -> tuple[str, str]:
        """Problem and remedy, by what the token endpoint says."""
        connection, where, name = self._connection, self._connection.WHERE, self._connection.variable
        said = f"({code}: {message})" if code else f"(HTTP {status})"
        if code in ("invalid_client_id", "invalid_app_access"):
            return f"Salesforce does not know the client id {said}.", f"Set {name('client_id')} to the {where['client_id']}."
        if code == "invalid_client":
            return f"Salesforce does not accept the client secret {said}.", f"Set {name('client_secret')} to the {where['client_secret']}."
        if code == "invalid_grant" and (connection.refresh_token or connection.refresh_token_file):
            remedy = f"It was revoked, has expired or was used before; authorize the Connected App again and set {name('refresh_token')}."
            return f"Salesforce does not accept the refresh token {said}.", remedy
        if code == "invalid_grant" and connection.private_key:
            remedy = (
                f"Check that {name('private_key')} belongs to the certificate of the Connected App, that the app admits {name('username')} "
                f"(Manage > Permitted Users: pre-authorized), that {name('login_url')} is right, and this machine's clock."
            )
            return f"Salesforce does not accept the signed assertion {said}.", remedy
        if code == "invalid_grant" and connection.username:
            remedy = (
                f"Check {name('username')}, and set {name('password')} to the {where['password'].removeprefix('the ')}. If both are right: the user "
                f"may be locked out, {name('login_url')} may be of another org (https://test.salesforce.com for a sandbox org), or the Connected App does not allow them."
            )
            return f"Salesforce does not accept the user name or password {said}.", remedy
        if code == "unsupported_grant_type" or "grant" in code:
            remedy = "Allow this kind of sign-in in the Connected App (OAuth settings; client credentials also need a 'Run As' user)."
            return f"the org does not allow this kind of sign-in {said}.", remedy
        return f"Salesforce refused the sign-in {said}.", f"Check {name('client_id')}, {name('client_secret')} and {name('login_url')}."

    def _check_json(self, response: httpx2.Response) -> None:
        try:
            read_json(response)
        except ValueError:
            raise TryAgain(Unreachable(self._name, "Salesforce sent JSON that breaks off.", "Try again later."), begun=True) from None

    def _web_page(self, response: httpx2.Response) -> Unreachable:
        return Unreachable(
            self._name, f"{response.url.host} answered with a web page.", "Check domain and login_url in the settings, and any proxy."
        )


def _first_lines(message: str) -> str:
    """An error text on one line. A query error's first lines repeat the query with a caret below; what is wrong comes after them."""
    lines = [line.strip() for line in scrub(message).splitlines() if line.strip() and line.strip() != "^"]
    at = next((n for n, line in enumerate(lines) if line.startswith("ERROR at Row")), None)
    return _EMAIL.sub("…", " ".join(lines[at + 1 :] if at is not None else lines)[:300])
