"""Single records over REST: create, read, change, delete, and the same by a field made for looking up (upsert)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.salesforce.columns import Column, resolve
from cdp_pipelines.sandbox.salesforce.dml import SeveralMatch, Writer, lookup_field
from cdp_pipelines.sandbox.salesforce.gate import Gate, cached
from cdp_pipelines.sandbox.salesforce.query import Result
from cdp_pipelines.sandbox.salesforce.records import Records
from cdp_pipelines.sandbox.salesforce.replies import Refused, no_record, not_found, read_json, reply
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec
from cdp_pipelines.sandbox.salesforce.soql_query import Path

# Before this version an upsert that changed a record had no body.
_UPSERT_TELLS = 46


def saves_duplicates(request: Request) -> bool:
    """Whether the client said to save a record that a duplicate rule would refuse."""
    options = request.headers.get("Sforce-Duplicate-Rule-Header", "").lower().replace(" ", "")
    return "allowsave=true" in options.replace(",", ";").split(";")


class RecordsApi:
    """Handlers over one org."""

    def __init__(self, gate: Gate, writer: Writer):
        self.gate, self.store, self.writer = gate, gate.store, writer

    async def create(self, request: Request) -> Response:
        """POST /sobjects/X."""
        spec = self._spec(request)
        made = self.writer.create(spec, await read_json(request), save_duplicates=saves_duplicates(request))
        return self._created(request, spec, {"id": made, "success": True, "errors": []})

    def _created(self, request: Request, spec: ObjectSpec, body: dict[str, Any]) -> Response:
        return reply(body, 201, {"Location": self._url(request, spec, body["id"])})

    def _url(self, request: Request, spec: ObjectSpec, record_id: str) -> str:
        return f"/services/data/v{request.path_params['version']}/sobjects/{spec.name}/{record_id}"

    async def read(self, request: Request) -> Response:
        """GET /sobjects/X/{id}."""
        return self._read(request, self.gate.object(request.path_params["object"]), request.path_params["id"])

    def _read(self, request: Request, records: Records, record_id: str) -> Response:
        number = records.number(record_id)
        if number is None:
            raise no_record(record_id)
        if number in records.deleted:
            raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        body = self.rows(records, [number], request.query_params.get("fields"), request.path_params["version"])[0]
        return cached(request, body, datetime.fromtimestamp(records.stamps[number], UTC))

    def rows(self, records: Records, numbers: list[int], names: str | None, version: str) -> list[dict[str, Any]]:
        """Records with the named fields, else with all."""
        columns = [Column((), f) for f in records.spec.fields.values()]
        if names:
            paths = [Path(tuple(name.strip().split(".")), max(0, names.find(name))) for name in names.split(",")]
            columns = [resolve(self.store.schema, records.spec, path, names) for path in paths]
        return Result(self.store, records.spec, columns, numbers, len(numbers)).json_rows(numbers, version)

    async def update(self, request: Request) -> Response:
        """PATCH /sobjects/X/{id}."""
        body = await read_json(request)
        self.writer.update(self._spec(request), request.path_params["id"], body, save_duplicates=saves_duplicates(request))
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """DELETE /sobjects/X/{id}."""
        self.writer.delete(self._spec(request), request.path_params["id"])
        return Response(status_code=204)

    async def upsert(self, request: Request) -> Response:
        """PATCH /sobjects/X/{field}/{value}."""
        spec, params = self._spec(request), request.path_params
        try:
            done = self.writer.upsert(
                spec, params["field"], params["value"], await read_json(request), save_duplicates=saves_duplicates(request),
                update_only=request.query_params.get("updateOnly", "").lower() == "true",
            )  # fmt: skip
        except SeveralMatch as several:
            return self._several(request, spec, several.ids)
        body = {"id": done.id, "success": True, "errors": []}
        tells = int(params["version"].partition(".")[0]) >= _UPSERT_TELLS
        body |= {"created": done.created} if tells else {}
        if done.created:
            return self._created(request, spec, body)
        return reply(body) if tells else Response(status_code=204)

    async def read_by_field(self, request: Request) -> Response:
        """GET /sobjects/X/{field}/{value}."""
        spec = self._spec(request)
        found = self._found(request, spec)
        if len(found) > 1:
            return self._several(request, spec, found)
        return self._read(request, self.store.records[spec.name], found[0])

    async def delete_by_field(self, request: Request) -> Response:
        """DELETE /sobjects/X/{field}/{value}."""
        spec = self._spec(request)
        found = self._found(request, spec)
        if len(found) > 1:
            return self._several(request, spec, found)
        self.writer.delete(spec, found[0])
        return Response(status_code=204)

    def _found(self, request: Request, spec: ObjectSpec) -> list[str]:
        found = self.writer.lookup(spec, lookup_field(spec, request.path_params["field"]), request.path_params["value"])
        if not found:
            raise not_found()
        return found

    def _several(self, request: Request, spec: ObjectSpec, ids: list[str]) -> Response:
        return reply([self._url(request, spec, i) for i in ids], 300)

    def _spec(self, request: Request) -> ObjectSpec:
        return self.gate.object(request.path_params["object"]).spec
