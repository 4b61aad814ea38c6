"""Which executor the settings choose, and what they must name for it. Celery workers themselves: tests/scale/test_celery.py."""

from __future__ import annotations

import sys

import dagster as dg
import pytest
import yaml
from pydantic import SecretStr

from cdp_pipelines import dagster_home
from cdp_pipelines.config import PROJECT_DIR, ConfigError, Settings
from cdp_pipelines.definitions import defs
from cdp_pipelines.defs import executor
from cdp_pipelines.defs.lost_runs import lost_runs

BROKER = SecretStr("redis://127.0.0.1:6379/0")


def test_steps_run_in_one_process_unless_told_otherwise():
    assert executor.chosen(Settings()) is dg.in_process_executor
    assert defs.executor is dg.in_process_executor


def test_celery_needs_a_broker():
    with pytest.raises(ConfigError, match="CDP_CELERY_BROKER is missing"):
        executor.chosen(Settings(executor="celery"))


def test_celery_needs_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dagster_celery", None)
    with pytest.raises(ConfigError, match=r"dagster-celery is not installed.*cdp-pipelines\[deploy\]"):
        executor.chosen(Settings(executor="celery", celery_broker=BROKER))


def test_what_a_dead_worker_was_at_is_taken_up_and_what_a_living_one_is_at_is_not():
    options = executor.CONFIG["broker_transport_options"]
    assert executor.CONFIG["task_acks_late"]
    # A worker that says it late, several times over, is not dead.
    assert options["visibility_timeout"] >= 5 * executor.SAY_EVERY_SECONDS
    # What nobody is at any more is looked for all the time.
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= options["visibility_timeout"] / 4


def test_runs_that_something_else_starts_are_left_to_it(monkeypatch: pytest.MonkeyPatch):
    with dg.DagsterInstance.ephemeral() as instance:
        assert not isinstance(instance.run_launcher, dg.DefaultRunLauncher)
        monkeypatch.setattr(instance, "get_run_records", lambda *_: pytest.fail("no run is looked at"))
        with dg.build_sensor_context(instance=instance) as context:
            skipped = lost_runs(context)
    assert isinstance(skipped, dg.SkipReason)
    assert "started elsewhere" in str(skipped.skip_message)


def test_the_instance_of_a_deployment_has_the_limits_of_the_one_on_one_machine():
    deployed = yaml.safe_load((PROJECT_DIR / "deploy/dagster/dagster.yaml").read_text())
    here = yaml.safe_load(dagster_home._DAGSTER_YAML)
    for part in ("telemetry", "nux", "concurrency", "run_queue"):
        assert deployed[part] == here[part]
    assert deployed["run_monitoring"].items() >= here["run_monitoring"].items()
    assert deployed["storage"]["postgres"]["postgres_url"] == {"env": "CDP_DAGSTER_POSTGRES_URL"}
