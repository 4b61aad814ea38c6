import csv
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from typer.testing import CliRunner, Result

from cdp_pipelines import database, history
from cdp_pipelines.cli import app
from cdp_pipelines.config import ConfigError, connection_from_config
from cdp_pipelines.lock import WarehouseBusy
from cdp_pipelines.sources.report import TableReport
from tests import published_file

COMMANDS = {
    "metrics",
    "demo", "sync", "status", "connections", "doctor", "alerts test", "alerts check", "contacts", "opportunities", "report", "sql", "sandbox serve", "sandbox change", "sandbox faults set",
    "sandbox faults clear", "sandbox faults kinds", "mapping check", "sandbox notify", "webhooks serve", "webhooks status", "webhooks replay",
    "contacts create", "contacts update", "writeback plan", "writeback apply",
    "writeback undo", "writeback retry", "writeback rejects", "writeback status", "writeback drift",
    "customers explain", "customers merge", "customers split", "audit show", "audit verify", "audit export", "audit begin-anew",
    "privacy erase", "privacy finish", "privacy retain", "privacy unsuppress", "privacy export", "privacy rekey",
    "privacy file-key",
}  # fmt: skip


def cdp(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def published(data: Path) -> Path:
    published_file.write(published_file.settings_in(data))
    return data


def _paths(command: object, path: str = "") -> Iterator[str]:
    for name, sub in getattr(command, "commands", {}).items():
        yield from _paths(sub, f"{path} {name}".strip())
    if not hasattr(command, "commands") or path == "contacts":  # which lists them, when no command follows
        yield path


def test_the_commands_are_the_documented_ones() -> None:
    assert set(_paths(typer.main.get_command(app))) == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_with_an_example_of_itself(command: str) -> None:
    result = cdp(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: cdp {command}" in " ".join(result.output.split())


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = "import sys, cdp_pipelines.cli; print(sorted({'dlt', 'dbt', 'pandas', 'pyarrow', 'duckdb', 'pydantic', 'uvicorn', 'dagster'} & set(sys.modules)))"
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    assert time.monotonic() - started < 5


def test_contacts_as_csv_have_every_row_and_column(published: Path) -> None:
    result = cdp("contacts", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["customer_id"] for row in rows] == ["11", "12", "003A", "003C", "003a"]
    ann = rows[2]
    assert (ann["lead_score"], ann["created_date"], ann["customer_key"], ann["is_deleted"]) == (
        "75.50",
        "2026-03-01T12:00:00Z",
        "k1",
        "false",
    )
    assert rows[1]["last_name"] == 'O\'Neil, "Jr"'
    assert rows[1]["title"].startswith("CEO\n")
    assert rows[3]["email"] == ""


def test_contacts_as_json_are_one_array_with_numbers_as_numbers(published: Path) -> None:
    result = cdp("contacts", "-w", "source_system=salesforce", "-w", "lead_score__gt=50", "--format", "json")
    assert [(row["customer_id"], row["lead_score"]) for row in json.loads(result.stdout)] == [("003A", 75.5)]
    assert json.loads(cdp("contacts", "-w", "email=nobody@example.com", "--format", "json").stdout) == []
    assert len(json.loads(cdp("contacts", "--limit", "2", "--format", "json").stdout)) == 2
    assert len(json.loads(cdp("contacts", "--include-deleted", "--format", "json").stdout)) == len(published_file.CONTACTS)


def test_a_table_shows_what_crms_say_as_plain_text_and_tells_of_more_rows(published: Path) -> None:
    result = cdp("contacts", "--limit", "3")
    assert "Acme [bold]" in result.stdout
    assert "\x1b[31m" not in result.stdout
    assert "003C" not in result.stdout
    assert "The first 3 rows; more match" in result.stderr
    assert cdp("contacts").stderr == ""


def test_opportunities_keep_exact_amounts_in_every_format(published: Path) -> None:
    assert '"value":1234567890123456.78' in cdp("opportunities", "--format", "json").stdout
    assert "1234567890123456.78" in cdp("opportunities", "--format", "csv").stdout
    assert "1234567890123456.78" in cdp("opportunities", "--where", "close_date=2026-03-01").stdout


def test_sql_answers_in_every_format(published: Path) -> None:
    query = "select connection, count(*) as n, max(created_date) as last, list(customer_id order by customer_id) as ids from contacts group by 1 order by 1"
    assert json.loads(cdp("sql", query, "--format", "json").stdout)[1] == {
        "connection": "salesforce", "n": 5, "last": "2026-03-02T12:00:00Z", "ids": ["003A", "003C", "003D", "003E", "003a"],
    }  # fmt: skip
    assert cdp("sql", query, "--format", "csv").stdout.splitlines()[1] == 'hubspot,2,,"[""11"",""12""]"'
    assert "salesforce" in cdp("sql", query).stdout
    assert len(cdp("sql", "from range(1000)", "--format", "csv", "--limit", "7").stdout.splitlines()) == 8
    assert "The first 100 rows" in cdp("sql", "from range(1000)").stderr
    addresses = "select distinct email from contacts where email is not null"
    shown, masked = (cdp("sql", addresses, "--format", "csv", *more).stdout.splitlines()[1:] for more in ([], ["--masked"]))
    assert len(masked) == len(shown) > 1
    assert all("@" in one for one in shown) and not any("@" in one for one in masked)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["contacts", "--where", "lead_score__gt=abc"], "lead_score__gt needs a number, not 'abc'"),
        (["contacts", "--where", "nope=1"], "There is no field 'nope'. Fields: connection,"),
        (["opportunities", "--where", "value"], "'value' is not a filter"),
        (["sql", "delete from contacts"], "read-only"),
        (["sql", "selec 1"], "Parser Error"),
        (["sql", "select * from nothing"], "nothing"),
    ],
)
def test_an_expected_error_is_one_line_on_stderr_and_exit_1(published: Path, arguments: list[str], says: str) -> None:
    result = cdp(*arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["contacts"], ["opportunities"], ["sql", "select 1"], ["status"], ["status", "--json"]])
