"""Marketo's leads: bulk exports where the subscription has them, otherwise what activities name or all ids in turn.

full          exports by `createdAt`, window by window; without bulk access, ids from 1 on
incremental   an export by `updatedAt`, which sees every change; without that filter, without bulk access or with the day's 500 MB used up,
              the leads that activities say are new or changed
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.crm_integrations.base_crm import PermissionDenied, QuotaExhausted, RequestRejected
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.marketo_export import LONGEST_WINDOW, split_windows
from cdp_pipelines.crm_integrations.merges import survivors
from cdp_pipelines.sources import marketo_activities as shapes
from cdp_pipelines.sources.arrow_rows import text_table
from cdp_pipelines.sources.marketo_log import EARLIEST, ActivityLog
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, KnownRecords, Span

# Lead ids count up from 1, so that the first lead that is left is found by asking for the lowest ids.
LOWEST_IDS = 30_000
# So many ids in a row that no lead has: there are no higher ones.
IDS_WITHOUT_LEADS = 30_000
IDS_AT_ONCE = 2_400
# Marketo has no such filter for this subscription.
_UNSUPPORTED = "1035"


@dataclass
class SeenLeads:
    """What this run's leads have shown. `since` is the start of the span that was read, False until (or unless) it was read whole."""

    ids: list[np.ndarray] = field(default_factory=list)
    companies: set[str] = field(default_factory=set)
    since: datetime | Literal[False] | None = False

    def note(self, rows: pa.Table) -> None:
        """Remember ids and companies of these leads."""
        numbered = pc.call_function("match_substring_regex", [rows["id"]], pc.MatchSubstringOptions("^[0-9]+$")).fill_null(False)
        self.ids.append(rows["id"].filter(numbered).cast(pa.int64()).to_numpy())
        if "externalCompanyId" in rows.column_names:
            self.companies.update(filter(None, rows["externalCompanyId"].unique().to_pylist()))

    def sorted_ids(self) -> list[int]:
        """Every id once, lowest first."""
        return np.unique(np.concatenate(self.ids)).tolist() if self.ids else []


class LeadReader:
    """Reads one instance's leads."""

    def __init__(self, marketo: Marketo, log: ActivityLog, known: KnownRecords):
        self._marketo, self._log, self._known = marketo, log, known
        self.seen = SeenLeads()

    async def read(self, fields: list[str], span: Span) -> AsyncGenerator[Batch]:
        """The leads of a span, then those that were deleted, then those that were merged away, whose row says into which lead."""
        reading = self._changed(fields, span.start, span.end) if span.start else self._all(fields, span)
        async with aclosing(reading):
            async for batch in reading:
                self.seen.note(batch.rows)
                yield batch
        async for batch in self._gone(span):
            yield batch
        # After a read that went on where another stopped, this run has not seen every lead.
        self.seen.since = False if span.resume else span.start

    async def _all(self, fields: list[str], span: Span) -> AsyncGenerator[Batch]:
        place: dict[str, Any] = span.resume or {}
        exported = False
        try:
            if "after_id" not in place:
                async for batch in self._exported(fields, place, span.end):
                    exported = True
                    yield batch
        except (PermissionDenied, RequestRejected) as error:
            if exported or not (isinstance(error, PermissionDenied) or error.code == _UNSUPPORTED):
                raise
            place = {"after_id": 0}
        if "after_id" in place:
            async for batch in self._by_id(fields, int(place["after_id"])):
                yield batch

    async def _exported(self, fields: list[str], place: dict[str, Any], end: datetime) -> AsyncGenerator[Batch]:
        start = datetime.fromisoformat(place["until"]) if place else await self._first_lead(end)
        windows = split_windows(start, end)
        parts = self._marketo.export_leads("createdAt", windows, fields)
        async with aclosing(parts):
            async for part in parts:
                until = windows[part.done - 1][1] if part.done else start
                yield Batch(part.rows, {"until": until.isoformat()})

    async def _by_id(self, fields: list[str], last: int) -> AsyncGenerator[Batch]:
        empty = 0
        while empty < IDS_WITHOUT_LEADS:
            found = 0
            async for page in self._marketo.leads_by("id", range(last + 1, last + 1 + IDS_AT_ONCE), fields):
                found += len(page)
                yield Batch(_as_exported(page, fields), {"after_id": last})
            last += IDS_AT_ONCE
            empty = 0 if found else empty + IDS_AT_ONCE

    async def _changed(self, fields: list[str], start: datetime, end: datetime) -> AsyncGenerator[Batch]:
        try:
            parts = self._marketo.export_leads("updatedAt", split_windows(start, end), fields)
            async with aclosing(parts):
                async for part in parts:
                    yield Batch(part.rows)
            return
        except (PermissionDenied, QuotaExhausted, RequestRejected) as error:
            # The day's calls (607) are another allowance than the day's exported bytes (1029); without calls the next one says so.
            if isinstance(error, RequestRejected) and error.code != _UNSUPPORTED:
                raise
        changed = set[int]()
        async for page in self._log.pages((shapes.NEW_LEAD, shapes.CHANGE_VALUE, shapes.MERGE), start):
            changed.update(row["leadId"] for row in page)
        async for page in self._marketo.leads_by("id", sorted(changed), fields):
            yield Batch(_as_exported(page, fields))

    async def _gone(self, span: Span) -> AsyncGenerator[Batch]:
        told = await self._log.told(span.start)
        if told.deleted:
            yield Batch([{"id": lead, DELETED: True} for lead in told.deleted])
        merges = told.merges
        if span.start is not None:
            # A winner that has now been merged away in turn: who was merged into it before belongs to the last winner.
            earlier = {loser: winner for winner in merges for loser in self._known.values("leads", "id", {MERGED_INTO: winner})}
            merges = earlier | merges
        if merges:
            yield Batch([{"id": loser, DELETED: True, MERGED_INTO: winner} for loser, winner in survivors(merges).items()])

    async def _first_lead(self, end: datetime) -> datetime:
        """When the oldest lead that is left was made; ids follow the order of creation."""
        for lowest in (range(1, 301), range(301, LOWEST_IDS + 1)):
            async with aclosing(self._marketo.leads_by("id", lowest, ["id", "createdAt"])) as pages:
                async for page in pages:
                    return min(datetime.fromisoformat(row["createdAt"]) for row in page)
        # Only high ids, or nobody at all; an instance without an activity has no leads, and a read of twenty years is spared.
        return EARLIEST if await self._log.first() else end - LONGEST_WINDOW


def _as_exported(page: list[dict[str, Any]], fields: list[str]) -> pa.Table:
    """Leads of the REST API as a file has them. A file cannot tell the text "null" from nothing, so it is nothing here too."""
    table, nothing = text_table(page, fields), pa.scalar(None, pa.string())
    columns = [pc.call_function("if_else", [pc.call_function("equal", [c, pa.scalar("null")]), nothing, c]) for c in table.columns]
    return pa.table(dict(zip(fields, columns, strict=True)))
