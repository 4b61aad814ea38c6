"""The receiver's one writer: events of many calls at once go to the inbox in one commit, and each call learns when its own are there."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cdp_pipelines.config import ConfigError
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox, InboxFull, InboxUnavailable

log = logging.getLogger(__name__)

# Events that may be between the network and the disk, and the most of one commit.
IN_FLIGHT, A_COMMIT = 20_000, 5_000
_REFUSALS_EVERY = 1.0

_Call = tuple[Sequence[Event], "asyncio.Future[int]", asyncio.AbstractEventLoop]


class Keeper:
    """Writes to an inbox from a thread of its own. Use it as a context manager."""

    def __init__(self, path: Path, most: int, sealer: Sealer | None = None):
        self._path, self._most, self._sealer = path, most, sealer
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._in_flight = 0
        self._refused: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="inbox", daemon=True)
        self._ready: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._thread.start()
        if error := self._ready.get():
            if isinstance(error, ConfigError):
                raise error
            raise InboxUnavailable(f"{self._path} cannot be opened: {error}. Mend its folder's permissions, or make room.") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.put(None)
        self._thread.join(timeout=30)

    async def keep(self, events: Sequence[Event]) -> int:
        """Keep events; returns when they are on the disk, with how many were new. Raises InboxFull or InboxUnavailable."""
        if self._in_flight + len(events) > IN_FLIGHT:
            raise InboxFull("too many calls at once")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        self._in_flight += len(events)
        try:
            self._calls.put((events, answer, loop))
            # Shielded: a caller that hangs up does not take its events back.
            return await asyncio.shield(answer)
        finally:
            self._in_flight -= len(events)

    def refused(self, connection: str, reason: str) -> None:
        """Count a refused call; written once a second, so that a flood of them costs no disk."""
        with self._lock:
            self._refused[connection, reason] += 1

    def _work(self) -> None:
        try:
            inbox = Inbox(self._path, self._most, self._sealer)
        except (sqlite3.Error, OSError, ConfigError) as error:
            self._ready.put(error)
            return
        self._ready.put(None)
        counted, going = time.monotonic(), True
        while going:
            calls: list[_Call] = []
            try:
                call = self._calls.get(timeout=_REFUSALS_EVERY)
                while call is not None:
                    calls.append(call)
                    if sum(len(events) for events, *_ in calls) >= A_COMMIT or self._calls.empty():
                        break
                    call = self._calls.get()
                going = call is not None
            except queue.Empty:
                pass
            if calls:
                _commit(inbox, calls)
            if not going or time.monotonic() - counted > _REFUSALS_EVERY:
                counted = time.monotonic()
                self._write_refusals(inbox)
        inbox.close()

    def _write_refusals(self, inbox: Inbox) -> None:
        with self._lock:
            counts, self._refused = self._refused, Counter()
        if counts:
            try:
                inbox.refuse((connection, reason, count) for (connection, reason), count in counts.items())
            except sqlite3.Error:
                with self._lock:
                    self._refused += counts


def _commit(inbox: Inbox, calls: list[_Call]) -> None:
    try:
        _answer(calls, inbox.add([event for events, *_ in calls for event in events]))
    except InboxFull as error:
        # One large call must not keep the small ones out.
        for call in calls:
            if len(calls) == 1:
                _answer([call], error)
            else:
                _commit(inbox, [call])
    except InboxUnavailable as error:
        _answer(calls, error)
    except Exception as error:
        log.exception("an event could not be kept")
        _answer(calls, InboxUnavailable(f"the inbox failed: {type(error).__name__}"))


def _answer(calls: list[_Call], outcome: int | Exception) -> None:
    for _, answer, loop in calls:
        loop.call_soon_threadsafe(_settle, answer, outcome)


def _settle(answer: asyncio.Future[int], outcome: int | Exception) -> None:
    if not answer.done():
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
