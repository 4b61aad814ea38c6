"""What the emulated Marketo makes of writes: leads, opportunities, roles, companies, and the activities that follow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sandbox.server import SandboxServer
from tests.sandbox.listed_faults import shows
from tests.sandbox.marketo_calls import Caller

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=200)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture
def call(serve: Callable, store: MarketoStore) -> Caller:
    return Caller(serve(app(store)))


def sync(call: Caller, *records: dict[str, Any], **more: Any) -> list[tuple[str, str | int]]:
    """Each record's status, with the id or the code of its reason."""
    answer = call.post("/rest/v1/leads.json", {"input": list(records)} | more)
    assert answer["success"], answer
    return [(r["status"], r["reasons"][0]["code"] if "reasons" in r else r["id"]) for r in answer["result"]]


def lead(call: Caller, identifier: Any, fields: str) -> dict[str, Any]:
    return call.get(f"/rest/v1/lead/{identifier}.json", fields=fields)["result"][0]


def activities(store: MarketoStore, since: int) -> list[tuple[int, int]]:
    """(type, lead) of what happened since a place in the log."""
    return [(a["activityTypeId"], a["leadId"]) for _, a in store.log.scan(since, len(store.log))]


def test_results_come_in_the_order_of_the_input_each_with_its_reason(call: Caller):
    made = sync(call, {"email": "a@new.example", "firstName": "Ann"}, {"email": "b@new.example"})
    assert [status for status, _ in made] == ["created", "created"]
    ann = made[0][1]
    assert sync(call, {"email": "A@new.example"}, {"email": "c@new.example"}, action="createOnly")[0] == ("skipped", "1005")
    assert sync(call, {"email": "nobody@new.example"}, {"email": "a@new.example", "lastName": "Lee"}, action="updateOnly") == [
        ("skipped", "1004"), ("updated", ann),
    ]  # fmt: skip
    assert sync(call, {"id": ann, "title": "CTO"}, {"id": 999_999}, action="updateOnly", lookupField="id") == [
        ("updated", ann), ("skipped", "1004"),
    ]  # fmt: skip
    assert lead(call, ann, "mktoName,title") == {"mktoName": "Ann Lee", "title": "CTO"}


def test_one_address_twice_in_a_batch_is_one_lead_and_a_duplicate_made_on_purpose_can_no_longer_be_synced(call: Caller):
    first, second = sync(call, {"email": "two@new.example", "title": "x"}, {"email": "two@new.example", "title": "y"})
    assert first[0] == "created" and second == ("updated", first[1]) and lead(call, first[1], "title")["title"] == "y"
    assert sync(call, {"email": "two@new.example"}, action="createDuplicate")[0][0] == "created"
    assert sync(call, {"email": "two@new.example"}) == [("skipped", "1007")]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"email": "x@new.example", "nonsense": 1}, "1006"),
        ({"email": "müller@new.example"}, "1003"),
        ({"firstName": "No address"}, "1003"),
        ({"email": "x@new.example", "leadScore": "many"}, "1003"),
        ({"email": "x@new.example", "boolean_field": "other"}, "1003"),
        ({"email": "x@new.example", "dateOfBirth": "yesterday"}, "1003"),
        ({"email": "x@new.example", "createdAt": "2031-01-01T00:00:00Z"}, "1003"),
        ({"email": "x@new.example", "title": {"a": 1}}, "1003"),
        ({"email": "x@new.example", "leadPartitionId": 2}, "1010"),
        ({"email": "x@new.example", "externalCompanyId": "CO-999999"}, "1013"),
        ({"email": "x@new.example", "externalCompanyId": "CO-000001", "company": "Other"}, "1021"),
        ({"email": "x@new.example", "externalSalesPersonId": "nobody"}, "718"),
    ],
)
def test_a_record_that_does_not_fit_is_left_out_and_the_others_are_taken(call: Caller, record: dict, code: str):
    assert [r if r[0] == "skipped" else r[0] for r in sync(call, record, {"email": "fine@new.example"})] == [("skipped", code), "created"]


