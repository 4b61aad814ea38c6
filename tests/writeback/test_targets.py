"""Records that are not where we knew them: merged, converted, deleted, several, a lead in a contact's place. And what a CRM refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.writeback import service
from cdp_pipelines.writeback.outbox import Outbox
from tests.sources.known_failures import known_failure
from tests.writeback.world import World, every_crm, one_crm, unique


def merge(world: World, kind: Kind, winner: str, loser: str) -> None:
    """As a person merges two records; of a Salesforce lead and a contact the lead is converted."""
    world.sandbox.server.world.stores[kind].merge_people(winner, loser, datetime.now(UTC))


@known_failure("JacksonRiver/springboard_modules#1416")
@every_crm
def test_a_record_that_was_merged_is_followed_to_where_it_went(world: World, kind: Kind) -> None:
    """springboard_modules PR 1416: writing to the merged record's id gives ENTITY_IS_DELETED."""
    first, second, last = (world.make(kind, email=unique(), last_name="Lee", title="Old") for _ in range(3))
    world.publish({"customer_key": "k1", "title": "New", "records": {kind: first}})
    world.rules({"title": "source_wins"}, kinds=[kind])
    merge(world, kind, second, first)
    merge(world, kind, last, second)
    (entry,) = world.plan()[0].entries
    # HubSpot's merged record answers under the old id too.
    assert (entry.action, entry.id, entry.followed) == ("update", last, first)
    assert world.write().outcomes == {kind: {"updated": 1}}
    assert world.see(kind, last)["title"] == "New"


@one_crm
def test_two_rows_that_a_merge_made_one_record_are_written_once(world: World, kind: Kind) -> None:
    first, second, third, fourth = (world.make(kind, email=unique(), last_name="Lee", title="Old") for _ in range(4))
    world.publish(
        *({"customer_key": f"k{i}", "title": "New", "records": {kind: one}} for i, one in enumerate((first, second))),
        *({"customer_key": f"n{i}", "title": f"New {i}", "records": {kind: one}} for i, one in enumerate((third, fourth))),
    )
    world.rules({"title": "source_wins"}, kinds=[kind])
    merge(world, kind, second, first)
    merge(world, kind, fourth, third)
    report = world.write()
    assert report.outcomes == {kind: {"updated": 2, "refused": 1}}
    assert [one["code"] for one in report.left] == ["DUPLICATE"]
    assert world.see(kind, second)["title"] == "New"


@known_failure("veda-consulting-company/uk.co.vedaconsulting.mailchimp#130")
@every_crm
def test_a_deleted_record_is_refused_and_not_made_anew(world: World, kind: Kind) -> None:
    """uk.co.vedaconsulting.mailchimp #130: a contact in the bin came back with the next run."""
    email = unique()
    record = world.make(kind, email=email, last_name="Lee")
    world.publish({"customer_key": "k1", "email": email, "last_name": "Ray", "records": {kind: record}})
    world.rules({"email": "source_wins", "last_name": "source_wins"}, kinds=[kind], create=True)
    world.delete(kind, record)
    report = world.write()
    assert report.outcomes == {kind: {"refused": 1}}
    assert report.left[0]["code"] in ("DELETED", "GONE")
    assert world.ids(kind, email) == []


@known_failure("mautic/mautic#4066")
def test_a_converted_lead_is_followed_to_its_contact_and_never_made_again(world: World) -> None:
    """mautic PR 4066: pushing to a converted lead made a new lead each time."""
    email = unique()
    lead = world.make("salesforce", "Lead", email=email, last_name="Lee", title="Old")
    world.publish({"customer_key": "k1", "email": email, "title": "New", "records": {"salesforce": (lead, "lead")}})
    world.rules({"email": "crm_wins", "title": "source_wins"}, kinds=["salesforce"], create=True)
    contact = world.make("salesforce", email=email, last_name="Lee", title="Old")
    merge(world, "salesforce", contact, lead)
    (entry,) = world.plan()[0].entries
    assert (entry.object, entry.id, entry.followed) == ("Contact", contact, lead)
    assert world.write().clean
    assert world.see("salesforce", contact)["title"] == "New"
    assert world.write().outcomes == {}
    assert world.ids("salesforce", email) == [contact]


