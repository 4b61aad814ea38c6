"""Answers in Salesforce's form: JSON, errors as a list, and the times that it writes and reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import orjson
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.salesforce.ids import well_formed

JSON_TYPE = "application/json;charset=UTF-8"


class Refused(Exception):
    """An error answer. `more` are keys that this error alone has (`duplicateResult`)."""

    def __init__(self, status: int, code: str, message: str, fields: list[str] | None = None, more: dict[str, Any] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.fields, self.more = status, code, message, fields, more or {}

    def errors(self) -> list[dict[str, Any]]:
        """The body: a list with one error; `fields` only where Salesforce has it."""
        body: dict[str, Any] = {**self.more, "message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = self.fields
        return [body]

    def row_error(self) -> dict[str, Any]:
        """As an answer about several records has it: `statusCode`, and always `fields`."""
        return {**self.more, "statusCode": self.code, "message": self.message, "fields": self.fields or []}

    def reply(self) -> Response:
        """As HTTP."""
        return reply(self.errors(), self.status)


async def read_json(request: Request, kind: type = dict) -> Any:
    """The JSON of a request's body, an object or a list. Raises Refused."""
    body = await request.body()
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = f"{error.msg} at [line:{error.lineno}, column:{error.colno}]"
        raise Refused(400, "JSON_PARSER_ERROR", problem if body else "No content to map to Object due to end of input") from None
    if not isinstance(read, kind):
        raise Refused(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {'object' if kind is dict else 'list'} from this value")
    return read


def read_body_xml(body: bytes) -> ElementTree.Element:
    """The XML of a request's body. Raises ElementTree.ParseError, also for one with a document type, which could be a trap."""
    try:
        return fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise ElementTree.ParseError("a document type is not allowed") from None


def not_found() -> Refused:
    """The answer to a path or record that does not exist."""
    return Refused(404, "NOT_FOUND", "The requested resource does not exist")


def no_record(record_id: str) -> Refused:
    """The answer to an id that names no record: another one when it does not even look like an id."""
    if well_formed(record_id):
        return not_found()
    return Refused(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {record_id}")


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    caching = {"Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private"}
    return Response(orjson.dumps(body), status, {**caching, **(headers or {})}, media_type=JSON_TYPE)


def written(moment: datetime) -> str:
    """A time as REST writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def read_time(text: str | None, name: str) -> datetime:
    """A time from a parameter. Raises Refused."""
    try:
        # A plus sign that was not encoded arrives as a blank.
        moment = datetime.fromisoformat((text or "").replace(" ", "+"))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(400, "INVALID_FIELD", f"{name} is not a valid value for the type xsd:dateTime") from None
    return moment
