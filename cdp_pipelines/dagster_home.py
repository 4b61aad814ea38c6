"""Dagster's own files under the data directory, and the environment for its processes. Starts processes; imports nothing of Dagster."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
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

JOBS = ("sync", "reconcile", "full_sync", "catch_up_with_events", "poll_connections", "retain")
"""The jobs that schedules and sensors start."""


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


@dataclass(frozen=True)
class JobRun:
    """The newest run of a job that ended."""

    job: str
    run: str
    failed: bool
    ended_at: datetime


def last_runs(settings: Settings) -> list[JobRun]:
    """The newest run that ended of each of the jobs that schedules and sensors start, from Dagster's own file; none where there is no file."""
    path = settings.data_dir / "dagster" / "history" / "runs.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute(
            f"select pipeline_name, run_id, status, max(update_timestamp) from runs where status in ('SUCCESS', 'FAILURE') "
            f"and pipeline_name in ({', '.join('?' * len(JOBS))}) group by pipeline_name order by pipeline_name",
            JOBS,
        ).fetchall()
    return [JobRun(job, run, status == "FAILURE", datetime.fromisoformat(at).replace(tzinfo=UTC)) for job, run, status, at in rows]
