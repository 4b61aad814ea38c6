"""Dagster's part of retention: ended runs that are too old go with their events, and the job does all of the rest."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import Settings
from cdp_pipelines.defs.retention import retain
from cdp_pipelines.privacy import retention


@dg.job
def nothing() -> None:
    """A run to be deleted."""


def test_the_job_deletes_old_runs_and_says_what_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, home = tmp_path / "data", tmp_path / "data" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "retention.yml").write_text(yaml.safe_dump({"dagster_runs": 1, "exports": 1}))
    for name, value in (("DAGSTER_HOME", home), ("CDP_DATA_DIR", data), ("CDP_RETENTION_FILE", tmp_path / "retention.yml")):
        monkeypatch.setenv(name, str(value))
    with dg.DagsterInstance.get() as instance:
        old, young = (nothing.execute_in_process(instance=instance).run_id for _ in range(2))
        with closing(sqlite3.connect(home / "history" / "runs.db")) as db:
            db.execute(
                "update runs set update_timestamp = ? where run_id = ?",
                (f"{datetime.now(UTC) - timedelta(days=30):%Y-%m-%d %H:%M:%S}", old),
            )
            db.commit()
        assert retention.due(Settings()).counts == {"dagster_runs": 1, "exports": 0, "inbox_done": 0}
        assert retention.overdue(Settings()) == {"dagster_runs": 1}
        job = retain.execute_in_process(instance=instance)
        assert job.success
        assert {run.run_id for run in instance.get_runs()} == {young, job.run_id}
        assert list(instance.all_logs(old)) == []
    (entry,) = (entry for entry in AuditLog(Settings()).entries() if entry["what"] == "retain")
    assert entry["about"] == {"removed": {"dagster_runs": 1}, "left": {}}
    assert retention.overdue(Settings()) == {}
