"""What clients write into fields: JSON or CSV text to the value that a record keeps, or the refusal that Salesforce gives."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any

from cdp_pipelines.sandbox.salesforce.ids import well_formed
from cdp_pipelines.sandbox.salesforce.replies import Refused
from cdp_pipelines.sandbox.salesforce.schema import FieldSpec, ObjectSpec
from cdp_pipelines.sandbox.salesforce.translate import text

_EMAIL = re.compile(r"[^@\s,;<>()\[\]\"\\]+@[^@\s,;<>()\[\]\"\\.]+(\.[^@\s,;<>()\[\]\"\\.]+)+")
FIRST_YEAR, LAST_YEAR = 1700, 4000
_XSD = {"datetime": "xsd:dateTime", "date": "xsd:date", "boolean": "xsd:boolean", "int": "xsd:int"}
_NUMBERS = ("double", "currency", "percent", "int")


class BadValue(Refused):
    """A value that is none of the field's type. REST and bulk word it differently."""

    def __init__(self, field: FieldSpec, value: Any):
        kind = {str: "VALUE_STRING", bool: "VALUE_TRUE" if value else "VALUE_FALSE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT"}
        name = {"reference": "reference ID", "id": "reference ID"}.get(field.type, field.type)
        shown = "START_OBJECT value {" if isinstance(value, dict) else f"{kind.get(type(value), 'VALUE_NULL')} value {value}"
        problem = f"Cannot deserialize instance of {name} from {shown} or request may be missing a required field"
        super().__init__(400, "JSON_PARSER_ERROR", problem)
        self.field, self.value = field, value

    def bulk_text(self, column: int) -> str:
        """As the failed rows of a bulk upload have it."""
        wanted = _XSD.get(self.field.type, "xsd:double")
        return (f"INVALID_FIELD:Failed to deserialize field at col {column}. Due to, '{self.value}' is not a valid value for the type "
                f"{wanted}:{self.field.name} --")  # fmt: skip


def read_value(spec: ObjectSpec, field: FieldSpec, value: Any) -> Any:
    """The value to keep; None clears. Raises Refused."""
    if value is None:
        if field.type == "boolean":
            raise BadValue(field, value)
        return None
    if isinstance(value, dict | list):
        raise BadValue(field, value)
    if field.type == "boolean":
        return _boolean(field, value)
    if field.type in _NUMBERS:
        return _number(field, value)
    if field.type in ("date", "datetime"):
        return _time(field, value)
    return _text(spec, field, value)


def _boolean(field: FieldSpec, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() in ("true", "false", "1", "0"):
        return str(value).strip().lower() in ("true", "1")
    raise BadValue(field, value)


def _number(field: FieldSpec, value: Any) -> float | int | None:
    if isinstance(value, str) and not value.strip():
        return None
    try:
        if isinstance(value, bool) or (
            isinstance(value, str) and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value.strip(), re.ASCII)
        ):
            raise ValueError
        number = float(value)
        if field.type == "int" and number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise BadValue(field, value) from None
    digits = field.size if field.type == "int" else field.precision - field.scale
    if not math.isfinite(number) or (digits and abs(number) >= 10**digits):
        problem = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise Refused(400, "NUMBER_OUTSIDE_VALID_RANGE", problem, [field.name])
    return int(number) if field.type == "int" else number


def _time(field: FieldSpec, value: Any) -> date | datetime | None:
    if not isinstance(value, str):
        raise BadValue(field, value)
    if not value.strip():
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError
        # A date may come with a time, which is left out.
        return moment.date() if field.type == "date" else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValue(field, value) from None


def _text(spec: ObjectSpec, field: FieldSpec, value: Any) -> str | None:
    if isinstance(value, bool):
        value = "true" if value else "false"
    kept = text(str(value))
    if kept is None:
        return None
    if field.type in ("id", "reference"):
        return _reference(field, kept)
    if field.size and len(kept) > field.size:
        problem = f"{field.label}: data value too large: {kept} (max length={field.size})"
        raise Refused(400, "STRING_TOO_LONG", problem, [field.name])
    if field.type == "email" and not _EMAIL.fullmatch(kept):
        raise Refused(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {kept}", [field.name])
    if "r" in field.flags and kept not in {v for v, _ in spec.picklist(field)}:
        problem = f"{field.label}: bad value for restricted picklist field: {kept}"
        raise Refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", problem, [field.name])
    return kept


def _reference(field: FieldSpec, value: str) -> str:
    if not well_formed(value):
        raise Refused(400, "MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", [field.name])
    return value
