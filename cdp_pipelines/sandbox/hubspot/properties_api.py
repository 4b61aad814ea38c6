"""Calls on property definitions, their groups, and schemas."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import Refused, answer, bad_input, invalid
from cdp_pipelines.sandbox.hubspot.inputs import flag, json_body, objects, text
from cdp_pipelines.sandbox.hubspot.objects_api import BATCH_MAX, ObjectsApi, batch_answer, batch_inputs
from cdp_pipelines.sandbox.hubspot.properties import ObjectType, Property
from cdp_pipelines.sandbox.hubspot.records import timestamp
from cdp_pipelines.sandbox.hubspot.schema import Group

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_FIELD_TYPES = {
    "bool": {"booleancheckbox", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date", "calculation_equation"},
    "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "number": {"number", "calculation_equation"},
    "phone_number": {"phonenumber"},
    "string": {"text", "textarea", "file", "html", "phonenumber", "calculation_equation"},
}
_UNIQUE_MAX = 10
_EPOCH = "1970-01-01T00:00:00Z"


class PropertiesApi:
    """Handlers for `/crm/v3/properties`, its older forms, and `/crm/v3/schemas`."""

    def __init__(self, objects: ObjectsApi):
        self._objects, self._schema = objects, objects.store.schema

    async def many(self, request: Request) -> Response:
        """GET all property definitions of a type, or the archived ones. None of them holds sensitive data."""
        kind = self._objects.kind(request)
        if request.query_params.get("dataSensitivity", "non_sensitive") != "non_sensitive":
            return answer({"results": []})
        if flag(request, "archived"):
            gone = self._schema.archived(kind.plural).values()
            return answer({"results": [self._archived(p, order, at) for order, (p, at) in enumerate(gone)]})
        return answer({"results": self._definitions(kind)})

    async def bare(self, request: Request) -> Response:
        """GET them as the older APIs give them: a bare list. Approximated: the definitions are those of the third version."""
        return answer(self._definitions(self._objects.kind(request)))

    async def one(self, request: Request) -> Response:
        """GET one property definition."""
        return answer(self._shown(self._objects.kind(request), request.path_params["name"]))

    async def create(self, request: Request) -> Response:
        """POST a new property."""
        kind, body = self._objects.kind(request), await json_body(request)
        made = self._new(kind, body, clock.now())
        self._schema.put(kind.plural, made)
        return answer(self._shown(kind, made.name), 201)

    async def update(self, request: Request) -> Response:
        """PATCH a property of the portal's own; of HubSpot's own only its label, place and options. Approximated: what it says otherwise."""
        kind, name, body = self._objects.kind(request), request.path_params["name"], await json_body(request)
        found = self._known(kind, name)
        changes = _changes(found, body)
        if not found.custom and changes.keys() - {"label", "order", "options", "group", "flags"}:
            raise invalid(f"{name} is defined by HubSpot; its definition cannot be changed")
        self._known_group(kind, changes.get("group", found.group))
        self._schema.change(kind.plural, name, clock.now(), **changes)
        return answer(self._shown(kind, name))

    async def archive(self, request: Request) -> Response:
        """DELETE a property: records no longer have it."""
        kind, name = self._objects.kind(request), request.path_params["name"]
        self._refuse_fixed(self._known(kind, name))
        self._schema.archive(kind.plural, name, clock.now())
        return Response(None, 204)

    async def batch_read(self, request: Request) -> Response:
        """POST names."""
        kind, body, at = self._objects.kind(request), await json_body(request), clock.now()
        results, errors = [], []
        for name in (text(i, "name") for i in batch_inputs(body, BATCH_MAX)):
            try:
                results.append(self._shown(kind, name))
            except Refused as refused:
                errors.append({**refused.body, "context": {"name": [name]}})
        return batch_answer(timestamp(at), results, errors)

    async def batch_create(self, request: Request) -> Response:
        """POST new properties; one that is there already is an error beside the rest."""
        kind, body, at = self._objects.kind(request), await json_body(request), clock.now()
        results, errors = [], []
        for given in batch_inputs(body, BATCH_MAX):
            try:
                made = self._new(kind, given, at)
            except Refused as refused:
                if refused.status != 409:
                    raise
                errors.append({**refused.body, "context": {"name": [text(given, "name")]}})
                continue
            self._schema.put(kind.plural, made)
            results.append(self._shown(kind, made.name))
        return batch_answer(timestamp(at), results, errors, 201)

    async def batch_archive(self, request: Request) -> Response:
        """POST names to archive; unknown ones are passed over."""
        kind, body = self._objects.kind(request), await json_body(request)
        wanted = [text(i, "name") for i in batch_inputs(body, BATCH_MAX)]
        for name in (n for n in dict.fromkeys(wanted) if n in self._objects.known(kind)):
            self._refuse_fixed(self._known(kind, name))
            self._schema.archive(kind.plural, name, clock.now())
        return Response(None, 204)

    # Groups.

    async def groups(self, request: Request) -> Response:
        """GET the groups of a type."""
        return answer({"results": [_group(g) for g in self._schema.groups(self._objects.kind(request).plural).values()]})

    async def group(self, request: Request) -> Response:
        """GET one group."""
        return answer(_group(self._group(self._objects.kind(request), request.path_params["name"])))

    async def create_group(self, request: Request) -> Response:
        """POST a group."""
        kind, body = self._objects.kind(request), await json_body(request)
        name = text(body, "name")
        if name in self._schema.groups(kind.plural):
            raise Refused(409, f"A property group named '{name}' already exists.", "OBJECT_ALREADY_EXISTS")
        made = Group(name, text(body, "label"), _order(body, -1))
        self._schema.put_group(kind.plural, made)
        return answer(_group(made), 201)

    async def update_group(self, request: Request) -> Response:
        """PATCH a group."""
        kind, body = self._objects.kind(request), await json_body(request)
        found = self._group(kind, request.path_params["name"])
        new = Group(found.name, text(body, "label", found.label), _order(body, found.order))
        self._schema.put_group(kind.plural, new)
        return answer(_group(new))

    async def archive_group(self, request: Request) -> Response:
        """DELETE a group that no property is in."""
        kind = self._objects.kind(request)
        found = self._group(kind, request.path_params["name"])
        if any(p.group == found.name for p in self._objects.known(kind).values()):
            raise invalid(f"The property group {found.name} still has properties")
        self._schema.put_group(kind.plural, Group(found.name, found.label, found.order, archived=True))
        return Response(None, 204)

    # Schemas.

    async def schemas(self, request: Request) -> Response:
        """GET the custom objects: none."""
        return answer({"results": []})

    async def schema(self, request: Request) -> Response:
        """GET the schema of one type."""
        kind = self._objects.kind(request)
        links = [ln for ln in self._objects.store.links if kind in (ln.start, ln.end)]
        associations = [
            {"id": str(t.type_id), "name": t.name, "fromObjectTypeId": kind.type_id,
             "toObjectTypeId": (ln.end if ln.start is kind else ln.start).type_id}
            for ln in links for t in ln.labels(kind)
        ]  # fmt: skip
        label = kind.singular.replace("_", " ").capitalize()
        return answer(
            {
                "id": kind.type_id, "objectTypeId": kind.type_id, "name": kind.singular.upper(), "fullyQualifiedName": kind.singular.upper(),
                "labels": {"singular": label, "plural": kind.plural.replace("_", " ").capitalize()}, "archived": False,
                "requiredProperties": [], "searchableProperties": list(kind.searched), "secondaryDisplayProperties": [],
                "primaryDisplayProperty": kind.default[0] if kind.default else "hs_object_id", "createdAt": _EPOCH, "updatedAt": _EPOCH,
                "properties": self._definitions(kind), "associations": associations,
            }
        )  # fmt: skip

    # Steps.

    def _definitions(self, kind: ObjectType) -> list[dict[str, Any]]:
        return [p.as_json(order) | {"archived": False} for order, p in enumerate(self._objects.known(kind).values())]

    def _shown(self, kind: ObjectType, name: str) -> dict[str, Any]:
        self._known(kind, name)
        return next(definition for definition in self._definitions(kind) if definition["name"] == name)

    @staticmethod
    def _archived(definition: Property, order: int, at: datetime) -> dict[str, Any]:
        return definition.as_json(order) | {"archived": True, "archivedAt": timestamp(at)}

    def _known(self, kind: ObjectType, name: str) -> Property:
        if (found := self._objects.known(kind).get(name)) is None:
            raise Refused(404, f"Property '{name}' does not exist", "OBJECT_NOT_FOUND")
        return found

    @staticmethod
    def _refuse_fixed(found: Property) -> None:
        if not found.custom:
            raise invalid(f"{found.name} is defined by HubSpot; it cannot be archived")

    def _group(self, kind: ObjectType, name: str) -> Group:
        if (found := self._schema.groups(kind.plural).get(name)) is None:
            raise Refused(404, f"Property group '{name}' does not exist", "OBJECT_NOT_FOUND")
        return found

    def _known_group(self, kind: ObjectType, name: str) -> None:
        if name not in self._schema.groups(kind.plural):
            raise invalid(f"Property group '{name}' does not exist")

    def _new(self, kind: ObjectType, body: dict[str, Any], at: datetime) -> Property:
        """The definition that a body asks for. Raises Refused."""
        name, of, field, group = (text(body, part) for part in ("name", "type", "fieldType", "groupName"))
        known = self._objects.known(kind)
        if name in known:
            raise Refused(
                409, f"A property named '{name}' already exists.", "OBJECT_ALREADY_EXISTS", subCategory="Properties.PROPERTY_EXISTS"
            )
        if not _NAME.fullmatch(name):
            raise invalid(f"Property name '{name}' must start with a letter and have lower-case letters, digits and underscores only")
        if field not in _FIELD_TYPES.get(of, ()):
            raise invalid(f"fieldType {field} is not allowed for a property of type {of}")
        self._known_group(kind, group)
        unique = bool(body.get("hasUniqueValue"))
        if unique and sum("u" in p.flags and p.custom for p in known.values()) >= _UNIQUE_MAX:
            raise invalid(f"An object can have at most {_UNIQUE_MAX} unique properties")
        flags = "x" + ("u" if unique else "") + ("c" if field == "calculation_equation" else "")
        bare = Property(name, text(body, "label"), of, field, group, flags, created=at, updated=at, options=())
        return replace(bare, **_changes(bare, body))


def _changes(found: Property, body: dict[str, Any]) -> dict[str, Any]:
    """Fields of a definition that a body sets. Raises Refused."""
    words = {"label": "label", "description": "description", "groupName": "group", "type": "type", "fieldType": "field_type"}
    changes: dict[str, Any] = {ours: text(body, theirs) for theirs, ours in words.items() if body.get(theirs) is not None}
    if body.get("calculationFormula") is not None:
        changes["formula"] = text(body, "calculationFormula")
    if body.get("displayOrder") is not None:
        changes["order"] = _order(body, 0)
    if isinstance(body.get("formField"), bool):
        changes["form_field"] = body["formField"]
    if body.get("options") is not None:
        changes["options"] = tuple((text(o, "value"), text(o, "label")) for o in objects(body, "options"))
    flags = found.flags
    for name, letter in (("hidden", "h"), ("externalOptions", "e")):
        if isinstance(body.get(name), bool):
            flags = flags.replace(letter, "") + (letter if body[name] else "")
    if changes.get("field_type", found.field_type) not in _FIELD_TYPES.get(changes.get("type", found.type), {found.field_type}):
        raise invalid(f"fieldType {changes.get('field_type')} is not allowed for a property of type {changes.get('type', found.type)}")
    return changes | ({"flags": flags} if flags != found.flags else {})


def _order(body: dict[str, Any], default: int) -> int:
    found = body.get("displayOrder", default)
    if isinstance(found, bool) or not isinstance(found, int):
        raise bad_input("displayOrder must be a whole number")
    return found


def _group(group: Group) -> dict[str, Any]:
    return {"name": group.name, "label": group.label, "displayOrder": group.order, "archived": group.archived}
