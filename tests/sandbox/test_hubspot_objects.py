from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal, after
from tests.sandbox.listed_faults import shows

Serve = Callable[[ASGIApp], str]
CONTACTS = "/crm/v3/objects/contacts"


def test_following_the_links_of_a_list_gives_every_live_record_once_in_order_of_id(serve: Serve) -> None:
    portal = Portal(serve)
    ids = [r["id"] for r in portal.all(CONTACTS, limit=7, properties="email", associations="companies")]
    assert ids == portal.store.live_people()
    assert ids == sorted(ids, key=int)
    assert len(ids) == len(set(ids)) > 200


def test_a_link_to_the_next_page_is_absolute_and_carries_all_parameters(serve: Serve) -> None:
    portal = Portal(serve)
    paging = portal.get(f"{CONTACTS}?limit=3&properties=email&properties=phone&associations=deals&archived=false")["paging"]["next"]
    assert paging["link"].startswith(f"{portal.url}{CONTACTS}?limit=3&properties=email&properties=phone&associations=deals&archived=false&")
    assert paging["after"] == portal.store.live_people()[3]


def test_ids_do_not_fit_into_32_bits(serve: Serve) -> None:
    portal = Portal(serve)
    for kind in ("contacts", "companies", "deals"):
        assert int(portal.get(f"/crm/v3/objects/{kind}", limit=1)["results"][0]["id"]) > 2**31


@pytest.mark.parametrize("name", ["contacts", "contact", "0-1"])
def test_plural_singular_and_number_name_the_same_type(serve: Serve, name: str) -> None:
    portal = Portal(serve)
    assert portal.get(f"/crm/v3/objects/{name}")["results"][0]["id"] == portal.store.live_people()[0]
    assert portal.get(f"/crm/objects/2026-03/{name}")["results"][0]["id"] == portal.store.live_people()[0]


def test_without_a_wish_the_default_properties_come(serve: Serve) -> None:
    portal = Portal(serve)
    contact = portal.get(CONTACTS)["results"][0]
    assert list(contact["properties"]) == ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]


def test_unknown_properties_are_left_out_in_silence_and_empty_ones_are_null(serve: Serve) -> None:
    portal = Portal(serve)
    properties = portal.get(CONTACTS, properties="nobodyknows,date_of_birth", limit=1)["results"][0]["properties"]
    assert properties.pop("date_of_birth") is None
    assert set(properties) == {"createdate", "hs_object_id", "lastmodifieddate"}


@shows("HubSpot: no lead score")
def test_the_lead_score_property_can_be_left_out(serve: Serve) -> None:
    portal = Portal(serve, lead_score=False)
    assert "hs_lead_score" not in portal.get(CONTACTS, properties="hs_lead_score")["results"][0]["properties"]
    assert "hs_lead_score" not in {p["name"] for p in portal.get("/crm/v3/properties/contacts")["results"]}
    with_score = Portal(serve)
    scores = [r["properties"]["hs_lead_score"] for r in with_score.all(CONTACTS, properties="hs_lead_score", limit=100)]
    assert sum(score is not None for score in scores) > len(scores) / 2


def test_inline_associations_repeat_an_id_for_each_type_of_the_link(serve: Serve) -> None:
    portal = Portal(serve)
    linked = [r for r in portal.all(CONTACTS, limit=100, associations="company") if "associations" in r]
    assert [e["type"] for e in linked[0]["associations"]["companies"]["results"]] == ["contact_to_company", "contact_to_company_unlabeled"]
    assert len({e["id"] for e in linked[0]["associations"]["companies"]["results"]}) == 1


@shows("HubSpot: more than 100 inline associations")
def test_more_inline_associations_than_fit_come_with_a_next_page(serve: Serve) -> None:
    portal = Portal(serve, inline_associations=3)
    companies = portal.all("/crm/v3/objects/companies", limit=100, associations="contacts")
    cut = next(c["associations"]["contacts"] for c in companies if "paging" in c.get("associations", {}).get("contacts", {}))
    assert len(cut["results"]) == 3
    assert cut["paging"]["next"]["link"].startswith(portal.url)


