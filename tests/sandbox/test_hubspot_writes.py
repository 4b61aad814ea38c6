from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.api import app
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from tests.sandbox.hubspot_portal import Portal, after, new_store
from tests.sandbox.listed_faults import shows

Serve = Callable[[ASGIApp], str]
CONTACTS, COMPANIES, DEALS = (f"/crm/v3/objects/{kind}" for kind in ("contacts", "companies", "deals"))


@pytest.fixture
def portal(serve: Serve) -> Portal:
    return Portal(serve)


def new(portal: Portal, path: str = CONTACTS, **properties: Any) -> str:
    return portal.post(path, {"properties": properties}, 201)["id"]


def codes(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(e["code"], e["context"]["propertyName"][0]) for e in body["errors"]]


def test_a_created_contact_is_a_lead_and_the_answer_tells_what_hubspot_keeps_of_its_own(portal: Portal) -> None:
    made = portal.post(CONTACTS, {"properties": {"email": " Lily@HubSpot.com", "firstname": "Lily", "hs_lead_score": 7}}, 201)
    assert made["properties"] | {"lastmodifieddate": "", "createdate": ""} == {
        "createdate": "", "email": "lily@hubspot.com", "firstname": "Lily", "hs_all_contact_vids": made["id"], "hs_lead_score": "7",
        "hs_associated_target_accounts": "0", "hs_currently_enrolled_in_prospecting_agent": "false", "hs_email_domain": "hubspot.com",
        "hs_full_name_or_email": "Lily", "hs_is_contact": "true", "hs_is_unworked": "true",
        "hs_lifecyclestage_lead_date": made["properties"]["hs_lifecyclestage_lead_date"],
        "hs_membership_has_accessed_private_content": "0", "hs_object_id": made["id"], "hs_object_source": "INTEGRATION",
        "hs_object_source_id": "19083857", "hs_object_source_label": "INTEGRATION", "hs_pipeline": "contacts-lifecycle-pipeline",
        "hs_prospecting_agent_actively_enrolled_count": "0", "hs_prospecting_agent_total_enrolled_count": "0", "hs_registered_member": "0",
        "hs_sequences_actively_enrolled_count": "0", "lastmodifieddate": "", "lifecyclestage": "lead", "num_notes": "0",
    }  # fmt: skip
    assert portal.all(CONTACTS, limit=100)[-1]["id"] == made["id"]


def test_a_contact_can_be_created_with_its_associations(portal: Portal) -> None:
    company = new(portal, COMPANIES, name="Tea & Co")
    to = {"to": {"id": company}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]}
    made = portal.post(CONTACTS, {"properties": {"firstname": "Ann"}, "associations": [to]}, 201)
    read = portal.get(f"{CONTACTS}/{made['id']}", associations="companies", properties="associatedcompanyid")
    assert {e["type"] for e in read["associations"]["companies"]["results"]} == {"contact_to_company", "contact_to_company_unlabeled"}
    assert read["properties"]["associatedcompanyid"] == company
    wrong = {"to": {"id": company}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]}
    before = portal.store.counts()
    portal.post(CONTACTS, {"properties": {"firstname": "Bob"}, "associations": [wrong]}, 400)
    assert portal.store.counts() == before


def test_an_address_that_is_taken_is_a_conflict_that_names_the_contact(portal: Portal) -> None:
    first, second = new(portal, email="a@b.example"), new(portal, email="c@d.example")
    body = portal.post(CONTACTS, {"properties": {"email": "A@B.example"}}, 409)
    assert (body["message"], body["category"]) == (f"Contact already exists. Existing ID: {first}", "CONFLICT")
    assert portal.send("PATCH", f"{CONTACTS}/{second}", {"properties": {"email": "a@b.example"}}, 409)["category"] == "CONFLICT"
    portal.send("DELETE", f"{CONTACTS}/{first}", None, 204)
    assert new(portal, email="a@b.example") != first


def test_a_contact_is_updated_by_id_and_by_address(portal: Portal) -> None:
    person = new(portal, email="a@b.example", jobtitle="Baker")
    by_id = portal.send("PATCH", f"{CONTACTS}/{person}", {"properties": {"jobtitle": "Chef"}})
    assert set(by_id["properties"]) == {
        "createdate", "hs_is_unworked", "hs_object_id", "hs_object_source", "hs_object_source_id", "hs_object_source_label", "hs_pipeline",
        "jobtitle", "lastmodifieddate", "lifecyclestage",
    }  # fmt: skip
    portal.send("PATCH", f"{CONTACTS}/A@B.example?idProperty=email", {"properties": {"email": "new@b.example", "jobtitle": ""}})
    read = portal.get(f"{CONTACTS}/new@b.example", idProperty="email", propertiesWithHistory="jobtitle")
    assert [v["value"] for v in read["propertiesWithHistory"]["jobtitle"]] == ["", "Chef", "Baker"]
    assert read["propertiesWithHistory"]["jobtitle"][0]["sourceType"] == "INTEGRATION"
    portal.get(f"{CONTACTS}/a@b.example", 404, idProperty="email")
    portal.send("PATCH", f"{CONTACTS}/123", {"properties": {}}, 404)


