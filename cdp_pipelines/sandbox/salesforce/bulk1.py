"""Bulk API 1.0: jobs with batches, as older clients use it; queries, also split by primary key, and writes.

An expired session is HTTP 400 here (camel PR 826). Jobs answer in the spelling of the request, batches in that of their job.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.salesforce import bulk1_forms as forms
from cdp_pipelines.sandbox.salesforce import query
from cdp_pipelines.sandbox.salesforce.bulk1_forms import Bulk1Error
from cdp_pipelines.sandbox.salesforce.dml import SeveralMatch, Writer
from cdp_pipelines.sandbox.salesforce.gate import Gate, known_version
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.query import Result
from cdp_pipelines.sandbox.salesforce.replies import written
from cdp_pipelines.sandbox.salesforce.rows import Done, write_row
from cdp_pipelines.sandbox.salesforce.schema import COMPOUND_TYPES, ObjectSpec
from cdp_pipelines.sandbox.salesforce.soql_query import SoqlError

_QUERIES = ("query", "queryAll")
_WRITES = ("insert", "update", "upsert", "delete", "hardDelete")
_CONTENT_TYPES = ("CSV", "JSON", "XML")
MAX_ROWS = 10_000
_CHUNK, _MAX_CHUNK = 100_000, 250_000
# Ids lie apart from those of Bulk API 2.0, and those of writes from those of queries, which a restart forgets.
_FIRST_WRITE, _FIRST_QUERY = 2_000_000_000, 3_000_000_000
_BATCHES_PER_JOB = 10_000


@dataclass
class Batch:
    """A batch and what came of it: a query's rows, or what became of each row written."""

    id: str
    number: int
    created: datetime
    finished: str = "Completed"
    message: str | None = None
    result: Result | None = None
    numbers: list[int] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)


@dataclass
class Bulk1Job:
    """A job; `chunk` is the chunk size when it is split by primary key."""

    id: str
    number: int
    operation: str
    spec: ObjectSpec
    content_type: str
    external_id: str | None
    concurrency: str
    version: str
    created: datetime
    opened_at: float
    chunk: int | None
    json: bool
    state: str = "Open"
    batches: list[Batch] = field(default_factory=list)


