from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from dataclasses import replace

import pytest

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox import columns
from cdp_pipelines.sandbox.dirt import PLACEHOLDER_EMAILS, PLACEHOLDER_PHONES
from cdp_pipelines.sandbox.names import NICKNAMES, phone_number
from cdp_pipelines.sandbox.people import CrmView, PersonRecord, World, build_world, truth


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=3000)


def everyone(world: World) -> list[PersonRecord]:
    return [person for kind in KINDS for person in world.view(kind).people]


def digits(phone: str | None) -> str:
    return re.sub(r"\D", "", (phone or "").split("ext")[0])[-8:]


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    assert build_world(people=200, seed=4) == build_world(people=200, seed=4)
    assert build_world(people=200, seed=4).hubspot != build_world(people=200, seed=5).hubspot


def test_a_record_is_the_same_whenever_and_in_whatever_order_it_is_asked_for(world: World) -> None:
    again = build_world(people=3000)
    for kind in KINDS:
        for what in ("companies", "people", "deals"):
            records, later = getattr(world.view(kind), what), getattr(again.view(kind), what)
            backwards = [later[number] for number in reversed(range(len(later)))]
            assert backwards[::-1] == list(records)
            assert later[-1] == records[len(records) - 1]
            assert later[3:6] == list(records)[3:6]
            with pytest.raises(IndexError):
                later[len(later)]


def test_columns_say_what_the_records_say(world: World) -> None:
    for kind in KINDS:
        view = world.view(kind)
        said = columns.of_people(view.people)
        read = columns.of_people(list(view.people))
        for field in dataclasses.fields(columns.PeopleColumns):
            assert (getattr(said, field.name) == getattr(read, field.name)).all(), (kind, field.name)
        companies = columns.of_companies(view.companies), columns.of_companies(list(view.companies))
        deals = columns.of_deals(view.deals), columns.of_deals(list(view.deals))
        for said, read in (companies, deals):
            assert all((getattr(said, f.name) == getattr(read, f.name)).all() for f in dataclasses.fields(said))
        for campaign in view.campaigns:
            said, read = columns.of_members(campaign), columns.of_members(replace(campaign, members=list(campaign.members)))
            assert all((getattr(said, f.name) == getattr(read, f.name)).all() for f in dataclasses.fields(said))


def test_numbers_have_no_gaps_and_references_lead_somewhere(world: World) -> None:
    for kind in KINDS:
        view = world.view(kind)
        for records in (view.companies, view.people, view.deals, view.campaigns):
            assert [record.number for record in records] == list(range(len(records)))
        for person in view.people:
            assert person.company is None or person.company < len(view.companies)
            assert person.merged_into is None or view.people[person.merged_into].person == person.person
            if person.salesforce_number is not None:
                assert world.salesforce.people[person.salesforce_number].person == person.person
        for deal in view.deals:
            linked = [contact.person for contact in deal.contacts]
            assert len(set(linked)) == len(linked)
            assert all(view.people[number].fate == "alive" for number in linked)
            if kind == "salesforce":
                assert all(view.people[number].role == "contact" for number in linked)
        for campaign in view.campaigns:
            members = [member.person for member in campaign.members]
            assert len(set(members)) == len(members)


def test_nothing_is_later_than_the_anchor_and_fates_come_last(world: World) -> None:
    early_by_a_second = 0
    for person in everyone(world):
        assert max(person.created, person.updated, person.fate_at or person.created) <= world.anchor
        assert (person.fate == "alive") == (person.fate_at is None)
        assert (person.fate in ("merged", "converted")) == (person.merged_into is not None)
        if person.fate_at is not None:
            assert person.fate_at >= max(person.created, person.updated)
        early_by_a_second += person.updated < person.created
    assert early_by_a_second == sum((p.created - p.updated).total_seconds() == 1 for p in world.marketo.people) > 0


def test_shares_are_about_what_the_design_says(world: World) -> None:
    known = {kind: {person.person for person in world.view(kind).people} for kind in KINDS}
    assert 0.57 < len(known["salesforce"]) / 3000 < 0.66
    assert 0.62 < len(known["hubspot"]) / 3000 < 0.71
    assert 0.52 < len(known["marketo"]) / 3000 < 0.61
    several = sum(sum(number in known[kind] for kind in KINDS) > 1 for number in range(3000))
    assert 0.5 < several / 3000 < 0.7
    leads = Counter(person.role for person in world.salesforce.people)["lead"]
    assert 0.35 < leads / len(world.salesforce.people) < 0.46
    for kind in KINDS:
        assert 250 < len(world.view(kind).deals) < 350
        assert 300 < len(world.view(kind).companies) < 430


