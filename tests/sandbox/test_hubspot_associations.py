from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal

Serve = Callable[[ASGIApp], str]
V4 = "/crm/v4/associations/deals/contacts"


@pytest.fixture
def portal(serve: Serve) -> Portal:
    return Portal(serve)


def pair(portal: Portal) -> tuple[str, str]:
    """A new deal and a new contact."""
    deal = portal.post("/crm/v3/objects/deals", {"properties": {"dealname": "Tea"}}, 201)["id"]
    return deal, portal.post("/crm/v3/objects/contacts", {"properties": {"firstname": "Ann"}}, 201)["id"]


def types(portal: Portal, deal: str) -> list[list[int]]:
    found = portal.get(f"/crm/v4/objects/deals/{deal}/associations/contacts")["results"]
    return [[t["typeId"] for t in r["associationTypes"]] for r in found]


def test_a_default_association_is_told_from_both_ends(portal: Portal) -> None:
    deal, person = pair(portal)
    done = portal.send("PUT", f"/crm/v4/objects/deal/{deal}/associations/default/contact/{person}", None)
    assert [(r["from"]["id"], r["to"]["id"], r["associationSpec"]["associationTypeId"]) for r in done["results"]] == [
        (deal, person, 3), (person, deal, 4),
    ]  # fmt: skip
    assert portal.store.deal_people(deal) == [person]
    portal.send("PUT", f"/crm/v4/objects/deal/{deal}/associations/default/contact/5", None, 404)


@pytest.mark.parametrize("from_deal", [True, False])
def test_a_label_comes_with_the_unlabelled_type_and_goes_with_the_pair(portal: Portal, from_deal: bool) -> None:
    deal, person = pair(portal)
    there, back = (
        f"/crm/v4/objects/deals/{deal}/associations/contacts/{person}",
        f"/crm/v4/objects/contacts/{person}/associations/deals/{deal}",
    )
    path, number = (there, 23) if from_deal else (back, 24)
    body = [{"associationCategory": "USER_DEFINED", "associationTypeId": number}]
    made = portal.send("PUT", path, body, 201)
    assert (made["labels"], made["fromObjectTypeId"]) == (["Decision Maker"], "0-3" if from_deal else "0-1")
    assert types(portal, deal) == [[23, 3]]
    portal.send("PUT", path, [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}], 400)
    portal.send("DELETE", path, None, 204)
    portal.send("DELETE", path, None, 204)
    assert types(portal, deal) == []


def test_a_contact_has_one_primary_company_at_most(portal: Portal) -> None:
    _, person = pair(portal)
    first, second = (portal.post("/crm/v3/objects/companies", {"properties": {"name": n}}, 201)["id"] for n in "ab")
    for company in (first, second):
        portal.send("PUT", f"/crm/v4/objects/contacts/{person}/associations/default/companies/{company}", None)
    assert portal.store.primary_company(int(person)) == first
    body = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 2}]
    portal.send("PUT", f"/crm/v4/objects/companies/{second}/associations/contacts/{person}", body, 201)
    assert portal.store.primary_company(int(person)) == second
    read = portal.get(f"/crm/v4/objects/contacts/{person}/associations/companies")["results"]
    assert {str(r["toObjectId"]): [t["typeId"] for t in r["associationTypes"]] for r in read} == {first: [279], second: [279, 1]}


def test_batches_create_take_labels_and_archive(portal: Portal) -> None:
    deal, person = pair(portal)
    spec = [{"associationCategory": "USER_DEFINED", "associationTypeId": 23}]
    ends = {"from": {"id": deal}, "to": {"id": person}}
    done = portal.post(f"{V4}/batch/create", {"inputs": [{**ends, "types": spec}]}, 201)
    assert done["results"][0]["labels"] == ["Decision Maker"]
    portal.send("POST", f"{V4}/batch/labels/archive", {"inputs": [{**ends, "types": spec}]}, 204)
    assert types(portal, deal) == [[3]]
    portal.send("POST", f"{V4}/batch/archive", {"inputs": [{"from": {"id": deal}, "to": [{"id": person}]}]}, 204)
    assert types(portal, deal) == []
    part = portal.post(f"{V4}/batch/associate/default", {"inputs": [ends, {"from": {"id": "5"}, "to": {"id": person}}]}, 207)
    assert (len(part["results"]), part["numErrors"], part["errors"][0]["category"]) == (2, 1, "OBJECT_NOT_FOUND")


def test_linking_through_the_api_counts_as_a_modification(portal: Portal) -> None:
    deal, person = pair(portal)
    before = portal.get(f"/crm/v3/objects/contacts/{person}")["updatedAt"]
    portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{person}", None)
    read = portal.get(f"/crm/v3/objects/contacts/{person}", properties="num_associated_deals")
    assert read["properties"]["num_associated_deals"] == "1"
    assert read["updatedAt"] > before


