"""Each kind of change that is more than an edit: told by the CRM, read again, and in the raw tables as a full sync would have it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from cdp_pipelines.config import Kind, connection_from_config
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.clock import now
from cdp_pipelines.webhooks import catch_up as following
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.receiver import Receiver
from tests.sandbox.faulty import Faulty, faulty
from tests.sources.reconciled import Followed, Row


class Told:
    """A CRM that tells a receiver of its changes, and a warehouse of raw tables that follows."""

    def __init__(self, sandbox: Faulty, followed: Followed):
        self.sandbox, self.followed = sandbox, followed
        self.store: Any = sandbox.server.world.stores[followed.kind]
        self.row, self.rows, self.settings = followed.row, followed.rows, followed.settings("kept")

    def post(self, path: str, body: Any = None, method: str = "POST") -> httpx2.Response:
        """Change something by the CRM's own API."""
        answer = self.sandbox.call(self.followed.kind, path, method=method, json=body)
        assert answer.status_code < 300, answer.text
        assert answer.json().get("success", True) if answer.content else True, answer.text
        return answer

    def settle(self) -> None:
        """Until all is told."""
        apps = self.sandbox.server.apps
        assert (apps["salesforce"].state.events if self.followed.kind == "salesforce" else apps[self.followed.kind].state.webhooks).settle()

    def hold_back(self, what: str) -> list[Event]:
        """Events that do not arrive yet: taken out of the inbox."""
        self.settle()
        with closing(Inbox(self.settings.inbox)) as inbox:
            held = [waiting.event for waiting in inbox.waiting() if waiting.event.what == what]
        with closing(sqlite3.connect(self.settings.inbox)) as db, db:
            db.execute("delete from events where what = ? and state = 'waiting'", [what])
        return held

    def follow(self) -> list[Event]:
        """Read again what was told since the last time; gives the events."""
        self.settle()
        with closing(Inbox(self.settings.inbox)) as inbox:
            events = [waiting.event for waiting in inbox.waiting()]
        done = following.catch_up(self.settings, [self.followed.connection])
        assert done is not None
        assert (done.done, done.failed, done.left) == (len(events), 0, 0), done.report
        return events

    def check(self) -> None:
        """The raw tables are those of a full sync, but for Marketo's activities, which the next sync reads."""
        shutil.rmtree(self.followed.settings("fresh").data_dir, ignore_errors=True)
        differences = self.followed.differences()
        differences.pop("activities", None)
        assert differences == {}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("kinds"), people=30) as running:
        yield running


@pytest.fixture(scope="module")
def synced(sandbox: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Followed]:
    """A warehouse for each CRM, filled once, when a test first asks for it."""
    folder = tmp_path_factory.mktemp("synced")

    @cache
    def of(kind: Kind) -> Followed:
        followed = Followed(kind, sandbox.addresses.url(kind), folder / kind)
        followed.sync()
        return followed

    return of


@pytest.fixture
def told(
    request: pytest.FixtureRequest, sandbox: Faulty, synced: Callable[[Kind], Followed], serve: Callable[[ASGIApp], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Kind], Told]]:  # fmt: skip
    """`told(kind)` begins to tell. The models are not built: what is looked at are the raw tables."""
    monkeypatch.setattr(following, "build", lambda settings, report, say, **more: None)
    connections = {name: connection_from_config(name, config) for name, config in sandbox.addresses.connections().items()}
    keepers: list[Keeper] = []

    def begin(kind: Kind) -> Told:
        made = Told(sandbox, synced(kind))
        keepers.append(Keeper(made.settings.inbox, 10_000).__enter__())
        hosting.notify(sandbox.addresses, serve(Receiver(connections, keepers[0]).app()))
        return made

    yield begin
    sandbox.reset()
    hosting.notify(sandbox.addresses, None)
    for keeper in keepers:
        keeper.__exit__()


def kinds(events: list[Event], name: str) -> set[str]:
    return {event.what for event in events if event.object == name}


def linked_contact(told: Told) -> tuple[str, str]:
    """A live contact of HubSpot, and a company that it is linked with."""
    live = set(told.store.live_people())
    return next((r["from_id"], r["to_id"]) for r in told.rows("contact_company_associations") if r["from_id"] in live and "to_id" in r)


def test_what_hubspot_erases_leaves_an_empty_tombstone_and_no_link(told: Callable[[Kind], Told]):
    portal = told("hubspot")
    contact, company = linked_contact(portal)
    before = portal.row("companies", company)["num_associated_contacts"]
    portal.post("/crm/v3/objects/contacts/gdpr-delete", {"objectId": contact})
    assert "erased" in kinds(portal.follow(), "contacts")
    assert portal.row("contacts", contact) == {"id": contact, "_deleted": "true"}
    assert [r for r in portal.rows("contact_company_associations") if r["from_id"] == contact] == [{"from_id": contact}]
    assert [r for r in portal.rows("lifecycle_stage_history") if r["contact_id"] == contact] == [{"contact_id": contact}]
    assert int(portal.row("companies", company).get("num_associated_contacts", 0)) == int(before) - 1
    portal.check()


