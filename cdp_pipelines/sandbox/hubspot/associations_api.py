"""Calls that read associations, in the fourth version and in the third."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.associations import AssociationType
from cdp_pipelines.sandbox.hubspot.errors import answer, invalid, not_found
from cdp_pipelines.sandbox.hubspot.inputs import json_body, objects, record_id, whole
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi, batch_answer
from cdp_pipelines.sandbox.hubspot.properties import ObjectType
from cdp_pipelines.sandbox.hubspot.records import timestamp

V3_PAGE = 100


class AssociationsApi:
    """Handlers for `/crm/v4/associations` and `/crm/v4/objects/.../associations`."""

    def __init__(self, objects: ObjectsApi):
        self._objects, self._store, self._options = objects, objects.store, objects.options

    async def batch_read(self, request: Request) -> Response:
        """POST many ids of one type. Answers 207 as soon as one of them has no association: that is an error to HubSpot."""
        start, end, body = self._objects.kind(request, "start"), self._objects.kind(request, "end"), await json_body(request)
        inputs = objects(body, "inputs")
        if len(inputs) > self._options.association_inputs:
            raise invalid(f"The maximum number of inputs is {self._options.association_inputs}. Found {len(inputs)}.")
        started, results, errors = timestamp(clock.now()), [], []
        for given in inputs:
            asked = str(given.get("id"))
            if (number := record_id(asked)) is None:
                errors.append(_error("VALIDATION_ERROR", "INVALID_IDENTIFIER", f"{asked} is not a valid identifier.", asked, start, end))
                continue
            to, following = self._page(start, number, end, whole(given.get("after") or 0, "after"), self._options.association_page)
            if to:
                results.append({"from": {"id": asked}, "to": to} | ({"paging": {"next": {"after": following}}} if following else {}))
            else:
                message = f"No {end.singular} is associated with {start.singular} {asked}."
                errors.append(_error("OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND", message, asked, start, end))
        return batch_answer(started, results, errors)

    async def of_one(self, request: Request) -> Response:
        """GET a page of one record's associations."""
        start, end, asked = self._objects.kind(request), self._objects.kind(request, "end"), request.path_params["id"]
        if (found := self._objects.find(start, asked)) is None:
            raise not_found(asked)
        limit = whole(request.query_params.get("limit", 500), "limit")
        if not 0 < limit <= 500:
            raise invalid("Invalid input: limit must be between 1 and 500")
        to, following = self._page(start, found, end, whole(request.query_params.get("after") or 0, "after"), limit)
        body: dict[str, Any] = {"results": to}
        if following:
            body["paging"] = {"next": {"after": following, "link": str(request.url.include_query_params(after=following))}}
        return answer(body)

    async def of_one_v3(self, request: Request) -> Response:
        """GET a page of one record's associations as the third version gives them: an entry for each type of each."""
        start, end, asked = self._objects.kind(request), self._objects.kind(request, "end"), request.path_params["id"]
        if (found := self._objects.find(start, asked)) is None:
            raise not_found(asked)
        limit = whole(request.query_params.get("limit", V3_PAGE), "limit")
        if not 0 < limit <= 500:
            raise invalid("Invalid input: limit must be between 1 and 500")
        entries = [e for e in self._objects.entries(start, found, end) if int(e["id"]) >= self._objects.after(request)]
        limit = _whole_records(entries, limit)
        body: dict[str, Any] = {"results": entries[:limit]}
        if len(entries) > limit:
            after = entries[limit]["id"]
            body["paging"] = {"next": {"after": after, "link": str(request.url.include_query_params(after=after))}}
        return answer(body)

    async def batch_read_v3(self, request: Request) -> Response:
        """POST many ids as in the third version: at most a hundred entries each, and no way to the others in this call.

        Approximated: what it says of a record that is associated with nothing.
        """
        start, end, body = self._objects.kind(request, "start"), self._objects.kind(request, "end"), await json_body(request)
        inputs = objects(body, "inputs")
        if len(inputs) > self._options.association_inputs:
            raise invalid(f"The maximum number of inputs is {self._options.association_inputs}. Found {len(inputs)}.")
        started, results, errors = timestamp(clock.now()), [], []
        for asked in (str(given.get("id")) for given in inputs):
            number = record_id(asked)
            entries = self._objects.entries(start, number, end) if number is not None else []
            if not entries:
                message = f"No {end.singular} is associated with {start.singular} {asked}."
                errors.append(_error("OBJECT_NOT_FOUND", "NO_ASSOCIATIONS_FOUND", message, asked, start, end))
                continue
            result: dict[str, Any] = {"from": {"id": asked}, "to": entries[:V3_PAGE]}
            if len(entries) > V3_PAGE:
                path = f"/crm/v3/objects/{start.plural}/{asked}/associations/{end.plural}"
                after = entries[V3_PAGE]["id"]
                result["paging"] = {"next": {"after": after, "link": str(request.url.replace(path=path, query=f"after={after}"))}}
            results.append(result)
        return batch_answer(started, results, errors)

    async def types_v3(self, request: Request) -> Response:
        """GET the association types between two object types, by the third version's names."""
        start, end = self._objects.kind(request, "start"), self._objects.kind(request, "end")
        links = self._store.links_between(start, end)
        return answer({"results": [{"id": str(t.type_id), "name": t.name} for t in links.labels(start)] if links else []})

    async def labels(self, request: Request) -> Response:
        """GET the association types between two object types."""
        start, end = self._objects.kind(request, "start"), self._objects.kind(request, "end")
        links = self._store.links_between(start, end)
        return answer({"results": [shown_type(t) for t in links.labels(start)] if links else []})

    def _page(self, start: ObjectType, number: int, end: ObjectType, after: int, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        links = [(i, types) for i, types in self._store.associated(start, number, end).items() if i >= after]
        shown = [{"toObjectId": i, "associationTypes": [shown_type(t) for t in types]} for i, types in links[:limit]]
        return shown, str(links[limit][0]) if len(links) > limit else None


def shown_type(kind: AssociationType) -> dict[str, Any]:
    """An association type as the API gives it."""
    return {"category": kind.category, "typeId": kind.type_id, "label": kind.label}


def _error(category: str, sub: str, message: str, asked: str, start: ObjectType, end: ObjectType) -> dict[str, Any]:
    return {
        "status": "error",
        "category": category,
        "subCategory": f"crm.associations.{sub}",
        "message": message,
        "context": {"fromObjectId": [asked], "fromObjectType": [start.singular], "toObjectType": [end.singular]},
    }


def _whole_records(entries: list[dict[str, str]], limit: int) -> int:
    """A page's size at which no record's entries are cut in two, since a page begins at a record; at least one record."""
    if len(entries) <= limit:
        return limit
    size = limit
    while size > 0 and entries[size - 1]["id"] == entries[size]["id"]:
        size -= 1
    return size or next((n for n, e in enumerate(entries) if e["id"] != entries[0]["id"]), len(entries))
