"""A refresh token that Salesforce renews at each use: what is on the disk after a kill, a full disk, or another process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from cdp_pipelines.config import SalesforceConnection, connection_from_config
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.crm_integrations.salesforce_signin import SignIn
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from tests.sandbox.salesforce_org import new_store

Serve = Callable[[ASGIApp], str]
KILLS = 5
# Renews and stores one token after another, as fast as it can, and says so after the first.
RENEWING = """
import sys
from pathlib import Path
from cdp_pipelines.config import connection_from_config
from cdp_pipelines.crm_integrations.salesforce_signin import SignIn
made = connection_from_config("salesforce", {"client_id": "i", "client_secret": "s", "refresh_token": "t" * 64, "refresh_token_file": sys.argv[1]})
sign_in, number = SignIn(made), int(sys.argv[2])
while True:
    number += 1
    sign_in.session({"access_token": "a", "instance_url": "http://127.0.0.1", "refresh_token": f"{number:08d}" * 8})
    print(number, flush=True)
"""


def connection(url: str, file: Path) -> SalesforceConnection:
    known = {name: credentials.SALESFORCE[name] for name in ("client_id", "client_secret")}
    made = connection_from_config(
        "salesforce", {**known, "login_url": url, "refresh_token": "sandbox-refresh-token", "refresh_token_file": file, "max_attempts": 1}
    )
    assert isinstance(made, SalesforceConnection)
    return made


def test_a_kill_at_any_moment_leaves_a_whole_token_that_only_the_owner_can_read(tmp_path: Path):
    file = tmp_path / "secrets" / "token"
    stored = 0
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", RENEWING, str(file), str(stored)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(random.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        told = [int(line) for line in process.stdout.read().split()]
        process.wait()
        text = file.read_text()
        assert len(text) == 64
        assert text == text[:8] * 8
        # Whatever was said to be stored is there, or what came just after it.
        assert int(text[:8]) >= max([stored, *told])
        stored = int(text[:8])
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in file.parent.iterdir())
    assert stored > KILLS


def test_two_processes_take_turns_with_the_token_that_one_of_them_renewed(serve: Serve, tmp_path: Path):
    made = app(new_store(), SalesforceOptions(rotate_refresh_tokens=True))
    settings = connection(serve(made), tmp_path / "token")

    async def both() -> None:
        async with Salesforce(settings) as one, Salesforce(settings) as other:
            for client in (one, other, one, other, one):
                await client.limits()
                made.state.org.expire_tokens()

    asyncio.run(both())


def test_a_token_that_cannot_be_stored_is_kept_in_the_process_and_reported(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    made = app(new_store(), SalesforceOptions(rotate_refresh_tokens=True))
    settings, file = connection(serve(made), tmp_path / "token"), tmp_path / "token"
    real = os.replace

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def work() -> None:
        async with Salesforce(settings) as client:
            await client.limits()
            before = file.read_text()
            monkeypatch.setattr(os, "replace", full)
            for _ in range(2):
                made.state.org.expire_tokens()
                await client.limits()
            assert client.unsaved_refresh_token
            assert "SALESFORCE_REFRESH_TOKEN_FILE cannot be written (No space left on device)" in caplog.text
            assert file.read_text() == before
            monkeypatch.setattr(os, "replace", real)
            made.state.org.expire_tokens()
            await client.limits()
            assert not client.unsaved_refresh_token
            assert file.read_text() != before

    asyncio.run(work())
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("a-refresh-token")
    file.chmod(0o644)
    with pytest.raises(Exception, match=r"SALESFORCE_REFRESH_TOKEN_FILE names .*token, which can be read or changed by others") as error:
        SignIn(connection("http://127.0.0.1:9", file)).form()
    assert "chmod 640" in str(error.value)