@pytest.mark.slow
def test_what_hubspot_erases_is_erased_here_where_that_is_asked_for_and_not_counted_beside_it(told: Callable[[Kind], Told]):
    portal = told("hubspot")
    portal.settings = portal.settings.model_copy(update={"erase_told": True})
    contact, company = linked_contact(portal)
    before = portal.row("companies", company)["num_associated_contacts"]
    portal.post("/crm/v3/objects/contacts/gdpr-delete", {"objectId": contact})
    assert "erased" in kinds(portal.follow(), "contacts")
    for table in ("contacts", "contact_company_associations", "lifecycle_stage_history"):
        assert not [row for row in portal.rows(table) if contact in row.values()]
    assert int(portal.row("companies", company).get("num_associated_contacts", 0)) < int(before)
    portal.check()


@pytest.mark.slow
def test_what_hubspot_deletes_and_restores_goes_and_comes_back(told: Callable[[Kind], Told]):
    portal = told("hubspot")
    contact, _ = linked_contact(portal)
    portal.post(f"/crm/v3/objects/contacts/{contact}", method="DELETE")
    assert kinds(portal.follow(), "contacts") == {"deleted"}
    assert portal.row("contacts", contact)["archived"] == "true"
    portal.store.restore_person(contact, now())
    assert kinds(portal.follow(), "contacts") == {"restored"}
    assert portal.row("contacts", contact)["archived"] == "false"
    portal.check()


@pytest.mark.slow
@pytest.mark.parametrize("mints", [False, True], ids=["into the winner", "into a new record"])
def test_hubspots_merges_say_into_which_record(told: Callable[[Kind], Told], mints: bool):
    portal = told("hubspot")
    portal.sandbox.option("hubspot", merge_mints_new_id=mints)
    *others, winner, loser = list(portal.store.live_people())[-3:]
    left = portal.post("/crm/v3/objects/contacts/merge", {"primaryObjectId": winner, "objectIdToMerge": loser}).json()["id"]
    assert (left == winner) is not mints
    assert "merged" in kinds(portal.follow(), "contacts")
    gone = {loser, winner} - {left}

    def into() -> dict[str, str]:
        return {one: portal.row("contacts", one)["_merged_into"] for one in gone}

    assert into() == dict.fromkeys(gone, left)
    assert portal.row("contacts", left)["archived"] == "false"
    portal.check()
    last = portal.post("/crm/v3/objects/contacts/merge", {"primaryObjectId": others[0], "objectIdToMerge": left}).json()["id"]
    portal.follow()
    gone |= {left, others[0]} - {last}
    assert into() == dict.fromkeys(gone, last), "those that were merged before belong to the last one too"
    portal.check()