def test_the_same_calls_at_the_same_moments_give_the_same_records() -> None:
    async def replay() -> tuple[str, str]:
        store, options = new_store(), HubSpotOptions()
        headers = {"Authorization": f"Bearer {options.access_token}"}
        transport = httpx2.ASGITransport(app=app(store, options))
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as http:
            with clock.at(after(5)):
                made = (await http.post(CONTACTS, json={"properties": {"firstname": "Ann"}})).json()
            with clock.at(after(7)):
                changed = (await http.patch(f"{CONTACTS}/{made['id']}", json={"properties": {"firstname": "Anna"}})).text
        return made["createdAt"], changed

    first, second = asyncio.run(replay()), asyncio.run(replay())
    assert first == second
    assert first[0] == "2027-01-01T12:05:00.123Z"
    assert json.loads(first[1])["updatedAt"] == "2027-01-01T12:07:00.123Z"


@pytest.mark.parametrize(
    ("kind", "name", "value", "code"),
    [
        ("contacts", "first000name", "x", "PROPERTY_DOESNT_EXIST"),
        ("contacts", "email", "not an address", "INVALID_EMAIL"),
        ("contacts", "hs_lead_score", "many", "INVALID_FLOAT"),
        ("contacts", "hs_lead_score", "nan", "INVALID_FLOAT"),
        ("contacts", "lifecyclestage", "Customer", "INVALID_OPTION"),
        ("contacts", "hubspot_owner_id", "1", "INVALID_OWNER_ID"),
        ("contacts", "createdate", "1700000000000", "READ_ONLY_VALUE"),
        ("contacts", "num_associated_deals", "3", "READ_ONLY_VALUE"),
        ("deals", "closedate", "tomorrow", "INVALID_DATE"),
        ("deals", "dealstage", "nowhere", "INVALID_OPTION"),
        ("deals", "dealstage", "", "REQUIRED_FIELD"),
    ],
)
def test_values_that_a_property_does_not_take_are_refused(portal: Portal, kind: str, name: str, value: str, code: str) -> None:
    path = f"/crm/v3/objects/{kind}"
    before = portal.store.counts()
    body = portal.post(path, {"properties": {name: value}}, 400)
    assert codes(body) == [(code, name)]
    assert body["message"].startswith('Property values were not valid: [{"isValid":false,"message":"')
    assert portal.store.counts() == before


def test_moments_may_be_sent_as_milliseconds_or_as_iso_text(portal: Portal) -> None:
    for sent in ("1700000000000", "2023-11-14T22:13:20Z", "2023-11-15T00:13:20+02:00", 1700000000000):
        assert portal.post(DEALS, {"properties": {"closedate": sent}}, 201)["properties"]["closedate"] == "2023-11-14T22:13:20Z"


def test_a_lifecycle_stage_moves_forward_only_unless_it_was_cleared(portal: Portal) -> None:
    person = new(portal, lifecyclestage="customer")
    path = f"{CONTACTS}/{person}"
    assert portal.send("PATCH", path, {"properties": {"lifecyclestage": "lead"}})["properties"]["lifecyclestage"] == "customer"
    portal.send("PATCH", path, {"properties": {"lifecyclestage": ""}})
    assert portal.send("PATCH", path, {"properties": {"lifecyclestage": "lead"}})["properties"]["lifecyclestage"] == "lead"
    portal.send("PATCH", path, {"properties": {"lifecyclestage": "evangelist"}})
    portal.options.lifecycle_forward_only = False
    assert portal.send("PATCH", path, {"properties": {"lifecyclestage": "lead"}})["properties"]["lifecyclestage"] == "lead"


def test_a_deal_that_is_won_through_the_api_makes_its_contact_a_customer(portal: Portal) -> None:
    person, deal = new(portal, firstname="Ann"), new(portal, DEALS, dealname="Tea")
    portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{person}", None)
    portal.send("PATCH", f"{DEALS}/{deal}", {"properties": {"dealstage": "closedwon"}})
    assert portal.get(f"{CONTACTS}/{person}", properties="lifecyclestage")["properties"]["lifecyclestage"] == "customer"


def test_archiving_twice_is_no_error_and_leaves_one_archived_record(portal: Portal) -> None:
    person = new(portal, email="a@b.example")
    for _ in range(2):
        portal.send("DELETE", f"{CONTACTS}/{person}", None, 204)
    assert portal.get(f"{CONTACTS}/{person}", archived="true")["archivedAt"]
    assert portal.get(f"{CONTACTS}/a@b.example", archived="true", idProperty="email")["id"] == person
    portal.get(f"{CONTACTS}/{person}", 404)


