"""HubSpot's error bodies."""

from __future__ import annotations

import json
from itertools import count
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson
from starlette.responses import Response

SCOPES_PAGE = "https://developers.hubspot.com/scopes"
_answers = count(1)


class Refused(Exception):
    """The answer is an error; `body` is its JSON."""

    def __init__(self, status: int, message: str, category: str | None = None, headers: dict[str, str] | None = None, **more: Any):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"status": "error", "message": message, "correlationId": _correlation_id()}
        self.body |= ({"category": category} if category else {}) | more

    def response(self) -> Response:
        """The answer to send."""
        return answer(self.body, self.status, self.headers)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with the headers of all of them."""
    found = {"X-HubSpot-Correlation-Id": _correlation_id(), **(headers or {})}
    return Response(orjson.dumps(body), status, found, "application/json;charset=utf-8")


def invalid(message: str, **more: Any) -> Refused:
    """The request itself is wrong."""
    return Refused(400, message, "VALIDATION_ERROR", **more)


def unknown_property(name: str) -> Refused:
    """A filter, a sort or a write names a property that the object does not have."""
    error = {
        "message": f'Property "{name}" does not exist',
        "code": "PROPERTY_DOESNT_EXIST",
        "context": {"propertyName": [name]},
    }
    return invalid("There was a problem with the request.", errors=[error])


def unknown_type(name: str) -> Refused:
    """The path names no object type."""
    return Refused(400, f"Unable to infer object type from: {name}")


def not_found(record_id: str) -> Refused:
    """No record has this id."""
    return Refused(404, "Object not found.  objectId are usually numeric.", "OBJECT_NOT_FOUND", context={"id": [record_id]})


def unauthorized() -> Refused:
    """The token is missing or not accepted."""
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at "
        "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    return Refused(401, message, "INVALID_AUTHENTICATION")


def missing_scopes(scopes: list[str], *, nested: bool) -> Refused:
    """The token may not do this, in one of the two shapes that are met in the wild."""
    required = "One or more of the following scopes are required."
    if not nested:
        return Refused(403, required, "MISSING_SCOPES", context={"requiredGranularScopes": scopes, "links": [SCOPES_PAGE]})
    return Refused(
        403,
        f"This app hasn't been granted all required scopes to make this call. Read more about required scopes here: {SCOPES_PAGE}.",
        "MISSING_SCOPES",
        errors=[{"message": required, "context": {"requiredGranularScopes": scopes}}],
        links={"scopes": SCOPES_PAGE},
    )


def rate_limited(policy: str, retry_after: int | None, *, category: bool = False) -> Refused:
    """A limit is reached; `policy` is TEN_SECONDLY_ROLLING, SECONDLY or DAILY."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    message, kind = f"You have reached your {policy.lower()} limit.", "RATE_LIMITS" if category else None
    return Refused(429, message, kind, headers, errorType="RATE_LIMIT", policyName=policy)


def expired(seconds: int) -> Refused:
    """An OAuth access token is past its life."""
    message = f"The OAuth token used to make this call expired {seconds} second(s) ago."
    return Refused(401, message, "EXPIRED_AUTHENTICATION", context={"expire time": [f"{seconds} second(s) ago"]})


def wrong_values(problems: list[dict[str, Any]]) -> Refused:
    """Property values were refused; each problem has `name`, `error` (the code) and `message`."""
    shown = [{"isValid": False, "message": p["message"], "error": p["error"], "name": p["name"]} for p in problems]
    errors = [{"message": p["message"], "code": p["error"], "context": {"propertyName": [p["name"]]}} for p in problems]
    return invalid(f"Property values were not valid: {json.dumps(shown, separators=(',', ':'), ensure_ascii=False)}", errors=errors)


def conflict(message: str, existing: int | None = None) -> Refused:
    """A record with this unique value is there already."""
    return Refused(409, message + (f". Existing ID: {existing}" if existing is not None else ""), "CONFLICT")


def bad_input(message: str) -> Refused:
    """The body is JSON of another shape than the call takes."""
    return invalid(f"Invalid input JSON on line 1, column 1: {message}")


def _correlation_id() -> str:
    return str(uuid5(NAMESPACE_URL, f"sandbox:{next(_answers)}"))
