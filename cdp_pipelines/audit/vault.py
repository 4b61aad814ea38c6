"""Payloads that can be made unreadable: each subject has a salt, and without it nobody opens what was sealed for it, not even with the key.

The salts are in a SQLite file beside the log. `destroy` overwrites one on the disk; the entries stay as they are, and the chain holds.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cdp_pipelines.audit.keys import PrivacyKey
from cdp_pipelines.private_files import private_database

NONCE = 12
_SCHEMA = "create table if not exists salts (subject text primary key, salt blob not null) without rowid"


class Vault:
    """The salts of an audit log."""

    def __init__(self, folder: Path, key: PrivacyKey):
        self._path, self._key = folder / "salts.sqlite", key

    def seal(self, items: Sequence[tuple[Sequence[str], Any]]) -> list[str]:
        """Each payload (JSON values) encrypted for its subjects, all of whom are needed to open it; salts are made where there are none."""
        salts = self._salts({subject for subjects, _ in items for subject in subjects}, make=True)
        return [base64.b64encode(self._sealed(salts, subjects, payload)).decode() for subjects, payload in items]

    def open(self, items: Sequence[tuple[Sequence[str], str]]) -> list[Any]:
        """Each payload; None where a subject's salt was destroyed, or the key is another one."""
        salts = self._salts({subject for subjects, _ in items for subject in subjects}, make=False)
        return [self._opened(salts, subjects, sealed) for subjects, sealed in items]

    def known(self, subjects: Iterable[str]) -> set[str]:
        """Those of some subjects that have a salt."""
        return set(self._salts(set(subjects), make=False))

    def destroy(self, subjects: Iterable[str]) -> int:
        """Make unreadable what was sealed for these; gives how many of them had a salt."""
        if not self._path.exists():
            return 0
        with private_database(self._path, _SCHEMA) as db:
            before = db.total_changes
            db.executemany("delete from salts where subject = ?", [(subject,) for subject in set(subjects)])
            gone = db.total_changes - before
            db.commit()
            db.execute("vacuum")
        return gone

    def _sealed(self, salts: dict[str, bytes], subjects: Sequence[str], payload: Any) -> bytes:
        data = orjson.dumps(payload)
        for subject in sorted(set(subjects)):
            nonce = os.urandom(NONCE)
            data = nonce + AESGCM(self._secret(subject, salts[subject])).encrypt(nonce, data, subject.encode())
        return data

    def _opened(self, salts: dict[str, bytes], subjects: Sequence[str], sealed: str) -> Any:
        try:
            data = base64.b64decode(sealed, validate=True)
            for subject in sorted(set(subjects), reverse=True):
                if subject not in salts:
                    return None
                secret = self._secret(subject, salts[subject])
                data = AESGCM(secret).decrypt(data[:NONCE], data[NONCE:], subject.encode())
            return orjson.loads(data)
        except (InvalidTag, ValueError):
            return None

    def _secret(self, subject: str, salt: bytes) -> bytes:
        return hmac.digest(self._key.of("payload"), salt + subject.encode(), "sha256")

    def _salts(self, subjects: set[str], *, make: bool) -> dict[str, bytes]:
        if not subjects or (not make and not self._path.exists()):
            return {}
        with private_database(self._path, _SCHEMA) as db:
            if make:
                db.executemany("insert or ignore into salts values (?, ?)", [(subject, os.urandom(32)) for subject in sorted(subjects)])
                db.commit()
            found: dict[str, bytes] = {}
            names = sorted(subjects)
            for start in range(0, len(names), 500):
                some = names[start : start + 500]
                found |= dict(
                    db.execute(f"select subject, salt from salts where subject in ({', '.join('?' * len(some))})", some).fetchall()
                )
        return found
