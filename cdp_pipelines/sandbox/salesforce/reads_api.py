"""What clients ask the org about itself and its records: versions, describes, limits, queries, what was deleted and updated."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.salesforce import describe, query, user_permissions
from cdp_pipelines.sandbox.salesforce.gate import FIRST_VERSION, LAST_VERSION, Gate, cached
from cdp_pipelines.sandbox.salesforce.query import Result
from cdp_pipelines.sandbox.salesforce.replies import Refused, read_time, reply, written

MIN_PAGE, MAX_PAGE = 200, 2_000
_SEASONS = ("Summer", "Winter", "Spring")
_SCHEMA_MADE = datetime(2024, 1, 1, tzinfo=UTC)
# Limits whose use is not counted here.
_FIXED_LIMITS = {
    "DailyBulkApiBatches": 15_000, "DailyBulkV2QueryJobs": 10_000, "DailyBulkV2QueryFileStorageMB": 976_562, "DataStorageMB": 10_240,
    "FileStorageMB": 10_240, "DailyAsyncApexExecutions": 250_000, "HourlyTimeBasedWorkflow": 1_000, "SingleEmail": 5_000,
}  # fmt: skip


class Reads:
    """Handlers over one org."""

    def __init__(self, gate: Gate):
        self.gate, self.store, self.org = gate, gate.store, gate.org

    async def versions(self, request: Request) -> Response:
        """GET /services/data."""
        return reply([
            {"label": f"{_SEASONS[(n - FIRST_VERSION) % 3]} '{14 + (n - FIRST_VERSION + 2) // 3}", "url": f"/services/data/v{n}.0",
             "version": f"{n}.0"} for n in range(FIRST_VERSION, LAST_VERSION + 1)
        ])  # fmt: skip

    async def resources(self, request: Request) -> Response:
        """GET of a version's root."""
        base = f"/services/data/v{request.path_params['version']}"
        return reply({name: f"{base}/{name}" for name in ("sobjects", "query", "queryAll", "limits", "jobs", "composite")})

    async def global_describe(self, request: Request) -> Response:
        """GET /sobjects."""
        return cached(request, describe.describe_global(self.store.schema, request.path_params["version"]), self._schema_changed())

    async def describe(self, request: Request) -> Response:
        """GET /sobjects/X/describe."""
        spec = self.gate.object(request.path_params["object"]).spec
        return cached(request, describe.describe(self.store.schema, spec, request.path_params["version"]), self._schema_changed())

    async def describe_basic(self, request: Request) -> Response:
        """GET /sobjects/X."""
        spec = self.gate.object(request.path_params["object"]).spec
        return reply(describe.describe_basic(spec, request.path_params["version"]))

    def _schema_changed(self) -> datetime:
        """A moment that moves with every change of the schema; when exactly that was nobody asks."""
        return _SCHEMA_MADE + timedelta(days=self.store.schema_changes)

    async def limits(self, request: Request) -> Response:
        """GET /limits."""
        most, used = self.org.options.daily_calls, self.org.calls_today
        fixed = {name: {"Max": most, "Remaining": most} for name, most in _FIXED_LIMITS.items()}
        return reply({"DailyApiRequests": {"Max": most, "Remaining": max(0, most - used)}, **fixed})

    async def record_count(self, request: Request) -> Response:
        """GET /limits/recordCount."""
        asked = [name.lower() for name in request.query_params.get("sObjects", "").split(",") if name]
        counts = {n: c for n, c in self.store.counts().items() if c and (not asked or n.lower() in asked)}
        return reply({"sObjects": [{"count": count, "name": name} for name, count in counts.items()]})

    async def query(self, request: Request) -> Response:
        """GET /query."""
        return self._first_page(request, include_deleted=False)

    async def query_all(self, request: Request) -> Response:
        """GET /queryAll."""
        return self._first_page(request, include_deleted=True)

    def _first_page(self, request: Request, *, include_deleted: bool) -> Response:
        text = request.query_params.get("q")
        if not text:
            raise Refused(400, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
        if (permissions := user_permissions.answer(text, self.org.options.user_permissions)) is not None:
            return reply(permissions)
        lag = self.org.options.visible_after_seconds
        result = query.run(self.store, text, include_deleted=include_deleted, seen_before=time.time() - lag if lag else None)
        if result.aggregate is not None:
            return reply({"totalSize": 1, "done": True, "records": [result.aggregate]})
        return self._page(request, result, 0, None)

    async def more(self, request: Request) -> Response:
        """GET of a nextRecordsUrl."""
        locator, _, start = request.path_params["locator"].partition("-")
        result = self.org.cursor(locator)
        if result is None or not (start.isascii() and start.isdigit() and len(start) < 10):
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(request, result, int(start), locator)

    def _page(self, request: Request, result: Result, start: int, locator: str | None) -> Response:
        version, size = request.path_params["version"], self.org.options.page_size
        for option in request.headers.get("Sforce-Query-Options", "").split(","):
            name, _, value = option.strip().partition("=")
            if name.strip().lower() == "batchsize" and value.strip().isascii() and value.strip().isdigit():
                size = min(max(int(value[:9]), MIN_PAGE), MAX_PAGE, size)
        if self.org.options.short_pages:
            # Between half and all of what was asked for, another share on each page.
            size -= (start * 7919 + 13) % (size // 2 + 1)
        body: dict[str, Any] = {"totalSize": result.total, "done": start + size >= len(result.numbers)}
        if not body["done"]:
            locator = locator or self.org.keep_cursor(result)
            body["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{start + size}"
        body["records"] = result.json_rows(result.numbers[start : start + size], version)
        return reply(body)

    async def deleted(self, request: Request) -> Response:
        """GET /sobjects/X/deleted."""
        records = self.gate.object(request.path_params["object"])
        start, end = self._window(request)
        gone = {**records.deleted, **records.purged}
        found = [{"deletedDate": written(at), "id": records.id(n)} for n, at in gone.items() if start <= at < end]
        earliest = datetime.now(UTC) - timedelta(days=self.org.options.recycle_bin_days)
        return reply({"deletedRecords": found, "earliestDateAvailable": written(earliest), "latestDateCovered": written(end)})

    async def updated(self, request: Request) -> Response:
        """GET /sobjects/X/updated."""
        records = self.gate.object(request.path_params["object"])
        start, end = self._window(request)
        found = records.listed(False, start.timestamp(), end.timestamp())
        return reply({"ids": [records.id(n) for n in found], "latestDateCovered": written(end)})

    def _window(self, request: Request) -> tuple[datetime, datetime]:
        """Start and end of getDeleted and getUpdated; Salesforce leaves their seconds out of account."""
        start, end = (read_time(request.query_params.get(n), n).replace(second=0, microsecond=0) for n in ("start", "end"))
        if start < datetime.now(UTC) - timedelta(days=30):
            raise Refused(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
        if end <= start:
            raise Refused(400, "INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
        return start, min(end, datetime.now(UTC).replace(microsecond=0))
