"""Three invented CRMs full of the dirt that real ones hold, with the truth, from a seed.

The kinds of dirt are those of the public reports: placeholder addresses, shared mailboxes, a switchboard on three rows in ten, made-up phone
numbers, people who changed jobs, nicknames, names changed over, dots and tags in mailboxes, composed and decomposed accents, words for
"nothing", couples with one mailbox, fathers and sons on one phone. Nothing here is known to the resolver. Each record's dirt is told with
the truth, so that one can see which kind is resolved badly.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa

from tests.identity.benchmark import crm_words as words
from tests.identity.records import contact, contacts

CRMS = ("salesforce", "hubspot", "marketo")


@dataclass
class Firm:
    """A company as it is."""

    name: str
    domain: str
    switchboard: str
    first_dot_last: bool
    # Local part of an address -> the numbers of the people who have it, in order: the second gets a 2 behind it.
    holders: dict[str, list[int]] = field(default_factory=dict)

    def address(self, person: Person) -> str:
        """The local part of somebody's address here."""
        given, family = _plain(person.given[0]), _plain(person.family)
        local = f"{given}.{family}" if self.first_dot_last else f"{given[0]}{family}"
        holders = self.holders.setdefault(local, [])
        if person.number not in holders:
            holders.append(person.number)
        place = holders.index(person.number)
        return f"{local}{place + 1}" if place else local


@dataclass
class Person:
    """A person as they are. `suffix` is Sr or Jr; `before` is where they worked until they changed jobs."""

    number: int
    given: tuple[str, ...]
    family: str
    firm: Firm
    before: Firm | None
    mailbox: str
    mobile: str
    suffix: str = ""


