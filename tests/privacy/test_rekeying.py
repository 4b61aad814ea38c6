"""Files brought to a key, to another one, and back to none: everything that is held on a person stays, and no byte tells it in between."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cdp_pipelines import database, encryption
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.cli import app
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.identity import store
from cdp_pipelines.privacy import rekeying
from cdp_pipelines.privacy.erasing import erase, would_erase
from cdp_pipelines.privacy.person import look_up
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox, InboxUnavailable
from cdp_pipelines.writeback import plan as plans
from cdp_pipelines.writeback.outbox import Outbox
from tests.privacy.held import EMAIL, values_left

FIRST, SECOND = "first-key-" * 4, "second-key-" * 4
# Planted there by the test's directory, as other programs might have; dlt's folder goes.
OF_OTHERS = ("dagster/", "dbt/", "logs/")
# Ids of records are no part of what is sealed.
IDS = ("003Kx00000ROBERT",)


def with_keys(settings: Settings, now: str | None, before: str | None = None) -> Settings:
    told = {**settings.model_dump(), "encryption_key": now, "encryption_key_previous": before}
    return Settings.model_validate(told)


def told_in_plain(settings: Settings) -> list[str]:
    found = values_left(settings.data_dir)
    return [place for place in found if not place.startswith(OF_OTHERS) and not place.endswith(IDS)]


def content(settings: Settings) -> dict[str, Any]:
    """All that is held, as our own code reads it."""
    found: dict[str, Any] = {}
    for path in (settings.warehouse, settings.published):
        with database.connect(settings, path, read_only=True) as db:
            names = db.execute(
                "select schema_name || '.\"' || table_name || '\"' from duckdb_tables() where database_name = ? order by 1", [path.stem]
            )
            for (name,) in names.fetchall():
                found[f"{path.stem}.{name}"] = sorted(map(str, db.execute(f"from {name}").fetchall()))
            comments = "select count(*) from duckdb_columns() where comment is not null and database_name = ?"
            found[f"{path.stem} comments"] = db.execute(comments, [path.stem]).fetchall()
    ledger = store.ledger(settings)
    assert ledger is not None
    found["ledger"], found["overrides"] = ledger.to_pylist(), store.overrides(settings).to_pylist()
    with Outbox(settings) as outbox:
        found["outbox"] = [(o.run, o.entry, o.reason) for o in outbox.newest()]
        found["base"], found["calls"] = outbox.base_rows(), outbox.pending_calls()
    with closing(Inbox(settings.inbox, sealer=encryption.Sealer.of(settings))) as inbox:
        found["inbox"] = [waiting.event for waiting in inbox.waiting()]
    found["plans"] = [plans.load(settings, path) for path in sorted((settings.writeback_dir / "plans").iterdir())]
    found["key"] = AuditLog(settings).key.id
    return found


def test_from_none_to_a_key_to_another_and_back_everything_stays(holding: Settings) -> None:
    before = content(holding)
    assert len(told_in_plain(holding)) > 5
    first = with_keys(holding, FIRST)
    changed = rekeying.rekey(first)
    assert set(changed) >= {"warehouse.duckdb", "cdp.duckdb", "inbox.sqlite", "writeback/outbox.sqlite", "privacy/key"}
    assert told_in_plain(holding) == []
    assert content(first) == before
    assert rekeying.rekey(first) == []
    second = with_keys(holding, SECOND, FIRST)
    assert rekeying.rekey(second) == changed
    assert content(with_keys(holding, SECOND)) == before
    with pytest.raises(ConfigError, match="CDP_ENCRYPTION_KEY does not open"):
        content(first)
    plain = with_keys(holding, None, SECOND)
    with pytest.raises(ConfigError, match="--decrypt"):
        rekeying.rekey(plain)
    assert rekeying.rekey(plain, decrypt=True) == changed
    assert content(with_keys(holding, None)) == before
    assert verify(AuditLog(with_keys(holding, None))).ok
    told = [entry for entry in AuditLog(with_keys(holding, None)).entries() if entry["what"] == "rekey"]
    assert [(entry["about"]["from"] is None, entry["about"]["to"] is None) for entry in told] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert not any(key in str(told) for key in (FIRST, SECOND))


def test_with_a_wrong_key_before_nothing_is_touched(holding: Settings) -> None:
    rekeying.rekey(with_keys(holding, FIRST))
    files = {path: path.read_bytes() for path in holding.data_dir.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"CDP_ENCRYPTION_KEY_PREVIOUS does not open .*cdp.duckdb"):
        rekeying.rekey(with_keys(holding, SECOND, "wrong-key-" * 4))
    assert {path: path.read_bytes() for path in files} == files


def test_every_way_in_names_the_file_and_the_remedy_when_the_key_is_missing_or_another(holding: Settings) -> None:
    rekeying.rekey(with_keys(holding, FIRST))
    for settings, says in ((with_keys(holding, None), "is not set, and"), (with_keys(holding, SECOND), "does not open")):
        for way_in in (
            lambda settings=settings: store.ledger(settings),
            lambda settings=settings: store.overrides(settings),
            lambda settings=settings: Outbox(settings),
            lambda settings=settings: Inbox(settings.inbox, sealer=encryption.Sealer.of(settings)),
            lambda settings=settings: plans.load(settings, plans.newest(settings)),
            lambda settings=settings: AuditLog(settings),
            lambda settings=settings: database.connect(settings, settings.published, read_only=True),
        ):
            with pytest.raises(ConfigError, match=f"CDP_ENCRYPTION_KEY {says}.*{holding.data_dir}"):
                way_in()


@pytest.mark.parametrize("stops", [3, *(pytest.param(number, marks=pytest.mark.slow) for number in (0, 1, 2, 4, 5, 6, 7))])
def test_after_a_stop_between_two_files_the_same_command_goes_on(holding: Settings, monkeypatch: pytest.MonkeyPatch, stops: int) -> None:
    before = content(holding)
    said: list[str] = []

    def stop(text: str) -> None:
        said.append(text)
        if len(said) == stops + 1:
            raise KeyboardInterrupt

    first = with_keys(holding, FIRST)
    with pytest.raises(KeyboardInterrupt):
        rekeying.rekey(first, say=stop)
    changed = rekeying.rekey(first)
    assert len(said) - 1 + len(changed) >= 8
    assert content(first) == before
    assert told_in_plain(first) == []


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_loses_nothing(holding: Settings) -> None:
    before = content(holding)
    dice, now, then = random.Random(7), FIRST, None
    for _ in range(3):
        keys = {"CDP_ENCRYPTION_KEY": now, **({"CDP_ENCRYPTION_KEY_PREVIOUS": then} if then else {}), "CDP_DATA_DIR": str(holding.data_dir)}
        command = [sys.executable, "-c", "from cdp_pipelines.cli import main; main()", "privacy", "rekey"]
        for kills in range(4):  # the last one is let be
            child = subprocess.Popen(command, env={**os.environ, **keys}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + dice.uniform(1, 5)
            while child.poll() is None and (kills == 3 or time.monotonic() < until):
                time.sleep(0.01)
            if child.poll() is not None:
                break
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert child.returncode == 0
        assert content(with_keys(holding, now)) == before
        assert told_in_plain(holding) == []
        now, then = (SECOND, FIRST) if now == FIRST else (FIRST, SECOND)


@pytest.mark.slow
def test_a_person_is_found_and_erased_in_encrypted_files(holding: Settings) -> None:
    plain = would_erase(holding, [look_up(holding, email=EMAIL)])
    settings = with_keys(holding, FIRST)
    rekeying.rekey(settings)
    person = look_up(settings, email=EMAIL)
    found = would_erase(settings, [person])
    assert {place: counts for place, counts in found.items() if place != "dlt"} == {p: c for p, c in plain.items() if p != "dlt"}
    certificate = erase(settings, [person], asked_by="kim", reference="T-42")
    assert (certificate.result, certificate.found) == ("complete", {})
    left = would_erase(settings, [person])
    assert not any(sum(counts.values()) for counts in left.values())
    rekeying.rekey(with_keys(holding, None, FIRST), decrypt=True)
    assert values_left(holding.data_dir) == []


def test_a_receiver_that_has_the_old_key_keeps_nothing_more(holding: Settings) -> None:
    with closing(Inbox(holding.inbox)) as inbox:
        rekeying.rekey(with_keys(holding, FIRST))
        with pytest.raises(InboxUnavailable, match="another encryption key"):
            inbox.add([Event("hubspot", "contacts", "9", "changed", identity="77")])


def test_a_key_kept_in_the_file_is_read_by_the_command_and_one_file_has_a_key_of_its_own(
    holding: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDP_DATA_DIR", str(holding.data_dir))
    monkeypatch.setenv("CDP_ENCRYPTION_KEY_FILE", str(tmp_path / "key"))
    (tmp_path / "key").write_text(f"{FIRST}\n")
    os.chmod(tmp_path / "key", 0o600)
    assert CliRunner().invoke(app, ["privacy", "rekey"]).exit_code == 0
    assert "cdp.duckdb" not in CliRunner().invoke(app, ["privacy", "rekey", "--json"]).output
    handed_out = CliRunner().invoke(app, ["privacy", "file-key", "cdp.duckdb"]).output.strip()
    code = (
        "import duckdb, sys; db = duckdb.connect(); "
        "db.execute(f\"attach '{sys.argv[1]}' as cdp (read_only, encryption_key '{sys.argv[2]}')\"); "
        "print(db.execute('select count(*) from cdp.contacts').fetchall()[0][0])"
    )
    opened = subprocess.run([sys.executable, "-c", code, str(holding.published), handed_out], capture_output=True, text=True, check=True)
    assert int(opened.stdout) > 2
    assert (
        subprocess.run([sys.executable, "-c", code, str(holding.warehouse), handed_out], capture_output=True, check=False).returncode != 0
    )


@pytest.mark.slow
def test_what_a_kill_left_in_a_sqlite_log_goes_with_the_next_run(holding: Settings) -> None:
    settings = with_keys(holding, FIRST)
    path = settings.writeback_dir / "outbox.sqlite"
    plain = path.read_bytes()
    rekeying.rekey(settings)
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table left_over as select ? as text", (EMAIL,))
        db.execute("drop table left_over")
        db.commit()
        rekeying.rekey(settings)
        assert EMAIL.encode() in plain or b"robert" in plain.lower()
        assert told_in_plain(holding) == []
