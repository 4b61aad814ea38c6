"""marketorestpython, unmodified: what it reads. Its `host` is set after it was made. It holds itself to five calls of a kind a second."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from marketorestpython.client import MarketoClient
from marketorestpython.helper.exceptions import MarketoException

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer

CLIENT = "marketorestpython"
WHOLE_HISTORY = {"startAt": "2026-01-01T00:00:00Z", "endAt": "2026-01-31T00:00:00Z"}

Connect = Callable[..., MarketoClient]


@pytest.fixture(scope="module")
def connect(sandbox: SandboxServer) -> Connect:
    def connected(**changed: Any) -> MarketoClient:
        client = MarketoClient("123-ABC-456", **{**credentials.MARKETO, "max_retry_time": 5, **changed})
        client.host = sandbox.addresses.url("marketo")
        return client

    return connected


@pytest.fixture(scope="module")
def marketo(connect: Connect) -> MarketoClient:
    return connect()


@pytest.fixture
def counts(sandbox: SandboxServer) -> dict[str, int]:
    return sandbox.world.counts()["marketo"]


@pytest.fixture(scope="module")
def leads(sandbox: SandboxServer, marketo: MarketoClient) -> list[dict[str, Any]]:
    known = list(map(str, range(1, 301)))
    return marketo.get_multiple_leads_by_filter_type("id", known, fields="id,email,createdAt,updatedAt,leadScore,externalCompanyId")


def code(raised: pytest.ExceptionInfo[MarketoException]) -> str:
    return str(raised.value.code)


def finished(marketo: MarketoClient, kind: str, **job: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The rows of a bulk export and its last status."""
    job_id = getattr(marketo, f"create_{kind}_export_job")(**job)[0]["exportId"]
    getattr(marketo, f"enqueue_{kind}_export_job")(job_id)
    status = getattr(marketo, f"get_{kind}_export_job_status")(job_id)[0]
    while status["status"] in ("Queued", "Processing"):
        status = getattr(marketo, f"get_{kind}_export_job_status")(job_id)[0]
    assert status["status"] == "Completed"
    file = getattr(marketo, f"get_{kind}_export_job_file")(job_id)
    assert status["fileChecksum"] == f"sha256:{hashlib.sha256(file).hexdigest()}"
    assert status["fileSize"] == len(file)
    return list(csv.DictReader(io.StringIO(file.decode(), newline=""))), status


def test_leads_are_read_by_their_ids(leads: list[dict[str, Any]], counts: dict[str, int]) -> None:
    assert len({lead["id"] for lead in leads}) == len(leads) == counts["leads"]


