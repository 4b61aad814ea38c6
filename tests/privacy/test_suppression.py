"""Who was erased does not come back, however the CRM spells them; others stay."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.lifting import lift
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.suppression import ERASED, Suppression, SuppressionList

ANN = Person(
    "ann@acme.com",
    ids={("hubspot", "101"), ("salesforce", "003Kx00000AbCdEQAV")},
    keys={"k1"},
    emails={"ann.lee@gmail.com", "Ann.Lee@Acme.com", "info@acme.com", "family@home.example"},
    phones={("(212) 555-0143", "US"), ("+49 30 901820", None), ("212 555 0100", "US")},
    names={("Robert", "Lee")},
    shared={"family@home.example", "+12125550100"},
)
TABLES = {"hubspot": ("contacts", "firstname", "lastname"), "marketo": ("leads", "first_name", "last_name")}


@pytest.fixture
def settings(tmp_path) -> Settings:
    made = Settings(data_dir=tmp_path)
    SuppressionList(made).add("one/0", ANN.hashes(Hasher.of_settings(made)))
    return made


@pytest.fixture
def listed(settings) -> Suppression:
    found = Suppression.of(settings)
    assert found is not None
    return found


def left(listed: Suppression, kind: str, table: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    columns = dict.fromkeys(["id", "connection", "_synced_at", "_deleted", "_merged_into", *(c for row in rows for c in row)])
    given = {
        c: pa.array([{"id": f"9{i}", "connection": kind}.get(c) if c not in row else row[c] for i, row in enumerate(rows)], pa.string())
        for c in columns
    }
    return listed.without_listed(kind, table, kind, pa.table(given)).to_pylist()


@pytest.mark.parametrize(
    "email",
    [
        "ann.lee@gmail.com", " ANN.LEE@GMAIL.COM ", "annlee@gmail.com", "a.n.n.lee+crm@googlemail.com", "Ann Lee <ann.lee@gmail.com>",
        "ann.lee@acme.com", "ANN.lee+x@ACME.com", "mailto:ann.lee@acme.com", "ａｎｎ.ｌｅｅ＠ａｃｍｅ.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["hubspot", "marketo"])
def test_no_spelling_of_an_address_brings_the_person_back(listed, kind, email):
    table, first, last = TABLES[kind]
    rows = left(listed, kind, table, {"email": email, first: "X", last: "Y"}, {"email": "bob@acme.com"})
    assert [row["email"] for row in rows] == ["bob@acme.com"]


@pytest.mark.parametrize(
    "phone", ["2125550143", "+1 212-555-0143", "1 (212) 555 0143", "212.555.0143 ext. 7", "0049 30 901820", "+49(30)901820"]
)
@pytest.mark.parametrize(
    "name", [("Robert", "Lee"), ("Bob", "Lee-Ray"), ("BOBBY", None), (None, "lee"), ("R.", "Lee"), (None, None), ("Lee", "Robert")]
)
def test_no_spelling_of_a_number_brings_the_person_back(listed, phone, name):
    country = "DE" if "49" in phone else None
    row = {"phone": phone, "firstname": name[0], "lastname": name[1], "country": country}
    assert left(listed, "hubspot", "contacts", row) == []


def test_who_has_the_number_now_or_shares_it_stays(listed):
    rows = [
        {"phone": "212-555-0143", "firstname": "Zoe", "lastname": "Ray"},  # the number was given to another
        {"phone": "212-555-0143", "firstname": "Zoe", "lastname": "Lee"},  # the same family name is not the person
        {"phone": "212-555-0100", "firstname": "Zoe", "lastname": "Ray"},  # the switchboard
        {"phone": "212-555-0100"},
        {"email": "info@acme.com", "firstname": "Zoe"},
        {"email": "family@home.example", "firstname": "Zoe", "lastname": "Lee"},
        {"email": "ann.lee@acme.org"},
        {"email": "annlee@acme.com"},  # dots count outside Gmail
        {"email": None},
        {"email": "none@none.com"},
    ]
    assert len(left(listed, "hubspot", "contacts", *rows)) == len(rows)


def test_the_person_on_what_others_have_too_goes(listed):
    rows = [
        {"phone": "212-555-0100", "firstname": "Bob", "lastname": "Lee"},
        {"email": "info@acme.com", "firstname": "Rob"},
        {"email": "FAMILY@home.example", "firstname": "Robert", "lastname": "Lee"},
    ]
    assert left(listed, "hubspot", "contacts", *rows) == []


def test_records_go_by_id_with_all_that_names_them(listed):
    assert left(listed, "hubspot", "contacts", {"id": "101", "_deleted": "true"}, {"id": "55", "_merged_into": "101"}) == []
    assert left(listed, "salesforce", "contact", {"id": "003Kx00000AbCdE"}, {"id": "1", "master_record_id": "003Kx00000AbCdEQAV"}) == []
    assert [row["id"] for row in left(listed, "salesforce", "contact", {"id": "003Kx00000ABCDE"})] == ["003Kx00000ABCDE"], "case counts"
    assert left(listed, "salesforce", "opportunity_contact_role", {"contact_id": "003Kx00000AbCdEQAV"}) == []
    assert left(listed, "hubspot", "lifecycle_stage_history", {"contact_id": "101"}) == []
    (deal,) = left(listed, "salesforce", "opportunity", {"id": "006", "contact_id": "003Kx00000AbCdEQAV", "referrer__c": "003Kx00000AbCdE"})
    assert (deal["contact_id"], deal["referrer__c"]) == (None, None)
    (link,) = left(listed, "hubspot", "deal_contact_associations", {"from_id": "7", "to_id": "101", "category": "HUBSPOT_DEFINED"})
    assert (link["from_id"], link["to_id"], link["category"]) == ("7", None, None), "the set is known to be empty"


def test_a_new_record_of_the_person_teaches_its_id(settings, listed):
    assert left(listed, "hubspot", "contacts", {"id": "777", "email": "AnnLee@gmail.com"}) == []
    assert left(listed, "hubspot", "lifecycle_stage_history", {"contact_id": "777", "id": None}) == []
    again = Suppression.of(settings)
    assert again is not None
    assert left(again, "hubspot", "contacts", {"id": "777", "email": None}) == [], "the next run knows it too"


def test_an_address_in_other_texts_is_taken_out_and_the_row_stays(listed):
    text = "Ann (ann.lee@ACME.com) said: ask joann.lee@acme.com; write annlee+x@gmail.com!"
    (row,) = left(listed, "salesforce", "opportunity", {"id": "006", "description": text})
    assert row["description"] == f"Ann ({ERASED}) said: ask joann.lee@acme.com; write {ERASED}!"
    rows = left(listed, "hubspot", "companies", {"id": "1", "about": "nobody@acme.com"}, {"id": "2", "about": "info@acme.com"})
    assert [row["about"] for row in rows] == ["nobody@acme.com", "info@acme.com"]


def test_a_person_account_goes_and_companies_stay(listed):
    person = {"id": "001P", "is_person_account": "true", "person_email": "ann.lee@gmail.com"}
    company = {"id": "001C", "is_person_account": "false", "phone": "212 555 0143", "person_email": None}
    assert [row["id"] for row in left(listed, "salesforce", "account", person, company)] == ["001C"]
    (deal,) = left(listed, "salesforce", "opportunity", {"id": "006", "account_id": "001P"})
    assert deal["account_id"] is None


def test_nothing_is_looked_at_where_nobody_was_erased(tmp_path):
    assert Suppression.of(Settings(data_dir=tmp_path)) is None
    assert not (tmp_path / "privacy").exists()


def test_the_list_holds_no_value_and_is_for_its_owner_alone(settings):
    path = settings.privacy_dir / "suppression.sqlite"
    content = path.read_bytes().lower()
    for value in (b"lee", b"robert", b"acme", b"gmail", b"5550143", b"003kx"):
        assert value not in content
    assert path.stat().st_mode & 0o077 == 0


def test_off_the_list_with_a_reason_the_person_comes_back(settings, listed):
    left(listed, "hubspot", "contacts", {"id": "777", "email": "AnnLee@gmail.com"})
    erasures, hashes = lift(settings, email="a.nnlee@googlemail.com", reason="asked to come back", who="kim")
    assert erasures == ["one/0"]
    assert hashes > 10
    assert SuppressionList(settings).counts() == {}
    assert Suppression.of(settings) is None
