"""Filters as keyword comparisons (`lead_score__gt=50`), turned into parameterised SQL over a table's columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_FLOOR, Decimal, InvalidOperation, localcontext
from typing import Any

OPERATORS = ("gt", "gte", "lt", "lte", "in", "contains", "icontains", "isnull")
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# DuckDB's exact numbers have at most 38 digits.
_LARGEST = Decimal(10) ** 38

Condition = tuple[str, list[Any]]


class FilterError(ValueError):
    """A filter names an unknown field or operator, or has a value that its field cannot be compared with."""


def conditions(filters: Mapping[str, Any], columns: Mapping[str, str]) -> list[Condition]:
    """One SQL condition, with its parameters, for each filter; `columns` is column name -> DuckDB type.

    Values may be Python values of the column's type or text that reads as one. Raises FilterError.
    """
    return [_condition(name, value, columns) for name, value in filters.items()]


def parse(texts: Iterable[str]) -> dict[str, str]:
    """Filters from texts such as `lead_score__gt=50`. Raises FilterError."""
    filters: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise FilterError(f"{text!r} is not a filter. Write field=value or field__operator=value; operators: {', '.join(OPERATORS)}.")
        if name in filters:
            raise FilterError(f"{name} is given twice. Use {split(name, ())[0]}__in=a,b for one of several values.")
        filters[name] = value
    return filters


def split(name: str, columns: Iterable[str]) -> tuple[str, str]:
    """Field and operator of a filter's name; the operator is empty for equality. A column of that very name comes first."""
    field, separator, operator = name.rpartition("__")
    return (field, operator) if separator and field and name not in columns else (name, "")


def _condition(name: str, value: Any, columns: Mapping[str, str]) -> Condition:
    field, operator = split(name, columns)
    if field not in columns:
        raise FilterError(f"There is no field {field!r}. Fields: {', '.join(columns)}.")
    if operator and operator not in OPERATORS:
        raise FilterError(f"{name}: there is no operator {operator!r}. Operators: {', '.join(OPERATORS)}; none means equality.")
    column, kind = f'"{field}"', columns[field]
    if operator == "isnull":
        return (f"{column} is null" if _boolean(name, value) else f"{column} is not null"), []
    if value is None:
        if operator:
            raise FilterError(f"{name} cannot be compared with None. Use {field}__isnull.")
        return f"{column} is null", []
    if operator == "in":
        return _in(name, column, kind, value)
    if operator in ("contains", "icontains"):
        if kind != "VARCHAR":
            raise FilterError(f"{name}: {field} is not text ({kind.lower()}), so it cannot be searched in.")
        text = _text(name, value)
        return (f"contains({column}, ?)", [text]) if operator == "contains" else (f"contains(lower({column}), lower(?))", [text])
    return f"{column} {_COMPARISONS.get(operator, '=')} ?", [_cast(name, kind, value)]


def _in(name: str, column: str, kind: str, value: Any) -> Condition:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple | set | frozenset):
        raise FilterError(f"{name} needs a list of values, not {value!r}.")
    if any(v is None for v in value):
        raise FilterError(f"{name} cannot hold None. Use __isnull for that.")
    if not value:
        return "false", []
    values = [_cast(name, kind, v) for v in value]
    return f"{column} in ({', '.join('?' * len(values))})", values


def _cast(name: str, kind: str, value: Any) -> Any:
    cast = _CASTS.get(re.sub(r"\(\d+,\d+\)$", "", kind))
    if cast is None:
        raise FilterError(f"{name}: a field of type {kind.lower()} can only be tested with __isnull.")
    return cast(name, value, kind)


def _text(name: str, value: Any, kind: str = "") -> str:
    if not isinstance(value, str):
        raise FilterError(f"{name} needs text, not {value!r}.")
    return value


def _boolean(name: str, value: Any, kind: str = "") -> bool:
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower())
    if not isinstance(value, bool):
        raise FilterError(f"{name} needs true or false.")
    return value


def _number(name: str, value: Any, kind: str) -> int | float | Decimal:
    wrong = FilterError(f"{name} needs a number, not {value!r}.")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise wrong
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise wrong from None
    if not number.is_finite() or number.copy_abs() >= _LARGEST:
        raise FilterError(f"{name} needs a number below 1e38, not {value!r}.")
    if kind in ("DOUBLE", "FLOAT"):
        return float(number)
    scale = int(found[1]) if (found := re.search(r",(\d+)\)$", kind)) else 0
    return int(number) if number == number.to_integral_value() else _between(number, scale)


def _between(number: Decimal, scale: int) -> Decimal:
    """The number itself, or, where a column of this scale cannot have it, the middle of the two that it lies between: which compares alike.

    DuckDB would bring the column to the number's scale, and fails where there is no room for the digits before the point.
    """
    with localcontext(prec=100):
        below = number.quantize(Decimal(1).scaleb(-scale), ROUND_FLOOR)
        return number if below == number else below + Decimal(5).scaleb(-scale - 1)


def _moment(name: str, value: Any, kind: str) -> date | datetime:
    """A date, or a UTC moment without zone as the tables hold it (with one, where the column has one)."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value.strip()) if len(value.strip()) <= 10 else datetime.fromisoformat(value.strip())
        except ValueError:
            value = None
    if not isinstance(value, date):
        raise FilterError(f"{name} needs a date or time such as 2026-01-31 or 2026-01-31T08:00:00Z.")
    if not isinstance(value, datetime):
        return value if kind == "DATE" else _moment(name, datetime(value.year, value.month, value.day, tzinfo=UTC), kind)
    utc = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return utc if kind.endswith("TIME ZONE") else utc.replace(tzinfo=None)


_CASTS: dict[str, Callable[[str, Any, str], Any]] = {
    "VARCHAR": _text,
    "BOOLEAN": _boolean,
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"), _moment),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), _number),
    **dict.fromkeys(("DECIMAL", "DOUBLE", "FLOAT"), _number),
}
