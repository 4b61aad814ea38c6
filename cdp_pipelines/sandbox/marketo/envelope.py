"""What surrounds every answer: parameters, the envelope, paging tokens. Errors come inside HTTP 200, as strings of digits."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

HEADERS = {
    "Server": "nginx", "Cache-Control": "no-store", "Pragma": "no-cache", "X-XSS-Protection": "1; mode=block", "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}  # fmt: skip
MOST_RECORDS, PAGE = 300, 300
_requests = count(0x1F3)


class ApiError(Exception):
    """An error of the API; `status` is 200 but for a few."""

    def __init__(self, code: int, message: str, status: int = 200):
        super().__init__(message)
        self.code, self.status = str(code), status

    @property
    def reason(self) -> dict[str, str]:
        """The error as it stands among a record's reasons."""
        return {"code": self.code, "message": str(self)}


NOT_FOUND = ApiError(610, "Requested resource not found", 404)


def request_id() -> str:
    """Some hex digits, and the moment in milliseconds, in hex. Always the real moment: it names the request, not what it changed."""
    return f"{0x100 + next(_requests) * 7919 % 0xFFE00:x}#{int(datetime.now(UTC).timestamp() * 1000):x}"


def reply(body: dict[str, Any], status: int = 200) -> Response:
    """A JSON answer with Marketo's headers."""
    headers = HEADERS | {"Content-Type": "application/json;charset=UTF-8"}
    return Response(orjson.dumps(body), status, headers)


def success(result: list[Any] | None = None, **extra: Any) -> Response:
    """A good answer of the lead database."""
    body: dict[str, Any] = {"requestId": request_id()}
    if result is not None:
        body["result"] = result
    return reply(body | {k: v for k, v in extra.items() if v is not None} | {"success": True})


def assets(result: list[Any], nothing: str = "No assets found for the given search criteria.") -> Response:
    """A good answer of the asset API, which leaves `result` out when there is nothing."""
    body: dict[str, Any] = {"success": True, "errors": [], "requestId": request_id(), "warnings": []}
    return reply(body | ({"result": result} if result else {"warnings": [nothing]}))


def failure(error: ApiError) -> Response:
    """A bad answer."""
    body = {"requestId": request_id(), "success": False, "errors": [error.reason]}
    return reply(body | ({"warnings": []} if error.code == "610" else {}), error.status)


def skipped(error: ApiError, **about: Any) -> dict[str, Any]:
    """A record that was left as it was, and why."""
    return {**about, "status": "skipped", "reasons": [error.reason]}


def make_token(**content: int) -> str:
    """An opaque paging token."""
    return base64.b32encode(orjson.dumps(content)).decode()


def read_token(token: str) -> dict[str, int]:
    """What a paging token stands for."""
    try:
        found = orjson.loads(base64.b32decode(token))
        if isinstance(found, dict) and all(type(v) is int and 0 <= v < 2**40 for v in found.values()):
            return found
    except ValueError:
        pass
    raise ApiError(1003, "Malformed paging token")


def whole(value: Any) -> int | None:
    """The number in a text of digits, or a whole number itself; None when it is neither or beyond 32 bits."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal() and len(value) < 12:
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**31 else None


def moment(text: str, name: str) -> datetime:
    """A date and time in any of ISO 8601's spellings, UTC when it names no zone."""
    try:
        # A plus sign that was not quoted arrives as a space; `-00:00` is a zone to Marketo, but not to Python.
        found = datetime.fromisoformat(text.strip().replace(" ", "+").replace("-00:00", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, AttributeError):
        raise ApiError(1003, f"Invalid value for parameter '{name}'") from None


class Params:
    """A request's parameters: the query's and, for a form, the body's. Lists come repeated or with commas.

    `body` is what a JSON body says, `raw` any body; `json` tells whether the body said that it is JSON.
    """

    def __init__(self, pairs: list[tuple[str, str]], body: Any = None, raw: bytes = b"", json: bool = False):
        self.pairs, self.body, self.raw, self.json = pairs, body, raw, json

    def get(self, name: str) -> str | None:
        """The last value of a parameter."""
        return next((v for k, v in reversed(self.pairs) if k == name and v != ""), None)

    def need(self, name: str) -> str:
        """The value of a parameter that must be there."""
        if (value := self.get(name)) is None:
            raise ApiError(1002, f"Missing value for the required parameter '{name}'")
        return value

    def many(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [part for k, v in self.pairs if k == name for part in v.split(",") if part]

    def size(self, name: str, default: int, most: int) -> int:
        """A page size, held below the vendor's maximum."""
        text = self.get(name)
        if text is None:
            return default
        if not (found := whole(text)):
            raise ApiError(1003, f"Invalid value for parameter '{name}'")
        return min(found, most)

    def flag(self, name: str) -> bool:
        """Whether a parameter says yes."""
        return (self.get(name) or "").lower() == "true"

    def object(self) -> dict[str, Any]:
        """The JSON object that the body must be."""
        if not self.json:
            raise ApiError(612, "Invalid Content Type")
        if not isinstance(self.body, dict):
            raise ApiError(609, "Invalid JSON")
        return self.body

    def inputs(self, most: int = MOST_RECORDS) -> list[dict[str, Any]]:
        """The records in `input`."""
        found = self.object().get("input")
        if not found:
            raise ApiError(1002, "Missing value for the required parameter 'input'")
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise ApiError(609, "Invalid JSON")
        if len(found) > most:
            raise ApiError(1003, f"The size of input is more than {most}")
        return found

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of the words that a part of the body may be, the first when it is left out."""
        found = self.object().get(name) or allowed[0]
        if found not in allowed:
            raise ApiError(1003, f"Invalid value for parameter '{name}'")
        return found


async def read_params(request: Request) -> Params:
    """The parameters of a request, wherever `_method` allows them to be."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    if request.method == "GET":
        return Params(pairs)
    raw, kind = await request.body(), request.headers.get("content-type", "")
    if "json" in kind:
        try:
            # An empty body is what clients send when there is nothing to say.
            return Params(pairs, orjson.loads(raw) if raw.strip() else None, raw, json=True)
        except orjson.JSONDecodeError:
            raise ApiError(609, "Invalid JSON") from None
    if "multipart" not in kind:
        pairs += parse_qsl(raw.decode(errors="replace"), keep_blank_values=True)
    return Params(pairs, raw=raw)


def page(params: Params, found: list[Any], short: bool = False) -> tuple[list[Any], str | None]:
    """One page, and the token of the next when there is one."""
    size = params.size("batchSize", PAGE, PAGE)
    size = max(size // 2, 1) if short else size
    token = params.get("nextPageToken")
    start = read_token(token).get("from", 0) if token else 0
    return found[start : start + size], make_token(**{"from": start + size}) if start + size < len(found) else None


def asset_page(params: Params, found: list[Any]) -> list[Any]:
    """One page of the asset API, which counts instead of giving tokens."""
    size, offset = params.size("maxReturn", 20, 200), whole(params.get("offset") or 0)
    if offset is None:
        raise ApiError(1003, "Invalid value for parameter 'offset'")
    return found[offset : offset + size]
