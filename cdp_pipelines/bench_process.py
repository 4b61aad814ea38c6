"""What a process of its own takes, and all that it starts: seconds of the processors and by the clock, the most memory, and the most that it
put aside on the disk."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Took:
    """Seconds, bytes, the last line that the process printed, and whether it ended well."""

    cpu: float
    wall: float
    memory: int
    aside: int
    said: str
    ended_well: bool


def run(command: Sequence[str], environment: Mapping[str, str], put_aside: Sequence[Path]) -> Took:
    """Run a command to its end. Memory is the sum of what each of its processes has in memory, looked at ten times a second; `put_aside` are the
    folders whose size is looked at as often."""
    before, began = _cpu_of_children(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    most = {"memory": 0, "aside": 0}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY):
            most["memory"] = max(most["memory"], _memory(process.pid))
            most["aside"] = max(most["aside"], sum(size(folder) for folder in put_aside))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        printed, _ = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        ended.set()
        watching.join()
    wall, cpu = time.perf_counter() - began, _cpu_of_children() - before
    lines = printed.strip().splitlines()
    return Took(cpu, wall, most["memory"], most["aside"], lines[-1] if lines else "", process.returncode == 0)


def _memory(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for one in (parent, *parent.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def _cpu_of_children() -> float:
    """Seconds, user and system, of every process that this one started and that has ended, to its very end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size(folder: Path) -> int:
    """Bytes of the files in a folder; one that goes meanwhile counts nothing, and nor does a folder that is not there."""
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
