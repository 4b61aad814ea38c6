"""A run that was killed with Dagster itself is seen to be gone, and one that is at work is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg

from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.defs.lost_runs import lost_runs

# A run in a process of its own, whose step says that it has begun and then never ends.
RUN = """
import time
import dagster as dg

@dg.op(pool="warehouse")
def forever():
    print("begun", flush=True)
    time.sleep(600)

@dg.job(executor_def=dg.in_process_executor)
def endless():
    forever()

with dg.DagsterInstance.get() as instance:
    endless.execute_in_process(instance=instance)
"""


def test_a_run_whose_process_is_gone_is_marked_as_failed_and_one_at_work_is_not(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nconcurrency: {pools: {default_limit: 1}}\n")
    process = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=PROJECT_DIR)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with dg.DagsterInstance.get() as instance:
            assert look(instance) == ["STARTED"]
            process.kill()
            process.wait()
            assert instance.event_log_storage.get_concurrency_info("warehouse").active_slot_count == 1
            assert look(instance) == ["FAILURE"]
            assert instance.event_log_storage.get_concurrency_info("warehouse").active_slot_count == 0, "the next run need not wait"
    finally:
        process.kill()
        process.communicate()


def look(instance: dg.DagsterInstance) -> list[str]:
    """What the sensor makes of the runs."""
    with dg.build_sensor_context(instance=instance) as context:
        lost_runs(context)
    return [run.status.value for run in instance.get_runs()]
