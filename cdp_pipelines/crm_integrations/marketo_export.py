"""Marketo's bulk extract from the first call to the rows: create, enqueue, wait, fetch to disk, verify, parse."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import httpx2
import pyarrow as pa

from cdp_pipelines.crm_integrations.base_crm import IncompleteRead, RequestRejected, Unreachable
from cdp_pipelines.crm_integrations.marketo_csv import read_csv
from cdp_pipelines.crm_integrations.rejected import WRONG_WIDTH, Rejections

log = logging.getLogger(__name__)

ExportKind = Literal["leads", "activities"]
Window = tuple[datetime, datetime]
LONGEST_WINDOW = timedelta(days=31)
EXPORTS_AT_ONCE = 2
SLOWEST_POLL_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 6 * 3600.0
PART_BYTES = 8 << 20


def split_windows(start: datetime, end: datetime) -> list[Window]:
    """The ranges of at most 31 days that cover `start` to `end`, in whole seconds: filters know nothing finer."""
    start = start.replace(microsecond=0)
    end = end.replace(microsecond=0) + timedelta(seconds=1 if end.microsecond else 0)
    windows = []
    while start < end:
        windows.append((start, min(start + LONGEST_WINDOW, end)))
        start = windows[-1][1]
    return windows


def whole_second(moment: datetime) -> str:
    """A moment as the filters want it, without a fraction."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class ExportPart:
    """Some rows of a sequence of exports; with them the first `done` exports have been given to their end."""

    rows: pa.Table
    done: int


@dataclass
class ExportFile:
    """A verified file on disk."""

    path: Path
    records: int


