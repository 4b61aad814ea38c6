"""What a change notification comes down to: which record of which connection to read again. Values that it carries are not kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

# changed: created or edited; restored: back after it was deleted; merged: `related` went into the record; erased: for privacy's sake;
# linked: an association of the record with the `related` one; missed: the CRM says that there were events which it does not tell.
What = Literal["changed", "restored", "deleted", "merged", "erased", "linked", "missed"]


class Malformed(Exception):
    """A notification that is not what its vendor sends. The text says where, and holds no value of it."""


@dataclass(frozen=True)
class Event:
    """One thing to read again.

    `object` is the vendor's own name (`contacts`, `Contact`, `leads`; `contacts/companies` for links), `record_id` is empty where the
    whole object is meant. `identity` is the same for the same event, however often it is sent; empty where the vendor gives nothing to
    tell events apart by. `occurred_at` is when the CRM says that it happened.
    """

    connection: str
    object: str
    record_id: str
    what: What
    occurred_at: datetime | None = None
    identity: str = ""
    related: tuple[str, ...] = ()


def json_of(body: bytes) -> Any:
    """The JSON value of a body. Raises Malformed."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None


def items_of(value: Any, most: int) -> list[dict[str, Any]]:
    """The objects of a list, or the one object. Raises Malformed for anything else, and for more than `most`."""
    found = value if isinstance(value, list) else [value]
    if len(found) > most:
        raise Malformed(f"there are more than {most} events in one call")
    for number, item in enumerate(found):
        if not isinstance(item, dict):
            raise Malformed(f"event {number} is not an object")
    return found


def number_of(item: dict[str, Any], name: str) -> str:
    """A positive integer id, given as a number or as text. Raises Malformed."""
    value = item.get(name)
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,18}", value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        return str(value)
    raise Malformed(f"{name} is not an id")


def text_of(item: dict[str, Any], name: str, longest: int = 200) -> str:
    """A text that is there. Raises Malformed."""
    value = item.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
        raise Malformed(f"{name} is not a text of up to {longest} characters")
    return value


def milliseconds_of(item: dict[str, Any], name: str) -> datetime:
    """A moment given in milliseconds since 1970. Raises Malformed."""
    value = item.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 4_102_444_800_000:
        raise Malformed(f"{name} is not a time in milliseconds")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)


def iso_of(item: dict[str, Any], name: str) -> datetime | None:
    """A moment in ISO 8601, with a zone; None when it is absent. Raises Malformed."""
    value = item.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise Malformed(f"{name} is not a time") from None