def test_before_the_first_sync_commands_say_what_to_run(data: Path, arguments: list[str]) -> None:
    result = cdp(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: There is no published file yet")
    assert "Run `cdp sync` first" in result.stderr


def test_a_wrong_setting_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_SANDBOX_PORT", "many")
    result = cdp("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: CDP_SANDBOX_PORT is wrong")


def test_status_shows_every_object_and_the_failed_checks(published: Path) -> None:
    result = cdp("status")
    assert result.exit_code == 0
    for text in ("salesforce", "contact", "3 h 5 min", "contacts.casts: 1 row. Every lead_score is a number.", "State: complete"):
        assert text in result.stdout
    found = json.loads(cdp("status", "--json").stdout)
    assert found["state"] == "complete"
    assert found["connections"]["salesforce"]["objects"]["contact"]["rows_total"] == 5
    assert [check["name"] for check in found["failed_checks"]] == ["casts"]


def test_status_says_how_fast_changes_were_that_a_crm_told(data: Path) -> None:
    settings = published_file.settings_in(data)
    history.opened(settings).close()
    history.record_event_lags(settings, datetime.now(UTC), [history.EventLag("hubspot", 4, 8, 75)])
    published_file.write(settings)
    shown = " ".join(cdp("status").stdout.split())
    assert "hubspot: told 4 changes in the last day; half were published within 8 s, 95 % within 1 min 15 s." in shown
    assert "salesforce: told" not in shown
    found = json.loads(cdp("status", "--json").stdout)["connections"]
    assert found["hubspot"]["events"] == {"last_day": 4, "median_seconds": 8.0, "p95_seconds": 75.0}
    assert found["salesforce"]["events"] == {"last_day": 0, "median_seconds": None, "p95_seconds": None}


def test_status_says_what_was_not_kept_and_how_many_calls_are_left(data: Path) -> None:
    settings, now = published_file.settings_in(data), datetime.now(UTC)
    report = TableReport(
        "marketo", "marketo", "leads", "full", now, now, "ok", None, None, rows_read=8, calls_left=1_234, calls_allowed=50_000
    )
    report.rejected["the row has no key"].add(2)
    report.rejected["the line is broken"].add(1, ["marketo:77"])
    history.record_syncs(settings, [report])
    published_file.write(settings)
    shown = " ".join(cdp("status").stdout.split())
    assert "marketo: 2 rows of leads were not kept: the row has no key." in shown
    assert "marketo: 1 rows of leads were not kept: the line is broken. Records: marketo:77." in shown
    assert "left after the last run: marketo 1,234 of 50,000 (now" in shown
    found = json.loads(cdp("status", "--json").stdout)
    assert [(one["reason"], one["rows"], one["example_keys"]) for one in found["rejected_rows"]] == [
        ("the line is broken", 1, ["marketo:77"]), ("the row has no key", 2, []),
    ]  # fmt: skip
    marketo, salesforce = found["connections"]["marketo"], found["connections"]["salesforce"]
    assert (marketo["rows_rejected"], marketo["calls_left"], marketo["calls_allowed"]) == (3, 1_234, 50_000)
    assert marketo["objects"]["leads"]["rows_rejected"] == 3
    assert (salesforce["rows_rejected"], salesforce["calls_left"]) == (0, None)


def test_status_reads_what_an_earlier_version_published(published: Path) -> None:
    settings = published_file.settings_in(published)
    with database.connect(settings, settings.published) as db:
        db.execute("drop table rejected_rows")
        for column in ("rows_rejected", "calls_left", "calls_allowed"):
            db.execute(f"alter table sync_status drop column {column}")
    assert cdp("status").exit_code == 0
    assert json.loads(cdp("status", "--json").stdout)["rejected_rows"] == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"incomplete": True}, "hubspot: incomplete (deals): deals may not be read. Add the scope crm.objects.deals.read."),
        ({"failed": True}, "contacts.no_rows_lost: blocking, 2 rows."),
    ],
)
def test_status_exits_with_1_when_something_is_incomplete(data: Path, how: dict[str, bool], says: str) -> None:
    published_file.write(published_file.settings_in(data), **how)
    result = cdp("status")
    assert result.exit_code == 1
    assert says in result.stdout
    assert "State: INCOMPLETE" in result.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory and no credentials, so that every command runs a small sandbox of its own."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDP_DATA_DIR", str(folder))
        patch.setenv("CDP_SANDBOX_PEOPLE", "40")
        patch.setenv("CDP_SANDBOX_PORT", "1")  # where no sandbox can be that happens to run on this machine
        yield folder


