"""Dagster's own files under the data directory, and the environment for its processes. Starts processes; imports nothing of Dagster."""

from __future__ import annotations

import os
from pathlib import Path

from cdp_pipelines.config import Settings

_DAGSTER_YAML = """\
# Written by cdp_pipelines/dagster_home.py at every start; edits are lost.
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  runs: {max_concurrent_runs: 1}  # DuckDB has one writer
  pools: {granularity: op, default_limit: 1}
run_queue: {dequeue_interval_seconds: 1}  # a change in a CRM waits for nothing but its run
run_monitoring: {enabled: true, poll_interval_seconds: 10, free_slots_after_run_end_seconds: 5}
"""


def prepare(settings: Settings) -> dict[str, str]:
    """Write dagster.yaml and give the environment with which every Dagster process of this project starts."""
    home = settings.data_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists() or config.read_text() != _DAGSTER_YAML:
        config.write_text(_DAGSTER_YAML)
    return {**os.environ, "DAGSTER_HOME": str(home), "CDP_DATA_DIR": str(settings.data_dir), "CDP_WAREHOUSE": str(settings.warehouse)}


def log_file(settings: Settings, name: str) -> Path:
    """Where a process of that name writes what nobody wants on the screen."""
    folder = settings.data_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"
