"""The org's APIs as a Starlette app: any version from 31.0 to 66.0, echoed in what it answers.

Request and response shapes are from the vendor's documentation and from recorded answers; a few texts that no recording shows
(INVALID_QUERY_LOCATOR, the bulk jobs' state errors) are approximated.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cdp_pipelines.sandbox.salesforce.bulk import BulkJobs
from cdp_pipelines.sandbox.salesforce.bulk1 import Bulk1
from cdp_pipelines.sandbox.salesforce.collections_api import Collections
from cdp_pipelines.sandbox.salesforce.composite_api import Composite
from cdp_pipelines.sandbox.salesforce.dml import Writer
from cdp_pipelines.sandbox.salesforce.events import ChangeEvents
from cdp_pipelines.sandbox.salesforce.gate import Gate, Handler
from cdp_pipelines.sandbox.salesforce.ingest import IngestJobs
from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.org import Org, TokenRefused
from cdp_pipelines.sandbox.salesforce.reads_api import Reads
from cdp_pipelines.sandbox.salesforce.records_api import RecordsApi
from cdp_pipelines.sandbox.salesforce.replies import Refused, not_found, reply
from cdp_pipelines.sandbox.salesforce.soap import Soap
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sandbox.salesforce.tree_api import Trees

__all__ = ["SalesforceOptions", "app"]


def app(store: SalesforceStore, options: SalesforceOptions | None = None) -> Starlette:
    """The app over a store. `app.state.org` has the switches (`revoke_tokens()`, `expire_tokens()`, `close_cursors()`)."""
    options = options or SalesforceOptions()
    gate, writer = Gate(store, Org(options)), Writer(store, options)
    composite = Composite(gate)
    made = Starlette(
        routes=[
            Route("/services/oauth2/token", _Tokens(gate.org).token, methods=["POST"]),
            Route("/services/oauth2/revoke", _Tokens(gate.org).revoke, methods=["GET", "POST"]),
            *[Route(path, Soap(gate, writer).call, methods=["POST"]) for path in (
                "/services/Soap/{kind:str}/{version}", "/services/Soap/{kind:str}/{version}/{org}")],
            *_routes(gate, writer, composite), *_bulk_routes(gate, writer), *_bulk1_routes(gate, writer),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=500, compresslevel=1)],
        exception_handlers={404: _no_such_path, 405: _no_such_method},
    )  # fmt: skip
    composite.app = made
    made.state.org, made.state.revoke_tokens = gate.org, gate.org.revoke_tokens
    made.state.events = ChangeEvents(store, options)
    return made


def _routes(gate: Gate, writer: Writer, composite: Composite) -> list[Route]:
    reads, records = Reads(gate), RecordsApi(gate, writer)
    rows, trees = Collections(gate, writer, records), Trees(gate, writer)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "", reads.resources), ("GET", "/", reads.resources),
        ("GET", "/sobjects", reads.global_describe), ("GET", "/sobjects/", reads.global_describe),
        ("GET", "/limits", reads.limits), ("GET", "/limits/", reads.limits), ("GET", "/limits/recordCount", reads.record_count),
        ("GET", "/query", reads.query), ("GET", "/query/", reads.query), ("GET", "/query/{locator}", reads.more),
        ("GET", "/queryAll", reads.query_all), ("GET", "/queryAll/", reads.query_all), ("GET", "/queryAll/{locator}", reads.more),
        ("POST", "/composite", composite.composite), ("POST", "/composite/", composite.composite), ("POST", "/composite/batch", composite.batch),
        ("POST", "/composite/tree/{object}", trees.create), ("POST", "/composite/tree/{object}/", trees.create),
        ("POST", "/composite/sobjects", rows.create), ("PATCH", "/composite/sobjects", rows.update),
        ("DELETE", "/composite/sobjects", rows.delete), ("POST", "/composite/sobjects/", rows.create),
        ("PATCH", "/composite/sobjects/", rows.update), ("DELETE", "/composite/sobjects/", rows.delete),
        ("GET", "/composite/sobjects/{object}", rows.read), ("POST", "/composite/sobjects/{object}", rows.read),
        ("PATCH", "/composite/sobjects/{object}/{field}", rows.upsert),
        ("GET", "/sobjects/{object}", reads.describe_basic), ("GET", "/sobjects/{object}/", reads.describe_basic),
        ("POST", "/sobjects/{object}", records.create), ("POST", "/sobjects/{object}/", records.create),
        ("GET", "/sobjects/{object}/describe", reads.describe), ("GET", "/sobjects/{object}/describe/", reads.describe),
        ("GET", "/sobjects/{object}/deleted", reads.deleted), ("GET", "/sobjects/{object}/deleted/", reads.deleted),
        ("GET", "/sobjects/{object}/updated", reads.updated), ("GET", "/sobjects/{object}/updated/", reads.updated),
        ("GET", "/sobjects/{object}/{id}", records.read), ("PATCH", "/sobjects/{object}/{id}", records.update),
        ("DELETE", "/sobjects/{object}/{id}", records.delete),
        ("GET", "/sobjects/{object}/{field}/{value:path}", records.read_by_field),
        ("PATCH", "/sobjects/{object}/{field}/{value:path}", records.upsert),
        ("DELETE", "/sobjects/{object}/{field}/{value:path}", records.delete_by_field),
    ]  # fmt: skip
    versions = [Route(path, reads.versions) for path in ("/services/data", "/services/data/")]
    return versions + [_data_route(gate, *route) for route in routes]


def _bulk_routes(gate: Gate, writer: Writer) -> list[Route]:
    jobs, ingest = BulkJobs(gate.store, writer.options), IngestJobs(gate, writer)
    one = "/jobs/ingest/{job}"
    routes: list[tuple[str, str, Handler]] = [
        ("POST", "/jobs/query", jobs.create), ("GET", "/jobs/query", jobs.list), ("GET", "/jobs/query/{job}", jobs.look),
        ("PATCH", "/jobs/query/{job}", jobs.change), ("DELETE", "/jobs/query/{job}", jobs.delete),
        ("GET", "/jobs/query/{job}/results", jobs.results), ("GET", "/jobs/query/{job}/resultPages", jobs.result_pages),
        ("POST", "/jobs/ingest", ingest.create), ("POST", "/jobs/ingest/", ingest.create), ("GET", "/jobs/ingest", ingest.list_jobs),
        ("GET", one, ingest.look), ("PATCH", one, ingest.change), ("DELETE", one, ingest.delete), ("PUT", f"{one}/batches", ingest.upload),
        ("PUT", f"{one}/batches/", ingest.upload), ("GET", f"{one}/successfulResults", ingest.successful),
        ("GET", f"{one}/successfulResults/", ingest.successful), ("GET", f"{one}/failedResults", ingest.failed),
        ("GET", f"{one}/failedResults/", ingest.failed), ("GET", f"{one}/unprocessedrecords", ingest.unprocessed),
        ("GET", f"{one}/unprocessedrecords/", ingest.unprocessed), ("GET", f"{one}/unprocessedRecords", ingest.unprocessed),
        ("GET", f"{one}/unprocessedRecords/", ingest.unprocessed),
    ]  # fmt: skip
    return [_data_route(gate, *route) for route in routes]


def _bulk1_routes(gate: Gate, writer: Writer) -> list[Route]:
    bulk, base = Bulk1(gate, writer), "/services/async/{version}/job"
    routes: list[tuple[str, str, Handler]] = [
        ("POST", "", bulk.create), ("GET", "/{job}", bulk.look), ("POST", "/{job}", bulk.change), ("POST", "/{job}/batch", bulk.add_batch),
        ("GET", "/{job}/batch", bulk.list), ("GET", "/{job}/batch/{batch}", bulk.look_batch),
        ("GET", "/{job}/batch/{batch}/result", bulk.results), ("GET", "/{job}/batch/{batch}/result/{result}", bulk.result),
    ]  # fmt: skip
    return [Route(base + path, bulk.counted(handler), methods=[method]) for method, path, handler in routes]


def _data_route(gate: Gate, method: str, path: str, handler: Handler) -> Route:
    return Route("/services/data/v{version}" + path, gate.counted(handler), methods=[method])


class _Tokens:
    """The OAuth endpoints."""

    def __init__(self, org: Org):
        self.org = org

    async def token(self, request: Request) -> Response:
        """A new access token, in JSON unless another form is asked for."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace"))) or dict(request.query_params)
        scheme, _, basic = request.headers.get("Authorization", "").partition(" ")
        base_url = f"{request.url.scheme}://{request.url.netloc}"
        try:
            body, status = self.org.sign_in(form, basic if scheme.lower() == "basic" else None, base_url), 200
        except TokenRefused as refused:
            body, status = refused.body, 400
        wanted = form.get("format") or request.headers.get("Accept", "")
        if "urlencoded" in wanted:
            return Response(urlencode(body), status, media_type="application/x-www-form-urlencoded")
        if wanted in ("xml", "application/xml"):
            inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in body.items())
            return Response(
                f'<?xml version="1.0" encoding="UTF-8"?><OAuth>{inner}</OAuth>', status, media_type="application/xml;charset=UTF-8"
            )
        return reply(body, status)

    async def revoke(self, request: Request) -> Response:
        """End a session, or take back a refresh token."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace"))) | dict(request.query_params)
        if not self.org.end_session(form.get("token", "")):
            return reply({"error": "unsupported_token_type", "error_description": "this token type is not supported"}, 400)
        return Response(status_code=200)


async def _no_such_path(request: Request, error: Exception) -> Response:
    return not_found().reply()


async def _no_such_method(request: Request, error: Exception) -> Response:
    allowed = error.headers.get("Allow", "") if isinstance(error, HTTPException) and error.headers else ""
    return Refused(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed. Allowed are {allowed}").reply()
