"""What all tests share: an environment without anybody's credentials, and a way to serve an application on loopback."""

from __future__ import annotations

import os
import tempfile

os.environ["CDP_ENV_FILE"] = os.devnull  # before the package is imported: a developer's .env must never reach a test
KEPT = ("CDP_ENV_FILE", "CDP_TEST_ADAPTERS_DIR")
for variable in [v for v in os.environ if v.startswith(("CDP_", "SALESFORCE_", "HUBSPOT_", "MARKETO_")) and v not in KEPT]:
    del os.environ[variable]
os.environ["CDP_SANDBOX_DIR"] = tempfile.mkdtemp(prefix="cdp-sandbox-")

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import ASGIApp

from cdp_pipelines import scrubbing
from tests.synced import synced

__all__ = ["synced"]


@contextmanager
def served(app: ASGIApp) -> Generator[str]:
    """Serve an application on a free loopback port; gives its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


@pytest.fixture(autouse=True)
def sandbox_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test changes in the sandbox is not there for the next."""
    monkeypatch.setenv("CDP_SANDBOX_DIR", str(tmp_path / "sandbox"))


@pytest.fixture(autouse=True)
def secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a secret in one test may be a word in the next."""
    monkeypatch.setattr(scrubbing, "_known", OrderedDict())
    monkeypatch.setattr(scrubbing, "_in_order", ())


@pytest.fixture
def serve() -> Iterator[Callable[[ASGIApp], str]]:
    """`serve(app)` gives the base URL of a real HTTP server, stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(served(app))


# Files whose tests take minutes, wherever they stand: begun last, they would keep one processor busy while the other has nothing left.
LONGEST = ("test_sync.py", "test_histories.py", "test_jobs.py", "test_catch_up.py", "test_reconcile.py", "test_drift.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first; all else stays in order."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """By which seeds the tests of chance went, also where they passed: set in the environment, one repeats its run."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name.endswith("_SEED"):
                    terminalreporter.write_line(f"{name}={value} {outcome}: {report.nodeid}")
