"""The portal's options, and its limits on calls."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot.errors import rate_limited


@dataclass
class HubSpotOptions:
    """The emulator's knobs; the defaults are a Professional portal's. `None` lifts a limit.

    `lead_score` is whether the portal has a property `hs_lead_score` (none has by nature), `legacy_score` whether it still has
    `hubspotscore` (HubSpot retired it on 2025-08-31). `retry_after` is whether a 429 says how long to wait; HubSpot does not promise it.
    `withheld_scopes` were not granted to the token; `nested_scope_errors` chooses the other of the two shapes of that error.
    `association_inputs` is 1,000 in the documentation, 100 in a changelog.
    """

    access_token: str = credentials.HUBSPOT["access_token"]
    portal_id: int = 44_237_313
    time_zone: str = "US/Eastern"
    calls_per_10_seconds: int | None = 190
    searches_per_second: int | None = 5
    calls_per_day: int | None = 625_000
    retry_after: bool = False
    lead_score: bool = True
    legacy_score: bool = False
    search_lag_seconds: float = 0
    search_cap: int = 10_000
    association_inputs: int = 1_000
    association_page: int = 500
    inline_associations: int = 100
    max_url: int = 16_250
    withheld_scopes: frozenset[str] = field(default_factory=frozenset)
    nested_scope_errors: bool = False


class Limits:
    """Counts calls in sliding windows. A refused call does not count."""

    def __init__(self, options: HubSpotOptions):
        self._options = options
        self._recent: deque[float] = deque()
        self._searches: deque[float] = deque()
        self.today = 0

    def count(self, *, search: bool) -> dict[str, str]:
        """Count a call and give the headers that tell what is left; answers to searches have none. Raises Refused."""
        options = self._options
        if options.calls_per_day is not None and self.today >= options.calls_per_day:
            raise rate_limited("DAILY", None)
        window, size, seconds, policy = (
            (self._searches, options.searches_per_second, 1, "SECONDLY")
            if search
            else (self._recent, options.calls_per_10_seconds, 10, "TEN_SECONDLY_ROLLING")
        )
        now = time.monotonic()
        while window and window[0] <= now - seconds:
            window.popleft()
        if size is not None and len(window) >= size:
            raise rate_limited(policy, seconds if options.retry_after else None)
        window.append(now)
        self.today += 1
        if search or size is None:
            return {}
        daily = options.calls_per_day or 0
        return {
            "X-HubSpot-RateLimit-Max": str(size),
            "X-HubSpot-RateLimit-Remaining": str(size - len(window)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": str(daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(daily - self.today, 0)),
        }