class Bulk1:
    """The org's jobs of this API."""

    def __init__(self, gate: Gate, writer: Writer):
        self._gate, self._writer, self._options = gate, writer, writer.options
        self._jobs: dict[str, Bulk1Job] = {}
        self._made = {"query": 0, "write": 0}

    def counted(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind this API's own checks."""

        async def endpoint(request: Request) -> Response:
            try:
                self._admit(request)
                return await handler(request)
            except Bulk1Error as problem:
                return forms.error(problem, json=_speaks_json(request))

        return endpoint

    def _admit(self, request: Request) -> None:
        if not known_version(request.path_params["version"]):
            raise Bulk1Error("InvalidVersion", f"Invalid API version: {request.path_params['version']}")
        if self._options.person_accounts:
            self._gate.store.enable_person_accounts()
        if clock.replaying():
            return
        token = request.headers.get("X-SFDC-Session") or request.headers.get("Authorization", "").partition(" ")[2]
        if not self._gate.org.accepts(token):
            raise Bulk1Error("InvalidSessionId", "Invalid session id")
        if not self._gate.org.count_call():
            raise Bulk1Error("ExceededQuota", "ApiRequests Limit exceeded.")

    async def create(self, request: Request) -> Response:
        """POST /job."""
        json = _speaks_json(request)
        wish = forms.read_job(await request.body(), json=json)
        name, operation = str(wish.get("object", "")), str(wish.get("operation", ""))
        spec = self._gate.store.schema.get(name.lower())
        if spec is None or (operation in _QUERIES and spec.name in self._options.bulk_refuses):
            raise Bulk1Error("InvalidJob" if spec is None else "FeatureNotEnabled", f"Entity '{name}' is not supported by the Bulk API.")
        if operation not in _QUERIES + _WRITES:
            raise Bulk1Error("InvalidJob", f"Unknown operation: {operation}")
        content_type = str(wish.get("contentType") or "XML").upper()
        if content_type not in _CONTENT_TYPES or (content_type == "XML" and operation in _WRITES):
            raise Bulk1Error("InvalidJob", f"Content type {content_type} is not supported")
        external = wish.get("externalIdFieldName") or None
        if operation == "upsert" and not external:
            raise Bulk1Error("InvalidJob", "External ID was blank for an upsert job")
        kind, first = ("query", _FIRST_QUERY) if operation in _QUERIES else ("write", _FIRST_WRITE)
        number = first + self._made[kind]
        self._made[kind] += 1
        job = Bulk1Job(
            make_id("750", number), number, operation, spec, content_type, external, str(wish.get("concurrencyMode") or "Parallel"),
            request.path_params["version"], clock.now(), time.monotonic(), _chunk(request.headers.get("Sforce-Enable-PKChunking")), json,
        )  # fmt: skip
        self._jobs[job.id] = job
        return forms.answer("jobInfo", self._info(job), json=json, status=201)

    async def look(self, request: Request) -> Response:
        """GET /job/{id}."""
        job = self._job(request)
        return forms.answer("jobInfo", self._info(job), json=_speaks_json(request, job.json))

    async def change(self, request: Request) -> Response:
        """POST /job/{id}: close or abort."""
        job = self._job(request)
        wanted = forms.read_job(await request.body(), json=_speaks_json(request, job.json)).get("state")
        if wanted not in ("Closed", "Aborted"):
            raise Bulk1Error("InvalidJobState", f"Job state {wanted} is not valid")
        if job.state == "Aborted":
            raise Bulk1Error("InvalidJobState", "Aborted jobs cannot be changed")
        job.state = wanted
        return forms.answer("jobInfo", self._info(job), json=_speaks_json(request, job.json))

    async def add_batch(self, request: Request) -> Response:
        """POST /job/{id}/batch: a query, or rows to write."""
        job, body = self._job(request), await request.body()
        if job.state != "Open":
            raise Bulk1Error("InvalidJobState", f"Job is not open: {job.state}")
        batch = self._new_batch(job)
        if job.operation in _QUERIES:
            self._query(job, batch, body.decode(errors="replace"))
        else:
            self._write(job, batch, body)
        return forms.answer("batchInfo", self._batch_info(job, batch, new=True), json=job.content_type == "JSON", status=201)

    def _new_batch(self, job: Bulk1Job) -> Batch:
        batch = Batch(make_id("751", job.number * _BATCHES_PER_JOB + len(job.batches)), len(job.batches), clock.now())
        job.batches.append(batch)
        return batch

    def _query(self, job: Bulk1Job, batch: Batch, text: str) -> None:
        try:
            result = query.run(self._gate.store, text.strip(), include_deleted=job.operation == "queryAll")
            if result.spec is not job.spec:
                raise SoqlError("InvalidBatch", f"The query is about {result.spec.name}, the job about {job.spec.name}")
            if result.aggregate is not None or not result.columns or any(c.field.type in COMPOUND_TYPES for c in result.columns):
                raise SoqlError("FUNCTIONALITY_NOT_ENABLED", "Aggregates and compound fields are not supported in Bulk Query")
            if job.spec.name in self._options.bulk_fails:
                raise SoqlError("QUERY_TIMEOUT", "Your query request was running for too long.")
        except SoqlError as error:
            batch.finished, batch.message = "Failed", f"InvalidBatch : Failed to process query: {error.code}: {error.message}"
            return
        batch.result, batch.numbers = result, result.numbers
        if job.chunk:
            batch.finished, batch.numbers = self._options.bulk1_not_processed, []
            ordered = sorted(result.numbers)
            for start in range(0, max(1, len(ordered)), job.chunk):
                part = self._new_batch(job)
                part.result, part.numbers = result, ordered[start : start + job.chunk]

    def _write(self, job: Bulk1Job, batch: Batch, body: bytes) -> None:
        try:
            rows = forms.given_rows(body, job.content_type)
        except (ValueError, csv.Error):
            batch.finished, batch.message = "Failed", "InvalidBatch : Unable to parse the rows of the batch"
            return
        if len(rows) > MAX_ROWS:
            batch.finished, batch.message = "Failed", f"InvalidBatch : Records limit of {MAX_ROWS} exceeded"
            return
        for row in rows:
            try:
                batch.done.append(write_row(self._writer, job.spec, job.operation, job.external_id, row, list(row)))
            except SeveralMatch:
                batch.done.append(Done(error="DUPLICATE_EXTERNAL_ID:more than one record found for external id field:--"))

    async def list(self, request: Request) -> Response:
        """GET /job/{id}/batch."""
        job = self._job(request)
        return forms.answer("batchInfoList", [self._batch_info(job, b) for b in job.batches], json=job.content_type == "JSON")

    async def look_batch(self, request: Request) -> Response:
        """GET /job/{id}/batch/{batch}."""
        job, batch = self._batch(request)
        return forms.answer("batchInfo", self._batch_info(job, batch), json=job.content_type == "JSON")

    async def results(self, request: Request) -> Response:
        """GET /job/{id}/batch/{batch}/result: of a query the ids of its results, of a write what became of each row."""
        job, batch = self._batch(request)
        if self._state(job, batch) != "Completed":
            raise Bulk1Error("InvalidBatch", f"Batch not completed: {self._state(job, batch)}")
        if job.operation in _QUERIES:
            result = make_id("752", job.number * _BATCHES_PER_JOB + batch.number)
            if job.content_type == "JSON":
                return Response(orjson.dumps([result]), media_type="application/json")
            text = f'<result-list xmlns="{forms.NAMESPACE}"><result>{result}</result></result-list>'
            return Response(text.encode(), media_type="application/xml")
        if job.content_type == "JSON":
            return Response(orjson.dumps([forms.json_done(done) for done in batch.done]), media_type="application/json")
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["Id", "Success", "Created", "Error"])
        writer.writerows([d.id or "", str(d.error is None).lower(), str(d.created).lower(), d.error or ""] for d in batch.done)
        return Response(text.getvalue().encode(), media_type="text/csv")

    async def result(self, request: Request) -> Response:
        """GET /job/{id}/batch/{batch}/result/{result}: a query's rows."""
        job, batch = self._batch(request)
        wanted = make_id("752", job.number * _BATCHES_PER_JOB + batch.number)
        if batch.result is None or request.path_params["result"] != wanted or self._state(job, batch) != "Completed":
            raise Bulk1Error("InvalidBatch", "Unable to find the result")
        if job.content_type == "JSON":
            return Response(forms.json_rows(batch.result, batch.numbers, job.version), media_type="application/json")
        if job.content_type == "XML":
            return Response(forms.xml_rows(batch.result, batch.numbers), media_type="application/xml")
        return Response(forms.csv_rows(batch.result, batch.numbers), media_type="text/csv")

    def _state(self, job: Bulk1Job, batch: Batch) -> str:
        if self._options.bulk_hangs or time.monotonic() < job.opened_at + self._options.bulk_job_seconds:
            return "InProgress"
        return batch.finished

    def _info(self, job: Bulk1Job) -> dict[str, Any]:
        states = [self._state(job, b) for b in job.batches]
        counts = {
            "Queued": 0,
            "InProgress": states.count("InProgress"),
            "Completed": states.count("Completed"),
            "Failed": states.count("Failed"),
        }
        return {
            "id": job.id, "operation": job.operation, "object": job.spec.name, "createdById": self._gate.store.me,
            "createdDate": written(job.created), "systemModstamp": written(job.created), "state": job.state,
            "externalIdFieldName": job.external_id, "concurrencyMode": job.concurrency, "contentType": job.content_type,
            **{f"numberBatches{state}": count for state, count in counts.items()}, "numberBatchesTotal": len(states),
            "numberRecordsProcessed": sum(len(b.numbers) + len(b.done) for b in job.batches), "numberRetries": 0,
            "apiVersion": float(job.version), "numberRecordsFailed": sum(d.error is not None for b in job.batches for d in b.done),
            "totalProcessingTime": 0, "apiActiveProcessingTime": 0, "apexProcessingTime": 0, "assignmentRuleId": None, "fastPathEnabled": False,
        }  # fmt: skip

    def _batch_info(self, job: Bulk1Job, batch: Batch, *, new: bool = False) -> dict[str, Any]:
        return {
            "id": batch.id, "jobId": job.id, "state": "Queued" if new else self._state(job, batch), "stateMessage": batch.message,
            "createdDate": written(batch.created), "systemModstamp": written(batch.created),
            "numberRecordsProcessed": 0 if new else len(batch.numbers) + len(batch.done),
            "numberRecordsFailed": sum(d.error is not None for d in batch.done), "totalProcessingTime": 0, "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }  # fmt: skip

    def _job(self, request: Request) -> Bulk1Job:
        job = self._jobs.get(request.path_params["job"])
        if job is None:
            raise Bulk1Error("InvalidJob", f"Unable to find object: {request.path_params['job']}")
        return job

    def _batch(self, request: Request) -> tuple[Bulk1Job, Batch]:
        job = self._job(request)
        for batch in job.batches:
            if batch.id == request.path_params["batch"]:
                return job, batch
        raise Bulk1Error("InvalidBatch", f"Unable to find batch: {request.path_params['batch']}")


def _speaks_json(request: Request, otherwise: bool = False) -> bool:
    content_type = request.headers.get("Content-Type", "")
    return "json" in content_type or ("xml" not in content_type and otherwise)


def _chunk(header: str | None) -> int | None:
    """The chunk size that a header asks for; None when the job is not to be split."""
    options = dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))
    size = options.get("chunkSize", "")
    if size.isascii() and size.isdigit() and int(size[:9]):
        return min(int(size[:9]), _MAX_CHUNK)
    return _CHUNK if "true" in (part.strip().lower() for part in options) else None
