"""Calls on what surrounds the records: properties, pipelines, owners, the account."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.hubspot.errors import Refused, answer, invalid, not_found
from cdp_pipelines.sandbox.hubspot.limits import Limits
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.properties import DEAL_STAGES, LIFECYCLE_STAGES
from cdp_pipelines.sandbox.hubspot.search import whole
from cdp_pipelines.sandbox.hubspot.translate import owner_id
from cdp_pipelines.sandbox.people import Owner

_SINCE = {"createdAt": "1970-01-01T00:00:00Z", "updatedAt": "1970-01-01T00:00:00Z"}


class MetadataApi:
    """Handlers for properties, pipelines, owners and the account."""

    def __init__(self, objects: ObjectsApi, limits: Limits):
        self._objects, self._limits, self._options = objects, limits, objects.options

    async def properties(self, request: Request) -> Response:
        """GET all property definitions of a type; there are no archived ones."""
        if request.query_params.get("archived", "").lower() == "true":
            return answer({"results": []})
        return answer({"results": self._definitions(request)})

    async def properties_v2(self, request: Request) -> Response:
        """GET them as the older API gives them: a bare list."""
        return answer(self._definitions(request))

    async def property(self, request: Request) -> Response:
        """GET one property definition."""
        name = request.path_params["name"]
        for definition in self._definitions(request):
            if definition["name"] == name:
                return answer(definition)
        raise Refused(404, f"Property '{name}' does not exist", "OBJECT_NOT_FOUND")

    def _definitions(self, request: Request) -> list[dict[str, Any]]:
        known = self._objects.known(self._objects.kind(request))
        return [p.as_json(order) for order, p in enumerate(known.values())]

    async def pipelines(self, request: Request) -> Response:
        """GET the pipelines of a type."""
        return answer({"results": _pipelines(self._objects.kind(request).plural)})

    async def pipeline(self, request: Request) -> Response:
        """GET one pipeline, or its stages."""
        for found in _pipelines(self._objects.kind(request).plural):
            if found["id"] == request.path_params["id"]:
                return answer({"results": found["stages"]} if request.url.path.rstrip("/").endswith("/stages") else found)
        raise not_found(request.path_params["id"])

    async def owners(self, request: Request) -> Response:
        """GET a page of owners."""
        limit = whole(request.query_params.get("limit", 100), "limit")
        if not 0 < limit <= 500:
            raise invalid("Invalid input: limit must be between 1 and 500")
        after, archived = whole(request.query_params.get("after") or 0, "after"), request.query_params.get("archived", "").lower() == "true"
        email = request.query_params.get("email")
        chosen = [
            o for o in self._objects.store.owners if o.active != archived and owner_id(o.number) >= after and email in (None, o.email)
        ]
        body: dict[str, Any] = {"results": [_owner(o) for o in chosen[:limit]]}
        if len(chosen) > limit:
            following = str(owner_id(chosen[limit].number))
            body["paging"] = {"next": {"after": following, "link": str(request.url.include_query_params(after=following))}}
        return answer(body)

    async def owner(self, request: Request) -> Response:
        """GET one owner."""
        for found in self._objects.store.owners:
            if str(owner_id(found.number)) == request.path_params["id"]:
                return answer(_owner(found))
        raise not_found(request.path_params["id"])

    async def account(self, request: Request) -> Response:
        """GET the account's details."""
        return answer(
            {
                "portalId": self._options.portal_id,
                "accountType": "STANDARD",
                "timeZone": self._options.time_zone,
                "companyCurrency": "USD",
                "additionalCurrencies": ["EUR", "GBP", "JPY"],
                "utcOffset": "-04:00",
                "utcOffsetMilliseconds": -14400000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        )

    async def usage(self, request: Request) -> Response:
        """GET today's calls."""
        row = {
            "name": "private-apps-api-calls-daily", "usageLimit": self._options.calls_per_day, "currentUsage": self._limits.today,
            "fetchStatus": "SUCCESS",
        }  # fmt: skip
        return answer({"results": [row]})

    async def schemas(self, request: Request) -> Response:
        """GET the custom objects: none."""
        return answer({"results": []})


def _owner(owner: Owner) -> dict[str, Any]:
    return {
        "id": str(owner_id(owner.number)),
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "userId": 73_074_756 + owner.number,
        "userIdIncludingInactive": 73_074_756 + owner.number,
        "createdAt": "2023-01-16T09:00:00Z",
        "updatedAt": "2023-01-16T09:00:00Z",
        "archived": not owner.active,
        "teams": [{"id": "368389", "name": "Sales", "primary": True}],
    }


def _pipelines(kind: str) -> list[dict[str, Any]]:
    if kind == "deals":
        stages = [
            _stage(n, key, label, {"isClosed": "true" if key.startswith("closed") else "false", "probability": chance})
            for n, (key, (label, chance)) in enumerate(DEAL_STAGES.items())
        ]
        return [{"label": "Sales Pipeline", "displayOrder": 0, "id": "default", "stages": stages, **_SINCE, "archived": False}]
    if kind == "contacts":
        stages = [_stage(n, *names, {"isClosed": "false", "state": "OPEN"}) for n, names in enumerate(LIFECYCLE_STAGES.items())]
        label = "Lifecycle Stage Pipeline"
        return [{"label": label, "displayOrder": 0, "id": "contacts-lifecycle-pipeline", "stages": stages, **_SINCE, "archived": False}]
    return []


def _stage(order: int, key: str, label: str, metadata: dict[str, str]) -> dict[str, Any]:
    found = {"label": label, "displayOrder": order, "metadata": metadata, "id": key, **_SINCE}
    return found | {"writePermissions": "CRM_PERMISSIONS_ENFORCEMENT", "archived": False}
