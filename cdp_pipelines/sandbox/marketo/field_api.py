"""What leads are like: describe, describe2 and the schema, whose custom fields can be added and changed."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.marketo.describe import describe_leads, describe_leads_2, lead_schema
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, page, skipped, success
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}")
_TYPES = frozenset(
    {
        "boolean",
        "currency",
        "date",
        "datetime",
        "email",
        "float",
        "integer",
        "percent",
        "phone",
        "score",
        "string",
        "text",
        "textarea",
        "url",
    }
)
_TEXTS = {"displayName": "label", "description": "description"}
_FLAGS = {"isHidden": "hidden", "isHtmlEncodingInEmail": "html_encoded", "isSensitive": "sensitive"}


class FieldApi:
    """Handlers of `/rest/v1/leads/describe`, `describe2` and `schema/fields`. Approximated: the codes and texts of what is refused."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.fields, self.options = store.fields, options

    def describe(self, params: Params, request: Request) -> Response:
        """`leads/describe.json`."""
        return success(describe_leads(self.fields))

    def describe_2(self, params: Params, request: Request) -> Response:
        """`leads/describe2.json`."""
        return success(describe_leads_2(self.fields))

    def schema(self, params: Params, request: Request) -> Response:
        """`leads/schema/fields.json`."""
        fields, token = page(params, lead_schema(self.fields), self.options.short_pages)
        return success(fields, nextPageToken=token, moreResult=token is not None)

    def one(self, params: Params, request: Request) -> Response:
        """`leads/schema/fields/{name}.json`."""
        name = self._known(request)
        return success([field for field in lead_schema(self.fields) if field["name"] == name])

    def create(self, params: Params, request: Request) -> Response:
        """`POST leads/schema/fields.json`: custom fields, each with its result."""
        return success([self._create(record) for record in params.inputs()])

    def update(self, params: Params, request: Request) -> Response:
        """`POST leads/schema/fields/{name}.json`: what people see of a field; of Marketo's own fields only how they are treated."""
        name, (record, *others) = self._known(request), params.inputs()
        if others:
            raise ApiError(1003, "The size of input is more than 1")
        try:
            parts = _parts(record)
            if "label" in parts and not self.fields.by_name[name].custom:
                raise ApiError(1003, f"Field '{name}' cannot be renamed")
        except ApiError as error:
            return success([skipped(error, name=name)])
        self.fields.change(name, **parts)
        return success([{"name": name, "status": "updated"}])

    def _create(self, record: dict[str, Any]) -> dict[str, Any]:
        name, kind = record.get("name"), record.get("dataType")
        try:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ApiError(1003, f"Invalid value for field 'name' and value '{str(name)[:100]}'")
            if not isinstance(kind, str) or kind not in _TYPES:
                raise ApiError(1003, f"Invalid value for field 'dataType' and value '{str(kind)[:100]}'")
            if name.lower() in {known.lower() for known in self.fields.by_name}:
                raise ApiError(1005, f"Field '{name}' already exists")
            parts = _parts(record)
            if "label" not in parts:
                raise ApiError(1003, "Value for required field 'displayName' not found")
        except ApiError as error:
            return skipped(error, **({"name": name} if isinstance(name, str) else {}))
        self.fields.add(name, kind=kind, api_created=True, **parts)
        return {"name": name, "status": "created"}

    def _known(self, request: Request) -> str:
        name = request.path_params["name"]
        if name not in self.fields.by_name:
            raise ApiError(1006, f"Field '{name}' not found")
        return name


def _parts(record: dict[str, Any]) -> dict[str, Any]:
    """What a record says of a field, as parts of a Field."""
    parts: dict[str, Any] = {}
    for names, wanted in ((_TEXTS, str), (_FLAGS, bool)):
        for theirs, ours in names.items():
            if record.get(theirs) is None:
                continue
            if not isinstance(record[theirs], wanted) or (theirs == "displayName" and not record[theirs]):
                raise ApiError(1003, f"Invalid value for field '{theirs}' and value '{str(record[theirs])[:100]}'")
            parts[ours] = record[theirs]
    return parts
