"""Bulk extract: create, enqueue, look, fetch the file. Two jobs run at once, ten may wait, files count against a daily allowance."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.activities import Activity
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, moment, page, success, whole
from cdp_pipelines.sandbox.marketo.export_files import FORMATS, activity_value, cell, dirtied, separator
from cdp_pipelines.sandbox.marketo.gate import CENTRAL
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

Kind = Literal["leads", "activities"]
LONGEST_RANGE = 31 * 86_400
ACTIVITY_COLUMNS = (
    "marketoGUID", "leadId", "activityDate", "activityTypeId", "campaignId", "primaryAttributeValueId", "primaryAttributeValue", "attributes",
)  # fmt: skip
MOST_PRIMARY = 50
_RANGES, _LISTS, _PRIMARY = ("createdAt", "updatedAt"), ("staticListName", "staticListId", "smartListName", "smartListId"), (
    "primaryAttributeValueIds", "primaryAttributeValues",
)  # fmt: skip
_IN_MEMORY = 1 << 20


@dataclass
class Job:
    """One export."""

    kind: Kind
    fields: list[str]
    headers: list[str]
    format: str
    filter: dict[str, Any]
    id: str
    created: float
    status: str = "Created"
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
        if self.status == "Failed":
            shown["errorMsg"] = "Export could not be made"
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
        body = params.object()
        wanted = body.get("filter") or {}
        self._check_filter(kind, wanted)
        known = self.store.fields.by_name if kind == "leads" else (*ACTIVITY_COLUMNS, "actionResult")
        fields = _texts(body.get("fields"), "fields") or ([] if kind == "leads" else list(ACTIVITY_COLUMNS))
        if not fields:
            raise ApiError(1003, "fields must be specified")
        if unknown := [f for f in fields if f not in known]:
            raise ApiError(1003, f"Invalid fields [{', '.join(unknown)}]")
        layout = body.get("format") or "CSV"
        if layout not in FORMATS:
            raise ApiError(1003, f"Invalid format '{layout}'")
        renamed = body.get("columnHeaderNames") or {}
        if not isinstance(renamed, dict):
            raise ApiError(1003, "Invalid value for parameter 'columnHeaderNames'")
        now = clock.now().timestamp()
        job = Job(kind, fields, [str(renamed.get(f, f)) for f in fields], layout, wanted, _export_id(len(self.jobs)), now)
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
        job.status, job.queued = "Queued", clock.now().timestamp()
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
            job.status, job.finished, job.shown = self.options.cancelled, clock.now().timestamp(), None
        return success([job.show()])

    def listing(self, kind: Kind, params: Params) -> Response:
        """`export.json`."""
        self._advance()
        wanted = set(params.many("status"))
        found = [j.show() for j in self.jobs.values() if j.kind == kind and (not wanted or j.status in wanted)]
        shown, token = page(params, found, self.options.short_pages)
        return success(shown, nextPageToken=token)

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

    def _check_filter(self, kind: Kind, wanted: Any) -> None:
        if not isinstance(wanted, dict):
            raise ApiError(1003, "Invalid filter")
        kinds = [name for name in (*_RANGES, *_LISTS) if name in wanted]
        without = "smartListId" in kinds or "smartListName" in kinds or ("updatedAt" in kinds and not self.options.export_by_updated_at)
        if without or (kind == "activities" and kinds != ["createdAt"] and kinds):
            raise ApiError(1035, f"Unsupported filter type for target subscription: {kinds[0]}")
        if len(kinds) != 1:
            raise ApiError(1003, "Invalid filter: exactly one date range or list is required")
        if "activityTypeIds" in wanted and not all(type(t) is int for t in _list(wanted["activityTypeIds"], "activityTypeIds")):
            raise ApiError(1003, "Invalid value for parameter 'activityTypeIds'")
        for name in _PRIMARY:
            if len(_list(wanted.get(name) or [], name)) > MOST_PRIMARY:
                raise ApiError(1003, f"Too many {name}: the maximum is {MOST_PRIMARY}")
        if kinds[0] in _LISTS:
            self._list(wanted)
            return
        start, end = _range(wanted[kinds[0]])
        if end - start > LONGEST_RANGE:
            raise ApiError(1003, "Invalid date range: it is longer than 31 days")
        if end < start:
            raise ApiError(1003, "Invalid date range: it ends before it starts")

    def _list(self, wanted: dict[str, Any]) -> int:
        for number, found in self.store.lists.lists.items():
            if number == whole(wanted.get("staticListId")) or found.name == wanted.get("staticListName"):
                return number
        raise ApiError(1003, "Invalid filter: there is no such static list")

    def _advance(self) -> None:
        """Let time pass: what was being made long enough is ready, what waited has its turn."""
        now = clock.now().timestamp()
        running = sum(j.status == "Processing" for j in self.jobs.values())
        for job in self.jobs.values():
            if job.status == "Queued" and running < self.options.exports_at_once:
                job.status, job.started = "Processing", now
                running += 1
        for job in self.jobs.values():
            waited = job.status == "Processing" and job.started is not None and now - job.started >= self.options.export_seconds
            if waited and self.options.exports == "complete":
                self._finish(job)
            elif waited and self.options.exports == "fail":
                job.status, job.finished = "Failed", now

    def _finish(self, job: Job) -> None:
        # Open for as long as the sandbox runs: small files stay in memory.
        job.file, digest = tempfile.SpooledTemporaryFile(_IN_MEMORY), hashlib.sha256()  # noqa: SIM115 - the job keeps it until it is fetched
        between = separator(job.format, self.options)
        header = [cell(name, between) for name in job.headers]
        for cells in chain([header], ([cell(v, between) for v in values] for values in self._rows(job))):
            line = (between.join(cells) + "\n").encode()
            digest.update(line)
            job.size += job.file.write(line)
            job.records += 1
        job.records -= 1
        job.status, job.finished, job.checksum = "Completed", clock.now().timestamp(), digest.hexdigest()
        day = datetime.now(CENTRAL).date()
        self._spent[day] = self._spent.get(day, 0) + job.size

    def _rows(self, job: Job) -> Iterator[list[Any]]:
        name = next(n for n in (*_RANGES, *_LISTS) if n in job.filter)
        start, end = _range(job.filter[name]) if name in _RANGES else (0, 0)
        if job.kind == "leads":
            leads = self.store.leads
            for identifier in leads.between(name, start, end) if name in _RANGES else self.store.lists.members(self._list(job.filter)):
                lead = dirtied(leads.get(identifier), job.fields, self.options.csv_dirt)
                yield [lead[f] for f in job.fields]
        else:
            for activity in self._activities(job.filter, start, end):
                yield [activity_value(activity, f) for f in job.fields]

    def _activities(self, wanted: dict[str, Any], start: int, end: int) -> Iterator[Activity]:
        ids, values = (_texts(wanted.get(name), name) for name in _PRIMARY)
        for activity in self.store.log.between(start, end, wanted.get("activityTypeIds")):
            chosen = (
                not (ids or values)
                or str(activity.get("primaryAttributeValueId")) in ids
                or activity.get("primaryAttributeValue") in values
            )
            # Bulk extract gives no Delete Lead activities (vendor's bulk activity page).
            if chosen and activity["activityTypeId"] != 37:
                yield activity


def _range(given: Any) -> tuple[int, int]:
    if not isinstance(given, dict):
        raise ApiError(1003, "Invalid date range")
    start, end = (moment(given.get(name), name) for name in ("startAt", "endAt"))
    return epoch(start), epoch(end)


def _list(given: Any, name: str) -> list[Any]:
    if not isinstance(given, list):
        raise ApiError(1003, f"Invalid value for parameter '{name}'")
    return given


def _texts(given: Any, name: str) -> list[str]:
    return [str(each) for each in _list(given or [], name)]


def _export_id(number: int) -> str:
    return f"{number + 1:08x}-77e1-4f0c-8d1e-{number * 0x9E3779B1 % 2**48:012x}"
