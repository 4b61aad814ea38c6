from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cdp_pipelines.sandbox.salesforce.ids import make_id, read_id, with_checksum
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.salesforce_org import new_store, small_world

AT = datetime(2026, 9, 1, 10, 30, 15, 987_654, UTC)
STAMP = AT.replace(microsecond=0)


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


def record(store: SalesforceStore, record_id: str) -> dict[str, Any]:
    found = store.get(record_id)
    assert found is not None
    return found


def people(store: SalesforceStore, prefix: str) -> list[str]:
    return [p for p in store.live_people() if p.startswith(prefix)]


def roles(store: SalesforceStore) -> list[dict[str, Any]]:
    records = store.records["OpportunityContactRole"]
    return [records.get(n) for n in records.listed(include_deleted=False)]


def test_the_checksum_is_salesforces() -> None:
    # Ids of the vendor's documentation and of recorded answers.
    for known in ("0015000000Gv7qJAAR", "003ak000003dQCGAA2", "750ak000009AVi5AAG", "01254000001upcKAAQ", "012000000000000AAA"):
        assert with_checksum(known[:15]) == known


def test_ids_lead_back_to_their_numbers() -> None:
    for number in (0, 9, 10, 36, 61, 62, 5000, 10**9):
        record_id = make_id("003", number)
        assert (read_id(record_id, "003"), read_id(record_id[:15], "003")) == (number, number)
    assert read_id(make_id("003", 10).swapcase(), "003") is None
    assert [make_id("003", n) for n in range(200)] == sorted(make_id("003", n) for n in range(200))


def test_a_change_stamps_whole_seconds_on_both_dates(store: SalesforceStore) -> None:
    person = people(store, "003")[0]
    store.edit_person(person, {"first_name": "Ann", "last_name": "Lee", "email": "Ann@NEW.example", "lead_score": 7}, AT)
    changed = record(store, person)
    assert changed["SystemModstamp"] == changed["LastModifiedDate"] == STAMP
    assert (changed["Name"], changed["EmailDomain__c"], changed["LeadScore__c"]) == ("Ann Lee", "new.example", 7.0)


def test_a_contacts_new_company_becomes_its_account(store: SalesforceStore) -> None:
    person, count = people(store, "003")[0], store.counts()["Account"]
    store.edit_person(person, {"company": "Brand New Ltd"}, AT)
    assert record(store, record(store, person)["AccountId"])["Name"] == "Brand New Ltd"
    store.edit_person(people(store, "003")[1], {"company": "brand new LTD"}, AT)
    assert store.counts()["Account"] == count + 1


def test_a_deleted_person_comes_back(store: SalesforceStore) -> None:
    person = people(store, "00Q")[0]
    store.delete_person(person, AT)
    assert record(store, person)["IsDeleted"] is True
    assert person in store.deleted_people()
    assert person not in store.live_people()
    store.restore_person(person, AT)
    assert record(store, person)["IsDeleted"] is False
    assert person in store.live_people()


def test_a_merge_marks_the_loser_and_moves_its_children(store: SalesforceStore) -> None:
    live = set(people(store, "003"))
    loser = next(r["ContactId"] for r in roles(store) if r["ContactId"] in live)
    winner = next(p for p in sorted(live) if p != loser)
    mine = [r["Id"] for r in roles(store) if r["ContactId"] == loser]
    deals = [d for d in store.live_deals() if record(store, d)["ContactId"] == loser]
    store.merge_people(winner, loser, AT)
    assert (record(store, loser)["IsDeleted"], record(store, loser)["MasterRecordId"]) == (True, winner)
    assert loser not in store.deleted_people()
    for child in mine + deals:
        assert (record(store, child)["ContactId"], record(store, child)["SystemModstamp"]) == (winner, STAMP)


def test_a_lead_and_a_contact_are_merged_by_converting_the_lead(store: SalesforceStore) -> None:
    lead, contact = people(store, "00Q")[0], people(store, "003")[0]
    store.merge_people(lead, contact, AT)
    assert record(store, lead)["ConvertedContactId"] == contact
    assert lead not in store.live_people()


def test_a_converted_lead_stays_and_points_to_its_contact(store: SalesforceStore) -> None:
    lead = people(store, "00Q")[0]
    before = record(store, lead)
    contact = store.convert_person(lead, AT)
    assert contact is not None
    after = record(store, lead)
    assert (after["IsConverted"], after["ConvertedDate"], after["ConvertedContactId"]) == (True, AT.date(), contact)
    assert record(store, after["ConvertedAccountId"])["Name"].lower() == before["Company"].lower()
    assert record(store, contact)["Email"] == before["Email"]
    assert contact in store.live_people()
    assert store.convert_person(contact, AT) is None


def test_an_opportunitys_contact_follows_its_primary_role(store: SalesforceStore) -> None:
    first, second = people(store, "003")[:2]
    deal = store.create_deal({"name": "Big", "stage": 5, "amount": 1000.5}, [first, people(store, "00Q")[0], second], AT)
    assert store.deal_people(deal) == [first, second]
    made = record(store, deal)
    assert (made["ContactId"], made["StageName"], made["Probability"], made["IsWon"]) == (first, "Closed Won", 100.0, True)
    store.unlink(deal, first, AT)
    assert (store.deal_people(deal), record(store, deal)["ContactId"]) == ([second], None)
    store.link(deal, first, AT)
    assert record(store, deal)["ContactId"] == first
    store.delete_deal(deal, AT)
    assert deal not in store.live_deals()
    assert store.deal_people(deal) == []


def test_editing_a_deal_changes_what_follows_from_its_stage(store: SalesforceStore) -> None:
    deal = store.live_deals()[0]
    store.edit_deal(deal, {"stage": 6, "amount": None}, AT)
    changed = record(store, deal)
    assert (changed["StageName"], changed["IsClosed"], changed["IsWon"], changed["Amount"]) == ("Closed Lost", True, False, None)


def test_a_purged_record_is_in_no_list(store: SalesforceStore) -> None:
    person = people(store, "003")[0]
    store.delete_person(person, AT)
    store.purge(person)
    assert store.get(person) is None
    assert person not in store.deleted_people()


def test_the_store_shows_the_world() -> None:
    store, view = new_store(), small_world().salesforce
    alive = [p for p in view.people if p.fate == "alive"]
    assert sorted(store.live_people()) == sorted(store.person_id(p.number) for p in alive)
    for p in view.people:
        shown = record(store, store.person_id(p.number))
        assert shown["IsDeleted"] is (p.fate in ("deleted", "merged"))
        if p.fate == "merged":
            assert shown["MasterRecordId"] == store.person_id(p.merged_into or 0)
        if p.fate == "converted":
            assert shown["ConvertedContactId"] == store.person_id(p.merged_into or 0)
