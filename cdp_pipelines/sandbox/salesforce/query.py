"""Answers SOQL from the store: which records a query means (once), and their values page by page as JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from cdp_pipelines.sandbox.salesforce import soql
from cdp_pipelines.sandbox.salesforce.columns import ADVICE, Column, resolve
from cdp_pipelines.sandbox.salesforce.conditions import compile_condition
from cdp_pipelines.sandbox.salesforce.describe import ObjectSpec, objects
from cdp_pipelines.sandbox.salesforce.records import Record, Records
from cdp_pipelines.sandbox.salesforce.soql import Comparison, Condition, Junction, Query, Selected, SoqlError
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore


@dataclass
class Result:
    """A query's answer before paging. `numbers` are the records in order; `aggregate` the one row of COUNT(x), MIN and MAX."""

    store: SalesforceStore
    spec: ObjectSpec
    columns: list[Column]
    numbers: list[int]
    total: int
    aggregate: dict[str, Any] | None = None

    def json_rows(self, numbers: Iterable[int], version: str) -> list[dict[str, Any]]:
        """Records as REST gives them, `attributes` first and parents nested."""
        return [_json_row(self.store, self.spec, self.columns, self._record(n), version) for n in numbers]

    def csv_rows(self, numbers: Iterable[int]) -> Iterator[list[str]]:
        """Records as Bulk API 2.0 gives them: text, empty for null."""
        for number in numbers:
            record = self._record(number)
            yield [_csv_text(c.value(self.store, record)) for c in self.columns]

    def _record(self, number: int) -> Record:
        return self.store.records[self.spec.name].get(number)


def run(store: SalesforceStore, text: str, *, include_deleted: bool) -> Result:
    """Find the records that a query means. Raises SoqlError."""
    query = soql.parse(text)
    spec = objects().get(query.object.text.lower())
    if spec is None:
        problem = f"sObject type '{query.object.text}' is not supported. " + ADVICE.format("object", "c", "entity")
        raise soql.error_at("INVALID_TYPE", text, query.object.at, problem)
    records = store.records[spec.name]
    columns = list(_columns(spec, query))
    matching = _matching(store, records, query, include_deleted)
    functions = [s for s in query.selected if s.function in ("count", "min", "max") and s.path]
    if functions:
        row = _aggregate(store, spec, query, functions, records, matching)
        return Result(store, spec, [], [], 1, row)
    ordered = _ordered(store, spec, query, records, matching)[query.offset :]
    ordered = ordered if query.limit is None else ordered[: query.limit]
    return Result(store, spec, columns, [] if query.counts else ordered, len(ordered))


def json_value(value: Any) -> Any:
    """A value as REST gives it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return value.isoformat() if isinstance(value, date) else value


def _csv_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return value if isinstance(value, str) else str(value)


def _columns(spec: ObjectSpec, query: Query) -> Iterator[Column]:
    seen: set[str] = set()
    for selected in query.selected:
        if selected.function == "fields" and selected.path:
            if query.limit is None or query.limit > 200:
                raise SoqlError("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
            which = selected.path.parts[0].lower()
            fields = [f for f in spec.fields.values() if which == "all" or f.custom == (which == "custom")]
            yield from (Column((), f) for f in fields)
        elif selected.function is None and selected.path:
            column = resolve(spec, selected.path, query.text)
            if column.name in seen:
                raise SoqlError("INVALID_FIELD", f"duplicate field selected: {column.name}")
            seen.add(column.name)
            yield column


def _matching(store: SalesforceStore, records: Records, query: Query, include_deleted: bool) -> list[int]:
    """Numbers of the records that the condition allows. Bounds on SystemModstamp, and given ids, are looked up and not searched for."""
    spec = records.spec
    conditions: tuple[Condition, ...] = ()
    if isinstance(query.where, Junction) and query.where.operator == "and":
        conditions = query.where.conditions
    elif query.where:
        conditions = (query.where,)
    tests = [compile_condition(store, spec, c, query.text) for c in conditions]
    since: float | None = None
    before: float | None = None
    numbers: Iterable[int] | None = None
    rest: list[Callable[[Record], bool]] = []
    for condition, test in zip(conditions, tests, strict=True):
        if isinstance(condition, Comparison) and [p.lower() for p in condition.path.parts] == ["systemmodstamp"]:
            moment = condition.values[0].value
            if condition.operator == ">=" and isinstance(moment, datetime):
                since = max(since or moment.timestamp(), moment.timestamp())
                continue
            if condition.operator == "<" and isinstance(moment, datetime):
                before = min(before or moment.timestamp(), moment.timestamp())
                continue
        if isinstance(condition, Comparison) and condition.operator in ("=", "in") and [p.lower() for p in condition.path.parts] == ["id"]:
            found = {records.number(v.value) for v in condition.values if v.value}
            numbers = sorted(n for n in found if n is not None and (include_deleted or n not in records.deleted))
        rest.append(test)
    if numbers is None or since is not None or before is not None:
        numbers = records.listed(include_deleted, since, before)
    return [n for n in numbers if all(test(records.get(n)) for test in rest)] if rest else list(numbers)


def _ordered(store: SalesforceStore, spec: ObjectSpec, query: Query, records: Records, numbers: list[int]) -> list[int]:
    for item in reversed(query.order):
        column = resolve(spec, item.path, query.text)
        if not column.field.sortable:
            problem = f"field '{column.field.name}' can not be sorted in a query call"
            raise soql.error_at("INVALID_FIELD", query.text, item.path.at, problem)
        if column.name in ("Id", "SystemModstamp"):
            keys: dict[int, Any] = records.stamps if column.name == "SystemModstamp" else {n: n for n in numbers}
        else:
            keys = {n: _sort_key(column.value(store, records.get(n))) for n in numbers}
        empty = [n for n in numbers if keys[n] is None]
        filled = sorted((n for n in numbers if keys[n] is not None), key=keys.__getitem__, reverse=item.descending)
        numbers = empty + filled if item.nulls_first else filled + empty
    return numbers


def _sort_key(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _aggregate(
    store: SalesforceStore, spec: ObjectSpec, query: Query, functions: list[Selected], records: Records, numbers: list[int]
) -> dict[str, Any]:
    row: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
    for place, selected in enumerate(functions):
        column = resolve(spec, selected.path, query.text) if selected.path else None
        values = [v for n in numbers if column and (v := column.value(store, records.get(n))) is not None]
        if selected.function == "count":
            row[f"expr{place}"] = len(values)
        else:
            pick = min if selected.function == "min" else max
            row[f"expr{place}"] = json_value(pick(values, key=_sort_key)) if values else None
    return row


def _json_row(store: SalesforceStore, spec: ObjectSpec, columns: list[Column], record: Record, version: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "attributes": {"type": spec.name, "url": f"/services/data/v{version}/sobjects/{spec.name}/{record['Id']}"}
    }  # fmt: skip
    for column in columns:
        if not column.hops:
            row[column.field.name] = json_value(column.value(store, record))
            continue
        hop = column.hops[0]
        name = hop.relationship or ""
        if name in row:
            continue
        found = store.find(record.get(hop.name))
        below = [Column(c.hops[1:], c.field) for c in columns if c.hops and c.hops[0].name == hop.name]
        row[name] = _json_row(store, found[0].spec, below, found[0].get(found[1]), version) if found else None
    return row
