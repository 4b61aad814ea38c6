"""The org's REST API as a Starlette app: any version from 31.0 to 66.0, echoed in what it answers.

Request and response shapes are from the vendor's documentation and from recorded answers; a few texts that no recording shows
(INVALID_QUERY_LOCATOR, the bulk job's state errors) are approximated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cdp_pipelines.sandbox.salesforce import describe, query
from cdp_pipelines.sandbox.salesforce.bulk import BulkJobs
from cdp_pipelines.sandbox.salesforce.columns import Column
from cdp_pipelines.sandbox.salesforce.describe import ObjectSpec
from cdp_pipelines.sandbox.salesforce.org import Org, SalesforceOptions, TokenRefused
from cdp_pipelines.sandbox.salesforce.query import Result
from cdp_pipelines.sandbox.salesforce.records import Records
from cdp_pipelines.sandbox.salesforce.replies import Refused, not_found, read_time, reply, written
from cdp_pipelines.sandbox.salesforce.soql import SoqlError
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

FIRST_VERSION, LAST_VERSION = 31, 66
MAX_URI_BYTES = 16_384
MIN_PAGE, MAX_PAGE = 200, 2_000
_SEASONS = ("Summer", "Winter", "Spring")

Handler = Callable[[Request], Awaitable[Response]]


def app(store: SalesforceStore, options: SalesforceOptions | None = None) -> Starlette:
    """The app over a store. `app.state.org` has the switches (`revoke_tokens()`, `expire_tokens()`, `close_cursors()`)."""
    options = options or SalesforceOptions()
    api, jobs = _Api(store, Org(options)), BulkJobs(store, options)
    data = "/services/data/v{version}"

    def counted(path: str, handler: Handler, methods: list[str] | None = None) -> Route:
        return Route(data + path, api.counted(handler), methods=methods or ["GET"])

    made = Starlette(
        routes=[
            Route("/services/oauth2/token", api.token, methods=["POST"]),
            Route("/services/data", api.versions),
            Route("/services/data/", api.versions),
            counted("", api.resources),
            counted("/", api.resources),
            counted("/sobjects", api.global_describe),
            counted("/sobjects/", api.global_describe),
            counted("/sobjects/{object}/describe", api.describe),
            counted("/sobjects/{object}/deleted", api.deleted),
            counted("/sobjects/{object}/deleted/", api.deleted),
            counted("/sobjects/{object}/updated", api.updated),
            counted("/sobjects/{object}/updated/", api.updated),
            counted("/sobjects/{object}/{id}", api.record),
            counted("/limits", api.limits),
            counted("/limits/", api.limits),
            counted("/limits/recordCount", api.record_count),
            counted("/query", api.query),
            counted("/query/", api.query),
            counted("/queryAll", api.query_all),
            counted("/queryAll/", api.query_all),
            counted("/query/{locator}", api.more),
            counted("/queryAll/{locator}", api.more),
            counted("/jobs/query", jobs.create, ["POST"]),
            counted("/jobs/query", jobs.list),
            counted("/jobs/query/{job}", jobs.look),
            counted("/jobs/query/{job}", jobs.change, ["PATCH"]),
            counted("/jobs/query/{job}", jobs.delete, ["DELETE"]),
            counted("/jobs/query/{job}/results", jobs.results),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=500, compresslevel=1)],
        exception_handlers={404: _no_such_path, 405: _no_such_method},
    )
    made.state.org, made.state.revoke_tokens = api.org, api.org.revoke_tokens
    return made


class _Api:
    def __init__(self, store: SalesforceStore, org: Org):
        self.store, self.org = store, org

    def counted(self, handler: Handler) -> Handler:
        """The handler behind the checks that every call passes: path, session and the day's limit."""

        async def endpoint(request: Request) -> Response:
            if len(request.url.path) + len(request.url.query) > MAX_URI_BYTES:
                return PlainTextResponse("URI Too Long", 414)
            try:
                self._admit(request)
                answer = await handler(request)
            except Refused as refused:
                answer = refused.reply()
            except SoqlError as error:
                answer = Refused(400, error.code, error.message).reply()
            answer.headers["Sforce-Limit-Info"] = self.org.limit_info
            return answer

        return endpoint

    def _admit(self, request: Request) -> None:
        version = request.path_params["version"]
        if not version.endswith(".0") or not version[:-2].isdigit() or not FIRST_VERSION <= int(version[:-2]) <= LAST_VERSION:
            raise not_found()
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if token and scheme.lower() not in ("bearer", "oauth"):
            raise Refused(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        if not self.org.accepts(token):
            raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if not self.org.count_call():
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        scheme, _, basic = request.headers.get("Authorization", "").partition(" ")
        base_url = f"{request.url.scheme}://{request.url.netloc}"
        try:
            return reply(self.org.sign_in(form, basic if scheme.lower() == "basic" else None, base_url))
        except TokenRefused as refused:
            return reply(refused.body, 400)

    async def versions(self, request: Request) -> Response:
        return reply([
            {"label": f"{_SEASONS[(n - FIRST_VERSION) % 3]} '{14 + (n - FIRST_VERSION + 2) // 3}", "url": f"/services/data/v{n}.0",
             "version": f"{n}.0"} for n in range(FIRST_VERSION, LAST_VERSION + 1)
        ])  # fmt: skip

    async def resources(self, request: Request) -> Response:
        base = f"/services/data/v{request.path_params['version']}"
        return reply({name: f"{base}/{name}" for name in ("sobjects", "query", "queryAll", "limits", "jobs")})

    async def global_describe(self, request: Request) -> Response:
        return reply(describe.describe_global(request.path_params["version"]))

    async def describe(self, request: Request) -> Response:
        return reply(describe.describe(self._object(request).spec, request.path_params["version"]))

    async def limits(self, request: Request) -> Response:
        most, used = self.org.options.daily_calls, self.org.calls_today
        fixed = {"DailyBulkApiBatches": 15_000, "DailyBulkV2QueryJobs": 10_000, "DailyBulkV2QueryFileStorageMB": 976_562}
        return reply(
            {"DailyApiRequests": {"Max": most, "Remaining": most - used}, **{k: {"Max": v, "Remaining": v} for k, v in fixed.items()}}
        )

    async def record_count(self, request: Request) -> Response:
        asked = [name.lower() for name in request.query_params.get("sObjects", "").split(",") if name]
        counts = {n: c for n, c in self.store.counts().items() if c and (not asked or n.lower() in asked)}
        return reply({"sObjects": [{"count": count, "name": name} for name, count in counts.items()]})

    async def query(self, request: Request) -> Response:
        return self._first_page(request, include_deleted=False)

    async def query_all(self, request: Request) -> Response:
        return self._first_page(request, include_deleted=True)

    def _first_page(self, request: Request, *, include_deleted: bool) -> Response:
        text = request.query_params.get("q")
        if not text:
            raise Refused(400, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
        result = query.run(self.store, text, include_deleted=include_deleted)
        if result.aggregate is not None:
            return reply({"totalSize": 1, "done": True, "records": [result.aggregate]})
        return self._page(request, result, 0, None)

    async def more(self, request: Request) -> Response:
        locator, _, start = request.path_params["locator"].partition("-")
        result = self.org.cursor(locator)
        if result is None or not start.isdigit():
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(request, result, int(start), locator)

    def _page(self, request: Request, result: Result, start: int, locator: str | None) -> Response:
        version, size = request.path_params["version"], self.org.options.page_size
        for option in request.headers.get("Sforce-Query-Options", "").split(","):
            name, _, value = option.strip().partition("=")
            if name.lower() == "batchsize" and value.isdigit():
                size = min(max(int(value), MIN_PAGE), MAX_PAGE, size)
        body: dict[str, Any] = {"totalSize": result.total, "done": start + size >= len(result.numbers)}
        if not body["done"]:
            locator = locator or self.org.keep_cursor(result)
            body["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{start + size}"
        body["records"] = result.json_rows(result.numbers[start : start + size], version)
        return reply(body)

    async def record(self, request: Request) -> Response:
        records = self._object(request)
        number = records.number(request.path_params["id"])
        if number is None:
            raise not_found()
        if number in records.deleted:
            raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        names = request.query_params.get("fields")
        fields = [records.spec.fields.get(n.strip().lower()) for n in names.split(",")] if names else list(records.spec.fields.values())
        if None in fields:
            raise Refused(400, "INVALID_FIELD", f"No such column in {names} on sobject of type {records.spec.name}")
        result = Result(self.store, records.spec, [Column((), f) for f in fields if f], [number], 1)
        return reply(result.json_rows([number], request.path_params["version"])[0])

    async def deleted(self, request: Request) -> Response:
        records = self._object(request)
        start, end = self._window(request)
        gone = {**records.deleted, **records.purged}
        found = [{"deletedDate": written(at), "id": records.id(n)} for n, at in gone.items() if start <= at < end]
        earliest = datetime.now(UTC) - timedelta(days=self.org.options.recycle_bin_days)
        return reply({"deletedRecords": found, "earliestDateAvailable": written(earliest), "latestDateCovered": written(end)})

    async def updated(self, request: Request) -> Response:
        records = self._object(request)
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

    def _object(self, request: Request) -> Records:
        spec: ObjectSpec | None = describe.objects().get(request.path_params["object"].lower())
        if spec is None:
            raise not_found()
        return self.store.records[spec.name]


async def _no_such_path(request: Request, error: Exception) -> Response:
    return not_found().reply()


async def _no_such_method(request: Request, error: Exception) -> Response:
    allowed = error.headers.get("Allow", "") if isinstance(error, HTTPException) and error.headers else ""
    return Refused(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed. Allowed are {allowed}").reply()
