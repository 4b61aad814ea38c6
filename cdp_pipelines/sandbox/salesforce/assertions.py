"""The JWT bearer grant's assertion: who signs in for which user, checked as the token endpoint does."""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_LONGEST_SECONDS = 180
# Clocks differ; how far the vendor lets them is approximated.
_LEEWAY_SECONDS = 30


class BadAssertion(Exception):
    """Why an assertion is refused, as `error_description` has it (approximated, but for the user's)."""


def check(assertion: str, public_key: str | None, user: str, own_url: str) -> str:
    """The client id that an assertion names. Raises BadAssertion.

    `public_key` is PEM; without one the signature is not looked at.
    """
    try:
        head, payload, signature = assertion.split(".")
        header, claims = (json.loads(_decoded(part)) for part in (head, payload))
        signed = _decoded(signature)
        expires = float(claims["exp"])
        named, audience, client = str(claims.get("sub") or claims.get("prn")), str(claims["aud"]).rstrip("/"), str(claims["iss"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise BadAssertion("invalid assertion") from None
    if not isinstance(header, dict) or header.get("alg") != "RS256":
        raise BadAssertion("algorithm not supported")
    now = time.time()
    if not now - _LEEWAY_SECONDS <= expires <= now + _LONGEST_SECONDS + _LEEWAY_SECONDS:
        raise BadAssertion("expired authorization code" if expires < now else "invalid assertion")
    if audience not in (*_AUDIENCES, own_url.rstrip("/")):
        raise BadAssertion("audience is invalid")
    if public_key is not None and not _signed_by(public_key, f"{head}.{payload}".encode(), signed):
        raise BadAssertion("invalid assertion")
    if named != user:
        raise BadAssertion("user hasn't approved this consumer")
    return client


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _signed_by(public_key: str, content: bytes, signature: bytes) -> bool:
    # Only who sets a key needs the library.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key: Any = load_pem_public_key(public_key.encode())
    try:
        key.verify(signature, content, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