@pytest.mark.parametrize("kind", KINDS)
def test_every_crm_has_duplicates_deleted_and_merged_records(world: World, kind: Kind) -> None:
    people = world.view(kind).people
    fates = Counter(person.fate for person in people)
    assert 0.005 < fates["merged"] / len(people) < 0.02
    assert 0.005 < fates["deleted"] / len(people) < 0.03
    assert (fates["converted"] > 50) == (kind == "salesforce")
    alive = Counter(person.person for person in people if person.fate == "alive")
    assert 0.02 < sum(times > 1 for times in alive.values()) / len(alive) < 0.07


def test_converted_leads_have_a_contact_with_their_values(world: World) -> None:
    for lead in world.salesforce.people:
        if lead.fate == "converted":
            assert lead.merged_into is not None
            contact = world.salesforce.people[lead.merged_into]
            assert (contact.role, contact.email, contact.created) == ("contact", lead.email, lead.fate_at)


def test_mail_dirt_is_there(world: World) -> None:
    emails = [person.email for person in everyone(world) if person.email]
    assert any(email in PLACEHOLDER_EMAILS for email in emails)
    assert any(email.startswith(("info@", "sales@")) for email in emails)
    assert any("+crm@" in email for email in emails)
    assert any(email != email.strip() for email in emails)
    assert any(email.isupper() for email in emails)
    assert {"N/A", "null"} <= {person.email for person in world.marketo.people}
    shared = Counter(person.email for person in world.salesforce.people)
    assert any(times > 2 for email, times in shared.items() if email and email.split("@")[0].lower() in ("info", "sales", "office"))


def test_no_address_or_number_can_reach_anybody(world: World) -> None:
    for person in everyone(world):
        email = (person.email or "").strip().lower()
        if "@" in email:
            domain = email.split("@")[1]
            reserved = domain.endswith((".example", ".example.com", ".example.net", ".example.org"))
            assert reserved or email in PLACEHOLDER_EMAILS
        for phone in (person.phone, person.mobile):
            if phone and person.country in ("US", "USA") and digits(phone) and phone not in PLACEHOLDER_PHONES and "555" in phone:
                assert re.search(r"555\D?01\d\d", phone)


def test_hubspot_addresses_are_lower_case_and_used_once(world: World) -> None:
    emails = [person.email for person in world.hubspot.people if person.email]
    assert len(set(emails)) == len(emails)
    assert all(email == email.strip().lower() for email in emails)


def test_phone_dirt_is_there(world: World) -> None:
    for kind in KINDS:
        view = world.view(kind)
        switchboards = {digits(company.phone) for company in view.companies if company.phone}
        at_switchboard = sum(digits(person.phone) in switchboards for person in view.people)
        assert 0.2 < at_switchboard / len(view.people) < 0.4
    phones = [person.phone for person in everyone(world) if person.phone]
    assert "000-000-0000" in phones
    for form in (r"\+1 \(\d{3}\) 555-\d{4}", r"\d{3}\.555\.\d{4}", r"\d{3}555\d{4}", r"\+44.*", r".* ext\. 12"):
        assert any(re.fullmatch(form, phone) for phone in phones), form


def test_name_dirt_is_there(world: World) -> None:
    people = everyone(world)
    by_person: dict[int, list[PersonRecord]] = {}
    for person in people:
        by_person.setdefault(person.person, []).append(person)
    seen: Counter[str] = Counter()
    for records in by_person.values():
        firsts = {record.first_name for record in records}
        seen["nickname"] += any(nick in firsts for first in firsts if first in NICKNAMES for nick in NICKNAMES[first])
        seen["swapped"] += any(
            a.first_name and (a.first_name, a.last_name) == (b.last_name, b.first_name) for a in records for b in records
        )
        seen["moved"] += (
            len({(r.email or "").strip().lower().split("@")[-1] for r in records if (r.email or "").strip().endswith(".example")}) > 1
        )
    for person in people:
        name = f"{person.first_name}{person.last_name}"
        seen["nfd"] += name != unicodedata.normalize("NFC", name)
        seen["accent"] += not name.isascii() and name == unicodedata.normalize("NFC", name)
        seen["null"] += person.last_name == "Null"
        seen["sentinel"] += person.first_name in ("N/A", "null")
        seen["blank"] += person.first_name in ("", "  ")
        seen["shouted"] += bool(person.last_name and len(person.last_name) > 2 and person.last_name.isupper())
    assert all(seen[kind] > 0 for kind in ("nickname", "swapped", "moved", "nfd", "accent", "null", "sentinel", "blank", "shouted")), seen
    assert all(person.last_name for person in world.salesforce.people)
    assert all(person.company_name for person in world.salesforce.people if person.role == "lead")


