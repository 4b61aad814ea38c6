"""One entry of the log as it stands in its line: JSON whose last two fields chain it to the one before."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

import orjson

from cdp_pipelines.audit.keys import PrivacyKey

BEGINNING = "0" * 64
"""What stands for the hash of an entry before the first one."""


@dataclass(frozen=True)
class Operation:
    """What is written down of a data operation.

    `what` is one of a few words (`sync`, `read`, `publish`, ...), `on` what it was done to (a connection, a table), `count` how many rows or
    records, `about` more of it without anything personal. `subjects` are pseudonyms; `payload`, which may be personal, is sealed for them.
    """

    what: str
    on: str
    result: str
    count: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    payload: Any = None
    who: str | None = None


def line_of(key: PrivacyKey, body: dict[str, Any], previous: str) -> tuple[bytes, str]:
    """The line of an entry, without its end, and its hash."""
    entry = {**body, "prev": previous}
    digest = hashlib.sha256(orjson.dumps(entry)).hexdigest()
    return orjson.dumps({**entry, "hash": digest, "mac": key.mac("chain", digest.encode())}), digest


def read(key: PrivacyKey, line: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """The entry in a line, and what is wrong with the line itself; no entry where it is none at all."""
    try:
        entry = orjson.loads(line)
        digest, mac, previous, number = entry["hash"], entry["mac"], entry["prev"], entry["n"]
    except (ValueError, KeyError, TypeError):
        return None, "is not an entry"
    if not isinstance(number, int) or not all(isinstance(text, str) for text in (digest, mac, previous)):
        return None, "is not an entry"
    bare = {name: value for name, value in entry.items() if name not in ("hash", "mac")}
    changed = orjson.dumps(entry) != line or hashlib.sha256(orjson.dumps(bare)).hexdigest() != digest
    if changed:
        return entry, "was changed after it was written"
    if not hmac.compare_digest(key.mac("chain", digest.encode()), mac):
        return entry, "was not written with this log's key"
    return entry, None
