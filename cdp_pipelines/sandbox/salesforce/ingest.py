"""Bulk API 2.0 ingest jobs: created, given their CSV, closed, looked at, and the three lists of what became of the rows.

All rows are written at the moment the job is closed; until `bulk_job_seconds` later the job says that it is in progress.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.salesforce.dml import SeveralMatch, Writer, lookup_field
from cdp_pipelines.sandbox.salesforce.gate import Gate
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.replies import Refused, not_found, read_json, reply, written
from cdp_pipelines.sandbox.salesforce.rows import Done, write_row
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
MAX_BYTES = 150_000_000
# Ids of ingest jobs lie apart from those of query jobs, which a restart forgets.
_FIRST_NUMBER = 1_000_000_000


@dataclass
class IngestJob:
    """A job and its rows. `finished` is JobComplete, Failed or Aborted once the job is closed."""

    id: str
    operation: str
    spec: ObjectSpec
    external_id: str | None
    version: str
    delimiter: str
    line_ending: str
    created: datetime
    changed: datetime
    content: str | None = None
    finished: str | None = None
    closed_at: float = 0
    error: str | None = None
    header: list[str] = field(default_factory=list)
    done: list[tuple[list[str], Done]] = field(default_factory=list)
    unprocessed: list[list[str]] = field(default_factory=list)


class IngestJobs:
    """The org's ingest jobs."""

    def __init__(self, gate: Gate, writer: Writer):
        self._gate, self._writer, self._options = gate, writer, writer.options
        self._jobs: dict[str, IngestJob] = {}
        self._made = 0

    async def create(self, request: Request) -> Response:
        """POST /jobs/ingest."""
        wish = await read_json(request)
        spec = self._gate.store.schema.get(str(wish.get("object", "")).lower())
        if spec is None:
            raise Refused(400, "INVALIDENTITY", f"InvalidEntity : Entity '{wish.get('object')}' is not supported by the Bulk API.")
        operation, external = wish.get("operation"), wish.get("externalIdFieldName")
        if operation not in OPERATIONS or wish.get("contentType", "CSV") != "CSV":
            raise Refused(400, "INVALIDJOB", f"InvalidJob : operation {operation} or content type is not supported")
        if operation == "upsert":
            external = self._key_field(spec, external)
        delimiter, ending = str(wish.get("columnDelimiter", "COMMA")), str(wish.get("lineEnding", "LF"))
        if delimiter not in DELIMITERS or ending not in LINE_ENDINGS:
            raise Refused(400, "INVALIDJOB", "InvalidJob : columnDelimiter or lineEnding is not supported")
        now = clock.now()
        job_id = make_id("750", _FIRST_NUMBER + self._made)
        self._made += 1
        version = request.path_params["version"]
        job = IngestJob(job_id, operation, spec, external if operation == "upsert" else None, version, delimiter, ending, now, now)
        self._jobs[job.id] = job
        return reply({**self._head(job), "contentUrl": f"services/data/v{version}/jobs/ingest/{job.id}/batches",
                      "lineEnding": ending, "columnDelimiter": delimiter})  # fmt: skip

    def _key_field(self, spec: ObjectSpec, name: Any) -> str:
        if not name:
            raise Refused(400, "INVALIDJOB", "InvalidJob : externalIdFieldName is required for an upsert")
        try:
            return "Id" if str(name).lower() == "id" else lookup_field(spec, str(name)).name
        except Refused:
            raise Refused(
                400, "INVALIDJOB", f"InvalidJob : Field name provided, {name} is not an External ID or indexed field for {spec.name}"
            ) from None

    async def upload(self, request: Request) -> Response:
        """PUT /jobs/ingest/{id}/batches: the rows, once."""
        job = self._job(request)
        if self._state(job) != "Open" or job.content is not None:
            raise Refused(400, "INVALIDJOBSTATE", f"Adding data to a job is not allowed when the state is {self._state(job)}")
        body = await request.body()
        if len(body) > MAX_BYTES:
            raise Refused(413, "REQUEST_ENTITY_TOO_LARGE", "The job data is larger than 150 MB")
        try:
            job.content = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Refused(400, "INVALIDBATCH", "InvalidBatch : the job data is not valid UTF-8") from None
        return Response(status_code=201)

    async def change(self, request: Request) -> Response:
        """PATCH /jobs/ingest/{id}: close the upload, or abort."""
        job, wanted = self._job(request), (await read_json(request)).get("state")
        state = self._state(job)
        if wanted not in ("UploadComplete", "Aborted"):
            raise Refused(400, "INVALIDJOB", "InvalidJob : the state of a job can be set to UploadComplete or Aborted")
        if state != "Open" and (wanted == "UploadComplete" or state not in ("UploadComplete", "InProgress")):
            raise Refused(400, "INVALIDJOBSTATE", f"Closing already Completed/Failed/Aborted Job not allowed: the state is {state}")
        if wanted == "Aborted":
            job.finished = "Aborted"
        else:
            job.closed_at, job.changed = time.monotonic(), clock.now()
            self._process(job)
        return reply({**self._head(job), "state": wanted})

    async def look(self, request: Request) -> Response:
        """GET /jobs/ingest/{id}."""
        return reply(self._info(self._job(request)))

    async def list_jobs(self, request: Request) -> Response:
        """GET /jobs/ingest."""
        records = [{**self._head(job), "jobType": "V2Ingest"} for job in self._jobs.values()]
        return reply({"done": True, "nextRecordsUrl": None, "records": records})

    async def delete(self, request: Request) -> Response:
        """DELETE /jobs/ingest/{id}."""
        job = self._job(request)
        if self._state(job) in ("Open", "UploadComplete", "InProgress"):
            raise Refused(400, "INVALIDJOBSTATE", f"Deleting Job not allowed when the state is {self._state(job)}")
        del self._jobs[job.id]
        return Response(status_code=204)

    async def successful(self, request: Request) -> Response:
        """GET …/successfulResults."""
        job = self._ended(request)
        rows = [[d.id or "", "true" if d.created else "false", *row] for row, d in job.done if d.error is None]
        return _csv(job, ["sf__Id", "sf__Created", *job.header], rows)

    async def failed(self, request: Request) -> Response:
        """GET …/failedResults."""
        job = self._ended(request)
        rows = [[d.id or "", d.error, *row] for row, d in job.done if d.error is not None]
        return _csv(job, ["sf__Id", "sf__Error", *job.header], rows)

    async def unprocessed(self, request: Request) -> Response:
        """GET …/unprocessedrecords."""
        job = self._ended(request)
        return _csv(job, job.header, job.unprocessed)

    def _process(self, job: IngestJob) -> None:
        """Write the rows of a closed job."""
        try:
            rows = list(_rows(job))
        except _BadFile as bad:
            job.finished, job.error = "Failed", f"InvalidBatch : {bad}"
            return
        if self._bad_header(job):
            return
        limit = len(rows) if self._options.bulk_partial_rows is None else self._options.bulk_partial_rows
        for row in rows[:limit]:
            job.done.append((row, self._write(job, row)))
        job.unprocessed = rows[limit:]
        job.finished = "Failed" if job.unprocessed else "JobComplete"
        job.error = "InternalServerError : the job was not processed to its end" if job.unprocessed else None

    def _bad_header(self, job: IngestJob) -> bool:
        for name in job.header:
            first, _, rest = name.partition(".")
            known = first.lower() in (job.spec.relationships if rest else job.spec.fields)
            if not known:
                job.finished, job.error = "Failed", f"InvalidBatch : Field name not found : {name}"
                return True
        return False

    def _write(self, job: IngestJob, row: list[str]) -> Done:
        if len(row) != len(job.header):
            return Done(error="INVALID_FIELD:The number of columns in the row does not match the header --")
        # An empty cell leaves the field as it is, #N/A clears it.
        given = {name: None if cell == "#N/A" else cell for name, cell in zip(job.header, row, strict=True) if cell != ""}
        try:
            return write_row(self._writer, job.spec, job.operation, job.external_id, given, job.header)
        except SeveralMatch as several:
            return Done(error=f"DUPLICATE_EXTERNAL_ID:more than one record found for external id field: [{', '.join(several.ids)}]:--")

    def _state(self, job: IngestJob) -> str:
        if job.finished is None:
            return "Open"
        running = self._options.bulk_hangs or time.monotonic() < job.closed_at + self._options.bulk_job_seconds
        return "InProgress" if running and job.finished != "Aborted" else job.finished

    def _head(self, job: IngestJob) -> dict[str, Any]:
        return {
            "id": job.id, "operation": job.operation, "object": job.spec.name, "createdById": self._gate.store.me,
            "createdDate": written(job.created), "systemModstamp": written(job.changed), "state": self._state(job),
            **({"externalIdFieldName": job.external_id} if job.external_id else {}), "concurrencyMode": "Parallel", "contentType": "CSV",
            "apiVersion": float(job.version),
        }  # fmt: skip

    def _info(self, job: IngestJob) -> dict[str, Any]:
        over = self._state(job) in ("JobComplete", "Failed")
        failed = sum(done.error is not None for _, done in job.done)
        figures = {"numberRecordsProcessed": len(job.done) if over else 0, "numberRecordsFailed": failed if over else 0}
        info = {**self._head(job), "jobType": "V2Ingest", "lineEnding": job.line_ending, "columnDelimiter": job.delimiter, **figures,
                "retries": 0, "totalProcessingTime": 0, "apiActiveProcessingTime": 0, "apexProcessingTime": 0}  # fmt: skip
        return {**info, "errorMessage": job.error} if over and job.error else info

    def _job(self, request: Request) -> IngestJob:
        job = self._jobs.get(request.path_params["job"])
        if job is None:
            raise not_found()
        return job

    def _ended(self, request: Request) -> IngestJob:
        job = self._job(request)
        if self._state(job) not in ("JobComplete", "Failed", "Aborted"):
            raise Refused(400, "INVALIDJOBSTATE", f"Job results are not available when the state is {self._state(job)}")
        return job


class _BadFile(Exception):
    """Why the rows of a job cannot be read at all."""


def _rows(job: IngestJob) -> Iterator[list[str]]:
    """The rows after the header, which is set on the job. Raises _BadFile."""
    content = job.content or ""
    first = content[: content.find("\n") + 1]
    if first and first.endswith("\r\n") != (job.line_ending == "CRLF"):
        raise _BadFile(f"LineEnding is invalid on user data. Current LineEnding setting is {job.line_ending}")
    try:
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), delimiter=DELIMITERS[job.delimiter], strict=True) if row]
    except csv.Error as error:
        raise _BadFile(f"the data is not valid CSV: {error}") from None
    if not rows:
        raise _BadFile("no header")
    job.header = [name.strip() for name in rows[0]]
    return iter(rows[1:])


def _csv(job: IngestJob, header: list[str], rows: list[list[Any]]) -> Response:
    """As recorded: the job's own names in the header stand without quotes."""
    text = io.StringIO(newline="")
    ours = sum(name.startswith("sf__") for name in header)
    mark, end = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
    text.write(mark.join(f'"{name}"' if place < ours else name for place, name in enumerate(header)) + end)
    csv.writer(text, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
    return Response(text.getvalue().encode(), media_type="text/csv")
