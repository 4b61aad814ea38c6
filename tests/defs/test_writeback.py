"""Write-back in Dagster: off by default, shown as a table, done when a person has approved it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cdp_pipelines import database
from cdp_pipelines.config import Settings
from cdp_pipelines.definitions import defs
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality.looking import Look
from cdp_pipelines.quality.stores import HOLDS_WHAT_WE_WROTE
from tests.sandbox.faulty import faulty
from tests.writeback.world import World, unique


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with faulty(tmp_path / "state", people=20) as running:
        for variable, value in running.addresses.environment().items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("CDP_WRITEBACK_FILE", str(tmp_path / "writeback.yml"))
        yield World(running, Settings())


def run(job: str, **config: object) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, run_config=config or None)


def test_no_job_that_reads_writes() -> None:
    for name in ("sync", "reconcile", "full_sync"):
        job = defs.resolve_job_def(name)
        assert not {key for key in job.asset_layer.executable_asset_keys if key.path[0] == "writeback"}, name
    assert not [s for s in defs.get_repository_def().schedule_defs if "write" in s.job_name]


def test_a_plan_is_shown_and_done_only_when_its_hash_is_approved(world: World) -> None:
    record = world.make("hubspot", email=unique(), last_name="Lee", title="Old")
    world.publish({"customer_key": "k1", "title": "New", "records": {"hubspot": record}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    planned = run("plan_write_back")
    assert planned.success
    (made,) = planned.get_asset_materialization_events()
    metadata = made.materialization.metadata
    assert "| jobtitle | Old | New | source_wins |" in str(metadata["plan"].value)
    assert run("apply_write_back").success
    assert world.see("hubspot", record)["title"] == "Old"
    approved = {"ops": {"writeback__applied": {"config": {"approved": metadata["hash, to approve it"].value}}}}
    done = run("apply_write_back", **approved)
    assert done.success
    assert done.get_asset_materialization_events()[0].materialization.metadata["records"].value == {"hubspot": {"updated": 1}}
    assert world.see("hubspot", record)["title"] == "New"
    assert not run("apply_write_back", ops={"writeback__applied": {"config": {"approved": "0" * 64}}}).success


def test_with_a_key_a_plan_is_done_from_sealed_files_and_not_told_to_dagster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_ENCRYPTION_KEY", "writeback-key-" * 3)
    world = World(world.sandbox, Settings())
    email = unique("sealed")
    record = world.make("hubspot", email=email, last_name="Lee", title="Beekeeper")
    world.publish({"customer_key": "k1", "title": "Falconer", "records": {"hubspot": record}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    (made,) = run("plan_write_back").get_asset_materialization_events()
    assert "cdp writeback apply --dry-run" in str(made.materialization.metadata["plan"].value)
    assert "Falconer" not in str(made.materialization.metadata)
    approved = {"ops": {"writeback__applied": {"config": {"approved": made.materialization.metadata["hash, to approve it"].value}}}}
    assert run("apply_write_back", **approved).success
    assert world.see("hubspot", record)["title"] == "Falconer"
    written = [path for path in world.settings.data_dir.rglob("*") if path.is_file()]
    assert {"outbox.sqlite", "log.jsonl"} <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        assert not [value for value in (email, "Beekeeper", "Falconer") if value.encode() in content], path


def test_a_plan_beyond_a_guard_fails_its_check(world: World) -> None:
    record = world.make("hubspot", email=unique(), last_name="Lee", title="Old")
    world.publish({"customer_key": "k1", "title": "New", "records": {"hubspot": record}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"], guards={"most_records": 0})
    result = run("plan_write_back")
    (check,) = [e.asset_check_evaluation_data for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"]
    assert not check.passed
    assert "guards.most_records is 0" in str(check.description)


def test_an_edit_of_what_we_wrote_fails_the_check_for_drift_after_the_next_sync(world: World) -> None:
    def drifted() -> CheckResult:
        """What the check says when what is in the published file is about to be published."""
        with database.connect(world.settings, world.settings.published) as db:
            db.execute("create schema if not exists standardized; create or replace view standardized.contacts as from main.contacts")
            return HOLDS_WHAT_WE_WROTE.run(Look(world.settings, db))

    record = world.make("hubspot", email=unique(), last_name="Lee", title="Old")
    person = {"customer_key": "k1", "title": "New", "records": {"hubspot": record}}
    world.publish(person)
    assert drifted().passed
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    assert world.write().clean
    assert drifted().passed
    world.publish(person)
    assert drifted().passed
    world.edit("hubspot", record, title="By a person")
    world.publish(person)
    found = drifted()
    assert not found.passed and not found.blocking
    assert (found.failed_rows, found.sample_keys) == (1, [f"hubspot:{record} title"])
    assert "cdp writeback drift" in found.remedy
    assert "By a person" not in str(found)
