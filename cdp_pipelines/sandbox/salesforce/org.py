"""The org's front door: who may come in, how many calls the day still has, and which query cursors are open."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.query import Result

ORG_ID = make_id("00D", 1)
_OPEN_CURSORS = 100
_DAY = 86_400


@dataclass
class SalesforceOptions:
    """What the emulator is set to. Limits are the vendor's; nothing waits unless it is told to.

    `bulk_refuses` and `bulk_fails` name objects whose bulk query cannot be created, or ends as Failed.
    """

    token_seconds: float = 7200
    rotate_refresh_tokens: bool = False
    refresh_token: str = "sandbox-refresh-token"
    daily_calls: int = 100_000
    page_size: int = 2000
    bulk_job_seconds: float = 0
    bulk_page_rows: int = 50_000
    bulk_refuses: frozenset[str] = frozenset()
    bulk_fails: frozenset[str] = frozenset()
    recycle_bin_days: int = 15


class TokenRefused(Exception):
    """The token endpoint's error: HTTP 400 with `error` and `error_description`."""

    def __init__(self, error: str, description: str):
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


class Org:
    """Tokens, call counts and cursors. One for each running app; kept as `app.state.org`."""

    def __init__(self, options: SalesforceOptions):
        self.options = options
        self.calls_today = 0
        self._day = int(time.time() // _DAY)
        self._tokens: dict[str, float] = {}
        self._refresh_tokens = {options.refresh_token}
        self._cursors: dict[str, Result] = {}
        self._opened = 0

    def revoke_tokens(self) -> None:
        """Make every access and refresh token useless, as an administrator can."""
        self.expire_tokens()
        self._refresh_tokens.clear()

    def expire_tokens(self) -> None:
        """End all sessions; refresh tokens stay good."""
        self._tokens.clear()

    def sign_in(self, form: Mapping[str, str], basic: str | None, base_url: str) -> dict[str, Any]:
        """The token endpoint's answer. Raises TokenRefused."""
        grant = form.get("grant_type")
        client_id, client_secret = form.get("client_id"), form.get("client_secret")
        if basic and not client_id:
            client_id, _, client_secret = base64.b64decode(basic).decode().partition(":")
        if grant not in ("password", "client_credentials", "refresh_token"):
            raise TokenRefused("unsupported_grant_type", "grant type not supported")
        if client_id != credentials.SALESFORCE["client_id"]:
            raise TokenRefused("invalid_client_id", "client identifier invalid")
        # A refresh token may be used without the secret (public clients); a wrong secret is refused all the same.
        if client_secret != credentials.SALESFORCE["client_secret"] and not (grant == "refresh_token" and client_secret is None):
            raise TokenRefused("invalid_client", "invalid client credentials")
        answer: dict[str, Any] = {"access_token": self._new_token()}
        if grant == "password" and (form.get("username"), form.get("password")) != (
            credentials.SALESFORCE["username"], credentials.SALESFORCE["password"],
        ):  # fmt: skip
            raise TokenRefused("invalid_grant", "authentication failure")
        if grant == "refresh_token":
            answer |= self._use_refresh_token(form.get("refresh_token", ""))
        self._tokens[answer["access_token"]] = time.time() + self.options.token_seconds
        return {
            **answer, "instance_url": base_url, "id": f"{base_url}/id/{ORG_ID}/{make_id('005', 0)}", "token_type": "Bearer",
            "issued_at": str(int(time.time() * 1000)), "signature": base64.b64encode(secrets.token_bytes(32)).decode(), "scope": "api",
        }  # fmt: skip

    def _new_token(self) -> str:
        return f"{ORG_ID[:15]}!AQ{secrets.token_urlsafe(48).replace('-', '.')}"

    def _use_refresh_token(self, token: str) -> dict[str, str]:
        if token not in self._refresh_tokens:
            raise TokenRefused("invalid_grant", "expired access/refresh token")
        if not self.options.rotate_refresh_tokens:
            return {}
        self._refresh_tokens.discard(token)
        fresh = secrets.token_urlsafe(48)
        self._refresh_tokens.add(fresh)
        return {"refresh_token": fresh}

    def accepts(self, token: str) -> bool:
        """Whether the session is open."""
        return self._tokens.get(token, 0) > time.time()

    def count_call(self) -> bool:
        """Count one call; False (and not counted) when the day's calls are used up."""
        if (day := int(time.time() // _DAY)) != self._day:
            self._day, self.calls_today = day, 0
        if self.calls_today >= self.options.daily_calls:
            return False
        self.calls_today += 1
        return True

    @property
    def limit_info(self) -> str:
        """The Sforce-Limit-Info header."""
        return f"api-usage={self.calls_today}/{self.options.daily_calls}"

    def keep_cursor(self, result: Result) -> str:
        """A new locator for a result; the oldest one closes when too many are open."""
        locator = make_id("01g", self._opened)
        self._opened += 1
        self._cursors[locator] = result
        if len(self._cursors) > _OPEN_CURSORS:
            del self._cursors[next(iter(self._cursors))]
        return locator

    def cursor(self, locator: str) -> Result | None:
        """The result behind a locator; None when it is closed or never was."""
        return self._cursors.get(locator)

    def close_cursors(self) -> None:
        """Forget all cursors, as Salesforce does after two days."""
        self._cursors.clear()
