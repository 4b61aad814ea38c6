"""Merging pairs into people, the surest first, never across a veto: a bridge record cannot join two people."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from cdp_pipelines.identity.emails import is_slip
from cdp_pipelines.identity.judging import STATED
from cdp_pipelines.identity.names import Agreement, compare
from cdp_pipelines.identity.particulars import NONE, Particulars

NAMES, GENERATIONS, MAILBOXES, SPLIT = "names_contradict", "generations_differ", "mailboxes_of_one_company", "override"


@dataclass(slots=True)
class _Person:
    """What the records of one person hold that can speak against another."""

    records: list[int]
    names: set[int]
    mailboxes: dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Link:
    """A pair that a rule joins. Ordered by priority, then by how well the names agree, then by the records' keys."""

    priority: int
    unlikeness: int
    a: int
    b: int
    rule: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A link that was not followed: the rule of the veto, and the two records between which it stands."""

    link: Link
    veto: str
    left: int
    right: int


@dataclass
class Merged:
    """Each record's person (the number of its first record), the links that made people, and those refused.

    `against` has the veto that an override was followed in spite of, by its pair.
    """

    person_of: list[int]
    made: list[Link] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    against: dict[tuple[int, int], str] = field(default_factory=dict)


def merge(found: Particulars, links: Iterable[Link], *, splits: Iterable[tuple[int, int]] = (), moved: Collection[int] = ()) -> Merged:
    """Follow the links in order. A link is followed only if no record on one side is vetoed against any on the other.

    Vetoes: a split that somebody decided; names that contradict each other; different generations; two personal mailboxes of one company.
    What a CRM or a person stated (merged, converted, override) is held up by a split alone. `moved` are records that a CRM merged into or
    converted to another one: a name of theirs that contradicts that one's has no say.
    """
    people = _People(found, splits)
    stated, likely = [], []
    for link in sorted(links, key=lambda x: (x.priority, x.unlikeness, x.a, x.b)):
        (stated if link.rule in STATED else likely).append(link)
    for link in stated:
        people.follow(link)
    people.forget_names(moved)
    for link in likely:
        people.follow(link)
    return Merged([people.root(record) for record in range(len(found))], people.made, people.refused, people.against)


class _People:
    """The people as they grow together."""

    def __init__(self, found: Particulars, splits: Iterable[tuple[int, int]]):
        self._found = found
        self._parent = list(range(len(found)))
        self._people: dict[int, _Person] = {}
        self._apart: dict[int, set[int]] = {}
        for a, b in splits:
            self._apart.setdefault(a, set()).add(b)
            self._apart.setdefault(b, set()).add(a)
        self.made: list[Link] = []
        self.refused: list[Refusal] = []
        self.against: dict[tuple[int, int], str] = {}

    def root(self, record: int) -> int:
        parent = self._parent
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    def follow(self, link: Link) -> None:
        """Make one person of the two, unless a veto stands between them."""
        left, right = sorted((self.root(link.a), self.root(link.b)))
        if left == right:
            return
        one, other = self._person(left), self._person(right)
        veto = self._split(one, other)
        if not veto and (link.rule not in STATED or link.rule == "override"):
            veto = _veto(self._found, one, other, link.rule, same_name=not link.unlikeness)
            if veto and link.rule == "override":
                self.against[link.a, link.b] = veto[0]
                veto = None
        if veto:
            self.refused.append(Refusal(link, *veto))
            return
        self._parent[right] = left
        one.records += other.records
        one.names |= other.names
        for domain, own in other.mailboxes.items():
            one.mailboxes[domain] = one.mailboxes.get(domain, set()) | own
        del self._people[right]
        self.made.append(link)

    def forget_names(self, moved: Collection[int]) -> None:
        """Leave out the names of moved records that contradict those of the others of their person."""
        for person in self._people.values():
            staying = {int(self._found.name_of[r]) for r in person.records if r not in moved} - {NONE}
            leaving = person.names - staying
            names = self._found.names
            person.names -= {n for n in leaving if any(compare(names[n], names[s]) < Agreement.UNKNOWN for s in staying)}

    def _person(self, record: int) -> _Person:
        if (known := self._people.get(record)) is None:
            known = self._people[record] = _Person([record], _names(self._found, record), _mailboxes(self._found, record))
        return known

    def _split(self, one: _Person, other: _Person) -> tuple[str, int, int] | None:
        if self._apart:
            theirs = set(other.records)
            for record in sorted(one.records):
                if hit := self._apart.get(record, set()) & theirs:
                    return SPLIT, record, min(hit)
        return None


def _names(found: Particulars, record: int) -> set[int]:
    number = int(found.name_of[record])
    return set() if number == NONE else {number}


def _mailboxes(found: Particulars, record: int) -> dict[str, set[str]]:
    number = int(found.mailbox_of[record])
    if number == NONE:
        return {}
    mailbox = found.mailboxes[number]
    return {mailbox.domain: {mailbox.address}} if mailbox.company and mailbox.kind == "personal" else {}


def _veto(found: Particulars, one: _Person, other: _Person, rule: str, *, same_name: bool) -> tuple[str, int, int] | None:
    if rule != "crm_reference":
        for domain, mine in one.mailboxes.items():
            if (theirs := other.mailboxes.get(domain)) and mine.isdisjoint(theirs) and not (same_name and _slips(mine, theirs)):
                return MAILBOXES, _holder(found, one, mailbox=domain), _holder(found, other, mailbox=domain)
    for mine in sorted(one.names):
        for theirs in sorted(other.names):
            if mine != theirs and (level := compare(found.names[mine], found.names[theirs])) < Agreement.UNKNOWN:
                # Civil data outweighs another name only where the names were weighed with it.
                if rule == "civil_data" and level != Agreement.GENERATION:
                    continue
                if _known_by(found, one, mine, theirs) or _known_by(found, other, theirs, mine):
                    continue
                why = GENERATIONS if level == Agreement.GENERATION else NAMES
                return why, _holder(found, one, name=mine), _holder(found, other, name=theirs)
    return None


def _known_by(found: Particulars, person: _Person, one: int, other: int) -> bool:
    """Whether a person whom somebody stated to have this name has the other one too."""
    names = [found.names[i] for i in person.names if i != one]
    return any(
        compare(name, found.names[other]) >= Agreement.CLOSE and compare(name, found.names[one]) < Agreement.UNKNOWN for name in names
    )


def _slips(mine: set[str], theirs: set[str]) -> bool:
    """Whether the mailboxes differ by no more than a slip of the hand."""
    return any(is_slip(a.partition("@")[0], b.partition("@")[0]) for a in mine for b in theirs)


def _holder(found: Particulars, person: _Person, *, name: int | None = None, mailbox: str | None = None) -> int:
    for record in sorted(person.records):
        if name is not None and found.name_of[record] == name:
            return record
        if mailbox is not None and mailbox in _mailboxes(found, record):
            return record
    return min(person.records)
