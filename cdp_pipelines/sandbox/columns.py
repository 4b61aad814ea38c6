"""Records that are made when somebody asks for them, and the columns of what must be known of all of them before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cdp_pipelines.sandbox.people import Campaign, CompanyRecord, Deal, PersonRecord

T = TypeVar("T")
C = TypeVar("C")
Column = NDArray[Any]
FATES = ("alive", "deleted", "merged", "converted")
ALIVE, DELETED, MERGED, CONVERTED = range(4)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT = 4096


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment(milliseconds: int) -> datetime:
    """The moment (UTC) that many milliseconds after 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


class Lazy(Sequence[T], Generic[T, C]):
    """A sequence whose items `make` makes from their number; the last few thousand are kept. `columns` tells of all without making any.

    `finders` give, by field, the numbers of the items that may have a text there, in order; see `candidates`.
    """

    def __init__(self, size: int, make: Callable[[int], T], columns: C, finders: Mapping[str, Callable[[str], Column]] | None = None):
        self._size, self.columns, self.finders = size, columns, finders or {}
        self._item = lru_cache(_KEPT)(make)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._item(number) for number in range(*index.indices(self._size))]
        if not -self._size <= index < self._size:
            raise IndexError(index)
        return self._item(int(index) % self._size)

    def __iter__(self) -> Iterator[T]:
        return map(self._item, range(self._size))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None


@dataclass(frozen=True, eq=False)
class PeopleColumns:
    """One place for each person record. Moments are milliseconds since 1970; -1 stands for none."""

    person: Column
    contact: Column
    created: Column
    updated: Column
    fate: Column
    fate_at: Column
    merged_into: Column
    company: Column
    score: Column

    def survivors(self) -> Column:
        """For each record the one that stands for it today: itself, or what it was merged into (over several steps)."""
        found = np.arange(len(self.fate))
        while True:
            merged = self.fate[found] == MERGED
            if not merged.any():
                return found
            found[merged] = self.merged_into[found[merged]]


@dataclass(frozen=True, eq=False)
class CompanyColumns:
    """One place for each company record."""

    company: Column
    created: Column
    updated: Column


@dataclass(frozen=True, eq=False)
class DealColumns:
    """One place for each deal, and one for each part that a person has in one: `part_deal`, `part_place` (0, 1 ...), `part_person`.

    `truth` is the deal that it is, in any CRM.
    """

    truth: Column
    created: Column
    updated: Column
    deleted: Column
    company: Column
    part_deal: Column
    part_place: Column
    part_person: Column


@dataclass(frozen=True, eq=False)
class MemberColumns:
    """One place for each member of a campaign."""

    person: Column
    responded: Column
    created: Column


def of_people(people: Sequence[PersonRecord]) -> PeopleColumns:
    """The columns of person records, whether or not they are lazy."""
    if isinstance(people, Lazy):
        return people.columns
    return PeopleColumns(
        _ints(p.person for p in people), np.array([p.role == "contact" for p in people], dtype=bool), _times(p.created for p in people),
        _times(p.updated for p in people), _ints(FATES.index(p.fate) for p in people), _times(p.fate_at for p in people),
        _ints(p.merged_into for p in people), _ints(p.company for p in people), _ints(p.lead_score for p in people),
    )  # fmt: skip


def of_companies(companies: Sequence[CompanyRecord]) -> CompanyColumns:
    """The columns of company records."""
    if isinstance(companies, Lazy):
        return companies.columns
    return CompanyColumns(_ints(c.company for c in companies), _times(c.created for c in companies), _times(c.updated for c in companies))


def of_deals(deals: Sequence[Deal]) -> DealColumns:
    """The columns of deals."""
    if isinstance(deals, Lazy):
        return deals.columns
    parts = [(deal.number, place, part.person) for deal in deals for place, part in enumerate(deal.contacts)]
    return DealColumns(
        _ints(d.deal for d in deals), _times(d.created for d in deals), _times(d.updated for d in deals), np.array([d.deleted for d in deals], dtype=bool),
        _ints(d.company for d in deals), *(_ints(part[n] for part in parts) for n in range(3)),
    )  # fmt: skip


def of_members(campaign: Campaign) -> MemberColumns:
    """The columns of a campaign's members."""
    if isinstance(campaign.members, Lazy):
        return campaign.members.columns
    return MemberColumns(
        _ints(m.person for m in campaign.members), np.array([m.responded for m in campaign.members], dtype=bool),
        _times(m.created for m in campaign.members),
    )  # fmt: skip


def candidates(records: Sequence[Any], field: str, text: str) -> Iterable[int]:
    """Numbers of the records whose field may be this text, whatever the case of its letters and the blanks around it: a few where that can be
    told without making records, otherwise all. To be checked against the records.
    """
    finder = records.finders.get(field) if isinstance(records, Lazy) else None
    return range(len(records)) if finder is None else finder(text.strip().lower()).tolist()


def _ints(values: Iterable[int | None]) -> Column:
    return np.array([-1 if value is None else value for value in values], dtype=np.int64)


def _times(values: Iterable[datetime | None]) -> Column:
    return _ints(None if value is None else milliseconds(value) for value in values)
