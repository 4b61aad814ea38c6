"""Dagster's processes are ended together, and its UI opens where there is a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cdp_pipelines import dev
from cdp_pipelines.config import PROJECT_DIR


@pytest.mark.parametrize(("deaf", "code"), [(False, -signal.SIGINT), (True, -signal.SIGKILL)])
def test_whoever_does_not_end_when_told_to_is_ended_by_force_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, deaf: bool, code: int
):
    monkeypatch.setattr(dev, "PATIENCE_SECONDS", 0.5)
    handler = "SIG_IGN" if deaf else "SIG_DFL"
    child = "import time; time.sleep(60)"
    program = (
        f"import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.{handler}); "
        f"print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid, flush=True); {child}"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    started = psutil.Process(int(process.stdout.readline()))
    assert dev.end(process) == code
    process.stdout.close()
    started.wait(timeout=10)


def test_the_page_is_opened_when_the_server_answers_and_not_before(tmp_path: Path):
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    page = f"http://127.0.0.1:{port}/{dev.PAGE}"
    program = f"from cdp_pipelines.dev import open_when_up; print(open_when_up({page!r}, within=60))"
    environment = {**os.environ, "BROWSER": f"{browser} %s"}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    assert not opened.exists()
    app = Starlette(routes=[Route(f"/{dev.PAGE}", lambda request: PlainTextResponse("here"))])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert process.communicate(timeout=60)[0] == "True\n"
    finally:
        server.should_exit = True
        thread.join()
    assert opened.read_text() == f"{page}\n"


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert dev.open_when_up(f"http://127.0.0.1:{port}/", within=0.5) is False


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False), ({"DISPLAY": ":0"}, "linux", True), ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True), ({}, "darwin", True), ({"DISPLAY": ""}, "linux", False),
    ],
)  # fmt: skip
def test_a_browser_opens_only_where_one_can_be_seen(environment: dict[str, str], platform: str, there: bool):
    assert dev.has_browser(environment, platform) is there
