"""SOQL conditions as Python functions. Text compares without regard to case, ids by their first 15 characters with regard to it."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cdp_pipelines.sandbox.salesforce.columns import resolve
from cdp_pipelines.sandbox.salesforce.records import Record
from cdp_pipelines.sandbox.salesforce.schema import FieldSpec, ObjectSpec
from cdp_pipelines.sandbox.salesforce.soql_query import Comparison, Condition, Literal, Not, error_at
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_NUMBERS = ("double", "currency", "percent", "int")


Test = Callable[[Record], bool]


def compile_condition(store: SalesforceStore, spec: ObjectSpec, condition: Condition, text: str) -> Test:
    """A function that says whether a record meets the condition. Raises SoqlError for a field or value that does not fit."""
    if isinstance(condition, Not):
        inner = compile_condition(store, spec, condition.condition, text)
        return lambda record: not inner(record)
    if isinstance(condition, Comparison):
        return _comparison(store, spec, condition, text)
    tests = [compile_condition(store, spec, c, text) for c in condition.conditions]
    if condition.operator == "and":
        return lambda record: all(test(record) for test in tests)
    return lambda record: any(test(record) for test in tests)


def _comparison(store: SalesforceStore, spec: ObjectSpec, comparison: Comparison, text: str) -> Test:
    column = resolve(store.schema, spec, comparison.path, text)
    field, at = column.field, comparison.path.at
    if not field.filterable or field.type == "address":
        raise error_at("INVALID_FIELD", text, at, f"field '{field.name}' can not be filtered in a query call")
    for literal in comparison.values:
        _check(field, literal, comparison.operator, text, at)
    match = _match(field, comparison.operator, comparison.values)
    return lambda record: match(_comparable(field, column.value(store, record)))


def _check(field: FieldSpec, literal: Literal, op: str, text: str, at: int) -> None:
    """Refuse a value of another type than the field's."""
    wanted = (
        ("number",) if field.type in _NUMBERS
        else ("boolean",) if field.type == "boolean"
        else ("date", "range") if field.type == "date"
        else ("datetime", "range") if field.type == "datetime"
        else ("string",)
    )  # fmt: skip
    # Ids are ordered too: the vendor's blog on PK chunking (2015/11) reads objects by ranges of them.
    if (op == "like" and wanted != ("string",)) or (op in _ORDERED and field.type == "boolean"):
        raise error_at("INVALID_QUERY_FILTER_OPERATOR", text, at, f"invalid operator on {field.type} field")
    if literal.kind not in (*wanted, "null"):
        name = {"datetime": "dateTime"}.get(field.type, field.type if field.type in (*_NUMBERS, "boolean", "date") else "string")
        quotes = "should be enclosed in quotes" if wanted == ("string",) else "should not be enclosed in quotes"
        problem = f"value of filter criterion for field '{field.name}' must be of type {name} and {quotes}"
        raise error_at("INVALID_FIELD", text, at, problem)
    if field.type in ("id", "reference") and literal.value and op != "like" and len(literal.value) not in (15, 18):
        raise error_at("INVALID_QUERY_FILTER_OPERATOR", text, at, f"invalid ID field: {literal.value}")


def _comparable(field: FieldSpec, value: Any) -> Any:
    if isinstance(value, str):
        return value[:15] if field.type in ("id", "reference") else value.lower() or None
    return value


def _match(field: FieldSpec, op: str, literals: tuple[Literal, ...]) -> Callable[[Any], bool]:
    if op == "like":
        pattern = _like(literals[0].value or "")
        return lambda value: value is not None and pattern.fullmatch(value) is not None
    if op in _ORDERED:
        return _ordered(op, field, literals[0])
    spans = [_span(literal, field) for literal in literals if literal.kind == "range"]
    wanted = {_comparable(field, literal.value) for literal in literals if literal.kind != "range"}

    def among(value: Any) -> bool:
        return value in wanted or (value is not None and any(start <= value < end for start, end in spans))

    return among if op in ("=", "in") else lambda value: not among(value)


def _ordered(op: str, field: FieldSpec, literal: Literal) -> Callable[[Any], bool]:
    compare = _ORDERED[op]
    if literal.kind == "range":
        start, end = _span(literal, field)
        bound = end if op in ("<=", ">") else start
        compare = operator.lt if op in ("<", "<=") else operator.ge
    else:
        bound = _comparable(field, literal.value)
    return lambda value: value is not None and bound is not None and compare(value, bound)


def _span(literal: Literal, field: FieldSpec) -> tuple[Any, Any]:
    """Beginning and end (exclusive) of a date literal, in UTC days."""
    today = datetime.now(UTC).date()
    word, _, count = literal.value.partition(":")
    days = int(count or 0)
    first, last = {
        "today": (0, 0), "yesterday": (-1, -1), "tomorrow": (1, 1), "last_n_days": (1 - days, 0), "next_n_days": (1, days),
    }[word]  # fmt: skip
    start, end = today + timedelta(days=first), today + timedelta(days=last + 1)
    if field.type == "date":
        return start, end
    return _midnight(start), _midnight(end)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _like(pattern: str) -> re.Pattern[str]:
    """% is any text, _ one character; a backslash takes either as it is."""
    pieces = re.findall(r"\\[%_]|.", pattern.lower(), flags=re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.compile("".join(wild.get(p) or re.escape(p.removeprefix("\\") if len(p) == 2 else p) for p in pieces), re.DOTALL)
