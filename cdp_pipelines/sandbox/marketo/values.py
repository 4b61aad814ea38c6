"""What a written value becomes: Marketo takes text for most things, refuses what does not fit, and keeps '' as nothing."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

from cdp_pipelines.sandbox.marketo.envelope import ApiError

_MOST = 2**31 - 1
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def written(name: str, kind: str, length: int | None, value: Any) -> Any:
    """`value` as a field of this type (`dataType` of its describe) keeps it; None for nothing, False for a boolean without a value.

    Raises ApiError 1003. Approximated: which texts count as yes and no, and that text beyond the length is refused, not cut.
    """
    if value is None or value == "":
        return False if kind == "boolean" else None
    try:
        found = _read(kind, value)
    except (ValueError, OverflowError):
        found = None
    if found is None or (isinstance(found, str) and length is not None and len(found) > length):
        raise ApiError(1003, f"Invalid value for field '{name}' and value '{str(value)[:100]}'")
    return found


def _read(kind: str, value: Any) -> Any:
    if isinstance(value, list | dict):
        return None
    if kind == "boolean":
        return value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
    if kind in ("integer", "score", "percent", "reference"):
        return _whole(value)
    if kind in ("float", "currency"):
        number = None if isinstance(value, bool) else float(value)
        return number if number is not None and math.isfinite(number) and abs(number) < 1e15 else None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if kind == "date":
        return (datetime.fromisoformat(text).date() if len(text) > 10 else date.fromisoformat(text)).isoformat()
    if kind == "datetime":
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    # Addresses with other letters are refused by the API, whatever an import once let in.
    return None if kind == "email" and not text.isascii() else text


def _whole(value: Any) -> int | None:
    number = value if type(value) is int else float(value) if type(value) is float else int(str(value)) if len(str(value)) < 12 else None
    if isinstance(value, bool) or number is None or number != int(number) or abs(number) > _MOST:
        return None
    return int(number)