def test_an_empty_text_and_null_clear_a_field_and_values_are_read_by_type(call: Caller):
    values = {
        "title": "CTO", "phone": "1", "leadScore": "5", "float_field": "5.4", "datetime_field": "2030-08-30T07:49:48.000+02:00",
        "boolean_field": "true", "currency_field": 34.66, "dateOfBirth": "1990-02-28", "company": "Free Agent",
    }  # fmt: skip
    [(_, identifier)] = sync(call, {"email": "typed@new.example"} | values)
    shown = lead(call, identifier, ",".join(values))
    assert shown == values | {"leadScore": 5, "float_field": 5.4, "datetime_field": "2030-08-30T05:49:48Z", "boolean_field": True}
    sync(call, {"email": "typed@new.example", "title": "", "phone": None, "boolean_field": None})
    assert lead(call, identifier, "title,phone,boolean_field") == {"title": None, "phone": None, "boolean_field": False}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"input": [{"email": "x@new.example"}] * 301}, "1003"),
        ({"input": []}, "1002"),
        ({"input": [3]}, "609"),
        ([], "609"),
        ({"input": [{}], "action": "upsert"}, "1003"),
        ({"input": [{}], "lookupField": "title"}, "1011"),
        ({"input": [{}], "lookupField": "id"}, "1003"),
        ({"input": [{}], "partitionName": "Nowhere"}, "1008"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_whole(call: Caller, body: Any, code: str):
    assert call.post("/rest/v1/leads.json", body)["errors"][0]["code"] == code


def test_a_partition_is_taken_by_name(call: Caller):
    [(_, identifier)] = sync(call, {"email": "eu@new.example"}, partitionName="Europe")
    assert lead(call, identifier, "leadPartitionId")["leadPartitionId"] == 2
    names = [p["name"] for p in call.get("/rest/v1/leads/partitions.json")["result"]]
    assert names == ["Default", "Europe"]
    moved = call.post("/rest/v1/leads/partitions.json", {"input": [{"id": identifier, "partitionName": "Default"}]})
    assert moved["result"] == [{"id": identifier, "status": "updated"}]
    assert lead(call, identifier, "leadPartitionId")["leadPartitionId"] == 1


def test_leads_are_deleted_in_all_three_ways_for_good(call: Caller, store: MarketoStore):
    a, b, c = store.live_people()[:3]
    place = len(store.log)
    assert call.post("/rest/v1/leads/delete.json", {"input": [{"id": int(a)}, {"id": 999_999}]})["result"] == [
        {"id": int(a), "status": "deleted"},
        {"id": 999_999, "status": "skipped", "reasons": [{"code": "1004", "message": "Lead '999999' not found"}]},
    ]
    assert call.post("/rest/v1/leads.json", {"input": [{"id": int(b)}]}, _method="DELETE")["result"][0]["status"] == "deleted"
    assert call.http.request("DELETE", "/rest/v1/leads.json", json={"input": [{"id": int(c)}]}).json()["result"][0]["status"] == "deleted"
    assert call.get("/rest/v1/leads.json", filterType="id", filterValues=f"{a},{b},{c}")["result"] == []
    assert activities(store, place) == [(37, int(a)), (37, int(b)), (37, int(c))]


def test_a_merge_keeps_the_winner_fills_its_blanks_and_moves_roles_and_lists(call: Caller, store: MarketoStore):
    deal = next(d for d in store.live_deals() if store.deal_people(d))
    loser = store.deal_people(deal)[0]
    made = sync(call, {"email": "winner@new.example"}, {"email": "other@new.example", "salutation": "Dr"})
    winner, other = (str(identifier) for _, identifier in made)
    call.post("/rest/v1/lists/3001/leads.json", {"input": [{"id": loser}]})
    place = len(store.log)
    assert call.post(f"/rest/v1/leads/{winner}/merge.json", leadIds=f"{loser},{other}").keys() == {"requestId", "success"}
    assert lead(call, winner, "email,salutation") == {"email": "winner@new.example", "salutation": "Dr"}
    assert winner in store.deal_people(deal) and store.lists.has(3001, int(winner))
    merge = [a for _, a in store.log.scan(place, 9)][-1]
    assert (merge["activityTypeId"], merge["leadId"]) == (32, int(winner))
    assert {"name": "Merge IDs", "value": [int(loser), int(other)]} in merge["attributes"]
    assert call.post(f"/rest/v1/leads/{winner}/merge.json", leadId=loser)["errors"][0]["code"] == "1004"
    many = ",".join(map(str, range(1, 27)))
    assert call.post(f"/rest/v1/leads/{winner}/merge.json", leadIds=many)["errors"][0]["code"] == "1080"


def test_each_write_is_among_the_activities(call: Caller, store: MarketoStore):
    place = len(store.log)
    [(_, identifier)] = sync(call, {"email": "busy@new.example"})
    sync(call, {"email": "busy@new.example", "leadScore": 7, "title": "CTO"})
    sync(call, {"email": "busy@new.example", "title": "CTO"})
    deal = {"externalOpportunityId": "my-1", "name": "Big"}
    call.post("/rest/v1/opportunities.json", {"input": [deal]})
    role = {"externalOpportunityId": "my-1", "leadId": identifier, "role": "Buyer"}
    call.post("/rest/v1/opportunities/roles.json", {"input": [role]})
    call.post("/rest/v1/opportunities.json", {"input": [deal | {"stage": "Won"}]})
    call.post("/rest/v1/opportunities/roles/delete.json", {"input": [role]})
    assert activities(store, place) == [(kind, identifier) for kind in (12, 22, 13, 13, 34, 36, 35)]


def test_opportunities_and_roles_are_synced_and_deleted_by_key_or_guid(call: Caller, store: MarketoStore):
    person, base = int(store.live_people()[0]), "/rest/v1/opportunities"
    made = call.post(f"{base}.json", {"input": [{"externalOpportunityId": "x 1", "name": "One", "amount": "1604.47"}, {"name": "No key"}]})
    guid = made["result"][0]["marketoGUID"]
    assert made["result"][0] == {"seq": 0, "status": "created", "marketoGUID": guid}
    assert (made["result"][1]["seq"], made["result"][1]["status"]) == (1, "skipped")
    by_guid = {"action": "updateOnly", "dedupeBy": "idField", "input": [{"marketoGUID": guid, "stage": "Won"}, {"marketoGUID": "no"}]}
    assert [r["status"] for r in call.post(f"{base}.json", by_guid)["result"]] == ["updated", "skipped"]
    found = call.get(f"{base}.json", filterType="marketoGUID", filterValues=guid, fields="name,amount,stage")["result"]
    assert found == [{"seq": 0, "name": "One", "amount": 1604.47, "stage": "Won"}]

    def roles(*records: dict) -> list[str]:
        results = call.post(f"{base}/roles.json", {"input": list(records)})["result"]
        return [r["reasons"][0]["code"] if "reasons" in r else r["status"] for r in results]

    role = {"externalOpportunityId": "x 1", "leadId": person, "role": "Buyer", "isPrimary": True}
    assert roles(role, role | {"leadId": 999_999}, role | {"externalOpportunityId": "no"}, {"leadId": person}) == [
        "created", "1004", "1013", "1003",
    ]  # fmt: skip
    assert roles(role | {"isPrimary": False}) == ["updated"]
    shown = call.get(f"{base}/roles.json", filterType="externalOpportunityId", filterValues="x 1", fields="leadId,isPrimary")["result"]
    assert shown == [{"seq": 0, "leadId": person, "isPrimary": False}]
    gone = call.post(f"{base}/delete.json", {"deleteBy": "idField", "input": [{"marketoGUID": guid}, {"marketoGUID": guid}]})["result"]
    assert [r["status"] for r in gone] == ["deleted", "skipped"] and gone[1]["reasons"][0]["code"] == "1013"
    assert call.get(f"{base}/roles.json", filterType="leadId", filterValues=str(person), fields="role")["result"] == [
        r for r in call.get(f"{base}/roles.json", filterType="leadId", filterValues=str(person), fields="role")["result"] if r["role"] != "Buyer"
    ]  # fmt: skip


def test_what_a_company_is_changed_to_shows_on_its_leads(call: Caller, store: MarketoStore):
    person = next(i for i in store.leads.ids() if store.leads.get(i)["externalCompanyId"])
    key = store.leads.get(person)["externalCompanyId"]
    answer = call.post("/rest/v1/companies.json", {"input": [{"externalCompanyId": key, "industry": "Mining"}]})["result"][0]
    assert answer == {"seq": 0, "status": "updated", "id": answer["id"]}
    assert lead(call, person, "industry,externalCompanyId") == {"industry": "Mining", "externalCompanyId": key}
    new = {"externalCompanyId": "acme", "company": "Acme", "website": "https://acme.example"}
    twice = call.post("/rest/v1/companies.json", {"input": [new, new]})["result"]
    assert twice[0]["status"] == "created" and twice[1]["reasons"][0]["code"] == "1036"
    [(_, mine)] = sync(call, {"email": "emp@acme.example", "externalCompanyId": "acme"})
    assert lead(call, mine, "company,website,contactCompany") == {
        "company": "Acme",
        "website": new["website"],
        "contactCompany": twice[0]["id"],
    }
    assert call.get("/rest/v1/leads.json", filterType="externalCompanyId", filterValues="acme")["result"][0]["id"] == mine
    gone = call.post("/rest/v1/companies/delete.json", {"input": [{"externalCompanyId": "acme"}, {"externalCompanyId": "acme"}]})["result"]
    assert [r["status"] for r in gone] == ["deleted", "skipped"]
    assert lead(call, mine, "externalCompanyId")["externalCompanyId"] is None
    assert call.get("/rest/v1/leads.json", filterType="externalCompanyId", filterValues="acme")["result"] == []


@pytest.mark.parametrize(("sync_option", "reading"), [("sfdc_readonly", True), ("disabled", False)])
@shows("Marketo: 1018 with a CRM sync")
def test_an_instance_with_crm_sync_refuses_writes_of_its_objects(serve: Callable, store: MarketoStore, sync_option: Any, reading: bool):
    call = Caller(serve(app(store, MarketoOptions(crm_sync=sync_option))))
    for name in ("opportunities", "opportunities/roles", "companies"):
        for path in (f"/rest/v1/{name}.json", f"/rest/v1/{name}/delete.json"):
            assert call.post(path, {"input": [{}]})["errors"] == [{"code": "1018", "message": "CRM Enabled"}]
        assert call.get(f"/rest/v1/{name}/describe.json")["success"] is reading


def test_permission_to_read_is_not_permission_to_write(serve: Callable, store: MarketoStore):
    call = Caller(serve(app(store, MarketoOptions(denied=frozenset({"leads:write"})))))
    assert call.get("/rest/v1/leads.json", filterType="id", filterValues="1")["success"]
    assert call.post("/rest/v1/leads.json", {"input": [{"email": "a@b.example"}]})["errors"][0]["code"] == "603"
    assert call.post("/bulk/v1/leads/export/create.json", {})["errors"][0]["code"] == "1003"


def test_writes_take_the_clocks_moment_so_that_doing_them_again_gives_the_same(world: World):
    shown = []
    for _ in range(2):
        store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
        with clock.at(NOON):
            made = store.create_lead({"email": "again@new.example"}, clock.now())
            store.edit_lead(made, {"leadScore": 3}, clock.now())
        shown.append((store.leads.get(made), [a for _, a in store.log.scan(len(store.log) - 3, 3)]))
    assert shown[0] == shown[1] and shown[0][0]["updatedAt"] == "2031-05-04T12:00:00Z"


def test_a_push_puts_leads_into_a_program(call: Caller):
    program = call.get("/rest/asset/v1/programs.json", maxReturn=1)["result"][0]
    body = {"programName": program["name"], "programStatus": "Registered", "lookupField": "email", "input": [{"email": "push@new.example"}]}
    pushed = call.post("/rest/v1/leads/push.json", body)["result"][0]
    assert pushed["status"] == "created"
    members, token = [], ""
    while token is not None:
        page = call.get(f"/rest/v1/leads/programs/{program['id']}.json", nextPageToken=token)
        members, token = members + page["result"], page.get("nextPageToken")
    assert {m["id"]: m["membership"]["progressionStatus"] for m in members}[pushed["id"]] == "Registered"
    body = {"status": "Attended", "input": [{"id": pushed["id"]}, {"id": 999_999}]}
    changed = call.post(f"/rest/v1/leads/programs/{program['id']}/status.json", body)["result"]
    assert [r["status"] for r in changed] == ["updated", "skipped"]


def test_counts_are_what_the_api_shows_before_and_after_writes(call: Caller, store: MarketoStore):
    def shown() -> tuple[int, int]:
        roles = [len(store.deals.roles(n)) for n in store.deals.numbers()]
        return sum(map(bool, roles)), sum(roles)

    counted = store.deals.role_counts()
    assert counted == shown() and counted[1] > counted[0] > 10
    lead = store.live_people()[0]
    call.post("/rest/v1/opportunities.json", {"input": [{"externalOpportunityId": "my-2", "name": "Two"}]})
    call.post("/rest/v1/opportunities/roles.json", {"input": [{"externalOpportunityId": "my-2", "leadId": lead, "role": "Buyer"}]})
    call.post(
        "/rest/v1/leads/delete.json",
        {"input": [{"id": next(people[0] for people in map(store.deal_people, store.live_deals()) if people)}]},
    )
    assert store.deals.role_counts() == shown() != counted


def test_what_clients_wrote_is_there_after_a_restart(tmp_path: Path):
    def told(call: Caller) -> Any:
        fields = "id,email,title,leadScore,leadPartitionId,externalCompanyId,company,updatedAt"
        leads = call.get(
            "/rest/v1/leads.json", filterType="email", filterValues="a@again.example,b@again.example,c@again.example", fields=fields
        )
        token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime=since)["nextPageToken"]
        log = call.get("/rest/v1/activities.json", activityTypeIds="12,13,22,24,32,34,36,37,104", nextPageToken=token)
        deals = call.get(
            "/rest/v1/opportunities.json", filterType="externalOpportunityId", filterValues="d-1", fields="marketoGUID,stage,updatedAt"
        )
        members = call.get("/rest/v1/list/3001/leads.json")
        return [answer["result"] for answer in (leads, log, deals, members)]

    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = None
    for _ in range(2):
        server = SandboxServer(people=60, seed=1, state=tmp_path)
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        call = Caller(server.addresses.url("marketo"))
        if before is None:
            write_everything(call)
            before = told(call)
            kinds = {activity["activityTypeId"] for activity in before[1]}
            assert all(before) and kinds >= {12, 13, 22, 24, 32, 34, 36, 37}
        else:
            assert told(call) == before
        server.stop()
        thread.join(timeout=10)


