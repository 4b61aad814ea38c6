"""Plan, apply and undo over HTTP, in each CRM."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.showing import Wanted, newest
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.config import KINDS
from cdp_pipelines.writeback import service
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.plan import Plan, PlanError, as_markdown
from tests.sources.known_failures import known_failure
from tests.writeback.world import World, every_crm, one_crm, unique

PHONE = "+1 555 0100"


def only(plan: Plan):
    (entry,) = plan.entries
    return entry


def test_a_correction_reaches_every_crm_and_the_next_plan_is_empty(world: World) -> None:
    email = unique()
    records = {kind: world.make(kind, email=email, last_name="Lee", title="Old") for kind in KINDS}
    world.publish({"customer_key": "k1", "email": email, "title": "New", "phone": PHONE, "records": records, "read": {"title": "Old"}})
    world.rules({"title": "source_wins", "phone": "fill_empty"})
    plan, path = world.plan()
    assert {(e.connection, e.action, frozenset((c.field, c.old or "", c.new) for c in e.changes)) for e in plan.entries} == {
        (kind, "update", frozenset({("title", "Old", "New"), ("phone", "", PHONE)})) for kind in KINDS
    }
    assert {kind: world.see(kind, records[kind])["title"] for kind in KINDS} == dict.fromkeys(KINDS, "Old")
    report = world.apply(path)
    assert report.clean
    assert report.outcomes == {kind: {"updated": 1} for kind in KINDS}
    for kind in KINDS:
        assert world.see(kind, records[kind]) | {"title": "New", "phone": PHONE} == world.see(kind, records[kind])
    again, _ = world.plan()
    assert again.entries == ()
    assert again.unchanged == dict.fromkeys(KINDS, 1)


@one_crm
def test_what_a_person_changed_since_we_wrote_it_is_a_conflict_until_somebody_says_that_ours_wins(world: World, kind: str) -> None:
    record = world.make(kind, email=unique(), last_name="Lee", title="Old")
    person = {"customer_key": "k1", "title": "Ours", "records": {kind: record}}
    world.publish(person)
    world.rules({"title": "source_wins"}, kinds=[kind])
    assert world.write().clean
    world.edit(kind, record, title="Theirs")
    plan, path = world.plan()
    entry = only(plan)
    assert (entry.action, entry.code, entry.kept[0].theirs, entry.kept[0].ours) == ("conflict", "CHANGED", "Theirs", "Ours")
    report = world.apply(path)
    assert report.outcomes == {kind: {"conflict": 1}}
    assert not report.clean
    assert world.see(kind, record)["title"] == "Theirs"
    assert world.write(overwrite=[f"{kind}:{record}"]).clean
    assert world.see(kind, record)["title"] == "Ours"


@one_crm
def test_what_changed_in_the_crm_since_the_last_sync_is_not_overwritten_by_what_we_knew_then(world: World, kind: str) -> None:
    record = world.make(kind, email=unique(), last_name="Lee", title="Of today")
    world.publish({"customer_key": "k1", "title": "Of another CRM", "records": {kind: record}, "read": {"title": "Of yesterday"}})
    world.rules({"title": "source_wins"}, kinds=[kind])
    plan, _ = world.plan()
    assert (only(plan).action, only(plan).kept[0].why) == ("conflict", "somebody changed it in the CRM since we last read it")


@known_failure("segment-boneyard/segment-docs#7015")
@every_crm
def test_nothing_of_ours_never_overwrites_something_of_theirs_unless_the_field_says_so(world: World, kind: str) -> None:
    record = world.make(kind, email=unique(), last_name="Lee", title="Theirs", phone=PHONE)
    world.publish(
        {"customer_key": "k1", "title": None, "phone": "  ", "records": {kind: record}, "read": {"title": "Theirs", "phone": PHONE}}
    )
    world.rules({"title": "source_wins", "phone": "source_wins"}, kinds=[kind])
    assert world.plan()[0].entries == ()
    world.rules({"title": {"policy": "source_wins", "clear": True}, "phone": "source_wins"}, kinds=[kind], guards={"most_clears": 1})
    assert world.write().clean
    seen = world.see(kind, record)
    assert (seen["title"], seen["phone"]) == ("", PHONE)


@one_crm
def test_a_record_that_moved_between_plan_and_apply_is_left_alone_and_its_neighbours_are_written(world: World, kind: str) -> None:
    records = [world.make(kind, email=unique(), last_name=f"Lee{i}", title="Old") for i in range(4)]
    world.publish(*({"customer_key": f"k{i}", "title": "New", "records": {kind: record}} for i, record in enumerate(records)))
    world.rules({"title": "source_wins"}, kinds=[kind])
    _, path = world.plan()
    world.edit(kind, records[0], title="Moved")
    world.edit(kind, records[1], phone=PHONE)
    world.delete(kind, records[2])
    report = world.apply(path)
    assert report.outcomes == {kind: {"updated": 2, "conflict": 2}}
    assert {one["code"] for one in report.left} == {"MOVED", "DELETED"}
    assert "Moved" not in json.dumps(report.left)
    assert [world.see(kind, records[i])["title"] for i in (0, 1, 3)] == ["Moved", "New", "New"]


@known_failure("SalesforceFoundation/NPSP#2371", "Atlas-Authority/marketing-automation#174", "airbytehq/airbyte#76340")
@every_crm
def test_one_row_that_the_crm_refuses_does_not_fail_its_neighbours_and_is_kept_with_its_reason(world: World, kind: str) -> None:
    records = [world.make(kind, email=unique(), last_name=f"Lee{i}") for i in range(3)]
    bad = "jörg@writeback.example" if kind == "marketo" else "not an address"  # Marketo takes any text in ASCII
    emails = [unique("new"), bad, unique("new")]
    world.publish(
        *({"customer_key": f"k{i}", "email": email, "records": {kind: r}} for i, (email, r) in enumerate(zip(emails, records, strict=True)))
    )
    world.rules({"email": "source_wins"}, kinds=[kind])
    report = world.write()
    assert report.outcomes == {kind: {"updated": 2, "rejected": 1}}
    (left,) = service.rejects(world.settings)
    assert left["id"] == records[1]
    assert left["reason"]
    assert left["command"] == f"cdp writeback retry {report.run} --key {left['key']}"
    again = world.call(lambda sessions: service.retry(world.settings, sessions, run=report.run, keys=[str(left["key"])]))
    assert again[0].outcomes == {kind: {"updated": 2, "rejected": 1}}
    with pytest.raises(PlanError, match="No rejected entry"):
        world.call(lambda sessions: service.retry(world.settings, sessions, keys=["nothing"]))


@every_crm
def test_apply_then_undo_leaves_the_crm_as_it_was_and_keeps_what_a_person_did_in_between(world: World, kind: str) -> None:
    records = [world.make(kind, email=unique(), last_name=f"Lee{i}", title="Old", **({"phone": PHONE} if i == 2 else {})) for i in range(3)]
    before = [world.see(kind, record) for record in records]
    new = unique("made")
    people = [
        {
            "customer_key": f"k{i}",
            "email": before[i]["email"],
            "last_name": f"Lee{i}",
            "title": "New",
            "phone": "+1 555 0199",
            "records": {kind: r},
        }
        for i, r in enumerate(records)
    ]
    world.publish(*people, {"customer_key": "k9", "email": new, "last_name": "Made", "title": "New", "phone": "+1 555 0199"})
    rule = dict.fromkeys(("email", "last_name", "title", "phone"), "source_wins")
    world.rules(rule, kinds=[kind], create=True)
    report = world.write()
    assert report.outcomes == {kind: {"updated": 3, "created": 1}}
    world.edit(kind, records[1], title="By a person")
    plan, undone = world.undo(report.run)
    assert undone.outcomes == {kind: {"updated": 3, "deleted": 1}}
    assert [world.see(kind, r) for r in records] == [before[0], before[1] | {"title": "By a person"}, before[2]]
    assert [k.field for e in plan.entries for k in e.kept] == ["title"]
    assert world.ids(kind, new) == []
    with Outbox(world.settings) as outbox:
        assert outbox.base_rows() == [] or {row["field"] for row in outbox.base_rows()} == {"title"}


@one_crm
def test_what_cannot_be_undone_is_listed_first(world: World, kind: str) -> None:
    kept, gone = (world.make(kind, email=unique(), last_name="Lee", title="Old") for _ in range(2))
    made = unique("made")
    world.publish(
        {"customer_key": "k1", "title": "New", "records": {kind: kept}},
        {"customer_key": "k2", "title": "New", "records": {kind: gone}},
        {"customer_key": "k3", "title": "New", "email": made, "last_name": "Made"},
    )
    world.rules(dict.fromkeys(("email", "last_name", "title"), "source_wins"), kinds=[kind], create=True)
    report = world.write()
    world.delete(kind, gone)
    world.edit(kind, world.ids(kind, made)[0], title="By a person")
    plan, _ = world.undo(report.run)
    assert {(e.action, e.code) for e in plan.entries[:2]} == {("refused", "GONE"), ("refused", "CHANGED")}
    assert [e.action for e in plan.entries][2:] == ["update"]
    assert world.see(kind, kept)["title"] == "Old"
    assert world.see(kind, world.ids(kind, made)[0])["title"] == "By a person"


@known_failure("mautic/mautic#5149", "mautic/mautic#5309")
@every_crm
def test_the_same_email_twice_in_one_plan_makes_one_contact_whatever_its_case(world: World, kind: str) -> None:
    email = unique("Twice")
    world.publish(
        {"customer_key": "k1", "email": email.upper(), "last_name": "Lee"},
        {"customer_key": "k2", "email": email.lower(), "last_name": "Lee"},
        {"customer_key": "k3", "email": None, "last_name": "Nobody"},
    )
    world.rules({"email": "source_wins", "last_name": "source_wins"}, kinds=[kind], create=True)
    report = world.write()
    assert report.outcomes == {kind: {"created": 1, "refused": 2}}
    assert {one["code"] for one in report.left} == {"DUPLICATE", "NO_EMAIL"}
    assert len(world.ids(kind, email)) == 1
    assert world.plan()[0].counts()[kind].get("create", 0) == 0


@one_crm
def test_one_who_appears_between_plan_and_apply_is_not_made_twice(world: World, kind: str) -> None:
    email = unique()
    world.publish({"customer_key": "k1", "email": email, "last_name": "Lee"})
    world.rules({"email": "source_wins", "last_name": "source_wins"}, kinds=[kind], create=True)
    _, path = world.plan()
    record = world.make(kind, email=email, last_name="Somebody")
    report = world.apply(path)
    assert report.outcomes == {kind: {"conflict": 1}}
    assert report.left[0]["code"] == "EXISTS"
    assert world.ids(kind, email) == [record]


def test_a_plan_that_was_changed_or_made_elsewhere_is_refused(world: World, tmp_path: Path) -> None:
    record = world.make("hubspot", email=unique(), last_name="Lee")
    world.publish({"customer_key": "k1", "title": "New", "records": {"hubspot": record}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    plan, path = world.plan()
    text = path.read_text()
    changed = tmp_path / "changed.json"
    changed.write_text(text.replace('"New"', '"Newer"'))
    with pytest.raises(PlanError, match="was changed after it was made"):
        world.apply(changed)
    forged = replace(plan, entries=(replace(plan.entries[0], changes=(replace(plan.entries[0].changes[0], new="Newer"),)),))
    changed.write_text(text.replace('"New"', '"Newer"').replace(plan.hash, forged.hash))
    with pytest.raises(PlanError, match="was not made here"):
        world.apply(changed)
    changed.write_text("{}")
    with pytest.raises(PlanError, match="is not a plan"):
        world.apply(changed)
    assert world.see("hubspot", record)["title"] == ""
    assert path.stat().st_mode & 0o077 == 0


@known_failure("bruin-data/ingestr#1203")
def test_a_plan_beyond_a_guard_is_made_to_be_looked_at_and_not_applied(world: World) -> None:
    records = [world.make("hubspot", email=unique(), last_name="Lee", title="Old") for _ in range(3)]
    world.publish(
        *({"customer_key": f"k{i}", "title": None, "email": unique(), "records": {"hubspot": r}} for i, r in enumerate(records)),
        {"customer_key": "k9", "email": unique()},
    )
    fields = {"title": {"policy": "source_wins", "clear": True}, "email": "crm_wins"}
    world.rules(fields, kinds=["hubspot"], create=True, guards={"most_records": 2, "most_creates": 0, "most_clears": 2})
    plan, path = world.plan()
    assert len(plan.stopped) == 3
    with pytest.raises(PlanError, match=r"guards\.most_clears is 2"):
        world.apply(path)
    assert [world.see("hubspot", r)["title"] for r in records] == ["Old"] * 3


@known_failure("drt-hub/drt#978")
def test_a_dry_run_writes_nothing_down_and_a_plan_moves_no_cursor(world: World) -> None:
    record = world.make("hubspot", email=unique(), last_name="Lee")
    world.publish({"customer_key": "k1", "title": "New", "records": {"hubspot": record}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    published = world.settings.published.read_bytes()
    plan, path = world.call(lambda sessions: service.make_plan(world.settings, sessions, dry_run=True))
    assert path is None
    assert only(plan).action == "update"
    assert not world.settings.writeback_dir.exists()
    assert world.write().clean
    assert not world.settings.warehouse.exists()
    assert world.settings.published.read_bytes() == published


def test_the_plan_reads_as_a_table(world: World) -> None:
    record = world.make("hubspot", email=unique(), last_name="Lee", title="a|b")
    world.publish({"customer_key": "k1", "title": "<New>", "records": {"hubspot": record}, "read": {"title": "a|b"}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    assert f"| hubspot | contacts {record} | update | jobtitle | a\\|b | &lt;New> | source_wins |" in as_markdown(world.plan()[0])


@known_failure("dotmailer/dotmailer-magento2-extension#565")
def test_suppressed_people_are_refused_and_an_opt_out_is_never_taken_back(world: World) -> None:
    out, other = (world.make("marketo", email=unique(), last_name="Lee", unsubscribed=True) for _ in range(2))
    world.publish(
        {"customer_key": "k1", "title": "New", "do_not_email": True, "records": {"marketo": out}},
        {"customer_key": "k2", "title": "New", "do_not_email": False, "records": {"marketo": other}},
    )
    world.rules({"title": "source_wins", "do_not_email": "source_wins"}, kinds=["marketo"], suppress="do_not_email")
    plan, _ = world.plan()
    assert {(e.id, e.action, e.code, tuple(c.field for c in e.changes)) for e in plan.entries} == {
        (out, "refused", "SUPPRESSED", ()), (other, "update", "", ("title",)),
    }  # fmt: skip


def test_newest_is_ours_only_when_the_row_is_newer_than_the_record(world: World) -> None:
    from datetime import datetime

    old, new = (world.make("hubspot", email=unique(), last_name="Lee", title="Theirs") for _ in range(2))
    world.publish(
        {"customer_key": "k1", "title": "Ours", "last_updated": datetime(2001, 1, 1), "records": {"hubspot": old}},
        {"customer_key": "k2", "title": "Ours", "last_updated": datetime(2999, 1, 1), "records": {"hubspot": new}},
    )
    world.rules({"title": "newest"}, kinds=["hubspot"], newest_by="last_updated")
    assert world.write().outcomes == {"hubspot": {"updated": 1}}
    assert (world.see("hubspot", old)["title"], world.see("hubspot", new)["title"]) == ("Theirs", "Ours")


def test_rows_by_address_go_to_the_person_who_has_it_and_to_nobody_where_several_do(world: World) -> None:
    one, shared = unique(), unique("info")
    first = world.make("hubspot", email=one, last_name="Lee")
    lead, other = (world.make("marketo", email=shared, last_name=name) for name in ("Ann", "Bob"))
    people = [
        {"customer_key": "k1", "email": one.upper(), "title": "New", "records": {"hubspot": first}, "read": {"email": one}},
        {"customer_key": "k2", "email": shared, "title": "New", "records": {"marketo": lead}, "read": {"email": shared}},
        {"customer_key": "k3", "email": shared, "title": "New", "records": {"marketo": other}, "read": {"email": shared}},
    ]
    world.publish(*people)
    world.rules({"title": "source_wins"}, kinds=["hubspot", "marketo"], key="email")
    plan, _ = world.plan()
    assert {(e.connection, e.action, e.id, e.code) for e in plan.entries} == {
        ("hubspot", "update", first, ""),
        ("marketo", "refused", None, "SEVERAL"),
    }


def test_every_record_that_changed_is_in_the_audit_log_before_and_after(world: World) -> None:
    email = unique()
    record = world.make("hubspot", email=email, last_name="Lee", title="Old")
    world.publish({"customer_key": "k1", "email": email, "title": "New", "records": {"hubspot": record}, "read": {"title": "Old"}})
    world.rules({"title": "source_wins"}, kinds=["hubspot"])
    report = world.write()
    about = Wanted(subject=f"hubspot:{record}")
    (entry,) = newest(world.settings, about, 9, opened=True)
    assert (entry["what"], entry["result"], entry["about"]["run"]) == ("writeback", "updated", report.run)
    assert entry["payload"]["before"] == {"jobtitle": "Old"}
    assert entry["payload"]["after"] == {"jobtitle": "New"}
    runs = newest(world.settings, Wanted(frozenset({"writeback_plan", "writeback_run"})), 9)
    assert [(one["what"], one["count"]) for one in runs] == [("writeback_plan", 1), ("writeback_run", 1)]
    assert verify(AuditLog(world.settings)).ok
    assert "New" not in AuditLog(world.settings).path.read_text()
