"""Marketo's activity log over REST: pages of activities, and what they tell of merges, deletions and opportunity links.

Several tables need to know what happened since a moment; it is asked for once in a run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from cdp_pipelines.crm_integrations.marketo import TYPES_IN_A_CALL, Marketo
from cdp_pipelines.crm_integrations.marketo_merges import merged_leads
from cdp_pipelines.sources import marketo_activities as shapes
from cdp_pipelines.sources.arrow_rows import text_table

# No instance is older than the company.
EARLIEST = datetime(2006, 1, 1, tzinfo=UTC)
PAGES_TO_LOOK_AT = 50
ROWS_AT_ONCE = 5_000


@dataclass
class Told:
    """What activities tell of leads: merges (loser -> winner), deletions, every lead that they name, and the activities as raw rows."""

    merges: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    rows: pa.Table = field(default_factory=lambda: text_table([], shapes.COLUMNS))

    @property
    def gone(self) -> set[str]:
        """Leads that are no longer there."""
        return self.merges.keys() | self.deleted


class ActivityLog:
    """The activities of one instance; `types` are those to keep."""

    def __init__(self, marketo: Marketo, types: Iterable[int]):
        self._marketo, self.types = marketo, frozenset(types)
        self._asking: defaultdict[datetime, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told: dict[datetime, Told] = {}
        self._tokens: dict[datetime, str] = {}
        self._oldest: datetime | None = None

    async def told(self, start: datetime | None) -> Told:
        """What happened to leads since `start`; without one, all merges and deletions that Marketo still has."""
        since = start or EARLIEST
        async with self._asking[since]:
            if since not in self._told:
                self._told[since] = await self._ask(shapes.ALWAYS if start else (shapes.MERGE, shapes.DELETE), since)
            return self._told[since]

    async def pages(self, types: Iterable[int], start: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """Activities of these types since `start`."""
        token = await self._token(start)
        for some in shapes.in_chunks(types, TYPES_IN_A_CALL):
            async for page in self._marketo.activities(some, token):
                if page.rows:
                    yield page.rows

    async def first(self) -> datetime | None:
        """When the oldest activity happened that Marketo still has."""
        if self._oldest is None:
            found: list[datetime] = []
            token = await self._token(EARLIEST)
            for some in shapes.in_chunks(self.types, TYPES_IN_A_CALL):
                looked = 0
                async for page in self._marketo.activities(some, token):
                    looked += 1
                    if page.rows or looked == PAGES_TO_LOOK_AT:
                        found.append(min(map(shapes.happened, page.rows), default=EARLIEST))
                        break
            self._oldest = min(found, default=None)
        return self._oldest

    async def _token(self, start: datetime) -> str:
        if start not in self._tokens:
            self._tokens[start] = await self._marketo.paging_token(start)
        return self._tokens[start]

    async def _ask(self, types: Iterable[int], since: datetime) -> Told:
        told, tables, rows = Told(), [], []
        async for page in self.pages(types, since):
            for row in page:
                lead = str(row["leadId"])
                told.touched.add(lead)
                if row["activityTypeId"] == shapes.DELETE:
                    told.deleted.append(lead)
                elif row["activityTypeId"] == shapes.MERGE:
                    told.merges |= merged_leads(row)
                rows.append(shapes.from_rest(row))
            if len(rows) >= ROWS_AT_ONCE:
                # As Arrow: a large instance has very many.
                tables.append(text_table(rows, shapes.COLUMNS))
                rows = []
        told.touched |= told.gone
        told.rows = pa.concat_tables([*tables, text_table(rows, shapes.COLUMNS)])
        return told