def write_everything(call: Caller) -> None:
    call.post("/rest/v1/companies.json", {"input": [{"externalCompanyId": "acme", "company": "Acme"}]})
    made = sync(call, *({"email": f"{name}@again.example", "leadScore": 1} for name in "abcde"), partitionName="Europe")
    b, d, e = (made[place][1] for place in (1, 3, 4))
    sync(call, {"email": "a@again.example", "externalCompanyId": "acme", "leadScore": 5, "title": ""})
    call.post("/rest/v1/opportunities.json", {"input": [{"externalOpportunityId": "d-1", "name": "Deal"}]})
    call.post("/rest/v1/opportunities/roles.json", {"input": [{"externalOpportunityId": "d-1", "leadId": d, "role": "Buyer"}]})
    call.post("/rest/v1/opportunities.json", {"input": [{"externalOpportunityId": "d-1", "stage": "Won"}]})
    call.http.post("/rest/v1/lists/3001/leads.json", json={"input": [{"id": b}]})
    call.post(f"/rest/v1/leads/{b}/merge.json", leadIds=f"{d}")
    call.post("/rest/v1/leads.json", {"input": [{"id": e}]}, _method="DELETE")
    file = {"file": ("leads.csv", "email,title\nc@again.example,Imported\n", "text/csv")}
    assert call.http.post("/bulk/v1/leads.json", params={"format": "csv"}, files=file).json()["success"]
