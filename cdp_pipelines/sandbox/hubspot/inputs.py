"""What callers send: bodies of the right shape, and values that a property takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from cdp_pipelines.sandbox.hubspot.errors import bad_input, invalid, wrong_values
from cdp_pipelines.sandbox.hubspot.properties import Property

_EMAIL = re.compile(r"[^@\s,;<>()\[\]\\]+@[^@\s,;<>()\[\]\\.]+(\.[^@\s,;<>()\[\]\\.]+)+")
_MOST_CHARACTERS = 65_536
_LARGEST = 1e300

Problem = dict[str, str]
# Properties that a record always has, and the values that there are for them.
Places = Mapping[str, Mapping[str, str]]


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises Refused."""
    try:
        raw = await request.body()
        body = json.loads(raw)
        if b"\\ud" in raw.lower():
            json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair is text that no answer could repeat
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise bad_input("Cannot deserialize value")
    return body


def objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects in a body; a missing one is empty. Raises Refused."""
    found = body.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise bad_input(f"{name} must be a list of objects")
    return found


def texts(body: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts in a body; a missing one is empty. Raises Refused."""
    found = body.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise bad_input(f"{name} must be a list of strings")
    return found


def text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text in a body; a number passes for one. Raises Refused when it is missing and has no default."""
    found = body.get(name)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise bad_input(f'Some required fields were not set: ["{name}"]')
    return str(found)


def whole(value: Any, name: str) -> int:
    """A number that may come as text. Raises Refused."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid(f"Invalid input JSON: {name} must be a whole number") from None


def record_id(given: Any) -> int | None:
    """A record's id as it may be sent; None when it is none."""
    found = str(given)
    return int(found) if found.isascii() and found.isdigit() and len(found) < 19 else None


def names(request: Request, param: str) -> list[str]:
    """A list parameter, its values joined by commas or repeated."""
    return list(dict.fromkeys(n.strip() for v in request.query_params.getlist(param) for n in v.split(",") if n.strip()))


def flag(request: Request, name: str) -> bool:
    """A parameter that is true or false."""
    return request.query_params.get(name, "").lower() == "true"


def given_properties(body: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that a body sets. Raises Refused."""
    found = body.get("properties")
    if found is None:
        return {}
    if not isinstance(found, dict) or any(isinstance(value, dict | list) for value in found.values()):
        raise bad_input("properties must be an object of strings")
    return found


def check_values(
    known: Mapping[str, Property], given: Mapping[str, Any], owners: set[str], places: Places
) -> tuple[dict[str, str], list[Problem]]:
    """Property values as HubSpot keeps them, and what is wrong with the others. `''` and null clear a property but those of `places`."""
    kept: dict[str, str] = {}
    problems: list[Problem] = []
    for name, sent in given.items():
        try:
            if name not in known:
                raise _Wrong("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
            if known[name].read_only:
                raise _Wrong("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
            kept[name] = _kept(known[name], _as_text(sent), owners, places)
        except _Wrong as wrong:
            problems.append({"name": name, "error": wrong.code, "message": str(wrong)})
    return kept, problems


def checked_values(known: Mapping[str, Property], given: Mapping[str, Any], owners: set[str], places: Places) -> dict[str, str]:
    """Property values as HubSpot keeps them. Raises Refused."""
    kept, problems = check_values(known, given, owners, places)
    if problems:
        raise wrong_values(problems)
    return kept


class _Wrong(Exception):
    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


def _as_text(sent: Any) -> str:
    if isinstance(sent, bool):
        return str(sent).lower()
    return "" if sent is None else str(sent)


def _kept(of: Property, sent: str, owners: set[str], places: Places) -> str:
    if sent == "":
        if of.name in places:
            raise _Wrong("REQUIRED_FIELD", f"{of.name} cannot be empty")
        return ""
    if len(sent) > _MOST_CHARACTERS:
        raise _Wrong("INVALID_LENGTH", f"Property value for {of.name} is longer than {_MOST_CHARACTERS} characters")
    if of.name == "email":
        if not _EMAIL.fullmatch(sent.strip()):
            raise _Wrong("INVALID_EMAIL", f"Email address {sent} is invalid")
        return sent.strip().lower()
    match of.type:
        case "number":
            return _number(sent)
        case "datetime" | "date":
            return _moment(of, sent)
        case "bool":
            return _choice(of, sent.lower(), {"true": "", "false": ""})
        case "enumeration":
            if of.name == "hubspot_owner_id":
                if sent not in owners:
                    raise _Wrong("INVALID_OWNER_ID", f"Owner {sent} does not exist")
                return sent
            allowed = places.get(of.name) or of.choices()
            if of.field_type == "checkbox":
                for part in filter(None, sent.split(";")):
                    _choice(of, part, allowed)
                return sent
            return _choice(of, sent, allowed)
    return sent


def _number(sent: str) -> str:
    try:
        if not abs(float(sent)) < _LARGEST or "_" in sent:
            raise ValueError
    except ValueError:
        raise _Wrong("INVALID_FLOAT", f"{sent} was not a valid number.") from None
    return sent.strip()


def _moment(of: Property, sent: str) -> str:
    """Milliseconds or ISO 8601; kept as ISO, as HubSpot's newer API shows it. A date is a midnight in UTC."""
    try:
        if sent.lstrip("-").isdigit():
            moment = datetime.fromtimestamp(int(sent) / 1000, UTC)
        else:
            moment = datetime.fromisoformat(sent)
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise _Wrong("INVALID_DATE", f"{sent} was not a valid {of.type}.") from None
    if of.type == "date":
        if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
            raise _Wrong("INVALID_DATE", f"{sent} is at {moment:%H:%M:%S}.{moment.microsecond // 1000:03d} UTC, not midnight!")
        return moment.strftime("%Y-%m-%d")
    shown = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{shown}.{moment.microsecond // 1000:03d}Z" if moment.microsecond >= 1000 else f"{shown}Z"


def _choice(of: Property, sent: str, allowed: Mapping[str, str]) -> str:
    if allowed and sent not in allowed:
        raise _Wrong("INVALID_OPTION", f"{sent} was not one of the allowed options: [{', '.join(allowed)}]")
    return sent


def appended(old: str, sent: str) -> str:
    """A checkbox's new value: what begins with `;` comes on top of what is there."""
    if not sent.startswith(";"):
        return sent
    return ";".join(dict.fromkeys(part for part in [*old.split(";"), *sent.split(";")] if part))
