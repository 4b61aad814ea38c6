"""Asynchronous reading behind a plain iterator: pages are fetched ahead, on one event loop in a thread, while dlt writes the last one."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

PAGES_AHEAD = 4
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

    def stream(self, source: Callable[[], AsyncIterator[T]]) -> Stream[T]:
        """Begin to read `source` now; take the items whenever they are wanted."""
        return Stream(self, source)

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Stream(Generic[T]):
    """Items of an asynchronous iterator, at most `PAGES_AHEAD` fetched before they are asked for. Raises what the iterator raised."""

    def __init__(self, thread: EventLoopThread, source: Callable[[], AsyncIterator[T]]):
        self._thread, self._source = thread, source
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=PAGES_AHEAD)
        thread.run(self._start(contextvars.copy_context()))

    async def _start(self, context: contextvars.Context) -> None:
        self._task = asyncio.get_running_loop().create_task(self._fill(), context=context)

    async def _fill(self) -> None:
        try:
            async for item in self._source():
                await self._queue.put(item)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever takes the items gets it
            await self._queue.put(_Failure(error))
        else:
            await self._queue.put(_END)

    def __iter__(self) -> Iterator[T]:
        while (item := self._thread.run(self._queue.get())) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item


class _Failure:
    def __init__(self, error: Exception):
        self.error = error
