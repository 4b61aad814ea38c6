"""Calls on associations (version 4)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.hubspot.associations import AssociationType
from cdp_pipelines.sandbox.hubspot.errors import answer, invalid, not_found
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi, json_body
from cdp_pipelines.sandbox.hubspot.properties import ObjectType
from cdp_pipelines.sandbox.hubspot.records import timestamp
from cdp_pipelines.sandbox.hubspot.search import whole


class AssociationsApi:
    """Handlers for `/crm/v4/associations` and `/crm/v4/objects/.../associations`."""

    def __init__(self, objects: ObjectsApi):
        self._objects, self._store, self._options = objects, objects.store, objects.options

    async def batch_read(self, request: Request) -> Response:
        """POST many ids of one type. Answers 207 as soon as one of them has no association: that is an error to HubSpot."""
        start, end, body = self._objects.kind(request, "start"), self._objects.kind(request, "end"), await json_body(request)
        inputs = body.get("inputs") or []
        if len(inputs) > self._options.association_inputs:
            raise invalid(f"The maximum number of inputs is {self._options.association_inputs}. Found {len(inputs)}.")
        started, results, errors = _now(), [], []
        for given in inputs:
            asked = str(given.get("id"))
            if not asked.isdigit():
                errors.append(_error("VALIDATION_ERROR", "INVALID_IDENTIFIER", f"{asked} is not a valid identifier.", asked, start, end))
                continue
            to, following = self._page(start, int(asked), end, whole(given.get("after") or 0, "after"), self._options.association_page)
            if to:
                results.append({"from": {"id": asked}, "to": to} | ({"paging": {"next": {"after": following}}} if following else {}))
            else:
                message = f"No {end.singular} is associated with {start.singular} {asked}."
                errors.append(_error("OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND", message, asked, start, end))
        done = {"completedAt": _now(), "status": "COMPLETE", "startedAt": started, "results": results}
        return answer(done | {"errors": errors, "numErrors": len(errors)}, 207) if errors else answer(done)

    async def of_one(self, request: Request) -> Response:
        """GET a page of one record's associations."""
        start, end, asked = self._objects.kind(request), self._objects.kind(request, "end"), request.path_params["id"]
        record_id = self._objects.find(start, asked)
        if record_id is None or not self._store.records[start.plural].is_live(record_id):
            raise not_found(asked)
        limit = whole(request.query_params.get("limit", 500), "limit")
        if not 0 < limit <= 500:
            raise invalid("Invalid input: limit must be between 1 and 500")
        to, following = self._page(start, record_id, end, whole(request.query_params.get("after") or 0, "after"), limit)
        body: dict[str, Any] = {"results": to}
        if following:
            body["paging"] = {"next": {"after": following, "link": str(request.url.include_query_params(after=following))}}
        return answer(body)

    async def labels(self, request: Request) -> Response:
        """GET the association types between two object types."""
        start, end = self._objects.kind(request, "start"), self._objects.kind(request, "end")
        links = self._store.links_between(start, end)
        return answer({"results": [_type(t) for t in links.labels(start)] if links else []})

    def _page(self, start: ObjectType, record_id: int, end: ObjectType, after: int, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        links = [(i, types) for i, types in self._store.associated(start, record_id, end).items() if i >= after]
        shown = [{"toObjectId": i, "associationTypes": [_type(t) for t in types]} for i, types in links[:limit]]
        return shown, str(links[limit][0]) if len(links) > limit else None


def _type(kind: AssociationType) -> dict[str, Any]:
    return {"category": kind.category, "typeId": kind.type_id, "label": kind.label}


def _error(category: str, sub: str, message: str, asked: str, start: ObjectType, end: ObjectType) -> dict[str, Any]:
    return {
        "status": "error",
        "category": category,
        "subCategory": f"crm.associations.{sub}",
        "message": message,
        "context": {"fromObjectId": [asked], "fromObjectType": [start.singular], "toObjectType": [end.singular]},
    }


def _now() -> str:
    return timestamp(datetime.now(UTC))
