"""An entry on its way to a CRM: how far it is, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cdp_pipelines.writeback.plan import Change, Entry

# pending: to be sent. sent: a call was begun and its answer is not known. The others are ends.
State = Literal["pending", "sent", "created", "updated", "deleted", "unchanged", "conflict", "rejected", "refused"]
OPEN = ("pending", "sent")
DONE = ("created", "updated", "deleted", "unchanged")


@dataclass(frozen=True)
class Outgoing:
    """An entry of a run and how far it is. `id` is the record's, also of one that was made by it."""

    run: str
    key: str
    entry: Entry
    state: State
    id: str | None
    code: str | None
    reason: str | None
    retryable: bool
    ignored: tuple[str, ...]
    attempts: int
    sent_at: float | None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The fields that the CRM did not ignore."""
        return tuple(c for c in self.entry.changes if c.to not in self.ignored)


@dataclass(frozen=True)
class Result:
    """How an entry ended, or that it is to be sent again."""

    key: str
    state: State
    id: str | None = None
    code: str | None = None
    reason: str | None = None
    retryable: bool = False
    ignored: tuple[str, ...] = ()
