"""The org's front door: who may come in, how many calls the day still has, and which query cursors are open."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any

from cdp_pipelines.sandbox import clock, credentials
from cdp_pipelines.sandbox.salesforce import assertions
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.query import Result

ORG_ID = make_id("00D", 1)
_OPEN_CURSORS = 100
_DAY = 86_400


JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


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
        if grant == JWT_GRANT:
            return self._session(self._asserted(form, base_url), base_url)
        client_id, client_secret = form.get("client_id"), form.get("client_secret")
        if basic and not client_id:
            client_id, _, client_secret = _basic(basic).partition(":")
        if grant not in ("password", "client_credentials", "refresh_token"):
            raise TokenRefused("unsupported_grant_type", "grant type not supported")
        if client_id != credentials.SALESFORCE["client_id"]:
            raise TokenRefused("invalid_client_id", "client identifier invalid")
        # A refresh token may be used without the secret (public clients); a wrong secret is refused all the same.
        if client_secret != credentials.SALESFORCE["client_secret"] and not (grant == "refresh_token" and client_secret is None):
            raise TokenRefused("invalid_client", "invalid client credentials")
        if grant == "password" and not self.knows(form.get("username"), form.get("password")):
            raise TokenRefused("invalid_grant", "authentication failure")
        more = self._use_refresh_token(form.get("refresh_token", "")) if grant == "refresh_token" else {}
        return self._session(more, base_url)

    def knows(self, username: str | None, password: str | None) -> bool:
        """Whether a user may sign in with this password (which ends with the security token)."""
        return (username, password) == (credentials.SALESFORCE["username"], credentials.SALESFORCE["password"])

    def _asserted(self, form: Mapping[str, str], base_url: str) -> dict[str, str]:
        try:
            client = assertions.check(
                form.get("assertion", ""), self.options.jwt_public_key, credentials.SALESFORCE["username"], base_url
            )  # fmt: skip
        except assertions.BadAssertion as bad:
            raise TokenRefused("invalid_grant", str(bad)) from None
        if client != credentials.SALESFORCE["client_id"]:
            raise TokenRefused("invalid_client_id", "client identifier invalid")
        return {}

    def _session(self, more: dict[str, str], base_url: str) -> dict[str, Any]:
        return {
            "access_token": self.open_session(), **more, "instance_url": base_url, "id": f"{base_url}/id/{ORG_ID}/{make_id('005', 0)}",
            "token_type": "Bearer", "issued_at": str(int(time.time() * 1000)),
            "signature": base64.b64encode(secrets.token_bytes(32)).decode(), "scope": self.options.token_scopes,
        }  # fmt: skip

    def open_session(self) -> str:
        """A new access token."""
        token = self._new_token()
        self._tokens[token] = time.time() + self.options.token_seconds
        return token

    def end_session(self, token: str) -> bool:
        """Forget an access or refresh token; False when there is none such."""
        known = token in self._refresh_tokens or token in self._tokens
        self._refresh_tokens.discard(token)
        self._tokens.pop(token, None)
        return known

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
        return clock.replaying() or self._tokens.get(token, 0) > time.time()

    def count_call(self) -> bool:
        """Count one call; False (and not counted) when the day's calls are used up."""
        if clock.replaying():
            return True
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


def _basic(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""
