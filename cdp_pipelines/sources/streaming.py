"""Asynchronous reading behind a plain iterator: batches are fetched ahead, on one event loop in a thread, while dlt writes the last one."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

# What one stream holds of what nobody took yet. Many streams run at once, and memory is to stay flat.
AHEAD_BYTES = 8 << 20
# What is worth waking up for whoever takes the items.
TAKEN_BYTES = 1 << 20
_END = object()


class EventLoopThread:
    """An event loop that runs in a thread of its own until the block ends."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crm-io", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, waited for."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stream(self, source: Callable[[], AsyncIterator[T]], size: Callable[[T], int]) -> Stream[T]:
        """Begin to read `source` now; take the items whenever they are wanted. `size` gives an item's bytes, about."""
        return Stream(self, source, size)

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Stream(Generic[T]):
    """Items of an asynchronous iterator, some fetched before they are asked for. Raises what the iterator raised, once."""

    def __init__(self, thread: EventLoopThread, source: Callable[[], AsyncIterator[T]], size: Callable[[T], int]):
        self._thread, self._source, self._size = thread, source, size
        self._items: deque[Any] = deque()
        self._bytes = 0
        self._held_up = self._ended = False
        self._changed = asyncio.Condition()
        thread.run(self._start(contextvars.copy_context()))

    async def _start(self, context: contextvars.Context) -> None:
        self._task = asyncio.get_running_loop().create_task(self._fill(), context=context)

    async def _fill(self) -> None:
        try:
            async for item in self._source():
                await self._put(item, self._size(item))
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever takes the items gets it
            await self._end(_Failure(error))
        else:
            await self._end(_END)

    async def _put(self, item: T, size: int) -> None:
        async with self._changed:
            while self._items and self._bytes + size > AHEAD_BYTES:
                self._held_up = True
                self._changed.notify_all()
                await self._changed.wait()
            self._items.append(item)
            self._bytes += size
            if self._bytes >= TAKEN_BYTES:
                self._changed.notify_all()

    async def _end(self, last: Any) -> None:
        async with self._changed:
            self._items.append(last)
            self._ended = True
            self._changed.notify_all()

    async def _take(self) -> list[Any]:
        """Everything that is there, once it is worth it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or self._held_up or self._bytes >= TAKEN_BYTES)
            items = list(self._items)
            self._items.clear()
            self._bytes, self._held_up = 0, False
            self._changed.notify_all()
            return items

    def __iter__(self) -> Iterator[T]:
        while True:
            for item in self._thread.run(self._take()):
                if item is _END:
                    return
                if isinstance(item, _Failure):
                    raise item.error
                yield item


class _Failure:
    def __init__(self, error: Exception):
        self.error = error
