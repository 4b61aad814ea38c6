"""Marketo's identity, REST, asset and bulk API over a MarketoStore."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.activity_api import ActivityApi
from cdp_pipelines.sandbox.marketo.bulk import Exports, Kind
from cdp_pipelines.sandbox.marketo.campaign_api import CampaignApi
from cdp_pipelines.sandbox.marketo.describe import OBJECTS
from cdp_pipelines.sandbox.marketo.envelope import NOT_FOUND, ApiError, Params, failure, success
from cdp_pipelines.sandbox.marketo.field_api import FieldApi
from cdp_pipelines.sandbox.marketo.gate import Gate
from cdp_pipelines.sandbox.marketo.imports import Imports
from cdp_pipelines.sandbox.marketo.lead_api import LeadApi
from cdp_pipelines.sandbox.marketo.lead_writes import LeadWrites
from cdp_pipelines.sandbox.marketo.list_api import ListApi
from cdp_pipelines.sandbox.marketo.object_api import ObjectApi
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.marketo.webhook import Webhooks

Answer = Callable[[Params, Request], Response]
METHODS = ("GET", "POST", "DELETE")


class _Routes:
    """The routes as they are added: a path, its family of permissions, and what answers a read, a write and a deletion."""

    def __init__(self, gate: Gate):
        self.gate = gate
        self.made: list[Route] = []

    def add(self, family: str, path: str, read: Answer | None = None, write: Answer | None = None, delete: Answer | None = None) -> None:
        answers = {"GET": read, "POST": write, "DELETE": delete}

        async def endpoint(request: Request) -> Response:
            async def handler(params: Params) -> Response:
                # A call may go as POST and say in `_method`, in the query or the form, what it really is.
                method = (params.get("_method") or "").upper() if request.method == "POST" else ""
                answer = answers.get(method if method in METHODS else request.method)
                if answer is None:
                    raise NOT_FOUND
                # To ask for an export takes no permission to change anything.
                denied = f"{family}:write" in self.gate.options.denied and not clock.replaying()
                if denied and answer is not read and "/export/" not in path:
                    raise ApiError(603, "Access denied")
                return answer(params, request)

            return await self.gate.admit(request, family, handler)

        self.made.append(Route(path, endpoint, methods=list(METHODS)))


def app(store: MarketoStore, options: MarketoOptions | None = None) -> Starlette:
    """The emulated instance.

    `app.state.gate`, `app.state.exports` and `app.state.webhooks` are there to look at, `app.state.gate.revoke()` ends the session.
    """
    options = options or MarketoOptions()
    gate, exports, webhooks = Gate(options), Exports(store, options), Webhooks(store, options)
    leads, writes = LeadApi(store, options), LeadWrites(store, options)
    routes = _Routes(gate)

    async def unknown(request: Request, error: Exception) -> Response:
        return failure(NOT_FOUND)

    _field_routes(routes, FieldApi(store, options))
    _lead_routes(routes, leads, writes)
    _list_routes(routes, ListApi(store, leads))
    _activity_routes(routes, ActivityApi(store, options))
    _campaign_routes(routes, CampaignApi(store, options, webhooks.requested))
    for name in OBJECTS:
        objects, family = ObjectApi(name, store, options), name.partition("/")[0]
        routes.add(family, f"/rest/v1/{name}/describe.json", objects.describe)
        routes.add(family, f"/rest/v1/{name}/delete.json", None, objects.delete)
        routes.add(family, f"/rest/v1/{name}.json", objects.find, objects.sync, objects.delete)
    _bulk_routes(routes, exports, Imports(writes))
    for path, days in (("", 1), ("/last7days", 7)):
        routes.add("stats", f"/rest/v1/stats/usage{path}.json", lambda p, r, days=days: success(gate.usage(days)))
        routes.add("stats", f"/rest/v1/stats/errors{path}.json", lambda p, r, days=days: success(gate.errors(days)))
    sign_in = Route("/identity/oauth/token", gate.sign_in, methods=["GET", "POST"])
    made = Starlette(routes=[sign_in, *routes.made], exception_handlers={404: unknown, 405: unknown})
    made.router.redirect_slashes = False
    made.state.gate, made.state.exports, made.state.webhooks = gate, exports, webhooks
    return made


def _field_routes(routes: _Routes, fields: FieldApi) -> None:
    def add(path: str, *answers: Answer | None) -> None:
        routes.add("leads", f"/rest/v1/leads/{path}.json", *answers)

    add("describe", fields.describe)
    add("describe2", fields.describe_2)
    add("schema/fields", fields.schema, fields.create)
    add("schema/fields/{name}", fields.one, fields.update)


def _lead_routes(routes: _Routes, leads: LeadApi, writes: LeadWrites) -> None:
    def add(path: str, *answers: Answer | None) -> None:
        routes.add("leads", f"/rest/v1/{path}.json", *answers)

    add("leads/partitions", leads.partitions, writes.partitions)
    add("leads/push", None, writes.push)
    add("leads/delete", None, writes.delete)
    add("leads/programs/{id}", leads.of_program)
    add("leads/programs/{id}/status", None, writes.program_status)
    add("leads/{id}/merge", None, writes.merge)
    add("leads/{id}/associate", None, writes.associate)
    add("leads/{id}/listMembership", leads.lists)
    add("lead/{id}", leads.lead)
    add("leads", leads.leads, writes.sync, writes.delete)


def _list_routes(routes: _Routes, lists: ListApi) -> None:
    def add(path: str, *answers: Answer | None) -> None:
        routes.add("lists", f"/rest/{path}.json", *answers)

    add("v1/lists", lists.lists)
    add("v1/list/{id}/leads", lists.members, lists.add, lists.remove)
    add("v1/lists/{id}/leads", lists.members, lists.add, lists.remove)
    add("v1/lists/{id}/leads/ismember", lists.is_member)
    add("v1/lists/{id}", lists.one)
    add("asset/v1/staticLists", lists.assets, lists.create)
    add("asset/v1/staticList/{id}", lists.asset, lists.update)
    add("asset/v1/staticList/{id}/delete", None, lists.delete)


def _activity_routes(routes: _Routes, activities: ActivityApi) -> None:
    def add(path: str, *answers: Answer | None) -> None:
        routes.add("activities", f"/rest/v1/activities{path}.json", *answers)

    add("", activities.activities)
    add("/types", activities.types)
    add("/pagingtoken", activities.paging_token)
    add("/leadchanges", activities.lead_changes)
    add("/deletedleads", activities.deleted_leads)
    add("/external", None, activities.add_external)
    add("/external/types", activities.external_types)


def _campaign_routes(routes: _Routes, campaigns: CampaignApi) -> None:
    def add(family: str, path: str, *answers: Answer | None) -> None:
        routes.add(family, f"/rest/{path}.json", *answers)

    add("campaigns", "v1/campaigns", campaigns.campaigns)
    add("campaigns", "v1/campaigns/{id}", campaigns.campaign)
    add("campaigns", "v1/campaigns/{id}/trigger", None, campaigns.trigger)
    add("campaigns", "v1/campaigns/{id}/schedule", None, campaigns.schedule)
    add("campaigns", "v1/leads/{id}/smartCampaignMembership", campaigns.of_lead)
    add("campaigns", "asset/v1/smartCampaigns", campaigns.smart_campaigns)
    add("campaigns", "asset/v1/smartCampaign/{id}", campaigns.smart_campaign)
    add("campaigns", "asset/v1/smartCampaign/{id}/activate", None, campaigns.activate(True))
    add("campaigns", "asset/v1/smartCampaign/{id}/deactivate", None, campaigns.activate(False))
    add("programs", "asset/v1/programs", campaigns.programs)
    add("programs", "asset/v1/program/byTag", campaigns.program_by_tag)
    add("programs", "asset/v1/program/{id}", campaigns.program)
    for one, all_ in (("channel", "channels"), ("tagType", "tagTypes")):
        answer = campaigns.channels if one == "channel" else campaigns.tag_types
        add("programs", f"asset/v1/{all_}", answer)
        add("programs", f"asset/v1/{one}/byName", answer)


def _bulk_routes(routes: _Routes, exports: Exports, imports: Imports) -> None:
    routes.add("leads", "/bulk/v1/leads.json", None, imports.create)
    routes.add("leads", "/bulk/v1/leads/batch/{id}.json", imports.status)
    for which in ("failures", "warnings"):
        routes.add("leads", f"/bulk/v1/leads/batch/{{id}}/{which}.json", imports.file(which))
    kinds: tuple[Kind, ...] = ("leads", "activities")
    for name in kinds:
        kind, base = name, f"/bulk/v1/{name}/export"
        one = f"{base}/{{id}}"
        routes.add(name, f"{base}/create.json", None, lambda p, r, kind=kind: exports.create(kind, p))
        routes.add(name, f"{one}/enqueue.json", None, lambda p, r, kind=kind: exports.enqueue(kind, r.path_params["id"]))
        routes.add(name, f"{one}/cancel.json", None, lambda p, r, kind=kind: exports.cancel(kind, r.path_params["id"]))
        routes.add(name, f"{one}/status.json", lambda p, r, kind=kind: exports.status(kind, r.path_params["id"]))
        routes.add(name, f"{one}/file.json", lambda p, r, kind=kind: exports.file(kind, r.path_params["id"], r))
        routes.add(name, f"{base}.json", lambda p, r, kind=kind: exports.listing(kind, p))
