"""Answers in Salesforce's form: JSON, errors as a list, and the times that it writes and reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

JSON_TYPE = "application/json;charset=UTF-8"


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str, fields: list[str] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields

    def reply(self) -> Response:
        """As HTTP: a list with one error; `fields` only where Salesforce has it."""
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = self.fields
        return reply([body], self.status)


def not_found() -> Refused:
    """The answer to a path or record that does not exist."""
    return Refused(404, "NOT_FOUND", "The requested resource does not exist")


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
    except ValueError:
        raise Refused(400, "INVALID_FIELD", f"{name} is not a valid value for the type xsd:dateTime") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
