"""The sensor of alerts: nothing to do without channels; a job that failed is a fault until it succeeds."""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines import dagster_home
from cdp_pipelines.config import Settings
from cdp_pipelines.definitions import defs
from cdp_pipelines.defs.alerts import JOBS, alerts, failed_jobs


class Works(dg.Config):
    yes: bool = False


@dg.op
def step(config: Works) -> None:
    if not config.yes:
        raise dg.Failure("no")


@dg.job(name="sync")
def failing_or_not() -> None:
    step()


def test_a_job_whose_newest_run_failed_is_a_fault_until_one_succeeds():
    def run(instance: dg.DagsterInstance, *, works: bool) -> None:
        failing_or_not.execute_in_process(instance=instance, raise_on_error=False, run_config=dg.RunConfig({"step": Works(yes=works)}))

    with dg.instance_for_test() as instance:
        assert list(failed_jobs(instance)) == []
        run(instance, works=False)
        (finding,) = failed_jobs(instance)
        assert (finding.what, finding.state) == ("job sync", "problem")
        run(instance, works=True)
        assert list(failed_jobs(instance)) == []


def test_the_doctor_reads_the_same_from_dagsters_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = Settings(data_dir=tmp_path)
    assert dagster_home.last_runs(settings) == []
    monkeypatch.setenv("DAGSTER_HOME", dagster_home.prepare(settings)["DAGSTER_HOME"])
    with dg.DagsterInstance.get() as instance:
        for works in (True, False):
            config = dg.RunConfig({"step": Works(yes=works)})
            run = failing_or_not.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
            (one,) = dagster_home.last_runs(settings)
            assert (one.job, one.run, one.failed) == ("sync", run.run_id, not works)
            assert abs((datetime.now(UTC) - one.ended_at).total_seconds()) < 60
    assert set(JOBS) == set(dagster_home.JOBS)


def test_the_jobs_that_are_looked_at_are_those_that_run_by_themselves():
    repository = defs.get_repository_def()
    started = {schedule.job_name for schedule in repository.schedule_defs}
    started |= {target.job_name for sensor in repository.sensor_defs for target in sensor.targets}
    assert set(JOBS) >= started


def test_a_crm_that_does_not_answer_is_told_instead_of_holding_everything_up(
    serve: Callable[[ASGIApp], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    told: list[str] = []

    async def take(request: Request) -> Response:
        told.append((await request.json())["title"])
        return Response()

    channel = serve(Starlette(routes=[Route("/{path:path}", take, methods=["POST"])])).replace("http://", "json://")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given = {
            "CDP_DATA_DIR": str(tmp_path), "CDP_CONNECTIONS": "hubspot", "HUBSPOT_ACCESS_TOKEN": "pat-na1-nobody-answers",
            "HUBSPOT_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "CDP_ALERT_CHANNELS": channel,
        }  # fmt: skip
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("cdp_pipelines.defs.alerts.ANSWER_WITHIN_SECONDS", 0.5)
        begun = time.monotonic()
        with dg.instance_for_test() as instance, dg.build_sensor_context(instance=instance) as context:
            alerts(context)
    assert "CDP problem: connection hubspot" in told
    assert time.monotonic() - begun < 20, "six tries take minutes"


def test_without_channels_the_sensor_asks_no_crm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CDP_CONNECTIONS", "hubspot")
    with dg.instance_for_test() as instance, dg.build_sensor_context(instance=instance) as context:
        said = alerts(context)
    assert isinstance(said, dg.SkipReason)
    assert said.skip_message == "CDP_ALERT_CHANNELS is not set."
