"""Marketo's identity, REST, asset and bulk API over a MarketoStore."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cdp_pipelines.sandbox.marketo.activity_api import ActivityApi
from cdp_pipelines.sandbox.marketo.bulk import Exports, Kind
from cdp_pipelines.sandbox.marketo.describe import (
    LEAD_NAMES,
    LEAD_SEARCHABLE,
    OBJECTS,
    ObjectType,
    describe_leads,
    describe_leads_2,
    describe_object,
    lead_schema,
)
from cdp_pipelines.sandbox.marketo.envelope import (
    ApiError,
    Gate,
    Params,
    failure,
    make_token,
    read_params,
    read_token,
    reply,
    request_id,
    success,
)
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

MOST_VALUES, MOST_MATCHES, PAGE = 300, 1000, 300
LEAD_DEFAULTS = ("id", "email", "updatedAt", "createdAt", "firstName", "lastName")
Answer = Callable[[Params, Request], Response]


def app(store: MarketoStore, options: MarketoOptions | None = None) -> Starlette:
    """The emulated instance. `app.state.gate` and `app.state.exports` are there to look at, `app.state.gate.revoke()` ends the session."""
    options = options or MarketoOptions()
    gate, exports = Gate(options), Exports(store, options)
    api, activities = _Api(store, gate), ActivityApi(store, options)

    def route(path: str, family: str, answer: Answer, methods: tuple[str, ...] = ("GET", "POST")) -> Route:
        async def endpoint(request: Request) -> Response:
            async def handler(params: Params) -> Response:
                reading = request.method == "GET" or "GET" not in methods or params.get("_method") == "GET"
                if not reading:
                    raise ApiError(610, "Requested resource not found", 404)
                return answer(params, request)

            return await gate.admit(request, family, handler)

        return Route(path, endpoint, methods=list(methods))

    async def sign_in(request: Request) -> Response:
        return gate.sign_in(await read_params(request))

    async def unknown(request: Request, error: Exception) -> Response:
        return failure(ApiError(610, "Requested resource not found", 404))

    routes = [
        Route("/identity/oauth/token", sign_in, methods=["GET", "POST"]),
        route("/rest/v1/leads/describe.json", "leads", lambda p, r: success(describe_leads())),
        route("/rest/v1/leads/describe2.json", "leads", lambda p, r: success(describe_leads_2())),
        route("/rest/v1/leads/schema/fields.json", "leads", api.lead_schema),
        route("/rest/v1/lead/{id}.json", "leads", api.lead),
        route("/rest/v1/leads.json", "leads", api.leads),
        route("/rest/v1/activities/types.json", "activities", activities.types),
        route("/rest/v1/activities/pagingtoken.json", "activities", activities.paging_token),
        route("/rest/v1/activities/leadchanges.json", "activities", activities.lead_changes),
        route("/rest/v1/activities/deletedleads.json", "activities", activities.deleted_leads),
        route("/rest/v1/activities.json", "activities", activities.activities),
        route("/rest/v1/campaigns.json", "campaigns", api.campaigns),
        route("/rest/v1/lists.json", "lists", lambda p, r: success([])),
        route("/rest/asset/v1/programs.json", "programs", api.programs),
        route("/rest/v1/stats/usage.json", "stats", api.usage),
        route("/rest/v1/stats/errors.json", "stats", api.errors),
    ]
    for name in OBJECTS:
        family = name.partition("/")[0]
        routes += [
            route(f"/rest/v1/{name}/describe.json", family, api.describe(name)),
            route(f"/rest/v1/{name}.json", family, api.objects(name)),
        ]
    routes += _bulk_routes(route, exports)
    made = Starlette(routes=routes, exception_handlers={404: unknown, 405: unknown})
    made.state.gate, made.state.exports = gate, exports
    return made


def _bulk_routes(route: Callable[..., Route], exports: Exports) -> list[Route]:
    found = []
    kinds: tuple[Kind, ...] = ("leads", "activities")
    for name in kinds:
        kind, base = name, f"/bulk/v1/{name}/export"
        found += [
            route(f"{base}/create.json", name, lambda p, r, kind=kind: exports.create(kind, p), ("POST",)),
            route(f"{base}/{{id}}/enqueue.json", name, lambda p, r, kind=kind: exports.enqueue(kind, r.path_params["id"]), ("POST",)),
            route(f"{base}/{{id}}/cancel.json", name, lambda p, r, kind=kind: exports.cancel(kind, r.path_params["id"]), ("POST",)),
            route(f"{base}/{{id}}/status.json", name, lambda p, r, kind=kind: exports.status(kind, r.path_params["id"])),
            route(f"{base}/{{id}}/file.json", name, lambda p, r, kind=kind: exports.file(kind, r.path_params["id"], r)),
            route(f"{base}.json", name, lambda p, r, kind=kind: exports.listing(kind, p)),
        ]
    return found


class _Api:
    """Handlers of everything but activities and bulk."""

    def __init__(self, store: MarketoStore, gate: Gate):
        self.store, self.gate = store, gate

    def lead(self, params: Params, request: Request) -> Response:
        text = request.path_params["id"]
        found = self.store.leads.find("id", [text])
        if not found:
            raise ApiError(1004, f"Lead '{text}' not found")
        fields = _fields(params, LEAD_NAMES, LEAD_DEFAULTS)
        return success([{f: self.store.leads.get(found[0])[f] for f in fields}])

    def leads(self, params: Params, request: Request) -> Response:
        field, values = _filter(params)
        if field not in LEAD_SEARCHABLE:
            raise ApiError(1011, f"Lookup field '{field}' not supported")
        fields = _fields(params, LEAD_NAMES, LEAD_DEFAULTS)
        found = self.store.leads.find(field, values)
        if len(found) > MOST_MATCHES:
            raise ApiError(1003, "Too many results match the filter")
        page, token = _page(params, found)
        leads = (self.store.leads.get(identifier) for identifier in page)
        return success([{f: lead[f] for f in fields} for lead in leads], nextPageToken=token)

    def lead_schema(self, params: Params, request: Request) -> Response:
        page, token = _page(params, lead_schema())
        return success(page, nextPageToken=token, moreResult=token is not None)

    def describe(self, name: str) -> Answer:
        def answer(params: Params, request: Request) -> Response:
            self._check_sync()
            return success(describe_object(OBJECTS[name]))

        return answer

    def objects(self, name: str) -> Answer:
        kind = OBJECTS[name]
        find: Callable[[str, list[str]], Any] = {
            "opportunities": lambda f, v: self.store.deals.find(f, v),
            "opportunities/roles": lambda f, v: self.store.deals.find_roles(f, v),
            "companies": lambda f, v: self.store.companies.find(f, v),
        }[name]

        def answer(params: Params, request: Request) -> Response:
            self._check_sync()
            if params.body and params.body.get("filterType") == "dedupeFields":
                return self._by_dedupe_fields(kind, find, params)
            field, values = _filter(params)
            if field == "idField" or (field == "dedupeFields" and len(kind.dedupe) == 1):
                field = kind.id_field if field == "idField" else kind.dedupe[0]
            if field not in kind.searchable:
                raise ApiError(1003, f"Invalid filter type '{field}'")
            return _objects_page(params, list(find(field, values)), _fields(params, kind.fields, kind.defaults))

        return answer

    def _by_dedupe_fields(self, kind: ObjectType, find: Callable[[str, list[str]], Any], params: Params) -> Response:
        wanted = params.body.get("input") or []
        if len(wanted) > MOST_VALUES:
            raise ApiError(1003, "Too many inputs")
        keys = [tuple(str(entry.get(f)) for f in kind.dedupe) for entry in wanted]
        candidates = find(kind.dedupe[0], [key[0] for key in keys])
        found = [c for c in candidates if tuple(str(c[f]) for f in kind.dedupe) in keys]
        fields = params.body.get("fields") or list(kind.defaults)
        return _objects_page(Params([*params.pairs, ("nextPageToken", params.body.get("nextPageToken") or "")]), found, fields)

    def _check_sync(self) -> None:
        if self.gate.options.crm_sync == "disabled":
            raise ApiError(1018, "CRM Enabled")

    def campaigns(self, params: Params, request: Request) -> Response:
        found = self.store.campaigns()
        for parameter, field in (("id", "id"), ("name", "name"), ("programName", "programName")):
            if wanted := params.many(parameter):
                found = [c for c in found if str(c[field]) in wanted]
        page, token = _page(params, found)
        return success(page, nextPageToken=token)

    def programs(self, params: Params, request: Request) -> Response:
        size, offset = params.size("maxReturn", 20, 200), int(params.get("offset") or 0)
        page = self.store.programs()[offset : offset + size]
        body: dict[str, Any] = {"success": True, "errors": [], "requestId": request_id(), "warnings": []}
        # The asset API leaves `result` out when there is nothing.
        return reply(body | ({"result": page} if page else {"warnings": ["No assets found for the given search criteria."]}))

    def usage(self, params: Params, request: Request) -> Response:
        total, day = self.gate.calls_today, datetime.now(UTC).date().isoformat()
        return success([{"date": day, "total": total, "users": [{"userId": "apis@sandbox.example.com", "count": total}]}])

    def errors(self, params: Params, request: Request) -> Response:
        errors = [{"errorCode": code, "count": count} for code, count in self.gate.errors_today.items()]
        day = datetime.now(UTC).date().isoformat()
        return success([{"date": day, "total": sum(self.gate.errors_today.values()), "errors": errors}])


def _filter(params: Params) -> tuple[str, list[str]]:
    field = params.need("filterType")
    params.need("filterValues")
    values = params.many("filterValues")
    if len(values) > MOST_VALUES:
        raise ApiError(1003, f"Too many values: the maximum is {MOST_VALUES}")
    return field, values


def _fields(params: Params, known: Any, default: tuple[str, ...]) -> list[str]:
    fields = params.many("fields")
    if unknown := next((f for f in fields if f not in known), None):
        raise ApiError(1006, f"Field '{unknown}' not found")
    return fields or list(default)


def _page(params: Params, found: list[Any]) -> tuple[list[Any], str | None]:
    """One page, and the token of the next when there is one."""
    size = params.size("batchSize", PAGE, PAGE)
    token = params.get("nextPageToken")
    start = read_token(token).get("from", 0) if token else 0
    return found[start : start + size], make_token(**{"from": start + size}) if start + size < len(found) else None


def _objects_page(params: Params, found: list[dict[str, Any]], fields: list[str]) -> Response:
    page, token = _page(params, found)
    return success([{"seq": n, **{f: record.get(f) for f in fields}} for n, record in enumerate(page)], nextPageToken=token)
