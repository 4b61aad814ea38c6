"""Search: filters, sorts and pages over the live records of a type.

Where the documentation is silent, approximated: a record without a value matches NEQ, NOT_IN and NOT_CONTAINS_TOKEN and no other
comparison; it sorts last; a token is a run of letters and digits, and `*` stands for anything within a token or the whole value.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import orjson

from cdp_pipelines.sandbox.hubspot.errors import Refused, invalid, unknown_property
from cdp_pipelines.sandbox.hubspot.properties import ObjectType, Property, object_type
from cdp_pipelines.sandbox.hubspot.records import Record, milliseconds
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.hubspot.values import value

MAX_GROUPS, MAX_FILTERS, MAX_ALL_FILTERS = 5, 6, 18
_TOKEN = re.compile(r"[^\W_]+")
_BOUNDS = {"GT", "GTE", "LT", "LTE"}

Test = Callable[[str | None], bool]


@dataclass(frozen=True)
class Filter:
    """A condition on one property."""

    property: str
    operator: str
    test: Test
    low: int | None = None


class Search:
    """Answers search requests for one portal. Keeps the ids of the last few, so that paging does not search anew for each page."""

    def __init__(self, store: HubSpotStore, lag: timedelta, cap: int):
        self.store, self.lag, self.cap = store, lag, cap
        self._found: dict[bytes, list[int]] = {}

    def run(self, kind: ObjectType, known: dict[str, Property], body: dict[str, Any]) -> tuple[int, list[Record], str | None]:
        """Total, the page's records and `after` of the next page. Raises Refused."""
        limit, after = whole(body.get("limit", 10), "limit"), whole(body.get("after") or 0, "after")
        if not 0 < limit <= 200:
            raise invalid("Invalid input JSON: limit must be between 1 and 200")
        if after + limit > self.cap:
            raise invalid(f"The request is invalid: paging beyond {self.cap} results is not supported.")
        stale = self.store.records[kind.plural].as_of(datetime.now(UTC) - self.lag) if self.lag else {}
        ids = self._ids(kind, known, body, stale)
        some = [stale.get(i) or self.store.records[kind.plural].get(i) for i in ids[after : after + limit]]
        return len(ids), some, str(after + limit) if after + limit < len(ids) else None

    def _ids(self, kind: ObjectType, known: dict[str, Property], body: dict[str, Any], stale: dict[int, Record | None]) -> list[int]:
        groups = [group.get("filters", []) for group in body.get("filterGroups") or []] or [body.get("filters") or []]
        if len(groups) > MAX_GROUPS or any(len(g) > MAX_FILTERS for g in groups) or sum(map(len, groups)) > MAX_ALL_FILTERS:
            raise invalid(f"Too many filters: at most {MAX_GROUPS} groups of {MAX_FILTERS} filters, {MAX_ALL_FILTERS} in all")
        by, descending = _sort(body, known)
        query = str(body.get("query") or "").lower()
        bounds: list[dict[str, Any]] = []
        if len(groups) == 1 and by == "hs_object_id":
            # Walking through ids page by page asks the same question from one id on: search once, then cut.
            bounds = [f for f in groups[0] if f.get("propertyName") == by and f.get("operator") in _BOUNDS]
            groups = [[f for f in groups[0] if f not in bounds]]
        asked = orjson.dumps([kind.plural, groups, by, descending, query])
        ids = self._found.get(asked + self._versions()) if not stale else None
        if ids is None:
            ids = self._matching(kind, known, groups, query, stale)
            if by != "hs_object_id":
                ids.sort(key=lambda i: self._sort_key(kind, known[by], i, stale))
            if descending:
                ids.reverse()
            if not stale:
                self._found = dict(list(self._found.items())[-7:]) | {asked + self._versions(): ids}
        return _cut(ids, bounds, descending, known)

    def _versions(self) -> bytes:
        return orjson.dumps([self.store.records[k].version for k in ("contacts", "companies", "deals")])

    def _matching(
        self, kind: ObjectType, known: dict[str, Property], groups: list[Any], query: str, stale: dict[int, Record | None]
    ) -> list[int]:
        compiled = [[self._compile(kind, known, f) for f in group] for group in groups]
        records = self.store.records[kind.plural]
        candidates = list(records.live) if not stale else sorted({*records.live, *stale} - {i for i, r in stale.items() if r is None})
        # A bound on the last change is checked without making the record.
        floor = min((max((f.low for f in g if f.property == kind.modified and f.low is not None), default=0) for g in compiled), default=0)
        found = []
        for record_id in candidates:
            if floor and record_id not in stale and records.updated_ms(record_id) < floor:
                continue
            record = stale.get(record_id) or records.get(record_id)
            if any(all(f.test(self._value(kind, record, f.property)) for f in group) for group in compiled) and (
                not query or self._has_words(kind, record, query)
            ):
                found.append(record_id)
        return found

    def _value(self, kind: ObjectType, record: Record, name: str) -> str | None:
        if name.startswith("associations."):
            other = object_type(name.partition(".")[2])
            return ";".join(map(str, self.store.associated(kind, record.id, other))) if other else None
        return value(self.store, kind, record, name)

    def _has_words(self, kind: ObjectType, record: Record, query: str) -> bool:
        text = " ".join(value(self.store, kind, record, name) or "" for name in kind.searched).lower()
        return all(word in text for word in query.split())

    def _sort_key(self, kind: ObjectType, by: Property, record_id: int, stale: dict[int, Record | None]) -> tuple[bool, Any, int]:
        record = stale.get(record_id) or self.store.records[kind.plural].get(record_id)
        text = value(self.store, kind, record, by.name)
        known = text is not None and text != ""
        return not known, comparable(by, text) if known else 0, record_id

    def _compile(self, kind: ObjectType, known: dict[str, Property], given: dict[str, Any]) -> Filter:
        name, operator = given.get("propertyName", ""), given.get("operator", "")
        if name.startswith("associations.") and object_type(name.partition(".")[2]):
            wanted = {str(v) for v in (given.get("values") or [given.get("value")])}
            return Filter(name, operator, lambda text: bool(wanted & set((text or "").split(";"))))
        if name not in known:
            raise unknown_property(name)
        test = compile_filter(known[name], operator, given)
        low = comparable(known[name], str(given["value"])) if operator in ("GT", "GTE", "BETWEEN") and name == kind.modified else None
        return Filter(name, operator, test, low)