@pytest.mark.slow
def test_hubspots_association_changes_reach_the_links_and_what_is_counted_of_them(told: Callable[[Kind], Told]):
    portal = told("hubspot")
    contact, company = linked_contact(portal)
    deal = next(iter(portal.store.live_deals()))

    def links() -> tuple[bool, bool]:
        to_company = {(r["from_id"], r.get("to_id")) for r in portal.rows("contact_company_associations")}
        to_contact = {(r["from_id"], r.get("to_id")) for r in portal.rows("deal_contact_associations")}
        return (contact, company) in to_company, (deal, contact) in to_contact

    portal.post(f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}", method="DELETE")
    portal.post(f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{contact}", method="PUT")
    assert {"linked"} == {event.what for event in portal.follow() if "/" in event.object}
    assert links() == (False, True)
    portal.check()
    portal.post(f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}", method="PUT")
    portal.post(f"/crm/v4/objects/deals/{deal}/associations/contacts/{contact}", method="DELETE")
    portal.follow()
    assert links() == (True, False)
    portal.check()


def test_who_was_linked_with_what_is_found_deleted_before_that_is_told_is_read_again(told: Callable[[Kind], Told]):
    portal = told("hubspot")
    live = set(portal.store.live_deals())
    deal, contact = next(
        (r["from_id"], r["to_id"]) for r in portal.rows("deal_contact_associations") if r["from_id"] in live and "to_id" in r
    )
    before = portal.row("contacts", contact)["num_associated_deals"]
    other = next(one for one in portal.store.live_people() if one != contact)
    portal.post(f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{other}", method="PUT")
    portal.post(f"/crm/v3/objects/deals/{deal}", method="DELETE")
    held = portal.hold_back("deleted")
    assert [event.record_id for event in held] == [deal]
    portal.follow()
    assert portal.row("deals", deal)["archived"] == "true"
    assert int(portal.row("contacts", contact).get("num_associated_deals", 0)) == int(before) - 1
    with closing(Inbox(portal.settings.inbox)) as inbox:
        inbox.add(held)
    portal.follow()
    portal.check()


def test_salesforces_gap_events_which_carry_no_fields_lead_to_the_records(told: Callable[[Kind], Told]):
    org = told("salesforce")
    org.sandbox.option("salesforce", events_gaps=True)
    edited, deleted = [person for person in org.store.live_people() if person.startswith("003")][:2]
    made = org.post("/services/data/v62.0/sobjects/Contact", {"LastName": "Gap"}).json()["id"]
    org.post(f"/services/data/v62.0/sobjects/Contact/{edited}", {"Title": "Told by a gap"}, "PATCH")
    org.post(f"/services/data/v62.0/sobjects/Contact/{deleted}", method="DELETE")
    assert kinds(org.follow(), "Contact") == {"changed", "deleted"}

    def shown() -> dict[str, Any]:
        rows: dict[str, Row] = {one: org.row("contact", one) for one in (made, edited, deleted)}
        return {"made": rows[made]["last_name"], "edited": rows[edited]["title"], "deleted": rows[deleted]["is_deleted"]}

    assert shown() == {"made": "Gap", "edited": "Told by a gap", "deleted": "true"}
    org.store.restore_person(deleted, now())
    assert kinds(org.follow(), "Contact") == {"restored"}
    assert shown()["deleted"] == "false"
    org.check()


@pytest.mark.slow
def test_an_overflow_of_salesforces_events_is_closed_by_a_look_at_the_whole_object(told: Callable[[Kind], Told]):
    org = told("salesforce")
    org.sandbox.option("salesforce", events_overflow=True)
    edited = next(person for person in org.store.live_people() if person.startswith("003"))
    org.post(f"/services/data/v62.0/sobjects/Contact/{edited}", {"Title": "Told by nobody"}, "PATCH")
    assert [(event.what, event.record_id) for event in org.follow()] == [("missed", "")]
    assert org.row("contact", edited)["title"] == "Told by nobody"
    org.check()


@pytest.mark.slow
def test_salesforces_merges_say_into_which_record(told: Callable[[Kind], Told]):
    org = told("salesforce")
    last, winner, loser = [person for person in org.store.live_people() if person.startswith("003")][-3:]
    org.store.merge_people(winner, loser, now())
    assert {"changed", "deleted"} <= kinds(org.follow(), "Contact")
    gone = org.row("contact", loser)
    assert (gone["is_deleted"], gone["master_record_id"]) == ("true", winner)
    org.check()
    org.store.merge_people(last, winner, now())
    org.follow()
    org.check()


@pytest.mark.slow
def test_marketos_merges_and_deletions_leave_tombstones_that_say_into_which_lead(told: Callable[[Kind], Told]):
    instance = told("marketo")
    last, winner, loser, deleted = list(instance.store.live_people())[-4:]
    instance.post(f"/rest/v1/leads/{winner}/merge.json?leadId={loser}")
    instance.post("/rest/v1/leads/delete.json", {"input": [{"id": int(deleted)}]})
    assert {"merged", "deleted"} <= kinds(instance.follow(), "leads")

    def into(lead: Any) -> Any:
        row = instance.row("leads", str(lead))
        return row.get("_merged_into", "nobody") if row.get("_deleted") == "true" else None

    assert (into(winner), into(loser), into(deleted)) == (None, str(winner), "nobody")
    instance.check()
    instance.post(f"/rest/v1/leads/{last}/merge.json?leadId={winner}")
    instance.follow()
    assert (into(last), into(winner), into(loser)) == (None, str(last), str(last))
    instance.check()


@pytest.mark.slow
def test_marketos_opportunity_activities_reach_roles_and_opportunities(told: Callable[[Kind], Told]):
    instance = told("marketo")
    deal, role = next(iter(instance.store.live_deals())), {"role": "Evaluator", "isPrimary": False}
    members = {row["lead_id"] for row in instance.rows("opportunity_roles") if row.get("external_opportunity_id") == deal}
    lead = next(str(one) for one in instance.store.live_people() if str(one) not in members)
    given = {"externalOpportunityId": deal, "leadId": int(lead), **role}

    def linked() -> bool:
        return any(row["lead_id"] == lead and row.get("external_opportunity_id") == deal for row in instance.rows("opportunity_roles"))

    instance.post("/rest/v1/opportunities/roles.json", {"action": "createOrUpdate", "dedupeBy": "dedupeFields", "input": [given]})
    assert "linked" in kinds(instance.follow(), "leads")
    assert linked()
    instance.post(
        "/rest/v1/opportunities/roles/delete.json",
        {"deleteBy": "dedupeFields", "input": [{k: v for k, v in given.items() if k != "isPrimary"}]},
    )
    assert "linked" in kinds(instance.follow(), "leads")
    assert not linked()
    instance.check()
