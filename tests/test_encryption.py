"""The key: where it may come from; and what is sealed with it opens with it alone."""

from __future__ import annotations

import os
from pathlib import Path

import keyring
import keyring.backend
import pytest
from keyring.errors import PasswordDeleteError

from cdp_pipelines import encryption
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.encryption import EncryptionKey, Sealer

KEY = "k" * 32


class InMemory(keyring.backend.KeyringBackend):
    """A keyring that keeps nothing."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        raise PasswordDeleteError(service)


def key_of(text: str) -> EncryptionKey:
    return EncryptionKey(text.encode(), "CDP_ENCRYPTION_KEY")


def test_the_key_comes_from_the_environment_a_private_file_or_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encryption.load(Settings()) is None
    monkeypatch.setenv("CDP_ENCRYPTION_KEY", KEY)
    assert encryption.load(Settings()) == key_of(KEY)
    monkeypatch.delenv("CDP_ENCRYPTION_KEY")
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    monkeypatch.setenv("CDP_ENCRYPTION_KEY_FILE", str(path))
    os.chmod(path, 0o640)
    with pytest.raises(ConfigError, match=r"CDP_ENCRYPTION_KEY_FILE names .*others may read\. Run `chmod 600"):
        encryption.load(Settings())
    os.chmod(path, 0o600)
    found = encryption.load(Settings())
    assert found is not None and found.secret == KEY.encode()
    path.unlink()
    with pytest.raises(ConfigError, match=r"CDP_ENCRYPTION_KEY_FILE names .*cannot be read"):
        encryption.load(Settings())
    monkeypatch.delenv("CDP_ENCRYPTION_KEY_FILE")
    monkeypatch.setenv("CDP_ENCRYPTION_KEYRING", "true")
    before, ours = keyring.get_keyring(), InMemory()
    keyring.set_keyring(ours)
    try:
        encryption._from_keyring.cache_clear()
        with pytest.raises(ConfigError, match=r"no such key\. Store one with `keyring set cdp-pipelines encryption-key`"):
            encryption.load(Settings())
        keyring.set_password(*encryption.KEYRING, KEY)
        found = encryption.load(Settings())
        assert found is not None and found.secret == KEY.encode()
    finally:
        keyring.set_keyring(before)
        encryption._from_keyring.cache_clear()


def test_a_short_key_is_refused_and_no_error_or_print_tells_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_ENCRYPTION_KEY", "too-short-a-secret")
    with pytest.raises(ConfigError, match="fewer than 32 characters") as said:
        encryption.load(Settings())
    assert "too-short" not in f"{said.value} {Settings()!r} {Settings()}"
    assert KEY not in f"{key_of(KEY)!r} {key_of(KEY)}"


def test_what_is_sealed_opens_with_its_key_alone_as_what_it_is_and_unchanged(tmp_path: Path) -> None:
    path, sealer, other = tmp_path / "plan.json", Sealer(key_of(KEY)), Sealer(key_of("o" * 32))
    sealer.write(path, b"ann@acme.example")
    assert b"acme" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert sealer.read(path) == b"ann@acme.example"
    for wrong in (other, Sealer(None)):
        with pytest.raises(ConfigError):
            wrong.read(path)
    moved = path.rename(tmp_path / "another.json")
    with pytest.raises(ConfigError):
        sealer.read(moved)
    moved.rename(path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ConfigError):
        sealer.read(path)
    text = sealer.text("ann", "outbox")
    assert sealer.opened(text, "outbox", path) == "ann"
    assert sealer.text("ann", "outbox") != text
    with pytest.raises(ConfigError):
        sealer.opened(text, "inbox", path)
    with pytest.raises(ConfigError, match="not encrypted yet"):
        sealer.opened("ann", "outbox", path)
