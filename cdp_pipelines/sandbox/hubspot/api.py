"""The portal as an HTTP application."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cdp_pipelines.sandbox.hubspot.associations_api import AssociationsApi
from cdp_pipelines.sandbox.hubspot.errors import Refused, missing_scopes, unauthorized
from cdp_pipelines.sandbox.hubspot.limits import HubSpotOptions, Limits
from cdp_pipelines.sandbox.hubspot.metadata_api import MetadataApi
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.properties import object_type
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore

__all__ = ["HubSpotOptions", "app"]

Handler = Callable[[Request], Awaitable[Response]]


def app(store: HubSpotStore, options: HubSpotOptions | None = None) -> Starlette:
    """The API over a store."""
    options = options or HubSpotOptions()
    gate = _Gate(store, options)
    objects = ObjectsApi(store, options)
    links, metadata = AssociationsApi(objects), MetadataApi(objects, gate.limits)

    def get(path: str, handler: Handler, scope: str = "crm.objects.{type}.read") -> Route:
        return Route(path, gate.guard(handler, scope), methods=["GET"])

    def post(path: str, handler: Handler, scope: str = "crm.objects.{type}.read") -> Route:
        return Route(path, gate.guard(handler, scope), methods=["POST"])

    routes = []
    for root in ("/crm/v3/objects", "/crm/objects/{version}"):
        routes += [
            get(root + "/{type}", objects.many),
            post(root + "/{type}/search", objects.search),
            post(root + "/{type}/batch/read", objects.batch_read),
            get(root + "/{type}/{id}", objects.one),
        ]
    for root in ("/crm/v4/associations", "/crm/associations/{version}"):
        routes += [
            post(root + "/{start}/{end}/batch/read", links.batch_read, "crm.objects.{start}.read"),
            get(root + "/{start}/{end}/labels", links.labels, "crm.objects.{start}.read"),
        ]
    routes += [
        get("/crm/v4/objects/{type}/{id}/associations/{end}", links.of_one),
        get("/crm/v3/properties/{type}", metadata.properties, "crm.schemas.{type}.read"),
        get("/crm/v3/properties/{type}/{name}", metadata.property, "crm.schemas.{type}.read"),
        get("/properties/v2/{type}/properties", metadata.properties_v2, "crm.schemas.{type}.read"),
        get("/crm/v3/pipelines/{type}", metadata.pipelines),
        get("/crm/v3/pipelines/{type}/{id}", metadata.pipeline),
        get("/crm/v3/pipelines/{type}/{id}/stages", metadata.pipeline),
        get("/crm/v3/owners", metadata.owners, "crm.objects.owners.read"),
        get("/crm/v3/owners/{id}", metadata.owner, "crm.objects.owners.read"),
        get("/crm/v3/schemas", metadata.schemas, "crm.schemas.custom.read"),
        get("/account-info/v3/details", metadata.account, ""),
        get("/account-info/v3/api-usage/daily/private-apps", metadata.usage, ""),
    ]
    handlers = {Refused: _refuse, HTTPException: _refuse_route}
    made = Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(_TrailingSlash)])
    made.router.redirect_slashes = False
    return made


class _Gate:
    """What every call passes before its handler: URL length, token, scope, limits."""

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self._store, self._options = store, options
        self.limits = Limits(options)

    def guard(self, handler: Handler, scope: str) -> Handler:
        """The handler behind the gate. `scope` may speak of an object type in the path."""

        async def guarded(request: Request) -> Response:
            if len(str(request.url)) > self._options.max_url:
                return Response("<html><head><title>414 Request-URI Too Large</title></head></html>", 414, media_type="text/html")
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if self._store.tokens_revoked or not secrets.compare_digest(token.encode(), self._options.access_token.encode()):
                raise unauthorized()
            headers = self.limits.count(search=request.url.path.endswith("/search"))
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
