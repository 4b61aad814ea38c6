"""What writing to a CRM is asked and answers, the same for all three: a record to write, what came of it, and a record as it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from math import isfinite
from typing import Final, Literal, Protocol

from cdp_pipelines.scrubbing import scrub


class Clear(Enum):
    """The one value `CLEAR`: set this field to null. A field that is not named is left as it is; `""` is blank as the vendor understands it."""

    CLEAR = "clear"


CLEAR: Final = Clear.CLEAR

Value = str | int | float | bool | date | datetime | Clear
Outcome = Literal["created", "updated", "deleted", "unchanged", "rejected", "unknown"]
State = Literal["live", "deleted", "merged", "converted"]


@dataclass(frozen=True)
class RecordWrite:
    """One record to create or update, in the vendor's own names for object and fields.

    `key` is the caller's idempotency key, unique among the writes of a call. An update has an `id`, a create has none. Datetimes are aware.
    `parent` is the id of the record's parent (a contact's account) where it is known and not among the fields: writes are sent in its
    order, since those that lock the same parent at the same time fail.
    """

    key: str
    object: str
    action: Literal["create", "update"]
    id: str | None
    fields: Mapping[str, Value]
    parent: str | None = None

    def __post_init__(self) -> None:
        if (self.action == "update") != bool(self.id):
            raise ValueError(f"The write {self.key} is {'an update without' if self.action == 'update' else 'a create with'} an id.")
        for name, value in self.fields.items():
            if isinstance(value, datetime) and value.tzinfo is None:
                raise ValueError(f"The write {self.key} has a time without a zone in {name}; give an aware datetime.")
            if isinstance(value, float) and not isfinite(value):
                raise ValueError(f"The write {self.key} has no number in {name}, which no CRM takes; give CLEAR for none.")


CONNECTION_CODES = ("AUTHENTICATION", "PERMISSION", "QUOTA", "UNREACHABLE")
"""Codes of writes that were not sent, or not carried out, because of the connection and not of the record."""
GONE_CODES = ("DELETED", "MERGED", "CONVERTED", "NOT_FOUND")
"""Codes of updates whose record is no longer, or never was, what is to be updated."""


@dataclass(frozen=True)
class WriteResult:
    """What came of one write.

    `unknown`: the answer never came, and the CRM may have done it or not; an update may be sent again (`retryable`), a create must be
    looked for first. `rejected` has a `code`, the vendor's or one of CONNECTION_CODES and GONE_CODES, and a `reason` without personal data;
    `retryable` says that the same write may succeed later. `id` is the record's, where known: that of the survivor or of the contact when
    the record was merged or converted, and that of the record in the way when a create was refused because it exists; `candidates` are
    all those in the way. `ignored` names fields that the CRM took without error and left as they were: `unchanged` when it was all.
    """

    key: str
    outcome: Outcome
    id: str | None = None
    code: str | None = None
    reason: str | None = None
    retryable: bool = False
    ignored: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, text in (("reason", self.reason), ("code", self.code)):
            if text:
                object.__setattr__(self, name, scrub(text))


@dataclass(frozen=True)
class LiveRecord:
    """A record as the CRM has it now: values as text the way the vendor writes them, `version` its last modification in the vendor's text.

    `moved_to` is the id of the survivor of a merge, or of the contact that a lead was converted to.
    """

    id: str
    values: Mapping[str, str | None]
    version: str
    state: State = "live"
    moved_to: str | None = None


OnResult = Callable[[WriteResult], Awaitable[None]]
"""Called once for each write, as soon as its outcome is known."""


class RecordWriter(Protocol):
    """Reads, writes and deletes records of one connection by id, batched to the vendor's limits.

    `read` and `find` raise CRMErrors as every reading does. `write` and `delete` raise none: every write has its result whatever happens, and
    when the connection fails as a whole the rest is `rejected` with a code of CONNECTION_CODES, unsent.
    """

    async def read(self, object: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """The records by the ids that were asked for. Ids that the CRM does not know are left out."""
        ...

    async def find(self, object: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """The live records by the values asked for, compared as the CRM compares them. A value that nothing has is left out."""
        ...

    async def write(self, object: str, writes: Sequence[RecordWrite], *, on_result: OnResult | None = None) -> list[WriteResult]:
        """Create and update. The results are as many as the writes and in their order."""
        ...

    async def delete(
        self, object: str, ids: Sequence[str], *, forget: bool = False, on_result: OnResult | None = None
    ) -> list[WriteResult]:
        """Delete records; the results are as many as the ids and in their order, with the id as key: `deleted`, or `unchanged` for one that was gone already.

        `forget` asks for the vendor's erasure where it has one (HubSpot's GDPR delete, Salesforce's hard delete).
        """
        ...
