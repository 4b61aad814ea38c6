"""Whether a call comes from who it says: HubSpot's signatures on the raw body, and shared secrets for those that sign nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

# HubSpot's own window; a call that is older, or from the future, may be somebody's repetition of an old one.
TOLERANCE_MS = 300_000
_V3, _V1, _VERSION, _TIMESTAMP = (
    "x-hubspot-signature-v3",
    "x-hubspot-signature",
    "x-hubspot-signature-version",
    "x-hubspot-request-timestamp",
)
# What HubSpot decodes in the URI before it signs, and nothing else (developers.hubspot.com, "Validating requests").
_DECODED = {
    "3A": ":",
    "2F": "/",
    "3F": "?",
    "40": "@",
    "21": "!",
    "24": "$",
    "27": "'",
    "28": "(",
    "29": ")",
    "2A": "*",
    "2C": ",",
    "3B": ";",
}


class Refused(Exception):
    """A call that cannot be trusted; `reason` is one of missing, stale or wrong."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def check_hubspot(secrets: Iterable[str], method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
    """Accept a call that HubSpot signed with one of the app's secrets. Raises Refused.

    `url` is the address that HubSpot called, with its query, as it was written; `headers` have lower-case names. Version 3 is
    decisive where it is given; version 1, which private apps' webhooks still have, counts only without it.
    """
    if signature := headers.get(_V3):
        timestamp = headers.get(_TIMESTAMP, "")
        if not re.fullmatch(r"[0-9]{1,15}", timestamp):
            raise Refused("missing")
        if abs(now_ms - int(timestamp)) > TOLERANCE_MS:
            raise Refused("stale")
        expected = [hubspot_v3(secret, method, url, body, timestamp) for secret in secrets]
    elif (signature := headers.get(_V1)) and headers.get(_VERSION, "v1") == "v1":
        expected = [hubspot_v1(secret, body) for secret in secrets]
    else:
        raise Refused("missing")
    if not _is_one_of(signature, expected):
        raise Refused("wrong")


def hubspot_v1(secret: str, body: bytes) -> str:
    """Hex SHA-256 of the secret and the body."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def hubspot_v3(secret: str, method: str, url: str, body: bytes, timestamp: str) -> str:
    """Base64 HMAC-SHA-256, keyed with the secret, of method, URL, body and timestamp."""
    decoded = re.sub(r"%([0-9A-Fa-f]{2})", lambda found: _DECODED.get(found[1].upper(), found[0]), url)
    signed = method.upper().encode() + decoded.encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def check_shared_secret(secrets: Iterable[str], headers: Mapping[str, str], in_path: str | None) -> None:
    """Accept a call that shows one of the secrets: as `X-Webhook-Secret`, as a bearer token, or in the path. Raises Refused.

    Salesforce's outbound messages can carry no header of ours; for them the secret is the last part of the path.
    """
    shown = in_path or headers.get("x-webhook-secret") or headers.get("authorization", "").removeprefix("Bearer ")
    if not shown:
        raise Refused("missing")
    if not _is_one_of(shown, secrets):
        raise Refused("wrong")


def _is_one_of(given: str, expected: Iterable[str]) -> bool:
    # All are compared, and each in constant time: how long it takes tells nothing.
    return sum(hmac.compare_digest(given.encode(), one.encode()) for one in expected) > 0
