"""Who opted out: nothing that reaches them goes to a CRM, nobody is made anew without their no, and no write takes it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp_pipelines.crm_integrations.base_crm import CRMContact
from cdp_pipelines.writeback import contact_calls, rules
from cdp_pipelines.writeback.plan import Entry
from cdp_pipelines.writeback.rules import RulesError
from tests.writeback.world import World, every_crm, unique

WHEN = datetime(2026, 3, 4)


def opt_out(world: World, *who: tuple[str, str], connection: str = "marketo", at: datetime | None = WHEN) -> None:
    """Say in the published file that these customers are opted out of these channels."""
    with duckdb.connect(str(world.settings.published)) as db:
        db.executemany("insert into consents values (?, ?, 'opted_out', ?, ?)", [(key, channel, connection, at) for key, channel in who])


def by_id(entries: Iterable[Entry]) -> Mapping[str | None, Entry]:
    return {entry.id: entry for entry in entries}


@every_crm
def test_what_reaches_somebody_who_opted_out_is_refused_and_all_else_is_written(world: World, kind: str) -> None:
    mine, other = (world.make(kind, email=unique(), last_name="Lee", phone="1") for _ in range(2))
    world.publish(
        {"customer_key": "k1", "phone": "2", "title": "New", "records": {kind: mine}},
        {"customer_key": "k2", "phone": "2", "title": "New", "records": {kind: other}},
    )
    opt_out(world, ("k1", "phone"))
    world.rules({"phone": "source_wins", "title": "source_wins"}, kinds=[kind])
    plan, path = world.plan()
    entry = by_id(plan.entries)[mine]
    assert [c.field for c in entry.changes] == ["title"]
    assert [(k.field, k.how, k.why) for k in entry.kept] == [("phone", "consent", "opted out of phone, says marketo since 2026-03-04")]
    assert world.apply(path).outcomes == {kind: {"updated": 2}}
    assert [(world.see(kind, one)["phone"], world.see(kind, one)["title"]) for one in (mine, other)] == [("1", "New"), ("2", "New")]


def test_a_row_of_which_nothing_may_be_written_is_refused_with_its_reason(world: World) -> None:
    record = world.make("marketo", email=unique(), last_name="Lee", lead_score=1)
    world.publish({"customer_key": "k1", "lead_score": 90, "records": {"marketo": record}})
    opt_out(world, ("k1", "email"), connection="salesforce", at=None)
    world.rules({"lead_score": "source_wins"}, kinds=["marketo"])
    plan, _ = world.plan()
    (entry,) = plan.entries
    assert (entry.action, entry.code) == ("refused", "CONSENT")
    assert entry.reason == "lead_score: opted out of email, says salesforce"
    assert plan.writes == []


def test_nobody_who_opted_out_is_made_in_a_crm_that_would_not_know(world: World) -> None:
    people = {name: unique(name) for name in ("silent", "told", "free")}
    world.publish(
        {"customer_key": "k1", "email": people["silent"], "last_name": "Lee", "do_not_email": False},
        {"customer_key": "k2", "email": people["told"], "last_name": "Lee", "do_not_email": True},
        {"customer_key": "k3", "email": people["free"], "last_name": "Lee", "do_not_email": False},
    )
    opt_out(world, ("k1", "email"), ("k2", "email"))
    fields = {"email": "crm_wins", "last_name": "crm_wins", "do_not_email": "source_wins"}
    world.rules(fields, create=True, kinds=["marketo", "hubspot"])
    plan, path = world.plan()
    made = {(e.connection, e.email): (e.action, e.code) for e in plan.entries}
    assert {made[kind, people["free"]] for kind in ("marketo", "hubspot")} == {("create", "")}
    assert made["marketo", people["told"]] == ("create", "")
    assert made["hubspot", people["told"]] == ("refused", "CONSENT"), "HubSpot lets nobody write that somebody opted out"
    assert {made[kind, people["silent"]] for kind in ("marketo", "hubspot")} == {("refused", "CONSENT")}
    world.apply(path)
    assert [world.ids(kind, people["silent"]) for kind in ("marketo", "hubspot")] == [[], []]
    (lead,) = world.ids("marketo", people["told"])
    assert world.sandbox.call("marketo", f"/rest/v1/lead/{lead}.json?fields=unsubscribed").json()["result"][0]["unsubscribed"] is True


@pytest.mark.parametrize(
    "kind,theirs,field", [("salesforce", "HasOptedOutOfEmail", "do_not_email"), ("marketo", "doNotCall", "do_not_call")]
)
def test_a_flow_that_would_opt_somebody_in_is_refused_and_one_that_opts_out_is_not(
    world: World, kind: str, theirs: str, field: str
) -> None:
    given: list[dict[str, Any]] = [{theirs: True}, {theirs: False}]
    out, joined = (world.make(kind, None, email=unique(), last_name="Lee", **one) for one in given)
    world.publish(
        {"customer_key": "k1", field: False, "records": {kind: out}},
        {"customer_key": "k2", field: True, "records": {kind: joined}},
    )
    world.rules({field: "source_wins"}, kinds=[kind])
    plan, _ = world.plan(overwrite=[f"{kind}:{out}"])
    entries = by_id(plan.entries)
    assert (entries[out].action, entries[out].code) == ("refused", "CONSENT")
    assert "never taken back" in entries[out].reason
    assert [(c.to, c.new) for c in entries[joined].changes] == [(theirs, True)]


@pytest.mark.parametrize("field", ["do_not_email", "do_not_call", "marketing_suspended"])
def test_rules_that_would_clear_an_opt_out_are_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "writeback.yml"
    path.write_text(f"flows: {{f: {{rows: customers, to: {{marketo: {{fields: {{{field}: {{policy: source_wins, clear: true}}}}}}}}}}}}")
    with pytest.raises(RulesError, match=f"to.marketo.fields.{field}: clear: true would take back an opt-out"):
        rules.read(path)


def test_rows_by_address_are_refused_by_what_any_crm_knows_of_the_address(world: World) -> None:
    address = unique("known")
    record = world.make("salesforce", email=address, last_name="Lee")
    world.publish({"customer_key": "k1", "email": address, "last_name": "Lee", "records": {"salesforce": record}})
    opt_out(world, ("k1", "email"))
    world.rules({"email": "crm_wins", "last_name": "crm_wins"}, create=True, kinds=["marketo"], key="email")
    plan, _ = world.plan()
    assert [(e.action, e.code, e.email) for e in plan.entries] == [("refused", "CONSENT", address)]


def test_the_guides_call_makes_nobody_who_opted_out(world: World) -> None:
    world.kinds = ["hubspot", "marketo"]
    address = unique("guide")
    record = world.make("salesforce", email=address, last_name="Lee")
    world.publish({"customer_key": "k1", "email": address, "records": {"salesforce": record}})
    opt_out(world, ("k1", "email"))

    def create(**more: Any) -> Any:
        contact = CRMContact(email=address, last_name="Lee", extra=more)
        return world.call(lambda sessions: contact_calls.create_contact(world.settings, sessions, contact))

    refused = create()
    assert {r.outcome for r in refused.values()} == {"rejected"}
    assert all("opted out of email" in (r.reason or "") for r in refused.values())
    assert [world.ids(kind, address) for kind in world.kinds] == [[], []]
    assert {name: r.outcome for name, r in create(do_not_email=True).items()} == {"hubspot": "rejected", "marketo": "created"}


def test_a_published_file_that_cannot_tell_who_opted_out_stops_the_plan(world: World) -> None:
    record = world.make("hubspot", email=unique(), last_name="Lee")
    world.publish({"customer_key": "k1", "title": "New", "records": {"hubspot": record}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    with duckdb.connect(str(world.settings.published)) as db:
        db.execute("drop table consents")
    with pytest.raises(RulesError, match="Run `cdp sync`"):
        world.plan()