def test_a_lead_is_written_as_a_lead_and_is_found_by_its_address(world: World) -> None:
    email = unique()
    lead = world.make("salesforce", "Lead", email=email, last_name="Lee", title="Old")
    world.publish({"customer_key": "k1", "email": email, "title": "New", "company": "New Ltd"})
    world.rules({"email": "source_wins", "title": "source_wins", "company": "source_wins"}, kinds=["salesforce"], create=True)
    (entry,) = world.plan()[0].entries
    assert (entry.object, entry.id, entry.found_by) == ("Lead", lead, "e-mail")
    assert world.write().clean
    assert world.see("salesforce", lead, "Lead")["title"] == "New"
    assert world.ids("salesforce", email) == [lead]


@pytest.mark.parametrize("kind", ["salesforce", "marketo"])
def test_an_address_that_several_records_have_is_written_to_none_of_them(world: World, kind: Kind) -> None:
    email = unique()
    records = [world.make(kind, email=email, last_name="Lee") for _ in range(2)]
    world.publish({"customer_key": "k1", "email": email, "last_name": "Ray"})
    world.rules({"email": "source_wins", "last_name": "source_wins"}, kinds=[kind], create=True)
    report = world.write()
    assert [(one["state"], one["code"]) for one in report.left] == [("refused", "SEVERAL")]
    assert {world.see(kind, record)["last_name"] for record in records} == {"Lee"}
    assert sorted(world.ids(kind, email)) == sorted(records)


@known_failure("jsforce/jsforce#1055", "restforce/restforce#347")
def test_a_duplicate_rule_refuses_one_row_and_spares_its_neighbours(world: World) -> None:
    """jsforce#1055: what the rule says of a row is not an error of the call, and needs to be told."""
    world.sandbox.option("salesforce", duplicate_rules=["Contact"])
    taken = unique()
    world.make("salesforce", email=taken, last_name="Lee")
    first, second = (world.make("salesforce", email=unique(), last_name="Lee") for _ in range(2))
    new = unique()
    world.publish(
        *({"customer_key": f"k{i}", "email": e, "records": {"salesforce": r}} for i, (e, r) in enumerate(((taken, first), (new, second))))
    )
    world.rules({"email": "source_wins"}, kinds=["salesforce"])
    report = world.write()
    assert report.outcomes == {"salesforce": {"updated": 1, "rejected": 1}}
    assert (report.left[0]["id"], report.left[0]["code"]) == (first, "DUPLICATES_DETECTED")
    assert world.ids("salesforce", taken) != [first]


@known_failure("jsforce/jsforce#1018", "forcedotcom/SFDX-Data-Move-Utility#814")
@every_crm
def test_locks_and_lost_answers_pass_within_one_run(world: World, kind: Kind) -> None:
    """jsforce#1018: UNABLE_TO_LOCK_ROW; and answers that are lost after the CRM has done its work."""
    records = [world.make(kind, email=unique(), last_name="Lee", title="Old") for _ in range(3)]
    new = [unique("new") for _ in range(3)]
    world.publish(
        *({"customer_key": f"k{i}", "title": "New", "last_name": "Lee", "records": {kind: r}} for i, r in enumerate(records)),
        *({"customer_key": f"n{i}", "title": "New", "last_name": "Lee", "email": email} for i, email in enumerate(new)),
    )
    world.rules({"email": "crm_wins", "last_name": "source_wins", "title": "source_wins"}, kinds=[kind], create=True)
    _, path = world.plan()
    writes = {"salesforce": "*composite/sobjects*", "hubspot": "*batch/create*", "marketo": "POST *leads.json*"}[kind]
    world.sandbox.set(kind, "drop", path=writes, count=1, done=True)
    if kind == "salesforce":
        world.sandbox.option(kind, lock_next_rows=2)
    report = world.apply(path)
    assert report.outcomes == {kind: {"updated": 3, "created": 3}}
    assert {email: len(world.ids(kind, email)) for email in new} == dict.fromkeys(new, 1)


