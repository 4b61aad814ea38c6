"""The emulated Marketo answers as the real one does: envelope, tokens, filters, paging, limits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.sandbox.listed_faults import shows
from tests.sandbox.marketo_calls import Caller

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "marketo"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no recorded answers in {FIXTURES}")
SIGN_IN = {"grant_type": "client_credentials", **credentials.MARKETO}


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=400)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture
def call(serve: Callable, store: MarketoStore) -> Caller:
    return Caller(serve(app(store)))


def recorded(name: str) -> dict:
    return json.loads((FIXTURES / "recorded" / name).read_text())


def test_the_token_is_the_same_until_it_expires_by_get_and_by_form(call: Caller):
    first, second = call.sign_in(), call.http.post("/identity/oauth/token", data=SIGN_IN).json()
    assert first["access_token"] == second["access_token"]
    assert first["token_type"] == "bearer" and 0 < second["expires_in"] <= first["expires_in"] < 3600


@pytest.mark.parametrize(("change", "error"), [({"client_secret": "no"}, "invalid_client"), ({"client_id": "no"}, "unauthorized")])
def test_wrong_credentials_are_refused_with_401(call: Caller, change: dict, error: str):
    answer = call.http.get("/identity/oauth/token", params=SIGN_IN | change)
    assert (answer.status_code, answer.json()["error"]) == (401, error)


def test_a_bad_token_is_an_error_inside_http_200(call: Caller):
    answer = call.http.get("/rest/v1/leads/describe.json", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 200
    assert answer.json()["errors"] == [{"code": "601", "message": "Access token invalid"}]
    assert re.fullmatch(r"[0-9a-f]{2,5}#[0-9a-f]{11}", answer.json()["requestId"])


@shows("Marketo: token in the query")
def test_a_token_in_the_query_counts_only_where_it_is_allowed(serve: Callable, store: MarketoStore):
    for allowed, success in ((False, False), (True, True)):
        url = serve(app(store, MarketoOptions(token_in_query=allowed)))
        token = Caller(url).sign_in()["access_token"]
        assert httpx2.get(f"{url}/rest/v1/leads/describe.json", params={"access_token": token}).json()["success"] is success


@shows("Marketo: 601 and 602")
def test_an_expired_token_gives_602_and_a_revoked_one_601(serve: Callable, store: MarketoStore):
    served = app(store, MarketoOptions(token_seconds=0))
    call = Caller(serve(served))
    assert call.error("/rest/v1/leads/describe.json") == "602"
    served.state.gate.revoke()
    assert call.error("/rest/v1/leads/describe.json") == "601"


@needs_fixtures
def test_fields_have_the_ids_types_and_lengths_of_a_real_instance(call: Caller):
    real = {f["id"]: f for f in json.loads((FIXTURES / "leads_describe.json").read_text())["result"]}
    ours = call.get("/rest/v1/leads/describe.json")["result"]
    shared = [f for f in ours if f["id"] < 1000]
    assert len(shared) >= 55
    for field in shared:
        assert {k: field[k] for k in ("dataType", "rest")} == {k: real[field["id"]][k] for k in ("dataType", "rest")}
        assert field.get("length") == real[field["id"]].get("length")
    assert any("rest" not in f for f in ours), "some real entries are for SOAP only"


@needs_fixtures
def test_answers_have_the_shapes_of_recorded_ones(call: Caller):
    lead = call.get("/rest/v1/leads.json", filterType="id", filterValues="1")
    assert lead.keys() == recorded("leads.json").keys()
    assert lead["result"][0].keys() == recorded("leads.json")["result"][0].keys()
    campaign = call.get("/rest/v1/campaigns.json", batchSize=1)["result"][0]
    assert recorded("campaigns.json")["result"][0].keys() <= campaign.keys()
    nothing = call.get("/rest/asset/v1/programs.json", offset=1000)
    assert nothing.keys() == recorded("zero-records.json").keys() and nothing["warnings"] == recorded("zero-records.json")["warnings"]
    missing = call.get("/rest/v1/nonsense.json")
    assert missing.keys() == recorded("not-found.json").keys() and missing["errors"] == recorded("not-found.json")["errors"]


def test_leads_are_found_by_filter_with_explicit_nulls_and_false_booleans(call: Caller, store: MarketoStore):
    some = ",".join(store.live_people()[:3])
    leads = call.get("/rest/v1/leads.json", filterType="id", filterValues=f"{some},999999", fields="id,doNotCall,middleName,leadScore")[
        "result"
    ]
    assert [str(lead["id"]) for lead in leads] == some.split(",")
    assert all(lead["doNotCall"] is False and lead["middleName"] is None for lead in leads)
    assert all(lead["leadScore"] is None or isinstance(lead["leadScore"], int) for lead in leads)
    assert call.get("/rest/v1/leads.json", filterType="email", filterValues="nobody@nowhere.example")["result"] == []


def test_filters_that_marketo_lacks_are_refused(call: Caller):
    assert call.error("/rest/v1/leads.json", filterType="createdAt", filterValues="2026-01-01") == "1011"
    assert call.error("/rest/v1/leads.json", filterType="id", filterValues=",".join(map(str, range(301)))) == "1003"
    assert call.error("/rest/v1/leads.json", filterType="id", filterValues="1", fields="nonsense") == "1006"
    assert call.error("/rest/v1/opportunities.json") == "1002"
    assert call.error("/rest/v1/lead/999999.json") == "1004"


@shows("Marketo: 1003 for more than 1,000 matches")
def test_more_than_a_thousand_matches_are_refused(serve: Callable):
    crowd = build_world(people=2500)
    call = Caller(serve(app(MarketoStore(crowd.marketo, crowd.owners))))
    assert call.error("/rest/v1/leads.json", filterType="leadPartitionId", filterValues="1") == "1003"


def test_leads_come_in_pages(call: Caller, store: MarketoStore):
    wanted = ",".join(store.live_people()[:7])
    token, seen = "", []
    while token is not None:
        page = call.get("/rest/v1/leads.json", filterType="id", filterValues=wanted, batchSize=3, nextPageToken=token)
        seen.append([str(lead["id"]) for lead in page["result"]])
        token = page.get("nextPageToken")
    assert [len(p) for p in seen] == [3, 3, 1] and ",".join(i for p in seen for i in p) == wanted


@pytest.mark.parametrize("place", ["query", "body"])
def test_a_get_may_be_sent_as_a_form(call: Caller, place: str):
    form = {"filterType": "id", "filterValues": "1,2,3"} | ({"_method": "GET"} if place == "body" else {})
    answer = call.http.post("/rest/v1/leads.json", params={"_method": "GET"} if place == "query" else {}, data=form).json()
    assert answer["success"] and answer["result"]
    refused = call.http.post("/rest/v1/leads.json", data={"filterType": "id", "filterValues": "1"}).json()
    assert refused["errors"] == [{"code": "612", "message": "Invalid Content Type"}], "without it, this is a sync whose body is no JSON"


@shows("Marketo: 414")
def test_a_uri_beyond_eight_kilobytes_is_too_long(call: Caller):
    assert call.http.get("/rest/v1/leads.json", params={"filterType": "email", "filterValues": "x" * 9000}).status_code == 414


@shows("Marketo: 606 too many calls", "Marketo: 607 daily quota", "Marketo: 603 of some endpoints")
def test_limits_speak_up_with_their_own_codes(serve: Callable, store: MarketoStore):
    call = Caller(serve(app(store, MarketoOptions(calls_per_20_seconds=2))))
    answers = [call.get("/rest/v1/lists.json") for _ in range(3)]
    assert [a["success"] for a in answers] == [True, True, False]
    assert answers[2]["errors"] == [{"code": "606", "message": "Max rate limit '2' exceeded with in '20' secs"}]
    call = Caller(serve(app(store, MarketoOptions(daily_calls=1))))
    assert call.get("/rest/v1/lists.json")["success"] and call.error("/rest/v1/lists.json") == "607"
    call = Caller(serve(app(store, MarketoOptions(denied=frozenset({"lists"})))))
    assert call.error("/rest/v1/lists.json") == "603"


@shows("Marketo: empty pages with more to come")
def test_activities_have_empty_pages_with_more_to_come(serve: Callable, store: MarketoStore):
    call = Caller(serve(app(store, MarketoOptions(activity_block=20))))
    token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime="2024-01-01T00:00:00Z")["nextPageToken"]
    pages = []
    while not pages or pages[-1]["moreResult"]:
        pages.append(call.get("/rest/v1/activities.json", activityTypeIds="37,32", nextPageToken=token))
        token = pages[-1]["nextPageToken"]
    assert any(not page["result"] for page in pages[:-1]), "a page without activities is no end"
    assert sum(len(page["result"]) for page in pages) == sum(p.fate in ("deleted", "merged") for p in store.view.people)
    assert call.error("/rest/v1/activities.json", activityTypeIds=",".join(map(str, range(1, 12))), nextPageToken=token) == "1003"
    assert call.error("/rest/v1/activities.json", nextPageToken=token) == "1002"


def test_a_merge_names_the_winner_and_lists_the_losers(call: Caller, store: MarketoStore):
    winner, loser = store.live_people()[:2]
    since = datetime.now(UTC)
    store.merge_people(winner, loser, since)
    token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime=since.strftime("%Y-%m-%dT%H:%M:%SZ"))["nextPageToken"]
    merge = call.get("/rest/v1/activities.json", activityTypeIds="32", nextPageToken=token)["result"][0]
    assert str(merge["leadId"]) == winner and {"name": "Merge IDs", "value": [int(loser)]} in merge["attributes"]
    assert call.get("/rest/v1/leads.json", filterType="id", filterValues=loser)["result"] == []


def test_a_change_of_score_is_two_activities_and_shows_among_the_changes_of_leads(call: Caller, store: MarketoStore):
    token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime="2030-01-01T00:00:00Z")["nextPageToken"]
    store.edit_person(store.live_people()[0], {"lead_score": 1234}, datetime.now(UTC))
    found = call.get("/rest/v1/activities.json", activityTypeIds="13,22", nextPageToken=token)["result"]
    assert [a["activityTypeId"] for a in found] == [22, 13]
    change = call.get("/rest/v1/activities/leadchanges.json", fields="phone", nextPageToken=token)["result"][-1]["fields"][0]
    assert change["id"] == 146 and change["newValue"] == "1234"


def test_new_lead_has_no_primary_attribute(call: Caller):
    types = {t["id"]: t for t in call.get("/rest/v1/activities/types.json")["result"]}
    assert "primaryAttribute" not in types[12] and types[13]["primaryAttribute"]["name"] == "Attribute Name"


def test_opportunities_are_found_through_roles_only(call: Caller, store: MarketoStore):
    deal = next(d for d in store.live_deals() if store.deal_people(d))
    lead = store.deal_people(deal)[0]
    roles = call.get(
        "/rest/v1/opportunities/roles.json", filterType="leadId", filterValues=lead, fields="externalOpportunityId,leadId,role"
    )
    role = next(r for r in roles["result"] if r["externalOpportunityId"] == deal)
    found = call.get("/rest/v1/opportunities.json", filterType="dedupeFields", filterValues=deal, fields="name,amount,stage,isWon")[
        "result"
    ]
    assert len(found) == 1 and found[0].keys() == {"seq", "name", "amount", "stage", "isWon"}
    body = {
        "filterType": "dedupeFields",
        "fields": ["marketoGUID"],
        "input": [{k: role[k] for k in ("externalOpportunityId", "leadId", "role")}],
    }
    assert len(call.post("/rest/v1/opportunities/roles.json", body, _method="GET")["result"]) == 1


def test_programs_page_by_offset_and_write_times_in_the_asset_apis_way(call: Caller):
    first = call.get("/rest/asset/v1/programs.json", maxReturn=5)["result"]
    second = call.get("/rest/asset/v1/programs.json", maxReturn=200, offset=5)["result"]
    assert len(first) == 5 and len(second) == 7
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\+0000", p["createdAt"]) for p in first + second)


def test_a_known_salesforce_person_is_named_on_the_lead(call: Caller, store: MarketoStore, world: World):
    person = next(p for p in world.marketo.people if p.salesforce_number is not None and p.fate == "alive")
    fields = "sfdcContactId,sfdcLeadId"
    lead = call.get(f"/rest/v1/lead/{store.person_id(person.number)}.json", fields=fields)["result"][0]
    assert [len(v) for v in lead.values() if v] == [18]
