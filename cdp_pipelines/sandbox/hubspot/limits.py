"""The portal's limits on calls."""

from __future__ import annotations

from collections import deque
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import rate_limited
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions

__all__ = ["HubSpotOptions", "Limits"]


class Limits:
    """Counts calls in sliding windows, and in days of the account's time zone. A refused call does not count."""

    def __init__(self, options: HubSpotOptions):
        self._options = options
        self._recent: deque[datetime] = deque()
        self._searches: deque[datetime] = deque()
        self._day: date | None = None
        self._today = 0

    @property
    def today(self) -> int:
        """Calls since midnight, where the account is."""
        day = clock.now().astimezone(ZoneInfo(self._options.time_zone)).date()
        if day != self._day:
            self._day, self._today = day, 0
        return self._today

    def resets_at(self) -> datetime:
        """When the day ends, where the account is."""
        here = clock.now().astimezone(ZoneInfo(self._options.time_zone))
        return (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)

    def count(self, *, search: bool, oauth: bool = False) -> dict[str, str]:
        """Count a call and give the headers that tell what is left; answers to searches have none. Raises Refused."""
        options, daily = self._options, self._options.per_day()
        if daily is not None and self.today >= daily:
            raise rate_limited("DAILY", None, category=options.rate_limit_category)
        window, size, seconds, policy = (
            (self._searches, options.searches_per_second, 1, "SECONDLY")
            if search
            else (self._recent, options.per_10_seconds(oauth=oauth), 10, "TEN_SECONDLY_ROLLING")
        )
        now = clock.now()
        while window and abs(now - window[0]) >= timedelta(seconds=seconds):
            window.popleft()
        if size is not None and len(window) >= size:
            raise rate_limited(policy, seconds if options.retry_after else None, category=options.rate_limit_category)
        window.append(now)
        self._today = self.today + 1
        if search or size is None:
            return {}
        headers = {
            "X-HubSpot-RateLimit-Max": str(size),
            "X-HubSpot-RateLimit-Remaining": str(size - len(window)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
        if options.secondly_headers:
            second = sum(moment > now - timedelta(seconds=1) for moment in window)
            headers |= {
                "X-HubSpot-RateLimit-Secondly": str(size // 10),
                "X-HubSpot-RateLimit-Secondly-Remaining": str(max(size // 10 - second, 0)),
            }
        if not oauth and daily is not None:
            headers |= {"X-HubSpot-RateLimit-Daily": str(daily), "X-HubSpot-RateLimit-Daily-Remaining": str(max(daily - self.today, 0))}
        return headers
