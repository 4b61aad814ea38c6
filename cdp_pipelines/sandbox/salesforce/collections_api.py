"""Up to 200 records in one call: `/composite/sobjects`. Answers are in the order of the request, HTTP 200 also when rows failed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.salesforce.dml import SeveralMatch, Writer, lookup_field
from cdp_pipelines.sandbox.salesforce.gate import Gate
from cdp_pipelines.sandbox.salesforce.ids import well_formed
from cdp_pipelines.sandbox.salesforce.records_api import RecordsApi, saves_duplicates
from cdp_pipelines.sandbox.salesforce.replies import Refused, read_json, reply
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec

MAX_ROWS = 200
MAX_READ = 2_000
MAX_RUNS = 10
ROLLED_BACK = Refused(
    400, "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header", [],
)  # fmt: skip

Row = dict[str, Any]


def id_of(row: Row) -> str | None:
    """A row's id; clients write `id` or `Id`."""
    return next((value for key, value in row.items() if key.lower() == "id" and isinstance(value, str) and value), None)


def without(row: Row, *names: str) -> Row:
    """A row without these keys, in whatever case."""
    return {key: value for key, value in row.items() if key.lower() not in names}


class Collections:
    """Handlers over one org."""

    def __init__(self, gate: Gate, writer: Writer, records: RecordsApi):
        self.gate, self.store, self.writer, self.records = gate, gate.store, writer, records

    async def create(self, request: Request) -> Response:
        """POST /composite/sobjects."""
        save = saves_duplicates(request)
        return await self._rows(request, lambda row: {"id": self.writer.create(self._spec(row), row, save_duplicates=save)})

    async def update(self, request: Request) -> Response:
        """PATCH /composite/sobjects."""
        save = saves_duplicates(request)

        def update(row: Row) -> Row:
            record_id = id_of(row)
            if record_id is None:
                raise Refused(400, "MISSING_ARGUMENT", "Id not specified in an update call", [])
            spec = self._spec(row)
            self._exists(spec, record_id)
            self.writer.update(spec, record_id, without(row, "id"), save_duplicates=save)
            return {"id": self._full_id(record_id)}

        return await self._rows(request, update)

    async def upsert(self, request: Request) -> Response:
        """PATCH /composite/sobjects/X/{field}."""
        spec = self.gate.object(request.path_params["object"]).spec
        field, save = lookup_field(spec, request.path_params["field"]), saves_duplicates(request)

        def upsert(row: Row) -> Row:
            value = next((v for k, v in row.items() if k.lower() == field.name.lower()), None)
            if field.name == "Id" and value is None:
                return {"id": self.writer.create(spec, without(row, "id"), save_duplicates=save), "created": True}
            try:
                done = self.writer.upsert(spec, field.name, value, without(row, field.name.lower()), save_duplicates=save)
            except SeveralMatch as several:
                problem = f"{field.name}: more than one record found for external id field: [{', '.join(several.ids)}]"
                raise Refused(400, "DUPLICATE_EXTERNAL_ID", problem, [field.name]) from None
            return {"id": done.id, "created": done.created}

        return await self._rows(request, upsert)

    async def delete(self, request: Request) -> Response:
        """DELETE /composite/sobjects?ids=."""
        ids = [i.strip() for i in request.query_params.get("ids", "").split(",") if i.strip()]
        self._check_size(ids, MAX_ROWS)

        def delete(record_id: str) -> Row:
            owner = next((s for s in self.store.schema.values() if s.prefix == record_id[:3]), None)
            if owner is None:
                raise Refused(400, "MALFORMED_ID", f"malformed id {record_id}", [])
            self._exists(owner, record_id)
            self.writer.delete(owner, record_id)
            return {"id": self._full_id(record_id)}

        return self._each(ids, delete, all_or_none=request.query_params.get("allOrNone", "").lower() == "true")

    async def read(self, request: Request) -> Response:
        """GET or POST /composite/sobjects/X: records by id, null for those that are not there."""
        records = self.gate.object(request.path_params["object"])
        if request.method == "POST":
            body = await read_json(request)
            ids, fields = ([str(v) for v in body.get(k) or ()] if isinstance(body.get(k), list | None) else [] for k in ("ids", "fields"))
        else:
            ids, fields = ([v for v in request.query_params.get(k, "").split(",") if v] for k in ("ids", "fields"))
        self._check_size(ids, MAX_READ)
        if not fields:
            raise Refused(400, "MISSING_ARGUMENT", "fields not specified", [])
        found = []
        for record_id in ids:
            number = records.number(record_id)
            there = number is not None and number not in records.deleted
            rows = self.records.rows(records, [number] if there else [], ",".join(fields), request.path_params["version"])
            found.append(rows[0] if rows else None)
        return reply(found)

    async def _rows(self, request: Request, write: Callable[[Row], Row]) -> Response:
        body = await read_json(request)
        rows = body.get("records")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            rows = []
        self._check_size(rows, MAX_ROWS)
        runs = [name for name, _ in groupby(rows, key=_type_of)]
        if len(runs) > MAX_RUNS:
            problem = f"Cannot have more than {MAX_RUNS} chunks in a single operation. Please rearrange the data to reduce chunking."
            raise Refused(400, "LIMIT_EXCEEDED", problem)
        return self._each(rows, write, all_or_none=body.get("allOrNone") is True)

    def _check_size(self, rows: list[Any], most: int) -> None:
        if not rows:
            raise Refused(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required")
        if len(rows) > most:
            problem = f"record limit reached. cannot submit more than {most} records into this call"
            raise Refused(400, "EXCEEDED_ID_LIMIT", problem)

    def _each(self, rows: list[Any], write: Callable[[Any], Row], *, all_or_none: bool) -> Response:
        answers: list[Row] = []
        with self.store.undoable() as point:
            for row in rows:
                try:
                    done = write(row)
                    answers.append({"id": done.pop("id"), "success": True, "errors": [], **done})
                except Refused as refused:
                    answers.append({"success": False, "errors": [refused.row_error()]})
            if all_or_none and not all(a["success"] for a in answers):
                self.store.rollback(point)
                answers = [{"success": False, "errors": [ROLLED_BACK.row_error()]} if a["success"] else a for a in answers]
        return reply(answers)

    def _spec(self, row: Row) -> ObjectSpec:
        name = _type_of(row)
        spec = self.store.schema.get(name.lower())
        if spec is None:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.", [])
        return spec

    def _exists(self, spec: ObjectSpec, record_id: str) -> None:
        records = self.store.records[spec.name]
        if records.number(record_id) is None:
            if not well_formed(record_id, spec.prefix):
                raise Refused(400, "MALFORMED_ID", f"malformed id {record_id}", [])
            raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])

    def _full_id(self, record_id: str) -> str:
        records, number = self.store.place(record_id)
        return records.id(number)


def _type_of(row: Row) -> str:
    attributes = row.get("attributes")
    return str(attributes.get("type") or "") if isinstance(attributes, dict) else ""
