"""The whole flow, from three CRMs over HTTP to the published file."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest

from cdp_pipelines.config import KINDS, ConfigError, Connection, Settings, connection_from_config
from cdp_pipelines.connections import configured
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sync import SyncReport, ingest, sync

PEOPLE = 300
STANDARDIZED = (
    "contacts",
    "opportunities",
    "opportunity_contacts",
    "companies",
    "campaigns",
    "campaign_members",
    "lifecycle_stage_changes",
)
GUIDE_CONTACT = [
    "customer_id", "email", "first_name", "last_name", "phone", "company", "title", "lead_score", "source", "created_date", "last_updated",
]  # fmt: skip
GUIDE_OPPORTUNITY = ["id", "contact_id", "name", "stage", "value", "probability", "close_date"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxAddresses]:
    with hosting.child(Settings(data_dir=tmp_path / "sandbox", sandbox_people=PEOPLE)) as (addresses, _):
        yield addresses


def connect(sandbox: SandboxAddresses, *names: str, **changes: Any) -> list[Connection | ConfigError]:
    """Connections to the sandbox's CRMs; `changes` are settings by CRM."""
    return [connection_from_config(name, sandbox.connections()[name] | changes.get(name, {})) for name in names]


def run(folder: Path, connections: Sequence[Connection | ConfigError], **options: Any) -> tuple[Settings, SyncReport]:
    settings = Settings(data_dir=folder)
    return settings, sync(settings, connections, **options)


def query(settings: Settings, sql: str) -> list[tuple]:
    with duckdb.connect(str(settings.published), read_only=True) as db:
        return db.execute(sql).fetchall()


def counts(sandbox: SandboxAddresses) -> dict[str, dict[str, int]]:
    return httpx2.get(f"{sandbox.control_url}/sandbox/counts").json()


def rows(settings: Settings, table: str) -> list[tuple]:
    """All rows of a table, without the moment at which each was read."""
    columns = ", ".join(name for name, *_ in query(settings, f"describe {table}") if name != "synced_at")
    return query(settings, f"select {columns} from {table} order by all")


def without_purged(settings: Settings, fresh: Settings, table: str) -> list[tuple]:
    """All rows of a table but for the deleted ones that a first sync cannot know of, since no CRM tells of them any more."""
    columns = [name for name, *_ in query(settings, f"describe {table}") if name != "synced_at"]
    key, deleted = [columns.index(name) for name in ("connection", KEYS.get(table, "id"))], columns.index("is_deleted")
    told = {tuple(row[place] for place in key) for row in rows(fresh, table)}
    return [row for row in rows(settings, table) if not row[deleted] or tuple(row[place] for place in key) in told]


KEYS = {"contacts": "customer_id", "lifecycle_stage_changes": "contact_id"}
ALL = ("salesforce", "hubspot", "marketo")


def test_three_crms_become_one_set_of_tables_and_incremental_equals_full(sandbox, tmp_path):
    settings, report = run(tmp_path / "a", connect(sandbox, *ALL))
    assert report.complete, report
    assert [c for c, *_ in query(settings, "describe contacts")][3:14] == GUIDE_CONTACT
    assert [c for c, *_ in query(settings, "describe opportunities")][2:9] == GUIDE_OPPORTUNITY
    held = counts(sandbox)
    live = dict(query(settings, "select source_system, count(*) from contacts where not is_deleted group by 1"))
    assert live == {
        "salesforce": held["salesforce"]["Contact"] + held["salesforce"]["Lead"],
        "hubspot": held["hubspot"]["contacts"],
        "marketo": held["marketo"]["leads"],
    }
    deals = dict(query(settings, "select source_system, count(*) from opportunities where not is_deleted group by 1"))
    assert deals["salesforce"] == held["salesforce"]["Opportunity"]
    assert deals["hubspot"] == held["hubspot"]["deals"]
    first_calls = {c.connection: c.calls for c in report.connections}
    before = {table: rows(settings, table) for table in STANDARDIZED}

    _, again = run(tmp_path / "a", connect(sandbox, *ALL))
    assert again.complete
    assert {table: rows(settings, table) for table in STANDARDIZED} == before
    assert sum(t.rows_inserted for c in again.connections for t in c.tables) == 0
    assert all(c.calls < first_calls[c.connection] for c in again.connections)

    for seed in (1, 2):
        httpx2.post(f"{sandbox.control_url}/sandbox/change", json={"seed": seed, "count": 80}, timeout=60).raise_for_status()
    _, changed = run(tmp_path / "a", connect(sandbox, *ALL), reconcile=True)
    fresh, full = run(tmp_path / "b", connect(sandbox, *ALL))
    assert changed.complete and full.complete
    assert {t.mode for c in changed.connections for t in c.tables} == {"incremental", "reconcile"}
    for table in STANDARDIZED:
        assert without_purged(settings, fresh, table) == rows(fresh, table), table
    assert rows(settings, "contacts") != before["contacts"]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_one_crm_alone_is_enough(sandbox, tmp_path, name):
    settings, report = run(tmp_path / "data", connect(sandbox, name))
    assert report.complete, report
    assert {s for (s,) in query(settings, "select distinct source_system from contacts")} == {name}
    assert query(settings, "select count(*) from customers where contact_count > 0")[0][0] > 0


