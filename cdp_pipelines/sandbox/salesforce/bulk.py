"""Bulk API 2.0 query jobs: created, looked at, aborted, deleted, and their results read page by page as CSV."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.salesforce import query
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.query import Result
from cdp_pipelines.sandbox.salesforce.replies import Refused, not_found, read_json, reply, written
from cdp_pipelines.sandbox.salesforce.schema import COMPOUND_TYPES
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

_ROWS_AT_ONCE = 500
_PAGES_AT_ONCE, _FIRST_WITH_PAGES = 5, 58
_STATES_TO_STOP = ("UploadComplete", "InProgress")


@dataclass
class Job:
    """A query job. `finished` is JobComplete, Failed or Aborted once that is certain; until its time has come it is in progress."""

    id: str
    operation: str
    version: str
    result: Result
    created: datetime
    ready_at: float
    options: SalesforceOptions
    finished: str = "JobComplete"

    @property
    def state(self) -> str:
        """What the API calls it now."""
        running = self.options.bulk_hangs or time.monotonic() < self.ready_at
        return "InProgress" if running and self.finished != "Aborted" else self.finished

    def info(self, *, full: bool) -> dict[str, Any]:
        """The job's JSON; `full` as a look at it gives it, otherwise as creating it does."""
        head: dict[str, Any] = {
            "id": self.id, "operation": self.operation, "object": self.result.spec.name, "createdById": make_id("005", 0),
            "createdDate": written(self.created), "systemModstamp": written(self.created), "state": self.state if full else "UploadComplete",
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(self.version), "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }  # fmt: skip
        if not full:
            return head
        done = len(self.result.numbers) if self.state == "JobComplete" else 0
        rest: dict[str, Any] = {"jobType": "V2Query", "numberRecordsProcessed": done, "retries": 0, "totalProcessingTime": 0}
        if self.state == "Failed":
            rest["errorMessage"] = "InvalidBatch : Failed to process query"
        return head | rest


class BulkJobs:
    """The org's bulk query jobs."""

    def __init__(self, store: SalesforceStore, options: SalesforceOptions):
        self._store, self._options = store, options
        self._jobs: dict[str, Job] = {}
        self._made = 0

    async def create(self, request: Request) -> Response:
        """POST /jobs/query."""
        wish = await read_json(request)
        if wish.get("operation") not in ("query", "queryAll") or not isinstance(wish.get("query"), str) or not wish["query"]:
            raise Refused(400, "INVALIDJOB", "InvalidJob : operation and query are required")
        result = query.run(self._store, wish["query"], include_deleted=wish["operation"] == "queryAll")
        self._refuse(result)
        finished = "Failed" if result.spec.name in self._options.bulk_fails else "JobComplete"
        job = Job(
            make_id("750", self._made), wish["operation"], request.path_params["version"], result, clock.now(),
            time.monotonic() + self._options.bulk_job_seconds, self._options, finished,
        )  # fmt: skip
        self._jobs[job.id] = job
        self._made += 1
        return reply(job.info(full=False))

    def _refuse(self, result: Result) -> None:
        if result.spec.name in self._options.bulk_refuses:
            raise Refused(400, "INVALIDENTITY", f"Entity '{result.spec.name}' is not supported by the Bulk API.")
        if any(c.field.type in COMPOUND_TYPES for c in result.columns):
            raise Refused(400, "INVALID_FIELD", "Selecting compound data not supported in Bulk Query")
        if result.aggregate is not None or not result.columns or result.children or not result.plain:
            raise Refused(
                400,
                "API_ERROR",
                "Implementation restriction: aggregates, OFFSET, FIELDS() and child subqueries are not supported in Bulk Query",
            )

    async def list(self, request: Request) -> Response:
        """GET /jobs/query."""
        return reply({"done": True, "nextRecordsUrl": None, "records": [job.info(full=False) | {"jobType": "V2Query", "state": job.state}
                      for job in self._jobs.values()]})  # fmt: skip

    async def look(self, request: Request) -> Response:
        """GET /jobs/query/{id}."""
        return reply(self._job(request).info(full=True))

    async def change(self, request: Request) -> Response:
        """PATCH /jobs/query/{id}: only to abort."""
        job = self._job(request)
        if (await read_json(request)).get("state") != "Aborted":
            raise Refused(400, "INVALIDJOB", "InvalidJob : the state of a query job can only be set to Aborted")
        if job.state not in _STATES_TO_STOP:
            raise Refused(400, "INVALIDJOBSTATE", f"Aborting Job not allowed when the state is {job.state}")
        job.finished = "Aborted"
        return reply(job.info(full=True))

    async def delete(self, request: Request) -> Response:
        """DELETE /jobs/query/{id}."""
        job = self._job(request)
        if job.state in _STATES_TO_STOP:
            raise Refused(400, "INVALIDJOBSTATE", f"Deleting Job not allowed when the state is {job.state}")
        del self._jobs[job.id]
        return Response(status_code=204)

    async def results(self, request: Request) -> Response:
        """GET /jobs/query/{id}/results. A locator is opaque to clients; the last page's is the text `null`."""
        job = self._complete(request)
        rows = _page_rows(request.query_params.get("maxRecords"), self._options.bulk_page_rows)
        start = _read_locator(request.query_params.get("locator"))
        page = job.result.numbers[start : start + rows]
        end = start + len(page)
        headers = {
            "Sforce-NumberOfRecords": str(len(page)),
            "Sforce-Locator": _locator(end) if end < len(job.result.numbers) else "null",
        }
        return StreamingResponse(_stream(job.result, page), headers=headers, media_type="text/csv")

    async def result_pages(self, request: Request) -> Response:
        """GET /jobs/query/{id}/resultPages: where up to five pages lie, which may be fetched at once. Since version 58.0."""
        job = self._complete(request)
        if float(job.version) < _FIRST_WITH_PAGES:
            raise not_found()
        base, rows = f"/services/data/v{job.version}/jobs/query/{job.id}", self._options.bulk_page_rows
        first = _read_locator(request.query_params.get("locator"))
        starts = [*range(first, len(job.result.numbers), rows)] or [first]
        pages = [{"resultUrl": f"{base}/results?locator={_locator(start)}"} for start in starts[:_PAGES_AT_ONCE]]
        if len(starts) <= _PAGES_AT_ONCE:
            return reply({"resultPages": pages, "done": True})
        return reply(
            {"resultPages": pages, "nextRecordsUrl": f"{base}/resultPages?locator={_locator(starts[_PAGES_AT_ONCE])}", "done": False}
        )

    def _complete(self, request: Request) -> Job:
        """A job whose results can be read, with the version that it was created with. Raises Refused."""
        job = self._job(request)
        if job.state != "JobComplete":
            raise Refused(400, "INVALIDJOBSTATE", f"Job results are not available when the state is {job.state}")
        if job.version != request.path_params["version"]:
            raise Refused(409, "API_VERSION_MISMATCH", f"The job was created with API version {job.version}")
        return job

    def _job(self, request: Request) -> Job:
        job = self._jobs.get(request.path_params["job"])
        if job is None:
            raise not_found()
        return job


def _page_rows(asked: str | None, most: int) -> int:
    if asked is None:
        return most
    if not (asked.isascii() and asked.isdigit() and int(asked[:9])):
        raise Refused(400, "INVALID_QUERY_SCOPE", f"maxRecords is not a positive number: {asked}")
    return min(int(asked[:9]), most)


def _locator(start: int) -> str:
    return f"Mt{start:x}"


def _read_locator(text: str | None) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"Mt[0-9a-f]{1,12}", text):
        raise Refused(400, "INVALID_LOCATOR", "The locator is not valid")
    return int(text.removeprefix("Mt"), 16)


async def _stream(result: Result, numbers: list[int]) -> AsyncIterator[bytes]:
    """CSV in pieces, so that a large page neither fills the memory nor holds up other requests."""
    yield _csv([[c.name for c in result.columns]])
    for at in range(0, len(numbers), _ROWS_AT_ONCE):
        yield _csv(result.csv_rows(numbers[at : at + _ROWS_AT_ONCE]))


def _csv(rows: Iterator[list[str]] | list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
