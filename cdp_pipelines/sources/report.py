"""What an extraction says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cdp_pipelines.crm_integrations.rejected import Reasons, reasons
from cdp_pipelines.sources.drift import FieldChange
from cdp_pipelines.sources.reader import Mode
from cdp_pipelines.sources.shown import Shown

Progress = Callable[[str, str, int, int | None], None]
"""Called with (connection, table, rows read so far, rows to expect in all where that is known)."""


@dataclass
class TableReport:
    """What happened to one raw table of one connection. `state` is `ok` or `incomplete`; then `problem` and `remedy` say why. `notes` is what
    else a person should know, `changes` what became of the CRM's fields since the table was last read. `rows_suppressed` were read and left out,
    being about people who were erased. `rejected` could not be kept, by reason; they are none of `rows_read`. `calls` are those that this table
    took, `calls_left` those that the account had left of its `calls_allowed` for the day when the connection was read; None where the CRM does
    not say."""

    connection: str
    kind: str
    table: str
    mode: Mode
    started_at: datetime
    ended_at: datetime | None = None
    state: str = "incomplete"
    problem: str | None = "stopped before it ended"
    remedy: str | None = "Run the same command again."
    cursor: datetime | None = None
    rows_read: int = 0
    rows_deleted: int = 0
    rows_inserted: int = 0
    rows_total: int = 0
    rows_suppressed: int = 0
    calls: int = 0
    calls_left: int | None = None
    calls_allowed: int | None = None
    notes: list[str] = field(default_factory=list)
    changes: list[FieldChange] = field(default_factory=list)
    rejected: Reasons = field(default_factory=reasons)

    @property
    def rows_rejected(self) -> int:
        """Rows that could not be kept, for whatever reason."""
        return sum(found.rows for found in self.rejected.values())

    def rejects_told(self) -> Iterator[str]:
        """A sentence for each reason."""
        for reason, found in self.rejected.items():
            keys = f" Records: {', '.join(found.keys)}." if found.keys else ""
            yield f"{found.rows:,} rows of {self.table} were not kept: {reason}.{keys}"

    @property
    def rows_updated(self) -> int:
        """Rows read that were there before (deletions left out)."""
        return max(self.rows_read - self.rows_deleted - self.rows_inserted, 0)


@dataclass
class ExtractReport:
    """What happened to one connection: its tables, the calls it took, what a person should know, and what the CRM has `shown` of each
    table that was reconciled.

    `unreadable` is whether the CRM as a whole could not be read (it was not reached, let nobody in, or the day's calls were used up).
    """

    connection: str
    kind: str
    tables: list[TableReport] = field(default_factory=list)
    calls: int = 0
    warnings: list[str] = field(default_factory=list)
    shown: dict[str, Shown] = field(default_factory=dict)
    unreadable: bool = False

    @property
    def complete(self) -> bool:
        """Whether every table was read to its end."""
        return all(t.state == "ok" for t in self.tables)
