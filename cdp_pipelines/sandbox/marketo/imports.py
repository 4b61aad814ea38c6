"""Bulk import of leads: a file of up to 10 MB, its status, and the rows that failed or were changed on the way in.

The rows are written when the file arrives; the job only looks at work for as long as `import_seconds` says.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, success, whole
from cdp_pipelines.sandbox.marketo.export_files import FORMATS, separator
from cdp_pipelines.sandbox.marketo.fields import Field
from cdp_pipelines.sandbox.marketo.lead_writes import LeadWrites
from cdp_pipelines.sandbox.marketo.values import written

FIRST_BATCH = 1001
Row = list[str]


@dataclass
class Import:
    """One import."""

    id: int
    at: datetime
    headers: Row
    processed: int = 0
    members: int = 0
    failed: list[tuple[Row, str]] = field(default_factory=list)
    warned: list[tuple[Row, str]] = field(default_factory=list)


class Imports:
    """All imports of an instance."""

    def __init__(self, writes: LeadWrites):
        self.writes, self.options = writes, writes.options
        self.jobs: dict[int, Import] = {}

    def create(self, params: Params, request: Request) -> Response:
        """`POST /bulk/v1/leads.json?format=csv`: multipart, with the file in the part `file`."""
        parts = multipart(request.headers.get("content-type", ""), params.raw)
        texts = [(name, content.decode(errors="replace")) for name, content in parts.items() if name != "file"]
        params = Params([*texts, *params.pairs])
        kind, file = params.need("format"), parts.get("file")
        if file is None:
            raise ApiError(1002, "Missing value for the required parameter 'file'")
        if kind not in {layout.lower() for layout in FORMATS}:
            raise ApiError(1003, f"Invalid value for parameter 'format': '{kind}'")
        if sum(self._status(job) != "Complete" for job in self.jobs.values()) >= self.options.import_slots:
            raise ApiError(1016, "Too many imports")
        rows = _rows(file, separator(kind.upper(), self.options))
        job = Import(FIRST_BATCH + len(self.jobs), clock.now(), rows[0])
        self._check(job.headers, params)
        self.jobs[job.id] = job
        self._run(job, rows[1:], params)
        return success([{"batchId": job.id, "importId": str(job.id), "status": "Queued"}])

    def _check(self, headers: Row, params: Params) -> None:
        if unknown := next((h for h in headers if h not in self.writes.store.fields.by_name), None):
            raise ApiError(1006, f"Field '{unknown}' not found")
        lookup = params.get("lookupField") or "email"
        if lookup not in self.writes.store.fields.filters:
            raise ApiError(1011, f"Lookup field '{lookup}' not supported")
        if lookup not in headers:
            raise ApiError(1003, f"Value for lookup field '{lookup}' not found")
        if (name := params.get("partitionName")) and name not in self.options.partitions:
            raise ApiError(1008, f"Access denied to partition '{name}'")
        if (text := params.get("listId")) and (whole(text) or 0) not in self.writes.store.lists.lists:
            raise ApiError(1013, f"List '{text}' not found")

    def _run(self, job: Import, rows: list[Row], params: Params) -> None:
        lookup, members = params.get("lookupField") or "email", whole(params.get("listId") or "")
        name = params.get("partitionName")
        partition = 1 + self.options.partitions.index(name) if name else 1
        for row in rows:
            if len(row) != len(job.headers):
                job.failed.append((row, "Invalid row: number of columns differs from the header"))
                continue
            # Approximated: an empty cell says nothing about the field, and `null` clears it.
            record = {h: None if cell == "null" else cell for h, cell in zip(job.headers, row, strict=True) if cell != ""}
            for header in list(record):
                if warning := _warning(self.writes.store.fields.by_name[header], record[header]):
                    job.warned.append((row, warning))
                    del record[header]
            action = "updateOnly" if lookup == "id" else "createOrUpdate"
            result = self.writes.put(record, action, lookup, partition, job.at, "List import")
            if result["status"] == "skipped":
                job.failed.append((row, result["reasons"][0]["message"]))
                continue
            job.processed += 1
            if members is not None:
                self.writes.store.lists.put(members, result["id"])
                job.members += 1

    def _status(self, job: Import) -> str:
        passed = (clock.now() - job.at).total_seconds()
        return (
            "Complete" if passed >= self.options.import_seconds else "Queued" if passed < self.options.import_seconds / 2 else "Importing"
        )

    def status(self, params: Params, request: Request) -> Response:
        """`/bulk/v1/leads/batch/{id}.json`."""
        job = self._job(request)
        if job is None:
            raise ApiError(1013, f"Batch '{request.path_params['id']}' not found")
        shown: dict[str, Any] = {"batchId": job.id, "importId": str(job.id), "status": self._status(job)}
        if shown["status"] == "Complete":
            text = f"Import succeeded, {job.processed} records imported ({job.members} members)"
            text += f", {len(job.failed)} failed" if job.failed else ""
            counts = {"numOfRowsFailed": len(job.failed), "numOfRowsWithWarning": len(job.warned)}
            shown |= {"numOfLeadsProcessed": job.processed, **counts, "message": text}
        return success([shown])

    def file(self, which: str) -> Callable[[Params, Request], Response]:
        """`failures.json` or `warnings.json`: the rows as they came, each with the reason behind it."""

        def answer(params: Params, request: Request) -> Response:
            job = self._job(request)
            rows = [] if job is None else job.failed if which == "failures" else job.warned
            if job is None or not rows:
                return Response("Import file not found", 404, media_type="text/plain")
            out = io.StringIO()
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow([*job.headers, "Import Failure Reason" if which == "failures" else "Import Warning Reason"])
            writer.writerows([*row, reason] for row, reason in rows)
            return Response(out.getvalue(), 200, {"Content-Type": "text/csv;charset=UTF-8"})

        return answer

    def _job(self, request: Request) -> Import | None:
        return self.jobs.get(whole(request.path_params["id"]) or 0)


def multipart(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form by name. Raises ApiError 612 when it is not one."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise ApiError(612, "Invalid Content Type")
    parts: dict[str, bytes] = {}
    for chunk in (b"\r\n" + body).split(b"\r\n--" + boundary.encode(errors="replace"))[1:]:
        head, blank, content = chunk.partition(b"\r\n\r\n")
        for line in head.decode(errors="replace").split("\r\n") if blank else ():
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-disposition":
                about = Message()
                about["content-disposition"] = value.strip()
                found = about.get_param("name", header="content-disposition")
                if isinstance(found, str):
                    parts[found] = content
    return parts


def _rows(file: bytes, separator: str) -> list[Row]:
    try:
        text = file.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    except (ValueError, csv.Error):
        raise ApiError(1003, "Invalid file") from None
    if not rows:
        raise ApiError(1003, "Empty file")
    rows[0] = [header.strip() for header in rows[0]]
    if len(set(rows[0])) < len(rows[0]):
        raise ApiError(1003, "Duplicate column in header")
    return rows


def _warning(about: Field, cell: str | None) -> str:
    """Why a value is left out while the rest of its row is taken; '' when it is fine. A wrong email address fails the whole row."""
    if about.name is None or about.type == "email" or about.name == "id":
        return ""
    try:
        written(about.name, about.type, about.length, cell)
    except ApiError as error:
        return str(error)
    return ""
