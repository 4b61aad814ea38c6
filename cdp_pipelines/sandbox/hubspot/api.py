"""The portal as an HTTP application."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.associations_api import AssociationsApi
from cdp_pipelines.sandbox.hubspot.associations_writes_api import AssociationWritesApi
from cdp_pipelines.sandbox.hubspot.batch_api import BatchApi
from cdp_pipelines.sandbox.hubspot.errors import Refused, missing_scopes
from cdp_pipelines.sandbox.hubspot.legacy_api import LegacyApi
from cdp_pipelines.sandbox.hubspot.limits import Limits
from cdp_pipelines.sandbox.hubspot.metadata_api import MetadataApi
from cdp_pipelines.sandbox.hubspot.oauth_api import OAuthApi
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.pipelines_api import PipelinesApi
from cdp_pipelines.sandbox.hubspot.properties import object_type
from cdp_pipelines.sandbox.hubspot.properties_api import PropertiesApi
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.hubspot.tokens import Tokens
from cdp_pipelines.sandbox.hubspot.webhooks import Webhooks, WebhookTarget
from cdp_pipelines.sandbox.hubspot.writes_api import WritesApi

__all__ = ["HubSpotOptions", "WebhookTarget", "app"]

Handler = Callable[[Request], Awaitable[Response]]
Row = tuple[str, str, Handler]

READ, WRITE = "crm.objects.{type}.read", "crm.objects.{type}.write"
LINKS_READ, LINKS_WRITE = "crm.objects.{start}.read", "crm.objects.{start}.write"
SCHEMA_READ, SCHEMA_WRITE = "crm.schemas.{type}.read", "crm.schemas.{type}.write"
_VERSION = re.compile(r"20\d\d-(03|09)(-beta)?")


def app(store: HubSpotStore, options: HubSpotOptions | None = None) -> Starlette:
    """The API over a store. `state.webhooks.target` is where events are sent."""
    options = options or HubSpotOptions()
    store.association_changes_bump = lambda: options.association_changes_bump
    gate = _Gate(store, options)
    objects = ObjectsApi(store, options)
    writes = WritesApi(objects)
    oauth = OAuthApi(gate.tokens, options)
    routes = [
        *gate.routes(("/crm/v3/objects", "/crm/v4/objects", "/crm/objects/{version}"), _objects(objects, writes)),
        *gate.routes(("/crm/v4/associations", "/crm/associations/{version}"), _associations(objects, writes)),
        *gate.routes(("/crm/v3/associations",), _associations_v3(objects, writes)),
        *gate.routes(("/crm/v3/properties", "/crm/properties/{version}"), _properties(PropertiesApi(objects))),
        *gate.routes(("/crm/v3/pipelines", "/crm/pipelines/{version}"), _pipelines(PipelinesApi(objects))),
        *gate.routes(("",), _around(objects, MetadataApi(objects, gate.limits))),
        *gate.routes(("",), _legacy(objects)),
        Route("/oauth/v1/token", oauth.token, methods=["POST"]),
        Route("/oauth/{version}/token", oauth.token, methods=["POST"]),
        Route("/oauth/v1/access-tokens/{token}", oauth.access_token, methods=["GET"]),
        Route("/oauth/v1/refresh-tokens/{token}", oauth.refresh_token, methods=["GET"]),
        Route("/oauth/v2/private-apps/get/access-token-info", oauth.private_app, methods=["POST"]),
    ]
    handlers = {Refused: _refuse, HTTPException: _refuse_route, Exception: _fail}
    made = Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(_TrailingSlash)])
    made.router.redirect_slashes = False
    made.state.webhooks, made.state.tokens, made.state.limits = Webhooks(store, options), gate.tokens, gate.limits
    return made


def _objects(objects: ObjectsApi, writes: WritesApi) -> dict[str, list[Row]]:
    batch, changes = BatchApi(writes), AssociationWritesApi(writes)
    pair = "/{type}/{id}/associations/{end}"
    return {
        READ: [
            ("GET", "/{type}", objects.many), ("POST", "/{type}/search", objects.search), ("POST", "/{type}/batch/read", objects.batch_read),
            ("GET", "/{type}/{id}", objects.one),
        ],
        WRITE: [
            ("POST", "/{type}", writes.create), ("PATCH", "/{type}/{id}", writes.update), ("DELETE", "/{type}/{id}", writes.archive),
            ("POST", "/{type}/merge", writes.merge), ("POST", "/{type}/gdpr-delete", writes.gdpr_delete),
            ("POST", "/{type}/batch/create", batch.create), ("POST", "/{type}/batch/update", batch.update),
            ("POST", "/{type}/batch/upsert", batch.upsert), ("POST", "/{type}/batch/archive", batch.archive),
            ("PUT", "/{type}/{id}/associations/default/{end}/{to}", changes.put_default), ("PUT", pair + "/{to}", changes.put_labelled),
            ("DELETE", pair + "/{to}", changes.delete),
        ],
    }  # fmt: skip


def _associations(objects: ObjectsApi, writes: WritesApi) -> dict[str, list[Row]]:
    links, changes = AssociationsApi(objects), AssociationWritesApi(writes)
    root, labels = "/{start}/{end}", "/{start}/{end}/labels"
    return {
        LINKS_READ: [("POST", root + "/batch/read", links.batch_read), ("GET", labels, links.labels)],
        LINKS_WRITE: [
            ("POST", root + "/batch/create", changes.batch_create), ("POST", root + "/batch/archive", changes.batch_archive),
            ("POST", root + "/batch/associate/default", changes.batch_default),
            ("POST", root + "/batch/labels/archive", changes.batch_labels_archive), ("POST", labels, changes.create_label),
            ("PUT", labels, changes.change_label), ("DELETE", labels + "/{id}", changes.delete_label),
        ],
    }  # fmt: skip


def _associations_v3(objects: ObjectsApi, writes: WritesApi) -> dict[str, list[Row]]:
    links, changes, root = AssociationsApi(objects), AssociationWritesApi(writes), "/{start}/{end}"
    return {
        LINKS_READ: [("POST", root + "/batch/read", links.batch_read_v3), ("GET", root + "/types", links.types_v3)],
        LINKS_WRITE: [("POST", root + "/batch/create", changes.batch_create_v3), ("POST", root + "/batch/archive", changes.batch_archive)],
    }


def _properties(api: PropertiesApi) -> dict[str, list[Row]]:
    return {
        SCHEMA_READ: [
            ("GET", "/{type}", api.many), ("GET", "/{type}/groups", api.groups), ("GET", "/{type}/groups/{name}", api.group),
            ("POST", "/{type}/batch/read", api.batch_read), ("GET", "/{type}/{name}", api.one),
        ],
        SCHEMA_WRITE: [
            ("POST", "/{type}", api.create), ("PATCH", "/{type}/{name}", api.update), ("DELETE", "/{type}/{name}", api.archive),
            ("POST", "/{type}/groups", api.create_group), ("PATCH", "/{type}/groups/{name}", api.update_group),
            ("DELETE", "/{type}/groups/{name}", api.archive_group), ("POST", "/{type}/batch/create", api.batch_create),
            ("POST", "/{type}/batch/archive", api.batch_archive),
        ],
    }  # fmt: skip


def _pipelines(api: PipelinesApi) -> dict[str, list[Row]]:
    one, stages, stage = "/{type}/{id}", "/{type}/{id}/stages", "/{type}/{id}/stages/{stage}"
    return {
        READ: [
            ("GET", "/{type}", api.many), ("GET", one, api.one), ("GET", one + "/audit", api.audit), ("GET", stages, api.stages),
            ("GET", stage, api.stage), ("GET", stage + "/audit", api.stage_audit),
        ],
        SCHEMA_WRITE: [
            ("POST", "/{type}", api.create), ("PUT", one, api.replace), ("PATCH", one, api.update), ("DELETE", one, api.archive),
            ("POST", stages, api.create_stage), ("PUT", stage, api.replace_stage), ("PATCH", stage, api.update_stage),
            ("DELETE", stage, api.archive_stage),
        ],
    }  # fmt: skip


def _around(objects: ObjectsApi, metadata: MetadataApi) -> dict[str, list[Row]]:
    schemas, links = PropertiesApi(objects), AssociationsApi(objects)
    owners: list[Row] = []
    for root in ("/crm/v3/owners", "/crm/owners/{version}"):
        owners += [("GET", root, metadata.owners), ("GET", root + "/{id}", metadata.owner)]
    custom = [f"{root}/schemas" for root in ("/crm/v3", "/crm-object-schemas/v3", "/crm-object-schemas/{version}")]
    usage = "/account-info/v3/api-usage/daily/private-apps"
    return {
        READ: [
            ("GET", "/crm/v3/objects/{type}/{id}/associations/{end}", links.of_one_v3),
            ("GET", "/crm/v4/objects/{type}/{id}/associations/{end}", links.of_one),
            ("GET", "/crm/objects/{version}/{type}/{id}/associations/{end}", links.of_one),
        ],
        "crm.objects.owners.read": owners,
        "crm.schemas.custom.read": [("GET", root, schemas.schemas) for root in custom],
        SCHEMA_READ: [("GET", root + "/{type}", schemas.schema) for root in custom],
        "": [("GET", "/account-info/v3/details", metadata.account), ("GET", usage, metadata.usage)],
    }


def _legacy(objects: ObjectsApi) -> dict[str, list[Row]]:
    legacy, bare = LegacyApi(objects), PropertiesApi(objects).bare
    companies, deals = "/companies/v2/companies", "/deals/v1/deal"
    return {
        SCHEMA_READ: [("GET", f"/properties/{v}/{{type}}/properties", bare) for v in ("v1", "v2")],
        "crm.schemas.companies.read": [("GET", "/companies/v2/properties", legacy.company_properties)],
        "crm.objects.companies.read": [
            ("GET", companies + "/paged", legacy.companies), ("GET", companies + "/recent/modified", legacy.recent_companies),
            ("GET", companies + "/{id}", legacy.company),
        ],
        "crm.objects.deals.read": [
            ("GET", deals + "/paged", legacy.deals), ("GET", deals + "/recent/modified", legacy.recent_deals),
            ("GET", deals + "/{id}", legacy.deal), ("GET", "/deals/v1/pipelines", legacy.pipelines),
        ],
    }  # fmt: skip


class _Gate:
    """What every call passes before its handler: URL length, token, limits, scope."""

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self._options = options
        self.limits, self.tokens = Limits(options), Tokens(store, options)

    def routes(self, roots: tuple[str, ...], rows: dict[str, list[Row]]) -> list[Route]:
        """Guarded routes under each root; rows are by scope. Those with fewer parts that vary come first."""
        every = [
            Route(root + path, self._guard(handler, scope), methods=[method])
            for root in roots for scope, found in rows.items() for method, path, handler in found
        ]  # fmt: skip
        return sorted(every, key=lambda route: route.path.count("{"))

    def _guard(self, handler: Handler, scope: str) -> Handler:
        """The handler behind the gate. `scope` may speak of an object type in the path."""

        async def guarded(request: Request) -> Response:
            if len(str(request.url)) > self._options.max_url:
                return Response("<html><head><title>414 Request-URI Too Large</title></head></html>", 414, media_type="text/html")
            if not _VERSION.fullmatch(request.path_params.get("version", "2026-03")):
                raise HTTPException(404)
            if clock.replaying():
                return await handler(request)
            token = self.tokens.check(request.headers.get("Authorization", "").removeprefix("Bearer "))
            headers = self.limits.count(search=request.url.path.endswith("/search"), oauth=token == "oauth")
            names = {name: kind.plural for name, value in request.path_params.items() if (kind := object_type(str(value)))}
            needed = scope.format(**(request.path_params | names))
            if needed in self._options.withheld_scopes:
                raise missing_scopes([needed], nested=self._options.nested_scope_errors)
            response = await handler(request)
            response.headers.update(headers)
            return response

        return guarded


class _TrailingSlash:
    """HubSpot answers with and without a slash at the end; its own Python client sends one for owners."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1:
            scope = {**scope, "path": scope["path"].rstrip("/")}
        await self._app(scope, receive, send)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return Refused(405, "Method Not Allowed").response()
    return Refused(404, "resource not found").response()


async def _fail(request: Request, error: Exception) -> Response:
    return Refused(500, "internal error").response()
