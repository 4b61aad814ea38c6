"""Many small reads of one kind, several at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def together(ids: Iterable[str], size: int, most: int, read: Callable[[list[str]], Awaitable[T]]) -> AsyncIterator[T]:
    """What `read` gives for each `size` ids, in order. `most` reads are under way at a time, the next one as soon as the first is done."""
    left, running = iter(ids), deque[asyncio.Future[T]]()
    try:
        while some := list(itertools.islice(left, size)):
            running.append(asyncio.ensure_future(read(some)))
            if len(running) == most:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
