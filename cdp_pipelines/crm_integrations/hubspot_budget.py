"""The portal's daily calls: how many are left, and when they start anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx2

from cdp_pipelines.config import HubSpotConnection
from cdp_pipelines.crm_integrations.base_crm import CRMError, QuotaExhausted

REMEDY = "run this again then, it goes on where it stopped."


class DailyBudget:
    """Keeps a share of the day's calls for others. `details()` gives the account's details, for its time zone."""

    def __init__(self, connection: HubSpotConnection, details: Callable[[], Awaitable[dict]]):
        self._connection, self._details = connection, details
        self._asking = asyncio.Lock()
        self._zone: ZoneInfo | None = None
        self._asked = False
        self.calls_allowed: int | None = None
        self.calls_left: int | None = None

    def note(self, response: httpx2.Response) -> None:
        """Remember what an answer says of the day's calls; those of searches, and of OAuth apps, say nothing."""
        most, left = (response.headers.get(f"X-HubSpot-RateLimit-Daily{suffix}", "") for suffix in ("", "-Remaining"))
        if most.isdigit() and left.isdigit():
            self.calls_allowed, self.calls_left = int(most), int(left)

    async def check(self) -> None:
        """Raise QuotaExhausted when less of the day's calls is left than the connection's reserve."""
        reserve, most, left = self._connection.daily_call_reserve, self.calls_allowed, self.calls_left
        if most and left is not None and left < most * reserve:
            problem = f"only {left} of the portal's {most} API calls of this day are left, and {reserve:.0%} are kept for others (daily_call_reserve)."
            await self._find_zone()
            raise self.with_time(QuotaExhausted(self._connection.name, problem))

    async def _find_zone(self) -> None:
        async with self._asking:
            if not self._asked:
                self._asked = True
                # A zone that this machine does not know, or a call that fails, is no reason to say nothing.
                with contextlib.suppress(CRMError, KeyError, ValueError, ZoneInfoNotFoundError):
                    self._zone = ZoneInfo((await self._details())["timeZone"])

    def with_time(self, error: QuotaExhausted) -> QuotaExhausted:
        """The same error, saying when the day's calls start anew: at midnight in the portal's own time zone, if that is known."""
        if self._zone is None:
            return QuotaExhausted(error.connection, error.problem, f"They start anew at midnight in the portal's time zone; {REMEDY}")
        tomorrow = datetime.now(self._zone) + timedelta(days=1)
        midnight = tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)
        remedy = f"They start anew at {midnight:%Y-%m-%d %H:%M} ({self._zone.key}); {REMEDY}"
        return QuotaExhausted(error.connection, error.problem, remedy, midnight.astimezone(UTC))
