"""Bulk extract: create, enqueue, look, fetch the file. Two jobs run at once, ten may wait, files count against a daily allowance."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.marketo.activities import Activity
from cdp_pipelines.sandbox.marketo.describe import LEAD_NAMES
from cdp_pipelines.sandbox.marketo.envelope import CENTRAL, ApiError, Params, success
from cdp_pipelines.sandbox.marketo.leads import iso
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

Kind = Literal["leads", "activities"]
LONGEST_RANGE = 31 * 86_400
ACTIVITY_COLUMNS = (
    "marketoGUID", "leadId", "activityDate", "activityTypeId", "campaignId", "primaryAttributeValueId", "primaryAttributeValue", "attributes",
)  # fmt: skip
_SEPARATORS = {"CSV": ",", "TSV": "\t", "SSV": ";"}
_IN_MEMORY = 1 << 20


@dataclass
class Job:
    """One export."""

    kind: Kind
    fields: list[str]
    headers: list[str]
    format: str
    filter: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "Created"
    created: float = field(default_factory=time.time)
    queued: float | None = None
    started: float | None = None
    finished: float | None = None
    records: int = 0
    size: int = 0
    checksum: str = ""
    file: Any = None
    shown: tuple[float, dict[str, Any]] | None = None

    def show(self) -> dict[str, Any]:
        """The job as the API describes it."""
        times = {"createdAt": self.created, "queuedAt": self.queued, "startedAt": self.started, "finishedAt": self.finished}
        shown: dict[str, Any] = {"exportId": self.id, "format": self.format, "status": self.status}
        shown |= {name: iso(moment) for name, moment in times.items() if moment is not None}
        if self.status == "Completed":
            shown |= {"numberOfRecords": self.records, "fileSize": self.size, "fileChecksum": f"sha256:{self.checksum}"}
        return shown


class Exports:
    """All jobs of an instance."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.store, self.options = store, options
        self.jobs: dict[str, Job] = {}
        self._spent: dict[Any, int] = {}

    def create(self, kind: Kind, params: Params) -> Response:
        """`create.json`."""
        self._check_allowance()
        body = params.body or {}
        wanted = body.get("filter") or {}
        self._check_filter(kind, wanted)
        known = LEAD_NAMES if kind == "leads" else (*ACTIVITY_COLUMNS, "actionResult")
        fields = list(body.get("fields") or (() if kind == "leads" else ACTIVITY_COLUMNS))
        if not fields:
            raise ApiError(1003, "fields must be specified")
        if unknown := [f for f in fields if f not in known]:
            raise ApiError(1003, f"Invalid fields [{', '.join(unknown)}]")
        layout = body.get("format") or "CSV"
        if layout not in _SEPARATORS:
            raise ApiError(1003, f"Invalid format '{layout}'")
        renamed = body.get("columnHeaderNames") or {}
        job = Job(kind, fields, [renamed.get(f, f) for f in fields], layout, wanted)
        self.jobs[job.id] = job
        return success([job.show()])

    def enqueue(self, kind: Kind, identifier: str) -> Response:
        """`enqueue.json`."""
        self._advance()
        job = self._job(kind, identifier)
        if job.status != "Created":
            raise ApiError(1029, "Job already queued")
        self._check_allowance()
        if sum(j.status in ("Queued", "Processing") for j in self.jobs.values()) >= self.options.export_slots:
            raise ApiError(1029, "Too many jobs in queue")
        job.status, job.queued = "Queued", time.time()
        return success([job.show()])

    def status(self, kind: Kind, identifier: str) -> Response:
        """`status.json`."""
        self._advance()
        job, now = self._job(kind, identifier), time.monotonic()
        if job.shown is None or now - job.shown[0] >= self.options.status_seconds:
            job.shown = (now, job.show())
        return success([job.shown[1]])

    def cancel(self, kind: Kind, identifier: str) -> Response:
        """`cancel.json`."""
        job = self._job(kind, identifier)
        if job.status in ("Created", "Queued", "Processing"):
            job.status, job.finished, job.shown = "Cancelled", time.time(), None
        return success([job.show()])

    def listing(self, kind: Kind, params: Params) -> Response:
        """`export.json`."""
        self._advance()
        wanted = set(params.many("status"))
        return success([j.show() for j in self.jobs.values() if j.kind == kind and (not wanted or j.status in wanted)][:300])

    def file(self, kind: Kind, identifier: str, request: Request) -> Response:
        """`file.json`, whole or the range that is asked for."""
        self._advance()
        job = self.jobs.get(identifier)
        if job is None or job.kind != kind or job.file is None:
            return Response("Export file not found", 404, media_type="text/plain")
        headers = {"Accept-Ranges": "bytes", "Content-Type": "text/csv;charset=UTF-8"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not asked:
            job.file.seek(0)
            return Response(job.file.read(), 200, headers)
        first = int(asked[1])
        last = min(int(asked[2]) if asked[2] else job.size - 1, job.size - 1)
        if first > last:
            return Response("", 416, headers | {"Content-Range": f"bytes */{job.size}"})
        job.file.seek(first)
        return Response(job.file.read(last - first + 1), 206, headers | {"Content-Range": f"bytes {first}-{last}/{job.size}"})

    def _job(self, kind: Kind, identifier: str) -> Job:
        job = self.jobs.get(identifier)
        if job is None or job.kind != kind:
            raise ApiError(610, "Requested resource not found")
        return job

    def _check_allowance(self) -> None:
        if self._spent.get(datetime.now(CENTRAL).date(), 0) >= self.options.export_bytes_a_day:
            raise ApiError(1029, f"Export daily quota {self.options.export_bytes_a_day // 1_000_000}MB exceeded.")

    def _check_filter(self, kind: Kind, wanted: dict[str, Any]) -> None:
        ranges = [name for name in ("createdAt", "updatedAt") if name in wanted]
        if "updatedAt" in ranges and (kind == "activities" or not self.options.export_by_updated_at):
            raise ApiError(1035, "Unsupported filter type for target subscription: updatedAt")
        if len(ranges) != 1:
            raise ApiError(1003, "Invalid filter: exactly one date range is required")
        start, end = _range(wanted[ranges[0]])
        if end - start > LONGEST_RANGE:
            raise ApiError(1003, "Invalid date range: it is longer than 31 days")
        if end < start:
            raise ApiError(1003, "Invalid date range: it ends before it starts")

    def _advance(self) -> None:
        """Let time pass: what was being made long enough is ready, what waited has its turn."""
        now = time.time()
        running = sum(j.status == "Processing" for j in self.jobs.values())
        for job in self.jobs.values():
            if job.status == "Queued" and running < self.options.exports_at_once:
                job.status, job.started = "Processing", now
                running += 1
        for job in self.jobs.values():
            if job.status == "Processing" and job.started is not None and now - job.started >= self.options.export_seconds:
                self._finish(job)

    def _finish(self, job: Job) -> None:
        # Open for as long as the sandbox runs: small files stay in memory.
        job.file, digest = tempfile.SpooledTemporaryFile(_IN_MEMORY), hashlib.sha256()  # noqa: SIM115
        separator = _SEPARATORS[job.format]
        for values in chain([job.headers], self._rows(job)):
            line = (separator.join(_cell(v, separator) for v in values) + "\n").encode()
            digest.update(line)
            job.size += job.file.write(line)
            job.records += 1
        job.records -= 1
        job.status, job.finished, job.checksum = "Completed", time.time(), digest.hexdigest()
        day = datetime.now(CENTRAL).date()
        self._spent[day] = self._spent.get(day, 0) + job.size

    def _rows(self, job: Job) -> Iterator[list[Any]]:
        name = next(n for n in ("createdAt", "updatedAt") if n in job.filter)
        start, end = _range(job.filter[name])
        if job.kind == "leads":
            leads = self.store.leads
            for identifier in leads.between(name, start, end):
                lead = leads.get(identifier)
                yield [lead[f] for f in job.fields]
        else:
            types = job.filter.get("activityTypeIds")
            for activity in _without_deletions(self.store.log.between(start, end, types)):
                yield [_activity_value(activity, f) for f in job.fields]


def _without_deletions(activities: Iterable[Activity]) -> Iterator[Activity]:
    # Bulk extract gives no Delete Lead activities (vendor's bulk activity page).
    return (a for a in activities if a["activityTypeId"] != 37)


def _activity_value(activity: Activity, field_name: str) -> Any:
    if field_name != "attributes":
        return activity.get(field_name)
    return orjson.dumps({a["name"]: a["value"] for a in activity["attributes"] if a["value"] not in (None, "")}).decode()


def _cell(value: Any, separator: str) -> str:
    """A value as Marketo writes it: nothing is a bare null, which the text "null" cannot be told from."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in (separator, '"', "\n", "\r")) else text


def _range(given: Any) -> tuple[int, int]:
    try:
        start, end = (given[name] for name in ("startAt", "endAt"))
        return _moment(start), _moment(end)
    except (KeyError, TypeError, ValueError):
        raise ApiError(1003, "Invalid date range") from None


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("-00:00", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
