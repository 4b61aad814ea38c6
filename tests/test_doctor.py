"""`cdp doctor` finds what is wrong, each thing alone, with what to do; and finds nothing where nothing is."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import ssl
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cdp_pipelines import doctor
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.cli import app
from cdp_pipelines.config import Settings
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import MAX_TRIES, Inbox
from cdp_pipelines.writeback.outbox import Outbox
from tests import published_file

WORKS: dict[str, Any] = {
    "ok": True,
    "account": "Acme",
    "problem": None,
    "remedy": None,
    "calls_used": 10,
    "calls_left": 90,
    "expires_at": None,
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = published_file.settings_in(tmp_path / "data").model_copy(update={"inbox_most": 6})
    published_file.write(made)
    record(made, Operation("sync", "hubspot", "ok", 2, {}))
    return made


def found(settings: Settings, **test: Any) -> dict[str, tuple[str, str]]:
    """What is not well, with its state and its words."""
    findings = doctor.examine(settings, {"hubspot": WORKS | test})
    assert all(one.remedy for one in findings if one.state != "ok"), "whoever reads it knows what to do"
    return {one.what: (one.state, f"{one.says} {one.remedy}") for one in findings if one.state != "ok"}


def test_a_healthy_setup_has_nothing_but_the_check_that_fails_in_it(settings: Settings):
    assert set(found(settings)) == {"check contacts.casts"}
    assert found(settings)["check contacts.casts"][0] == "warning"


def _never_synced(settings: Settings) -> None:
    settings.published.unlink()


def _incomplete(settings: Settings) -> None:
    published_file.write(settings, incomplete=True)


def _blocked(settings: Settings) -> None:
    published_file.write(settings, failed=True)


def _dead_event(settings: Settings) -> None:
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([Event("hubspot", "contacts", "1", "changed")])
        for _ in range(MAX_TRIES):
            inbox.failed([waiting.id for waiting in inbox.waiting()], "no such object")


def _inbox_nearly_full(settings: Settings) -> None:
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([Event("hubspot", "contacts", str(number), "changed") for number in range(4)])


def _write_not_sent(settings: Settings) -> None:
    with Outbox(settings) as outbox:
        outbox.call("c1", "r1", "hubspot", "create", {})


def _audit_changed(settings: Settings) -> None:
    log = settings.audit_dir / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"hubspot", b"hubspod", 1))


def _erasure_unfinished(settings: Settings) -> None:
    folder = settings.privacy_dir / "pending"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "e1.json").write_text("{}")


@pytest.mark.parametrize(
    ("harm", "what", "state", "words"),
    [
        (_never_synced, "published file", "warning", "cdp sync"),
        (_incomplete, "last sync of hubspot", "problem", "crm.objects.deals.read|deals may not be read"),
        (_blocked, "check contacts.no_rows_lost", "problem", "2 rows"),
        (_dead_event, "inbox", "problem", "1 events were given up"),
        (_inbox_nearly_full, "inbox", "warning", "4 events wait, and 6 is the most"),
        (_write_not_sent, "outbox", "warning", "cdp writeback retry"),
        (_audit_changed, "audit log", "problem", "cdp audit verify"),
        (_erasure_unfinished, "erasures", "problem", "cdp privacy finish"),
    ],
)
def test_what_is_wrong_is_found_with_what_to_do(settings: Settings, harm: Callable[[Settings], None], what: str, state: str, words: str):
    before = set(found(settings))
    harm(settings)
    now = found(settings)
    assert now[what][0] == state
    assert any(word in now[what][1] for word in words.split("|"))
    assert set(now) - before <= {what, "published file"}, "nothing else is blamed"


def test_a_connection_that_does_not_work_and_one_with_few_calls_left(settings: Settings):
    broken = found(settings, ok=False, problem="The token was revoked.", remedy="Make another one.")
    assert broken["connection hubspot"] == ("problem", "The token was revoked. Make another one.")
    assert found(settings, calls_used=95, calls_left=5)["connection hubspot"][0] == "warning"
    assert "connection hubspot" not in found(settings, calls_used=None, calls_left=None)


def test_a_token_that_ends_soon_is_told_in_time(settings: Settings):
    now = datetime.now(UTC)
    assert "Renew it" in found(settings, expires_at=now + timedelta(days=3))["connection hubspot"][1]
    assert "connection hubspot" not in found(settings, expires_at=now + timedelta(days=300))


def test_a_folder_that_cannot_be_written_to_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # for root everything can be
    assert found(settings)["disk"] == (
        "problem",
        f"{settings.data_dir} cannot be written to. Give it to the user who runs this, or set CDP_DATA_DIR.",
    )


def test_a_project_that_is_not_installed_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert found(settings)["packages"][0] == "warning"


def test_another_version_of_a_package_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.0.1" if name == "duckdb" else real(name))
    state, words = found(settings)["packages"]
    assert state == "problem"
    assert "duckdb is 2.0.1, not ==1.5.5" in words


def test_a_disk_with_no_room_for_a_second_warehouse_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    assert found(settings)["disk"][0] == "warning"


HOLD = """
import sys
from cdp_pipelines.config import Settings
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.lock import warehouse_lock
with warehouse_lock(Settings(data_dir=sys.argv[1]), "the nightly sync"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_has_the_warehouse_is_told_and_whether_they_are_alive(settings: Settings):
    def said() -> tuple[str, str]:
        (one,) = (one for one in doctor.examine(settings, {"hubspot": WORKS}) if one.what == "warehouse lock")
        return one.state, f"{one.says} {one.remedy}"

    def since(moment: datetime) -> None:
        path = settings.data_dir / "warehouse.lock.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "since": moment.isoformat()}))

    assert said() == ("ok", "Nobody has the warehouse. ")
    held = subprocess.Popen([sys.executable, "-c", HOLD, str(settings.data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None and held.stdout.readline() == "held\n"
        state, words = said()
        assert state == "ok" and f"in use: the nightly sync (process {held.pid}, -c)" in words
        now = datetime.now(UTC)
        since(now - timedelta(hours=7))
        state, words = said()
        assert state == "problem" and "that process is gone" in words, "another process has its number now"
    finally:
        held.kill()
        held.wait()
    state, words = said()
    assert state == "warning" and "was killed" in words and "cdp sync" in words
    with warehouse_lock(settings, "another"):
        assert said()[0] == "ok"
    assert said() == ("ok", "Nobody has the warehouse. ")


def test_a_process_that_has_the_warehouse_for_very_long_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "LONG_RUN", timedelta(seconds=-1))
    with warehouse_lock(settings, "the weekly full sync"):
        state, words = found(settings)["warehouse lock"]
    assert state == "warning" and f"end process {os.getpid()} if not" in words


def test_the_last_sync_and_the_last_runs_of_jobs_are_told(settings: Settings):
    home = settings.data_dir / "dagster" / "history"
    home.mkdir(parents=True)
    runs = [
        ("sync", "1aaaaaaaaa", "FAILURE", "2026-03-01 10:00:00.5"), ("sync", "2bbbbbbbbb", "SUCCESS", "2026-03-01 11:00:00.5"),
        ("sync", "3ccccccccc", "STARTED", "2026-03-01 12:00:00.5"), ("reconcile", "4ddddddddd", "FAILURE", "2026-03-01 03:00:00.5"),
        ("apply_write_back", "5eeeeeeeee", "FAILURE", "2026-03-01 03:00:00.5"),
    ]  # fmt: skip
    with closing(sqlite3.connect(home / "runs.db")) as db:
        db.execute("create table runs (pipeline_name text, run_id text, status text, update_timestamp text)")
        db.executemany("insert into runs values (?, ?, ?, ?)", runs)
        db.commit()
    told = {one.what: (one.state, f"{one.says} {one.remedy}") for one in doctor.examine(settings, {"hubspot": WORKS})}
    assert told["job sync"] == ("ok", "Its newest run went well, 2026-03-01 11:00 UTC. ")
    assert told["job reconcile"][0] == "problem" and "Look at run 4ddddddd in Dagster's UI" in told["job reconcile"][1]
    assert {what for what in told if what.startswith("job ")} == {"job sync", "job reconcile"}, "a person who starts a job sees how it ends"
    assert told["last sync"][0] == "ok" and "9 calls" in told["last sync"][1]


def test_a_storage_of_dagster_that_cannot_be_read_is_told_beside_all_else(settings: Settings):
    for url in ("postgresql+psycopg2://nobody:hunter2@127.0.0.1:1/none", "nonsense"):
        told = found(settings.model_copy(update={"dagster_postgres_url": SecretStr(url)}))
        state, words = told["dagster's storage"]
        assert state == "problem" and "CDP_DAGSTER_POSTGRES_URL" in words and "hunter2" not in words
        assert len(told) > 1, told


def test_a_machine_that_lacks_something_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    assert "machine" not in found(settings)
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.1")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 7, 17))
    monkeypatch.setattr(ssl, "HAS_TLSv1_2", False)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    state, words = found(settings)["machine"]
    assert state == "problem"
    for word in ("Python 3.10.1, DuckDB", "Python has to be", "SQLite has to be 3.24", "TLS 1.2", "time zone data"):
        assert word in words


def test_the_command_prints_all_of_it_and_exits_with_1_for_a_problem(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CDP_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CDP_CONNECTIONS", "hubspot")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1, result.output
    findings = {one["what"]: one for one in json.loads(result.stdout)}
    assert findings["packages"]["state"] == "ok"
    assert "HUBSPOT_ACCESS_TOKEN" in findings["connection hubspot"]["says"]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
