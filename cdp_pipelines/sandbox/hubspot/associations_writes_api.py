"""Calls that write associations and their labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.associations import AssociationType, Links, inverse, unlabelled
from cdp_pipelines.sandbox.hubspot.associations_api import shown_type
from cdp_pipelines.sandbox.hubspot.errors import Refused, answer, bad_input, invalid, not_found
from cdp_pipelines.sandbox.hubspot.inputs import json_body, objects, record_id, text
from cdp_pipelines.sandbox.hubspot.objects_api import batch_answer, batch_inputs
from cdp_pipelines.sandbox.hubspot.properties import ObjectType
from cdp_pipelines.sandbox.hubspot.records import timestamp
from cdp_pipelines.sandbox.hubspot.writes_api import SOURCE, WritesApi

CREATE_MAX, ARCHIVE_MAX = 2_000, 100


class _Pair:
    """The two object types of a call, and the links between them."""

    def __init__(self, writes: WritesApi, start: ObjectType, end: ObjectType):
        self.start, self.end = start, end
        links = writes.store.links_between(start, end)
        if links is None:
            raise invalid(f"{start.singular} and {end.singular} cannot be associated")
        self.links: Links = links

    def types(self, given: Iterable[AssociationType]) -> list[AssociationType]:
        """Types as read from this call's start."""
        return list(given) if self.links.start is self.start else [inverse(t) for t in given]