def test_couples_share_an_address_and_fathers_and_sons_a_name_and_number(world: World) -> None:
    records = everyone(world)
    homes: dict[str, set[int]] = {}
    for person in records:
        if person.email and person.email.lower().strip().endswith(("mail.example.com", "post.example.net", "inbox.example.org")):
            homes.setdefault(re.sub(r"\+\w+@", "@", person.email.lower().strip()), set()).add(person.person)
    assert any(len(people) == 2 for people in homes.values())
    sons = {person.person: person for person in records if person.last_name and person.last_name.endswith(" Jr.")}
    assert sons
    mobiles = {number: {digits(p.mobile) for p in records if p.person == number and p.mobile} for n in sons for number in (n, n - 1)}
    assert any(mobiles[number] & mobiles[number - 1] for number in sons)


def test_titles_hold_what_breaks_csv_and_screens(world: World) -> None:
    titles = [person.title for person in everyone(world) if person.title]
    for mark in ("\n", '"', ",", "🚀", "マ", "\r\n", ";", "\t"):
        assert any(mark in title for title in titles), mark
    assert max(map(len, titles)) > 128


def test_deals_have_all_kinds_of_contacts_and_amounts(world: World) -> None:
    for kind in KINDS:
        deals = world.view(kind).deals
        assert {0, 1, 2, 3} <= {len(deal.contacts) for deal in deals}
        assert any(len(deal.contacts) > 1 and not any(contact.primary for contact in deal.contacts) for deal in deals)
        assert {None, 0} <= {deal.amount for deal in deals}
        assert any(deal.amount and deal.amount % 1 for deal in deals)
        assert {deal.stage for deal in deals} == set(range(7))
        assert {"USD", "EUR", "GBP"} <= {deal.currency for deal in deals}
        assert any(deal.deleted for deal in deals)
        assert any(deal.company is None for deal in deals)


def test_salesforce_and_marketo_have_campaigns_with_members_and_hubspot_none(world: World) -> None:
    assert [len(world.view(kind).campaigns) for kind in KINDS] == [12, 0, 12]
    members = sum(len(campaign.members) for campaign in world.salesforce.campaigns)
    assert 2000 < members <= 4500


def test_one_owner_of_twelve_has_left(world: World) -> None:
    assert [len(world.owners), sum(not owner.active for owner in world.owners)] == [12, 1]


def test_truth_covers_every_record_once(world: World) -> None:
    found = truth(world)
    people = Counter((r["crm"], r["number"]) for records in found["people"].values() for r in records)
    companies = Counter((r["crm"], r["number"]) for records in found["companies"].values() for r in records)
    assert people == Counter((kind, person.number) for kind in KINDS for person in world.view(kind).people)
    assert companies == Counter((kind, company.number) for kind in KINDS for company in world.view(kind).companies)
    assert max(people.values()) == 1


def test_an_empty_crm_leaves_the_others_as_they_were() -> None:
    full, without = build_world(people=300), build_world(people=300, empty=frozenset({"salesforce"}))
    assert without.salesforce == CrmView("salesforce", (), (), (), ())
    assert list(without.marketo.deals) == list(full.marketo.deals)
    assert list(without.hubspot.people) == [replace(person, salesforce_number=None) for person in full.hubspot.people]


def test_a_world_of_nobody_can_be_built() -> None:
    world = build_world(people=0)
    assert [len(world.view(kind).people) for kind in KINDS] == [0, 0, 0]


def test_phone_numbers_are_given_out_once_until_the_range_ends() -> None:
    numbers = [phone_number("DE", nth) for nth in range(5200)]
    given = [number for number in numbers if number is not None]
    assert len(given) == len(set(given)) == 5100
    assert numbers[-1] is None
    assert len({phone_number("US", nth) for nth in range(50_000)}) == 50_000
