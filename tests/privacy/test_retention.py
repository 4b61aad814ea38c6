"""What is older than retention.yml keeps it goes, and nothing else; afterwards a sync is as right as before."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from cdp_pipelines import history
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.showing import DESTROYED, Wanted, newest
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.cli import app
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult, EventLag
from cdp_pipelines.privacy import retention
from cdp_pipelines.privacy.retention_rules import PATH, RetentionError, Rules, read
from cdp_pipelines.quality.looking import Look
from cdp_pipelines.quality.stores import RETENTION
from cdp_pipelines.sources.report import TableReport
from cdp_pipelines.webhooks.inbox import Inbox
from cdp_pipelines.writeback.outbox import Outbox
from tests.privacy.held import put_raw

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=5_000)
EVERYTHING = dict.fromkeys(Rules.model_fields, 100) | {"inbox_done": 7}


@pytest.fixture
def settings(holding: Settings) -> Settings:
    return ruled(holding, EVERYTHING)


def ruled(settings: Settings, rules: dict[str, Any]) -> Settings:
    path = settings.data_dir.parent / "retention.yml"
    path.write_text(yaml.safe_dump(rules))
    return settings.model_copy(update={"retention_file": path})


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.warehouse), read_only=True) as db:
        return db.execute(query).fetchall()


def fill(settings: Settings) -> None:
    """Some of everything that ages, beside what the person is held in."""
    with duckdb.connect(str(settings.warehouse)) as db:
        gone = {"_deleted": "true", "_synced_at": "2020-01-01T00:00:00.000000Z"}
        put_raw(db, "hubspot", "contacts", [{"id": "900", **gone, "email": "old.deleted@acme.example"}, {"id": "901", **gone}])
        put_raw(
            db,
            "hubspot",
            "contacts",
            [{"id": "902", **gone, "_merged_into": "102"}, {"id": "903", **gone}, {"id": "904", **gone, "_merged_into": "903"}],
        )
        put_raw(db, "hubspot", "contacts", [{"id": "905", **gone, "_synced_at": "2040-01-01T00:00:00.000000Z"}])
        put_raw(db, "hubspot", "owners", [{"id": "77", **gone}])
        put_raw(db, "hubspot", "contacts", [{"id": "906", **gone}])
        shown = {"_synced_at": "2040-01-01T00:00:00.000000Z"}
        for one, read in (("900", {"_synced_at": gone["_synced_at"]}), ("906", shown)):
            put_raw(db, "hubspot", "lifecycle_stage_history", [{"contact_id": one, "value": "lead", "timestamp": "1", **read}])
        db.execute(
            "insert into standardized.opportunities by name select 'hubspot' as connection, 'hubspot' as source_system, 'd1' as id, '901' as contact_id, "
            "false as is_deleted, now()::timestamp as synced_at"
        )
    for days, state in ((300, "ok"), (299, "ok"), (298, "failed"), (1, "ok")):
        at = NOW - timedelta(days=days)
        report = TableReport("hubspot", "hubspot", "contacts", "full", at, at, state=state)
        if days in (300, 1):
            report.rejected["the row has no key"].add(1)
        history.record_syncs(settings, [report])
        history.record_checks(settings, at, [CheckResult("daily", "contacts", True, False, 0, "x")])
        history.record_event_lags(settings, at, [EventLag("hubspot", 1, 1.0, 1.0)])
    at = NOW - timedelta(days=1)
    history.record_syncs(settings, [TableReport("hubspot", "hubspot", "lifecycle_stage_history", "full", at, at, state="ok")])
    history.record_checks(settings, NOW - timedelta(days=300), [CheckResult("not run any more", "contacts", True, False, 0, "x")])
    with closing(Inbox(settings.inbox)) as inbox:
        done, dead, *_ = [waiting.id for waiting in inbox.waiting()]
        inbox.done([done])
        for _ in range(5):
            inbox.failed([dead], "no")
        inbox.refuse([("hubspot", "wrong signature", 3)], day="2020-01-01")
    with Outbox(settings) as outbox:
        outbox.end("w1")
        outbox.call_ended("c1")
    old = (NOW - timedelta(days=300)).timestamp()
    for name in (
        "logs/old.log",
        "dbt/logs/old.log",
        "dagster/storage/run/compute_logs/step.err",
        "privacy/certificates/a.json",
        "exports/ann/person.json",
    ):
        path = settings.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, (old, old))
    os.utime(settings.data_dir / "exports" / "ann", (old, old))


def test_what_is_too_old_is_told_then_goes_and_nothing_else(settings: Settings) -> None:
    fill(settings)
    told = retention.due(settings, NOW)
    assert {name: count for name, count in told.counts.items() if count} == {
        "raw_deleted": 2, "sync_history": 3, "check_history": 3, "event_lags": 3, "inbox_refusals": 1, "logs": 3, "exports": 1,
        "certificates": 1,
    }  # fmt: skip
    assert rows(settings, "select count(*) from raw_hubspot.contacts") == [(9,)], "a dry run changes nothing"
    with history.opened(settings) as db:
        failing = RETENTION.run(Look(settings, db, NOW))
    assert not failing.passed and not failing.blocking and "raw_deleted (2 rows)" in failing.sample_keys
    done = retention.retain(settings, NOW)
    assert {**done.counts, "dagster_runs": 0} == told.counts
    assert rows(settings, "select id from raw_hubspot.contacts where _deleted order by 1") == [
        (i,) for i in ("901", "902", "903", "904", "905", "906")
    ]
    assert rows(settings, "select contact_id from raw_hubspot.lifecycle_stage_history order by 1") == [("101",), ("102",), ("906",)]
    assert rows(settings, "select count(*) from raw_hubspot.owners") == [(1,)], "an owner's name is shown by current records"
    assert b"old.deleted@acme.example" not in settings.warehouse.read_bytes()
    ages = "select datediff('day', ended_at, now()::timestamp), state from ops.table_syncs where object = 'contacts' order by 1 desc"
    assert rows(settings, ages) == [(298, "failed"), (1, "ok")], "of each kind the newest"
    assert rows(settings, "select datediff('day', started_at, now()::timestamp) from ops.rejected_rows") == [(1,)]
    assert rows(settings, "select count(*) from ops.check_results where name = 'not run any more'") == [(1,)]
    assert (settings.data_dir / "logs" / "demo.log").exists() and not (settings.data_dir / "logs" / "old.log").exists()
    assert retention.overdue(settings, NOW) == {}
    assert sum(retention.retain(settings, NOW).counts.values()) == 0
    first, second = (entry for entry in AuditLog(settings).entries() if entry["what"] == "retain")
    assert first["count"] == done.total and first["about"]["removed"]["raw_deleted"] == 2 and second["count"] == 0


def test_years_later_what_is_needed_to_go_on_is_still_there(settings: Settings) -> None:
    fill(settings)
    before = rows(settings, "select count(*) from raw_salesforce.contact")
    done = retention.retain(settings, LATER)
    for name in ("inbox_done", "inbox_dead", "outbox", "plans", "audit_payloads"):
        assert done.counts[name] > 0, name
    assert rows(settings, "select count(*) from raw_salesforce.contact") == before
    with closing(sqlite3.connect(settings.inbox)) as db:
        assert db.execute("select distinct state from events").fetchall() == [("waiting",)]
    with closing(sqlite3.connect(settings.writeback_dir / "outbox.sqlite")) as db:
        left = {table: db.execute(f"select count(*) from {table}").fetchone()[0] for table in ("entries", "base", "runs", "calls", "plans")}
        assert left == {"entries": 0, "base": 2, "runs": 1, "calls": 0, "plans": 0}
    assert list((settings.writeback_dir / "plans").iterdir()) == []
    log = AuditLog(settings)
    assert verify(log).ok, "the chain holds"
    assert DESTROYED in [entry.get("payload") for entry in newest(settings, Wanted(), 50, opened=True)]


def test_what_is_under_way_stays(settings: Settings) -> None:
    """A run that is not ended keeps its entries and its plan, whatever their age."""
    with Outbox(settings) as outbox:
        assert outbox.entries("w1")
    done = retention.retain(settings, LATER)
    assert done.counts["outbox"] == 0 and done.counts["plans"] == 1, "the plan that was never applied"
    with Outbox(settings) as outbox:
        assert len(outbox.entries("w1")) == 2


def test_the_delivered_rules_lose_nothing_of_today_and_wrong_ones_are_refused(holding: Settings, tmp_path: Path) -> None:
    assert holding.retention_file == PATH
    assert set(yaml.safe_load(PATH.read_text())) == set(Rules.model_fields)
    assert retention.due(holding, NOW).total == 0
    assert read(PATH).certificates == read(PATH).audit_payloads == "forever"
    path = tmp_path / "wrong.yml"
    for text, says in (
        ("raw_deleted: 30", "raw_deleted: Input should be greater than or equal to 100"), ("log: 30", "log: Extra inputs"),
        ("logs: soon", "logs:"), ("logs: 0", "logs:"), ("inbox_done: 30", "inbox_done:"), ("logs: 1\nlogs: 2", "logs"), ("- logs", "wrong.yml"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(RetentionError, match=says):
            read(path)
    with pytest.raises(RetentionError, match="CDP_RETENTION_FILE"):
        read(tmp_path / "nowhere.yml")
    path.write_text("")
    assert [name for name, _ in read(path).before(NOW)] == ["inbox_done"], "what is not named is kept"


def test_the_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("DATA_DIR", settings.data_dir),
        ("SANDBOX_DIR", settings.sandbox_dir),
        ("RETENTION_FILE", settings.retention_file),
    ):
        monkeypatch.setenv(f"CDP_{name}", str(value))
    fill(settings)
    runs = settings.data_dir / "dagster" / "history" / "runs.db"
    with closing(sqlite3.connect(runs)) as db:
        db.execute("create table runs (run_id text, status text, update_timestamp timestamp)")
        db.executemany("insert into runs values (?, ?, '2020-01-01 00:00:00.5')", [("a", "SUCCESS"), ("b", "STARTED")])
        db.commit()

    def cdp(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["privacy", "retain", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert json.loads(cdp("--dry-run", "--json"))["counts"]["dagster_runs"] == 1
    assert "would go" in cdp("--dry-run") and (settings.data_dir / "logs" / "old.log").exists()
    assert "dagster_runs: 1 are left for the Dagster job" in " ".join(cdp().split())
    assert not (settings.data_dir / "logs" / "old.log").exists()
