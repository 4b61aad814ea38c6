"""Search: filters, sorts and pages over the live records of a type. A record without a value sorts last (approximated)."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from datetime import timedelta
from itertools import islice
from typing import Any

import numpy as np

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import bad_input, invalid, unknown_property
from cdp_pipelines.sandbox.hubspot.filters import EVER, Filter, association_test, comparable, compile_filter, span_of
from cdp_pipelines.sandbox.hubspot.inputs import objects, text, whole
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.properties import ObjectType, Property, object_type
from cdp_pipelines.sandbox.hubspot.records import Record
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.hubspot.values import value

MAX_GROUPS, MAX_FILTERS, MAX_ALL_FILTERS = 5, 6, 18
MAX_QUERY = 3_000
_BOUNDS = {"GT", "GTE", "LT", "LTE"}


class Search:
    """Answers search requests for one portal. Keeps the ids of the last few, so that paging does not search anew for each page."""

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self.store, self._options = store, options
        self._found: dict[str, list[int]] = {}

    def run(self, kind: ObjectType, known: dict[str, Property], body: dict[str, Any]) -> tuple[int, list[Record], str | None]:
        """Total, the page's records and `after` of the next page. Raises Refused."""
        given = 10 if body.get("limit") is None else body["limit"]
        limit, after, cap = whole(given, "limit"), whole(body.get("after") or 0, "after"), self._options.search_cap
        if not 0 < limit <= 200:
            raise invalid("Invalid input JSON: limit must be between 1 and 200")
        if after < 0:
            raise invalid("Invalid input JSON: after must not be negative")
        if after + limit > cap:
            raise invalid(f"The request is invalid: paging beyond {cap} results is not supported.")
        late = self._options.search_lag_types
        lag = timedelta(seconds=self._options.search_lag_seconds if not late or kind.plural in late else 0)
        stale = self.store.records[kind.plural].as_of(clock.now() - lag) if lag else {}
        ids = self._ids(kind, known, body, stale)
        size = min(limit, self._options.search_page_most)
        begin, following = after, after + size
        if self._options.search_empty_pages:
            # Offsets then count the empty pages too, one before each that is not.
            turn = after // size
            if turn % 2 == 0:
                return len(ids), [], str(following) if turn // 2 * size < len(ids) else None
            begin = turn // 2 * size
        some = [stale.get(i) or self.store.records[kind.plural].get(i) for i in ids[begin : begin + size]]
        return len(ids), some, str(following) if begin + size < len(ids) else None

    def _ids(self, kind: ObjectType, known: dict[str, Property], body: dict[str, Any], stale: dict[int, Record | None]) -> list[int]:
        groups = [_filters(group) for group in objects(body, "filterGroups")] or [_filters(body)]
        if len(groups) > MAX_GROUPS or any(len(g) > MAX_FILTERS for g in groups) or sum(map(len, groups)) > MAX_ALL_FILTERS:
            raise invalid(f"Too many filters: at most {MAX_GROUPS} groups of {MAX_FILTERS} filters, {MAX_ALL_FILTERS} in all")
        by, descending = _sort(body, known)
        query = text(body, "query", "").lower()
        if len(query) > MAX_QUERY:
            raise invalid(f"The query must have at most {MAX_QUERY} characters")
        bounds: list[dict[str, Any]] = []
        if len(groups) == 1 and by == "hs_object_id":
            # Walking through ids page by page asks the same question from one id on: search once, then cut.
            bounds = [f for f in groups[0] if f.get("propertyName") == by and f.get("operator") in _BOUNDS]
            groups = [[f for f in groups[0] if f not in bounds]]
        asked = json.dumps([kind.plural, groups, by, descending, query, self._versions()])
        ids = self._found.get(asked) if not stale else None
        if ids is None:
            ids = self._with_strays(kind, groups, self._matching(kind, known, groups, query, stale))
            if by in ("createdate", kind.modified) and not stale:
                ids = self._by_time(kind, ids, by)
            elif by != "hs_object_id":
                ids.sort(key=lambda i: self._sort_key(kind, known[by], i, stale))
            if descending:
                ids.reverse()
            if not stale:
                self._found = dict(list(self._found.items())[-7:]) | {asked: ids}
        return _cut(ids, bounds, descending, known)

    def _versions(self) -> list[int]:
        return [
            *(records.version for records in self.store.records.values()),
            self.store.schema.version,
            self.store.pipelines.version,
            self._options.epoch_zero_fails,
            self._options.search_strays,
        ]

    def _with_strays(self, kind: ObjectType, groups: list[Any], ids: list[int]) -> list[int]:
        asked = {f["propertyName"] for group in groups for f in group}
        if not self._options.search_strays or not asked & {"createdate", kind.modified}:
            return ids
        inside = set(ids)
        outside = (i for i in self.store.records[kind.plural].live if i not in inside)
        return sorted([*ids, *islice(outside, self._options.search_strays)])

    def _matching(
        self, kind: ObjectType, known: dict[str, Property], groups: list[Any], query: str, stale: dict[int, Record | None]
    ) -> list[int]:
        compiled = [[self._compile(kind, known, f) for f in group] for group in groups]
        records = self.store.records[kind.plural]
        # Conditions on times are checked for all at once, without making a record; where there are others, those are checked of the rest.
        times = [[f for f in group if f.span is not None] for group in compiled]
        if stale:
            candidates = sorted({*records.live, *stale} - {i for i, r in stale.items() if r is None})
        elif all(times) or not all(compiled):
            candidates = self._in_spans(kind, times)
            if times == compiled and not query:
                return candidates
        else:
            candidates = list(records.live)
        found = []
        for record_id in candidates:
            record = stale.get(record_id) or records.get(record_id)
            if any(all(f.test(self._value(kind, record, f.property)) for f in group) for group in compiled) and (
                not query or self._has_words(kind, record, query)
            ):
                found.append(record_id)
        return found

    def _in_spans(self, kind: ObjectType, groups: list[list[Filter]]) -> list[int]:
        ids, created, updated = self.store.records[kind.plural].live_times()
        found = np.zeros(len(ids), dtype=bool)
        for group in groups:
            inside = np.ones(len(ids), dtype=bool)
            for condition in group:
                first, last = condition.span or (-EVER, EVER)
                moments = created if condition.property == "createdate" else updated
                inside &= (moments >= first) & (moments <= last)
            found |= inside
        return ids[found].tolist()

    def _by_time(self, kind: ObjectType, some: list[int], name: str) -> list[int]:
        ids, created, updated = self.store.records[kind.plural].live_times()
        wanted = np.array(some, dtype=np.int64)
        times = (created if name == "createdate" else updated)[np.searchsorted(ids, wanted)]
        return wanted[np.lexsort((wanted, times))].tolist()

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
        name, operator = given["propertyName"], given["operator"]
        if name.startswith("associations.") and object_type(name.partition(".")[2]):
            return Filter(name, operator, association_test(operator, given))
        if name not in known:
            raise unknown_property(name)
        test = compile_filter(known[name], operator, given, epoch_zero_fails=self._options.epoch_zero_fails)
        span = span_of(known[name], operator, given) if name in ("createdate", kind.modified) else None
        return Filter(name, operator, test, span)


def _filters(given: dict[str, Any]) -> list[dict[str, Any]]:
    """The filters of a group or a body. Raises Refused when they are of another shape."""
    found = objects(given, "filters")
    for condition in found:
        text(condition, "propertyName")
        if not isinstance(condition.get("operator"), str):
            raise bad_input("Some required fields were not set: [operator]")
    return [{**condition, "propertyName": str(condition["propertyName"])} for condition in found]


def _sort(body: dict[str, Any], known: dict[str, Property]) -> tuple[str, bool]:
    sorts = body.get("sorts") or []
    if not isinstance(sorts, list) or not all(isinstance(s, str | dict) for s in sorts):
        raise bad_input("sorts must be a list")
    if len(sorts) > 1:
        raise invalid("Only one sort is supported")
    if not sorts:
        return "createdate", False
    first = sorts[0]
    by, descending = (
        (first.lstrip("-"), first.startswith("-"))
        if isinstance(first, str)
        else (text(first, "propertyName"), first.get("direction") == "DESCENDING")
    )
    if by not in known:
        raise unknown_property(by)
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
