"""Records of one object type: made from the world when asked for, kept only once they have changed."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_pipelines.sandbox.hubspot.properties import ObjectType
from cdp_pipelines.sandbox.ids import Ids

# Real record ids are far beyond 2^31 and have gaps.
FIRST_ID = {"contacts": 171_596_044_869, "companies": 29_022_297_485, "deals": 48_104_117_023}
OTHER_FIRST_ID = 62_880_013_007
STEP = 37
# How many changes a type remembers, so that a search can lag behind them.
REMEMBERED = 20_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Times = NDArray[Any]
NO_TIMES: Times = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Version:
    """A value that a property had from `at` on."""

    value: str
    at: datetime
    source: str = "CRM_UI"
    source_id: str | None = None


@dataclass(slots=True)
class Record:
    """A contact, company or deal. `properties` holds what was set, as HubSpot's text; a cleared one is ''. History is newest first.

    `past` gives what the world knows of a property's history, worked out when asked for.
    """

    id: int
    created: datetime
    updated: datetime
    archived: datetime | None = None
    properties: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Version]] = field(default_factory=dict)
    merged: list[tuple[int, datetime]] = field(default_factory=list)
    past: Callable[[str], list[Version]] | None = None

    def versions(self, name: str) -> list[Version]:
        """The history of a property that was set, newest first."""
        if name in self.history:
            return self.history[name]
        if self.past is not None and (found := self.past(name)):
            return found
        value = self.properties.get(name)
        return [Version(value, self.created, "IMPORT")] if value is not None else []

    def set(self, name: str, value: str, at: datetime, source: str) -> bool:
        """Set a property; tells whether that changed anything."""
        if self.properties.get(name, "") == value:
            return False
        self.history[name] = [Version(value, at, source, "sandbox"), *self.versions(name)]
        self.properties[name] = value
        return True


class Records:
    """Records of one type by id. `live` and `archived` are sorted, so that a page is found by bisection."""

    def __init__(
        self,
        kind: ObjectType,
        make: Callable[[int], Record],
        created: Times = NO_TIMES,
        updated: Times = NO_TIMES,
        archived: Times | None = None,
        gone: Times | None = None,
        finders: Mapping[str, Callable[[str], Iterable[int]]] | None = None,
    ):
        """`make(number)` gives the record as the world knows it. By its number, `created` and `updated` (ms) say when, and `gone` whether it was
        merged away; `archived` are the numbers of archived ones. `finders` give, by property, the numbers of the world's that may have a text.
        """
        self.kind, self._make = kind, make
        self._created, self._updated = created, np.maximum(created, updated)
        self._first_id = FIRST_ID.get(kind.plural, OTHER_FIRST_ID)
        self._changed: dict[int, Record] = {}
        self._size = len(updated)
        live = np.ones(self._size, dtype=bool) if gone is None else ~gone
        live[[] if archived is None else archived] = False
        self.live = self._ids(np.flatnonzero(live))
        self.archived = self._ids(archived if archived is not None else np.zeros(0, dtype=np.int64))
        self.version = 0
        self._before: deque[tuple[datetime, int, Record | None]] = deque(maxlen=REMEMBERED)
        self._by_value: dict[str, dict[str, int]] = {}
        self._finders = finders or {}

    def id(self, number: int) -> int:
        """The id of the record with this number."""
        return self._first_id + number * STEP

    def ids(self, some: array[int]) -> Ids:
        """These ids as text."""
        return Ids((np.frombuffer(some, dtype=np.int64) - self._first_id) // STEP, lambda number: str(self.id(number)), self._number)

    def _number(self, text: str) -> int | None:
        number, rest = divmod(int(text) - self._first_id, STEP) if text.isdecimal() else (-1, 0)
        return number if number >= 0 and not rest else None

    def _ids(self, numbers: Times) -> array[int]:
        return array("q", (self._first_id + numbers.astype(np.int64) * STEP).tobytes())

    def is_live(self, record_id: int) -> bool:
        """Whether lists show it."""
        return _holds(self.live, record_id)

    def is_archived(self, record_id: int) -> bool:
        """Whether lists of archived records show it."""
        return _holds(self.archived, record_id)

    def get(self, record_id: int) -> Record:
        """The record; the caller knows that it exists. Change it only after `change`."""
        if (record := self._changed.get(record_id)) is not None:
            return record
        return self._make((record_id - self._first_id) // STEP)

    def updated_ms(self, record_id: int) -> int:
        """When it last changed, without making the record."""
        if (record := self._changed.get(record_id)) is not None:
            return milliseconds(record.updated)
        return int(self._updated[(record_id - self._first_id) // STEP])

    def live_times(self) -> tuple[Times, Times, Times]:
        """Ids of the live records, and when each was created and last changed (ms), without making any."""
        ids = np.array(self.live, dtype=np.int64)
        numbers = (ids - self._first_id) // STEP
        world = numbers < len(self._updated)
        created, updated = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
        created[world], updated[world] = self._created[numbers[world]], self._updated[numbers[world]]
        for record_id, record in self._changed.items():
            place = int(np.searchsorted(ids, record_id))
            if place < len(ids) and ids[place] == record_id:
                created[place], updated[place] = milliseconds(record.created), milliseconds(record.updated)
        return ids, created, updated

    def change(self, record_id: int, at: datetime) -> Record:
        """The record, kept from now on, for changing it."""
        record = self.get(record_id)
        self._remember(record_id, at, record if self.is_live(record_id) else None)
        self._changed[record_id] = record
        self.version += 1
        return record

    def add(self, created: datetime) -> Record:
        """A new live record."""
        record = Record(self.id(self._size), created, created)
        self._size += 1
        self._remember(record.id, created, None)
        self._changed[record.id] = record
        self.live.append(record.id)
        self.version += 1
        return record

    def hide(self, record_id: int, *, archive: bool) -> None:
        """Take a live record out of the lists; an archived one goes to the list of those."""
        del self.live[bisect_left(self.live, record_id)]
        if archive:
            self.archived.insert(bisect_left(self.archived, record_id), record_id)

    def show(self, record_id: int) -> None:
        """Bring an archived record back."""
        del self.archived[bisect_left(self.archived, record_id)]
        self.live.insert(bisect_left(self.live, record_id), record_id)

    def forget(self, record_id: int) -> None:
        """Leave nothing of a record: neither list shows it and its values are gone."""
        if self.is_live(record_id):
            self.hide(record_id, archive=False)
        elif self.is_archived(record_id):
            del self.archived[bisect_left(self.archived, record_id)]
        record = self.get(record_id)
        self._changed[record_id] = Record(record_id, record.created, record.updated)
        self._before = deque((change for change in self._before if change[1] != record_id), maxlen=REMEMBERED)
        self.version += 1

    def with_value(self, name: str, text: str) -> int | None:
        """The live record whose unique property has this text. The first question makes an index (where the world's records can be found
        otherwise, of the changed ones), `note_value` keeps it.
        """
        if name not in self._by_value:
            # Live ones last, so that they count where an archived one has the same text; what is restored is still found.
            some = sorted(self._changed, key=lambda i: (self.is_live(i), i)) if name in self._finders else self.live
            pairs = ((self.get(i).properties.get(name), i) for i in some)
            self._by_value[name] = {value: i for value, i in pairs if value}
        found = self._by_value[name].get(text)
        if found is None and name in self._finders:
            # The index has the changed ones, so that only those as the world has them are left.
            world = (i for i in map(self.id, self._finders[name](text)) if i not in self._changed and self.is_live(i))
            found = next((i for i in world if self.get(i).properties.get(name) == text), None)
        return found if found is not None and self.is_live(found) else None

    def finds(self, name: str) -> bool:
        """Whether `candidates` knows of a property."""
        return name in self._finders

    def candidates(self, name: str, text: str) -> list[int]:
        """Ids of the live records that may have a text, whatever its letters' case: the changed ones, and few others."""
        world = (self.id(number) for number in self._finders[name](text))
        return [i for i in sorted({*world, *self._changed}) if self.is_live(i)]

    def note_value(self, name: str, text: str, record_id: int) -> None:
        """Let a text of a unique property lead to a record."""
        if name in self._by_value:
            self._by_value[name][text] = record_id

    def drop_values(self, name: str, texts: Iterable[str], record_id: int) -> None:
        """Let texts of a unique property no longer lead to a record."""
        known = self._by_value.get(name, {})
        for text in texts:
            if known.get(text) == record_id:
                del known[text]

    def as_of(self, moment: datetime) -> dict[int, Record | None]:
        """What differs between now and `moment`: the records as they were then, None for those that lists did not show.

        Knows of the last 20,000 changes.
        """
        return {record_id: record for at, record_id, record in reversed(self._before) if at > moment}

    def _remember(self, record_id: int, at: datetime, record: Record | None) -> None:
        self._before.append((at, record_id, copy_of(record) if record else None))


def copy_of(record: Record) -> Record:
    """A record of its own with the same content."""
    return Record(
        record.id, record.created, record.updated, record.archived,
        dict(record.properties), dict(record.history), list(record.merged), record.past,
    )  # fmt: skip


def page(ids: array[int], after: int, limit: int) -> tuple[list[int], int | None]:
    """Ids from `after` on, at most `limit`, and the id at which the next page begins."""
    start = bisect_left(ids, after)
    rest = ids[start + limit : start + limit + 1]
    return list(ids[start : start + limit]), (rest[0] if rest else None)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def timestamp(moment: datetime) -> str:
    """As HubSpot writes a moment: milliseconds, left out when they are zero."""
    text = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()[:19]
    thousandths = moment.microsecond // 1000
    return f"{text}.{thousandths:03d}Z" if thousandths else f"{text}Z"


def _holds(ids: array[int], record_id: int) -> bool:
    place = bisect_left(ids, record_id)
    return place < len(ids) and ids[place] == record_id
