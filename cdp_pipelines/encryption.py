"""The key behind encrypted files, and sealing with it: AES-256-GCM, with a key of its own for each purpose.

The key is `CDP_ENCRYPTION_KEY`, from wherever secret settings come (secret_sources.py). Without one nothing is encrypted.
`CDP_ENCRYPTION_KEY_PREVIOUS` is the key before it, which only `cdp privacy rekey` takes.
"""

from __future__ import annotations

import base64
import os
import re
import sqlite3
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.private_files import write_private
from cdp_pipelines.scrubbing import know

LEAST = 32
PROBE = "sealed_with"
_NONCE = 12
_FILE, _TEXT = b"cdp-sealed-1\n", "sealed1:"
_NEW_KEY = "Make one with `openssl rand -hex 32`, and keep a copy: without it nobody reads the files."


@dataclass(frozen=True)
class EncryptionKey:
    """One secret; `setting` is where it comes from. What is derived for one purpose says nothing of the others."""

    secret: bytes = field(repr=False)
    setting: str

    @property
    def id(self) -> str:
        """What names the key without telling it."""
        return self._derived("id").hex()[:12]

    def of_database(self, path: Path) -> str:
        """What DuckDB is given as the key of a file: another one for each file name, so that one can be handed out without the others."""
        derived = self._derived(f"duckdb/{_name_of(path)}").hex()
        know(derived)  # it stands in SQL, which DuckDB repeats in its errors
        return derived

    def seal(self, content: bytes, about: str) -> bytes:
        """Content encrypted; `about` says what it is, and opening it as anything else fails."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._derived("sealed")).encrypt(nonce, content, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes | None:
        """Content decrypted; None when it was sealed with another key, as something else, or changed since."""
        try:
            return AESGCM(self._derived("sealed")).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError):
            return None

    def _derived(self, purpose: str) -> bytes:
        return _derive(self.secret, purpose)


@cache
def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, None, f"cdp-pipelines/{purpose}".encode()).derive(secret)


def _name_of(path: Path) -> str:
    """The name that a file has, or will have: `.cdp.duckdb.123.new` is written beside `cdp.duckdb` and takes its place."""
    beside = re.fullmatch(r"\.(.+\.duckdb)\.\d+\.[a-z]+", path.name)
    return beside[1] if beside else path.name


def load(settings: Settings) -> EncryptionKey | None:
    """The key; None where none is set. Raises ConfigError for one that is too short."""
    if settings.encryption_key is not None:
        return _key(settings.encryption_key.get_secret_value(), "CDP_ENCRYPTION_KEY")
    return None


def previous(settings: Settings) -> EncryptionKey | None:
    """The key before the one that is set; None where none is named. Raises ConfigError."""
    if settings.encryption_key_previous is None:
        return None
    return _key(settings.encryption_key_previous.get_secret_value(), "CDP_ENCRYPTION_KEY_PREVIOUS")


def _key(text: str, setting: str) -> EncryptionKey:
    if len(text.strip()) < LEAST:
        raise ConfigError(setting, f"has fewer than {LEAST} characters", _NEW_KEY)
    know(text.strip())
    return EncryptionKey(text.strip().encode(), setting)


class Sealer:
    """Seals and opens what is no DuckDB file, with the key that is set; without one everything stays as it is.

    Opening raises ConfigError for what was sealed with a key that is not set, and for what is not sealed although one is.
    """

    def __init__(self, key: EncryptionKey | None):
        self.key = key

    @classmethod
    def of(cls, settings: Settings) -> Sealer:
        """With the key that is set. Raises ConfigError."""
        return cls(load(settings))

    def text(self, value: str, about: str) -> str:
        """A text sealed, as text."""
        if self.key is None:
            return value
        return _TEXT + base64.b64encode(self.key.seal(value.encode(), about)).decode()

    def opened(self, value: str, about: str, path: Path) -> str:
        """A text as it was before; `path` is the file that it is in, for the error."""
        if not value.startswith(_TEXT):
            if self.key is not None:
                raise not_encrypted(path, self.key.setting)
            return value
        content = self.key.open(base64.b64decode(value[len(_TEXT) :]), about) if self.key else None
        if content is None:
            raise refused(path, self.key)
        return content.decode()

    def content(self, content: bytes, path: Path) -> bytes:
        """A whole file's content, sealed for the file of this name."""
        return content if self.key is None else _FILE + self.key.seal(content, path.name)

    def read(self, path: Path) -> bytes:
        """A whole file's content as it was before it was sealed. Raises OSError too."""
        raw = path.read_bytes()
        if not raw.startswith(_FILE):
            if self.key is not None:
                raise not_encrypted(path, self.key.setting)
            return raw
        content = self.key.open(raw[len(_FILE) :], path.name) if self.key else None
        if content is None:
            raise refused(path, self.key)
        return content

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, or write it anew, sealed, for its owner alone."""
        write_private(path, self.content(content, path))


def check_database(db: sqlite3.Connection, path: Path, sealer: Sealer) -> None:
    """Whether a SQLite file whose texts are sealed is sealed with the key that is set: looked at before anything is read or written.

    A file without any table becomes one of this key. Raises ConfigError.
    """
    db.execute("begin immediate")
    try:
        tables = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
        if PROBE in tables:
            for (probe,) in db.execute(f"select probe from {PROBE}").fetchall():
                sealer.opened(probe, PROBE, path)
        elif sealer.key is not None and tables:
            raise not_encrypted(path, sealer.key.setting)
        elif sealer.key is not None:
            db.execute(f"create table {PROBE} (probe text not null)")
            db.execute(f"insert into {PROBE} values (?)", (sealer.text("", PROBE),))
    finally:
        db.execute("commit")


def refused(path: Path, key: EncryptionKey | None) -> ConfigError:
    """A file does not open with the key that is set, or there is none and the file needs one."""
    if key is None:
        return ConfigError(
            "CDP_ENCRYPTION_KEY",
            f"is not set, and {path} is encrypted",
            "Set the key that it was written with.",
        )
    return ConfigError(
        key.setting,
        f"does not open {path}",
        "Set the key that it was written with. To change to this one, set that one as CDP_ENCRYPTION_KEY_PREVIOUS and run `cdp privacy rekey`.",
    )


def not_encrypted(path: Path, setting: str) -> ConfigError:
    """A key is set, and a file is plain."""
    return ConfigError(setting, f"is set, and {path} is not encrypted yet", "Run `cdp privacy rekey`, which encrypts what is there.")
