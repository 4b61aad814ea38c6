"""When the calls of one class may leave: within the vendor's rates, and slower for a while after it refused one."""

from __future__ import annotations

import asyncio
import time

from pyrate_limiter import Limiter, Rate

# How long calls keep their distance after a refusal.
CALM_SECONDS = 60.0
# The most that they are slowed down to.
WIDEST_SECONDS = 5.0


class Pace:
    """Lets calls of one class go. Others may use the same limit, so a refusal says more than the rates that were set."""

    def __init__(self, rates: list[Rate]):
        self._limiter = Limiter(rates)
        # Twice the even distance of calls at the tightest rate: half of what is allowed.
        self._first_spacing = 2 * max(rate.interval / rate.limit for rate in rates) / 1000
        self._spacing, self._next, self._calm = 0.0, 0.0, 0.0

    def close(self) -> None:
        """Stop the limiter."""
        self._limiter.close()

    async def turn(self) -> None:
        """Wait until a call may leave."""
        await self._limiter.try_acquire_async("call")
        now = time.monotonic()
        if now >= self._calm:
            self._spacing = 0.0
        leaves = max(now, self._next)
        self._next = leaves + self._spacing
        if leaves > now:
            await asyncio.sleep(leaves - now)

    def refused(self, seconds: float) -> None:
        """The CRM refused a call for its limit: let none go for so many seconds, then only half as many a second as before, for a while."""
        now = time.monotonic()
        if now >= self._next or not self._spacing:  # else it is one of several that were under way when the first was refused
            self._spacing = min(max(2 * self._spacing, self._first_spacing), WIDEST_SECONDS)
        self._next = max(self._next, now + seconds)
        self._calm = self._next + CALM_SECONDS