class AssociationWritesApi:
    """Handlers for writes under `/crm/v4/associations`, `/crm/v4/objects/.../associations` and `/crm/v3/associations`."""

    def __init__(self, writes: WritesApi):
        self._writes, self._objects, self._store = writes, writes.objects, writes.store

    # One pair.

    async def put_default(self, request: Request) -> Response:
        """PUT the unlabelled association; the answer has it from both ends."""
        pair, at = self._pair(request, "type", "end"), clock.now()
        mine, other = self._ids(pair, request.path_params["id"], request.path_params["to"])
        return batch_answer(timestamp(at), self._default(pair, mine, other), [])

    async def put_labelled(self, request: Request) -> Response:
        """PUT an association with the types of the body, on top of those that the pair has."""
        pair = self._pair(request, "type", "end")
        mine, other = self._ids(pair, request.path_params["id"], request.path_params["to"])
        try:
            specs = await request.json()
        except (ValueError, RecursionError):
            specs = None
        specs = objects({"types": specs}, "types")
        return answer(self._labelled(pair, mine, other, specs), 201)

    async def delete(self, request: Request) -> Response:
        """DELETE all association types of a pair. Deleting what is not there is a success too."""
        pair = self._pair(request, "type", "end")
        mine, other = record_id(request.path_params["id"]), record_id(request.path_params["to"])
        if mine is not None and other is not None:
            self._remove(pair, mine, other, None)
        return Response(None, 204)

    # Many pairs.

    async def batch_create(self, request: Request) -> Response:
        """POST pairs with types. Pairs of which a record is missing are errors beside the rest."""
        pair, body, at = self._pair(request), await json_body(request), clock.now()
        results, errors = [], []
        for given in batch_inputs(body, CREATE_MAX):
            specs = objects(given, "types")
            self._writes.types_of(pair.links, pair.start, specs)
            try:
                results.append(self._labelled(pair, *self._ids(pair, _id(given, "from"), _id(given, "to")), specs))
            except Refused as refused:
                errors.append({**refused.body, "status": "error"})
        return batch_answer(timestamp(at), results, errors, 201)

    async def batch_default(self, request: Request) -> Response:
        """POST pairs that get the unlabelled association."""
        pair, body, at = self._pair(request), await json_body(request), clock.now()
        results, errors = [], []
        for given in batch_inputs(body, CREATE_MAX):
            try:
                results += self._default(pair, *self._ids(pair, _id(given, "from"), _id(given, "to")))
            except Refused as refused:
                errors.append({**refused.body, "status": "error"})
        return batch_answer(timestamp(at), results, errors)

    async def batch_archive(self, request: Request) -> Response:
        """POST records, each with those that it is to be unlinked from."""
        pair, body = self._pair(request), await json_body(request)
        for given in batch_inputs(body, ARCHIVE_MAX):
            to = given.get("to")
            for end in objects(given, "to") if isinstance(to, list) else [to]:
                mine, other = record_id(_id(given, "from")), record_id(_id({"to": end}, "to"))
                if mine is not None and other is not None:
                    self._remove(pair, mine, other, None)
        return Response(None, 204)

    async def batch_labels_archive(self, request: Request) -> Response:
        """POST pairs with the types to take from them."""
        pair, body = self._pair(request), await json_body(request)
        for given in batch_inputs(body, ARCHIVE_MAX):
            types = self._writes.types_of(pair.links, pair.start, objects(given, "types"))
            mine, other = record_id(_id(given, "from")), record_id(_id(given, "to"))
            if mine is not None and other is not None:
                self._remove(pair, mine, other, types)
        return Response(None, 204)

    async def batch_create_v3(self, request: Request) -> Response:
        """POST pairs with a type's name, as in the third version."""
        pair, body, at = self._pair(request), await json_body(request), clock.now()
        results, errors = [], []
        for given in batch_inputs(body, ARCHIVE_MAX):
            name = text(given, "type", unlabelled(pair.links).name)
            known = [t for t in pair.links.labels(pair.start) if name in (t.name, str(t.type_id))]
            if not known:
                raise invalid(f"{name} is not a valid association type between {pair.start.singular} and {pair.end.singular}")
            try:
                mine, other = self._ids(pair, _id(given, "from"), _id(given, "to"))
            except Refused as refused:
                errors.append({**refused.body, "status": "error"})
                continue
            self._connect(pair, mine, other, (known[0] if pair.links.start is pair.start else inverse(known[0]),))
            results.append({"from": {"id": str(mine)}, "to": {"id": str(other)}, "type": name})
        return batch_answer(timestamp(at), results, errors, 201)

    # Labels.

    async def create_label(self, request: Request) -> Response:
        """POST a label; it has a number for each direction."""
        pair, body = self._pair(request), await json_body(request)
        label, name = text(body, "label"), text(body, "name")
        if any(t.label == label for t in pair.links.labels(pair.start)):
            raise Refused(400, f"The label {label} already exists", "VALIDATION_ERROR", subCategory="crm.associations.DUPLICATE_LABEL")
        back = text(body, "inverseLabel", "") or None
        made = pair.links.define(label, name, back) if pair.links.start is pair.start else pair.links.define(back or label, name, label)
        return answer({"results": [shown_type(made), shown_type(inverse(made))]})

    async def change_label(self, request: Request) -> Response:
        """PUT a new wording of a label."""
        pair, body = self._pair(request), await json_body(request)
        old = self._label(pair, text(body, "associationTypeId"))
        forward = pair.links.start is pair.start
        label, back = text(body, "label"), text(body, "inverseLabel", "") or None
        pair.links.redefine(old, replace(old, label=label if forward else back or label, inverse_label=back if forward else label))
        return Response(None, 204)

    async def delete_label(self, request: Request) -> Response:
        """DELETE a label, from all pairs that have it."""
        pair = self._pair(request)
        pair.links.redefine(self._label(pair, request.path_params["id"]), None)
        return Response(None, 204)

    def _label(self, pair: _Pair, asked: str) -> AssociationType:
        for found in pair.links.types:
            mine = found.type_id if pair.links.start is pair.start else found.inverse
            if str(mine) == asked and found.category == "USER_DEFINED":
                return found
        raise not_found(asked)

    # Steps.

    def _pair(self, request: Request, start: str = "start", end: str = "end") -> _Pair:
        return _Pair(self._writes, self._objects.kind(request, start), self._objects.kind(request, end))

    def _ids(self, pair: _Pair, start: str, end: str) -> tuple[int, int]:
        found = self._objects.find(pair.start, start), self._objects.find(pair.end, end)
        if found[0] is None or found[1] is None:
            raise not_found(start if found[0] is None else end)
        return found[0], found[1]

    def _connect(self, pair: _Pair, mine: int, other: int, types: tuple[AssociationType, ...]) -> None:
        self._writes.connect(pair.links, pair.start, mine, other, types, clock.now())

    def _default(self, pair: _Pair, mine: int, other: int) -> list[dict[str, Any]]:
        kind = unlabelled(pair.links)
        self._connect(pair, mine, other, (kind,))
        there, back = (kind, inverse(kind)) if pair.links.start is pair.start else (inverse(kind), kind)
        return [
            {
                "from": {"id": str(a)},
                "to": {"id": str(b)},
                "associationSpec": {"associationCategory": t.category, "associationTypeId": t.type_id},
            }
            for a, b, t in ((mine, other, there), (other, mine, back))
        ]

    def _labelled(self, pair: _Pair, mine: int, other: int, specs: list[dict[str, Any]]) -> dict[str, Any]:
        types = self._writes.types_of(pair.links, pair.start, specs)
        self._connect(pair, mine, other, types)
        labels = [t.label for t in pair.types(types) if t.label is not None]
        return {
            "fromObjectTypeId": pair.start.type_id, "fromObjectId": mine, "toObjectTypeId": pair.end.type_id, "toObjectId": other, "labels": labels,
        }  # fmt: skip

    def _remove(self, pair: _Pair, mine: int, other: int, types: tuple[AssociationType, ...] | None) -> None:
        start, end = (mine, other) if pair.links.start is pair.start else (other, mine)
        self._store.dissociate(pair.links, start, end, clock.now(), SOURCE, types)


def _id(given: dict[str, Any], name: str) -> str:
    """The id in `{"from": {"id": "1"}}`. Raises Refused."""
    found = given.get(name)
    if not isinstance(found, dict):
        raise bad_input(f'Some required fields were not set: ["{name}"]')
    return text(found, "id")
