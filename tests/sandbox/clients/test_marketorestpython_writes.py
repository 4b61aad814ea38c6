"""marketorestpython, unmodified: what it writes, and what is then read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from marketorestpython.client import MarketoClient
from marketorestpython.helper.exceptions import MarketoException

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer

CLIENT = "marketorestpython (writing)"

NewLead = Callable[..., int]


@pytest.fixture(scope="module")
def marketo(sandbox: SandboxServer) -> MarketoClient:
    client = MarketoClient("123-ABC-456", **credentials.MARKETO, max_retry_time=0)
    client.host = sandbox.addresses.url("marketo")
    return client


@pytest.fixture
def new_lead(marketo: MarketoClient) -> NewLead:
    return lambda email, **fields: marketo.create_update_leads([{"email": email, **fields}], action="createOnly")[0]["id"]


@pytest.fixture(scope="module")
def static_list(marketo: MarketoClient) -> int:
    return marketo.create_list("Tried by a client", 1, "Folder")[0]["id"]


@pytest.fixture(scope="module")
def campaigns(marketo: MarketoClient) -> list[dict[str, Any]]:
    return marketo.get_multiple_campaigns()


def lead(marketo: MarketoClient, identifier: int, *fields: str) -> dict[str, Any]:
    return marketo.get_lead_by_id(identifier, fields=",".join(fields))[0]


def code(raised: pytest.ExceptionInfo[MarketoException]) -> str:
    return str(raised.value.code)


def test_leads_are_created_updated_and_skipped_in_the_order_given(marketo: MarketoClient, new_lead: NewLead) -> None:
    known = new_lead("first@new.example", firstName="Ada")
    done = marketo.create_update_leads([{"email": "first@new.example", "firstName": "Grace"}, {"email": "second@new.example"}])
    assert [entry["status"] for entry in done] == ["updated", "created"]
    assert done[0]["id"] == known
    assert lead(marketo, known, "firstName")["firstName"] == "Grace"
    skipped = marketo.create_update_leads([{"email": "second@new.example"}, {"email": "third@new.example"}], action="createOnly")
    assert [entry["status"] for entry in skipped] == ["skipped", "created"]
    assert skipped[0]["reasons"][0]["code"] == "1005"
    absent = marketo.create_update_leads([{"email": "nobody@new.example", "firstName": "No"}], action="updateOnly")
    assert (absent[0]["status"], absent[0]["reasons"][0]["code"]) == ("skipped", "1004")


def test_a_lead_is_found_by_another_field_and_cleared_by_null(marketo: MarketoClient, new_lead: NewLead) -> None:
    known = new_lead("byid@new.example", title="Clerk")
    assert marketo.create_update_leads([{"id": known, "title": None}], action="updateOnly", lookupField="id")[0]["status"] == "updated"
    assert lead(marketo, known, "title")["title"] is None


def test_values_and_fields_that_cannot_be_are_refused(marketo: MarketoClient) -> None:
    answer = marketo.create_update_leads([{"email": "bad@new.example", "leadScore": "many"}])
    assert (answer[0]["status"], answer[0]["reasons"][0]["code"]) == ("skipped", "1003")
    unknown = marketo.create_update_leads([{"email": "bad@new.example", "noSuchField": "x"}])
    assert (unknown[0]["status"], unknown[0]["reasons"][0]["code"]) == ("skipped", "1006")


def test_what_a_client_wrote_is_an_activity(marketo: MarketoClient, new_lead: NewLead) -> None:
    since = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    made = new_lead("active@new.example")
    marketo.create_update_leads([{"email": "active@new.example", "title": "Director"}])
    found = marketo.get_lead_activities(["12", "13"], sinceDatetime=since, leadIds=str(made))
    assert {(activity["activityTypeId"], activity["leadId"]) for activity in found} == {(12, made), (13, made)}


def test_deleted_leads_are_gone_and_told(marketo: MarketoClient, new_lead: NewLead) -> None:
    since = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    made = new_lead("deleted@new.example")
    answer = marketo.delete_lead([made, 999_999])
    assert [entry["status"] for entry in answer] == ["deleted", "skipped"]
    assert marketo.get_multiple_leads_by_filter_type("id", [str(made)]) == []
    assert made in {activity["leadId"] for activity in marketo.get_deleted_leads(sinceDatetime=since)}


def test_a_merge_leaves_the_winner(marketo: MarketoClient, new_lead: NewLead) -> None:
    winner, loser = new_lead("winner@new.example"), new_lead("loser@new.example", title="Kept")
    assert marketo.merge_lead(winner, [loser])
    assert {found["id"] for found in marketo.get_multiple_leads_by_filter_type("id", [str(winner), str(loser)])} == {winner}
    with pytest.raises(MarketoException) as raised:
        marketo.merge_lead(winner, [loser])
    assert code(raised) == "1004"


def test_a_list_is_made_filled_asked_and_emptied(marketo: MarketoClient, new_lead: NewLead, static_list: int) -> None:
    member, other = new_lead("member@new.example"), new_lead("other@new.example")
    assert [entry["status"] for entry in marketo.add_leads_to_list(static_list, [member])] == ["added"]
    assert {found["id"] for found in marketo.get_multiple_leads_by_list_id(static_list)} == {member}
    assert [page[0]["id"] for page in marketo.get_multiple_leads_by_list_id_yield(static_list) if page] == [member]
    assert [entry["status"] for entry in marketo.member_of_list(static_list, [member, other])] == ["memberof", "notmemberof"]
    assert [entry["status"] for entry in marketo.remove_leads_from_list(static_list, [member])] == ["removed"]
    assert marketo.get_multiple_leads_by_list_id(static_list) == []


def test_lists_are_found_renamed_and_deleted(marketo: MarketoClient) -> None:
    made = marketo.create_list("Short-lived", 1, "Folder", description="For a test")[0]
    assert marketo.get_list_by_id(made["id"])[0]["name"] == "Short-lived"
    assert made["id"] in {found["id"] for found in marketo.get_multiple_lists(name=["Short-lived"])}
    assert made["id"] in {found["id"] for found in marketo.browse_lists()}
    assert marketo.delete_list(made["id"])[0]["id"] == made["id"]
    assert made["id"] not in {found["id"] for found in marketo.get_multiple_lists()}


def test_companies_are_created_updated_and_deleted(marketo: MarketoClient) -> None:
    wish = {"externalCompanyId": "client-1", "company": "Client and Sons"}
    assert marketo.create_update_companies([wish])[0]["status"] == "created"
    assert marketo.create_update_companies([wish | {"company": "Client and Daughters"}])[0]["status"] == "updated"
    assert marketo.get_companies("externalCompanyId", ["client-1"], fields="company")[0]["company"] == "Client and Daughters"
    assert marketo.delete_companies([{"externalCompanyId": "client-1"}], deleteBy="dedupeFields")[0]["status"] == "deleted"
    assert marketo.get_companies("externalCompanyId", ["client-1"]) == []


def test_opportunities_and_roles_are_created_updated_and_deleted(marketo: MarketoClient, new_lead: NewLead) -> None:
    person, key = new_lead("buyer@new.example"), {"externalOpportunityId": "client-deal"}
    role = key | {"leadId": person, "role": "Buyer"}
    assert marketo.create_update_opportunities([key | {"name": "A deal"}])[0]["status"] == "created"
    assert marketo.create_update_opportunities([key | {"name": "The deal"}], action="updateOnly")[0]["status"] == "updated"
    assert marketo.create_update_opportunities_roles([role | {"isPrimary": True}])[0]["status"] == "created"
    assert [found["leadId"] for found in marketo.get_opportunity_roles("externalOpportunityId", ["client-deal"])] == [person]
    assert marketo.get_opportunities("externalOpportunityId", ["client-deal"], fields="name")[0]["name"] == "The deal"
    assert marketo.delete_opportunity_roles([role], deleteBy="dedupeFields")[0]["status"] == "deleted"
    assert marketo.delete_opportunities([key], deleteBy="dedupeFields")[0]["status"] == "deleted"
    assert marketo.delete_opportunities([key], deleteBy="dedupeFields")[0]["reasons"][0]["code"] == "1013"


def test_leads_are_put_in_partitions(marketo: MarketoClient, new_lead: NewLead) -> None:
    made = new_lead("moves@new.example")
    other = next(p for p in marketo.get_lead_partitions() if p["name"] != "Default")
    assert marketo.update_leads_partition([{"id": made, "partitionName": other["name"]}])[0]["status"] == "updated"
    assert lead(marketo, made, "leadPartitionId")["leadPartitionId"] == other["id"]


def test_leads_are_pushed_into_a_program_and_change_status_there(marketo: MarketoClient) -> None:
    program = marketo.browse_programs(maxReturn=200)[0]
    pushed = marketo.push_lead([{"email": "pushed@new.example"}], programName=program["name"], lookupField="email")[0]["id"]
    assert pushed in {found["id"] for found in marketo.get_multiple_leads_by_program_id(program["id"])}
    channel = marketo.get_channel_by_name(program["channel"])[0]
    status = channel["progressionStatuses"][-1]["name"]
    assert marketo.change_lead_program_status(program["id"], [pushed], status)[0]["status"]


def test_programs_channels_and_tags_are_looked_up(marketo: MarketoClient) -> None:
    program = marketo.browse_programs(maxReturn=200)[0]
    assert marketo.get_program_by_id(program["id"])[0]["name"] == program["name"]
    assert marketo.get_program_by_name(program["name"])[0]["id"] == program["id"]
    assert program["channel"] in {channel["name"] for channel in marketo.get_channels()}
    tag = marketo.get_tag_by_name(marketo.get_tags()[0]["tagType"])[0]
    values = str(tag.get("allowableValues", "")).strip("[]").split(", ")
    assert isinstance(marketo.get_program_by_tag_type(tag["tagType"], values[0]), list)


def test_a_campaign_is_requested_for_a_lead_only_when_it_is_triggered(
    marketo: MarketoClient, new_lead: NewLead, campaigns: list[dict[str, Any]]
) -> None:
    made = new_lead("campaign@new.example")
    triggered = next(c for c in campaigns if c["type"] == "trigger")
    if not triggered["active"]:
        with pytest.raises(MarketoException):
            marketo.request_campaign(triggered["id"], [made])
        marketo.activate_smart_campaign(triggered["id"])
    batch = next(c for c in campaigns if c["type"] == "batch")
    assert marketo.request_campaign(triggered["id"], [made], tokens={"my.greeting": "Hello"})
    assert marketo.schedule_campaign(batch["id"])
    assert marketo.get_campaign_by_id(batch["id"])[0]["id"] == batch["id"]
    with pytest.raises(MarketoException):
        marketo.request_campaign(batch["id"], [made])


def test_a_smart_campaign_is_switched_on_and_off(marketo: MarketoClient, campaigns: list[dict[str, Any]]) -> None:
    identifier = [c["id"] for c in campaigns if c["type"] == "trigger"][-1]
    before = marketo.get_smart_campaign_by_id(identifier)[0]["isActive"]
    switch = {True: marketo.activate_smart_campaign, False: marketo.deactivate_smart_campaign}
    for active in (not before, before):
        switch[active](identifier)
        assert marketo.get_smart_campaign_by_id(identifier)[0]["isActive"] == active
    assert identifier in {campaign["id"] for page in marketo.get_smart_campaigns() for campaign in page}


def test_a_file_of_leads_is_imported_with_its_failures_told(marketo: MarketoClient, tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    file.write_text("email,firstName,leadScore\nimported@new.example,Ines,many\nfélix@new.example,Felix,5\n", encoding="utf-8")
    batch = marketo.import_lead(file=str(file), format="csv")[0]["batchId"]
    status = marketo.get_import_lead_status(batch)[0]
    while status["status"] not in ("Complete", "Failed"):
        status = marketo.get_import_lead_status(batch)[0]
    assert (status["status"], status["numOfLeadsProcessed"], status["numOfRowsFailed"]) == ("Complete", 1, 1)
    assert "Felix" in marketo.get_import_failure_file(batch)
    assert "imported@new.example" in marketo.get_import_warning_file(batch)
    assert [found["firstName"] for found in marketo.get_multiple_leads_by_filter_type("email", ["imported@new.example"])] == ["Ines"]


def test_changes_are_refused_without_the_permission_for_them(sandbox: SandboxServer, marketo: MarketoClient) -> None:
    options = sandbox.options["marketo"]
    options.denied = frozenset({"leads:write"})
    try:
        with pytest.raises(MarketoException) as raised:
            marketo.create_update_leads([{"email": "denied@new.example"}])
    finally:
        options.denied = frozenset()
    assert code(raised) == "603"


def test_an_instance_that_a_crm_fills_takes_no_opportunities(sandbox: SandboxServer, marketo: MarketoClient) -> None:
    options = sandbox.options["marketo"]
    options.crm_sync = "sfdc_readonly"
    try:
        with pytest.raises(MarketoException) as raised:
            marketo.create_update_opportunities([{"externalOpportunityId": "refused", "name": "Refused"}])
    finally:
        options.crm_sync = "none"
    assert code(raised) == "1018"


def test_a_cookie_is_tied_to_a_lead(marketo: MarketoClient, new_lead: NewLead) -> None:
    assert marketo.associate_lead(new_lead("cookie@new.example"), "id:123-ABC-456&token:_mch-new.example-1-2")
