"""A person who is held everywhere, erased; and everybody else as before."""

from __future__ import annotations

import json
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

import duckdb
import pytest
from typer.testing import CliRunner

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.showing import DESTROYED, Wanted, newest
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.cli import app
from cdp_pipelines.config import Settings
from cdp_pipelines.identity import store
from cdp_pipelines.identity.references import NotFound
from cdp_pipelines.masking import token_of
from cdp_pipelines.privacy import rewriting
from cdp_pipelines.privacy.erasing import erase, finish, would_erase
from cdp_pipelines.privacy.person import look_up
from cdp_pipelines.privacy.suppression import Suppression, SuppressionList
from tests.privacy import held
from tests.privacy.held import EMAIL, MOBILE, NEIGHBOUR, SALESFORCE_ID, SWITCHBOARD, put_raw, values_left


@pytest.fixture
def settings(holding: Settings) -> Settings:
    return holding


def rows(settings: Settings, query: str, path: Path | None = None) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path or settings.warehouse), read_only=True) as db:
        return db.execute(query).fetchall()


def all_rows(path: Path) -> dict[str, list[str]]:
    with duckdb.connect(str(path), read_only=True) as db:
        tables = db.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where not starts_with(schema_name, 'raw_') order by 1"
        )
        return {name: sorted(map(str, db.execute(f"from {name}").fetchall())) for (name,) in tables.fetchall()}


def test_nothing_of_the_person_is_left_and_the_proof_says_so(settings: Settings):
    found = erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim", reference="T-42")
    assert values_left(settings.data_dir) == []
    assert (found.result, found.found) == ("complete", {})
    assert found.records == {"hubspot": 1, "marketo": 1, "salesforce": 1}
    assert found.shared == {}
    assert set(found.removed) == {
        "raw tables",
        "warehouse",
        "cdp.duckdb",
        "cdp_masked.duckdb",
        "identity",
        "inbox",
        "outbox",
        "dlt",
        "sqlite",
        "texts",
    }
    assert verify(AuditLog(settings)).ok
    (entry,) = newest(settings, Wanted(frozenset({"erase"}), subject=f"salesforce:{SALESFORCE_ID}"), 9)
    assert entry["about"]["certificate"] == found.id
    payloads = [one.get("payload") for one in newest(settings, Wanted(subject=f"salesforce:{SALESFORCE_ID}"), 9, opened=True)]
    assert DESTROYED in payloads


def test_the_masked_file_has_no_token_of_the_person_and_all_of_the_others(settings: Settings):
    person = look_up(settings, email=EMAIL)
    tokens = {token_of(settings, value) for value in {*person.keys, *(one for _, one in person.ids), *person.emails}}

    def shown() -> set[str]:
        found = all_rows(settings.masked_file)
        return {token for token in tokens for rows_of in found.values() if token in str(rows_of)}

    others = "select * from contacts where customer_id in (?, ?) order by all"
    ids = [token_of(settings, one) for one in ("003Kx00000ZOEZOEAQ", "102")]
    query = others.replace("?, ?", ", ".join(f"'{one}'" for one in ids))
    before = rows(settings, query, settings.masked_file)
    assert len(before) == 2
    assert len(shown()) > 3
    assert would_erase(settings, [person])["cdp_masked.duckdb"]["main.contacts"] == 3
    erase(settings, [person], asked_by="kim")
    assert shown() == set()
    assert rows(settings, query, settings.masked_file) == before
    assert [token for token in tokens if token.encode() in settings.masked_file.read_bytes()] == []