def test_leads_are_read_by_a_field_in_pages(marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    emails = sorted({lead["email"] for lead in leads if lead["email"]})[:20]
    found = marketo.get_multiple_leads_by_filter_type("email", emails, batchSize=5)
    assert {lead["email"].lower() for lead in found} == {email.lower() for email in emails}


def test_a_lead_is_read_by_its_id(marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    lead = leads[0]
    found = marketo.get_lead_by_id(lead["id"], fields="id,email,leadScore")[0]
    assert found == {name: lead[name] for name in ("id", "email", "leadScore")}
    with pytest.raises(MarketoException) as raised:
        marketo.get_lead_by_id(999_999)
    assert code(raised) == "1004"


def test_a_field_that_cannot_be_searched_is_refused(marketo: MarketoClient) -> None:
    with pytest.raises(MarketoException) as raised:
        marketo.get_multiple_leads_by_filter_type("createdAt", ["2026-01-01"])
    assert code(raised) == "1011"


def test_fields_are_described_in_both_ways(marketo: MarketoClient) -> None:
    first = {field["rest"]["name"]: field["dataType"] for field in marketo.describe() if "rest" in field}
    assert first["leadScore"] == "integer"
    second = marketo.describe2()[0]
    assert ["email"] in second["searchableFields"]
    assert {field["name"] for field in second["fields"]} == first.keys()


def test_activity_types_are_listed(marketo: MarketoClient) -> None:
    kinds = {kind["id"]: kind for kind in marketo.get_activity_types()}
    assert kinds[12]["name"] == "New Lead"
    assert "primaryAttribute" not in kinds[12]


def test_activities_are_read_through_empty_pages(sandbox: SandboxServer, marketo: MarketoClient) -> None:
    options = sandbox.options["marketo"]
    before, options.activity_block = options.activity_block, 200
    try:
        found = marketo.get_lead_activities(["12"], sinceDatetime="2010-01-01T00:00:00Z")
    finally:
        options.activity_block = before
    assert found
    assert {activity["activityTypeId"] for activity in found} == {12}
    assert len({activity["marketoGUID"] for activity in found}) == len(found)


def test_lead_changes_hold_the_field_asked_for(sandbox: SandboxServer, marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    edited, today = leads[0]["id"], datetime.now(UTC)
    sandbox.world.stores["marketo"].edit_person(str(edited), {"title": "Head of Testing"}, today)
    changes = marketo.get_lead_changes(["title"], sinceDatetime=today.strftime("%Y-%m-%dT00:00:00Z"))
    fields = [field for change in changes if change["leadId"] == edited for field in change["fields"]]
    assert "Head of Testing" in {field["newValue"] for field in fields if field["name"] == "title"}


def test_deleted_leads_are_told(sandbox: SandboxServer, marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    gone = leads[-1]["id"]
    sandbox.world.stores["marketo"].delete_person(str(gone), datetime.now(UTC))
    told = marketo.get_deleted_leads(sinceDatetime=datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z"))
    assert gone in {activity["leadId"] for activity in told}
    assert marketo.get_multiple_leads_by_filter_type("id", [str(gone)]) == []


def test_roles_lead_from_people_to_opportunities(marketo: MarketoClient, leads: list[dict[str, Any]], counts: dict[str, int]) -> None:
    roles = marketo.get_opportunity_roles("leadId", [str(lead["id"]) for lead in leads[:300]])
    wanted = sorted({role["externalOpportunityId"] for role in roles})
    found = marketo.get_opportunities("externalOpportunityId", wanted, fields="externalOpportunityId,name,amount")
    assert {opportunity["externalOpportunityId"] for opportunity in found} == set(wanted)
    assert 0 < len(roles) <= counts["opportunity_roles"]


def test_companies_are_read_by_the_keys_that_leads_hold(marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    keys = sorted({lead["externalCompanyId"] for lead in leads if lead["externalCompanyId"]})
    found = marketo.get_companies("externalCompanyId", keys, fields="externalCompanyId,company")
    assert {company["externalCompanyId"] for company in found} == set(keys)


@pytest.mark.parametrize("name", ["opportunity", "opportunity_role", "company"])
def test_the_other_objects_describe_what_they_can_be_found_by(marketo: MarketoClient, name: str) -> None:
    described = getattr(marketo, f"describe_{name}")()[0]
    assert described["dedupeFields"]
    assert described["searchableFields"]


def test_campaigns_and_programs_are_listed_whole(marketo: MarketoClient, counts: dict[str, int]) -> None:
    assert len(marketo.get_multiple_campaigns(batchSize=5)) == counts["campaigns"]
    programs = marketo.browse_programs(maxReturn=5)
    assert len({program["id"] for program in programs}) == len(programs) == counts["programs"]
    assert sum(len(page) for page in marketo.get_programs_yield(maxReturn=5)) == counts["programs"]


def test_lists_are_listed(marketo: MarketoClient) -> None:
    assert isinstance(marketo.get_multiple_lists(), list)


def test_a_bulk_export_of_leads_gives_those_of_its_window(marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    inside = {str(lead["id"]) for lead in leads if WHOLE_HISTORY["startAt"] <= lead["createdAt"] <= WHOLE_HISTORY["endAt"]}
    rows, status = finished(marketo, "leads", fields=["id", "email", "createdAt"], filters={"createdAt": WHOLE_HISTORY})
    assert {row["id"] for row in rows} - {str(leads[-1]["id"])} == inside - {str(leads[-1]["id"])}
    assert status["numberOfRecords"] == len(rows)


def test_a_bulk_export_of_activities_holds_the_types_asked_for(marketo: MarketoClient) -> None:
    rows, _ = finished(marketo, "activities", filters={"createdAt": WHOLE_HISTORY, "activityTypeIds": [12, 13]})
    assert {row["activityTypeId"] for row in rows} <= {"12", "13"}


def test_jobs_are_listed_and_cancelled(marketo: MarketoClient) -> None:
    job = marketo.create_leads_export_job(fields=["id"], filters={"createdAt": WHOLE_HISTORY})[0]
    assert job["status"] == "Created"
    assert job["exportId"] in {listed["exportId"] for listed in marketo.get_leads_export_jobs_list()}
    assert marketo.cancel_leads_export_job(job["exportId"])[0]["status"] in ("Cancelled", "Canceled")
    other = marketo.create_activities_export_job(filters={"createdAt": WHOLE_HISTORY})[0]
    assert other["exportId"] in {listed["exportId"] for listed in marketo.get_activities_export_jobs_list()}
    assert marketo.cancel_activities_export_job(other["exportId"])[0]["status"] in ("Cancelled", "Canceled")


def test_a_wrong_bulk_export_is_refused(marketo: MarketoClient) -> None:
    too_long = {"startAt": "2026-01-01T00:00:00Z", "endAt": "2026-03-31T00:00:00Z"}
    for fields, window in ((["id", "noSuchField"], WHOLE_HISTORY), (["id"], too_long)):
        with pytest.raises(MarketoException) as raised:
            marketo.create_leads_export_job(fields=fields, filters={"createdAt": window})
        assert code(raised) == "1003"


def test_usage_and_errors_of_the_day_are_counted(marketo: MarketoClient) -> None:
    before = marketo.get_daily_usage()[0]["total"]
    marketo.get_activity_types()
    assert marketo.get_daily_usage()[0]["total"] >= before + 2
    assert all(entry["count"] > 0 for day in marketo.get_daily_errors() for entry in day["errors"])


def test_wrong_credentials_are_told_apart(connect: Connect) -> None:
    with pytest.raises(Exception, match="Bad client credentials"):
        connect(client_secret="wrong").describe()
    with pytest.raises(Exception, match="No client with requested id: nobody"):
        connect(client_id="nobody").describe()


def test_a_token_that_is_not_one_is_refused(connect: Connect) -> None:
    with pytest.raises(MarketoException) as raised:
        connect(client_id=None, client_secret=None, access_token="gone:int").describe()
    assert code(raised) == "601"


def test_a_permission_that_is_not_given_and_a_path_that_is_not_there_are_told(sandbox: SandboxServer, marketo: MarketoClient) -> None:
    options = sandbox.options["marketo"]
    options.denied = frozenset({"companies"})
    try:
        with pytest.raises(MarketoException) as raised:
            marketo.describe_company()
    finally:
        options.denied = frozenset()
    assert code(raised) == "603"
    with pytest.raises(MarketoException) as raised:
        marketo.get_form_fields(1)
    assert code(raised) == "610"


def test_the_limits_of_twenty_seconds_and_of_a_day_are_told_apart(sandbox: SandboxServer, connect: Connect) -> None:
    options = sandbox.options["marketo"]
    calls, quota = options.calls_per_20_seconds, options.daily_calls
    client = connect(max_retry_time=0)
    try:
        options.calls_per_20_seconds = 0
        with pytest.raises(MarketoException) as raised:
            client.describe()
        assert code(raised) == "606"
        options.calls_per_20_seconds, options.daily_calls = calls, 0
        with pytest.raises(MarketoException) as raised:
            client.describe()
        assert code(raised) == "607"
    finally:
        options.calls_per_20_seconds, options.daily_calls = calls, quota


def test_usage_and_errors_of_the_week_have_seven_days_at_most(marketo: MarketoClient) -> None:
    assert 0 < len(marketo.get_last_7_days_usage()) <= 7
    assert len(marketo.get_last_7_days_errors()) <= 7


def test_custom_activities_there_are_none(marketo: MarketoClient) -> None:
    assert marketo.get_custom_activity_types() == []
    activity = {"leadId": 1, "activityTypeId": 100_001, "activityDate": "2026-01-01T00:00:00Z", "primaryAttributeValue": "x"}
    assert marketo.add_custom_activities([activity])[0]["status"] == "skipped"


def test_things_are_found_by_name(marketo: MarketoClient) -> None:
    tag = marketo.get_tags()[0]["tagType"]
    assert marketo.get_tag_by_name(tag)[0]["tagType"] == tag
    campaign = next(iter(marketo.get_smart_campaigns()))[0]
    assert marketo.get_smart_campaign_by_name(campaign["name"])[0]["id"] == campaign["id"]
    with pytest.raises(KeyError, match="result"):  # the asset API leaves `result` out when there is nothing, the client expects it
        marketo.get_channel_by_name("No such channel")


def test_the_smart_campaigns_of_a_lead_are_listed(marketo: MarketoClient, leads: list[dict[str, Any]]) -> None:
    assert isinstance(marketo.get_smart_campaigns_by_lead_id(leads[0]["id"]), list)