@pytest.mark.slow
def test_sync_reads_everything_and_then_what_changed_in_the_named_connections(world: Path) -> None:
    first = cdp("sync")
    assert first.exit_code == 0, first.output
    assert "Sync complete" in first.stdout
    assert f"Published: {world / 'cdp.duckdb'}" in first.stdout
    stages = ["extracting", "standardizing", "checking", "unifying", "publishing"]
    assert [line for line in first.stderr.splitlines() if line in stages] == stages
    assert "10 changes made" in cdp("sandbox", "change", "--seed", "3", "--count", "10").stdout
    second = json.loads(cdp("sync", "hubspot", "--json").stdout)
    assert second["complete"] is True
    assert list(second["connections"]) == ["hubspot"]
    assert {found["mode"] for found in second["connections"]["hubspot"]["objects"].values()} == {"incremental"}
    status = json.loads(cdp("status", "--json").stdout)
    assert (status["state"], sorted(status["connections"])) == ("complete", ["hubspot", "marketo", "salesforce"])


def test_an_unknown_connection_is_answered_with_the_known_ones(world: Path) -> None:
    result = cdp("sync", "pipedrive")
    assert result.exit_code == 1
    assert result.stderr.strip() == "Error: pipedrive is not a connection. Connections: salesforce, hubspot, marketo."


def test_connections_are_tested(world: Path) -> None:
    result = cdp("connections")
    assert result.exit_code == 0, result.output
    assert result.stdout.count(" ok ") == 3
    assert "salesforce: api\n" in result.stdout
    assert "hubspot: the token may do more than is needed: crm.objects.companies.write, crm.objects.deals.write" in result.stdout
    found = json.loads(cdp("connections", "--json").stdout)
    assert [test["ok"] for test in found] == [True, True, True]
    assert [len(test["warnings"]) for test in found] == [0, 1, 0]


