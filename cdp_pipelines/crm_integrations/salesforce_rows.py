"""How Salesforce's JSON and CSV write a value, and what the error of a row means."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from cdp_pipelines.crm_integrations.writes import CLEAR, RecordWrite, Value, WriteResult

NULL_CELL = "#N/A"
# Another try in a moment may well succeed.
PASSING = frozenset({"UNABLE_TO_LOCK_ROW"})
# Salesforce would take the row at another time.
_LATER = PASSING | {"SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "UNKNOWN_EXCEPTION", "REQUEST_RUNNING_TOO_LONG"}
_IN_THE_WAY = re.compile(r"record with id: ([a-zA-Z0-9]{15,18})")


def json_value(value: Value) -> Any:
    """A value in JSON; null clears, and so does blank text."""
    if value is CLEAR:
        return None
    return _moment(value) if isinstance(value, date) else value


def cell(value: Value) -> str:
    """A value in a file, where an empty cell would leave the field as it is."""
    if value is CLEAR or value == "":
        return NULL_CELL
    if isinstance(value, bool):
        return str(value).lower()
    return _moment(value) if isinstance(value, date) else str(value)


def rejected(write: RecordWrite, code: str, message: str, error: dict[str, Any] | None = None) -> WriteResult:
    """The result of a row that was refused. `error` may name the fields, and the records that a duplicate rule found."""
    about = error or {}
    results = (about.get("duplicateResult") or {}).get("matchResults") or []
    found = tuple(match["record"]["Id"] for result in results for match in result.get("matchRecords") or [])
    candidates = found or tuple(_IN_THE_WAY.findall(message))
    names = ", ".join(about.get("fields") or [])
    reason = f"{message} ({names})" if names else message
    record_id = candidates[0] if len(candidates) == 1 else write.id
    return WriteResult(write.key, "rejected", record_id, code, reason, retryable=code in _LATER, candidates=candidates)


def _moment(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
