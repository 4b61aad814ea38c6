"""Dagster past one process: the whole graph on two Celery workers, with PostgreSQL as storage, and one of them killed in the middle."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr

from cdp_pipelines.config import KINDS, Settings, connection_from_config
from cdp_pipelines.dagster_home import last_runs
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.scale import orchestration, services
from cdp_pipelines.scale.orchestration import ask
from cdp_pipelines.scale.processes import Processes
from cdp_pipelines.sync import sync

pytestmark = [pytest.mark.scale, pytest.mark.xdist_group("celery")]
PEOPLE = 200
ENDS_WITHIN_SECONDS = 400
JOB = {"jobName": "sync", "repositoryName": "__repository__", "repositoryLocationName": orchestration.LOCATION}
# They would start runs of their own.
QUIET = """{repositoryOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "%s"}) {... on Repository {
schedules {name scheduleState {id}} sensors {name sensorState {id}}}}}"""
LAUNCH = "mutation($p: ExecutionParams!) {launchRun(executionParams: $p) {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}"
STATUS = "query($id: ID!) {runOrError(runId: $id) {... on Run {status stepStats {stepKey status attempts {startTime endTime}}}}}"


class Deployment:
    """What was started, and asking it."""

    def __init__(self, folder: Path):
        self.folder, self.processes = folder / "scale", Processes(folder / "scale")
        self.data = folder / "data"
        others = tuple(name for name in orchestration.NAMES if name != orchestration.DAEMON)
        self.address = orchestration.up(self.folder, only=others)
        self.only_what_is_asked_for()
        orchestration.up(self.folder)

    def only_what_is_asked_for(self) -> None:
        """No schedule and no sensor but the one that looks after lost runs."""
        found: dict[str, Any] = {}
        wait_for(lambda: found.update(ask(self.address, QUIET % orchestration.LOCATION)["repositoryOrError"]) or bool(found), 120)
        for schedule in found["schedules"]:
            self.ask("mutation($id: String!) {stopRunningSchedule(id: $id) {__typename}}", id=schedule["scheduleState"]["id"])
        for sensor in found["sensors"]:
            if sensor["name"] != "lost_runs":
                self.ask("mutation($id: String!) {stopSensor(id: $id) {__typename}}", id=sensor["sensorState"]["id"])

    def ask(self, query: str, **variables: object) -> dict:
        return ask(self.address, query, variables)

    def launch(self) -> str:
        said = self.ask(LAUNCH, p={"selector": JOB, "runConfigData": {}})["launchRun"]
        assert said["__typename"] == "LaunchRunSuccess", said
        return said["run"]["runId"]

    def status(self, run: str) -> str:
        return self.ask(STATUS, id=run)["runOrError"]["status"]

    def ends(self, run: str) -> str:
        wait_for(lambda: self.status(run) in ("SUCCESS", "FAILURE", "CANCELED"), ENDS_WITHIN_SECONDS)
        return self.status(run)

    def began(self, run: str, step: str) -> list[str]:
        """The workers that began a step, each as often as it did."""
        line = re.compile(rf"{run} - \d+ - {step} - STEP_START")
        return [name for name in orchestration.WORKERS for _ in line.findall(self.processes.log(name).read_text())]

    def steps(self, run: str, worker: str) -> int:
        """How many steps of a run a worker began."""
        return len(re.findall(rf"{run} - \d+ - \w+ - STEP_START", self.processes.log(worker).read_text()))

    def empty(self) -> None:
        """As if there had never been a sync."""
        shutil.rmtree(self.data)

    def tables(self) -> dict[str, list[tuple]]:
        return tables(self.data / "cdp.duckdb")


def wait_for(what: Callable[[], bool], within: float) -> None:
    until = time.monotonic() + within
    while not what():
        assert time.monotonic() < until, f"not within {within:.0f} s"
        time.sleep(0.5)


def tables(path: Path) -> dict[str, list[tuple]]:
    """Every published table but those about the run itself, without the moment of reading."""
    with duckdb.connect(str(path), read_only=True) as db:
        names = [n for (n,) in db.execute("select table_name from duckdb_tables() where schema_name = 'main'").fetchall()]
        columns = {n: ", ".join(c for c, *_ in db.execute(f"describe {n}").fetchall() if c != "synced_at") for n in names}
        about = ("sync_status", "data_quality")
        return {n: db.execute(f"select {columns[n]} from {n} order by all").fetchall() for n in names if n not in about}


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    pytest.importorskip("dagster_celery", reason="comes with make scale-setup")
    folder = Path(tempfile.mkdtemp(prefix="cdp-scale-"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in {"DATA_DIR": folder / "data", "SANDBOX_DIR": folder / "sandbox", "SANDBOX_PEOPLE": PEOPLE}.items():
            patched.setenv(f"CDP_{name}", str(value))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(services.down, folder / "scale")
        yield Deployment(folder)


@pytest.fixture(scope="module")
def by_command_line(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    """What one full sync in one process makes of the same sandbox."""
    first = deployment.processes.ports()[orchestration.SANDBOX]
    connections = SandboxAddresses(first, first + 1, first + 2, first + 3).connections()
    settings = Settings(data_dir=tmp_path_factory.mktemp("reference"))
    report = sync(settings, [connection_from_config(kind, connections[kind]) for kind in KINDS])
    assert report.complete, report.problem
    return tables(settings.published)


def test_the_graph_runs_on_two_workers_and_one_that_is_killed_in_the_middle_costs_time_only(deployment: Deployment, by_command_line):
    started = time.monotonic()
    run = deployment.launch()
    wait_for(lambda: bool(deployment.began(run, "standardize")), ENDS_WITHIN_SECONDS)
    [victim] = deployment.began(run, "standardize")
    pid = deployment.processes.pid(victim)
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)  # it, and the process that does the step
    killed = time.monotonic()
    assert deployment.ends(run) == "SUCCESS"
    steps = {name: deployment.steps(run, name) for name in orchestration.WORKERS}
    print(
        f"sync of {PEOPLE} people: {time.monotonic() - started:.0f} s; {victim} killed after {killed - started:.0f} s; steps begun: {steps}"
    )
    assert all(steps.values()), "both had part in it"
    settings = Settings(dagster_postgres_url=SecretStr(services.up(deployment.folder, with_spark=False)["CDP_DAGSTER_POSTGRES_URL"]))
    assert [(one.job, one.run, one.failed) for one in last_runs(settings)] == [("sync", run, False)], "the doctor reads the same"
    [survivor] = {*orchestration.WORKERS} - {victim}
    assert deployment.began(run, "standardize") in ([victim, survivor], [survivor, victim]), "the other one did it again"
    assert deployment.tables() == by_command_line


@pytest.mark.slow
def test_a_run_whose_own_process_is_killed_is_started_again(deployment: Deployment, by_command_line):
    orchestration.up(deployment.folder)
    deployment.empty()
    started = time.monotonic()
    run = deployment.launch()
    wait_for(lambda: bool(deployment.began(run, "raw_marketo")), ENDS_WITHIN_SECONDS)
    log = deployment.processes.log(orchestration.CODE).read_text()
    os.kill(int(re.findall(rf"{run} - (\d+) - RUN_START", log)[-1]), signal.SIGKILL)
    assert deployment.ends(run) == "FAILURE"
    again = """{runsOrError(limit: 1) {... on Runs {results {runId status parentRunId}}}}"""
    newest: dict[str, str] = {}
    wait_for(lambda: newest.update(deployment.ask(again)["runsOrError"]["results"][0]) or newest["parentRunId"] == run, 120)
    assert deployment.ends(newest["runId"]) == "SUCCESS"
    print(f"{time.monotonic() - started:.0f} s, with the run that took its place")
    assert deployment.tables() == by_command_line


def test_the_process_that_is_forked_has_not_loaded_the_project():
    """Threads of libraries are missing in a fork: dbt's parser waited for its own for ever."""
    pytest.importorskip("dagster_celery", reason="comes with make scale-setup")
    code = "import sys, cdp_pipelines.defs.celery_worker; print([m for m in ('cdp_pipelines.definitions', 'dbt', 'duckdb') if m in sys.modules])"
    environment = {**os.environ, "CDP_CELERY_BROKER": "redis://127.0.0.1:1/0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
