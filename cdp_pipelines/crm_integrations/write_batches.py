"""Many writes in full batches: a batch that is refused for one row is halved until the others are through, and every write has one result.

Rows that may succeed a moment later are sent again, and nothing else. Two writes of one record are never in the same batch.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    CRMError,
    OutcomeUnknown,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
)
from cdp_pipelines.crm_integrations.writes import OnResult, RecordWrite, Value, WriteResult

Send = Callable[[list[RecordWrite]], Awaitable[Sequence[WriteResult]]]
"""Writes one batch. The results are in its order; raises a CRMError for what concerns the batch as a whole."""

# After so many batches in a row without an answer the CRM is taken to be down.
MOST_UNANSWERED = 3
LONGEST_PAUSE_SECONDS = 20.0
_EMAIL = re.compile(r"[^\s\"'@]+@[^\s\"'@]+")


@dataclass(frozen=True)
class Limits:
    """What one call takes: so many records and bytes, as `weigh` counts a record's; `at_once` calls are under way at a time.

    Rows with a code in `passing` are sent again, up to `tries` times in all. A call that is refused with a code in `divisible` is so for some
    of its rows; with another one it would be for any. A field with a code in `unfit` is refused in every row alike.
    """

    size: int
    at_once: int
    tries: int = 1
    passing: frozenset[str] = frozenset()
    divisible: frozenset[str] = frozenset()
    unfit: frozenset[str] = frozenset()
    bytes: int | None = None
    weigh: Callable[[RecordWrite], int] = lambda write: 0
    first_pause_seconds: float = 0.5


async def write_in_batches(
    writes: Sequence[RecordWrite],
    send: Send,
    limits: Limits,
    *,
    same: Callable[[RecordWrite], Hashable | None],
    on_result: OnResult | None = None,
) -> list[WriteResult]:
    """The results of all writes, in their order. Writes for which `same` gives the same value go one after the other, in their order.

    Raises ValueError when two writes have the same key or they are of different objects, and no CRMError: see RecordWriter.
    """
    if len(objects := {write.object for write in writes}) > 1:
        raise ValueError(f"The writes of one call are of several objects: {', '.join(sorted(objects))}.")
    if repeated := [key for key, count in Counter(write.key for write in writes).items() if count > 1]:
        raise ValueError(f"{len(repeated)} keys occur more than once among the writes of one call, such as {repeated[0]}.")
    writing = _Writing(send, limits, on_result)
    for wave in _waves(writes, same):
        await writing.all_of(wave)
    return [writing.results[write.key] for write in writes]


@dataclass
class _Writing:
    send: Send
    limits: Limits
    on_result: OnResult | None
    results: dict[str, WriteResult] = field(default_factory=dict)
    stopped: CRMError | None = None
    unanswered: int = 0
    again: list[RecordWrite] = field(default_factory=list)
    unfit: dict[str, str] = field(default_factory=dict)
    wrong: dict[tuple[str, Value], str] = field(default_factory=dict)

    async def all_of(self, writes: list[RecordWrite]) -> None:
        for n in range(self.limits.tries):
            if n:
                await asyncio.sleep(min(self.limits.first_pause_seconds * 2 ** (n - 1), LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1))
            self.again = []
            last = n == self.limits.tries - 1 or not self.limits.passing
            batches = list(_batches(writes, self.limits))
            tasks = [asyncio.create_task(self._in_turn(run, last)) for run in _runs(batches, self.limits.at_once)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if not (writes := self.again):
                return

    async def _in_turn(self, batches: list[list[RecordWrite]], last: bool) -> None:
        for batch in batches:
            await self._batch(batch, last)

    async def _batch(self, batch: list[RecordWrite], last: bool) -> bool:
        """Send a batch; gives whether it was refused as a whole."""
        if self.stopped:
            await self._tell(batch, [not_sent(write, self.stopped) for write in batch])
            return False
        if self.unfit or self.wrong:
            batch = await self._not_known_to_be_wrong(batch)
        if not batch:
            return False
        try:
            results = await self.send(batch)
        except RequestRejected as error:
            self.unanswered = 0
            await self._refused(batch, error, last)
            return True
        except OutcomeUnknown as error:
            self.unanswered += 1
            if self.unanswered >= MOST_UNANSWERED:
                self.stopped = error
            results = [unknown(write, error) for write in batch]
        except CRMError as error:
            self.stopped = error
            results = [not_sent(write, error) for write in batch]
        else:
            self.unanswered = 0
        if len(results) != len(batch):
            raise AssertionError(f"{len(batch)} writes were sent and {len(results)} results were made of the answer")
        if not last:
            passing = [result.code in self.limits.passing for result in results]
            self.again += [write for write, passes in zip(batch, passing, strict=True) if passes]
            results = [result for result, passes in zip(results, passing, strict=True) if not passes]
            batch = [write for write, passes in zip(batch, passing, strict=True) if not passes]
        await self._tell(batch, results)
        return False

    async def _not_known_to_be_wrong(self, batch: list[RecordWrite]) -> list[RecordWrite]:
        """The rows without a field or value that was refused before: thousands with the same one need not be looked for one by one."""
        faults = [{n: code for n, v in w.fields.items() if (code := self.unfit.get(n) or self.wrong.get((n, v)))} for w in batch]
        bad = [(write, found) for write, found in zip(batch, faults, strict=True) if found]
        await self._tell([write for write, _ in bad], [_with_faults(write, found) for write, found in bad])
        return [write for write, found in zip(batch, faults, strict=True) if not found]

    async def _refused(self, batch: list[RecordWrite], error: RequestRejected, last: bool) -> None:
        """Find out which rows of a refused batch are at fault, and write the others."""
        unfit = {name: code for name, code in error.faults.items() if code in self.limits.unfit}
        self.unfit |= unfit
        wrong = [bool(write.fields.keys() & (unfit or error.faults).keys()) for write in batch]
        bad = [write for write, is_wrong in zip(batch, wrong, strict=True) if is_wrong]
        good = [write for write, is_wrong in zip(batch, wrong, strict=True) if not is_wrong and bad]
        if len(batch) == 1 or error.code not in self.limits.divisible:
            if len(batch) == 1:
                self.wrong |= {(n, batch[0].fields[n]): code for n, code in error.faults.items() if code and n in batch[0].fields}
            await self._tell(batch, [refused(write, error) for write in batch])
        elif (unfit and bad) or len(bad) == 1:
            await self._tell(bad, [refused(write, error) for write in bad])
            if good:
                await self._batch(good, last)
        elif good:
            await self._batch(good, last)
            await self._refused(bad, _without_faults(error), last)
        else:
            first, second = batch[: len(batch) // 2], batch[len(batch) // 2 :]
            if await self._batch(first, last) or len(second) == 1:
                await self._batch(second, last)
            else:
                # The fault must be in this half: no call is needed to know that it is refused.
                await self._refused(second, error, last)

    async def _tell(self, batch: list[RecordWrite], results: Sequence[WriteResult]) -> None:
        for write, result in zip(batch, results, strict=True):
            told = tidy(result, write)
            self.results[write.key] = told
            if self.on_result:
                await self.on_result(told)


def unknown(write: RecordWrite, error: CRMError) -> WriteResult:
    """The answer never came. The same update may be sent again; a create must be looked for first."""
    return WriteResult(write.key, "unknown", write.id, "NO_ANSWER", error.problem, retryable=write.action == "update")


def not_sent(write: RecordWrite, error: CRMError) -> WriteResult:
    """The connection failed before the write was sent, or so that it was surely not carried out."""
    kinds = {AuthenticationError: "AUTHENTICATION", PermissionDenied: "PERMISSION", QuotaExhausted: "QUOTA"}
    code = next((code for kind, code in kinds.items() if isinstance(error, kind)), "UNREACHABLE")
    return WriteResult(write.key, "rejected", write.id, code, f"{error.problem} {error.remedy}".rstrip(), retryable=True)


def refused(write: RecordWrite, error: RequestRejected) -> WriteResult:
    """The CRM refused the call for this write."""
    if faults := {name: code for name, code in error.faults.items() if code and name in write.fields}:
        return _with_faults(write, faults)
    return WriteResult(write.key, "rejected", write.id, error.code, error.problem)


def _with_faults(write: RecordWrite, faults: Mapping[str, str]) -> WriteResult:
    reason = ", ".join(f"{name}: {code}" for name, code in faults.items())
    return WriteResult(write.key, "rejected", write.id, next(iter(faults.values())), reason)


def tidy(result: WriteResult, write: RecordWrite) -> WriteResult:
    """The same result, its reason without the values that were sent: the vendors' texts like to repeat them."""
    if not (reason := result.reason):
        return result
    for value in sorted((v for v in write.fields.values() if isinstance(v, str) and len(v) > 1), key=len, reverse=True):
        reason = re.sub(re.escape(value), "…", reason, flags=re.IGNORECASE)
    return replace(result, reason=_EMAIL.sub("…", reason))