@pytest.mark.slow
def test_a_crm_without_records_is_complete_and_empty(tmp_path):
    with hosting.child(Settings(data_dir=tmp_path / "sandbox", sandbox_people=0)) as (nobody, _):
        settings, report = run(tmp_path / "data", connect(nobody, *ALL))
    assert report.complete, report
    assert [query(settings, f"select count(*) from {table}")[0][0] for table in (*STANDARDIZED, "customers")] == [0] * 8


@pytest.mark.slow
def test_two_connections_of_one_kind_share_the_tables_and_keep_their_rows_apart(sandbox, tmp_path):
    config = sandbox.connections()["salesforce"] | {"kind": "salesforce"}
    both = [connection_from_config("emea", config), connection_from_config("apac", config)]
    settings, report = run(tmp_path / "data", both)
    assert report.complete, report
    by_connection = dict(query(settings, "select connection, count(*) from contacts group by 1"))
    assert by_connection["emea"] == by_connection["apac"] > 0
    assert query(settings, "select count(*), count(distinct (connection, record_type, customer_id)) from contacts")[0] == (
        2 * by_connection["emea"], 2 * by_connection["emea"],
    )  # fmt: skip


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


WRONG = [
    ("salesforce", {"client_secret": "wrong"}, "SALESFORCE_CLIENT_SECRET"),
    ("salesforce", {"password": "wrong"}, "SALESFORCE_PASSWORD"),
    ("hubspot", {"access_token": "pat-na1-wrong"}, "HUBSPOT_ACCESS_TOKEN"),
    ("marketo", {"client_secret": "wrong"}, "MARKETO_CLIENT_SECRET"),
    ("salesforce", {"login_url": f"http://127.0.0.1:{_closed_port()}", "max_attempts": 1}, "127.0.0.1 cannot be reached"),
    ("hubspot", {"base_url": f"http://127.0.0.1:{_closed_port()}", "max_attempts": 1}, "127.0.0.1 cannot be reached"),
    ("marketo", {"endpoint": f"http://127.0.0.1:{_closed_port()}", "max_attempts": 1}, "127.0.0.1 cannot be reached"),
]


def test_what_is_wrong_with_a_connection_is_said_once_with_the_setting_to_mend(sandbox, tmp_path):
    for name, wrong, says in WRONG:
        (connection,) = connect(sandbox, name, **{name: wrong})
        outcome = ingest(Settings(data_dir=tmp_path / "data"), connection)
        assert not outcome.complete
        assert says in f"{outcome.problem} {outcome.remedy}"
        assert "wrong" not in f"{outcome.problem} {outcome.remedy}"
        assert {t.state for t in outcome.tables} == {"incomplete"}
        assert outcome.calls <= 2, "a rejected sign-in is not tried for every table"


