"""What Dagster sees: loads, and nothing appears, vanishes or moves without being seen in `assets.txt`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

from cdp_pipelines import lineage, mapping
from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.definitions import defs
from cdp_pipelines.defs.policy import WHAT

SNAPSHOT = Path(__file__).with_name("assets.txt")


def described() -> str:
    """A line for each asset: key, group, what it is made of, and its checks."""
    graph = defs.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        checks = sorted(check.name for check in graph.asset_check_keys if check.asset_key == key)
        lines.append(f"{key.to_user_string()} [{node.group_name}]")
        lines += [f"    from {parent.to_user_string()}" for parent in sorted(node.parent_keys)]
        lines += [f"    check {check}" for check in checks]
    return "\n".join(lines) + "\n"


def test_the_assets_are_those_of_the_snapshot():
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(described())
    assert described() == SNAPSHOT.read_text(), "run `UPDATE_SNAPSHOT=1 make test`, and look at what git shows of tests/defs/assets.txt"


def test_every_asset_has_a_description_an_owner_a_group_and_kinds():
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert (node.description or "").strip(), key
        assert node.owners, key
        assert node.group_name not in (None, "", "default"), key
        assert node.kinds, key


def test_what_analysts_read_promises_to_be_fresh_and_nothing_else_does():
    graph = defs.resolve_asset_graph()
    promised = {key.path[0] for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}
    others = {key.path[0] for key in graph.get_all_asset_keys() if not graph.get(key).freshness_policy}
    assert promised.isdisjoint(others)
    # Raw and staging tables are as fresh as the standardized ones that are made of them; what is written back is a person's decision.
    assert others == {"raw_salesforce", "raw_hubspot", "raw_marketo", "staging", "writeback"}


def test_every_check_says_what_it_looks_for():
    graph = defs.resolve_asset_graph()
    said = {key: (graph.get_check_spec(key).description or "").strip() for key in graph.asset_check_keys}
    assert len(said) > 150
    assert [key for key, text in said.items() if len(text.split()) < 3] == []


def test_every_run_says_what_it_does_and_what_starts_it_says_when():
    repository = defs.get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assert [job.name for job in jobs if not job.description or not job.run_tags.get(WHAT)] == []
    assert len({job.run_tags[WHAT] for job in jobs}) == len(jobs) >= 8
    assert [one.name for one in (*repository.schedule_defs, *repository.sensor_defs) if not one.description] == []


def test_a_columns_description_ends_with_the_vendors_fields_that_it_comes_from():
    schema = defs.resolve_asset_graph().get(dg.AssetKey(["standardized", "contacts"])).metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    (email,) = (column for column in schema.columns if column.name == "email")
    assert (email.description or "").endswith(
        "From raw_salesforce.contact.email, raw_salesforce.lead.email, raw_hubspot.contacts.email, raw_marketo.leads.email."
    )


def test_columns_are_made_of_columns_of_assets_that_stand_before_theirs():
    graph = defs.resolve_asset_graph()
    spec, told = mapping.load(), 0
    for key in graph.get_all_asset_keys():
        if len(key.path) == 2:
            for made_of in lineage.sources(spec, *key.path).values():
                told += len(made_of)
                assert {dg.AssetKey([of.schema, of.table]) for of in made_of} <= graph.get_ancestor_asset_keys(key), key
    assert told > 500


def test_jobs_schedules_and_sensors_are_there_and_on():
    repository = defs.get_repository_def()
    assert {"sync", "reconcile", "full_sync", "catch_up_with_events", "poll_connections"} <= {job.name for job in repository.get_all_jobs()}
    schedules = {s.name: s for s in repository.schedule_defs}
    assert {name: s.cron_schedule for name, s in schedules.items()} == {
        "hourly_sync": "0 * * * *", "nightly_reconcile": "30 1 * * 1-6", "weekly_full_sync": "30 3 * * 0", "daily_retention": "0 5 * * *",
    }  # fmt: skip
    assert all(s.default_status == dg.DefaultScheduleStatus.RUNNING for s in schedules.values())
    assert sorted(s.name for s in repository.sensor_defs) == ["alerts", "inbox_events", "lost_runs", "overdue_sync", "polls_due"]
    assert all(s.default_status == dg.DefaultSensorStatus.RUNNING for s in repository.sensor_defs)


def test_every_step_that_opens_the_warehouse_takes_turns():
    for assets in defs.resolve_asset_graph().assets_defs:
        assert assets.op.pool == "warehouse", assets.op.name


def test_the_inner_ring_does_not_load_dagster():
    code = "import sys, cdp_pipelines.sync, cdp_pipelines.cli, cdp_pipelines.engine; print(sorted(m for m in sys.modules if m.startswith('dagster')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_DIR)
    assert found.stdout.strip() == "[]"


def test_workspace_yaml_loads_without_the_package_being_installed(tmp_path):
    # -S leaves out the site's .pth files, which is how an editable install is found; the dependencies are added back by hand.
    import yaml

    target = yaml.safe_load((PROJECT_DIR / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    code = f"import sys; sys.path.append({packages!r}); import {target['module_name']} as m; print(len(m.defs.resolve_asset_graph().get_all_asset_keys()))"
    found = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True, text=True, check=False, cwd=PROJECT_DIR / target["working_directory"], env={**os.environ, "CDP_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) == len(defs.resolve_asset_graph().get_all_asset_keys())
