from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, ObjectType
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.hubspot.values import history, value
from tests.sandbox.hubspot_portal import after, new_store
from tests.sandbox.listed_faults import shows


@pytest.fixture
def store() -> HubSpotStore:
    return new_store()


def read(store: HubSpotStore, kind: ObjectType, record_id: str, *names: str) -> Any:
    record = store.records[kind.plural].get(int(record_id))
    found = [value(store, kind, record, name) for name in names]
    return found[0] if len(names) == 1 else found


def test_an_edit_bumps_the_modified_date_and_adds_to_the_history(store: HubSpotStore) -> None:
    person = next(p for p in store.live_people() if read(store, CONTACTS, p, "phone"))
    store.edit_person(person, {"title": "Chief Tea Officer", "phone": None}, after(1))
    assert read(store, CONTACTS, person, "jobtitle", "phone") == ["Chief Tea Officer", ""]
    assert read(store, CONTACTS, person, "lastmodifieddate", "hs_lastmodifieddate") == ["2027-01-01T12:01:00.123Z"] * 2
    store.edit_person(person, {"title": "Tea Lady"}, after(2))
    versions = history(store, CONTACTS, store.records["contacts"].get(int(person)), "jobtitle")
    assert [v.value for v in versions[:2]] == ["Tea Lady", "Chief Tea Officer"]


def test_an_edit_that_changes_nothing_is_no_modification(store: HubSpotStore) -> None:
    person = store.live_people()[0]
    before = read(store, CONTACTS, person, "lastmodifieddate")
    store.edit_person(person, {"first_name": read(store, CONTACTS, person, "firstname")}, after(1))
    assert read(store, CONTACTS, person, "lastmodifieddate") == before


def test_a_new_contact_is_a_lead_with_a_higher_id_than_all_others(store: HubSpotStore) -> None:
    before = store.live_people()
    person = store.create_person({"email": "Ann@Example.com", "first_name": "Ann", "lead_score": 12}, after(1))
    assert int(person) > int(before[-1])
    assert store.live_people() == [*before, person]
    assert read(store, CONTACTS, person, "email", "lifecyclestage", "hs_lead_score") == ["ann@example.com", "lead", "12"]


@shows("HubSpot: restored")
def test_archiving_and_restoring_move_a_contact_between_the_lists_without_modifying_it(store: HubSpotStore) -> None:
    person = store.live_people()[3]
    before = read(store, CONTACTS, person, "lastmodifieddate")
    store.delete_person(person, after(1))
    assert person not in store.live_people()
    assert person in store.deleted_people()
    store.restore_person(person, after(2))
    assert person in store.live_people()
    assert person not in store.deleted_people()
    assert read(store, CONTACTS, person, "lastmodifieddate") == before


@shows("HubSpot: chained merge")
def test_a_merge_removes_the_loser_and_names_it_in_the_survivor_also_through_a_chain(store: HubSpotStore) -> None:
    last, middle, first = [p for p in store.live_people() if not read(store, CONTACTS, p, "hs_merged_object_ids")][:3]
    store.merge_people(middle, first, after(1))
    store.merge_people(last, middle, after(2))
    assert {first, middle}.isdisjoint(store.live_people())
    assert {first, middle}.isdisjoint(store.deleted_people())
    assert read(store, CONTACTS, last, "hs_merged_object_ids") == f"{middle};{first}"
    assert read(store, CONTACTS, last, "hs_calculated_merged_vids").startswith(f"{middle}:{1798804920123}")
    assert read(store, CONTACTS, last, "lastmodifieddate") == "2027-01-01T12:02:00.123Z"
    assert store.merged_into[int(first)] == store.merged_into[int(middle)] == int(last)


def test_a_merge_hands_links_and_missing_values_to_the_survivor(store: HubSpotStore) -> None:
    deal = next(d for d in store.live_deals() if store.deal_people(d))
    loser = store.deal_people(deal)[0]
    winner = store.create_person({"first_name": "Wanda"}, after(1))
    store.edit_person(loser, {"title": "Baker"}, after(1))
    store.merge_people(winner, loser, after(2))
    assert winner in store.deal_people(deal)
    assert loser not in store.deal_people(deal)
    assert read(store, CONTACTS, winner, "firstname", "jobtitle") == ["Wanda", "Baker"]


def test_a_won_deal_changes_its_chance_and_its_contacts_stage(store: HubSpotStore) -> None:
    person = store.create_person({"first_name": "Ann"}, after(1))
    deal = store.create_deal({"name": "Tea", "stage": 0, "amount": Decimal("10.50"), "close_date": date(2027, 3, 1)}, [person], after(2))
    assert read(store, CONTACTS, person, "lifecyclestage") == "opportunity"
    assert read(store, DEALS, deal, "amount", "hs_is_closed", "num_associated_contacts") == ["10.50", "false", "1"]
    assert read(store, DEALS, deal, "closedate").startswith("2027-03-01T")
    store.edit_deal(deal, {"stage": 5}, after(3))
    assert read(store, DEALS, deal, "dealstage", "hs_deal_stage_probability", "hs_is_closed_won") == ["closedwon", "1", "true"]
    versions = history(store, CONTACTS, store.records["contacts"].get(int(person)), "lifecyclestage")
    assert [v.value for v in versions] == ["customer", "opportunity", "lead"]


def test_links_bump_both_ends_because_their_counts_change(store: HubSpotStore) -> None:
    person = store.create_person({"first_name": "Ann"}, after(1))
    deal = store.live_deals()[0]
    store.link(deal, person, after(2))
    assert read(store, CONTACTS, person, "num_associated_deals", "lastmodifieddate") == ["1", "2027-01-01T12:02:00.123Z"]
    assert read(store, DEALS, deal, "hs_lastmodifieddate") == "2027-01-01T12:02:00.123Z"
    store.unlink(deal, person, after(3))
    assert read(store, CONTACTS, person, "num_associated_deals", "lastmodifieddate") == ["0", "2027-01-01T12:03:00.123Z"]


def test_links_bump_nothing_when_told_so() -> None:
    store = new_store()
    store.association_changes_bump = lambda: False
    person, deal = store.live_people()[0], store.create_deal({"name": "Tea"}, [], after(1))
    before = read(store, CONTACTS, person, "lastmodifieddate")
    store.link(deal, person, after(2))
    assert read(store, CONTACTS, person, "lastmodifieddate") == before
    assert read(store, DEALS, deal, "num_associated_contacts") == "1"


def test_archiving_a_contact_bumps_the_deals_and_companies_that_lose_it(store: HubSpotStore) -> None:
    deal = next(d for d in store.live_deals() if store.deal_people(d))
    person = store.deal_people(deal)[0]
    company = read(store, CONTACTS, person, "associatedcompanyid")
    store.delete_person(person, after(1))
    assert person not in store.deal_people(deal)
    assert read(store, DEALS, deal, "hs_lastmodifieddate") == "2027-01-01T12:01:00.123Z"
    assert company is None or read(store, COMPANIES, company, "hs_lastmodifieddate") == "2027-01-01T12:01:00.123Z"


def test_counts_are_of_what_the_lists_show(store: HubSpotStore) -> None:
    before = store.counts()
    store.delete_deal(store.live_deals()[0], after(1))
    store.delete_person(store.live_people()[0], after(1))
    changed = store.counts()
    assert (changed["deals"], changed["contacts"]) == (before["deals"] - 1, before["contacts"] - 1)
