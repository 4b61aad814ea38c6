"""The identity step over a warehouse, what outlives the warehouse, what `cdp customers` says and keeps, and the checks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cdp_pipelines import history
from cdp_pipelines.cli import app
from cdp_pipelines.config import Settings
from cdp_pipelines.identity import Resolution, health, resolve, store, tables
from cdp_pipelines.identity.deciding import decide
from cdp_pipelines.identity.explain import explain
from cdp_pipelines.identity.references import NotFound
from cdp_pipelines.identity.step import Identified, identify
from cdp_pipelines.publish import publish
from tests.identity.given import contacts, override, person

ANN = person("Ann Lee", "ann@acme.com", "212-555-0143", "Acme", customer_id="1")
ANNE = person("Anne Lee", "ANN@acme.com", connection="marketo", customer_id="7")
A_LEE = person("A. Lee", None, "+1 212 555 0143", "Acme Inc", customer_id="2")
BOB = person("Bob Lee", "ann@acme.com", customer_id="3")
CIA = person("Cia Ray", "cia@acme.com", customer_id="4")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def run(settings: Settings, *rows: dict[str, Any], day: int = 1) -> Identified:
    """The step over these contacts, and the published file after it."""
    with history.opened(settings) as db:
        db.register("given", contacts(*rows))
        db.execute("create schema if not exists standardized; create or replace table standardized.contacts as from given")
    found = identify(settings, now=datetime(2026, 1, day, tzinfo=UTC))
    publish(settings)
    return found


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with history.opened(settings) as db:
        return db.execute(query).fetchall()


def test_the_step_writes_its_tables_with_their_descriptions(settings):
    found = run(settings, ANN, ANNE, A_LEE, CIA)
    assert found.rows == {
        "customer_contacts": 4,
        "customer_aliases": 0,
        "identity_edges": 2,
        "identity_vetoes": 0,
        "identity_review": 0,
        "identity_overrides": 0,
    }
    assert [c.name for c in found.checks if not c.passed] == []
    assert rows(settings, "select connection, customer_id, rule, why from unified.customer_contacts") == [
        ("hubspot", "1", "email_and_name", "has the e-mail address and the name of marketo:7"),
        ("hubspot", "2", "phone_and_name", "has the phone number and the name of hubspot:1"),
        ("hubspot", "4", "alone", "no evidence joins it to another record: stands alone"),
        ("marketo", "7", "email_and_name", "has the e-mail address and the name of hubspot:1"),
    ]  # fmt: skip
    undescribed = "select count(*) from duckdb_columns() where schema_name = 'unified' and comment is null"
    assert rows(settings, undescribed) == [(0,)]
    assert {name for (name,) in rows(settings, "select table_name from duckdb_tables() where schema_name = 'unified'")} == set(
        tables.TABLES
    )
    assert rows(settings, "select count(*) from ops.check_results") == [(len(health.CHECKS),)]


def test_keys_outlive_the_warehouse(settings):
    before = run(settings, ANN, ANNE) and rows(settings, "select customer_id, customer_key from unified.customer_contacts")
    settings.warehouse.unlink()
    run(settings, {**ANNE, "created_date": datetime(2020, 1, 1)}, ANN)
    assert rows(settings, "select customer_id, customer_key from unified.customer_contacts") == before


def test_an_alias_is_followed_to_who_lives_now_and_ends_when_its_key_lives_again(settings):
    run(settings, ANN, CIA)
    (ann, cia) = (key for (key,) in rows(settings, "select customer_key from unified.customer_contacts order by customer_id"))
    decide(settings, "merge", "hubspot:1", "hubspot:4", who="kim", why="asked")
    run(settings, ANN, CIA, day=2)
    assert rows(settings, "select old_key, new_key, reason, happened_at, is_current from unified.customer_aliases") == [
        (cia, ann, "merged", datetime(2026, 1, 2), True)
    ]
    assert explain(settings, cia).customer_key == ann
    run(settings, ANN, CIA, day=3)
    assert rows(settings, "select count(*) from unified.customer_aliases") == [(1,)]
    decide(settings, "split", "hubspot:1", "hubspot:4", who="kim", why="two after all")
    run(settings, ANN, CIA, day=4)
    assert rows(settings, "select customer_key from unified.customer_contacts order by customer_id") == [(ann,), (cia,)]
    assert rows(settings, "select is_current from unified.customer_aliases where reason = 'merged'") == [(False,)]


def test_a_customer_who_is_gone_is_told_of_once(settings):
    run(settings, ANN, CIA)
    run(settings, ANN, day=2)
    run(settings, ANN, day=3)
    assert rows(settings, "select new_key, reason, happened_at from unified.customer_aliases") == [(None, "gone", datetime(2026, 1, 2))]


def test_decisions_are_kept_in_order_and_outlive_the_warehouse(settings):
    run(settings, ANN, CIA, BOB)
    decide(settings, "merge", "hubspot:1", "cia@acme.com", who="kim", why='says "so"')
    settings.warehouse.unlink()
    run(settings, ANN, CIA, BOB)
    assert rows(settings, "select kind, who, why, outcome, evidence from unified.identity_overrides") == [
        ("merge", "kim", 'says "so"', "against_evidence", "mailboxes_of_one_company")
    ]
    decide(settings, "split", "hubspot:1", "hubspot:4", who="lee", why="no")
    assert store.overrides(settings).column("who").to_pylist() == ["kim", "lee"]
    assert [p.name for p in (settings.data_dir / "identity").iterdir() if p.name.endswith(".new")] == []


def test_a_decision_needs_two(settings):
    run(settings, ANN, ANNE, BOB)
    key = rows(settings, "select customer_key from unified.customer_contacts where customer_id = '1'")[0][0]
    for one, other, reason in ((key, "hubspot:1", "same customer"), ("hubspot:1", "hubspot:1", "same record"), ("hubspot:9", key, "Nobody"),
                               ("ann@acme.com", key, "2 customers have this"), ("x@acme.com", key, "No contact")):  # fmt: skip
        with pytest.raises(NotFound, match=reason):
            decide(settings, "split", one, other, who="kim", why="test")
    assert store.overrides(settings).num_rows == 0


def test_files_that_cannot_be_read_are_named(settings):
    run(settings, ANN)
    folder = settings.data_dir / "identity"
    (folder / "overrides.jsonl").write_text("{not json\n")
    with pytest.raises(store.StoreBroken, match=r"overrides\.jsonl"):
        identify(settings)
    (folder / "overrides.jsonl").unlink()
    (folder / "keys.parquet").write_bytes(b"torn")
    with pytest.raises(store.StoreBroken, match=r"keys\.parquet"):
        identify(settings)


def test_a_customer_is_explained_by_steps_and_a_path_and_near_ones_by_what_speaks_against_them(settings):
    run(settings, ANN, ANNE, A_LEE, BOB, CIA)
    found = explain(settings, "hubspot:2", "marketo:7")
    assert [(s["left"], s["right"], s["rule"]) for s in found.path or []] == [
        ("hubspot:1", "hubspot:2", "phone_and_name"), ("hubspot:1", "marketo:7", "email_and_name"),
    ]  # fmt: skip
    assert found.steps[0]["shared"] == [
        "the e-mail address ann@acme.com",
        "another form of the name (Ann Lee, Anne Lee)",
        "the company (Acme)",
    ]
    bob = {near["other"]: near for near in found.apart}["hubspot:3"]
    assert bob["reason"] == "names_contradict"
    assert "the e-mail address ann@acme.com" in bob["shared"]
    other = explain(settings, "hubspot:1", "hubspot:4")
    assert other.path is None
    assert [(near["other"], near["reason"], near["shared"]) for near in other.apart] == [
        ("hubspot:4", "not_enough", ["the company (Acme)"])
    ]


def test_the_command_explains_decides_and_says_what_is_wrong(settings, monkeypatch):
    monkeypatch.setenv("CDP_DATA_DIR", str(settings.data_dir))
    run(settings, ANN, ANNE, BOB)
    shown = CliRunner().invoke(app, ["customers", "explain", "marketo:7"]).output
    assert "hubspot:1 and marketo:7: email_and_name; both have the e-mail address ann@acme.com" in shown
    assert "their names contradict each other" in shown
    asked = json.loads(CliRunner().invoke(app, ["customers", "explain", "marketo:7", "hubspot:1", "--json"]).output)
    assert [step["rule"] for step in asked["path"]] == ["email_and_name"]
    merged = CliRunner().invoke(app, ["customers", "merge", "marketo:7", "hubspot:3", "--why", "asked", "--who", "kim", "--json"])
    assert json.loads(merged.output)["kind"] == "merge"
    assert "is one person" not in CliRunner().invoke(app, ["customers", "split", "marketo:7", "hubspot:3", "--why", "no"]).output
    wrong = CliRunner().invoke(app, ["customers", "explain", "hubspot:99"])
    assert wrong.exit_code == 1
    assert "Give a customer key" in wrong.output


def failing(found_contacts: int, *rows_: dict[str, Any]) -> set[str]:
    return {check.name for check in health.check(resolve(contacts(*rows_)), found_contacts) if not check.passed}


def test_checks_find_what_they_are_for():
    many = [person("Ann Lee", "ann@acme.com") for _ in range(health.MANY_RECORDS + 1)]
    assert failing(len(many), *many) == {"large_customers"}
    most = [person("Ann Lee", "ann@acme.com") for _ in range(health.MOST_RECORDS + 1)]
    assert failing(len(most), *most) == {"large_customers", "largest_customer"}
    assert failing(2, person("Ann Lee")) == {"every_contact_once"}
    apart = [person(f"{first} Lee", salesforce_id=f"003Kx00000000{n:02}") for n, first in enumerate(("Ann", "Bob", "Cia", "Dan"))]
    theirs = [
        {
            **row,
            "connection": "sf",
            "source_system": "salesforce",
            "customer_id": row["salesforce_id"],
            "first_name": "Zoe",
            "salesforce_id": None,
        }
        for row in apart
    ]
    assert "customers_of_several_crms" in failing(8, *apart, *theirs)


def failed(found: Resolution, count: int) -> dict[str, tuple[int, list[str]]]:
    """The checks that fail, with how many rows and which."""
    return {one.name: (one.failed_rows, one.sample_keys) for one in health.check(found, count) if not one.passed}


def test_keys_that_move_vetoes_that_abound_and_decisions_that_do_not_hold_are_found_alone():
    before = resolve(contacts(ANN, {**ANN, "customer_id": "9"}, CIA))
    moved = resolve(contacts(ANN, {**BOB, "customer_id": "9", "email": "bob@acme.com"}, CIA), previous=before.ledger)
    assert set(failed(before, 3)) == set()
    assert failed(moved, 3) == {"keys_stay": (1, [])}

    # People of one name in one company, each with a mailbox of their own: six are fifteen pairs.
    many = [person("Frank Miller", f"frank{number}@acme.com") for number in range(6)]
    assert failed(resolve(contacts(*many)), 6) == {"vetoes_few": (15, [])}
    assert failed(resolve(contacts(*many[:4])), 4) == {}, "six pairs are too few to tell"

    gone = pa.Table.from_pylist([override("merge", "4", "99")])
    assert failed(resolve(contacts(CIA), overrides=gone), 1) == {"overrides_honoured": (1, ["hubspot:4"])}
    there = pa.Table.from_pylist([override("merge", "1", "4")])
    assert failed(resolve(contacts(ANN, CIA), overrides=there), 2) == {}


def test_the_report_has_numbers_and_nobodys_data():
    text = health.report(resolve(contacts(ANN, ANNE, A_LEE, BOB)))
    assert "4 records are 2 customers; the largest has 3 records." in text
    assert "| names_contradict | shared_email | 2 |" in text
    assert "ann" not in text.lower().replace("another", "")
