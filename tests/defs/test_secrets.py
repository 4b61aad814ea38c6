"""Whatever Dagster calls and keeps the errors of raises them without secrets."""

import ast

import dagster as dg
import pytest

from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.scrubbing import MARK, know, without_secrets

# What makes a function one that Dagster calls. A job's only says what belongs together.
CALLED = {
    "asset",
    "multi_asset",
    "graph_asset",
    "asset_check",
    "multi_asset_check",
    "op",
    "sensor",
    "asset_sensor",
    "schedule",
    "dbt_assets",
}


def name_of(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def test_every_function_that_dagster_calls_is_kept_from_telling_secrets():
    found = 0
    for path in sorted((PROJECT_DIR / "cdp_pipelines" / "defs").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [name_of(one) for one in getattr(node, "decorator_list", [])]
            if CALLED & set(names):
                found += 1
                assert names[-1] == "without_secrets", f"{path.name}: {getattr(node, 'name', '')} needs @without_secrets just above it"
    assert found >= 14


def test_what_a_step_raises_and_logs_has_no_secret_in_the_event_log():
    secret = 'hush/"hush"-4711'
    know(secret)

    @dg.op
    @without_secrets
    def careless(context: dg.OpExecutionContext) -> None:
        context.log.info(f"signing in with {secret}")
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise RuntimeError(f"Bearer {secret} was refused") from error

    @dg.job
    def work() -> None:
        careless()

    with dg.DagsterInstance.ephemeral() as instance:
        result = work.execute_in_process(instance=instance, raise_on_error=False)
        events = [dg.serialize_value(entry) for entry in instance.all_logs(result.run_id)]
    assert not result.success
    assert any("signing in with [secret]" in event for event in events)
    assert any("RuntimeError" in event and "KeyError" in event and MARK in event for event in events)
    assert not any("4711" in event for event in events)


@pytest.mark.parametrize("raised", [RuntimeError, dg.Failure])
def test_a_sensors_error_has_no_secret(raised):
    know("hush-hush-4711")

    @dg.sensor(job_name="any")
    @without_secrets
    def careless(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        raise raised("hush-hush-4711 is wrong")

    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(raised) as caught:
        careless(dg.build_sensor_context(instance=instance))
    assert "4711" not in str(caught.value) + str(vars(caught.value))
