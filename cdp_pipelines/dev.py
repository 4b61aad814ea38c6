"""`make dev`: Dagster's UI and daemon on 127.0.0.1:3000, with the sandbox beside them when no credentials are set.

It opens on the graph of all tables, from each CRM's to the published file: what is there, how fresh, and which checks fail.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import httpx2

from cdp_pipelines import dagster_home
from cdp_pipelines.config import PROJECT_DIR, ConfigError, Settings
from cdp_pipelines.private_files import keep_new_files_private
from cdp_pipelines.sandbox import hosting

PORT = 3000
PATIENCE_SECONDS = 30
# Loading the project takes seconds, on a busy machine many.
STARTS_WITHIN_SECONDS = 180
PAGE = "asset-groups"


def main() -> int:
    """Run until interrupted; gives dg's exit code."""
    keep_new_files_private()
    settings = Settings()
    with ExitStack() as stack:
        environment = dagster_home.prepare(settings)
        if settings.connection_kinds():
            print("Connections from the environment:", ", ".join(settings.connection_kinds()))
        else:
            sandbox = stack.enter_context(hosting.hosted(settings))
            environment |= {**sandbox.environment(), "CDP_CONNECTIONS": "salesforce,hubspot,marketo"}
            print(f"No credentials are set, so the sandbox is used: {sandbox.control_url}")
        page = f"http://127.0.0.1:{PORT}/{PAGE}"
        print(f"Dagster's UI, with the graph of all tables: {page}  (Ctrl-C ends it)", flush=True)
        process = start(environment, PORT)
        if sys.stdout.isatty() and has_browser(os.environ, sys.platform):
            threading.Thread(target=open_when_up, args=(page,), daemon=True).start()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return end(process)


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser can show something here without taking the terminal: one that is named in BROWSER, or any where there is a screen."""
    screen = platform in ("darwin", "win32") or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return bool(environment.get("BROWSER") or screen)


def open_when_up(page: str, within: float = STARTS_WITHIN_SECONDS) -> bool:
    """Open a page in the browser as soon as its server answers; gives whether it came to that within so many seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        with suppress(httpx2.TransportError):
            if httpx2.get(page, trust_env=False, timeout=10).is_success:
                return webbrowser.open(page)
        time.sleep(0.2)
    return False


def start(environment: Mapping[str, str], port: int, log: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Dagster's UI and daemon on this machine; what they say goes to the screen, or to a log. The caller must `end` the process."""
    command = [str(Path(sys.executable).with_name("dg")), "dev", "--host", "127.0.0.1", "--port", str(port), "-w", "workspace.yaml"]
    # A session of its own, so that all of Dagster's processes can be ended together, whoever is told to end.
    return subprocess.Popen(command, env=dict(environment), cwd=PROJECT_DIR, stdout=log, stderr=log, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> int:
    """End Dagster and all that it started: in order if it can, by force after half a minute. Gives its exit code."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        sys.exit(f"Error: {error}")