class Exporter:
    """Runs bulk exports of one connection, two at a time.

    `call` makes one API call and gives its `result`; `fetch` gives the answer to a request for a part of a file. Lines that are not as long as
    their file's header are `rejected`: nobody knows which value is which.
    """

    def __init__(
        self, connection: str, poll_seconds: float, call: Callable[..., Awaitable[list[dict[str, Any]]]],
        fetch: Callable[[str, dict[str, str]], Awaitable[httpx2.Response]], rejected: Rejections,
    ):  # fmt: skip
        self._connection, self._poll_seconds, self._call, self._fetch = connection, poll_seconds, call, fetch
        self._rejected = rejected
        self._folder: tempfile.TemporaryDirectory | None = None

    def close(self) -> None:
        """Remove what was fetched."""
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    async def parts(self, kind: ExportKind, filters: Iterable[dict[str, Any]], fields: list[str] | None) -> AsyncGenerator[ExportPart]:
        """The rows of one export for each filter, in order.

        Raises IncompleteRead when a file is not what Marketo says it is.
        """
        waiting = iter(filters)
        running: deque[asyncio.Task[ExportFile]] = deque()
        done = 0
        try:
            while True:
                # While a file is parsed, the exports after it go on.
                running.extend(asyncio.create_task(self._export(kind, f, fields)) for f in islice(waiting, EXPORTS_AT_ONCE - len(running)))
                if not running:
                    return
                file = await running.popleft()
                running.extend(asyncio.create_task(self._export(kind, f, fields)) for f in islice(waiting, EXPORTS_AT_ONCE - len(running)))
                async for table, last in self._parsed(file):
                    yield ExportPart(table, done + last)
                done += 1
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _parsed(self, file: ExportFile) -> AsyncGenerator[tuple[pa.Table, bool]]:
        """The tables of a file, each with whether it is the last one; counted before the last one is given."""
        rows, broken = 0, list[str | None]()
        tables = read_csv(file.path, file.records, broken) if file.records else iter(())
        try:
            following = await asyncio.to_thread(_next, tables)
            while (table := following) is not None:
                rows += table.num_rows
                following = await asyncio.to_thread(_next, tables)
                if following is not None or rows + len(broken) == file.records:
                    yield table, following is None
        finally:
            file.path.unlink(missing_ok=True)
        if rows + len(broken) != file.records:
            raise IncompleteRead(
                self._connection,
                f"an export has {rows + len(broken)} rows where Marketo says {file.records}.",
                "Run the same command again.",
            )
        self._rejected.note(WRONG_WIDTH, len(broken), filter(None, broken))

    async def _export(self, kind: ExportKind, wanted: dict[str, Any], fields: list[str] | None) -> ExportFile:
        job = await self._create(kind, wanted, fields)
        base = f"/bulk/v1/{kind}/export/{job['exportId']}"
        try:
            await self._enqueue(base)
            job = await self._finished(base)
        except BaseException:
            # A job that nobody waits for would keep one of the ten places in the queue.
            with contextlib.suppress(Exception):
                await self._call("POST", f"{base}/cancel.json")
            raise
        return await self._download(base, job)

    async def _create(self, kind: ExportKind, wanted: dict[str, Any], fields: list[str] | None) -> dict[str, Any]:
        body: dict[str, Any] = {"format": "CSV", "filter": wanted} | ({"fields": fields} if fields else {})
        try:
            return (await self._call("POST", f"/bulk/v1/{kind}/export/create.json", json=body))[0]
        except RequestRejected as error:
            # Some described fields cannot be exported (Airbyte #25064); the answer names them.
            refused = re.search(r"Invalid fields \[([^\]]*)\]", error.problem)
            left = [f for f in fields or () if refused and f not in {name.strip() for name in refused[1].split(",")}]
            if not refused or not left or left == fields:
                raise
            log.warning("%s: these fields cannot be exported and stay empty: %s", self._connection, refused[1])
            return (await self._call("POST", f"/bulk/v1/{kind}/export/create.json", json={**body, "fields": left}))[0]

    async def _enqueue(self, base: str) -> None:
        for pause in self._pauses():
            try:
                await self._call("POST", f"{base}/enqueue.json")
                return
            except RequestRejected as error:
                said = error.problem.lower()
                if error.code != "1029" or "queue" not in said:
                    raise
                if "already" in said:  # an earlier try did it, and its answer was lost
                    return
                log.info("%s: the export queue is full; waiting %.0f s", self._connection, pause)
            await asyncio.sleep(pause)
        raise Unreachable(self._connection, "the export queue was full for hours.", "Cancel exports of others, or run again later.")

    async def _finished(self, base: str) -> dict[str, Any]:
        for pause in self._pauses():
            job = (await self._call("GET", f"{base}/status.json"))[0]
            status = job.get("status")
            if status == "Completed":
                return job
            if status in ("Failed", "Cancelled", "Canceled"):
                reason = job.get("errorMsg") or "no reason given"
                raise RequestRejected(
                    self._connection, f"an export was {status.lower()}: {reason}.", "Run the same command again.", code=status
                )
            await asyncio.sleep(pause)
        raise Unreachable(self._connection, "an export did not finish within hours.", "Run again later.")

    def _pauses(self) -> Iterator[float]:
        """Pauses between two looks, doubling, until they come to some hours."""
        pause, total = self._poll_seconds, 0.0
        while total < LONGEST_WAIT_SECONDS:
            yield pause
            total += pause
            pause = min(pause * 2, SLOWEST_POLL_SECONDS)

    async def _download(self, base: str, job: dict[str, Any]) -> ExportFile:
        """Fetch a file part by part, so that a broken connection costs one part, and verify it."""
        records = int(job.get("numberOfRecords") or 0)
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="marketo-")
        path = Path(self._folder.name) / f"{job['exportId']}.csv"
        digest, at, size = hashlib.sha256(), 0, int(job.get("fileSize") or 0)
        with path.open("wb") as file:
            while records and (at < size or not size):
                answer = await self._fetch(f"{base}/file.json", {"Range": f"bytes={at}-{at + PART_BYTES - 1}"})
                part = answer.content[at:] if answer.status_code == 200 else answer.content
                size = size or _total(answer)
                digest.update(part)
                # tap-marketo and Airbyte both stumbled over NUL bytes in real files.
                file.write(part.replace(b"\0", b"") if b"\0" in part else part)
                at += len(part)
                if not part or answer.status_code == 200:
                    break
        expected = str(job.get("fileChecksum") or "").removeprefix("sha256:")
        if records and ((size and at != size) or (expected and digest.hexdigest() != expected)):
            path.unlink()
            raise IncompleteRead(self._connection, "an export's file differs from its checksum.", "Run the same command again.")
        return ExportFile(path, records)


def _next(tables: Iterator[pa.Table]) -> pa.Table | None:
    return next(tables, None)


def _total(answer: httpx2.Response) -> int:
    text = answer.headers.get("content-range", "").rpartition("/")[2]
    return int(text) if text.isdecimal() else len(answer.content)
