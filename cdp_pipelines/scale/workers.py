"""Spark's workers and their executors by process id, so that a test can kill one in the middle of its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from cdp_pipelines.scale import spark
from cdp_pipelines.scale.processes import Processes

_EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


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
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return ()
    return tuple(child.pid for child in children if _is_executor(child))


def _is_executor(process: psutil.Process) -> bool:
    """A worker also starts others for a moment, such as one that changes a file's mode."""
    try:
        return _EXECUTOR in process.cmdline()
    except psutil.NoSuchProcess:
        return False
