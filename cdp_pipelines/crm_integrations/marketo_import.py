"""Large sets of updates of leads by bulk import: CSV files of up to 10 MB, and of each the rows that failed or were changed on the way in.

An import creates or updates; with the id as lookup field it updates only. What an empty cell means is not documented, and `null` cannot be told
from text, so that a file has only rows of the same fields, with a value in each. Source: Marketo's REST documentation (Bulk Lead Import).
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from cdp_pipelines.crm_integrations.base_crm import CRMError, OutcomeUnknown, RequestRejected, Unreachable
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.write_batches import not_sent, refused, unknown
from cdp_pipelines.crm_integrations.writes import CLEAR, RecordWrite, Value, WriteResult

MOST_BYTES = 9_500_000
FILES_AT_ONCE = 2
# A file takes some calls, which write as many by 300.
WORTH_A_FILE = 1_500
LONGEST_PAUSE_SECONDS = 60.0
PATIENCE_SECONDS = 6 * 3600.0
FAILED = "IMPORT_FAILED"
_TOO_MANY_IMPORTS = "1016"
_ENDED = ("Complete", "Failed")
_VALUE = re.compile(r"value '.*'", re.DOTALL)
_FIELD = re.compile(r"field '([^']+)'")

Told = tuple[RecordWrite, WriteResult]


def importable(writes: Iterable[RecordWrite]) -> list[RecordWrite]:
    """Those that files can say, and that are worth a file: updates with a value in every field, many of the same fields."""
    said = [w for w in writes if w.action == "update" and all(cell(value) not in ("", "null") for value in w.fields.values())]
    counts = Counter(frozenset(write.fields) for write in said)
    return [write for write in said if counts[frozenset(write.fields)] >= WORTH_A_FILE]


def cell(value: Value) -> str:
    """A value in a file; blank for one that clears."""
    if value is CLEAR:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


class LeadImport:
    """Imports into one instance, which works on two files at a time."""

    def __init__(self, client: Marketo):
        self._client = client
        self._slots = asyncio.Semaphore(FILES_AT_ONCE)

    async def write(self, writes: Sequence[RecordWrite]) -> list[Told]:
        """Each write with its result. Raises no CRMError."""
        done = await asyncio.gather(*(self._told(part) for part in _files(writes)))
        return [told for some in done for told in some]

    async def _told(self, writes: list[RecordWrite]) -> list[Told]:
        async with self._slots:
            try:
                return await self._import(writes)
            except RequestRejected as error:
                return [(write, refused(write, error)) for write in writes]
            except OutcomeUnknown as error:
                return [(write, unknown(write, error)) for write in writes]
            except CRMError as error:
                return [(write, not_sent(write, error)) for write in writes]

    async def _import(self, writes: list[RecordWrite]) -> list[Told]:
        path = f"/bulk/v1/leads/batch/{await self._queued(_file(writes))}"
        try:
            status = await self._ended(path)
            failed = await self._rows(f"{path}/failures.json") if status.get("numOfRowsFailed") else {}
            warned = await self._rows(f"{path}/warnings.json") if status.get("numOfRowsWithWarning") else {}
        except CRMError as error:
            raise OutcomeUnknown(error.connection, error.problem, error.remedy) from error
        results = [_result(write, failed, warned) for write in writes]
        updated = sum(result.outcome == "updated" for result in results)
        if status.get("status") != "Complete" or updated != int(status.get("numOfLeadsProcessed") or 0):
            problem = f"Marketo imported {status.get('numOfLeadsProcessed')} of {updated} rows without saying which."
            lost = OutcomeUnknown(self._client.connection.name, problem)
            results = [unknown(w, lost) if r.outcome == "updated" else r for w, r in zip(writes, results, strict=True)]
        return list(zip(writes, results, strict=True))

    async def _queued(self, file: bytes) -> Any:
        params = {"format": "csv", "lookupField": "id"}
        for pause in self._pauses():
            try:
                answer = await self._client.send(
                    "POST", "/bulk/v1/leads.json", params, files={"file": ("leads.csv", file, "text/csv")}, effect="repeatable"
                )
                return answer["result"][0]["batchId"]
            except RequestRejected as error:
                if error.code != _TOO_MANY_IMPORTS:
                    raise
            await asyncio.sleep(pause)
        raise Unreachable(self._client.connection.name, "the queue of imports was full for hours.", "Run it again later.")

    async def _ended(self, path: str) -> dict[str, Any]:
        for pause in self._pauses():
            status = (await self._client.send("GET", f"{path}.json"))["result"][0]
            if status.get("status") in _ENDED:
                return status
            await asyncio.sleep(pause)
        raise OutcomeUnknown(self._client.connection.name, "an import did not end within hours.", "Look at the leads before writing again.")

    def _pauses(self) -> Iterator[float]:
        pause, until = self._client.bulk_poll_seconds, time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            yield pause
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _rows(self, path: str) -> dict[str, str]:
        """The reasons by lead id; a row's last cell is the reason."""
        text = (await self._client.file(path)).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        place = rows[0].index("id") if rows and "id" in rows[0] else 0
        return {row[place]: row[-1] for row in rows[1:] if row}


def _result(write: RecordWrite, failed: dict[str, str], warned: dict[str, str]) -> WriteResult:
    record_id = write.id or ""
    if record_id in failed:
        return WriteResult(write.key, "rejected", record_id, FAILED, _VALUE.sub("value '…'", failed[record_id]))
    if record_id in warned:
        ignored = tuple(name for name in _FIELD.findall(warned[record_id]) if name in write.fields)
        return WriteResult(write.key, "updated", record_id, "IMPORT_WARNING", _VALUE.sub("value '…'", warned[record_id]), ignored=ignored)
    return WriteResult(write.key, "updated", record_id)


def _files(writes: Iterable[RecordWrite]) -> Iterator[list[RecordWrite]]:
    """Writes of the same fields together, in files that are not too long."""
    kinds: dict[tuple[str, ...], list[RecordWrite]] = defaultdict(list)
    for write in writes:
        kinds[tuple(sorted(write.fields))].append(write)
    for some in kinds.values():
        part: list[RecordWrite] = []
        size = 0
        for write in some:
            length = sum(len(cell(value).encode()) + 3 for value in write.fields.values()) + 16
            if part and size + length > MOST_BYTES:
                yield part
                part, size = [], 0
            part.append(write)
            size += length
        if part:
            yield part


def _file(writes: Sequence[RecordWrite]) -> bytes:
    names = sorted(writes[0].fields)
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["id", *names])
    lines.writerows([write.id, *(cell(write.fields[name]) for name in names)] for write in writes)
    return text.getvalue().encode()
