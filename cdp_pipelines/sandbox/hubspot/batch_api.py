"""Calls that write many records at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import Refused, bad_input, conflict, invalid, wrong_values
from cdp_pipelines.sandbox.hubspot.inputs import Problem, check_values, given_properties, json_body, text
from cdp_pipelines.sandbox.hubspot.objects_api import BATCH_MAX, batch_answer, batch_inputs, not_gotten
from cdp_pipelines.sandbox.hubspot.properties import ObjectType
from cdp_pipelines.sandbox.hubspot.records import timestamp
from cdp_pipelines.sandbox.hubspot.writes_api import CREATED, SOURCE, UPDATED, Link, WritesApi

Failure = dict[str, Any]


@dataclass
class _Input:
    """One input of a batch: what was sent, checked."""

    given: dict[str, Any]
    trace: str | None
    values: dict[str, str]
    problems: list[Problem]


class BatchApi:
    """Handlers for `/crm/v3/objects/{type}/batch`.

    A wrong value fails the whole batch, and so does a conflict unless every input has its own trace id; then the others succeed (207).
    """

    def __init__(self, writes: WritesApi):
        self._writes, self._objects, self._store, self._options = writes, writes.objects, writes.store, writes.options

    async def create(self, request: Request) -> Response:
        """POST new records."""
        kind, body, at = self._objects.kind(request), await json_body(request), clock.now()
        inputs, failures = self._read(kind, body)
        links = [self._writes.wanted_links(kind, i.given) for i in inputs]
        self._refuse_twins(kind, inputs)
        ready: list[tuple[_Input, list[Link]]] = []
        for item, wanted in zip(inputs, links, strict=True):
            if (other := self._writes.taken(kind, item.values, None)) is None:
                ready.append((item, wanted))
            elif item.trace is None:
                raise conflict(f"{kind.singular.capitalize()} already exists")
            else:
                failures.append(_conflict(kind, item.trace, other))
        results = []
        for item, wanted in ready:
            record = self._writes.make(kind, item.values, wanted, at)
            results.append(self._writes.written(kind, record, item.values, CREATED) | _traced(item))
        return batch_answer(timestamp(at), results, failures, 201)

    async def update(self, request: Request) -> Response:
        """POST changes of records, each by its id or by one unique property."""
        kind, body, at = self._objects.kind(request), await json_body(request), clock.now()
        inputs, failures = self._read(kind, body)
        _refuse_repeated([text(i.given, "id") for i in inputs])
        results, missing = [], []
        found = [self._objects.find(kind, text(i.given, "id"), _id_property(i.given), follow=False) for i in inputs]
        self._refuse_twins(kind, inputs)
        changing: list[tuple[_Input, int]] = []
        for item, known in zip(inputs, found, strict=True):
            if known is None:
                if not self._was_merged(kind, text(item.given, "id")):
                    missing.append(text(item.given, "id"))
            elif (other := self._writes.taken(kind, item.values, known)) is None:
                changing.append((item, known))
            elif item.trace is None:
                raise conflict(f"{kind.singular.capitalize()} already exists")
            else:
                failures.append(_conflict(kind, item.trace, other))
        for item, known in changing:
            record = self._writes.change(kind, known, item.values, at)
            results.append(self._writes.written(kind, record, item.values, UPDATED) | _traced(item))
        return batch_answer(timestamp(at), results, [*failures, *([not_gotten(kind, missing)] if missing else [])])

    async def upsert(self, request: Request) -> Response:
        """POST records that are changed when a unique property finds them, and made when not."""
        kind, body, at = self._objects.kind(request), await json_body(request), clock.now()
        if not isinstance(body.get("inputs"), list):
            if self._options.silent_malformed_upsert:
                return batch_answer(timestamp(at), [], [])
            raise bad_input('Some required fields were not set: ["inputs"]')
        for given in batch_inputs(body, BATCH_MAX):
            self._objects.check_unique(kind, _id_property(given), "update/upsert")
        inputs, failures = self._read(kind, body, keyed=True)
        _refuse_repeated([self._key(item) for item in inputs])
        self._refuse_twins(kind, inputs)
        ready: list[tuple[_Input, int | None]] = []
        for item in inputs:
            found = self._store.records[kind.plural].with_value(_id_property(item.given), self._key(item))
            if (other := self._writes.taken(kind, item.values, found)) is None:
                ready.append((item, found))
            elif item.trace is None:
                raise conflict(f"{kind.singular.capitalize()} already exists")
            else:
                failures.append(_conflict(kind, item.trace, other))
        return batch_answer(timestamp(at), [self._upsert(kind, item, found, at) for item, found in ready], failures)

    async def archive(self, request: Request) -> Response:
        """POST ids to archive; those that are not there are passed over."""
        kind, body, at = self._objects.kind(request), await json_body(request), clock.now()
        for asked in dict.fromkeys(text(i, "id") for i in batch_inputs(body, BATCH_MAX)):
            if (found := self._objects.find(kind, asked, follow=False)) is not None:
                self._store.archive(kind, found, at, SOURCE)
        return Response(None, 204)

    def _upsert(self, kind: ObjectType, item: _Input, found: int | None, at: datetime) -> dict[str, Any]:
        if found is None:
            record, shown = self._writes.make(kind, item.values, [], at), CREATED
        else:
            record, shown = self._writes.change(kind, found, item.values, at), UPDATED
        return self._writes.written(kind, record, item.values, shown) | _traced(item) | {"new": found is None}

    def _key(self, item: _Input) -> str:
        asked = text(item.given, "id")
        return asked.strip().lower() if _id_property(item.given) == "email" else asked

    def _was_merged(self, kind: ObjectType, asked: str) -> bool:
        return asked.isdigit() and int(asked) in self._store.merges.get(kind.plural, {})

    def _read(self, kind: ObjectType, body: dict[str, Any], *, keyed: bool = False) -> tuple[list[_Input], list[Failure]]:
        """The inputs with checked values, and the failures of those that a batch may leave out; `keyed`, what finds a record is a value too.

        Raises Refused.
        """
        owners, known, found = self._writes.owners(), self._objects.known(kind), []
        places = self._store.pipelines.values(kind.plural)
        for given in batch_inputs(body, BATCH_MAX):
            trace = given.get("objectWriteTraceId")
            properties = given_properties(given)
            if keyed:
                properties = {_id_property(given): text(given, "id"), **properties}
            values, problems = check_values(known, properties, owners, places)
            found.append(_Input(given, None if trace is None else str(trace), values, problems))
        traces = [item.trace for item in found]
        for item in found:
            if item.trace is not None and traces.count(item.trace) > 1:
                raise invalid(f"Duplicate objectWriteTraceId found in batch input: {item.trace}")
        wrong = [item for item in found if item.problems]
        if wrong and not (self._options.partial_validation_errors and all(item.trace is not None for item in wrong)):
            raise wrong_values([problem for item in wrong for problem in item.problems])
        return [item for item in found if not item.problems], [_invalid(item) for item in wrong]

    def _refuse_twins(self, kind: ObjectType, inputs: list[_Input]) -> None:
        """Two new records with the same unique value cannot both be made."""
        known = self._objects.known(kind)
        seen: set[tuple[str, str]] = set()
        for item in inputs:
            for name, value in item.values.items():
                if "u" in known[name].flags and value:
                    if (name, value) in seen:
                        raise conflict(f"{kind.singular.capitalize()} already exists")
                    seen.add((name, value))


def _id_property(given: dict[str, Any]) -> str:
    return text(given, "idProperty", "hs_object_id")


def _traced(item: _Input) -> dict[str, str]:
    return {"objectWriteTraceId": item.trace} if item.trace is not None else {}


def _refuse_repeated(ids: list[str]) -> None:
    if repeated := [found for found in dict.fromkeys(ids) if ids.count(found) > 1]:
        message = f"Duplicate IDs found in batch input: [{', '.join(repeated)}]. IDs must be unique"
        raise invalid(message, context={"ids": repeated})


def _conflict(kind: ObjectType, trace: str, other: int) -> Failure:
    message = f"{kind.singular.capitalize()} already exists. Existing ID: {other}"
    return {
        "status": "error",
        "category": "CONFLICT",
        "message": message,
        "context": {"objectWriteTraceId": [trace], "existingId": [str(other)]},
    }


def _invalid(item: _Input) -> Failure:
    refused: Refused = wrong_values(item.problems)
    return {
        "status": "error", "category": "VALIDATION_ERROR", "message": refused.body["message"], "errors": refused.body["errors"],
        "context": {"objectWriteTraceId": [item.trace]},
    }  # fmt: skip
