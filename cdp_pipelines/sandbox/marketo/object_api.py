"""Opportunities, their roles and companies: describe, find, sync, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.describe import OBJECTS, describe_object
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, page, skipped, success
from cdp_pipelines.sandbox.marketo.lead_api import asked_fields, asked_filter
from cdp_pipelines.sandbox.marketo.object_kinds import Kind, kinds
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.marketo.values import written

Answer = Callable[[Params, Request], Response]
ACTIONS = ("createOrUpdate", "createOnly", "updateOnly")


class ObjectApi:
    """Handlers of one of the objects in `OBJECTS`."""

    def __init__(self, name: str, store: MarketoStore, options: MarketoOptions):
        self.about, self.store, self.options = OBJECTS[name], store, options
        self.kind: Kind = kinds(store)[name]

    def describe(self, params: Params, request: Request) -> Response:
        """`describe.json`."""
        self._check_sync(("disabled",))
        return success(describe_object(self.about))

    def find(self, params: Params, request: Request) -> Response:
        """`GET`: by filter, or by all dedupe fields in a JSON body."""
        self._check_sync(("disabled",))
        if params.json and params.body is not None:
            return self._by_dedupe_fields(params)
        field, values = asked_filter(params)
        if field == "idField" or (field == "dedupeFields" and len(self.about.dedupe) == 1):
            field = self.about.id_field if field == "idField" else self.about.dedupe[0]
        if field not in self.about.searchable:
            raise ApiError(1003, f"Invalid filter type '{field}'")
        return self._listed(params, list(self.kind.find(field, values)), asked_fields(params, self.about.fields, self.about.defaults))

    def _by_dedupe_fields(self, params: Params) -> Response:
        wanted, body = params.inputs(), params.object()
        fields = body.get("fields") or list(self.about.defaults)
        fields = fields if isinstance(fields, list) else [fields]
        for field in fields:
            if not isinstance(field, str) or field not in self.about.fields:
                raise ApiError(1006, f"Field '{field}' not found")
        by = self.about.dedupe if body.get("filterType", "dedupeFields") == "dedupeFields" else (self.about.id_field,)
        keys = [tuple(str(entry.get(f)) for f in by) for entry in wanted]
        candidates = self.kind.find(by[0], [key[0] for key in keys])
        found = [c for c in candidates if tuple(str(c[f]) for f in by) in keys]
        extra = [(name, str(body[name])) for name in ("nextPageToken", "batchSize") if body.get(name)]
        return self._listed(Params([*params.pairs, *extra]), found, fields)

    def _listed(self, params: Params, found: list[dict[str, Any]], fields: list[str]) -> Response:
        records, token = page(params, found, self.options.short_pages)
        return success([{"seq": n, **{f: record.get(f) for f in fields}} for n, record in enumerate(records)], nextPageToken=token)

    def sync(self, params: Params, request: Request) -> Response:
        """`POST`: create and update."""
        self._check_sync(("disabled", "sfdc_readonly"))
        records, action = params.inputs(), params.choice("action", ACTIONS)
        by = self._by(params.choice("dedupeBy", ("dedupeFields", "idField")))
        if by == (self.about.id_field,) and action != "updateOnly":
            raise ApiError(1003, "dedupeBy 'idField' is only supported with action 'updateOnly'")
        at, results, seen = clock.now(), [], set()
        for seq, record in enumerate(records):
            try:
                key = self._key(record, by)
                if key in seen and self.about.name == "company":
                    raise ApiError(1036, "Duplicate object found in input")
                seen.add(key)
                found = self.kind.one(by, key)
                if found is None and action == "updateOnly":
                    raise ApiError(1013, "Object not found")
                if found is not None and action == "createOnly":
                    raise ApiError(1017, "Object already exists")
                written_id = self.kind.put(found, self._values(record, by), at)
                status = "created" if found is None else "updated"
                results.append({"seq": seq, "status": status, self.about.id_field: written_id})
            except ApiError as error:
                results.append(skipped(error, seq=seq))
        return success(results)

    def delete(self, params: Params, request: Request) -> Response:
        """`POST delete.json`."""
        self._check_sync(("disabled", "sfdc_readonly"))
        records, at, results = params.inputs(), clock.now(), []
        by = self._by(params.choice("deleteBy", ("dedupeFields", "idField")))
        for seq, record in enumerate(records):
            try:
                found = self.kind.one(by, self._key(record, by))
                if found is None:
                    raise ApiError(1013, "Object not found")
                self.kind.remove(found, at)
                results.append({"seq": seq, "status": "deleted", self.about.id_field: found[self.about.id_field]})
            except ApiError as error:
                results.append(skipped(error, seq=seq))
        return success(results)

    def _by(self, given: str) -> tuple[str, ...]:
        return self.about.dedupe if given == "dedupeFields" else (self.about.id_field,)

    def _key(self, record: dict[str, Any], by: tuple[str, ...]) -> tuple[str, ...]:
        """The values that a record is known by. Raises ApiError 1003 when one is missing."""
        values = [record.get(name) for name in by]
        for name, value in zip(by, values, strict=True):
            if value is None or value == "" or isinstance(value, list | dict):
                raise ApiError(1003, f"Value for required field '{name}' not found")
        return tuple(str(value).strip() for value in values)

    def _values(self, record: dict[str, Any], by: tuple[str, ...]) -> dict[str, Any]:
        values = {}
        for name, value in record.items():
            if name in self.about.read_only:
                if name in by:
                    continue
                raise ApiError(1003, f"Field '{name}' cannot be updated")
            if name not in self.about.fields:
                raise ApiError(1006, f"Field '{name}' not found")
            kind = self.about.fields[name]
            value = value.strip() if name in self.about.dedupe and isinstance(value, str) else value
            values[name] = written(name, kind, {"string": 2000 if name == "description" else 255}.get(kind), value)
        if (key := values.get("externalSalesPersonId")) and key not in self.store.sales_people:
            raise ApiError(718, f"ExternalSalesPersonId '{key}' not found")
        return values

    def _check_sync(self, closed: tuple[str, ...]) -> None:
        if self.options.crm_sync in closed:
            raise ApiError(1018, "CRM Enabled")
