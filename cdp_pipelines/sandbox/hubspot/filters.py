"""The conditions of a search.

Where the documentation is silent, approximated: a record without a value matches NEQ, NOT_IN and NOT_CONTAINS_TOKEN and no other
comparison; a token is a run of letters and digits, and `*` stands for anything within a token or the whole value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from cdp_pipelines.sandbox.hubspot.errors import Refused, bad_input, invalid
from cdp_pipelines.sandbox.hubspot.properties import Property
from cdp_pipelines.sandbox.hubspot.records import milliseconds

_TOKEN = re.compile(r"[^\W_]+")
EVER = 2**62  # milliseconds

Test = Callable[[str | None], bool]


@dataclass(frozen=True)
class Filter:
    """A condition on one property. `span` is the same as the first and the last millisecond that match, where it can be said so."""

    property: str
    operator: str
    test: Test
    span: tuple[int, int] | None = None


def span_of(of: Property, operator: str, given: dict[str, Any]) -> tuple[int, int] | None:
    """The first and the last millisecond that match a condition on a moment; None when it cannot be said so."""
    if operator not in ("GT", "GTE", "LT", "LTE", "EQ", "BETWEEN"):
        return None
    bound = max(-EVER, min(comparable(of, str(given["value"])), EVER))
    if operator == "BETWEEN":
        return bound, max(-EVER, min(comparable(of, str(given["highValue"])), EVER))
    first = {"GT": bound + 1, "GTE": bound, "EQ": bound}.get(operator, -EVER)
    return first, {"LT": bound - 1, "LTE": bound, "EQ": bound}.get(operator, EVER)


def association_test(operator: str, given: dict[str, Any]) -> Test:
    """A function that tells whether the ids of associated records match. Raises Refused for an operator or values that do not fit."""
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return (lambda text: bool(text)) if operator == "HAS_PROPERTY" else (lambda text: not text)
    values = given.get("values") if operator in ("IN", "NOT_IN") else [given.get("value")]
    if operator not in ("EQ", "NEQ", "IN", "NOT_IN") or not isinstance(values, list):
        raise bad_input(f"{operator} is not a valid operator for associations, or its values are missing")
    wanted = set(map(str, values))
    inside = operator in ("EQ", "IN")
    return lambda text: bool(wanted & set((text or "").split(";"))) is inside


def compile_filter(of: Property, operator: str, given: dict[str, Any], *, epoch_zero_fails: bool = True) -> Test:
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
    if epoch_zero_fails and of.type in ("datetime", "date") and str(given["value"]) == "0":
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
    except (ValueError, OverflowError):
        raise invalid(f"There was a problem with the request: {of.name} is a {of.type}") from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _has_token(text: str, pattern: str) -> bool:
    pattern = pattern.replace("[", "[[]").replace("?", "[?]")  # only the star stands for something
    if fnmatchcase(text, pattern):
        return True
    wanted, tokens = pattern.split(), _TOKEN.findall(text)
    return all(any(fnmatchcase(token, word) for token in tokens) for word in wanted)
