"""Access tokens: the private app's, which never expires, and OAuth's, which do.

An OAuth access token carries the moment at which it was given and a signature, so that it needs no memory: a restarted sandbox knows it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import expired, unauthorized
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.records import milliseconds
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore

_PREFIX = "CNa1"


class Tokens:
    """Gives OAuth access tokens and judges tokens of both kinds."""

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self._store, self._options = store, options
        self._given = 0

    def give(self) -> str:
        """A new OAuth access token."""
        self._given += 1
        text = f"{milliseconds(clock.now())}.{self._given}"
        return f"{_PREFIX}{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}-{self._signature(text)}"

    def check(self, token: str) -> Literal["private", "oauth"]:
        """Which kind of token this is. Raises Refused when it is not accepted."""
        if self._store.tokens_revoked:
            raise unauthorized()
        if secrets.compare_digest(token.encode(), self._options.access_token.encode()):
            return "private"
        if (given := self.given_at(token)) is None:
            raise unauthorized()
        if (left := self.seconds_left(given)) <= 0:
            raise expired(int(-left))
        return "oauth"

    def seconds_left(self, given: datetime) -> float:
        """How long a token that was given then is still accepted."""
        return (given + timedelta(seconds=self._options.token_lifetime) - clock.now()).total_seconds()

    def given_at(self, token: str) -> datetime | None:
        """When an OAuth access token was given; None for what is none."""
        body, _, signature = token.removeprefix(_PREFIX).rpartition("-")
        try:
            text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
            moment = datetime.fromtimestamp(int(text.partition(".")[0]) / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return None
        return moment if token.startswith(_PREFIX) and secrets.compare_digest(signature.encode(), self._signature(text).encode()) else None

    def _signature(self, text: str) -> str:
        return hmac.new(self._options.client_secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]
