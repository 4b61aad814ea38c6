"""Several requests in one: `/composite`, whose parts may use what earlier ones gave, and `/composite/batch`."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from cdp_pipelines.sandbox.salesforce.gate import Answer, Gate, call_self
from cdp_pipelines.sandbox.salesforce.replies import Refused, read_json, reply

MAX_PARTS = 25
_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)\.([^}]+)\}")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
# Headers of a part that its answer shows, as recorded.
_SHOWN_HEADERS = {"location": "Location", "etag": "ETag", "last-modified": "Last-Modified"}
_UNDONE = "The transaction was rolled back since another operation in the same transaction failed."


class _NoValue(Exception):
    """A reference to something that an earlier part did not give."""

    def __init__(self, name: str, path: str):
        super().__init__(f"Invalid reference specified. No value for {name}.{path} found in {name}.")


class Composite:
    """Handlers over one org; `app` answers the parts."""

    def __init__(self, gate: Gate):
        self.store = gate.store
        self.app: ASGIApp | None = None

    async def composite(self, request: Request) -> Response:
        """POST /composite. The whole counts as one call."""
        body = await read_json(request)
        parts = _parts(body.get("compositeRequest"), ("method", "url", "referenceId"))
        given: dict[str, Any] = {}
        answers: list[dict[str, Any]] = []
        with self.store.undoable() as point:
            for part in parts:
                answers.append(await self._part(request, part, given))
            if body.get("allOrNone") is True and (failed := [a for a in answers if a["httpStatusCode"] >= 400]):
                self.store.rollback(point)
                halted = [{"errorCode": "PROCESSING_HALTED", "message": _UNDONE}]
                answers = [a if a is failed[0] else {**a, "body": halted, "httpHeaders": {}, "httpStatusCode": 400} for a in answers]
        return reply({"compositeResponse": answers})

    async def _part(self, request: Request, part: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        try:
            url, content = _filled(part["url"], given), _filled(part.get("body"), given)
            headers = _filled(part.get("httpHeaders") if isinstance(part.get("httpHeaders"), dict) else {}, given)
            answer = await self._call(request, part["method"], url, content, {str(k): str(v) for k, v in headers.items()}, count=False)
        except _NoValue as missing:
            answer = Answer(400, {}, [{"errorCode": "PROCESSING_HALTED", "message": str(missing)}])
        if answer.status < 400:
            given[part["referenceId"]] = answer.body
        shown = {name: answer.headers[key] for key, name in _SHOWN_HEADERS.items() if key in answer.headers}
        return {"body": answer.body, "httpHeaders": shown, "httpStatusCode": answer.status, "referenceId": part["referenceId"]}

    async def batch(self, request: Request) -> Response:
        """POST /composite/batch. Every part counts as a call."""
        body = await read_json(request)
        parts = _parts(body.get("batchRequests"), ("method", "url"))
        results: list[dict[str, Any]] = []
        for part in parts:
            if body.get("haltOnError") is True and any(r["statusCode"] >= 400 for r in results):
                halted = [{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request"}]
                results.append({"statusCode": 412, "result": halted})
                continue
            url = part["url"] if part["url"].startswith("/services/") else f"/services/data/{part['url'].lstrip('/')}"
            answer = await self._call(request, part["method"], url, part.get("richInput"), {}, count=True)
            results.append({"statusCode": answer.status, "result": answer.body})
        return reply({"hasErrors": any(r["statusCode"] >= 400 for r in results), "results": results})

    async def _call(self, request: Request, method: str, url: str, content: Any, headers: dict[str, str], *, count: bool) -> Answer:
        if not url.startswith("/services/data/") or "/composite/batch" in url or url.partition("?")[0].rstrip("/").endswith("/composite"):
            return Answer(404, {}, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])
        assert self.app is not None
        duplicates = {"Sforce-Duplicate-Rule-Header": request.headers.get("Sforce-Duplicate-Rule-Header", "")}
        return await call_self(self.app, request, method.upper(), url, content, duplicates | headers, count=count)


def _parts(parts: Any, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    if (
        not isinstance(parts, list)
        or not parts
        or not all(isinstance(p, dict) and all(isinstance(p.get(k), str) for k in keys) for p in parts)
    ):
        raise Refused(400, "JSON_PARSER_ERROR", f"Each subrequest needs {', '.join(keys)}")
    if len(parts) > MAX_PARTS:
        raise Refused(400, "LIMIT_EXCEEDED", f"The number of subrequests exceeds the limit of {MAX_PARTS}")
    names = [p.get("referenceId") for p in parts]
    if "referenceId" in keys and len(set(names)) < len(names):
        raise Refused(400, "INVALID_INPUT", "Duplicate referenceId provided in the request")
    return parts


def _filled(value: Any, given: dict[str, Any]) -> Any:
    """A value with every `@{name.path}` in it replaced. Raises _NoValue."""
    if isinstance(value, dict):
        return {k: _filled(v, given) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, given) for v in value]
    if not isinstance(value, str):
        return value
    if whole := _REFERENCE.fullmatch(value):
        return _looked_up(whole[1], whole[2], given)
    return _REFERENCE.sub(lambda m: str(_looked_up(m[1], m[2], given)), value)


def _looked_up(name: str, path: str, given: dict[str, Any]) -> Any:
    value = given.get(name)
    for key, index in _STEP.findall(path):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif key and isinstance(value, dict) and key in value:
            value = value[key]
        else:
            raise _NoValue(name, path)
    return value
