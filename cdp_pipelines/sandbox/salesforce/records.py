"""The records of one object: those of the world are made when somebody asks for them, changed ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from cdp_pipelines.sandbox.salesforce.describe import ObjectSpec
from cdp_pipelines.sandbox.salesforce.ids import make_id, read_id

Record = dict[str, Any]
"""Field name -> str, bool, int, float, date or datetime; a field that is absent has no value (false, when it is a boolean)."""


def whole_seconds(moment: datetime) -> datetime:
    """Salesforce stamps its records with whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


class Records:
    """Records by number (see `ids`). `stamps` holds SystemModstamp in epoch seconds, in order of number; `deleted` what is in the recycle
    bin and `purged` what is in no list any more, each with the moment of its deletion.
    """

    def __init__(self, spec: ObjectSpec, make: Callable[[int], Record]):
        self.spec, self._make = spec, make
        self.stamps: dict[int, int] = {}
        self.deleted: dict[int, datetime] = {}
        self.purged: dict[int, datetime] = {}
        self._kept: dict[int, Record] = {}

    def declare(self, number: int, stamp: datetime, deleted_at: datetime | None = None) -> None:
        """Say that a record of the world exists, without making it."""
        self.stamps[number] = int(stamp.timestamp())
        if deleted_at:
            self.deleted[number] = whole_seconds(deleted_at)

    def id(self, number: int) -> str:
        """The record's id."""
        return make_id(self.spec.prefix, number)

    def number(self, text: str) -> int | None:
        """The number of the record with this id (15 or 18 characters); None when there is none."""
        number = read_id(text, self.spec.prefix)
        return number if number in self.stamps else None

    def get(self, number: int) -> Record:
        """The record as it is now; not to be changed in place."""
        return self._kept.get(number) or self._make(number)

    def put(self, number: int, record: Record, deleted_at: datetime | None = None) -> None:
        """Keep a new version of a record, or a new record."""
        self._kept[number] = record
        self.stamps[number] = int(record["SystemModstamp"].timestamp())
        self.deleted.pop(number, None)
        if deleted_at:
            self.deleted[number] = deleted_at

    def purge(self, number: int) -> None:
        """Take a record out of the recycle bin for good."""
        del self.stamps[number]
        self._kept.pop(number, None)
        self.purged[number] = self.deleted.pop(number)

    def listed(self, include_deleted: bool, since: float | None = None, before: float | None = None) -> Iterable[int]:
        """Numbers of the records that a query may show, last changed in [since, before) (epoch seconds)."""
        for number, stamp in self.stamps.items():
            if (since is None or stamp >= since) and (before is None or stamp < before) and (include_deleted or number not in self.deleted):
                yield number
