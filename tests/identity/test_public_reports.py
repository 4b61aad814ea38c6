"""What users of other tools reported about identity, each as a test of ours. A test's docstring names the reports."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from cdp_pipelines.identity import Options, Resolution, resolve
from cdp_pipelines.identity.particulars import BadContacts
from tests.identity.records import NOON, SCHEMA, contact, contacts, groups, keys
from tests.identity.strangers import strangers

ANN = {"first_name": "Ann", "last_name": "Lee"}
# No two of these go together, by any spelling.
NAMES = [
    (first, last)
    for first in ("Maria", "Pavel", "Ingrid", "Omar", "Yuki", "Chiara", "Dmitri", "Fatima", "Hugo", "Zanele")
    for last in ("Gonzalez", "Novak", "Olsen", "Haddad", "Tanaka", "Ricci", "Volkov", "Rahman", "Lefevre", "Dlamini", "Smith", "Kowalski")
]


def found(*records: dict[str, Any], **more: Any) -> list[list[str]]:
    return groups(resolve(contacts(records), **more).customer_contacts)


def largest(*records: dict[str, Any]) -> int:
    return max(len(person) for person in found(*records))


def test_what_a_company_shares_is_nobodys_identity() -> None:
    """goldenmatch #858, #1056: company, title and city were taken for identity; one cluster had 89 rows."""
    shared = {"company": "Acme Inc.", "title": "Engineer", "city": "Boston", "state": "MA", "country": "US", "phone": "617-555-0100"}
    people = [
        contact(f"{crm}:{n}", first_name=first, last_name=last, email=f"{first}.{last}@acme.com".lower(), **shared)
        for crm in ("salesforce", "hubspot", "marketo")
        for n, (first, last) in enumerate(NAMES[:40])
    ]
    assert found(*people) == sorted(sorted(f"{crm}:{n}" for crm in ("salesforce", "hubspot", "marketo")) for n in range(40))


@pytest.mark.parametrize("value", ["email", "phone", "mobile_phone"])
@pytest.mark.parametrize("bearers", [3, 120])
def test_a_value_of_many_joins_nobody_however_many_they_are(value: str, bearers: int) -> None:
    """goldenmatch #2750: its detector of too large clusters lay above its cap, so it never fired."""
    given = "front.desk@acme.com" if value == "email" else "(415) 555-2671"
    assert largest(*(contact(f"hubspot:{n}", first_name=f, last_name=s, **{value: given}) for n, (f, s) in enumerate(NAMES[:bearers]))) == 1


def told(resolution: Resolution) -> set[tuple[str, str]]:
    """The pairs that somebody is told of: kept apart by a veto, or to be looked at."""
    pairs = [*resolution.vetoes.to_pylist(), *resolution.review.to_pylist()]
    return {(pair["left_customer_id"], pair["right_customer_id"]) for pair in pairs}


def test_names_that_contradict_each_other_are_told() -> None:
    """goldenmatch #1261: a configuration with a precision of .22 was reported as free of risk."""
    pair = [
        contact("hubspot:1", **ANN, email="lee@gmail.com"),
        contact("hubspot:2", first_name="Omar", last_name="Lee", email="lee@gmail.com"),
    ]
    assert told(resolve(contacts(pair))) == {("1", "2")}
    same = [
        contact("hubspot:1", **ANN, email="ann.lee@acme.com"),
        contact("hubspot:2", **ANN, email="annlee@acme.com", phone="(415) 555-2671"),
    ]
    same[0]["phone"] = same[1]["phone"]
    resolution = resolve(contacts(same))
    assert [veto["rule"] for veto in resolution.vetoes.to_pylist()] == ["mailboxes_of_one_company"]


def test_what_a_crm_merged_does_not_bridge_two_people() -> None:
    """goldenmatch #2389: pairs that were sure were put in before clustering and fused whole components."""
    records = [
        contact("salesforce:1", first_name="Maria", last_name="Gonzalez", email="maria@acme.com"),
        contact("salesforce:2", first_name="Maria", last_name="Gonzalez", email="office1@acme.com", is_deleted=True, merged_into="1"),
        contact("hubspot:3", first_name="Pavel", last_name="Novak", email="office1@acme.com"),
        contact("hubspot:4", first_name="Pavel", last_name="Novak", email="pavel@acme.com", salesforce_id="1"),
    ]
    people = found(*records)
    assert not any({"salesforce:1", "hubspot:3"} <= set(person) for person in people)
    assert ["salesforce:1", "salesforce:2"] in [[m for m in person if m.startswith("salesforce")] for person in people]


