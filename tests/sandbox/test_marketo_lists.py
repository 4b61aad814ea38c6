"""The emulated Marketo's static lists, campaigns, programs, usage and activity filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.sandbox.listed_faults import shows
from tests.sandbox.marketo_calls import Caller


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=200)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture
def call(serve: Callable, store: MarketoStore) -> Caller:
    return Caller(serve(app(store)))


def test_each_campaign_has_a_list_of_those_who_were_invited(call: Caller, store: MarketoStore):
    lists = call.get("/rest/v1/lists.json")["result"]
    assert len(lists) == len(store.view.campaigns)
    for path in ("list", "lists"):
        token, found = "", []
        while token is not None:
            page = call.get(f"/rest/v1/{path}/{lists[0]['id']}/leads.json", batchSize=5, nextPageToken=token)
            found, token = found + [lead["id"] for lead in page["result"]], page.get("nextPageToken")
        assert found == store.lists.members(lists[0]["id"]) and len(found) > 5
    assert call.get("/rest/v1/lists.json", name=lists[1]["name"])["result"] == [lists[1]]
    assert call.get(f"/rest/v1/lists/{lists[2]['id']}.json")["result"] == [lists[2]]


def test_leads_are_put_on_a_list_and_taken_off_by_body_or_by_repeated_parameter(call: Caller, store: MarketoStore):
    on = store.lists.members(3001)[0]
    off = next(i for i in store.leads.ids() if not store.lists.has(3001, i))
    path, place = "/rest/v1/lists/3001/leads.json", len(store.log)

    def statuses(answer: dict[str, Any]) -> list[str]:
        return [r["reasons"][0]["code"] if "reasons" in r else r["status"] for r in answer["result"]]

    assert statuses(call.post(path, {"input": [{"id": off}, {"id": on}, {"id": 999_999}]})) == ["added", "added", "1004"]
    asked = {"input": [{"id": off}]}
    assert call.post("/rest/v1/lists/3001/leads/ismember.json", asked, _method="GET")["result"] == [{"id": off, "status": "memberof"}]
    assert statuses(call.http.delete(path, params={"id": [off, on]}).json()) == ["removed", "removed"]
    assert statuses(call.get("/rest/v1/lists/3001/leads/ismember.json", id=off)) == ["notmemberof"]
    assert statuses(call.http.request("DELETE", path, json=asked).json()) == ["1015"]
    assert [(a["activityTypeId"], a["leadId"]) for _, a in store.log.scan(place, 9)] == [(24, off), (25, off), (25, on)]
    assert call.get("/rest/v1/lists/999/leads.json")["errors"][0]["code"] == "1013"


def test_a_list_is_made_renamed_and_deleted_as_an_asset(call: Caller):
    base = "/rest/asset/v1/staticList"
    form = {"name": "Mine", "folder": '{"id": 22, "type": "Folder"}'}
    made = call.http.post(f"{base}s.json", data=form).json()["result"][0]
    assert call.http.post(f"{base}s.json", data=form).json()["errors"][0]["code"] == "709"
    assert call.http.post(f"{base}/{made['id']}.json", data={"name": "Ours"}).json()["result"][0]["name"] == "Ours"
    assert call.get(f"{base}/byName.json", name="Ours")["result"][0]["id"] == made["id"]
    assert call.get(f"/rest/v1/list/{made['id']}/leads.json")["result"] == []
    assert call.post(f"{base}/{made['id']}/delete.json")["result"] == [{"id": made["id"]}]
    assert "result" not in call.get(f"{base}/{made['id']}.json")


def test_programs_show_tags_and_costs_one_by_one_only(call: Caller):
    listed = call.get("/rest/asset/v1/programs.json", maxReturn=200)["result"]
    one = call.get(f"/rest/asset/v1/program/{listed[0]['id']}.json")["result"][0]
    assert one.keys() - listed[0].keys() == {"tags", "costs"}
    name = listed[0]["name"]
    assert call.get("/rest/asset/v1/program/byName.json", name=name)["result"] == [listed[0]]
    assert call.get("/rest/asset/v1/program/byName.json", name=name, includeTags="true", includeCosts="true")["result"] == [one]
    tag = one["tags"][0]
    assert one["id"] in [p["id"] for p in call.get("/rest/asset/v1/program/byTag.json", **tag)["result"]]
    some = call.get("/rest/asset/v1/programs.json", filterType="id", filterValues=f"{listed[1]['id']},{listed[2]['id']}")["result"]
    assert some == listed[1:3]
    late = max(p["updatedAt"] for p in listed).removesuffix("+0000")
    assert 0 < len(call.get("/rest/asset/v1/programs.json", earliestUpdatedAt=late)["result"]) < len(listed)
    assert call.error("/rest/asset/v1/programs.json", earliestUpdatedAt="2999-01-01T00:00:00Z") == "1003"


def test_smart_campaigns_are_the_same_in_both_apis_and_can_be_switched(call: Caller):
    old = call.get("/rest/v1/campaigns.json")["result"]
    new = call.get("/rest/asset/v1/smartCampaigns.json", maxReturn=200)["result"]
    assert [(c["id"], c["name"], c["active"]) for c in old] == [(c["id"], c["name"], c["isActive"]) for c in new]
    assert call.get("/rest/v1/campaigns.json", id=f"{old[0]['id']},{old[3]['id']}")["result"] == [old[0], old[3]]
    assert call.get("/rest/v1/campaigns.json", isTriggerable="true")["result"] == [c for c in old if c["type"] == "trigger"]
    assert call.get(f"/rest/v1/campaigns/{old[1]['id']}.json")["result"] == [old[1]]
    trigger = next(c for c in old if c["type"] == "trigger" and not c["active"])
    path = f"/rest/asset/v1/smartCampaign/{trigger['id']}"
    assert call.post(f"{path}/activate.json")["result"] == [{"id": trigger["id"]}]
    assert call.get(f"{path}.json")["result"][0]["isActive"] is True
    assert call.post(f"{path}/activate.json")["errors"][0]["code"] == "709"


def test_only_batch_campaigns_are_scheduled_and_only_active_trigger_campaigns_are_requested(call: Caller, store: MarketoStore):
    campaigns = call.get("/rest/v1/campaigns.json")["result"]
    batch = next(c["id"] for c in campaigns if c["type"] == "batch")
    person = {"input": {"leads": [{"id": store.live_people()[0]}]}}
    assert call.post(f"/rest/v1/campaigns/{batch}/schedule.json", {"input": {"runAt": "2031-01-01T00:00:00Z"}})["result"] == [{"id": batch}]
    assert call.post(f"/rest/v1/campaigns/{batch}/schedule.json", {"input": {"runAt": "soon"}})["errors"][0]["code"] == "1042"
    assert call.post(f"/rest/v1/campaigns/{batch}/trigger.json", person)["errors"][0]["code"] == "1003"
    trigger = next(c["id"] for c in campaigns if c["type"] == "trigger" and not c["active"])
    assert call.post(f"/rest/v1/campaigns/{trigger}/trigger.json", person)["errors"][0]["code"] == "1003"
    call.post(f"/rest/asset/v1/smartCampaign/{trigger}/activate.json")
    assert call.post(f"/rest/v1/campaigns/{trigger}/trigger.json", person)["result"] == [{"id": trigger}]
    assert call.post("/rest/v1/campaigns/1/trigger.json", person)["errors"][0]["code"] == "1013"


def test_usage_and_errors_are_counted_by_day(call: Caller):
    for _ in range(3):
        call.error("/rest/v1/lead/999999.json")
    usage, week = (call.get(f"/rest/v1/stats/usage{path}.json")["result"] for path in ("", "/last7days"))
    assert usage[0]["total"] == usage[0]["users"][0]["count"] == 4 and week[0]["date"] == usage[0]["date"]
    for path in ("", "/last7days"):
        assert {"errorCode": "1004", "count": 3} in call.get(f"/rest/v1/stats/errors{path}.json")["result"][0]["errors"]


@shows("Marketo: a list too large to filter by", "Marketo: changes of fields nobody asked for")
def test_activities_are_filtered_by_list_lead_and_asset(serve: Callable, store: MarketoStore):
    options = MarketoOptions()
    call = Caller(serve(app(store, options)))

    def found(path: str = "activities", **asked: Any) -> list[dict[str, Any]]:
        token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime="2020-01-01T00:00:00-08:00")["nextPageToken"]
        rows, more = [], True
        while more:
            page = call.get(f"/rest/v1/{path}.json", nextPageToken=token, **asked)
            rows, token, more = rows + page["result"], page["nextPageToken"], page["moreResult"]
        return rows

    everything = found(activityTypeIds="12,104")
    members = set(store.lists.members(3001))
    assert found(activityTypeIds="12,104", listId=3001) == [a for a in everything if a["leadId"] in members]
    assert found(activityTypeIds="104", assetIds=1001) == [a for a in everything if a.get("primaryAttributeValueId") == 1001]
    person = everything[0]["leadId"]
    assert found(activityTypeIds="12,104", leadIds=person) == [a for a in everything if a["leadId"] == person]
    options.list_activity_cap = 5
    token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime="2020-01-01T00:00:00Z")["nextPageToken"]
    assert call.error("/rest/v1/activities.json", activityTypeIds="12", listId=3001, nextPageToken=token) == "1003"

    def names() -> set[str]:
        return {f["name"] for change in found("activities/leadchanges", fields="email") for f in change["fields"]}

    assert "leadScore" in names(), "changes of fields that nobody asked for come too"
    options.lead_changes_of_other_fields = False
    assert names() <= {"email"}


@shows("Marketo: short pages")
def test_short_pages_hold_less_than_was_asked_and_lose_nothing(serve: Callable, store: MarketoStore):
    call = Caller(serve(app(store, MarketoOptions(short_pages=True))))
    token, sizes = "", []
    while token is not None:
        page = call.get("/rest/v1/lists.json", batchSize=10, nextPageToken=token)
        token = page.get("nextPageToken")
        sizes.append(len(page["result"]))
    assert sizes == [5, 5, 2]


def test_a_lead_tells_in_which_lists_it_is(call: Caller):
    lead = call.post("/rest/v1/leads.json", {"input": [{"email": "member@new.example"}]})["result"][0]["id"]
    path = f"/rest/v1/leads/{lead}/listMembership.json"
    assert call.get(path)["result"] == []
    first, second = call.get("/rest/v1/lists.json")["result"][:2]
    for each in (first, second):
        assert call.post(f"/rest/v1/lists/{each['id']}/leads.json", {"input": [{"id": lead}]})["result"][0]["status"] == "added"
    assert call.get(path)["result"] == [{"listId": each["id"], "name": each["name"]} for each in (first, second)]
    assert call.error("/rest/v1/leads/999999/listMembership.json") == "1004"
