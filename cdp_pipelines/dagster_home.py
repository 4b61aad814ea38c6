"""Dagster's own files under the data directory, and the environment for its processes. Starts processes; imports nothing of Dagster."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cdp_pipelines.config import ConfigError, Settings

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

# How long PostgreSQL may take to answer; who asks wants to know of the rest too.
ANSWERS_WITHIN_SECONDS = 5
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
    """The newest run that ended of each of the jobs that schedules and sensors start, from Dagster's own storage; none where there is none.
    Raises ConfigError when PostgreSQL, where that is the storage, cannot be read."""
    found = _of_postgres(settings.dagster_postgres_url.get_secret_value()) if settings.dagster_postgres_url else _of_sqlite(settings)
    return [JobRun(job, run, status == "FAILURE", at.replace(tzinfo=UTC)) for job, run, status, at in sorted(found)]


def _of_sqlite(settings: Settings) -> list[tuple[str, str, str, datetime]]:
    path = settings.data_dir / "dagster" / "history" / "runs.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute(
            f"select pipeline_name, run_id, status, max(update_timestamp) from runs where status in ('SUCCESS', 'FAILURE') "
            f"and pipeline_name in ({', '.join('?' * len(JOBS))}) group by pipeline_name",
            JOBS,
        ).fetchall()
    return [(job, run, status, datetime.fromisoformat(at)) for job, run, status, at in rows]


def _of_postgres(url: str) -> list[tuple[str, str, str, datetime]]:
    import sqlalchemy as sql
    from sqlalchemy.exc import SQLAlchemyError

    newest = sql.text(
        "select distinct on (pipeline_name) pipeline_name, run_id, status, update_timestamp from runs where status in ('SUCCESS', 'FAILURE') "
        "and pipeline_name in :jobs order by pipeline_name, update_timestamp desc"
    ).bindparams(sql.bindparam("jobs", expanding=True))
    try:
        engine = sql.create_engine(url, poolclass=sql.NullPool, connect_args={"connect_timeout": ANSWERS_WITHIN_SECONDS})
        with engine.connect() as db:
            return [(job, run, status, at) for job, run, status, at in db.execute(newest, {"jobs": list(JOBS)})]
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigError(
            "CDP_DAGSTER_POSTGRES_URL",
            f"names a database of which Dagster's runs cannot be read ({type(error).__name__})",
            "Start it, correct the setting (postgresql+psycopg2://user:password@host:5432/dagster), or unset it where Dagster runs in one process.",
        ) from None
