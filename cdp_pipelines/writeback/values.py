"""A value of ours in a CRM's form, and whether two values mean the same, whatever the CRM made of their spelling."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cdp_pipelines.mapping import StandardField
from cdp_pipelines.writeback.fields import FieldTarget

Scalar = str | int | float | bool
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
NULL: Final = ""
"""What blank and null have in common here: nothing."""


class ValueProblem(ValueError):
    """A value cannot be written to its field; the text says why without saying the value."""


def outgoing(target: FieldTarget, value: Any) -> Scalar | None:
    """A value as the CRM takes it; None where there is nothing (null, and blank text). Raises ValueProblem."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    kind = target.field.type
    if kind == "boolean":
        return _boolean(target.ours, value)
    if kind == "integer" or kind.startswith("decimal"):
        return _number(target, value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if not isinstance(value, str | int | float | Decimal) or isinstance(value, bool):
        raise ValueProblem(f"{target.ours} needs text")
    text = unicodedata.normalize("NFC", str(value)).strip()
    return text.lower() if target.field.clean == "email" else text


def same(field: StandardField, ours: Scalar | str | None, theirs: str | None) -> bool:
    """Whether a value of ours and a CRM's text mean the same. Nothing is nothing, be it null or blank; for a yes or no, nothing is no."""
    return comparable(field, ours) == comparable(field, theirs)


def comparable(field: StandardField, value: Scalar | Decimal | None) -> Any:
    """A form in which equal values are equal."""
    text = "" if value is None else str(value)
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    if field.type == "boolean":
        return text.lower() in _TRUE
    if field.type == "integer" or field.type.startswith("decimal"):
        try:
            return Decimal(text).normalize() if text else NULL
        except InvalidOperation:
            return text
    return text.lower() if field.clean == "email" else text


def blank(value: Any) -> bool:
    """Whether there is nothing in it."""
    return value is None or (isinstance(value, str) and not value.strip())


def _boolean(name: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ValueProblem(f"{name} needs true or false")
    return text in _TRUE


def _number(target: FieldTarget, value: Any) -> int | float:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueProblem(f"{target.ours} needs a number") from None
    # NaN and infinity were written by other tools without a word (simple-salesforce#309, tap-salesforce PR 200).
    if isinstance(value, bool) or not number.is_finite():
        raise ValueProblem(f"{target.ours} needs a finite number")
    if number == number.to_integral_value():
        return int(number)
    if target.whole:
        raise ValueProblem(f"{target.to} holds whole numbers only")
    return float(number)
