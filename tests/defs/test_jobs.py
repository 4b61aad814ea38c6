"""The main job, run by Dagster against the sandbox over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from cdp_pipelines.config import KINDS, Settings, connection_from_config
from cdp_pipelines.definitions import defs
from cdp_pipelines.defs import automate
from cdp_pipelines.defs.policy import WHAT
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sync import sync

PEOPLE = 200


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch) -> Iterator[SandboxAddresses]:
    with hosting.child(Settings(data_dir=tmp_path / "sandbox", sandbox_people=PEOPLE)) as (addresses, _):
        for variable, value in addresses.environment().items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path / "dagster"))
        yield addresses


def run(job: str = "sync") -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    events = [e.asset_check_evaluation_data for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"]
    return {f"{c.asset_key.to_user_string()} {c.check_name}": c.passed for c in events}


def tables(settings: Settings) -> dict[str, list[tuple]]:
    """Every published table but those about the run itself, without the moment of reading."""
    with duckdb.connect(str(settings.published), read_only=True) as db:
        names = [
            n
            for (n,) in db.execute("select table_name from duckdb_tables() where schema_name = 'main'").fetchall()
            if n not in ("sync_status", "data_quality")
        ]
        columns = {n: ", ".join(c for c, *_ in db.execute(f"describe {n}").fetchall() if c != "synced_at") for n in names}
        return {n: db.execute(f"select {columns[n]} from {n} order by all").fetchall() for n in names}


def live_contacts(settings: Settings) -> int:
    with duckdb.connect(str(settings.published), read_only=True) as db:
        return db.execute("select count(*) from contacts where not is_deleted").fetchall()[0][0]


@pytest.mark.slow
def test_the_job_ends_in_the_same_tables_as_the_command_line(sandbox, tmp_path):
    result = run()
    found = checks(result)
    assert result.success
    assert len(found) > 90
    assert all(found.values()), [name for name, passed in found.items() if not passed]
    by_command = Settings(data_dir=tmp_path / "command")
    report = sync(by_command, [connection_from_config(name, config) for name, config in sandbox.connections().items()])
    assert report.complete
    by_dagster = tables(Settings())
    assert by_dagster == tables(by_command)
    assert sum(map(len, by_dagster.values())) > 1000
    counts = {e.materialization.asset_key.to_user_string(): e.materialization.metadata for e in result.get_asset_materialization_events()}
    assert counts["standardized/contacts"]["dagster/row_count"].value == len(by_dagster["contacts"])
    assert counts["raw_hubspot/contacts"]["dagster/row_count"].value not in (0, None)
    assert result.dagster_run.tags[WHAT] == "read what changed, and publish it"
    columns = {
        key: {column.name: column.description for column in value.schema.columns}
        for key, told in counts.items()
        if isinstance(value := told.get("dagster/column_schema"), dg.TableSchemaMetadataValue)
    }
    assert columns.keys() == {key for key in counts if not key.startswith(("published/", "quality/"))}  # quality's are in its definition
    assert len(columns) > 60
    assert [f"{key}.{name}" for key, found in columns.items() for name, text in found.items() if not text] == []
    made_of = {
        key: value.column_lineage.deps_by_column
        for key, told in counts.items()
        if isinstance(value := told.get("dagster/column_lineage"), dg.TableColumnLineageMetadataValue)
    }
    assert [
        (key, name, dep)
        for key, deps_by_column in made_of.items()
        for name, deps in deps_by_column.items()
        for dep in deps
        if name not in columns[key] or dep.column_name not in columns[dep.asset_key.to_user_string()]
    ] == []
    assert {d.asset_key.to_user_string() for d in made_of["standardized/contacts"]["email"]} == {
        "staging/stg_salesforce__contacts", "staging/stg_salesforce__leads", "staging/stg_hubspot__contacts", "staging/stg_marketo__leads",
    }  # fmt: skip
    lags = str(counts["published/cdp"]["lag"].value).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lags] == ["| hubspot", "| marketo", "| salesforce"]
    assert all(0 < int(line.split(" | ")[2]) < 600 for line in lags)
    by_crm = str(counts["standardized/contacts"]["Rows by CRM"].value).splitlines()[2:]
    assert [line.split(" | ")[0] for line in by_crm] == ["| hubspot", "| marketo", "| salesforce"]
    assert sum(int(line.split(" | ")[1].replace(",", "")) for line in by_crm) == live_contacts(Settings())
    for asset, title in {
        "unified/customers": "Who is in which CRM", "unified/customer_contacts": "Why records were put together",
        "unified/opportunity_links": "Open pipeline by stage", "published/report": "preview",
    }.items():  # fmt: skip
        assert "█" in str(counts[asset][title].value), asset


@pytest.mark.slow
def test_a_crm_that_cannot_be_read_fails_the_run_after_the_others_were_published(sandbox, monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-na1-wrong")
    result = run()
    failed = {name for name, passed in checks(result).items() if not passed}
    assert not result.success
    assert "published/cdp everything_read" in failed
    assert "raw_hubspot/contacts complete" in failed
    with duckdb.connect(str(Settings().published), read_only=True) as db:
        assert {s for (s,) in db.execute("select distinct source_system from contacts").fetchall()} == {"salesforce", "marketo"}


@pytest.mark.slow
def test_a_blocking_check_between_the_layers_stops_what_comes_after(sandbox, monkeypatch):
    from cdp_pipelines import checks as comparisons

    broken = [
        comparisons.Check(c.name, c.table, c.blocking, c.description, c.remedy, "select 'hubspot:1' as key, 1 as rows")
        if (c.name, c.table) == ("no_rows_lost", "contacts") else c
        for c in comparisons.all_checks()
    ]  # fmt: skip
    monkeypatch.setattr(comparisons, "all_checks", lambda: tuple(broken))
    result = run()
    made = {e.materialization.asset_key.path[0] for e in result.get_asset_materialization_events()}
    assert not result.success
    assert "standardized" in made
    assert made.isdisjoint({"unified", "published"})
    with duckdb.connect(str(Settings().published), read_only=True) as db:
        assert db.execute("select count(*) from data_quality where not passed").fetchall() == [(1,)]
        assert db.execute("select count(*) from duckdb_tables() where table_name = 'contacts'").fetchall() == [(0,)]


def test_the_sensor_asks_for_a_sync_when_none_is_recent(tmp_path, monkeypatch):
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        request = automate.overdue_sync(dg.build_sensor_context(instance=instance))
        assert isinstance(request, dg.RunRequest)
        with duckdb.connect(str(Settings().published)) as db:
            db.execute("create table sync_status as select 'ok' as state, (now() at time zone 'UTC')::timestamp as ended_at")
        assert isinstance(automate.overdue_sync(dg.build_sensor_context(instance=instance)), dg.SkipReason)
        with duckdb.connect(str(Settings().published)) as db:
            db.execute("update sync_status set ended_at = ended_at - interval 3 hour")
        assert isinstance(automate.overdue_sync(dg.build_sensor_context(instance=instance)), dg.RunRequest)


@pytest.mark.slow
def test_the_nightly_job_reconciles_what_it_has_read(sandbox):
    assert run("reconcile").success
    with duckdb.connect(str(Settings().warehouse)) as db:
        modes = db.execute("select source_system, list(distinct mode order by mode) from ops.table_syncs group by 1 order by 1").fetchall()
    assert modes == [(kind, ["full", "reconcile"]) for kind in sorted(KINDS)]


@pytest.mark.slow
def test_the_full_job_reads_everything_anew(sandbox):
    assert run().success
    assert run("full_sync").success
    with duckdb.connect(str(Settings().published), read_only=True) as db:
        assert db.execute("select distinct mode from sync_status").fetchall() == [("full",)]
