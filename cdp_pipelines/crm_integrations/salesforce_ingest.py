"""Large sets of writes through Bulk API 2.0: a job for creates, one for updates, and what became of every row.

No row is written before the job is closed, so that until then everything can be tried again; after it, the job's lists say what was done.
An empty cell leaves a field as it is and `#N/A` clears it (rudderlabs/rudder-server PR 7151). Source: Salesforce's Bulk API 2.0 guide.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx2

from cdp_pipelines.crm_integrations.base_crm import CRMError, OutcomeUnknown, RequestRejected
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.crm_integrations.salesforce_answers import read_json
from cdp_pipelines.crm_integrations.salesforce_live import same
from cdp_pipelines.crm_integrations.salesforce_rows import NULL_CELL, cell, rejected
from cdp_pipelines.crm_integrations.write_batches import not_sent, unknown
from cdp_pipelines.crm_integrations.writes import RecordWrite, WriteResult

log = logging.getLogger(__name__)

# 150 MB are allowed once the data is in base64, which makes it longer by a third.
MOST_BYTES = 100_000_000
LONGEST_PAUSE_SECONDS = 30.0
# A job that nobody saw end for so long is given up, and what became of its rows is not known.
PATIENCE_SECONDS = 6 * 3600.0
_TRIES = 3
# A file that Salesforce cannot read at all.
_REFUSED = "InvalidBatch"
_ENDED = ("JobComplete", "Failed", "Aborted")


def fits_a_file(write: RecordWrite) -> bool:
    """Whether a CSV file can say it: the text `#N/A` itself cannot be written there."""
    return all(value != NULL_CELL for value in write.fields.values())


class _NotDone(Exception):
    """A job that was refused as a whole, before any of its rows was written."""


class Ingest:
    """Writes records of one object; with `erase` the updates are of records to be deleted for good, past the recycle bin."""

    def __init__(self, client: Salesforce, object_name: str, *, erase: bool = False):
        self._client, self._object, self._erase, self._poll_seconds = client, object_name, erase, client.bulk_poll_seconds

    async def write(self, writes: Sequence[RecordWrite]) -> dict[str, WriteResult]:
        """The results by key, once all jobs are done. Raises no CRMError.

        Writes without a result were surely not done, because a job was refused as a whole: for a field that one row has, say.
        """
        done: dict[str, WriteResult] = {}
        stopped: CRMError | None = None
        for job in _jobs(writes):
            try:
                if stopped:
                    raise stopped
                done |= await self._job(job)
            except _NotDone as error:
                log.info("%s: a bulk job was refused: %s", self._client.connection.name, error.__cause__ or error)
            except OutcomeUnknown as error:
                done |= {write.key: unknown(write, error) for write in job}
            except CRMError as error:
                stopped = error
                done |= {write.key: not_sent(write, error) for write in job}
        return done

    async def _job(self, writes: list[RecordWrite]) -> dict[str, WriteResult]:
        """What became of the rows. Raises _NotDone, and other CRMErrors where nothing was written either, but for OutcomeUnknown."""
        header, file = _file(writes)
        try:
            path = await self._uploaded(writes[0].action, file)
        except RequestRejected as error:
            raise _NotDone from error
        try:
            await self._client.send("PATCH", path, json={"state": "UploadComplete"}, effect="repeatable")
        except RequestRejected as error:
            # An earlier try closed it, and its answer was lost; else it is still open, and that is the fault.
            if await self._state(path) == "Open":
                raise _NotDone from error
        try:
            info = await self._ended(path)
            problem = str(info.get("errorMessage") or "the job ended before this row")
            if info["state"] == "Failed" and not int(info.get("numberRecordsProcessed") or 0) and problem.startswith(_REFUSED):
                raise _NotDone(problem)
            done = await self._results(path, writes, header, problem)
        except CRMError as error:
            raise OutcomeUnknown(error.connection, error.problem, error.remedy) from error
        with contextlib.suppress(CRMError):
            await self._client.send("DELETE", path)
        return done

    async def _state(self, path: str) -> str:
        try:
            return read_json(await self._client.send("GET", path))["state"]
        except CRMError as error:
            raise OutcomeUnknown(error.connection, error.problem, error.remedy) from error

    async def _uploaded(self, action: str, file: bytes) -> str:
        """The path of a job that has the rows. One whose upload failed in between is left behind, without effect."""
        for last in (False,) * (_TRIES - 1) + (True,):
            wish = {
                "object": self._object,
                "operation": "hardDelete" if self._erase else "insert" if action == "create" else "update",
                "contentType": "CSV",
                "lineEnding": "LF",
            }
            job = read_json(await self._client.send("POST", "jobs/ingest", json=wish))
            path = f"jobs/ingest/{job['id']}"
            try:
                await self._client.send(
                    "PUT", f"{path}/batches", content=file, headers={"Content-Type": "text/csv; charset=UTF-8"}, effect="once"
                )
                return path
            except CRMError as error:
                with contextlib.suppress(CRMError):
                    await self._client.send("PATCH", path, json={"state": "Aborted"})
                if last or not isinstance(error, OutcomeUnknown):
                    raise
        raise AssertionError("unreachable")

    async def _ended(self, path: str) -> dict[str, Any]:
        pause, until = self._poll_seconds, time.monotonic() + PATIENCE_SECONDS
        while (info := read_json(await self._client.send("GET", path)))["state"] not in _ENDED:
            if time.monotonic() > until:
                problem = f"a bulk job was not done after {PATIENCE_SECONDS / 3600:.0f} hours."
                raise OutcomeUnknown(self._client.connection.name, problem, "Look at Setup > Bulk Data Load Jobs.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return info

    async def _results(self, path: str, writes: list[RecordWrite], header: list[str], problem: str) -> dict[str, WriteResult]:
        """What all three lists say, by key. Rows come in any order; equal rows may be told apart by nothing, and need not be."""
        waiting: dict[tuple[str, ...], deque[RecordWrite]] = defaultdict(deque)
        for write in writes:
            waiting[_known_by(write, header)].append(write)
        done: dict[str, WriteResult] = {}
        for name in ("successfulResults", "failedResults", "unprocessedrecords"):
            for row in await self._list(f"{path}/{name}"):
                key = (same(row.get("Id", "")),) if "Id" in header else tuple(row.get(column, "") for column in header)
                if not waiting[key]:
                    continue
                write = waiting[key].popleft()
                done[write.key] = self._outcome(name, write, row, problem)
        lost = OutcomeUnknown(self._client.connection.name, "Salesforce's lists of a bulk job do not have this row.")
        return {write.key: done.get(write.key) or unknown(write, lost) for write in writes}

    def _outcome(self, name: str, write: RecordWrite, row: dict[str, str], problem: str) -> WriteResult:
        if name == "successfulResults":
            done = "deleted" if self._erase else "created" if write.action == "create" else "updated"
            return WriteResult(write.key, done, row.get("sf__Id") or write.id)
        if name == "unprocessedrecords":
            return WriteResult(write.key, "rejected", write.id, "UNPROCESSED", problem, retryable=True)
        code, _, message = (row.get("sf__Error") or "UNKNOWN:").partition(":")
        return rejected(write, code, message.removesuffix(" --").removesuffix(":"))

    async def _list(self, path: str) -> Iterator[dict[str, str]]:
        response: httpx2.Response = await self._client.send("GET", path, headers={"Accept": "text/csv"})
        # Always UTF-8, whatever the header says (simple-salesforce#687).
        return iter(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


def _jobs(writes: Iterable[RecordWrite]) -> Iterator[list[RecordWrite]]:
    """Creates and updates apart, each in files that are not too long."""
    for action in ("create", "update"):
        job: list[RecordWrite] = []
        size = 0
        for write in (write for write in writes if write.action == action):
            length = sum(len(cell(value).encode()) + 3 for value in write.fields.values()) + 24
            if job and size + length > MOST_BYTES:
                yield job
                job, size = [], 0
            job.append(write)
            size += length
        if job:
            yield job


def _row(write: RecordWrite, header: Sequence[str]) -> tuple[str, ...]:
    cells = {name: cell(value) for name, value in write.fields.items()} | ({"Id": write.id} if write.id else {})
    return tuple(cells.get(name, "") for name in header)


def _known_by(write: RecordWrite, header: Sequence[str]) -> tuple[str, ...]:
    return (same(write.id),) if write.id else _row(write, header)


def _file(writes: Sequence[RecordWrite]) -> tuple[list[str], bytes]:
    """The header, which has every field of any row, and the file in order of the parents."""
    header = list(dict.fromkeys([*(["Id"] if writes[0].id else []), *(name for write in writes for name in write.fields)]))
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(_row(write, header) for write in sorted(writes, key=lambda write: write.parent or ""))
    return header, text.getvalue().encode()
