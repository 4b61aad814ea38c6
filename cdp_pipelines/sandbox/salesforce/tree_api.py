"""Records with their children in one call: `/composite/tree/X`. All of them are created, or none.

Limits and the shape of what is answered are from the vendor's pages "sObject Tree" and "sObject Tree Response Body"; the texts of what is
refused are approximated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.salesforce.dml import Writer
from cdp_pipelines.sandbox.salesforce.gate import Gate
from cdp_pipelines.sandbox.salesforce.records_api import saves_duplicates
from cdp_pipelines.sandbox.salesforce.replies import Refused, read_json, reply
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec, child_relationships

MAX_RECORDS, MAX_TYPES, MAX_LEVELS = 200, 5, 5

Body = dict[str, Any]


@dataclass
class _Node:
    """One record of the request: its fields, and what makes it the child of another one."""

    reference: str
    spec: ObjectSpec
    fields: Body
    parent: _Node | None
    parent_field: str
    id: str = ""


class Trees:
    """The handler over one org."""

    def __init__(self, gate: Gate, writer: Writer):
        self.gate, self.store, self.writer = gate, gate.store, writer

    async def create(self, request: Request) -> Response:
        """POST /composite/tree/X. Records are made level by level, and the answer has them in that order."""
        root, body = self.gate.object(request.path_params["object"]).spec, await read_json(request)
        nodes = self._nodes(root, body)
        save = saves_duplicates(request)
        with self.store.undoable() as point:
            for node in nodes:
                try:
                    parent = {node.parent_field: node.parent.id} if node.parent else {}
                    node.id = self.writer.create(node.spec, {**node.fields, **parent}, save_duplicates=save)
                except Refused as refused:
                    self.store.rollback(point)
                    return reply({"hasErrors": True, "results": [{"referenceId": node.reference, "errors": [refused.row_error()]}]}, 400)
        return reply({"hasErrors": False, "results": [{"referenceId": node.reference, "id": node.id} for node in nodes]}, 201)

    def _nodes(self, root: ObjectSpec, body: Body) -> list[_Node]:
        """The records of a request, parents before children. Raises Refused."""
        level = [self._node(root, record, None, "") for record in _records(body)]
        found = list(level)
        for _ in range(MAX_LEVELS):
            level = [child for node in level for child in self._children(node)]
            found += level
        if level:
            raise _too_much(f"sObject trees can be at most {MAX_LEVELS} levels deep")
        if len(found) > MAX_RECORDS:
            raise _too_much(f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call")
        if len({node.spec.name for node in found}) > MAX_TYPES:
            raise _too_much(f"a request can have records of at most {MAX_TYPES} types")
        references = [node.reference for node in found]
        if len(set(references)) < len(references):
            raise Refused(400, "INVALID_INPUT", "Duplicate ReferenceId provided in the request")
        return found

    def _children(self, node: _Node) -> list[_Node]:
        """What stands in a record under the names of its child relationships, taken out of its fields."""
        known = child_relationships(self.store.schema, node.spec)
        names = [name for name, value in node.fields.items() if name.lower() in known and isinstance(value, dict)]
        return [
            self._node(known[name.lower()][0], record, node, known[name.lower()][1].name)
            for name in names
            for record in _records(node.fields.pop(name))
        ]

    def _node(self, spec: ObjectSpec, record: Body, parent: _Node | None, parent_field: str) -> _Node:
        attributes = record.get("attributes")
        kind, reference = (attributes.get(key) if isinstance(attributes, dict) else None for key in ("type", "referenceId"))
        if not isinstance(reference, str) or not reference:
            raise Refused(400, "INVALID_INPUT", "Include a reference ID for each record in the request")
        if not isinstance(kind, str) or kind.lower() != spec.name.lower():
            raise Refused(400, "INVALID_INPUT", f"Record {reference} should be of the type {spec.name}, not {kind}")
        return _Node(reference, spec, {k: v for k, v in record.items() if k != "attributes"}, parent, parent_field)


def _records(body: Body) -> list[Body]:
    records = body.get("records")
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise Refused(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required")
    return records


def _too_much(problem: str) -> Refused:
    return Refused(400, "LIMIT_EXCEEDED", problem)
