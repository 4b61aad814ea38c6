"""Reading one raw table in a run: its span, its rows as Arrow tables of text, and how far it came."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from cdp_pipelines.config import Connection
from cdp_pipelines.crm_integrations.base_crm import AuthenticationError, CRMError, QuotaExhausted, Unreachable
from cdp_pipelines.crm_integrations.purpose import purpose
from cdp_pipelines.crm_integrations.rejected import NO_KEY
from cdp_pipelines.privacy.suppression import Suppression
from cdp_pipelines.sources.columns import assign_columns, column_name
from cdp_pipelines.sources.drift import Fields, drift, fields_of
from cdp_pipelines.sources.raw_rows import gather, raw_rows, size_of, with_key
from cdp_pipelines.sources.raw_tables import declared_columns, stamp
from cdp_pipelines.sources.reader import DELETED, Batch, Mode, RawTable, Reader, Span
from cdp_pipelines.sources.report import Progress, TableReport
from cdp_pipelines.sources.streaming import EventLoopThread

log = logging.getLogger(__name__)

# A full read that was stopped longer ago begins anew.
RESUMABLE = timedelta(days=5)

CONCERNS_ALL_TABLES = (AuthenticationError, Unreachable, QuotaExhausted)


@dataclass
class Run:
    """What the tables of one extraction share. `hopeless` is an error that would meet every further table too."""

    connection: Connection
    reader: Reader
    thread: EventLoopThread
    mode: Mode
    on_progress: Progress
    known_rows: Mapping[str, int]
    suppression: Suppression | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    hopeless: CRMError | None = None
    signed_in: asyncio.Event = field(default_factory=asyncio.Event)
    ended: dict[str, asyncio.Event] = field(default_factory=dict)
    last_stamp: datetime | None = None

    @property
    def end(self) -> datetime:
        """Until when tables are read: as near to now as the vendor shows its changes."""
        return self.started - timedelta(seconds=getattr(self.connection, "visibility_lag_seconds", 0))

    @property
    def overlap(self) -> timedelta:
        """How far an incremental read goes back behind its cursor."""
        return timedelta(seconds=self.connection.overlap_seconds)

    def stamp(self) -> str:
        """The time, as no other batch of this run has it."""
        now = datetime.now(UTC)
        self.last_stamp = max(now, self.last_stamp + timedelta(microseconds=1)) if self.last_stamp else now
        return stamp(self.last_stamp)


class TableReading:
    """One table of a run.

    `kept` is the table's memory of this connection in the warehouse, which a load commits together with its rows: `cursor` (the end of
    what was read), `reader` (the reader's own state), `columns`, `fields` as they were last described and which of them are `unread` (see
    drift.py), `full_since` (the start of the last whole full read), and `reading`, how far a full read came that is not whole yet.
    """

    def __init__(self, table: RawTable, run: Run):
        self.table, self._run = table, run
        self.outcome = TableReport(run.connection.name, run.connection.kind, table.name, "full", run.started)
        self.begun = self.done = self.resumed = False
        self.full_since: str | None = None
        self.left_out: set[tuple[str | None, ...]] = set()
        run.ended[table.name] = asyncio.Event()

    def begin(self, kept: Mapping[str, Any], first: bool) -> None:
        """Begin to read, ahead of whoever takes the rows. All tables wait until the first one shows that the CRM lets us in."""
        run, self.begun = self._run, True
        cursor = kept.get("cursor")
        reached = datetime.fromisoformat(cursor) if cursor else None
        start = reached - run.overlap if reached and run.mode == "incremental" else None
        # Not before the cursor, as a lag that was raised since would have it: Salesforce refuses a window that ends before it begins.
        end = max(run.end, reached) if start and reached else run.end
        state = json.loads(json.dumps(kept.get("reader", {}))) if start else {}
        self._span = Span("full" if start is None and run.mode == "incremental" else run.mode, start, end, state)
        self._since = stamp(run.started)
        self._columns: dict[str, str] = {**declared_columns(run.connection.kind, self.table), **kept.get("columns", {})}
        self.full_since = kept.get("full_since")
        self._fields_before: Fields | None = kept.get("fields")
        self._fields: Fields = {}
        self._unread = frozenset(kept.get("unread", ()))
        self._rejected_before = False
        before = kept.get("reading")
        if self._span.mode == "full" and before and run.started - datetime.fromisoformat(before["end"]) < RESUMABLE:
            self._span.end, self._span.resume, self._since = datetime.fromisoformat(before["end"]), before["resume"], before["since"]
            self.resumed, self._rejected_before = True, before.get("rejected", False)
            # Records that were read by then have no values of fields that came since.
            self._fields_before, self._unread = before.get("fields"), frozenset()
        self.outcome.mode, self.outcome.cursor = self._span.mode, reached
        # One iterator for all loads of the run: what it took from the stream must not go with the load that ends.
        self._batches = gather(run.thread.stream(lambda: self._read(first), size_of))

    async def _read(self, first: bool) -> AsyncIterator[Batch]:
        run = self._run
        try:
            if not first:
                await run.signed_in.wait()
            for name in self.table.after:
                if name in run.ended:
                    await run.ended[name].wait()
            if run.hopeless:
                raise run.hopeless
            purpose.set(self.table.name)
            self.outcome.started_at = datetime.now(UTC)
            fields = await run.reader.fields(self.table)
            self._columns = assign_columns([*self._columns, *fields], {c: f for f, c in self._columns.items()})
            if run.reader.client.calls.total():
                run.signed_in.set()
            self._span.columns = self._columns
            await self._compare_fields()
            async for batch in run.reader.read(self.table, self._span):
                run.signed_in.set()
                yield batch
            if self.resumed:
                # What changed since the read began that this one went on with.
                self._span = Span("incremental", self._span.end - run.overlap, run.end, self._span.state)
                async for batch in run.reader.read(self.table, self._span):
                    yield Batch(batch.rows)
        except CONCERNS_ALL_TABLES as error:  # trying on would lock the account, or wait for every table anew
            run.hopeless = error
            raise
        finally:
            run.signed_in.set()
            if not self.resumed:
                run.ended[self.table.name].set()

    async def _compare_fields(self) -> None:
        """Note what became of the fields since the table was last read."""
        run, table = self._run, self.table
        self._fields = fields_of(await run.reader.described(table))
        found = drift(self._fields_before, self._fields)
        self.outcome.changes = list(found.changes())
        self.outcome.notes = list(found.told(run.connection.name, table.name, self._columns))
        self._unread = (self._unread & self._fields.keys()) | set(found.new)
        self._span.unread = self._unread

    def release(self) -> None:
        """Let the tables begin that build on this one. One that was resumed must be in the warehouse first, with its earlier part."""
        self._run.thread.run(self._release())

    async def _release(self) -> None:
        self._run.ended[self.table.name].set()

    def rows(self, kept: dict[str, Any]) -> Iterator[pa.Table]:
        """The Arrow tables that were not given yet. The cursor moves when, and only when, the reader came to its end."""
        outcome = self.outcome
        try:
            for batch in self._batches:
                rows = with_key(self.table, batch.rows)
                if without := len(batch) - len(rows):
                    outcome.rejected[NO_KEY].add(without)
                arrow = raw_rows(self.table, self._columns, rows, self._run.connection.name, self._stamp())
                arrow = self._without_erased_people(arrow)
                outcome.rows_read += arrow.num_rows
                outcome.rows_deleted += arrow.num_rows - arrow[DELETED].null_count
                expected = batch.expected or self._run.known_rows.get(self.table.name) if self._span.mode == "full" else batch.expected
                self._run.on_progress(outcome.connection, outcome.table, outcome.rows_read, expected)
                if batch.resume is not None and self._span.mode == "full":
                    begun_with = self._fields_before if self.resumed else self._fields
                    place = {
                        "since": self._since,
                        "end": self._span.end.isoformat(),
                        "resume": batch.resume,
                        "rejected": self._rejected_any(),
                    }
                    kept["reading"] = place | {"fields": begun_with}
                    kept["columns"] = self._columns
                yield arrow
        except CRMError as error:
            outcome.problem, outcome.remedy = error.problem, error.remedy
        except Exception as error:
            log.exception("%s: reading %s failed", outcome.connection, outcome.table)
            outcome.problem, outcome.remedy = f"unexpected {type(error).__name__}", "The log has the details; please report it."
        else:
            self._completed(kept)
        self.done = True
        outcome.ended_at = datetime.now(UTC)

    def _without_erased_people(self, rows: pa.Table) -> pa.Table:
        """Every row on its way to raw comes through here: full or incremental, in bulk, reconciled or named."""
        if (listed := self._run.suppression) is None:
            return rows
        left = listed.without_listed(self._run.connection.kind, self.table.name, self._run.connection.name, rows)
        if left.num_rows < rows.num_rows:
            key = [column_name(name) for name in self.table.key]
            kept, all_rows = (set(zip(*(some[c].to_pylist() for c in key), strict=True)) for some in (left, rows))
            self.left_out |= all_rows - kept
        self.outcome.rows_suppressed += rows.num_rows - left.num_rows
        return left

    def _rejected_any(self) -> bool:
        return self._rejected_before or bool(self.outcome.rejected) or bool(self._run.reader.client.rejected.of(self.table.name))

    def account_for_calls_and_rejects(self) -> None:
        """Put into the outcome what the client alone knows: rows that it could not make out, and the account's calls of this day."""
        for reason, found in self._run.reader.client.rejected.of(self.table.name).items():
            keys = [f"{self._run.connection.name}:{key}" for key in self._not_erased(found.keys)]
            self.outcome.rejected[reason].add(found.rows, keys)
        day = self._run.reader.client.day
        self.outcome.calls_allowed, self.outcome.calls_left = day.allowed, day.left

    def _not_erased(self, keys: list[str]) -> list[str]:
        """Those ids that are no erased person's."""
        if (listed := self._run.suppression) is None or not keys:
            return keys
        (key, *_), connection = self.table.key, self._run.connection
        rows = raw_rows(self.table, dict(self._columns), [{key: one} for one in keys], connection.name, self._stamp())
        return listed.without_listed(connection.kind, self.table.name, connection.name, rows)[column_name(key)].to_pylist()

    def _completed(self, kept: dict[str, Any]) -> None:
        span, outcome = self._span, self.outcome
        outcome.state, outcome.problem, outcome.remedy = "ok", None, None
        kept["columns"] = self._columns
        if span.mode == "named":
            return  # some records say nothing of the table as a whole
        if self._fields:
            kept["fields"] = self._fields
        kept["unread"] = [] if span.mode != "incremental" else sorted(self._unread)
        if span.mode == "reconcile":
            return
        outcome.cursor = span.end
        kept |= {"cursor": span.end.isoformat(), "reader": span.state}
        kept.pop("reading", None)
        # A record that was sent, but not in a way to be kept, is not gone: what this read did not see stays until one has seen everything.
        if (span.mode == "full" or self.resumed) and not self._rejected_any():
            kept["full_since"] = self.full_since = self._since

    def _stamp(self) -> str:
        """Sets are told apart by when their run began, all of whose rows may come in parts; single rows by when they were read."""
        return stamp(self._run.started) if self.table.replace_by else self._run.stamp()