def test_others_stay_as_they_were(settings: Settings):
    before = {path.name: all_rows(path) for path in (settings.warehouse, settings.published)}
    erase(settings, [look_up(settings, record="marketo:7")], asked_by="kim")
    assert rows(settings, "select id, phone, reports_to_id from raw_salesforce.contact") == [("003Kx00000ZOEZOEAQ", SWITCHBOARD, None)]
    assert rows(settings, "select id, contact_id, description from raw_salesforce.opportunity order by 1") == [
        ("006A", None, "ask [erased]"), ("006B", "003Kx00000ZOEZOEAQ", None),
    ]  # fmt: skip
    assert rows(settings, "select email from contacts where customer_id = '003Kx00000ZOEZOEAQ'", settings.published) == [(NEIGHBOUR,)]
    assert rows(settings, "select lead_id from raw_marketo.activities") == [("8",)]
    assert rows(settings, "select id, contact_id from opportunities order by 1", settings.published) == [
        ("006A", None),
        ("006B", "003Kx00000ZOEZOEAQ"),
    ]
    assert rows(settings, "select sample_keys from ops.check_results where name = 'some'") == [(["hubspot:1012"],)]
    for path in (settings.warehouse, settings.published):
        after = all_rows(path)
        assert after.keys() == before[path.name].keys()
        for table, left in after.items():
            new = [row for row in left if row not in before[path.name][table]]
            assert len(new) <= 1 + ("data_quality" in table), (table, new)
            mine = [
                row
                for row in before[path.name][table]
                if any(value.lower() in row.replace(NEIGHBOUR, "").lower() for value in held.SECRET) or "'101'" in row
            ]
            if table.split(".")[0] in ("main", "standardized") and not new:
                assert left == [row for row in before[path.name][table] if row not in mine], table
    comments = "select count(*) from duckdb_columns() where comment is not null and schema_name in ('unified', 'main')"
    assert rows(settings, comments)[0][0] > 30
    with closing(sqlite3.connect(settings.inbox)) as db:
        events = db.execute("select object, record_id, related from events order by id").fetchall()
        assert events == [("contacts", "102", "[]"), ("deals", "101", "[]"), ("deals/contacts", "5", '["102"]')]
    with closing(sqlite3.connect(settings.writeback_dir / "outbox.sqlite")) as db:
        assert db.execute("select id from entries").fetchall() == [("102",)]
        assert db.execute("select id from base").fetchall() == [("102",)]
        assert db.execute("select * from calls").fetchall() == []
    assert len(list((settings.writeback_dir / "plans").iterdir())) == 1, "a plan about others stays"
    with closing(sqlite3.connect(settings.data_dir / "dagster/history/runs/run.db")) as db:
        (said,), (other,) = db.execute("select event from event_logs").fetchall()
        assert "contacts 102" in json.loads(said)["metadata"]
        assert "Chief" not in said and other == "nothing of anybody"
    assert "hubspot:1012" in (settings.data_dir / "logs/demo.log").read_text()
    ledger = store.ledger(settings)
    assert ledger is not None and sorted(ledger["customer_id"].to_pylist()) == ["003Kx00000ZOEZOEAQ", "102"]
    assert store.overrides(settings).num_rows == 0


def test_a_dry_run_tells_the_same_and_changes_nothing(settings: Settings):
    person = look_up(settings, email="ROBERT.TAMM@quarzwerk.example")
    before = {
        path: path.read_bytes()
        for path in settings.data_dir.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".jsonl", ".log", ".sqlite", ".db")
    }
    told = would_erase(settings, [person])
    assert {path: path.read_bytes() for path in before} == before
    assert not SuppressionList(settings).there
    assert rows(settings, "select count(*) from standardized.contacts") == [(5,)]
    found = erase(settings, [person], asked_by="kim")
    assert {place: dict(counts) for place, counts in told.items() if counts} == found.removed


def test_twice_changes_nothing_more_and_who_is_not_known_is_listed_all_the_same(settings: Settings):
    erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim")
    listed = SuppressionList(settings).counts()
    again = erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim")
    assert (again.result, again.removed, again.records) == ("complete", {}, {})
    assert SuppressionList(settings).counts()["id"] == listed["id"]
    never = erase(settings, [look_up(settings, email="never@seen.example")], asked_by="kim")
    assert never.suppressed == 2
    for asked, text in (
        ({"customer": "nobody"}, "Nobody is called"),
        ({"email": "none@none.com"}, "no e-mail address"),
        ({"record": "101"}, "no record"),
    ):
        with pytest.raises(NotFound, match=text):
            look_up(settings, **asked)


def test_what_lands_later_is_looked_at(settings: Settings):
    erase(settings, [look_up(settings, record=f"salesforce:{SALESFORCE_ID}")], asked_by="kim")
    with duckdb.connect(str(settings.warehouse)) as db:
        table = db.execute("select * from raw_marketo.leads").to_arrow_table()
        put_raw(
            db,
            "marketo",
            "leads",
            [{"id": "900", "email": None, "first_name": "Rob", "last_name": "Tamm", "mobile_phone": MOBILE.replace(" ", "-")}],
        )
        assert db.execute("select count(*) from raw_marketo.leads").fetchall() == [(1,)]
        table = db.execute("select * from raw_marketo.leads").to_arrow_table()
    listed = Suppression.of(settings)
    assert listed is not None
    assert listed.without_listed("marketo", "leads", "marketo", table).num_rows == 0