def test_history_is_newest_first_and_limits_the_page_to_50(serve: Serve) -> None:
    portal = Portal(serve)
    record = portal.get(CONTACTS, limit=50, propertiesWithHistory="lifecyclestage")["results"][0]
    versions = record["propertiesWithHistory"]["lifecyclestage"]
    moments = [v["timestamp"] for v in versions]
    assert moments == sorted(moments, reverse=True)
    assert portal.get(CONTACTS, status=400, limit=51, propertiesWithHistory="lifecyclestage")["category"] == "VALIDATION_ERROR"
    assert portal.get(CONTACTS, status=400, limit=101)["category"] == "VALIDATION_ERROR"


def test_archived_records_are_in_the_archived_list_only(serve: Serve) -> None:
    portal = Portal(serve)
    gone = portal.store.live_people()[5]
    before = portal.get(f"{CONTACTS}/{gone}")["updatedAt"]
    portal.store.delete_person(gone, after(1))
    assert gone not in [r["id"] for r in portal.all(CONTACTS, limit=100)]
    record = next(r for r in portal.all(CONTACTS, limit=100, archived="true") if r["id"] == gone)
    assert (record["archived"], record["archivedAt"], record["updatedAt"]) == (True, "2027-01-01T12:01:00.123Z", before)
    assert portal.get(f"{CONTACTS}/{gone}", status=404)["category"] == "OBJECT_NOT_FOUND"
    assert portal.get(f"{CONTACTS}/{gone}", archived="true")["id"] == gone


def test_a_merged_contact_is_read_as_its_survivor_and_passed_over_in_a_batch(serve: Serve) -> None:
    portal = Portal(serve)
    winner, loser = portal.store.live_people()[:2]
    portal.store.merge_people(winner, loser, after(1))
    assert portal.get(f"{CONTACTS}/{loser}")["id"] == winner
    batch = portal.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": winner}, {"id": loser}]})
    assert [r["id"] for r in batch["results"]] == [winner]


def test_contacts_can_be_read_by_email_and_by_no_property_that_is_not_unique(serve: Serve) -> None:
    portal = Portal(serve)
    contact = next(r for r in portal.all(CONTACTS, limit=100) if r["properties"]["email"])
    email = contact["properties"]["email"]
    assert portal.get(f"{CONTACTS}/{email.upper()}", idProperty="email")["id"] == contact["id"]
    assert portal.get(f"{CONTACTS}/x", status=400, idProperty="phone")["category"] == "VALIDATION_ERROR"


@shows("HubSpot: 207 for a batch in part")
def test_a_batch_with_an_unknown_id_is_answered_207(serve: Serve) -> None:
    portal = Portal(serve)
    known = portal.store.live_people()[0]
    body = portal.post(f"{CONTACTS}/batch/read", {"inputs": [{"id": known}, {"id": "unknownIdentifier888"}]}, status=207)
    assert [r["id"] for r in body["results"]] == [known]
    assert body["errors"][0]["context"] == {"ids": ["unknownIdentifier888"]}


def test_a_batch_takes_100_ids_and_50_with_history(serve: Serve) -> None:
    portal = Portal(serve)
    inputs = [{"id": i} for i in portal.store.live_people()[:101]]
    portal.post(f"{CONTACTS}/batch/read", {"inputs": inputs}, status=400)
    assert len(portal.post(f"{CONTACTS}/batch/read", {"inputs": inputs[:100]})["results"]) == 100
    portal.post(f"{CONTACTS}/batch/read", {"inputs": inputs[:51], "propertiesWithHistory": ["email"]}, status=400)


