"""The records of one object: those of the world are made when somebody asks for them, changed ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from cdp_pipelines.sandbox.salesforce.ids import make_id, read_id
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec
from cdp_pipelines.sandbox.salesforce.stamps import Stamps

T = TypeVar("T")
Record = dict[str, Any]
"""Field name -> str, bool, int, float, date or datetime; a field that is absent has no value (false, when it is a boolean)."""


def whole_seconds(moment: datetime) -> datetime:
    """Salesforce stamps its records with whole seconds."""
    return moment if moment.tzinfo is UTC and not moment.microsecond else moment.astimezone(UTC).replace(microsecond=0)


class Records:
    """Records by number (see `ids`). `stamps` holds SystemModstamp in epoch seconds, in order of number; `deleted` what is in the recycle
    bin and `purged` what is in no list any more, each with the moment of its deletion.

    `quick` gives single fields of the world's records without making the record: what looking records up by a field needs.
    """

    def __init__(self, spec: ObjectSpec, make: Callable[[int], Record], quick: Mapping[str, Callable[[int], Any]] | None = None):
        self.spec, self._make, self._quick = spec, make, dict(quick or {})
        self.stamps = Stamps()
        self._finders: dict[str, Callable[[Any], Iterable[int]]] = {}
        self.deleted: dict[int, datetime] = {}
        self.purged: dict[int, datetime] = {}
        self._kept: dict[int, Record] = {}
        self._renamed: list[tuple[str, str]] = []
        self._others: dict[int, Callable[[int], Record]] = {}
        self._indexes: dict[str, dict[Any, set[int]]] = {}
        self._undo: list[Callable[[], None]] | None = None

    def declare(self, stamps: Stamps, deleted: Mapping[int, datetime], finders: Mapping[str, Callable[[Any], Iterable[int]]]) -> None:
        """Say which records of the world exist, without making them. `finders` give by field the numbers of the world's records that have a
        value there, so that no index of all of them is needed.
        """
        self.stamps, self.deleted, self._finders = stamps, dict(deleted), dict(finders)

    def remake(self, number: int, make: Callable[[int], Record], stamp: int) -> None:
        """Declare a record of the world that another function makes."""
        self._others[number] = make
        self.stamps[number] = stamp
        self._index(number)

    def amend(self, number: int, values: Record) -> None:
        """Give a record of the world other values, as if it had always had them."""
        self._unindex(number)
        self._others[number] = lambda n: {**self._make(n), **values}
        self._index(number)

    def kept(self, number: int) -> bool:
        """Whether a record is no longer, or never was, as the world has it."""
        return number in self._kept

    def id(self, number: int) -> str:
        """The record's id."""
        return make_id(self.spec.prefix, number)

    def number(self, text: str) -> int | None:
        """The number of the record with this id (15 or 18 characters); None when there is none."""
        number = read_id(text, self.spec.prefix)
        return number if number in self.stamps else None

    def get(self, number: int) -> Record:
        """The record as it is now; not to be changed in place."""
        return self._kept.get(number) or self._made(number)

    def _made(self, number: int) -> Record:
        record = self._others.get(number, self._make)(number)
        for old, new in self._renamed:
            record[new] = record.pop(old, None)
        return record

    def rename(self, old: str, new: str) -> None:
        """Give a field of every record another name."""
        self._renamed.append((old, new))
        self._kept = {n: {new if name == old else name: value for name, value in r.items()} for n, r in self._kept.items()}
        if quick := self._quick.pop(old, None):
            self._quick[new] = quick
        if finder := self._finders.pop(old, None):
            self._finders[new] = finder
        self._indexes.pop(old, None)

    def value(self, number: int, field: str) -> Any:
        """One field of a record."""
        if (kept := self._kept.get(number)) is not None:
            return kept.get(field)
        quick = self._quick.get(field) if number not in self._others else None
        return quick(number) if quick else self._made(number).get(field)

    def finds(self, field: str) -> bool:
        """Whether the records with a text in this field can be found without reading all."""
        return field in self._finders and not self._by_case(field)

    def having(self, field: str, value: Any) -> list[int]:
        """Numbers of the records, deleted ones too, whose field has this value (text without regard to case, ids with it), in order."""
        if field not in self._indexes:
            index = self._indexes[field] = {}
            # No record of the world has an external id, so it need not be looked for there; nor where it can be found otherwise.
            elsewhere = field in self._finders or "e" in self.spec.fields[field.lower()].flags
            for number in [n for n in {*self._kept, *self._others} if n in self.stamps] if elsewhere else self.stamps:
                index.setdefault(self._key(field, number), set()).add(number)
        wanted = value if self._by_case(field) or not isinstance(value, str) else value.lower()
        world = self._finders[field](wanted) if field in self._finders else ()
        as_made = [n for n in world if n in self.stamps and n not in self._kept and n not in self._others]
        return sorted({*as_made, *self._indexes[field].get(wanted, ())})

    def _by_case(self, field: str) -> bool:
        return self.spec.fields[field.lower()].type in ("id", "reference")

    def _key(self, field: str, number: int) -> Any:
        value = self.value(number, field)
        return value if self._by_case(field) or not isinstance(value, str) else value.lower()

    def _index(self, number: int) -> None:
        for field, index in self._indexes.items():
            index.setdefault(self._key(field, number), set()).add(number)

    def _unindex(self, number: int) -> None:
        if number in self.stamps:
            for field, index in self._indexes.items():
                index.get(self._key(field, number), set()).discard(number)

    def put(self, number: int, record: Record, deleted_at: datetime | None = None) -> None:
        """Keep a new version of a record, or a new record."""
        self._remember(number)
        self._unindex(number)
        self._kept[number] = record
        self.stamps[number] = int(record["SystemModstamp"].timestamp())
        self.deleted.pop(number, None)
        if deleted_at:
            self.deleted[number] = deleted_at
        self._index(number)

    def purge(self, number: int) -> None:
        """Take a record out of the recycle bin for good. Raises KeyError when it is not in there."""
        deleted_at = self.deleted[number]
        self._remember(number)
        self._unindex(number)
        del self.stamps[number], self.deleted[number]
        self._kept.pop(number, None)
        self.purged[number] = deleted_at

    def watch(self, undo: list[Callable[[], None]] | None) -> None:
        """Note in this list, until called with None, how to take back each change; the list is to be run from its end."""
        self._undo = undo

    def _remember(self, number: int) -> None:
        if self._undo is None:
            return
        before = (self._kept.get(number), self.stamps.get(number), self.deleted.get(number))

        def restore() -> None:
            self._unindex(number)
            _set(self._kept, number, before[0])
            _set(self.stamps, number, before[1])
            _set(self.deleted, number, before[2])
            self.purged.pop(number, None)
            if number in self.stamps:
                self._index(number)

        self._undo.append(restore)

    def listed(self, include_deleted: bool, since: float | None = None, before: float | None = None) -> Iterable[int]:
        """Numbers of the records that a query may show, last changed in [since, before) (epoch seconds)."""
        return self.stamps.between(since, before, () if include_deleted else self.deleted)


def _set(place: MutableMapping[int, T], number: int, value: T | None) -> None:
    if value is None:
        place.pop(number, None)
    else:
        place[number] = value