@shows("HubSpot: merge that keeps the id")
def test_a_merge_answers_with_the_survivor_which_keeps_its_id_and_the_losers_address(portal: Portal) -> None:
    keep, lose = new(portal, email="a@b.example"), new(portal, email="c@d.example", jobtitle="Chef")
    merged = portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": lose})
    assert merged["id"] == keep
    read = portal.get(f"{CONTACTS}/{lose}", properties="email,jobtitle,hs_merged_object_ids,hs_additional_emails")
    assert read["id"] == keep
    assert [read["properties"][n] for n in ("email", "jobtitle", "hs_merged_object_ids", "hs_additional_emails")] == [
        "a@b.example", "Chef", lose, "c@d.example",
    ]  # fmt: skip
    assert portal.get(f"{CONTACTS}/c@d.example", idProperty="email")["id"] == keep
    portal.post(CONTACTS, {"properties": {"email": "c@d.example"}}, 409)
    portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": lose}, 404)
    portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": keep}, 400)


@shows("HubSpot: merge with a new id")
def test_a_merge_may_give_the_survivor_a_new_id(serve: Serve) -> None:
    portal = Portal(serve, merge_mints_new_id=True)
    keep, lose = new(portal, email="a@b.example"), new(portal, email="c@d.example")
    deal = new(portal, DEALS, dealname="Tea")
    portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{keep}", None)
    merged = portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": lose})["id"]
    assert merged not in (keep, lose)
    assert {portal.get(f"{CONTACTS}/{i}")["id"] for i in (keep, lose)} == {merged}
    assert portal.store.deal_people(deal) == [merged]
    assert portal.get(f"{CONTACTS}/{merged}", properties="hs_merged_object_ids")["properties"]["hs_merged_object_ids"] == f"{keep};{lose}"
    again = portal.post(f"{CONTACTS}/merge", {"primaryObjectId": merged, "objectIdToMerge": new(portal, firstname="Z")})["id"]
    assert portal.get(f"{CONTACTS}/{lose}")["id"] == again
    assert portal.store.live_people()[-1] == again


def test_too_many_merges_into_one_record_are_refused(serve: Serve) -> None:
    portal = Portal(serve, merges_at_most=1)
    keep, *others = (new(portal, firstname=name) for name in "abc")
    portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": others[0]})
    portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": others[1]}, 400)


@pytest.mark.parametrize("by_email", [True, False])
@pytest.mark.parametrize("archived_first", [True, False])
def test_an_erased_contact_is_gone_everywhere(portal: Portal, by_email: bool, archived_first: bool) -> None:
    deal = next(d for d in portal.store.live_deals() if portal.store.deal_people(d))
    person = new(portal, email="a@b.example", firstname="Ann")
    portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{person}", None)
    if archived_first:
        portal.send("DELETE", f"{CONTACTS}/{person}", None, 204)
    body = {"objectId": "a@b.example", "idProperty": "email"} if by_email else {"objectId": person}
    portal.send("POST", f"{CONTACTS}/gdpr-delete", body, 204)
    for archived in ("true", "false"):
        portal.get(f"{CONTACTS}/{person}", 404, archived=archived)
        assert person not in [r["id"] for r in portal.all(CONTACTS, limit=100, archived=archived)]
    assert portal.search("contacts", filters=[{"propertyName": "email", "operator": "EQ", "value": "a@b.example"}])["total"] == 0
    assert person not in portal.store.deal_people(deal)
    batch = portal.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": person}]}, 207)
    assert batch["errors"][0]["context"] == {"ids": [person]}
    assert portal.store.records["contacts"].get(int(person)).properties == {}


def test_erasing_an_unknown_address_is_a_success_and_an_unknown_id_is_not(portal: Portal) -> None:
    portal.send("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "nobody@b.example", "idProperty": "email"}, 204)
    portal.send("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "5"}, 404)


def test_search_sees_writes_at_once_or_after_the_lag(portal: Portal) -> None:
    found: dict[str, Any] = {"filters": [{"propertyName": "email", "operator": "EQ", "value": "a@b.example"}]}
    person = new(portal, email="a@b.example")
    assert portal.search("contacts", 200, **found)["total"] == 1
    portal.options.search_lag_seconds = 3600
    assert portal.search("contacts", 200, **found)["total"] == 0
    assert portal.get(f"{CONTACTS}/{person}")["id"] == person


def test_records_of_types_without_any_can_be_written_too(portal: Portal) -> None:
    person = new(portal, firstname="Ann")
    body = {
        "properties": {"hs_note_body": "Likes tea", "hs_timestamp": "2026-01-01T00:00:00Z"},
        "associations": [{"to": {"id": person}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}],
    }
    note = portal.post("/crm/v3/objects/notes", body, 201)["id"]
    read = portal.get(f"/crm/v4/objects/contacts/{person}/associations/notes")["results"]
    assert [(r["toObjectId"], r["associationTypes"][0]["typeId"]) for r in read] == [(int(note), 201)]
    assert portal.get("/crm/v3/objects/0-46")["results"][0]["id"] == note


@pytest.mark.parametrize(
    "body", [[], "x", None, {"properties": []}, {"properties": {"email": {}}}, {"associations": {}}, {"associations": [1]}]
)
def test_bodies_of_another_shape_are_refused(portal: Portal, body: Any) -> None:
    assert portal.post(CONTACTS, body, 400)["category"] == "VALIDATION_ERROR"
