"""Spark's workers and their executors by process id, so that a test can kill one in the middle of its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from cdp_pipelines.scale import spark
from cdp_pipelines.scale.processes import Processes


@dataclass(frozen=True)
class Worker:
    """A worker that runs, and the executors that it started, which do its work."""

    name: str
    pid: int
    executors: tuple[int, ...]


def workers(folder: Path) -> list[Worker]:
    """The workers that run, of the services in a folder."""
    processes = Processes(folder)
    found = ((name, processes.pid(name)) for name in spark.WORKERS)
    return [Worker(name, pid, _executors(pid)) for name, pid in found if pid is not None]


def kill(worker: Worker) -> None:
    """Kill a worker and its executors, as a machine that stops would. The next `up` starts another."""
    for pid in (worker.pid, *worker.executors):
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            continue


def _executors(pid: int) -> tuple[int, ...]:
    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return ()
