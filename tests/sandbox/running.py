"""A whole sandbox on ephemeral ports, for tests of what is there after a restart."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from cdp_pipelines.sandbox.server import SandboxServer


@contextmanager
def running(state: Path, people: int = 40) -> Generator[SandboxServer]:
    """A sandbox with its journal in `state`, stopped at the end."""
    server = SandboxServer(people=people, seed=1, state=state)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=10)