@pytest.mark.slow
def test_when_two_crms_cannot_be_read_the_third_still_syncs(sandbox, tmp_path):
    wrong = {"salesforce": {"client_secret": "wrong"}, "marketo": {"endpoint": f"http://127.0.0.1:{_closed_port()}", "max_attempts": 1}}
    settings, report = run(tmp_path / "data", connect(sandbox, *ALL, **wrong))
    assert not report.complete
    assert report.published == settings.published
    assert [c.connection for c in report.connections if c.complete] == ["hubspot"]
    assert query(settings, "select distinct source_system from contacts") == [("hubspot",)]
    states = dict(query(settings, "select connection, string_agg(distinct state) from sync_status group by 1"))
    assert states == {"salesforce": "incomplete", "hubspot": "ok", "marketo": "incomplete"}


@pytest.mark.slow
def test_a_missing_setting_is_said_and_the_others_still_sync(sandbox, tmp_path, monkeypatch):
    for variable, value in sandbox.environment().items():
        if variable.startswith(("HUBSPOT_", "MARKETO_")):
            monkeypatch.setenv(variable, value)
    monkeypatch.delenv("MARKETO_CLIENT_SECRET")
    settings = Settings(data_dir=tmp_path / "data")
    with configured(settings) as connections:
        report = sync(settings, connections)
    assert {(c.connection, c.complete) for c in report.connections} == {("hubspot", True), ("marketo", False)}
    assert "MARKETO_CLIENT_SECRET is missing" in str(report.connections[-1].problem)
    assert query(settings, "select distinct problem from sync_status where connection = 'marketo'") == [
        ("MARKETO_CLIENT_SECRET is missing.",)
    ]


def test_a_revoked_token_makes_the_connection_incomplete(sandbox, tmp_path):
    httpx2.post(f"{sandbox.control_url}/sandbox/revoke", json={"crm": "hubspot"}).raise_for_status()
    (connection,) = connect(sandbox, "hubspot")
    outcome = ingest(Settings(data_dir=tmp_path / "data"), connection)
    assert not outcome.complete
    assert "HUBSPOT_ACCESS_TOKEN" in str(outcome.remedy)


def test_a_connection_that_becomes_another_account_is_refused(sandbox, tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    (connection,) = connect(sandbox, "hubspot")
    assert ingest(settings, connection).complete
    elsewhere = connection_from_config("hubspot", {"access_token": "pat-na1-real"})
    outcome = ingest(settings, elsewhere)
    assert (
        outcome.problem
        == "until now this connection was hubspot on sandbox, and now it is hubspot on api.hubapi.com; their records would mix."
    )
    assert outcome.calls == 0


@pytest.mark.slow
def test_a_sync_with_nothing_new_makes_the_same_few_calls_whatever_the_size(tmp_path):
    calls = {}
    for people in (40, 400):
        with hosting.child(Settings(data_dir=tmp_path / f"sandbox{people}", sandbox_people=people)) as (addresses, _):
            settings = Settings(data_dir=tmp_path / f"data{people}")
            for connection in connect(addresses, *ALL):
                ingest(settings, connection)
                again = ingest(settings, connection)
                assert sum(t.rows_inserted for t in again.tables) == 0
                calls.setdefault(again.connection, []).append(again.calls)
    assert all(few == many for few, many in calls.values()), calls


@pytest.mark.slow
def test_a_blocking_check_keeps_the_last_good_tables_published(sandbox, tmp_path, monkeypatch):
    settings, _ = run(tmp_path / "data", connect(sandbox, "hubspot"))
    good = rows(settings, "contacts")
    from cdp_pipelines import checks

    lost = checks.Check("no_rows_lost", "contacts", True, "d", "r", "select 'hubspot:1' as key, 1 as rows")
    monkeypatch.setattr(checks, "all_checks", lambda: (lost,))
    httpx2.post(f"{sandbox.control_url}/sandbox/change", json={"seed": 1, "count": 40}, timeout=60).raise_for_status()
    _, stopped = run(tmp_path / "data", connect(sandbox, "hubspot"))
    assert not stopped.complete
    assert "contacts.no_rows_lost" in str(stopped.problem)
    assert rows(settings, "contacts") == good
    assert query(settings, "select sample_keys from data_quality where name = 'no_rows_lost' and not passed") == [(["hubspot:1"],)]
