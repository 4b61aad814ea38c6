"""Answers SOQL from the store: which records a query means (once), and their values page by page as JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cdp_pipelines.sandbox.salesforce import soql
from cdp_pipelines.sandbox.salesforce.columns import ADVICE, Column, resolve
from cdp_pipelines.sandbox.salesforce.conditions import compile_condition
from cdp_pipelines.sandbox.salesforce.records import Record, Records
from cdp_pipelines.sandbox.salesforce.schema import CHILD_RELATIONSHIPS, FieldSpec, ObjectSpec, child_relationships
from cdp_pipelines.sandbox.salesforce.soql_query import Comparison, Condition, Junction, Path, Query, Selected, SoqlError, error_at
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore


class Plan:
    """A query checked against the org's objects. Making one raises SoqlError."""

    def __init__(self, store: SalesforceStore, spec: ObjectSpec, query: Query, *, include_deleted: bool, seen_before: float | None):
        self.store, self.spec, self.query = store, spec, query
        self.records: Records = store.records[spec.name]
        self._include_deleted, self._before, self._since = include_deleted, seen_before, None
        self._ids: list[int] | None = None
        self._tests: list[Callable[[Record], bool]] = []
        self.columns = list(self._columns())
        self.children = [self._child(s.query) for s in query.selected if s.query]
        for condition in _conditions(query):
            self._add(condition)
        self._order = [(self._sorting(item.path), item) for item in query.order]

    def _columns(self) -> Iterator[Column]:
        seen: set[str] = set()
        for selected in self.query.selected:
            if selected.function == "fields" and selected.path:
                if self.query.limit is None or self.query.limit > 200:
                    raise SoqlError("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
                which = selected.path.parts[0].lower()
                chosen = [f for f in self.spec.fields.values() if which == "all" or f.custom == (which == "custom")]
                named = [Column((), f) for f in chosen]
            elif selected.function is None and selected.path:
                named = [resolve(self.store.schema, self.spec, selected.path, self.query.text)]
            else:
                continue
            for column in named:
                if column.name in seen:
                    raise SoqlError("INVALID_FIELD", f"duplicate field selected: {column.name}")
                seen.add(column.name)
                yield column

    def _child(self, query: Query) -> Child:
        found = child_relationships(self.store.schema, self.spec).get(query.object.text.lower())
        if found is None:
            problem = f"Didn't understand relationship '{query.object.text}' in FROM part of query call. "
            raise error_at("INVALID_TYPE", query.text, query.object.at, problem + ADVICE.format("relationship", "r", "custom relationship"))
        if any(s.function not in (None, "fields") for s in query.selected):
            raise SoqlError("MALFORMED_QUERY", "Aggregate functions are not supported in a child subquery")
        spec, reference = found
        plan = Plan(self.store, spec, query, include_deleted=self._include_deleted, seen_before=self._before)
        return Child(CHILD_RELATIONSHIPS[f"{spec.name}.{reference.name}"][0], reference, plan)

    def _add(self, condition: Condition) -> None:
        """Take up one of the conditions that all must hold. Bounds on SystemModstamp, and given ids, are looked up and not searched for."""
        test = compile_condition(self.store, self.spec, condition, self.query.text)
        if isinstance(condition, Comparison) and len(condition.path.parts) == 1:
            name, moment = condition.path.parts[0].lower(), condition.values[0].value
            if name == "systemmodstamp" and condition.operator == ">=" and isinstance(moment, datetime):
                self._since = max(self._since or moment.timestamp(), moment.timestamp())
                return
            if name == "systemmodstamp" and condition.operator == "<" and isinstance(moment, datetime):
                self._before = min(self._before or moment.timestamp(), moment.timestamp())
                return
            if name == "id" and condition.operator in ("=", "in"):
                found = {self.records.number(v.value) for v in condition.values if v.value}
                self._ids = sorted(n for n in found if n is not None)
        self._tests.append(test)

    def _sorting(self, path: Path) -> Column:
        column = resolve(self.store.schema, self.spec, path, self.query.text)
        if not column.field.sortable:
            problem = f"field '{column.field.name}' can not be sorted in a query call"
            raise error_at("INVALID_FIELD", self.query.text, path.at, problem)
        return column

    def matching(self, among: Iterable[int] | None = None) -> list[int]:
        """Numbers of the records that the condition allows, of all or of these."""
        records, since, before = self.records, self._since, self._before
        if among is None and self._ids is None:
            numbers: Iterable[int] = records.listed(self._include_deleted, since, before)
        else:
            numbers = [
                n for n in (self._ids if among is None else among) or ()
                if (self._include_deleted or n not in records.deleted)
                and (since is None or records.stamps[n] >= since) and (before is None or records.stamps[n] < before)
            ]  # fmt: skip
        return [n for n in numbers if all(test(records.get(n)) for test in self._tests)] if self._tests else list(numbers)

    def numbers(self, among: Iterable[int] | None = None) -> list[int]:
        """Those records in order, after OFFSET and LIMIT."""
        numbers = self.matching(among)
        for column, item in reversed(self._order):
            if column.name in ("Id", "SystemModstamp"):
                keys: Mapping[int, Any] = self.records.stamps if column.name == "SystemModstamp" else {n: n for n in numbers}
            else:
                keys = {n: _sort_key(column.value(self.store, self.records.get(n))) for n in numbers}
            empty = [n for n in numbers if keys[n] is None]
            filled = sorted((n for n in numbers if keys[n] is not None), key=keys.__getitem__, reverse=item.descending)
            numbers = empty + filled if item.nulls_first else filled + empty
        end = None if self.query.limit is None else self.query.offset + self.query.limit
        return numbers[self.query.offset : end]

    def aggregate(self, functions: list[Selected]) -> dict[str, Any]:
        """The one row of COUNT(x), MIN(x) and MAX(x)."""
        numbers = self.matching()
        row: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        unnamed = 0
        for selected in functions:
            column = resolve(self.store.schema, self.spec, selected.path, self.query.text) if selected.path else None
            if column is None or not column.field.sortable or (column.field.type == "boolean" and selected.function != "count"):
                name = column.field.name if column else ""
                raise SoqlError("MALFORMED_QUERY", f"field {name} does not support aggregate operator {(selected.function or '').upper()}")
            values = [v for n in numbers if (v := column.value(self.store, self.records.get(n))) is not None]
            name = selected.alias or f"expr{unnamed}"
            unnamed += selected.alias is None
            if selected.function == "count":
                row[name] = len(values)
            else:
                pick = min if selected.function == "min" else max
                row[name] = json_value(pick(values, key=_sort_key)) if values else None
        return row


@dataclass(frozen=True)
class Child:
    """A child subquery: its name in the answer, the children's field that names the parent, and the query."""

    name: str
    field: FieldSpec
    plan: Plan

    def json(self, parent_id: str, version: str) -> dict[str, Any] | None:
        """The children of one record; None when there are none."""
        plan = self.plan
        found = plan.numbers(plan.records.having(self.field.name, parent_id))
        rows = [_json_row(plan.store, plan.spec, plan.columns, plan.records.get(n), version) for n in found]
        return {"totalSize": len(rows), "done": True, "records": rows} if rows else None


@dataclass
class Result:
    """A query's answer before paging. `numbers` are the records in order; `aggregate` the one row of COUNT(x), MIN and MAX; `plain`
    whether the query had neither FIELDS() nor OFFSET.
    """

    store: SalesforceStore
    spec: ObjectSpec
    columns: list[Column]
    numbers: list[int]
    total: int
    aggregate: dict[str, Any] | None = None
    children: list[Child] = field(default_factory=list)
    plain: bool = True

    def json_rows(self, numbers: Iterable[int], version: str) -> list[dict[str, Any]]:
        """Records as REST gives them, `attributes` first, parents and children nested. A record purged meanwhile is left out."""
        rows = []
        for number in self._there(numbers):
            record = self._record(number)
            row = _json_row(self.store, self.spec, self.columns, record, version)
            rows.append(row | {child.name: child.json(record["Id"], version) for child in self.children})
        return rows

    def csv_rows(self, numbers: Iterable[int]) -> Iterator[list[str]]:
        """Records as Bulk API 2.0 gives them: text, empty for null."""
        for number in self._there(numbers):
            record = self._record(number)
            yield [csv_text(c.value(self.store, record)) for c in self.columns]

    def _there(self, numbers: Iterable[int]) -> Iterator[int]:
        stamps = self.store.records[self.spec.name].stamps
        return (n for n in numbers if n in stamps)

    def _record(self, number: int) -> Record:
        return self.store.records[self.spec.name].get(number)


def run(store: SalesforceStore, text: str, *, include_deleted: bool, seen_before: float | None = None) -> Result:
    """Find the records that a query means; with `seen_before` (epoch seconds) only those last changed before. Raises SoqlError."""
    query = soql.parse(text)
    spec = store.schema.get(query.object.text.lower())
    if spec is None:
        problem = f"sObject type '{query.object.text}' is not supported. " + ADVICE.format("object", "c", "entity")
        raise error_at("INVALID_TYPE", text, query.object.at, problem)
    functions = [s for s in query.selected if s.function in ("count", "min", "max")]
    if functions and not query.counts:
        if plain := next((s for s in query.selected if s not in functions), None):
            name = ".".join(plain.path.parts) if plain.path else "subquery"
            raise SoqlError("MALFORMED_QUERY", f"Field must be grouped or aggregated: {name}")
        if any(s.path is None for s in functions):
            raise SoqlError("MALFORMED_QUERY", "unexpected token: 'COUNT'")
    plan = Plan(store, spec, query, include_deleted=include_deleted, seen_before=seen_before)
    if functions and not query.counts:
        return Result(store, spec, [], [], 1, plan.aggregate(functions))
    numbers = plan.numbers()
    plain = not query.offset and all(s.function != "fields" for s in query.selected)
    return Result(store, spec, plan.columns, [] if query.counts else numbers, len(numbers), children=plan.children, plain=plain)


def json_value(value: Any) -> Any:
    """A value as REST gives it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return value.isoformat() if isinstance(value, date) else value


def csv_text(value: Any) -> str:
    """A value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return value if isinstance(value, str) else str(value)


def _conditions(query: Query) -> tuple[Condition, ...]:
    if isinstance(query.where, Junction) and query.where.operator == "and":
        return query.where.conditions
    return (query.where,) if query.where else ()


def _sort_key(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


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