def compile_filter(of: Property, operator: str, given: dict[str, Any]) -> Test:
    """A function that tells whether a property's text matches. Raises Refused for an operator or a value that does not fit."""
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return (lambda text: bool(text)) if operator == "HAS_PROPERTY" else (lambda text: not text)
    if operator in ("IN", "NOT_IN"):
        values = given.get("values")
        if not isinstance(values, list) or not values:
            raise invalid(f"Filter on {of.name}: {operator} needs values")
        # For text HubSpot compares its lower-cased value with what was sent, so that capitals in `values` never match.
        wanted = set(map(str, values)) if of.type in ("string", "enumeration") else {comparable(of, str(v)) for v in values}

        def inside(text: str | None) -> bool:
            return bool(text) and (text.lower() if of.type == "string" else comparable(of, text)) in wanted

        return inside if operator == "IN" else lambda text: not inside(text)
    if "value" not in given:
        raise invalid(f"Filter on {of.name}: {operator or 'the operator'} needs a value")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        pattern = str(given["value"]).lower()

        def holds(text: str | None) -> bool:
            return bool(text) and _has_token(text.lower(), pattern)

        return holds if operator == "CONTAINS_TOKEN" else lambda text: not holds(text)
    if of.type in ("datetime", "date") and str(given["value"]) == "0":
        raise Refused(500, "internal error")
    bound = comparable(of, str(given["value"]))
    if operator == "BETWEEN":
        if "highValue" not in given:
            raise invalid(f"Filter on {of.name}: BETWEEN needs highValue")
        high = comparable(of, str(given["highValue"]))
        return lambda text: bool(text) and bound <= comparable(of, text) <= high
    comparisons: dict[str, Test] = {
        "EQ": lambda text: bool(text) and comparable(of, text) == bound,
        "NEQ": lambda text: not text or comparable(of, text) != bound,
        "LT": lambda text: bool(text) and comparable(of, text) < bound,
        "LTE": lambda text: bool(text) and comparable(of, text) <= bound,
        "GT": lambda text: bool(text) and comparable(of, text) > bound,
        "GTE": lambda text: bool(text) and comparable(of, text) >= bound,
    }
    if operator not in comparisons:
        raise invalid(f"Invalid input JSON: {operator} is not a valid operator")
    return comparisons[operator]


def comparable(of: Property, text: str) -> Any:
    """A property's text as something that compares as its type does. Raises Refused when it is not of that type."""
    try:
        match of.type:
            case "number":
                return int(text) if text.lstrip("-").isdigit() else float(text)
            case "datetime" | "date":
                return int(text) if text.lstrip("-").isdigit() else milliseconds(_aware(datetime.fromisoformat(text)))
            case "enumeration":
                return text
            case _:
                return text.lower()
    except ValueError:
        raise invalid(f"There was a problem with the request: {of.name} is a {of.type}") from None


def whole(value: Any, name: str) -> int:
    """A number that may come as text. Raises Refused."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(f"Invalid input JSON: {name} must be a whole number") from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _has_token(text: str, pattern: str) -> bool:
    if fnmatchcase(text, pattern):
        return True
    wanted, tokens = pattern.split(), _TOKEN.findall(text)
    return all(any(fnmatchcase(token, word) for token in tokens) for word in wanted)


def _sort(body: dict[str, Any], known: dict[str, Property]) -> tuple[str, bool]:
    sorts = body.get("sorts") or []
    if len(sorts) > 1:
        raise invalid("Only one sort is supported")
    if not sorts:
        return "createdate", False
    first = sorts[0]
    by, descending = (
        (first.lstrip("-"), first.startswith("-"))
        if isinstance(first, str)
        else (first.get("propertyName"), first.get("direction") == "DESCENDING")
    )
    if by not in known:
        raise unknown_property(str(by))
    return by, descending


def _cut(ids: list[int], bounds: list[dict[str, Any]], descending: bool, known: dict[str, Property]) -> list[int]:
    ascending = ids[::-1] if descending and bounds else ids
    for bound in bounds:
        limit = comparable(known["hs_object_id"], str(bound.get("value")))
        match bound["operator"]:
            case "GT":
                ascending = ascending[bisect_right(ascending, limit) :]
            case "GTE":
                ascending = ascending[bisect_left(ascending, limit) :]
            case "LT":
                ascending = ascending[: bisect_left(ascending, limit)]
            case "LTE":
                ascending = ascending[: bisect_right(ascending, limit)]
    return ascending[::-1] if descending and bounds else ascending