def _without_faults(error: RequestRejected) -> RequestRejected:
    """The same error without the fields, when all the writes that are left have them."""
    return RequestRejected(error.connection, error.problem, error.remedy, error.code)


def _waves(writes: Iterable[RecordWrite], same: Callable[[RecordWrite], Hashable | None]) -> list[list[RecordWrite]]:
    """The first write of each record, then the second of those that have one, and so on; each in order of the parents."""
    seen: Counter[Hashable] = Counter()
    waves: list[list[RecordWrite]] = []
    for write in writes:
        which = same(write)
        n = seen[which] if which is not None else 0
        seen[which] += 1
        if n == len(waves):
            waves.append([])
        waves[n].append(write)
    return [sorted(wave, key=lambda write: write.parent or "") for wave in waves]


def _batches(writes: Iterable[RecordWrite], limits: Limits) -> Iterator[list[RecordWrite]]:
    """Creates and updates apart, as many to a batch as it takes."""
    for action in ("create", "update"):
        batch: list[RecordWrite] = []
        weight = 0
        for write in (write for write in writes if write.action == action):
            more = limits.weigh(write)
            if len(batch) == limits.size or (batch and limits.bytes is not None and weight + more > limits.bytes):
                yield batch
                batch, weight = [], 0
            batch.append(write)
            weight += more
        if batch:
            yield batch


def _runs(batches: list[list[RecordWrite]], most: int) -> Iterator[list[list[RecordWrite]]]:
    """Neighbours together: batches that may lock the same parent are then not under way at the same time."""
    count = min(most, len(batches))
    for n in range(count):
        yield batches[n * len(batches) // count : (n + 1) * len(batches) // count]
