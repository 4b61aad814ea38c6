"""The guide's calls for one contact, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cdp_pipelines.config import KINDS
from cdp_pipelines.crm_integrations.base_crm import CRMContact
from cdp_pipelines.crm_integrations.manager import CRMIntegrationManager
from cdp_pipelines.crm_integrations.writes import CLEAR
from cdp_pipelines.writeback import contact_calls, service
from cdp_pipelines.writeback.contact_calls import ContactError
from tests.sources.known_failures import known_failure
from tests.writeback.world import World, every_crm, one_crm, unique


def create(world: World, **fields: Any) -> dict[str, Any]:
    return world.call(lambda sessions: contact_calls.create_contact(world.settings, sessions, CRMContact(**fields)))


def update(world: World, contact: str, data: dict[str, Any], **options: Any) -> dict[str, Any]:
    return world.call(lambda sessions: contact_calls.update_contact(world.settings, sessions, contact, data, **options))


def outcomes(results: dict[str, Any]) -> dict[str, str]:
    return {name: result.outcome for name, result in results.items()}


def test_the_guides_example_runs_as_written_and_twice_makes_nobody_twice(world: World) -> None:
    crm_configs = {
        connection.name: config
        for connection, config in zip(world.connections(), world.sandbox.addresses.connections().values(), strict=True)
    }

    async def example() -> list[dict[str, Any]]:
        async with CRMIntegrationManager(crm_configs, world.settings) as crm_manager:
            # Create new contact
            contact = CRMContact(
                email='john@example.com',
                first_name='John',
                last_name='Doe',
                company='Example Corp'
            )  # fmt: skip
            result = await crm_manager.create_contact_in_all_crms(contact)
            again = await crm_manager.create_contact_in_all_crms(contact)
            # Update existing contact
            update_data = {'lead_score': 75}  # fmt: skip
            update_result = await crm_manager.update_contact_in_all_crms(
                contact_id=f"salesforce:{result['salesforce']['id']}", data=update_data
            )
            twice = await crm_manager.update_contact_in_all_crms(contact_id='john@example.com', data=update_data)  # fmt: skip
            nobody = await crm_manager.update_contact_in_all_crms(contact_id='contact_123', data=update_data)  # fmt: skip
            return [result, again, update_result, twice, nobody]

    result, again, updated, twice, nobody = asyncio.run(example())
    assert [{name: one["outcome"] for name, one in answer.items()} for answer in (result, again, updated, twice, nobody)] == [
        dict.fromkeys(KINDS, outcome) for outcome in ("created", "unchanged", "updated", "unchanged", "skipped")
    ]
    for kind in KINDS:
        assert world.ids(kind, "john@example.com") == [result[kind]["id"]] == [twice[kind]["id"]]
        seen = world.see(kind, result[kind]["id"])
        assert (seen["first_name"], seen["last_name"]) == ("John", "Doe")
        if kind != "salesforce":
            assert seen["company"] == "Example Corp"
    assert float(world.see("salesforce", result["salesforce"]["id"])["lead_score"]) == 75
    assert float(world.see("marketo", result["marketo"]["id"])["lead_score"]) == 75
    assert "contact_123" in nobody["hubspot"]["reason"]


@one_crm
def test_one_who_is_there_already_gets_what_is_missing_and_keeps_what_is_there(world: World, kind: str) -> None:
    world.kinds = [kind]
    email = unique("Some.One")
    record = world.make(kind, email=email, first_name="Ann", last_name="Lee", title="CEO")
    result = create(world, email=email.upper(), first_name="ANN", last_name="Lee", title="CTO", phone="+1 555 0100")[kind]
    assert (result.outcome, result.id, result.written, sorted(result.kept)) == ("updated", record, ["phone"], ["first_name", "title"])
    assert world.see(kind, record)["title"] == "CEO"
    assert world.ids(kind, email) == [record]


@one_crm
def test_somebody_else_with_the_same_address_is_a_conflict_and_stays_untouched(world: World, kind: str) -> None:
    world.kinds = [kind]
    email = unique("info")
    record = world.make(kind, email=email, first_name="Ann", last_name="Lee")
    result = create(world, email=email, first_name="Bob", last_name="Ray", phone="+1 555 0100")[kind]
    assert (result.outcome, result.id) == ("conflict", record)
    assert world.see(kind, record)["phone"] == ""
    assert world.ids(kind, email) == [record]


@one_crm
def test_a_persons_edit_of_what_we_wrote_is_kept_until_ours_is_to_win(world: World, kind: str) -> None:
    world.kinds = [kind]
    email = unique()
    record = create(world, email=email, last_name="Lee", title="Ours")[kind].id
    world.edit(kind, record, title="Theirs")
    result = update(world, email, {"title": "Ours, newer"})[kind]
    assert (result.outcome, sorted(result.kept)) == ("conflict", ["title"])
    assert world.see(kind, record)["title"] == "Theirs"
    assert update(world, email, {"title": "Ours, newer"}, overwrite=True)[kind].outcome == "updated"
    assert world.see(kind, record)["title"] == "Ours, newer"


@known_failure("SalesforceCommerceCloud/b2c-crm-sync#276", "segment-boneyard/segment-docs#7015")
@every_crm
def test_none_and_blank_change_nothing_and_clear_empties(world: World, kind: str) -> None:
    world.kinds = [kind]
    email = unique()
    record = create(world, email=email, last_name="Lee", title="Ours", phone="+1 555 0100")[kind].id
    assert update(world, email, {"title": None, "phone": ""})[kind].outcome == "unchanged"
    assert update(world, f"{kind}:{record}", {"title": CLEAR})[kind].outcome == "updated"
    seen = world.see(kind, record)
    assert (seen["title"], seen["phone"]) == ("", "+1 555 0100")


def test_a_crm_that_cannot_be_reached_is_pending_and_sent_by_the_next_retry_without_a_second_contact(world: World) -> None:
    email = unique()
    world.sandbox.set("hubspot", "server_error", status=503)
    world.sandbox.set("marketo", "drop", path="POST *leads.json*", done=True, count=1)
    results = create(world, email=email, last_name="Lee")
    assert outcomes(results) == {"salesforce": "created", "hubspot": "pending", "marketo": "created"}
    assert results["hubspot"].retry == "cdp writeback retry"
    assert [one["connection"] for one in service.rejects(world.settings)] == ["hubspot"]
    assert outcomes(world.call(lambda sessions: contact_calls.retry_calls(world.settings, sessions))) == {"hubspot": "pending"}
    world.sandbox.reset()
    assert outcomes(world.call(lambda sessions: contact_calls.retry_calls(world.settings, sessions))) == {"hubspot": "created"}
    assert service.rejects(world.settings) == []
    assert world.call(lambda sessions: contact_calls.retry_calls(world.settings, sessions)) == {}
    assert {kind: len(world.ids(kind, email)) for kind in KINDS} == dict.fromkeys(KINDS, 1)


def test_a_call_can_be_taken_back(world: World) -> None:
    email = unique()
    results = create(world, email=email, last_name="Lee")
    plan, report = world.undo(results["hubspot"].run)
    assert {e.action for e in plan.entries} == {"delete"}
    assert report.outcomes == {kind: {"deleted": 1} for kind in KINDS}
    assert {kind: world.ids(kind, email) for kind in KINDS} == {kind: [] for kind in KINDS}


def test_a_customer_key_means_all_records_of_a_person_and_nobody_elses(world: World) -> None:
    email = unique()
    first, second = (world.make("salesforce", email=unique(), last_name="Lee") for _ in range(2))
    mine = world.make("marketo", email=email, last_name="Lee")
    other = world.make("hubspot", email=email, last_name="Ray")
    world.publish(
        {"customer_key": "k1", "email": email, "records": {"salesforce": first, "marketo": mine}},
        {"customer_key": "k1", "email": email, "records": {"salesforce": second}},
        {"customer_key": "k2", "email": email, "records": {"hubspot": other}},
    )
    results = update(world, "k1", {"title": "CEO"})
    assert outcomes(results) == {"salesforce": "updated", "hubspot": "skipped", "marketo": "updated"}
    assert [world.see("salesforce", i)["title"] for i in (first, second)] == ["CEO", "CEO"]
    assert world.see("hubspot", other)["title"] == ""
    assert "2 customers have the e-mail address" in update(world, email, {"title": "CEO"})["marketo"].reason
    assert update(world, first, {"title": "CFO"})["marketo"].id == mine


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"customer_id": "1"}, "'customer_id' cannot be written"),
        ({"shoe_size": 9}, "'shoe_size' cannot be written"),
        ({}, "nothing to write"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_call(world: World, data: dict[str, Any], says: str) -> None:
    calls = world.sandbox.control("GET", "/sandbox/requests").json()
    with pytest.raises(ContactError, match=says):
        update(world, "john@example.com", data)
    with pytest.raises(ContactError, match="needs an e-mail address"):
        create(world, last_name="Lee")
    assert world.sandbox.control("GET", "/sandbox/requests").json() == calls


def test_a_value_that_its_field_cannot_hold_is_said_and_the_others_are_written(world: World) -> None:
    email = unique()
    create(world, email=email, last_name="Lee")
    results = update(world, email, {"lead_score": 75.5, "title": "CEO"})
    assert outcomes(results) == dict.fromkeys(KINDS, "updated")
    assert results["marketo"].written == ["title"]
    assert results["marketo"].kept == {"lead_score": "leadScore holds whole numbers only"}
    assert results["salesforce"].written == ["lead_score", "title"]


def test_a_salesforce_contacts_company_is_the_one_account_with_its_name(world: World) -> None:
    world.kinds = ["salesforce"]
    account = world.make("salesforce", "Account", Name="Example & Sons")
    for _ in range(2):
        world.make("salesforce", "Account", Name="Twins Ltd")
    email = unique()
    made = create(world, email=email, last_name="Lee", company="example & SONS ")["salesforce"]
    assert (made.outcome, made.written) == ("created", ["email", "last_name", "company"])

    def linked() -> str | None:
        return world.sandbox.call("salesforce", f"/services/data/v62.0/sobjects/Contact/{made.id}").json()["AccountId"]

    assert linked() == account
    assert create(world, email=email, last_name="Lee", company="Example & Sons")["salesforce"].outcome == "unchanged"
    for company, says in (("Twins Ltd", "2 Account records"), ("Nowhere Inc", "no Account records")):
        result = update(world, email, {"company": company})["salesforce"]
        assert result.outcome == "unchanged"
        assert says in result.kept["company"]
    assert linked() == account
    world.undo(made.run)
    assert world.ids("salesforce", email) == []


def test_a_contact_that_was_read_from_one_crm_can_be_made_in_the_others(world: World) -> None:
    world.kinds = ["hubspot", "marketo"]
    email = unique()
    row = {
        "customer_id": "003A",
        "connection": "salesforce",
        "email": email,
        "last_name": "Lee",
        "city": "Rome",
        "owner_id": "005A",
        "is_deleted": False,
    }
    results = create(world, **vars(CRMContact.from_row(row)))
    assert outcomes(results) == {"hubspot": "created", "marketo": "created"}
    assert results["hubspot"].written == ["email", "last_name", "city"]


def test_of_two_fields_that_a_crm_keeps_in_one_the_first_counts(world: World) -> None:
    world.kinds = ["hubspot"]
    email = unique()
    create(world, email=email, last_name="Lee")
    result = update(world, email, {"lifecycle_stage": "customer", "source": "opportunity"})["hubspot"]
    assert (result.outcome, result.written, list(result.kept)) == ("updated", ["lifecycle_stage"], ["source"])
