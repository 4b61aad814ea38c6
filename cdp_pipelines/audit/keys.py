"""The key behind pseudonyms, seals and the suppression list: from `CDP_PRIVACY_KEY`, else a file that is made once."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.encryption import Sealer

Purpose = Literal["pseudonym", "chain", "payload", "suppression", "settings", "certificate", "masking"]
LEAST = 32


class PrivacyKey:
    """One secret, and from it another one for each purpose, so that what one of them shows says nothing of the others."""

    def __init__(self, secret: bytes):
        self._secret = secret
        self.id = self._derived(b"id").hex()[:12]

    def of(self, purpose: Purpose) -> bytes:
        """32 bytes for one purpose."""
        return self._derived(purpose.encode())

    def mac(self, purpose: Purpose, data: bytes) -> str:
        """HMAC-SHA-256 of some bytes, in hexadecimal."""
        return hmac.digest(self.of(purpose), data, "sha256").hex()

    def _derived(self, label: bytes) -> bytes:
        return hmac.digest(self._secret, b"cdp-pipelines/" + label, "sha256")


def key_file(settings: Settings) -> Path:
    """Where the key lies when no setting gives it."""
    return settings.privacy_dir / "key"


def load(settings: Settings) -> PrivacyKey:
    """The key. Made on first use, readable by its owner alone. Raises ConfigError for one that is too short or cannot be read."""
    if settings.privacy_key is not None:
        secret = settings.privacy_key.get_secret_value().encode()
        if len(secret) < LEAST:
            raise ConfigError("CDP_PRIVACY_KEY", f"has fewer than {LEAST} characters", "Make one with `openssl rand -hex 32`, and keep it.")
        return PrivacyKey(secret)
    path = key_file(settings)
    try:
        if not path.exists():
            _make(settings, path)
        secret = Sealer.of(settings).read(path).strip()
    except OSError as error:
        raise ConfigError(
            str(path), f"cannot be read or made ({error.strerror})", "Mend its permissions, or set CDP_PRIVACY_KEY."
        ) from None
    if len(secret) < LEAST:
        raise ConfigError(str(path), "is not a whole key", "Take it back from a backup: pseudonyms and the suppression list hang on it.")
    return PrivacyKey(secret)


def _make(settings: Settings, path: Path) -> None:
    """Write a new key in one move; whoever comes second finds the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(Sealer.of(settings).content(secrets.token_hex(32).encode(), path))
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()
