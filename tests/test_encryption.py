"""The key: where it may come from; and what is sealed with it opens with it alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cdp_pipelines import encryption
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.encryption import EncryptionKey, Sealer
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import MAX_TRIES, Inbox, read_status

KEY = "k" * 32


def key_of(text: str) -> EncryptionKey:
    return EncryptionKey(text.encode(), "CDP_ENCRYPTION_KEY")


def test_the_key_comes_from_the_environment_or_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encryption.load(Settings()) is None
    monkeypatch.setenv("CDP_ENCRYPTION_KEY", KEY)
    assert encryption.load(Settings()) == key_of(KEY)
    monkeypatch.delenv("CDP_ENCRYPTION_KEY")
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    monkeypatch.setenv("CDP_ENCRYPTION_KEY_FILE", str(path))
    assert encryption.load(Settings()) == key_of(KEY)


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


def test_why_an_event_was_given_up_is_sealed_and_told_with_the_key(tmp_path: Path) -> None:
    path, sealer = tmp_path / "inbox.sqlite", Sealer(key_of(KEY))
    with closing(Inbox(path, sealer=sealer)) as inbox:
        inbox.add([Event("hubspot", "deals/contacts", "5", "linked", identity="4", related=("4711", "4712"))])
        (waiting,) = inbox.waiting()
        assert waiting.event.related == ("4711", "4712")
        for _ in range(MAX_TRIES):
            inbox.failed([waiting.id], "ann@acme.example is refused")
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [value for value in (b"4711", b"ann@acme") if value in written]
    status = read_status(path, sealer)
    assert status is not None and status["connections"]["hubspot"]["last_reason"] == "ann@acme.example is refused"
    with pytest.raises(ConfigError, match="CDP_ENCRYPTION_KEY is not set"):
        read_status(path)