NOTHING = ("<NA>", "nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "#N/A", "undefined", "-", "--", " ", "", ".")


@pytest.mark.parametrize("field", ["email", "phone", "mobile_phone", "salesforce_id"])
def test_a_word_for_nothing_is_nothing(field: str) -> None:
    """splink #657: a missing value became the text '<NA>' and matched itself; PostHog #5527: identify(null) merged everybody."""
    namesakes = [
        contact(f"hubspot:{nothing or 'empty'} {n}", first_name=first, last_name=last, company=f"Company {n}", **{field: nothing})
        for nothing, (first, last) in zip(NOTHING, NAMES, strict=False)
        for n in (1, 2)
    ]
    assert [person for person in found(*namesakes) if len(person) > 1] == []


def test_any_field_may_be_null() -> None:
    """splink #2872: a field without a value broke the comparison."""
    fields = [field for field in SCHEMA.names if field not in ("connection", "customer_id")]
    pairs = []
    for place, (field, (first, last)) in enumerate(zip(fields, NAMES, strict=False)):
        full = {"first_name": first, "last_name": last, "email": f"{first}.{last}@acme.com", "mobile_phone": f"(415) 555-2{place:03d}"}
        pairs += [contact(f"hubspot:{field} {n}", **{**full, field: None}) for n in (1, 2)]
    assert {len(person) for person in found(*pairs)} == {2}


@pytest.mark.parametrize(
    "field", ["source_system", "record_type", "first_name", "email", "phone", "company", "created_date", "is_deleted", "merged_into"]
)
def test_any_field_may_be_absent(field: str) -> None:
    full = {**ANN, "email": "ann@acme.com", "phone": "(415) 555-2671", "mobile_phone": "(415) 555-2671", "company": "Acme"}
    pair = contacts([contact("hubspot:1", **full), contact("hubspot:2", **full)])
    assert groups(resolve(pair.drop_columns([field])).customer_contacts) == [["hubspot:1", "hubspot:2"]]


def test_no_contacts_are_no_customers() -> None:
    resolution = resolve(contacts([]))
    assert (resolution.customers.num_rows, resolution.customer_contacts.num_rows, resolution.edges.num_rows) == (0, 0, 0)


def test_a_bridge_joins_one_side_alone() -> None:
    """splink #1824, #2653, PR #3031: A-B and B-C were linked, so A and C were one person although they contradict each other."""
    records = [
        contact("salesforce:1", first_name="Maria", last_name="Gonzalez", email="maria.gonzalez@acme.com"),
        contact("hubspot:2", email="maria.gonzalez@acme.com", mobile_phone="(415) 555-2671"),
        contact("marketo:3", first_name="Pavel", last_name="Novak", mobile_phone="(415) 555-2671"),
    ]
    for order in (records, records[::-1]):
        assert not any({"salesforce:1", "marketo:3"} <= set(person) for person in found(*order))


def test_a_key_does_not_follow_the_smallest_id() -> None:
    """splink #1720: the cluster's id was its smallest member's, so that a newcomer or a deletion renamed it."""
    m2, z9 = (contact(f"hubspot:{name}", **ANN, email="ann@acme.com") for name in ("m2", "z9"))
    a1 = contact("hubspot:a1", **ANN, email="ann@acme.com")
    first = resolve(contacts([m2, z9])).customer_contacts
    key = keys(first)["hubspot:m2"]
    with_a1 = resolve(contacts([a1, m2, z9]), previous=first).customer_contacts
    assert set(keys(with_a1).values()) == {key}
    without_m2 = resolve(contacts([a1, z9]), previous=with_a1).customer_contacts
    assert set(keys(without_m2).values()) == {key}


def test_null_is_no_evidence() -> None:
    """zingg #892: nulls matched by default; SEED #126: blank fields matched in full."""
    assert largest(*(contact(f"hubspot:{n}") for n in range(5))) == 1
    assert (
        largest(*(contact(f"hubspot:{n}", **dict.fromkeys(("first_name", "last_name", "email", "phone", "company"), "")) for n in range(5)))
        == 1
    )


@pytest.mark.parametrize("others", [0, 150, pytest.param(3000, marks=pytest.mark.slow)])
def test_the_same_records_are_the_same_people_in_any_company(others: int) -> None:
    """zingg #1239: the same 28 records were 6 people among 2.6 million and 24 among 14.5 million."""
    variants = [
        ("Robert", "Fischer"),
        ("Bob", "Fischer"),
        ("ROBERT", "FISCHER"),
        ("Robert", "Fisher"),
        ("R.", "Fischer"),
        ("Fischer", "Robert"),
    ]
    variants.append(("Rob", "Fischer"))
    records = [
        contact(
            f"{crm}:{n}", first_name=first, last_name=last, email="robert.fischer@acme.com", mobile_phone="(415) 555-2671", company="Acme"
        )
        for n, (first, last) in enumerate(variants)
        for crm in ("salesforce", "hubspot", "marketo", "salesforce2")
    ]
    members = sorted(f"{r['connection']}:{r['customer_id']}" for r in records)
    assert [person for person in found(*records, *(strangers(others) if others else ())) if set(members) & set(person)] == [members]


ONE_MAILBOX = [
    ("HELLO.Ann@Acme.com", "hello.ann@acme.com"),
    (" ann@acme.com", "ann@acme.com\t"),
    ("a.n.n.lee@gmail.com", "annlee@gmail.com"),
    ("ann.lee@googlemail.com", "annlee@gmail.com"),
    ("ann.lee@proton.me", "annlee@protonmail.com"),
    ("ann_lee@proton.me", "annlee@pm.me"),
    ("ann+crm@acme.com", "ann@acme.com"),
    ("ann+a@outlook.com", "ann+b@outlook.com"),
    ("ann@ACME.com.", "ann@acme.com"),
    ("mailto:ann@acme.com", "ann@acme.com"),
    ("Ann Lee <ann@acme.com>", "ann@acme.com"),
]
TWO_MAILBOXES = [
    ("ann.lee@outlook.com", "annlee@outlook.com"),
    ("ann.lee@yahoo.com", "annlee@yahoo.com"),
    ("ann.lee@acme.com", "annlee@acme.com"),
    ("ann-lee@gmail.com", "annlee@gmail.com"),
    ("ann@acme.com", "ann@acme.co"),
]


@pytest.mark.parametrize(("one", "other"), ONE_MAILBOX)
def test_one_mailbox_in_two_spellings_is_one_person(one: str, other: str) -> None:
    """mautic #5149 and PR #5309, RocketChat PR #33811, Rock #1295 (case); okuna-api #406, cloud PR #2603, lila PR #5998 (dots, googlemail,
    proton); django-registration #136, better-auth #4671 (tags)."""
    assert found(contact("hubspot:1", **ANN, email=one), contact("hubspot:2", **ANN, email=other)) == [["hubspot:1", "hubspot:2"]]


@pytest.mark.parametrize(("one", "other"), TWO_MAILBOXES)
def test_a_providers_rule_holds_for_that_provider_alone(one: str, other: str) -> None:
    """The same reports: where dots and hyphens count, they make another mailbox."""
    pair = (contact("hubspot:1", email=one), contact("hubspot:2", email=other))
    assert found(*pair) == [["hubspot:1"], ["hubspot:2"]]


def test_tags_can_be_made_to_count() -> None:
    """django-registration #136, better-auth #4671: whether a tag is a mailbox of its own is for the owner of the data to say."""
    pair = (contact("hubspot:1", email="ann+one@acme.com"), contact("hubspot:2", email="ann+two@acme.com"))
    assert found(*pair) == [["hubspot:1", "hubspot:2"]]
    assert found(*pair, options=Options(plus_tags=False)) == [["hubspot:1"], ["hubspot:2"]]


def test_a_family_with_one_mailbox_is_not_one_person() -> None:
    """tutanota #4186: a family shares an address; who has other names must not be merged into one silently, but looked at."""
    family = [
        contact(f"hubspot:{n}", first_name=first, last_name="Berg", email="familie.berg@web.de")
        for n, first in enumerate(("Thomas", "Lena", "Jonas"))
    ]
    couple = resolve(contacts(family[:2]))
    assert (groups(couple.customer_contacts), told(couple)) == ([["hubspot:0"], ["hubspot:1"]], {("0", "1")})
    assert found(*family) == [["hubspot:0"], ["hubspot:1"], ["hubspot:2"]]


REFERENCES = ("000000000000000", "000000000000000AAA", "null", "undefined", "0", "-1", "anonymous", "guest", "unknown")


@pytest.mark.parametrize("named", [True, False])
def test_a_reference_that_names_nobody_joins_nobody(named: bool) -> None:
    """PostHog #5527: identify('null') and the like merged everybody into one."""
    records = [
        contact(f"hubspot:{reference} {n}", salesforce_id=reference, **({"first_name": first, "last_name": last} if named else {}))
        for reference in REFERENCES
        for n, (first, last) in enumerate(NAMES[:3])
    ]
    assert largest(*records) == 1


def test_two_identified_people_are_not_merged_by_a_reference() -> None:
    """PostHog #5527: never merge two who are identified already."""
    records = [
        contact("salesforce:003A", first_name="Maria", last_name="Gonzalez", email="maria@acme.com"),
        contact("hubspot:1", first_name="Pavel", last_name="Novak", email="pavel@globex.com", salesforce_id="003A"),
    ]
    assert found(*records) == [["hubspot:1"], ["salesforce:003A"]]


def test_a_shared_device_merges_nobody() -> None:
    """rudder-transformer #1180: two users of one device became one. Here: one desk phone after the other."""
    records = [
        contact("hubspot:1", first_name="Maria", last_name="Gonzalez", email="maria@acme.com", phone="(415) 555-2671"),
        contact("hubspot:2", first_name="Pavel", last_name="Novak", email="pavel@acme.com", phone="(415) 555-2671"),
    ]
    assert largest(*records) == 1


def test_what_was_put_together_wrongly_can_be_taken_apart_for_good() -> None:
    """rudder-transformer #1180: the merge could not be undone."""
    records = [contact("hubspot:1", **ANN, email="ann@acme.com"), contact("marketo:2", **ANN, email="ann@acme.com")]
    decided = {
        "kind": "split",
        "left_connection": "hubspot",
        "left_customer_id": "1",
        "right_connection": "marketo",
        "right_customer_id": "2",
    }
    together = resolve(contacts(records))
    apart = resolve(contacts(records), previous=together.customer_contacts, overrides=pa.Table.from_pylist([decided]))
    assert (groups(together.customer_contacts), groups(apart.customer_contacts)) == (
        [["hubspot:1", "marketo:2"]],
        [["hubspot:1"], ["marketo:2"]],
    )
    assert apart.overrides["outcome"].to_pylist() == ["against_evidence"]
    # Neither the next run nor a third record of both brings them together again.
    third = contact("salesforce:3", **ANN, email="ann@acme.com")
    later = resolve(contacts([*records, third]), previous=apart.customer_contacts, overrides=pa.Table.from_pylist([decided]))
    assert keys(later.customer_contacts)["hubspot:1"] != keys(later.customer_contacts)["marketo:2"]
    assert {key: later_key for key, later_key in keys(later.customer_contacts).items() if key != "salesforce:3"} == keys(
        apart.customer_contacts
    )


def test_a_lead_and_a_contact_are_compared() -> None:
    """neotoma #1509: two kinds of record with the same address were never paired."""
    pair = [
        contact("salesforce:00Q1", **ANN, email="ann@acme.com", record_type="lead"),
        contact("salesforce:0031", **ANN, email="ann@acme.com"),
    ]
    assert found(*pair) == [["salesforce:0031", "salesforce:00Q1"]]


def test_a_merge_with_an_empty_address_works() -> None:
    """Nitrokey/odoo-modules PR #105: a merge crashed on an empty address."""
    pair = [contact("hubspot:1", email="", is_deleted=True, merged_into="2"), contact("hubspot:2", email=" ")]
    assert found(*pair) == [["hubspot:1", "hubspot:2"]]


def test_what_was_merged_away_belongs_to_the_winner_and_is_not_current() -> None:
    """tap-hubspot #49, dbt_hubspot #46 and #134: merged contacts stayed alive, with their addresses a second time."""
    records = [
        contact("hubspot:1", first_name="Pavel", last_name="Novak", email="old@acme.com", is_deleted=True, merged_into="2"),
        contact("hubspot:2", **ANN, email="ann@acme.com"),
    ]
    links = {row["customer_id"]: row for row in resolve(contacts(records)).customer_contacts.to_pylist()}
    assert links["1"]["customer_key"] == links["2"]["customer_key"]
    assert (links["1"]["is_current"], links["2"]["is_current"]) == (False, True)


def test_a_deleted_record_stays_with_its_person_and_is_not_current() -> None:
    """tap-hubspot #64, airbyte #35017, #21471: deletions were not seen."""
    pair = [contact("hubspot:1", **ANN, email="ann@acme.com", is_deleted=True), contact("marketo:2", **ANN, email="ann@acme.com")]
    resolution = resolve(contacts(pair))
    current = {row["customer_id"]: row["is_current"] for row in resolution.customer_contacts.to_pylist()}
    assert (groups(resolution.customer_contacts), current) == ([["hubspot:1", "marketo:2"]], {"1": False, "2": True})
    alone = resolve(contacts(pair[:1])).customers.to_pylist()
    assert [customer["is_current"] for customer in alone] == [False]


def test_a_chain_of_merges_ends_in_one_person() -> None:
    """simple-salesforce #34, airbyte #10155: MasterRecordId was not followed."""
    records = [
        contact("salesforce:1", **ANN, is_deleted=True, merged_into="2"),
        contact("salesforce:2", **ANN, is_deleted=True, merged_into="3"),
        contact("salesforce:3", **ANN, email="ann@acme.com"),
        contact("salesforce:4", record_type="lead", **ANN, is_deleted=True, converted_contact_id="1"),
    ]
    assert found(*records) == [[f"salesforce:{n}" for n in (1, 2, 3, 4)]]


@pytest.mark.parametrize("into", ["1", "9", "", "2"])
def test_a_merge_into_itself_into_nobody_or_round_in_a_circle_does_not_hurt(into: str) -> None:
    records = [
        contact("salesforce:1", **ANN, merged_into=into, is_deleted=True),
        contact("salesforce:2", **ANN, merged_into="1", is_deleted=True),
    ]
    assert found(*records) == [["salesforce:1", "salesforce:2"]]


def test_whoever_has_the_old_key_finds_the_person() -> None:
    """springboard_modules PR #1416: a write to a merged id gave ENTITY_IS_DELETED."""
    before = [
        contact("salesforce:1", **ANN, email="ann@acme.com"),
        contact("salesforce:2", first_name="A.", last_name="Lee", email="lee@globex.com"),
    ]
    first = resolve(contacts(before))
    old = keys(first.customer_contacts)
    assert old["salesforce:1"] != old["salesforce:2"]
    after = resolve(contacts([before[0], {**before[1], "is_deleted": True, "merged_into": "1"}]), previous=first.customer_contacts)
    (now,) = set(keys(after.customer_contacts).values())
    (gone,) = set(old.values()) - {now}
    assert [(a["old_key"], a["new_key"], a["reason"]) for a in after.aliases.to_pylist()] == [(gone, now, "merged")]


def test_a_record_that_is_there_twice_is_refused() -> None:
    """airbyte #20471: after an upgrade of a connector each Salesforce id was there several times."""
    record = contact("salesforce:003A", **ANN)
    with pytest.raises(BadContacts, match="salesforce:003A"):
        resolve(contacts([record, {**record, "last_updated": NOON.replace(hour=13)}]))
    # The same id in another connection is another record.
    assert resolve(contacts([record, contact("salesforce2:003A", first_name="Omar", last_name="Haddad")])).customers.num_rows == 2
