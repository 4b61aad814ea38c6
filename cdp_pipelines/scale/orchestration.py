"""Dagster as it is deployed, on this machine: PostgreSQL as its storage, a code server, daemon and webserver, two Celery workers.

Each is a process of its own. Without credentials of real CRMs they have a sandbox, which is another one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import httpx2
from filelock import FileLock

from cdp_pipelines.config import KINDS, PROJECT_DIR, Settings
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.scale import services
from cdp_pipelines.scale.errors import ScaleError
from cdp_pipelines.scale.ports import HOST, answers, chosen, free_port, is_taken
from cdp_pipelines.scale.processes import Processes

SANDBOX, CODE, DAEMON, WEB = "sandbox", "dagster-code", "dagster-daemon", "dagster-web"
WORKERS = ("celery-worker-1", "celery-worker-2")
# In the order in which they start.
NAMES = (SANDBOX, CODE, WEB, *WORKERS, DAEMON)
LOCATION = "cdp_pipelines"
_INSTANCE = PROJECT_DIR / "deploy" / "dagster" / "dagster.yaml"
# Each loads the whole project first, on a machine that has other work.
_STARTS_WITHIN_SECONDS = 180


def up(folder: Path, *, only: tuple[str, ...] = NAMES, say: Callable[[str], None] = lambda text: None) -> str:
    """Start what does not run, the services that they need too, Spark left out; gives the address of Dagster's UI. Raises ScaleError."""
    found = services.up(folder, with_spark=False, say=say)
    with FileLock(folder / "dagster.lock"):
        processes, settings = Processes(folder), Settings()
        environment = _environment(folder, settings, found)
        if not settings.connection_kinds() and SANDBOX in only:
            if not processes.pid(SANDBOX):
                say(f"the sandbox of {settings.sandbox_people:,} people")
                _start_sandbox(processes, settings, environment)
            environment |= _connections(processes)
        if not any(map(processes.pid, NAMES[1:])):
            say("Dagster's tables")
            _run([_program("dagster"), "instance", "migrate"], environment)
        commands, started = _commands(processes, folder), []
        said_before = {name: len(processes.log(name).read_text()) if processes.log(name).exists() else 0 for name in WORKERS}
        for name in (name for name in NAMES if name in commands and name in only and not processes.pid(name)):
            say(name)
            started.append(name)
            # Dagster 1.13's code server ends neither at SIGTERM nor at SIGINT.
            end_with = signal.SIGKILL if name == CODE else signal.SIGTERM
            processes.start(name, commands[name], environment=environment, cwd=PROJECT_DIR, end_with=end_with)
        ports = processes.ports()
        for name in (name for name in (CODE, WEB) if name in only):
            processes.wait_until(name, lambda port=ports[name]: answers(port), _STARTS_WITHIN_SECONDS)
        for name in (name for name in WORKERS if name in started):
            processes.wait_until(name, partial(_says, processes.log(name), " ready.", said_before[name]), _STARTS_WITHIN_SECONDS)
    return f"http://{HOST}:{ports[WEB]}"


def down(folder: Path) -> list[str]:
    """End what `up` started here, but for the services; gives the names of what ran."""
    if not folder.exists():
        return []
    with FileLock(folder / "dagster.lock"):
        return Processes(folder).end(NAMES)


def ask(address: str, query: str, variables: Mapping[str, object] | None = None) -> dict:
    """The answer of Dagster's GraphQL API. Raises ScaleError with what it says is wrong."""
    answer = httpx2.post(f"{address}/graphql", json={"query": query, "variables": dict(variables or {})}, timeout=120, trust_env=False)
    said = answer.json()
    if "errors" in said:
        raise ScaleError(f"Dagster refused: {json.dumps(said['errors'])[:1000]}")
    return said["data"]


def _says(log: Path, words: str, after: int) -> bool:
    return words in log.read_text()[after:]


def _commands(processes: Processes, folder: Path) -> dict[str, list[str]]:
    """How each process is started; ports are chosen for those that have one and do not run."""
    ports = {name: _port(processes, name) for name in (CODE, WEB)}
    workspace = folder / "dagster" / "workspace.yaml"
    at = {"host": HOST, "port": ports[CODE], "location_name": LOCATION}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": at}]}))
    worker = [_program("celery"), "-A", "cdp_pipelines.defs.celery_worker", "worker", "-Q", "dagster", "--concurrency", "1"]
    return {
        CODE: [_program("dagster"), "api", "grpc", "-m", "cdp_pipelines.definitions", "-h", HOST, "-p", str(ports[CODE])],
        WEB: [_program("dagster-webserver"), "-h", HOST, "-p", str(ports[WEB]), "-w", str(workspace)],
        **{name: [*worker, "--loglevel", "INFO", "-n", f"{name}@{HOST}"] for name in WORKERS},
        DAEMON: [_program("dagster-daemon"), "run", "-w", str(workspace)],
    }


def _environment(folder: Path, settings: Settings, found: Mapping[str, str]) -> dict[str, str]:
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(_INSTANCE.read_text())
    ours = {"DAGSTER_HOME": str(home), "CDP_DATA_DIR": str(settings.data_dir), "CDP_EXECUTOR": "celery"}
    return {**os.environ, **found, **ours, "DO_NOT_TRACK": "1", "DAGSTER_DISABLE_TELEMETRY": "1"}


def _start_sandbox(processes: Processes, settings: Settings, environment: Mapping[str, str]) -> None:
    first = processes.ports().get(SANDBOX)
    if not first or any(map(is_taken, range(first, first + 4))):
        first = _four_free_ports()
    processes.keep_ports({SANDBOX: first})
    command = [sys.executable, "-m", "cdp_pipelines.sandbox", "--port", str(first), "--people", str(settings.sandbox_people)]
    processes.start(
        SANDBOX, [*command, "--seed", str(settings.sandbox_seed), "--state", settings.sandbox_dir], environment=environment, cwd=PROJECT_DIR
    )
    processes.wait_until(SANDBOX, lambda: answers(first), _STARTS_WITHIN_SECONDS)


def _connections(processes: Processes) -> dict[str, str]:
    first = processes.ports()[SANDBOX]
    addresses = SandboxAddresses(first, *(first + n for n in (1, 2, 3)))
    return {**addresses.environment(), "CDP_CONNECTIONS": ",".join(KINDS)}


def _four_free_ports() -> int:
    while any(map(is_taken, range(first := free_port(), first + 4))):
        pass
    return first


def _port(processes: Processes, name: str) -> int:
    if not processes.pid(name):
        processes.keep_ports({name: chosen(name, None, processes.ports().get(name))})
    return processes.ports()[name]


def _program(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise ScaleError(f"{name} is not installed in this environment. Run `make scale-setup`, and this from .venv-scale.")
    return str(path)


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=dict(environment), cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ScaleError(f"{' '.join(command[1:])} failed: {done.stderr.strip()[-2000:]}")