def test_rows_that_identity_does_not_know_yet_are_found(settings: Settings):
    with duckdb.connect(str(settings.warehouse)) as db:
        put_raw(
            db,
            "hubspot",
            "contacts",
            [{"id": "555", "email": "robert.tamm@QUARZWERK.example", "firstname": "R", "lastname": "T", "work_email": "bob@new.example"}],
        )
        put_raw(db, "hubspot", "lifecycle_stage_history", [{"contact_id": "555", "value": "lead", "timestamp": "2"}])
    found = erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim")
    assert found.records["hubspot"] == 2
    assert rows(settings, "select contact_id from raw_hubspot.lifecycle_stage_history") == [("102",)]
    assert b"bob@new.example" not in settings.warehouse.read_bytes()


def test_a_value_in_a_file_that_is_not_ours_is_named(settings: Settings):
    (settings.data_dir / "mine.csv").write_text(f"{EMAIL};1\n")
    found = erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim")
    assert (found.result, found.found) == ("incomplete", {"mine.csv": ["e-mail address"]})
    (settings.data_dir / "mine.csv").unlink()
    assert erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim").result == "complete"


def test_the_deleted_value_would_be_in_the_file_without_the_new_one(settings: Settings):
    """Why files are written anew: see STACK."""
    with duckdb.connect(str(settings.warehouse)) as db:
        db.execute("delete from raw_salesforce.contact; checkpoint")
    marked = SALESFORCE_ID.encode()
    assert marked in settings.warehouse.read_bytes()
    views = rows(settings, "select count(*) from duckdb_views() where not internal")
    rewriting.rewrite(settings, settings.warehouse)
    assert rows(settings, "select count(*) from duckdb_views() where not internal") == views
    assert rows(settings, "select count(*) from raw_salesforce.contact") == [(0,)]


_KILLED = """
import sys
from pathlib import Path
from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.erasing import erase
from cdp_pipelines.privacy.person import look_up
settings = Settings(data_dir=Path(sys.argv[1]), sandbox_dir=Path(sys.argv[1]) / "sandbox", lock_wait_seconds=5)
person = look_up(settings, email=sys.argv[2])
print("begun", flush=True)
erase(settings, [person], asked_by="kim")
"""


@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_moment_it_is_finished_by_the_next_one(settings: Settings, seed: int):
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(settings.data_dir), EMAIL], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    time.sleep(random.Random(seed).uniform(0, 2.5))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finish(settings)
    found = erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim")
    assert found.result == "complete"
    assert values_left(settings.data_dir) == []
    assert verify(AuditLog(settings)).ok
    assert list((settings.privacy_dir / "pending").iterdir()) == []
    assert rows(settings, "select count(*) from standardized.contacts") == [(2,)]


def test_the_commands(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CDP_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CDP_SANDBOX_DIR", str(settings.sandbox_dir))

    def cdp(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["privacy", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    assert "raw_salesforce.contact" in cdp("erase", "--email", EMAIL, "--dry-run")[1]
    assert cdp("erase")[0] == 1
    assert "names the person" in cdp("erase", "--email", EMAIL, "--reference", f"for {EMAIL}")[1]
    code, said = cdp("erase", "--email", EMAIL, "--reference", "T-42")
    assert code == 0 and "Erasure complete" in " ".join(said.split())
    (page,) = (settings.privacy_dir / "certificates").glob("*.html")
    assert "T-42" in page.read_text() and "No value of the person is left" in page.read_text()
    assert page.stat().st_mode & 0o077 == 0
    assert values_left(settings.data_dir) == []
    assert cdp("finish") == (0, "No erasure is under way.\n")
    assert cdp("unsuppress", "--email", EMAIL.upper(), "--reason", "came back")[0] == 0
    assert cdp("unsuppress", "--email", EMAIL, "--reason", "again")[0] == 1
    assert Suppression.of(settings) is None
    entries = [entry["what"] for entry in AuditLog(settings).entries()]
    assert entries[-2:] == ["erase", "unsuppress"]


def test_one_address_of_several_customers_asks_for_a_record(settings: Settings):
    with duckdb.connect(str(settings.warehouse)) as db:
        db.execute("update standardized.contacts set email = 'kim@acme.example' where customer_id = '003Kx00000ZOEZOEAQ'")
    with pytest.raises(NotFound, match="2 customers have this e-mail address"):
        look_up(settings, email="kim@acme.example")