@known_failure("Multiwoven/multiwoven#910")
@one_crm
def test_a_crm_that_is_down_keeps_its_entries_pending_and_does_not_hold_up_the_others(world: World, kind: Kind) -> None:
    """Multiwoven #910: a run in which every row failed was a success, and the rows were never sent."""
    email = unique()
    records = {k: world.make(k, email=email, last_name="Lee", title="Old") for k in KINDS}
    world.publish({"customer_key": "k1", "title": "New", "records": records})
    world.rules({"title": "source_wins"})
    _, path = world.plan()
    world.sandbox.set(kind, "server_error", status=503)
    report = world.apply(path)
    assert not report.complete
    assert report.outcomes == {k: {"pending" if k == kind else "updated": 1} for k in KINDS}
    assert list(report.problems) == [kind]
    (left,) = service.rejects(world.settings)
    assert (left["connection"], left["state"], left["command"]) == (kind, "pending", f"cdp writeback retry {report.run}")
    plan, _ = world.plan()
    assert list(plan.problems) == [kind]
    world.sandbox.reset()
    (again,) = world.call(lambda sessions: service.retry(world.settings, sessions))
    assert again.outcomes == {k: {"updated": 1} for k in KINDS}
    assert world.see(kind, records[kind])["title"] == "New"
    assert world.call(lambda sessions: service.retry(world.settings, sessions)) == []


def test_what_hubspot_takes_without_a_word_and_does_not_do_is_said_and_not_taken_for_ours(world: World) -> None:
    """HubSpot's lifecycle stage goes forward only; the write of an earlier one is a success that changes nothing."""
    records = [world.make("hubspot", email=unique(), last_name="Lee", lifecyclestage="customer") for _ in range(2)]
    world.publish(
        *({"customer_key": f"k{i}", "lifecycle_stage": "lead", "title": t, "records": {"hubspot": r}, "read": {"lifecycle_stage": "customer"}}
          for i, (r, t) in enumerate(zip(records, ("New", None), strict=True)))
    )  # fmt: skip
    world.rules({"lifecycle_stage": "source_wins", "title": "source_wins"}, kinds=["hubspot"])
    report = world.write()
    assert report.outcomes == {"hubspot": {"updated": 1, "rejected": 1}}
    assert {one["code"] for one in report.left} == {"IGNORED"}
    assert {one["id"] for one in service.rejects(world.settings)} == set(records)
    with Outbox(world.settings) as outbox:
        assert [row["field"] for row in outbox.base_rows()] == ["title"]


def test_an_address_that_several_got_since_the_plan_is_not_given_to_another_one(world: World) -> None:
    email = unique()
    world.publish({"customer_key": "k1", "email": email, "last_name": "Lee"})
    world.rules({"email": "source_wins", "last_name": "source_wins"}, kinds=["salesforce"], create=True)
    _, path = world.plan()
    records = [world.make("salesforce", email=email, last_name="Ray") for _ in range(2)]
    report = world.apply(path)
    assert [(one["state"], one["code"]) for one in report.left] == [("conflict", "EXISTS")]
    assert sorted(world.ids("salesforce", email)) == sorted(records)


def test_one_whose_lead_was_converted_is_found_by_the_leads_address(world: World) -> None:
    email = unique()
    lead = world.make("salesforce", "Lead", email=email, last_name="Lee")
    contact = world.make("salesforce", email=unique(), last_name="Lee", title="Old")
    merge(world, "salesforce", contact, lead)
    world.publish({"customer_key": "k1", "email": email, "title": "New", "last_name": "Lee"})
    world.rules({"email": "crm_wins", "last_name": "crm_wins", "title": "source_wins"}, kinds=["salesforce"], create=True)
    (entry,) = world.plan()[0].entries
    assert (entry.action, entry.object, entry.id, entry.followed) == ("update", "Contact", contact, lead)
    assert world.ids("salesforce", email) == []
