"""Redis: Celery's broker. It keeps nothing on disk: a run whose broker is gone is started again by Dagster."""

from __future__ import annotations

import shutil
from pathlib import Path

from cdp_pipelines.scale.errors import ScaleError
from cdp_pipelines.scale.ports import HOST, answers
from cdp_pipelines.scale.processes import Processes

NAME = "redis"
_STARTS_WITHIN_SECONDS = 30


def program() -> Path:
    """The server's program. Raises ScaleError."""
    if found := shutil.which("redis-server"):
        return Path(found)
    raise ScaleError("redis-server is not installed. `make scale-setup` as root, or: apt-get install redis-server")


def start(processes: Processes, port: int) -> None:
    """Start the server. Raises ScaleError."""
    folder = processes.folder / "redis"
    folder.mkdir(exist_ok=True)
    options = {"port": str(port), "bind": HOST, "save": "", "appendonly": "no", "dir": str(folder), "daemonize": "no"}
    processes.start(NAME, [program(), *(part for name, value in options.items() for part in (f"--{name}", value))])
    processes.wait_until(NAME, lambda: answers(port), _STARTS_WITHIN_SECONDS)


def url(port: int, database: int = 0) -> str:
    """The address of one of the server's numbered databases."""
    return f"redis://{HOST}:{port}/{database}"
