"""Processes that outlive the command that started them, written down in a file, so that exactly those are ended later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from cdp_pipelines.private_files import write_private
from cdp_pipelines.scale.errors import ScaleError

# How long a process has to end in order before it is killed.
PATIENCE_SECONDS = 15


@dataclass(frozen=True)
class Started:
    """One process: its id, and when it began, since ids are given again. `end_with` is the signal at which it ends in order."""

    pid: int
    created: float
    end_with: int = signal.SIGTERM

    def process(self) -> psutil.Process | None:
        """The process, or None when it is gone."""
        try:
            process = psutil.Process(self.pid)
            return process if abs(process.create_time() - self.created) < 1 and _runs(process) else None
        except psutil.NoSuchProcess:
            return None


class Processes:
    """What was started in a folder: `state.json` has the processes and the ports, `logs/` what they say."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._file = folder / "state.json"

    def pid(self, name: str) -> int | None:
        """The id of a process that runs; None when it does not."""
        started = self._started().get(name)
        return started.pid if started and started.process() else None

    def names(self) -> list[str]:
        """All that were started and not ended by us, also those that are gone."""
        return list(self._started())

    def ports(self) -> dict[str, int]:
        """The ports that were last given to the services."""
        return self._read().get("ports", {})

    def keep_ports(self, ports: Mapping[str, int]) -> None:
        """Write down which port each service has."""
        self._write(self._started(), {**self.ports(), **ports})

    def log(self, name: str) -> Path:
        """Where a process of that name writes."""
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        end_with: signal.Signals = signal.SIGTERM,
    ) -> int:
        """Start a process in a session of its own, as another user if one is given, and write it down at once; gives its id."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                env=dict(environment) if environment is not None else None,
                cwd=cwd or self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=user and _group_of(user),
                extra_groups=[] if user else None,
            )
        started = Started(process.pid, psutil.Process(process.pid).create_time(), end_with)
        self._write({**self._started(), name: started}, self.ports())
        return process.pid

    def wait_until(self, name: str, ready: Callable[[], bool], within: float) -> None:
        """Wait until a process is ready. Raises ScaleError with the end of its log when it ended, or is not ready in time."""
        until = time.monotonic() + within
        while not ready():
            gone = self.pid(name) is None
            if gone or time.monotonic() > until:
                why = "ended" if gone else f"was not ready within {within:.0f} s"
                raise ScaleError(f"{name} {why}. The end of {self.log(name)}:\n{self._tail(name)}")
            time.sleep(0.2)

    def end(self, names: Sequence[str]) -> list[str]:
        """End these processes and what they started, all at once; gives those that were there."""
        started = self._started()
        found = {name: process for name in names if name in started and (process := started[name].process())}
        _end([(process, started[name].end_with) for name, process in found.items()])
        gone = set(names)
        self._write({name: one for name, one in self._started().items() if name not in gone}, self.ports())
        return list(found)

    def _started(self) -> dict[str, Started]:
        return {name: Started(**said) for name, said in self._read().get("processes", {}).items()}

    def _read(self) -> dict[str, Any]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def _write(self, started: Mapping[str, Started], ports: Mapping[str, int]) -> None:
        said = {"processes": {name: asdict(one) for name, one in started.items()}, "ports": dict(ports)}
        write_private(self._file, json.dumps(said, indent=1).encode())

    def _tail(self, name: str, lines: int = 15) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])


def _end(processes: Sequence[tuple[psutil.Process, int]]) -> None:
    """End processes in order if they can, then, by force, what is left of them and of what they started."""
    family = []
    for process, end_with in processes:
        with suppress(psutil.NoSuchProcess):
            family += process.children(recursive=True)
            process.send_signal(end_with)
    asked = [process for process, _ in processes]
    _wait(asked, PATIENCE_SECONDS)
    # What they started mostly ends with them, a moment later.
    _wait(family, 2)
    for one in filter(_runs, [*asked, *family]):
        with suppress(psutil.NoSuchProcess):
            one.kill()


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(map(_runs, processes)) and time.monotonic() < until:
        time.sleep(0.1)


def _runs(process: psutil.Process) -> bool:
    """Whether it is there. One that ended, of which its parent has not heard yet, is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def is_root() -> bool:
    """Whether this process may do all, so that some programs refuse to run."""
    return os.geteuid() == 0