def test_a_connection_that_fails_says_why_without_the_secret(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-na1-do-not-show")
    monkeypatch.setenv("HUBSPOT_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HUBSPOT_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("MARKETO_CLIENT_ID", "id")
    result = cdp("connections")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stdout
    assert "MARKETO_ENDPOINT is missing" in result.stdout
    assert "do-not-show" not in result.output


def test_sync_hands_on_what_was_asked_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = connection_from_config("hubspot", {"access_token": "pat-na1-do-not-show"})
    refused = ConfigError("MARKETO_ENDPOINT", "is missing", "Set it.", "marketo")
    asked = Mock(return_value=published_file.sync_report(data))
    monkeypatch.setattr("cdp_pipelines.connections.configured", lambda settings: nullcontext([wanted, refused]))
    monkeypatch.setattr("cdp_pipelines.sync.sync", asked)
    cdp("sync")
    assert (asked.call_args.args[1], asked.call_args.kwargs["full"]) == ([wanted, refused], False)
    assert asked.call_args.kwargs["reconcile"] is False
    cdp("sync", "marketo", "--full")
    assert (asked.call_args.args[1], asked.call_args.kwargs["full"]) == ([refused], True)
    cdp("sync", "--reconcile")
    assert (asked.call_args.kwargs["full"], asked.call_args.kwargs["reconcile"]) == (False, True)


def test_what_a_reconcile_mended_or_could_not_stands_below_what_was_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = published_file.sync_report(data)
    (outcome, *_), now = report.connections, datetime.now(UTC)
    outcome.tables += [
        TableReport("hubspot", "hubspot", "contacts", "reconcile", now, now, "ok", None, None, rows_read=3, rows_deleted=2),
        TableReport("hubspot", "hubspot", "deals", "reconcile", now, now, "incomplete", "deals cannot be listed.", "Grant the scope."),
    ]
    monkeypatch.setattr("cdp_pipelines.connections.configured", lambda settings: nullcontext([]))
    monkeypatch.setattr("cdp_pipelines.sync.sync", lambda *_, **__: report)
    said = cdp("sync").stdout
    assert "hubspot: incomplete (deals): deals cannot be listed. Grant the scope." in said
    found = json.loads(cdp("sync", "--json").stdout)["connections"]["hubspot"]["reconciled"]
    assert {name: (one["mode"], one["rows_read"], one["rows_deleted"]) for name, one in found.items()} == {
        "contacts": ("reconcile", 3, 2), "deals": ("reconcile", 0, 0),
    }  # fmt: skip


def test_an_incomplete_sync_exits_with_1_and_gives_each_reason_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = published_file.sync_report(data, incomplete=True)
    monkeypatch.setattr("cdp_pipelines.connections.configured", lambda settings: nullcontext([]))
    monkeypatch.setattr("cdp_pipelines.sync.sync", lambda *_, **__: report)
    result = cdp("sync")
    assert result.exit_code == 1
    assert "hubspot: incomplete (contacts, deals): host cannot be reached. Check the network." in result.stdout
    assert "hubspot: hs_lead_score is not there" in result.stdout
    assert "API calls: hubspot 12." in result.stdout
    assert "Sync INCOMPLETE in 1 min 15 s." in result.stdout
    assert json.loads(cdp("sync", "--json").stdout)["connections"]["hubspot"]["complete"] is False


def test_a_blocking_check_that_fails_exits_with_1_and_shows_keys(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = published_file.sync_report(data, failed=True)
    monkeypatch.setattr("cdp_pipelines.connections.configured", lambda settings: nullcontext([]))
    monkeypatch.setattr("cdp_pipelines.sync.sync", lambda *_, **__: report)
    result = cdp("sync")
    assert result.exit_code == 1
    assert (
        "contacts.no_rows_lost: blocking, 2 rows. Every raw record has its row. Look at staging. Rows: hubspot:1, hubspot:2."
        in result.stdout
    )
    assert "Not published: a blocking check failed (contacts.no_rows_lost)." in result.stdout


def test_the_sandboxs_crms_have_what_the_mapping_needs(world: Path) -> None:
    result = cdp("mapping", "check", "--json")
    findings = json.loads(result.stdout)
    assert [finding for finding in findings if finding["blocking"]] == []
    assert result.exit_code == 0
    assert {finding["connection"] for finding in findings} <= {"salesforce", "hubspot", "marketo"}
    assert cdp("mapping", "check").exit_code == 0


def test_sandbox_changes_are_listed_as_json(world: Path) -> None:
    changes = json.loads(cdp("sandbox", "change", "--count", "5", "--json").stdout)
    assert len(changes) == 5
    assert {"op", "crm", "id"} <= set(changes[0])


def test_sandbox_serve_names_the_setting_when_its_port_is_taken(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = cdp("sandbox", "serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: CDP_SANDBOX_PORT is ")


def test_demo_ends_with_the_demonstrations_exit_code(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdp_pipelines.demo.run", lambda settings: 0 if settings.data_dir == data else 2)
    assert cdp("demo").exit_code == 0


def test_a_busy_warehouse_is_said_in_one_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise WarehouseBusy("warehouse.duckdb is in use by Dagster run 1.")

    monkeypatch.setattr("cdp_pipelines.connections.configured", lambda settings: nullcontext([]))
    monkeypatch.setattr("cdp_pipelines.sync.sync", busy)
    result = cdp("sync")
    assert (result.exit_code, result.stderr) == (1, "Error: warehouse.duckdb is in use by Dagster run 1.\n")