def dirty(people: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """Contacts in the columns of `standardized.contacts`, raw and in no order; and connection, customer_id, person and dirt of each."""
    rng = Random(f"crm dirt {seed}")
    world = _World(rng, people)
    rows: list[dict[str, Any]] = []
    truth: list[tuple[int, str]] = []
    for person in world.people:
        for row, dirt in _records_of(rng, person, len(rows)):
            rows.append(row)
            truth.append((person.number, " ".join(dirt) or "clean"))
    order = list(range(len(rows)))
    rng.shuffle(order)
    rows, truth = [rows[place] for place in order], [truth[place] for place in order]
    known = pa.table({
        "connection": [row["connection"] for row in rows], "customer_id": [row["customer_id"] for row in rows],
        "person": [str(person) for person, _ in truth], "dirt": [dirt for _, dirt in truth],
    })  # fmt: skip
    return contacts(rows), known


class _World:
    def __init__(self, rng: Random, people: int):
        self._rng, self._phones = rng, 0
        self._mailboxes: set[tuple[str, str]] = set()
        self._domains: set[str] = set()
        firms = [self._firm() for _ in range(max(1, people // 10))]
        families = [self._family() for _ in range(max(400, people // 6))]
        self.people: list[Person] = []
        while len(self.people) < people:
            # Some names are much more common than others, so namesakes work at different companies.
            family = families[int(len(families) * rng.random() ** 1.6)]
            given = words.GIVEN[int(len(words.GIVEN) * rng.random() ** 1.3)]
            self._add(given, family, rng.choice(firms), rng.choice(firms) if rng.random() < 0.08 else None)
            chance, last = rng.random(), self.people[-1]
            if chance < 0.012:
                self._partner(last, rng.choice(firms))
            elif chance < 0.02:
                self._son(last, rng.choice(firms))
        del self.people[people:]

    def _add(self, given: tuple[str, ...], family: str, firm: Firm, before: Firm | None) -> Person:
        rng, number = self._rng, len(self.people)
        local = f"{_plain(given[0])}{rng.choice(('.', '', '.'))}{_plain(family)}{rng.choice(('', rng.randint(1, 99)))}"
        provider = rng.choice(words.WEBMAIL)
        # What is the same mailbox to the provider belongs to one person.
        if (local.replace(".", ""), provider) in self._mailboxes:
            local = f"{local}.{number}"
        self._mailboxes.add((local.replace(".", ""), provider))
        mailbox = f"{local}@{provider}"
        person = Person(number, given, family, firm, before if before is not firm else None, mailbox, self._phone())
        self.people.append(person)
        return person

    def _partner(self, other: Person, firm: Firm) -> None:
        """Lives with the other: one mailbox and one number at home."""
        given = self._rng.choice([g for g in words.GIVEN if _plain(g[0])[:1] != _plain(other.given[0])[:1]])
        person = self._add(given, other.family, firm, None)
        person.mailbox, person.mobile = other.mailbox, other.mobile

    def _son(self, father: Person, firm: Firm) -> None:
        son = self._add(father.given, father.family, firm, None)
        son.mobile, son.suffix, father.suffix = father.mobile, "Jr", "Sr"

    def _firm(self) -> Firm:
        rng = self._rng
        while True:
            head = f"{rng.choice(words.ONSETS)}{rng.choice(words.VOWELS)}{rng.choice(words.MIDDLES)}{rng.choice(words.COMPANY_ENDINGS)}"
            sector = rng.choice(words.SECTORS)
            domain = f"{_plain(head)}{rng.choice(('', f'-{sector.lower()}', rng.randint(1, 999)))}.example"
            if domain not in self._domains:
                self._domains.add(domain)
                return Firm(f"{head} {sector}{rng.choice(words.FORMS)}", domain, self._phone(), rng.random() < 0.6)

    def _family(self) -> str:
        rng = self._rng
        return f"{rng.choice(words.ONSETS)}{rng.choice(words.VOWELS)}{rng.choice(words.MIDDLES)}{rng.choice(words.ENDINGS)}"

    def _phone(self) -> str:
        """Digits of a number that nobody has (555), each once."""
        self._phones += 1
        block, line = divmod(self._phones * 7919 % (len(words.AREAS) * 10_000), 10_000)
        return f"{words.AREAS[block]}555{line:04d}"


def _records_of(rng: Random, person: Person, count: int) -> list[tuple[dict[str, Any], list[str]]]:
    """What the three CRMs hold of a person, each with the names of its dirt."""
    known = [crm for crm in CRMS if rng.random() < 0.6] or [rng.choice(CRMS)]
    known += [rng.choice(known)] if rng.random() < 0.08 else []
    made: list[tuple[dict[str, Any], list[str]]] = []
    in_salesforce: str | None = None
    for crm in known:
        row, dirt = _record(rng, person, crm, count + len(made))
        if crm == "salesforce":
            in_salesforce = in_salesforce or row["customer_id"]
        elif in_salesforce and rng.random() < 0.35:
            row["salesforce_id"] = in_salesforce
            dirt.append("synced")
        made.append((row, dirt))
    twins = [i for i, (row, _) in enumerate(made) if i and row["connection"] == made[i - 1][0]["connection"]]
    if twins and rng.random() < 0.4:
        loser, winner = made[twins[0]], made[twins[0] - 1]
        loser[0].update(is_deleted=True, merged_into=winner[0]["customer_id"])
        loser[1].append("merged")
    elif rng.random() < 0.02:
        made[-1][0]["is_deleted"] = True
        made[-1][1].append("deleted")
    return made


def _record(rng: Random, person: Person, crm: str, number: int) -> tuple[dict[str, Any], list[str]]:
    dirt: list[str] = []

    def spoil(share: float, kind: str) -> bool:
        if rng.random() < share:
            dirt.append(kind)
            return True
        return False

    firm = person.before if person.before and spoil(0.5, "old job") else person.firm
    assert firm is not None
    first, last = _names(rng, person, spoil)
    customer_id = {"salesforce": f"003Q{number:011d}AAA", "hubspot": str(50_001 + number), "marketo": str(1_000_001 + number)}[crm]
    row = contact(
        f"{crm}:{customer_id}", first_name=first, last_name=last, email=_email(rng, person, firm, spoil), phone=_phone(rng, person, firm, spoil),
        mobile_phone=_written(rng, person.mobile) if rng.random() < 0.3 else rng.choice(words.NOTHING),
        company=_company(rng, firm), title=rng.choice(words.TITLES), city=rng.choice(words.CITIES) if rng.random() < 0.3 else None,
        record_type="lead" if crm == "marketo" or (crm == "salesforce" and rng.random() < 0.4) else "contact",
    )  # fmt: skip
    return row, dirt


def _names(rng: Random, person: Person, spoil: Callable[[float, str], bool]) -> tuple[str | None, str | None]:
    first: str | None = person.given[0]
    last: str | None = person.family
    if len(person.given) > 1 and spoil(0.2, "nickname"):
        first = rng.choice(person.given[1:])
    elif spoil(0.015, "initial"):
        first = f"{person.given[0][0]}{rng.choice(('', '.'))}"
    elif spoil(0.02, "typo in name"):
        last = _typo(rng, person.family)
    if person.suffix:
        last = f"{last}{rng.choice((' ', ', '))}{person.suffix}{rng.choice(('', '.'))}"
    if spoil(0.015, "names changed over"):
        first, last = last, first
    elif spoil(0.015, "no first name"):
        first = rng.choice(words.NOTHING)
    elif spoil(0.01, "no last name"):
        last = rng.choice((*words.NOTHING, "[not provided]", "Unknown"))
    case = rng.random()
    change = str.upper if case < 0.04 else str.lower if case < 0.08 else str
    form = rng.random()
    shape = _decomposed if form < 0.3 else _without_accents if form < 0.45 else str
    pad = (lambda text: f" {text} ") if rng.random() < 0.03 else (lambda text: text)
    first, last = (pad(shape(change(text))) if text else text for text in (first, last))
    return first, last


def _email(rng: Random, person: Person, firm: Firm, spoil: Callable[[float, str], bool]) -> str | None:
    if spoil(0.08, "no mail"):
        return rng.choice(words.NOTHING)
    if spoil(0.03, "placeholder mail"):
        return rng.choice(words.PLACEHOLDERS)
    if spoil(0.06, "shared mailbox"):
        return f"{rng.choice(words.SHARED[:2])}@{firm.domain}"
    if rng.random() < 0.25:
        local, _, domain = person.mailbox.partition("@")
        if domain == "gmail.com" and spoil(0.4, "mailbox dots"):
            local = local.replace(".", "") if rng.random() < 0.5 else f"{local[:2]}.{local[2:].lstrip('.')}"
            domain = rng.choice(("gmail.com", "googlemail.com"))
    else:
        local, domain = firm.address(person), firm.domain
    if spoil(0.015, "typo in mail"):
        local = _typo(rng, local)
    if spoil(0.04, "tag"):
        local = f"{local}+{rng.choice(words.TAGS)}"
    address = f"{local}@{domain}"
    case = rng.random()
    address = address.upper() if case < 0.04 else address.title() if case < 0.1 else address
    return f" {address} " if rng.random() < 0.03 else address


def _phone(rng: Random, person: Person, firm: Firm, spoil: Callable[[float, str], bool]) -> str | None:
    if spoil(0.3, "switchboard"):
        return _written(rng, firm.switchboard)
    if spoil(0.05, "made-up phone"):
        return rng.choice(words.FAKE_PHONES)
    if spoil(0.25, "no phone"):
        return rng.choice(words.NOTHING)
    return _written(rng, person.mobile)


def _company(rng: Random, firm: Firm) -> str | None:
    chance = rng.random()
    if chance < 0.1:
        return rng.choice(words.NOTHING)
    if chance < 0.2:
        return firm.name.upper()
    if chance < 0.35:
        return firm.name.partition(",")[0].removesuffix(" LLC").removesuffix(" Ltd").removesuffix(" GmbH")
    return firm.name


def _written(rng: Random, digits: str) -> str:
    """A number in one of the ways that people write it."""
    area, middle, line = digits[:3], digits[3:6], digits[6:]
    return rng.choice((
        f"({area}) {middle}-{line}", f"{area}-{middle}-{line}", f"{area}.{middle}.{line}", f"+1{digits}", f"+1 {area} {middle} {line}", digits,
        f"1 {area} {middle} {line}", f"({area}) {middle}-{line} x{rng.randint(1, 99)}",
    ))  # fmt: skip


def _typo(rng: Random, word: str) -> str:
    """Two neighbours changed over, one letter lost, or one doubled."""
    if len(word) < 4:
        return word
    at, how = rng.randrange(1, len(word) - 1), rng.randrange(3)
    return (word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:])[how]


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _plain(name: str) -> str:
    """A name's letters as they stand in an address."""
    folded = _without_accents(name.lower()).replace("ø", "o").replace("ł", "l")
    return "".join(c for c in folded if c.isascii() and c.isalnum())
