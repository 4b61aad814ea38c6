"""Pipelines and stages that are added, changed and removed, and what becomes of the deals in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cdp_pipelines.sandbox import credentials
from tests.sandbox.hubspot_portal import Portal
from tests.sandbox.running import running

PIPELINES = "/crm/v3/pipelines/deals"
STAGES = [
    {"label": "Asked", "displayOrder": 1, "metadata": {"probability": "0.3"}},
    {"label": "Signed", "displayOrder": 2, "metadata": {"probability": 1}},
    {"label": "Gone", "displayOrder": 3, "metadata": {"probability": 0.0}},
]


@pytest.fixture
def portal(serve: Callable) -> Portal:
    return Portal(serve)


def new_pipeline(portal: Portal, label: str = "Renewals", **more: Any) -> dict[str, Any]:
    return portal.post(PIPELINES, {"label": label, "displayOrder": 1, "stages": STAGES, **more}, 201)


def deal(portal: Portal, **properties: str) -> dict[str, Any]:
    return portal.post("/crm/v3/objects/deals", {"properties": {"dealname": "Big", "amount": "100", **properties}}, 201)


def read(portal: Portal, record: str) -> dict[str, Any]:
    wanted = "dealstage,pipeline,hs_deal_stage_probability,hs_is_closed,hs_is_closed_won,hs_is_closed_lost,hs_projected_amount"
    return portal.get(f"/crm/v3/objects/deals/{record}", properties=wanted)["properties"]


def test_a_new_pipeline_is_listed_with_its_stages_and_its_past(portal: Portal) -> None:
    made = new_pipeline(portal)
    assert [p["id"] for p in portal.get(PIPELINES)["results"]] == ["default", made["id"]]
    assert portal.get(f"{PIPELINES}/{made['id']}") == made
    first, signed, gone = made["stages"]
    assert [s["metadata"]["isClosed"] for s in made["stages"]] == ["false", "true", "true"]
    assert first["metadata"]["probability"] == "0.3"
    assert portal.get(f"/crm/pipelines/2026-09/0-3/{made['id']}/stages/{gone['id']}") == gone
    assert made["createdAt"] == signed["createdAt"] != "1970-01-01T00:00:00Z"
    (done,) = portal.get(f"{PIPELINES}/{made['id']}/audit")["results"]
    assert (done["action"], done["identifier"], done["portalId"]) == ("CREATE", made["id"], portal.options.portal_id)
    shown = portal.get("/deals/v1/pipelines")
    assert [p["staticDefault"] for p in shown] == [True, False]
    assert [s["closedWon"] for s in shown[1]["stages"]] == [False, True, False]


def test_a_deal_moves_through_a_pipeline_of_the_portals_own(portal: Portal) -> None:
    made = new_pipeline(portal)
    asked, signed, gone = (stage["id"] for stage in made["stages"])
    record = deal(portal, pipeline=made["id"])["id"]
    seen = read(portal, record)
    assert (seen["dealstage"], seen["hs_is_closed"], float(seen["hs_projected_amount"])) == (asked, "false", pytest.approx(30))
    portal.send("PATCH", f"/crm/v3/objects/deals/{record}", {"properties": {"dealstage": signed}})
    seen = read(portal, record)
    assert (seen["pipeline"], seen["hs_is_closed_won"], seen["hs_is_closed_lost"]) == (made["id"], "true", "false")
    portal.send("PATCH", f"/crm/v3/objects/deals/{record}", {"properties": {"dealstage": gone}})
    assert read(portal, record)["hs_is_closed_lost"] == "true"
    found = portal.search("deals", filters=[{"propertyName": "dealstage", "operator": "EQ", "value": gone}])
    assert [r["id"] for r in found["results"]] == [record]
    portal.send("PATCH", f"/crm/v3/objects/deals/{record}", {"properties": {"dealstage": "contractsent"}})
    assert read(portal, record)["pipeline"] == "default"
    refused = portal.send("PATCH", f"/crm/v3/objects/deals/{record}", {"properties": {"dealstage": "nowhere"}}, 400)
    assert refused["errors"][0]["code"] == "INVALID_OPTION"


def test_a_changed_chance_is_a_deals_at_once_and_found_without_a_change_of_the_deal(portal: Portal) -> None:
    stage = new_pipeline(portal)["stages"][0]["id"]
    record = deal(portal, dealstage=stage)
    owner = read(portal, record["id"])["pipeline"]
    filters = [{"propertyName": "hs_deal_stage_probability", "operator": "EQ", "value": "0.5"}]
    assert portal.search("deals", filters=filters)["results"] == []
    portal.send("PATCH", f"{PIPELINES}/{owner}/stages/{stage}", {"metadata": {"probability": "0.5"}})
    assert [r["id"] for r in portal.search("deals", filters=filters)["results"]] == [record["id"]]
    assert portal.get(f"/crm/v3/objects/deals/{record['id']}")["updatedAt"] == record["updatedAt"]


def test_stages_are_added_renamed_replaced_and_removed(portal: Portal) -> None:
    pipeline = new_pipeline(portal)["id"]
    path = f"{PIPELINES}/{pipeline}/stages"
    added = portal.post(path, {"label": "Lawyers", "displayOrder": 0, "metadata": {"probability": "0.1"}}, 201)
    assert [s["label"] for s in portal.get(path)["results"]] == ["Lawyers", "Asked", "Signed", "Gone"]
    renamed = portal.send("PATCH", f"{path}/{added['id']}", {"label": "Counsel"})
    assert (renamed["label"], renamed["metadata"], renamed["id"]) == ("Counsel", added["metadata"], added["id"])
    put = portal.send("PUT", f"{path}/{added['id']}", {"label": "Counsel", "displayOrder": 9, "metadata": {"probability": "0.2"}})
    assert (put["displayOrder"], put["createdAt"]) == (9, added["createdAt"])
    assert [e["action"] for e in portal.get(f"{path}/{added['id']}/audit")["results"]] == ["UPDATE", "UPDATE", "CREATE"]
    portal.send("DELETE", f"{path}/{added['id']}", None, 204)
    portal.get(f"{path}/{added['id']}", 404)
    kept = {s["label"]: s["id"] for s in portal.get(path)["results"]}
    new = portal.send(
        "PUT", f"{PIPELINES}/{pipeline}", {"label": "Again", "displayOrder": 5, "stages": [STAGES[0], {**STAGES[1], "label": "Paid"}]}
    )
    assert [s["label"] for s in new["stages"]] == ["Asked", "Paid"]
    assert new["stages"][0]["id"] == kept["Asked"]
    assert new["stages"][1]["id"] not in kept.values()


def test_deals_stay_in_a_stage_that_was_deleted_unless_hubspot_is_to_look(portal: Portal) -> None:
    pipeline = new_pipeline(portal)
    stage, spare = pipeline["stages"][0]["id"], pipeline["stages"][2]["id"]
    record = deal(portal, dealstage=stage)["id"]
    dated = f"/crm/pipelines/2026-09/deals/{pipeline['id']}"
    asked = f"{PIPELINES}/{pipeline['id']}/stages/{stage}?validateDealStageUsagesBeforeDelete=true"
    for path in (f"{dated}/stages/{stage}", dated, asked):
        assert portal.send("DELETE", path, None, 400)["subCategory"] == "PipelineError.STAGE_ID_IN_USE"
    portal.send("DELETE", f"{dated}/stages/{spare}", None, 204)
    portal.send("DELETE", f"{PIPELINES}/{pipeline['id']}/stages/{stage}", None, 204)
    assert stage not in {s["id"] for p in portal.get(PIPELINES)["results"] for s in p["stages"]}
    seen = read(portal, record)
    assert (seen["dealstage"], seen["hs_is_closed"]) == (stage, "false")
    portal.post("/crm/v3/objects/deals", {"properties": {"dealname": "Late", "dealstage": stage}}, 400)


def test_a_deleted_pipeline_can_be_brought_back_and_the_last_one_cannot_go(portal: Portal) -> None:
    pipeline = new_pipeline(portal)
    portal.send("DELETE", f"{PIPELINES}/{pipeline['id']}", None, 204)
    portal.get(f"{PIPELINES}/{pipeline['id']}", 404)
    portal.send("DELETE", f"{PIPELINES}/default", None, 400)
    back = portal.send("PATCH", f"{PIPELINES}/{pipeline['id']}", {"archived": False})
    assert (back["stages"], back["archived"]) == (pipeline["stages"], False)
    portal.send("PATCH", f"{PIPELINES}/{pipeline['id']}", {"archived": True}, 400)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("deals", {"label": "sales PIPELINE", "stages": STAGES}, 409),
        ("deals", {"label": "No stages", "stages": []}, 400),
        ("deals", {"label": "No chance", "stages": [{"label": "A", "metadata": {}}]}, 400),
        ("deals", {"label": "Too sure", "stages": [{"label": "A", "metadata": {"probability": "2"}}]}, 400),
        ("deals", {"label": "Twins", "stages": [STAGES[0], STAGES[0]]}, 400),
        ("contacts", {"label": "People", "stages": STAGES}, 400),
        ("nothing", {"label": "Nothing", "stages": STAGES}, 400),
    ],
)
def test_what_is_wrong_with_a_pipeline_is_refused(portal: Portal, kind: str, body: Any, status: int) -> None:
    portal.post(f"/crm/v3/pipelines/{kind}", body, status)


def test_tickets_have_a_pipeline_whose_stages_say_whether_they_are_open(portal: Portal) -> None:
    (support,) = portal.get("/crm/v3/pipelines/tickets")["results"]
    assert [s["metadata"]["ticketState"] for s in support["stages"]] == ["OPEN", "OPEN", "OPEN", "CLOSED"]
    wish = {"label": "Parked", "displayOrder": 9, "metadata": {"ticketState": "CLOSED"}}
    assert portal.post(f"/crm/v3/pipelines/tickets/{support['id']}/stages", wish, 201)["metadata"]["isClosed"] == "true"
    ticket = portal.post("/crm/v3/objects/tickets", {"properties": {"subject": "Help", "hs_pipeline_stage": "2"}}, 201)["id"]
    assert portal.get(f"/crm/v3/objects/tickets/{ticket}", properties="hs_pipeline")["properties"]["hs_pipeline"] == "0"


def test_a_pipeline_and_the_deals_in_it_are_there_after_a_restart(tmp_path: Path) -> None:
    def client(server: Any) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {credentials.HUBSPOT['access_token']}"}
        return httpx2.Client(base_url=server.addresses.url("hubspot"), headers=headers, trust_env=False)

    def look(http: httpx2.Client) -> Any:
        past = http.get(f"{PIPELINES}/{pipeline['id']}/audit").json()
        return http.get(PIPELINES).json(), past, http.get(f"/crm/v3/objects/deals/{record}?properties=dealstage,pipeline").json()

    with running(tmp_path) as server:
        http = client(server)
        pipeline = http.post(PIPELINES, json={"label": "Renewals", "displayOrder": 1, "stages": STAGES}).json()
        stages = [stage["id"] for stage in pipeline["stages"]]
        wish = {"properties": {"dealname": "Kept", "dealstage": stages[1]}}
        record = http.post("/crm/v3/objects/deals", json=wish).json()["id"]
        assert http.delete(f"{PIPELINES}/{pipeline['id']}/stages/{stages[1]}").status_code == 204
        seen = look(http)
        assert seen[2]["properties"]["dealstage"] == stages[1]
    with running(tmp_path) as server:
        assert look(client(server)) == seen
