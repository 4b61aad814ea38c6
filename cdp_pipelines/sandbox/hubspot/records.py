"""Records of one object type: made from the world when asked for, kept only once they have changed."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cdp_pipelines.sandbox.hubspot.properties import ObjectType

# Real record ids are far beyond 2^31 and have gaps.
FIRST_ID = {"contacts": 171_596_044_869, "companies": 29_022_297_485, "deals": 48_104_117_023}
STEP = 37
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Version:
    """A value that a property had from `at` on."""

    value: str
    at: datetime
    source: str = "CRM_UI"
    source_id: str | None = None


@dataclass(slots=True)
class Record:
    """A contact, company or deal. `properties` holds what was set, as HubSpot's text; a cleared one is ''. History is newest first."""

    id: int
    created: datetime
    updated: datetime
    archived: datetime | None = None
    properties: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Version]] = field(default_factory=dict)
    merged: list[tuple[int, datetime]] = field(default_factory=list)

    def versions(self, name: str) -> list[Version]:
        """The history of a property that was set, newest first."""
        if name in self.history:
            return self.history[name]
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

    def __init__(self, kind: ObjectType, make: Callable[[int], Record], updated: array[int], archived: array[int], gone: set[int]):
        """`make(number)` gives the record as the world knows it, `updated` its last change (ms) and `archived` the numbers of archived ones."""
        self.kind, self._make, self._updated = kind, make, updated
        self._changed: dict[int, Record] = {}
        self._size = len(updated)
        away = set(archived) | gone
        self.live = array("q", (self.id(n) for n in range(self._size) if n not in away))
        self.archived = array("q", sorted(self.id(n) for n in archived))
        self.version = 0
        self.remembers = False
        self._before: list[tuple[datetime, int, Record | None]] = []

    def id(self, number: int) -> int:
        """The id of the record with this number."""
        return FIRST_ID.get(self.kind.plural, 0) + number * STEP

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
        return self._make((record_id - FIRST_ID[self.kind.plural]) // STEP)

    def updated_ms(self, record_id: int) -> int:
        """When it last changed, without making the record."""
        if (record := self._changed.get(record_id)) is not None:
            return milliseconds(record.updated)
        return self._updated[(record_id - FIRST_ID[self.kind.plural]) // STEP]

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

    def as_of(self, moment: datetime) -> dict[int, Record | None]:
        """What differs between now and `moment`: the records as they were then, None for those that lists did not show.

        Needs `remembers`, and forgets what came before `moment`.
        """
        self._before = [change for change in self._before if change[0] > moment]
        return {record_id: record for _, record_id, record in reversed(self._before)}

    def _remember(self, record_id: int, at: datetime, record: Record | None) -> None:
        if self.remembers:
            self._before.append((at, record_id, copy_of(record) if record else None))


def copy_of(record: Record) -> Record:
    """A record of its own with the same content."""
    return Record(
        record.id, record.created, record.updated, record.archived,
        dict(record.properties), dict(record.history), list(record.merged),
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
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    thousandths = moment.microsecond // 1000
    return f"{text}.{thousandths:03d}Z" if thousandths else f"{text}Z"


def _holds(ids: array[int], record_id: int) -> bool:
    place = bisect_left(ids, record_id)
    return place < len(ids) and ids[place] == record_id
