"""The traps of identity resolution, each with its right answer, alone and among 150 people who have nothing to do with it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cdp_pipelines.identity import resolve
from tests.identity.records import contact, contacts, groups
from tests.identity.strangers import strangers

A, B, C = "salesforce:A", "hubspot:B", "marketo:C"
ANN = {"first_name": "Ann", "last_name": "Lee"}
MOBILE, OTHER_MOBILE, SWITCHBOARD = "(415) 555-2671", "415-555-2698", "+1 212 555 2000"


@dataclass(frozen=True)
class Trap:
    """Records, and which of them are one person."""

    name: str
    records: Sequence[dict[str, Any]]
    people: Sequence[Sequence[str]]


def three(**of_all: Any) -> list[dict[str, Any]]:
    """Three colleagues with what is the same for all."""
    named = ((A, "Maria", "Gonzalez"), (B, "Pavel", "Novak"), (C, "Ingrid", "Olsen"))
    return [contact(key, first_name=first, last_name=last, company="Acme Inc.", **of_all) for key, first, last in named]


APART, ONE, TWO = [[A], [B], [C]], [[A, B]], [[A], [B]]
TRAPS = [
    Trap("three without an address stay three", three(email=None), APART),
    Trap("three with an empty address stay three", three(email=""), APART),
    Trap("three with a word for no address stay three", three(email="N/A"), APART),
    Trap("none@none.com on three people stays three", three(email="none@none.com"), APART),
    Trap("info@ of their company on three colleagues stays three", three(email="info@acme.com"), APART),
    Trap("a switchboard on three colleagues stays three", three(phone=SWITCHBOARD), APART),
    Trap("a made-up phone on three people stays three", three(phone="000-000-0000"), APART),
    Trap("a made-up phone does not join namesakes",
         [contact(A, **ANN, phone="000-000-0000", company="Acme"), contact(B, **ANN, phone="0000000000", company="Globex")], TWO),
    Trap("spouses who share an address are two",
         [contact(A, first_name="Thomas", last_name="Berg", email="berg.family@gmail.com"),
          contact(B, first_name="Lena", last_name="Berg", email="berg.family@gmail.com")], TWO),
    Trap("spouses who share an address and a phone are two",
         [contact(A, first_name="Thomas", last_name="Berg", email="berg.family@gmail.com", phone=MOBILE),
          contact(B, first_name="Lena", last_name="Berg", email="berg.family@gmail.com", phone=MOBILE)], TWO),
    Trap("the same name at two companies is two",
         [contact(A, **ANN, email="ann.lee@acme.com", company="Acme"), contact(B, **ANN, email="ann.lee@globex.com", company="Globex")], TWO),
    Trap("an address in other case and with blanks is the same",
         [contact(A, **ANN, email=" Ann.Lee@Acme.COM "), contact(B, **ANN, email="ann.lee@acme.com")], ONE),
    Trap("dots and tags make no other mailbox at Gmail",
         [contact(A, **ANN, email="ann.lee@gmail.com"), contact(B, **ANN, email="annlee+crm@googlemail.com")], ONE),
    Trap("dots make another mailbox at a company",
         [contact(A, **ANN, email="ann.lee@acme.com", company="Acme"), contact(B, **ANN, email="annlee@acme.com", company="Acme")], TWO),
    Trap("composed and decomposed accents are the same name",
         [contact(A, first_name=unicodedata.normalize("NFC", "Zoë"), last_name=unicodedata.normalize("NFC", "Núñez"), mobile_phone=MOBILE),
          contact(B, first_name=unicodedata.normalize("NFD", "Zoë"), last_name=unicodedata.normalize("NFD", "Núñez"), phone=MOBILE)], ONE),
    Trap("composed and decomposed accents in an address are the same mailbox",
         [contact(A, **ANN, email=unicodedata.normalize("NFC", "zoë@acme.com")), contact(B, **ANN, email=unicodedata.normalize("NFD", "zoë@acme.com"))],
         ONE),
    Trap("Robert and Bob with a new address and the same mobile are one",
         [contact(A, first_name="Robert", last_name="Fischer", email="robert.fischer@acme.com", mobile_phone=MOBILE),
          contact(B, first_name="Bob", last_name="Fischer", email="bob.fischer@globex.com", mobile_phone=MOBILE)], ONE),
    Trap("A and B by their address, B and C by a phone alone, is two",
         [contact(A, **ANN, email="ann.lee@acme.com", phone=OTHER_MOBILE), contact(B, **ANN, email="ann.lee@acme.com", phone=MOBILE),
          contact(C, first_name="Omar", last_name="Haddad", phone=MOBILE)], [[A, B], [C]]),
    Trap("A and B by their address, B and C by a phone without a name, is two",
         [contact(A, **ANN, email="ann.lee@acme.com", phone=OTHER_MOBILE), contact(B, **ANN, email="ann.lee@acme.com", phone=MOBILE),
          contact(C, phone=MOBILE)], [[A, B], [C]]),
    Trap("father and son on one phone are two",
         [contact(A, first_name="Frank", last_name="Miller Sr", phone=MOBILE), contact(B, first_name="Frank", last_name="Miller Jr.", phone=MOBILE)], TWO),
    Trap("a lead here, a contact there and a deleted record elsewhere are one",
         [contact(A, **ANN, email="ann.lee@acme.com", record_type="lead"), contact(B, **ANN, email="ann.lee@acme.com"),
          contact(C, **ANN, email="ann.lee@acme.com", is_deleted=True)], [[A, B, C]]),
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_alone(trap: Trap) -> None:
    assert groups(resolve(contacts(trap.records)).customer_contacts) == sorted(sorted(person) for person in trap.people)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_among_150_strangers(trap: Trap) -> None:
    found = groups(resolve(contacts([*trap.records, *strangers(150)])).customer_contacts)
    members = {f"{record['connection']}:{record['customer_id']}" for record in trap.records}
    assert [person for person in found if members & set(person)] == sorted(sorted(person) for person in trap.people)