def test_association_batches_are_207_as_soon_as_one_record_has_none(serve: Serve) -> None:
    portal = Portal(serve)
    path = "/crm/v4/associations/deal/contacts/batch/read"
    deals = portal.store.live_deals()
    with_people = [d for d in deals if portal.store.deal_people(d)]
    without = portal.store.create_deal({"name": "Nobody's"}, [], after(1))
    full = portal.post(path, {"inputs": [{"id": d} for d in with_people]})
    assert {r["from"]["id"]: [str(t["toObjectId"]) for t in r["to"]] for r in full["results"]} == {
        d: portal.store.deal_people(d) for d in with_people
    }
    part = portal.post(path, {"inputs": [{"id": with_people[0]}, {"id": without}]}, status=207)
    assert (len(part["results"]), part["numErrors"]) == (1, 1)
    assert part["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    odd = portal.post(path, {"inputs": [{"id": "abc"}]}, status=207)
    assert odd["errors"][0]["subCategory"] == "crm.associations.INVALID_IDENTIFIER"


@shows("HubSpot: more than 500 associations")
def test_association_batches_page_and_are_limited(serve: Serve) -> None:
    portal = Portal(serve, association_page=2, association_inputs=1)
    path = "/crm/v4/associations/companies/contacts/batch/read"
    company = max(portal.all("/crm/v3/objects/companies", limit=100, properties="num_associated_contacts"),
                  key=lambda c: int(c["properties"]["num_associated_contacts"]))  # fmt: skip
    found, inputs = [], {"id": company["id"]}
    while True:
        result = portal.post(path, {"inputs": [inputs]})["results"][0]
        found += [t["toObjectId"] for t in result["to"]]
        if "paging" not in result:
            break
        inputs = {"id": company["id"], "after": result["paging"]["next"]["after"]}
    assert len(found) == len(set(found)) == int(company["properties"]["num_associated_contacts"]) > 2
    portal.post(path, {"inputs": [inputs, inputs]}, status=400)


def test_associations_are_seen_from_both_ends(serve: Serve) -> None:
    portal = Portal(serve)
    deal = next(d for d in portal.store.live_deals() if portal.store.deal_people(d))
    person = portal.store.deal_people(deal)[0]
    forth = portal.get(f"/crm/v4/objects/deals/{deal}/associations/contacts")["results"]
    back = portal.get(f"/crm/v4/objects/contact/{person}/associations/0-3", limit=500)["results"]
    assert {t["typeId"] for t in forth[0]["associationTypes"]} >= {3}
    assert int(deal) in [r["toObjectId"] for r in back]
    assert {t["typeId"] for t in back[0]["associationTypes"]} >= {4}
    labels = portal.get("/crm/v4/associations/contacts/companies/labels")["results"]
    assert labels[0] == {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"}


@pytest.mark.parametrize("path", ["/crm/v3/owners", "/crm/v3/owners/"])
def test_owners_page_with_and_without_a_slash_at_the_end(serve: Serve, path: str) -> None:
    portal = Portal(serve)
    active, archived = portal.all(path, limit=5), portal.all(path, archived="true")
    assert len(active) + len(archived) == len(portal.store.owners)
    assert all(o["archived"] for o in archived)


def test_properties_are_told_by_the_older_api_too(serve: Serve) -> None:
    portal = Portal(serve)
    assert portal.get("/properties/v2/contact/properties") == portal.get("/crm/v3/properties/contacts")["results"]
    assert portal.get("/crm/v3/properties/contacts/email")["hasUniqueValue"] is True
    assert portal.get("/crm/v3/properties/contacts/x", status=404)["message"] == "Property 'x' does not exist"


@shows("HubSpot: digits of a binary double")
def test_a_deal_stage_probability_has_the_digits_of_a_binary_double(serve: Serve) -> None:
    portal = Portal(serve)
    deals = portal.all("/crm/v3/objects/deals", properties="dealstage,hs_deal_stage_probability,hs_is_closed", limit=100)
    chances = {d["properties"]["dealstage"]: d["properties"]["hs_deal_stage_probability"] for d in deals}
    assert chances["appointmentscheduled"] == "0.200000000000000011102230246251565404236316680908203125"
    assert (chances["closedwon"], chances["closedlost"]) == ("1", "0")


def test_salesforce_ids_follow_what_the_record_is_there(serve: Serve) -> None:
    portal = Portal(serve)
    found = portal.all(CONTACTS, properties="salesforcecontactid,salesforceleadid", limit=100)
    contacts = [r["properties"]["salesforcecontactid"] for r in found if r["properties"]["salesforcecontactid"]]
    leads = [r["properties"]["salesforceleadid"] for r in found if r["properties"]["salesforceleadid"]]
    assert contacts and all(len(i) == 18 and i.startswith("003") for i in contacts)
    assert leads and all(len(i) == 18 and i.startswith("00Q") for i in leads)


def test_unknown_paths_and_types_are_refused_as_hubspot_does(serve: Serve) -> None:
    portal = Portal(serve)
    assert portal.get("/crm/v3/nowhere", status=404)["message"] == "resource not found"
    assert portal.get("/crm/v3/objects/butterflies", status=400)["message"] == "Unable to infer object type from: butterflies"
    assert portal.get("/crm/v3/objects/tickets")["results"] == []
