"""`cdp writeback` and `cdp contacts create/update`, as a person uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from starlette.types import ASGIApp
from typer.testing import CliRunner, Result

from cdp_pipelines.cli import app
from cdp_pipelines.config import KINDS
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.webhooks.catch_up import catch_up
from cdp_pipelines.webhooks.inbox import Inbox
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.receiver import Receiver
from tests.writeback.world import World, unique


@pytest.fixture
def hubspot(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world, with the environment of the command line and HubSpot alone connected."""
    for variable, value in world.sandbox.addresses.environment().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CDP_CONNECTIONS", "hubspot")
    monkeypatch.setenv("CDP_DATA_DIR", str(world.settings.data_dir))
    monkeypatch.setenv("CDP_WRITEBACK_FILE", str(world.settings.writeback_file))
    return world


def cdp(*arguments: str, code: int = 0, input: str | None = None) -> Result:
    result = CliRunner().invoke(app, arguments, input=input)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_plan_apply_undo_and_what_became_of_it(hubspot: World) -> None:
    record, other = (hubspot.make("hubspot", email=unique(), last_name="Lee", title="Old") for _ in range(2))
    hubspot.publish(*({"customer_key": f"k{i}", "title": "New", "records": {"hubspot": r}} for i, r in enumerate((record, other))))
    hubspot.rules({"title": "source_wins"}, kinds=["hubspot"])
    assert "jobtitle" in cdp("writeback", "plan", "--dry-run").stdout
    cdp("writeback", "apply", code=1)
    planned = cdp("writeback", "plan", "people")
    assert "Apply it: cdp writeback apply" in planned.stdout
    assert "2 update" in planned.stdout
    assert "jobtitle" in cdp("writeback", "apply", "--dry-run").stdout
    assert hubspot.see("hubspot", record)["title"] == "Old"
    hubspot.edit("hubspot", other, title="Moved")
    applied = cdp("writeback", "apply", code=1)
    assert "1 conflict, 1 updated" in applied.stdout
    assert "MOVED" in applied.stdout
    (run,) = json.loads(cdp("writeback", "status", "--json").stdout)
    assert run["states"] == {"conflict": 1, "updated": 1}
    assert run["run"] in cdp("writeback", "status").stdout
    (left,) = json.loads(cdp("writeback", "rejects", "--json").stdout)
    assert left["command"] == f"cdp writeback plan --overwrite hubspot:{other}"
    assert "MOVED" in cdp("writeback", "rejects").stdout
    assert "Nothing is waiting" in cdp("writeback", "retry").stdout
    assert json.loads(cdp("writeback", "drift", "--json").stdout) == []
    assert "Old" in cdp("writeback", "undo", run["run"], "--dry-run").stdout
    cdp("writeback", "undo", run["run"], input="n\n", code=1)
    assert hubspot.see("hubspot", record)["title"] == "New"
    cdp("writeback", "undo", run["run"], "--yes")
    assert hubspot.see("hubspot", record)["title"] == "Old"
    cdp("writeback", "undo", "w-nothing", code=1)


def test_a_person_is_made_and_changed_from_the_command_line(hubspot: World) -> None:
    email = unique()
    made = json.loads(cdp("contacts", "create", "--email", email, "--last-name", "Doe", "--set", "title=CEO", "--json").stdout)
    assert made["hubspot"]["outcome"] == "created"
    record = made["hubspot"]["id"]
    assert "unchanged" in cdp("contacts", "create", "--email", email, "--last-name", "Doe").stdout
    assert "title" in cdp("contacts", "update", email, "--set", "title=CFO").stdout
    assert hubspot.see("hubspot", record)["title"] == "CFO"
    hubspot.edit("hubspot", record, title="By a person")
    assert "conflict" in cdp("contacts", "update", f"hubspot:{record}", "--set", "title=CTO", code=1).stdout
    cdp("contacts", "update", f"hubspot:{record}", "--clear", "title", "--overwrite")
    assert hubspot.see("hubspot", record)["title"] == ""
    assert "nobody is known as" in " ".join(cdp("contacts", "update", "contact_123", "--set", "title=CTO", code=1).stdout.split())
    assert "is not field=value" in cdp("contacts", "update", email, "--set", "title", code=2).output
    assert "'shoe_size' cannot be written" in cdp("contacts", "update", email, "--set", "shoe_size=9", code=1).output


def test_contacts_without_a_command_still_lists_them(hubspot: World) -> None:
    record = hubspot.make("hubspot", email=unique(), last_name="Lee", title="Old")
    hubspot.publish({"customer_key": "k1", "records": {"hubspot": record}})
    (row,) = json.loads(cdp("contacts", "--where", "title=Old", "--format", "json").stdout)
    assert (row["customer_id"], row["customer_key"]) == (record, "k1")


def test_what_is_wrong_is_said_in_a_line(hubspot: World) -> None:
    hubspot.settings.writeback_file.write_text("flows: {people: {rows: people, to: {hubspot: {fields: {title: never}}}}}")
    assert "writeback.yml: flows.people.to.hubspot.fields.title.policy" in cdp("writeback", "plan", code=1).output
    hubspot.rules({"title": "source_wins"}, kinds=["hubspot"])
    assert "no published file" in cdp("writeback", "plan", code=1).output
    hubspot.publish({"customer_key": "k1", "email": unique()})
    assert "the rows have no column 'title'" in cdp("writeback", "plan", code=1).output


@pytest.mark.slow
def test_our_own_writes_that_come_back_by_webhook_and_by_sync_are_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch, serve: Callable[[ASGIApp], str]
) -> None:
    """The echo: each CRM tells its webhook of what we wrote, and the next sync reads it as news. It is none."""
    for variable, value in world.sandbox.addresses.environment().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CDP_DATA_DIR", str(world.settings.data_dir))
    connections, apps = world.connections(), world.sandbox.server.apps

    def told() -> set[str]:
        assert apps["salesforce"].state.events.settle()
        assert all(apps[kind].state.webhooks.settle() for kind in ("hubspot", "marketo"))
        with closing(Inbox(world.settings.inbox)) as inbox:
            return {waiting.event.record_id for waiting in inbox.waiting()}

    def updates() -> list[dict[str, Any]]:
        return [e for e in json.loads(cdp("writeback", "plan", "--json").stdout)["entries"] if e["action"] == "update"]

    cdp("sync")
    with Keeper(world.settings.inbox, world.settings.inbox_most) as keeper:
        hosting.notify(world.sandbox.addresses, serve(Receiver({c.name: c for c in connections}, keeper).app()))
        try:
            first = updates()
            assert {e["connection"] for e in first} == set(KINDS)
            assert {c["policy"] for e in first for c in e["changes"]} == {"fill_empty"}
            cdp("writeback", "apply")
            assert told() >= {e["id"] for e in first}
            caught_up = catch_up(world.settings, connections)
            assert caught_up is not None and (caught_up.failed, caught_up.left) == (0, 0)
            assert updates() == []
            cdp("writeback", "apply")
            assert told() == set()
        finally:
            hosting.notify(world.sandbox.addresses, None)
    for _ in range(2):
        cdp("sync")
        assert updates() == []
    cdp("writeback", "drift")
