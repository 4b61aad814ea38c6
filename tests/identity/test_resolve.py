"""The rules, the vetoes and the order in which they are followed; the traps are in test_traps.py."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cdp_pipelines.identity import BadContacts, Options, resolve
from tests.identity.given import contacts, person, together

ACME = {"company": "Acme Inc."}


def test_no_contacts_are_no_customers():
    found = resolve(contacts())
    assert found.customers.num_rows == found.edges.num_rows == found.ledger.num_rows == 0
    assert found.churn == 0


def test_contacts_may_lack_every_column_but_the_key():
    found = resolve(pa.table({"connection": ["hubspot", "hubspot"], "customer_id": ["1", "2"]}))
    assert found.customer_contacts.column("rule").to_pylist() == ["alone", "alone"]
    assert found.customer_contacts.column("is_current").to_pylist() == [True, True]


@pytest.mark.parametrize("ids", [["1", "1"], ["1", None]])
def test_a_key_that_is_missing_or_there_twice_is_refused(ids):
    with pytest.raises(BadContacts, match=r"hubspot:1|customer_id"):
        resolve(pa.table({"connection": ["hubspot", "hubspot"], "customer_id": pa.array(ids, pa.string())}))


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("email_and_name", person("Ann Lee", "ann@acme.com"), person("Anne Lee", "Ann+x@acme.com")),
        ("email", person("Ann Lee", "ann@acme.com"), person(None, "ann@acme.com")),
        ("phone_and_name", person("Ann Lee", "ann@gmail.com", "212-555-0143"), person("A. Lee", "ann@acme.com", "+12125550143")),
        ("phone_and_name", person("Ann N/A", phone="212-555-0143"), person("Ann Lee", phone="(212) 555 0143")),
        ("company_and_name", person("Ann Lee", "ann@gmail.com", **ACME), person("Anne Lee", "ann.lee@acme.com")),
        ("crm_reference", person("Ann Lee", salesforce_id="003Kx0000012345IAA"), person(source_system="salesforce", connection="sf", customer_id="003Kx0000012345")),
        ("merged", person("Ann Lee", merged_into="2", is_deleted=True), person("Bob Ray")),
        ("converted", person("Ann Lee", converted_contact_id="2"), person("Ann Lee")),
        ("civil_data", person("Ann Lee", date_of_birth="1980-02-01", street="1 High St"), person("Ann Smith", date_of_birth="19800201", street="1 High St.")),
    ],
)  # fmt: skip
def test_a_rule_joins_two(rule, one, other):
    found = resolve(contacts(one, other))
    assert found.customers.num_rows == 1
    assert found.customer_contacts.column("rule").to_pylist() == [rule, rule]
    assert found.edges.select(["rule", "is_decisive"]).to_pylist() == [{"rule": rule, "is_decisive": True}]


@pytest.mark.parametrize(
    ("veto", "one", "other"),
    [
        ("names_contradict", person("Ann Lee", "lee@gmail.com"), person("Bob Lee", "lee@gmail.com")),
        ("names_contradict", person("Ann Lee", phone="212-555-0143"), person("Ann Ray", phone="212-555-0143")),
        ("names_contradict", person("Ann Lee", salesforce_id="003Kx0000012345IAA"), person("Bob Ray", source_system="salesforce", customer_id="003Kx0000012345")),
        ("generations_differ", person("Jo Lee Sr", "lee@gmail.com"), person("Jo Lee Jr", "lee@gmail.com")),
        ("mailboxes_of_one_company", person("Ann Lee", "ann.lee@acme.com", **ACME), person("Ann Lee", "annlee@acme.com", **ACME)),
    ],
)  # fmt: skip
def test_a_veto_keeps_two_apart_and_is_told(veto, one, other):
    found = resolve(contacts(one, other))
    assert found.customers.num_rows == 2
    assert found.vetoes.column("rule").to_pylist() == [veto]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (person("Ann Lee", **ACME), person("Ann Lee", company="Initech")),
        (person("Ann Lee"), person("Ann Lee")),
        (person(None, phone="212-555-0143"), person("Ann Lee", phone="212-555-0143")),
        (person("A. Lee", **ACME), person("Ann Lee", **ACME)),
        (person(None, "none@none.com"), person(None, "none@none.com")),
        (person("Ann Lee", salesforce_id="null"), person("Ann Lee", salesforce_id="null")),
        (person("Ann Lee", date_of_birth="19800201", street="1 High St"), person("Eva Lee", date_of_birth="19800201", street="1 High St")),
        (person("Jo Lee", phone="212-555-0143"), person("Jo Lee Jr", phone="212-555-0143")),
    ],
)
def test_too_little_joins_nobody(one, other):
    assert resolve(contacts(one, other)).customers.num_rows == 2


def test_a_bridge_does_not_join_two_people():
    found = resolve(
        contacts(person("Ann Lee", "lee@gmail.com"), person(None, "lee@gmail.com", "212-555-0143"), person("Bob Lee", phone="212-555-0143"))
    )
    assert together(found) == ["1 2", "3"]


def test_a_merged_records_old_name_does_not_keep_its_survivor_from_others():
    found = resolve(contacts(
        person("Bob Ray", merged_into="2", is_deleted=True), person("Ann Lee", "ann@acme.com"), person("Ann Lee", "ann@acme.com", connection="mk")
    ))  # fmt: skip
    assert together(found) == ["1 2 3"]
    assert found.customer_contacts.column("is_current").to_pylist() == [False, True, True]


def test_an_id_that_two_orgs_have_refers_to_neither():
    found = resolve(contacts(
        person(salesforce_id="003Kx0000012345IAA"), person(source_system="salesforce", connection="a", customer_id="003Kx0000012345"),
        person(source_system="salesforce", connection="b", customer_id="003Kx0000012345"),
    ))  # fmt: skip
    assert found.customers.num_rows == 3


def test_twins_can_be_ruled_out():
    rows = contacts(
        person("Ann Lee", date_of_birth="19800201", street="1 High St", postcode="1000"),
        person("Eva Lee", date_of_birth="19800201", street="1 High St", postcode="1000"),
    )
    assert resolve(rows, options=Options(twins=False)).customers.num_rows == 1


def test_numbers_without_country_code_are_of_the_records_country_or_the_settings():
    rows = contacts(
        person("Ann Lee", phone="030 901820", country="Germany"),
        person("Ann Lee", phone="+49 30 901820"),
        person("Ann Lee", phone="030 901820"),
    )
    assert together(resolve(rows)) == ["1 2", "3"]
    assert together(resolve(rows, options=Options(region="DE"))) == ["1 2 3"]


def test_a_block_of_very_many_records_is_gone_through_without_all_its_pairs():
    many = resolve(contacts(*(person("Ann Lee", "ann@acme.com") for _ in range(300))))
    assert many.customers.num_rows == 1
    assert many.edges.num_rows < 2000


def test_in_doubt_a_pair_goes_to_review_once_for_two_people():
    found = resolve(contacts(
        person("Ann Lee", "lee@gmail.com"), person("Ann Lee", "lee@gmail.com"), person("Bob Lee", "lee@gmail.com"), person("A. Ray", **ACME), person("Al Ray", **ACME)
    ))  # fmt: skip
    assert [(r["reason"], r["evidence"]) for r in found.review.to_pylist()] == [
        ("names_contradict", "same_email_other_name"), ("not_enough", "part_of_name_at_company"),
    ]  # fmt: skip
