"""A whole sandbox for each client's tests."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdp_pipelines.sandbox.server import SandboxServer


@contextmanager
def running(people: int, state: Path) -> Generator[SandboxServer]:
    """The sandbox on free ports, served from a thread."""
    server = SandboxServer(people=people, seed=1, state=state)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """150 people in three CRMs, for all tests of a module."""
    with running(150, tmp_path_factory.mktemp("sandbox")) as server:
        yield server
