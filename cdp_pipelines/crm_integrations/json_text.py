"""JSON values as text, as the vendor sent them."""

from __future__ import annotations

from typing import Any

import orjson


def as_text(value: Any) -> str | None:
    """A JSON value as text: strings as they are, numbers and booleans as JSON writes them, objects and lists as compact JSON."""
    if value is None or isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (dict, list)):
        return orjson.dumps(value).decode()
    return str(value)


def whole_text(value: Any) -> str | None:
    """As `as_text`, with half characters (text that was cut inside an emoji, say) made what Unicode says: U+FFFD."""
    text = as_text(value)
    return text if text is None else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