def test_labels_are_made_renamed_and_removed(portal: Portal) -> None:
    deal, person = pair(portal)
    made = portal.post(f"{V4}/labels", {"label": "Guest", "inverseLabel": "Guest of", "name": "guest"})["results"]
    assert [(t["label"], t["category"]) for t in made] == [("Guest", "USER_DEFINED"), ("Guest of", "USER_DEFINED")]
    number = made[0]["typeId"]
    body = [{"associationCategory": "USER_DEFINED", "associationTypeId": number}]
    portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/contacts/{person}", body, 201)
    portal.send("PUT", f"{V4}/labels", {"associationTypeId": number, "label": "Visitor", "inverseLabel": "Visited by"}, 204)
    read = portal.get(f"/crm/v4/objects/contacts/{person}/associations/deals")["results"]
    assert {t["label"] for t in read[0]["associationTypes"]} == {None, "Visited by"}
    portal.send("DELETE", f"{V4}/labels/{number}", None, 204)
    assert types(portal, deal) == [[3]]
    portal.send("DELETE", f"{V4}/labels/3", None, 404)
    assert number not in [t["typeId"] for t in portal.get(f"{V4}/labels")["results"]]


def test_the_third_version_gives_a_hundred_entries_and_a_link_to_the_others(portal: Portal) -> None:
    company = portal.post("/crm/v3/objects/companies", {"properties": {"name": "Big"}}, 201)["id"]
    for start in (0, 60):
        made = portal.post("/crm/v3/objects/contacts/batch/create", {"inputs": [{"properties": {"city": str(start)}}] * 60}, 201)["results"]
        ends = [{"from": {"id": r["id"]}, "to": {"id": company}} for r in made]
        portal.post("/crm/v4/associations/contacts/companies/batch/associate/default", {"inputs": ends})
    result = portal.post("/crm/v3/associations/company/contact/batch/read", {"inputs": [{"id": company}]})["results"][0]
    assert (len(result["to"]), result["to"][0]["type"]) == (100, "company_to_contact")
    inline = portal.get(f"/crm/v3/objects/companies/{company}", associations="contacts")["associations"]["contacts"]
    assert (len(inline["results"]), inline["paging"]["next"]["after"]) == (100, result["paging"]["next"]["after"])
    found, link = [e["id"] for e in inline["results"]], inline["paging"]["next"]["link"]
    while link:
        body = portal.http.get(link).raise_for_status().json()
        found += [e["id"] for e in body["results"]]
        link = body.get("paging", {}).get("next", {}).get("link")
    assert len(found) == 240
    assert len(set(found)) == 120


def test_pages_of_the_third_version_hold_every_entry_once(portal: Portal) -> None:
    deal, _ = pair(portal)
    people = portal.store.live_people()[:5]
    for person in people:
        body = [{"associationCategory": "USER_DEFINED", "associationTypeId": 23}]
        portal.send("PUT", f"/crm/v4/objects/deals/{deal}/associations/contacts/{person}", body, 201)
    entries = portal.all(f"/crm/v3/objects/deals/{deal}/associations/contacts", limit=3)
    assert [e["id"] for e in entries] == [p for p in people for _ in range(2)]


def test_the_third_version_writes_by_name(portal: Portal) -> None:
    deal, person = pair(portal)
    ends = {"from": {"id": deal}, "to": {"id": person}}
    done = portal.post("/crm/v3/associations/deals/contacts/batch/create", {"inputs": [{**ends, "type": "deal_to_contact"}]}, 201)
    assert done["results"] == [{**ends, "type": "deal_to_contact"}]
    assert {"id": "3", "name": "deal_to_contact"} in portal.get("/crm/v3/associations/deals/contacts/types")["results"]
    portal.send("POST", "/crm/v3/associations/deals/contacts/batch/archive", {"inputs": [ends]}, 204)
    assert portal.post("/crm/v3/associations/deals/contacts/batch/read", {"inputs": [{"id": deal}]}, 207)["results"] == []


def test_date_versions_know_associations_too(portal: Portal) -> None:
    deal, person = pair(portal)
    portal.send("PUT", f"/crm/objects/2026-03/deals/{deal}/associations/default/contacts/{person}", None)
    found = portal.post("/crm/associations/2026-09/deals/contacts/batch/read", {"inputs": [{"id": deal}]})["results"]
    assert [t["toObjectId"] for t in found[0]["to"]] == [int(person)]
    portal.get("/crm/objects/2026-05/deals", 404)
