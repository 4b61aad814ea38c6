"""HubSpot's error bodies."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
from starlette.responses import Response

SCOPES_PAGE = "https://developers.hubspot.com/scopes"


class Refused(Exception):
    """The answer is an error; `body` is its JSON."""

    def __init__(self, status: int, message: str, category: str | None = None, headers: dict[str, str] | None = None, **more: Any):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"status": "error", "message": message, "correlationId": str(uuid4())}
        self.body |= ({"category": category} if category else {}) | more

    def response(self) -> Response:
        """The answer to send."""
        return answer(self.body, self.status, self.headers)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer with the headers of all of them."""
    found = {"X-HubSpot-Correlation-Id": str(uuid4()), **(headers or {})}
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


def rate_limited(policy: str, retry_after: int | None) -> Refused:
    """A limit is reached; `policy` is TEN_SECONDLY_ROLLING, SECONDLY or DAILY."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Refused(429, f"You have reached your {policy.lower()} limit.", headers=headers, errorType="RATE_LIMIT", policyName=policy)
