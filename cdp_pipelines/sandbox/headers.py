"""Header names as the vendors' servers write them over HTTP/1.1.

Names are equal whatever their case, but clients exist that look for `Content-Type` in a plain dictionary: the Airbyte CDK takes another way
through a CSV when it finds `content-type`.
"""

from __future__ import annotations

from functools import cache

from starlette.types import Message, Send

_SPECIAL = {b"etag": b"ETag", b"www-authenticate": b"WWW-Authenticate", b"x-xss-protection": b"X-XSS-Protection"}


def capitalised(send: Send) -> Send:
    """A `send` that writes the names of an answer's headers with capitals."""

    async def capitalising(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [(_name(bytes(name)), value) for name, value in message.get("headers", ())]}
        await send(message)

    return capitalising


@cache
def _name(name: bytes) -> bytes:
    lower = name.lower()
    if lower.startswith(b"x-hubspot-"):
        return b"X-HubSpot-" + _words(lower.removeprefix(b"x-hubspot-")).replace(b"Ratelimit", b"RateLimit")
    return _SPECIAL.get(lower) or _words(lower)


def _words(name: bytes) -> bytes:
    return b"-".join(word.capitalize() for word in name.split(b"-"))
