"""Merging pairs into people, the surest first, never across a veto: a bridge record cannot join two people.

What happens to a link depends on nothing that no chain of links leads to. So each such island of records is merged by itself, and only one of
them is held as objects at a time: of millions of links the memory is that of their numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cdp_pipelines.identity.emails import is_slip
from cdp_pipelines.identity.judging import RULES, STATED
from cdp_pipelines.identity.names import Agreement, compare
from cdp_pipelines.identity.particulars import NONE, Ints, Particulars

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


@dataclass(frozen=True)
class Links:
    """Many links as columns (see Link); the rule follows from the priority."""

    priority: np.ndarray
    unlikeness: np.ndarray
    a: Ints
    b: Ints

    def __len__(self) -> int:
        return len(self.a)

    def order(self, *before: np.ndarray) -> Ints:
        """The places of the links in the order in which they are followed, sorted by another column before it if one is given."""
        return np.lexsort((self.b, self.a, self.unlikeness, self.priority, *before))

    def take(self, places: Ints) -> Links:
        """Some of them, in this order."""
        return Links(self.priority[places], self.unlikeness[places], self.a[places], self.b[places])

    def some(self, start: int, end: int) -> Iterator[Link]:
        """The links from one place to before another."""
        columns = (column[start:end].tolist() for column in (self.priority, self.unlikeness, self.a, self.b))
        for priority, unlikeness, a, b in zip(*columns, strict=True):
            yield Link(priority, unlikeness, a, b, RULES[priority])

    @staticmethod
    def of(links: Iterable[Link]) -> Links:
        """The same links as columns."""
        rows = [(link.priority, link.unlikeness, link.a, link.b) for link in links]
        priority, unlikeness, a, b = np.array(rows, np.int64).reshape(-1, 4).T
        return Links(priority.astype(np.int8), unlikeness.astype(np.int8), a, b)

    def and_also(self, others: Links) -> Links:
        """These and the others."""
        return Links(*(np.concatenate(both) for both in ((self.priority, others.priority), (self.unlikeness, others.unlikeness), (self.a, others.a), (self.b, others.b))))  # fmt: skip


@dataclass
class Merged:
    """Each record's person (the number of its first record), the links that made people, and those refused, each in the order in which links are
    followed.

    `against` has the veto that an override was followed in spite of, by its pair.
    """

    person_of: Ints
    made: Links
    refused: list[Refusal] = field(default_factory=list)
    against: dict[tuple[int, int], str] = field(default_factory=dict)


def merge(found: Particulars, links: Links, *, splits: Iterable[tuple[int, int]] = (), moved: Collection[int] = ()) -> Merged:
    """Follow the links in order. A link is followed only if no record on one side is vetoed against any on the other.

    Vetoes: a split that somebody decided; names that contradict each other; different generations; two personal mailboxes of one company.
    What a CRM or a person stated (merged, converted, override) is held up by a split alone. `moved` are records that a CRM merged into or
    converted to another one: a name of theirs that contradicts that one's has no say.
    """
    apart: dict[int, set[int]] = {}
    for a, b in splits:
        apart.setdefault(a, set()).add(b)
        apart.setdefault(b, set()).add(a)
    island = _islands(len(found), links)[links.a]
    links = links.take(links.order(island))
    island = np.sort(island)
    bounds = [0, *(np.flatnonzero(island[1:] != island[:-1]) + 1).tolist(), len(links)] if len(links) else [0]
    person_of = np.arange(len(found))
    made = np.zeros(len(links), np.bool_)
    refused: list[Refusal] = []
    against: dict[tuple[int, int], str] = {}
    for start, end in pairwise(bounds):
        people = _People(found, apart, refused, against)
        stated = True
        for place, link in enumerate(links.some(start, end), start):
            if stated and link.rule not in STATED:
                stated = False
                people.forget_names(moved)
            made[place] = people.follow(link)
        for record in people.parent:
            person_of[record] = people.root(record)
    followed = links.take(np.flatnonzero(made))
    refused.sort(key=lambda r: (r.link.priority, r.link.unlikeness, r.link.a, r.link.b))
    return Merged(person_of, followed.take(followed.order()), refused, against)


def _islands(records: int, links: Links) -> Ints:
    """A number for each record, the same for those that a chain of links joins."""
    number = np.arange(records)
    while True:
        least = np.minimum(number[links.a], number[links.b])
        before = number.copy()
        np.minimum.at(number, number[links.a], least)
        np.minimum.at(number, number[links.b], least)
        while not np.array_equal(number, further := number[number]):
            number = further
        if np.array_equal(number, before):
            return number


class _People:
    """The people of an island as they grow together. `parent` has a record of each that is met, and leads to its person's first record."""

    def __init__(self, found: Particulars, apart: dict[int, set[int]], refused: list[Refusal], against: dict[tuple[int, int], str]):
        self._found = found
        self._apart = apart
        self._refused = refused
        self._against = against
        self._people: dict[int, _Person] = {}
        self.parent: dict[int, int] = {}

    def root(self, record: int) -> int:
        """The first record of its person."""
        parent = self.parent
        while (above := parent.setdefault(record, record)) != record:
            parent[record] = parent[above]
            record = above
        return record

    def follow(self, link: Link) -> bool:
        """Make one person of the two, unless a veto stands between them; gives whether that was done."""
        left, right = sorted((self.root(link.a), self.root(link.b)))
        if left == right:
            return False
        one, other = self._person(left), self._person(right)
        veto = self._split(one, other)
        if not veto and (link.rule not in STATED or link.rule == "override"):
            veto = _veto(self._found, one, other, link.rule, same_name=not link.unlikeness)
            if veto and link.rule == "override":
                self._against[link.a, link.b] = veto[0]
                veto = None
        if veto:
            self._refused.append(Refusal(link, *veto))
            return False
        self.parent[right] = left
        one.records += other.records
        one.names |= other.names
        for domain, own in other.mailboxes.items():
            one.mailboxes[domain] = one.mailboxes.get(domain, set()) | own
        del self._people[right]
        return True

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
