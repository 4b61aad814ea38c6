"""Alerts reach real channels, an HTTP and an SMTP server: each fault once, its end once, and nothing is lost when a channel is down."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from typer.testing import CliRunner

from cdp_pipelines.alerting import Channels, tell
from cdp_pipelines.cli import app
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.doctor import Finding

FULL = Finding("disk", "problem", "0.1 GB are free.", "Make room.")
FINE = Finding("disk", "ok", "All is well.")


class Catcher:
    """An HTTP server that keeps what is posted to it, or has no time."""

    def __init__(self, serve: Callable[[ASGIApp], str]):
        self.got: list[dict[str, Any]] = []
        self.busy = False
        self.url = serve(Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])).replace("http://", "json://")

    async def _take(self, request: Request) -> Response:
        if self.busy:
            return Response(status_code=503)
        self.got.append(await request.json())
        return Response()

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]


class Mailbox(Message):
    """An SMTP server's letters."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[str] = []

    def handle_message(self, message: Any) -> None:
        self.got.append(str(message_from_bytes(message.as_bytes())["Subject"]))


@pytest.fixture
def catcher(serve: Callable[[ASGIApp], str]) -> Catcher:
    return Catcher(serve)


def with_channels(folder: Path, *addresses: str) -> Settings:
    return Settings(data_dir=folder, alert_channels=SecretStr(" ".join(addresses)))


def test_one_message_for_a_fault_one_for_its_end_and_none_for_repeats_by_http_and_mail(catcher: Catcher, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        settings = with_channels(
            tmp_path, f"{catcher.url}/alerts", f"mailto://127.0.0.1:{port}/?from=cdp@a.example&to=ops@a.example&mode=insecure"
        )
        for _ in range(3):
            tell(settings, Channels(settings), [FULL])
        assert catcher.titles == ["CDP problem: disk"]
        assert "0.1 GB are free." in catcher.got[0]["message"]
        assert "Make room." in catcher.got[0]["message"]
        for _ in range(3):
            tell(settings, Channels(settings), [FINE])
        assert catcher.titles == box.got == ["CDP problem: disk", "CDP: well again: disk"]
        tell(settings, Channels(settings), [FULL])
        assert catcher.titles[2:] == ["CDP problem: disk"], "what comes back is told again"
    finally:
        server.stop()


def test_a_channel_that_is_down_is_told_later_and_the_others_not_twice(catcher: Catcher, serve: Callable[[ASGIApp], str], tmp_path: Path):
    other = Catcher(serve)
    settings = with_channels(tmp_path, catcher.url, other.url)
    catcher.busy = True
    assert tell(settings, Channels(settings), [FULL]).unsent == 1
    assert (catcher.titles, other.titles) == ([], ["CDP problem: disk"])
    catcher.busy = False
    assert tell(settings, Channels(settings), [FULL]).unsent == 0
    assert catcher.titles == other.titles == ["CDP problem: disk"]
    other.busy = True
    assert tell(settings, Channels(settings), [FINE]).unsent == 1
    other.busy = False
    assert tell(settings, Channels(settings), [FINE]).sent == ["CDP: well again: disk"]
    assert catcher.titles == other.titles == ["CDP problem: disk", "CDP: well again: disk"]


def test_who_was_not_told_of_a_fault_does_not_hear_of_its_end(catcher: Catcher, tmp_path: Path):
    settings = with_channels(tmp_path, catcher.url)
    catcher.busy = True
    tell(settings, Channels(settings), [FULL])
    catcher.busy = False
    assert tell(settings, Channels(settings), [FINE]).sent == []
    assert catcher.titles == []


def test_stale_data_and_few_calls_are_told_but_not_a_check_that_only_warns(catcher: Catcher, tmp_path: Path):
    settings = with_channels(tmp_path, catcher.url)
    warnings = [
        Finding(what, "warning", "So it is.", "Do this.") for what in ("published file", "connection hubspot", "check contacts.casts")
    ]
    blocking = Finding("check contacts.unique_key", "problem", "2 rows.", "Look.")
    tell(settings, Channels(settings), [*warnings, blocking])
    assert catcher.titles == ["CDP warning: published file", "CDP warning: connection hubspot", "CDP problem: check contacts.unique_key"]


def test_addresses_are_secrets(catcher: Catcher, tmp_path: Path):
    settings = with_channels(tmp_path, f"{catcher.url}/s3cret-token")
    tell(settings, Channels(settings), [FULL])
    assert "s3cret-token" not in settings.alerts.read_text()
    assert settings.alerts.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="CDP_ALERT_CHANNELS has as address 2 what is none") as refused:
        Channels(with_channels(tmp_path, catcher.url, "n0thing-s3cret"))
    assert "s3cret" not in str(refused.value)


def test_the_command_tries_every_channel(catcher: Catcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    assert CliRunner().invoke(app, ["alerts", "test"]).exit_code == 1
    monkeypatch.setenv("CDP_ALERT_CHANNELS", catcher.url)
    assert CliRunner().invoke(app, ["alerts", "test"]).stdout == "channel 1: took it\n"
    assert catcher.titles == ["CDP: a test"]
    catcher.busy = True
    assert CliRunner().invoke(app, ["alerts", "test"]).exit_code == 1


def test_checking_tells_what_is_wrong_now(catcher: Catcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name, value in {"CDP_DATA_DIR": str(tmp_path), "CDP_CONNECTIONS": "hubspot", "CDP_ALERT_CHANNELS": catcher.url}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["alerts", "check"])
    assert done.exit_code == 0, done.output
    assert {"CDP problem: connection hubspot", "CDP warning: published file"} <= set(catcher.titles)
    assert "HUBSPOT_ACCESS_TOKEN" in json.dumps(catcher.got)
