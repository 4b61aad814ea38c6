"""Reads a selection of an object's records by the cheapest way that the org allows: REST for few, Bulk API 2.0 for many, ids in turn last.

Some objects and some orgs have no Bulk API (airbytehq/airbyte#13088), some objects are too wide or too large for REST (#20703, #17503):
where one way is refused, the next one is tried, and only when none is left the object fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any

from cdp_pipelines.crm_integrations.base_crm import CRMError, IncompleteRead, PermissionDenied, RequestRejected
from cdp_pipelines.crm_integrations.salesforce import Page, Salesforce
from cdp_pipelines.sources.arrow_rows import text_table
from cdp_pipelines.sources.reader import Batch
from cdp_pipelines.sources.salesforce_soql import IDS_PER_QUERY, Selection, of_ids

ROWS_BY_ID = 2000
FEWEST_ROWS_BY_ID = 125
# Too much work for one query: the next way asks for less at a time (singer-io/tap-salesforce PR 98, airbytehq/airbyte#17503).
_TOO_MUCH = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE")
_NOT_BY_REST = (*_TOO_MUCH, "URI_TOO_LONG", "TOO_MANY")

Way = Callable[[Selection, dict[str, Any] | None], AsyncGenerator[Batch]]


class RecordReader:
    """Reads records of one org; `bulk_above` is how many are too many for REST."""

    def __init__(self, salesforce: Salesforce, bulk_above: int, objects: Iterable[str]):
        self._salesforce, self._bulk_above, self._objects = salesforce, bulk_above, tuple(objects)
        self._counts: dict[str, int] | None = None
        self._counting = asyncio.Lock()

    async def read(self, wanted: Selection, resume: dict[str, Any] | None = None) -> AsyncGenerator[Batch]:
        """The selection's records, those in the recycle bin too. `resume` is that of a batch of an earlier read of the same selection."""
        if resume and "job" in resume:
            begun = False
            try:
                async with aclosing(self._bulk(wanted, resume)) as batches:
                    async for batch in batches:
                        begun = True
                        yield batch
                return
            except RequestRejected:
                # Salesforce keeps results for seven days, and for the API version that made them: begin anew.
                if begun:
                    raise
                resume = None
        failure: CRMError | None = None
        for way in await self._ways(wanted, resume):
            begun = False
            try:
                async with aclosing(way(wanted, resume)) as batches:
                    async for batch in batches:
                        begun = True
                        yield batch
                return
            except (RequestRejected, PermissionDenied) as error:
                if begun or not self._another_way_may_do(way, error):
                    raise
                failure = error
        if failure:
            raise failure

    async def of_ids(self, object_name: str, fields: list[str], ids: list[str]) -> AsyncGenerator[Batch]:
        """The records with these ids that are there, the recycle bin included."""
        for at in range(0, len(ids), IDS_PER_QUERY):
            async for page in self._pages(of_ids(object_name, fields, ids[at : at + IDS_PER_QUERY])):
                yield Batch(text_table(page, fields))

    async def _ways(self, wanted: Selection, resume: dict[str, Any] | None) -> list[Way]:
        if resume or (len(wanted.parts()) == 1 and not await self._surely_many(wanted)):
            return [self._rest, self._bulk, self._rest_whatever_the_number, self._by_id]
        return [self._bulk, self._rest_whatever_the_number, self._by_id]

    async def _surely_many(self, wanted: Selection) -> bool:
        """Whether there are too many for REST as far as one call for all objects tells; the first page of a query tells for sure."""
        if wanted.start is not None:
            return False
        async with self._counting:
            if self._counts is None:
                try:
                    self._counts = await self._salesforce.record_count(self._objects)
                except (RequestRejected, PermissionDenied):
                    self._counts = {}
        return self._counts.get(wanted.object, 0) > self._bulk_above

    def _another_way_may_do(self, way: Way, error: RequestRejected | PermissionDenied) -> bool:
        code = getattr(error, "code", None)
        if way == self._bulk:
            # A job that a person aborted is to stay so.
            return code != "Aborted"
        return way != self._by_id and code in _NOT_BY_REST

    async def _bulk(self, wanted: Selection, resume: dict[str, Any] | None) -> AsyncGenerator[Batch]:
        full = wanted.start is None
        parts = self._salesforce.bulk_query(wanted.whole(), include_deleted=True, keep=full, place=resume)
        async with aclosing(parts):
            async for part in parts:
                yield Batch(part.rows, part.place if full else None, part.expected)

    def _rest(self, wanted: Selection, resume: dict[str, Any] | None) -> AsyncGenerator[Batch]:
        return self._by_rest(wanted, resume, self._bulk_above)

    def _rest_whatever_the_number(self, wanted: Selection, resume: dict[str, Any] | None) -> AsyncGenerator[Batch]:
        return self._by_rest(wanted, resume, None)

    async def _by_rest(self, wanted: Selection, resume: dict[str, Any] | None, most: int | None) -> AsyncGenerator[Batch]:
        """The records in the order of their changes, so that a read that stops can go on from the last change it saw."""
        full, came_to = wanted.start is None, resume["until"] if resume else None
        while True:
            since = replace(wanted, start=datetime.fromisoformat(came_to)) if came_to else wanted
            asked_from = came_to
            try:
                async for page in self._pages(since.parts()):
                    if most is not None and page.total > most and came_to is None:
                        raise RequestRejected(self._salesforce.connection.name, "too many records for REST.", code="TOO_MANY")
                    came_to = page[-1].get(wanted.cursor) if page and wanted.cursor else came_to
                    resume = {"until": came_to} if full and came_to else None
                    if page:
                        yield Batch(text_table(page, wanted.fields), resume, page.total if asked_from is None else None)
                return
            except RequestRejected as error:
                # Cursors live for two days, and the user's eleventh closes the oldest.
                if error.code != "INVALID_QUERY_LOCATOR" or came_to == asked_from:
                    raise

    async def _by_id(self, wanted: Selection, resume: dict[str, Any] | None) -> AsyncGenerator[Batch]:
        """The records in the order of their ids, so few at a time that no query takes long (airbytehq/airbyte#32166)."""
        last, size = None, ROWS_BY_ID
        while True:
            try:
                rows = [row async for page in self._pages(wanted.by_id(last, size)) for row in page]
            except RequestRejected as error:
                if error.code not in _TOO_MUCH or size <= FEWEST_ROWS_BY_ID:
                    raise
                size //= 4
                continue
            if not rows:
                return
            last = rows[-1]["Id"]
            yield Batch(text_table(rows, wanted.fields))

    async def _pages(self, queries: list[str]) -> AsyncGenerator[Page]:
        """The records page by page. Several queries each have a part of the fields; all have the same order and are joined by Id."""
        streams = [self._salesforce.query(soql, include_deleted=True) for soql in queries]
        if len(streams) == 1:
            async for page in streams[0]:
                yield page
            return
        waiting: dict[str, list[dict[str, Any]]] = {}
        running = list(streams)
        while running:
            whole: list[dict[str, Any]] = []
            total = 0
            for stream in list(running):
                page = await anext(stream, None)
                if page is None:
                    running.remove(stream)
                    continue
                total = max(total, page.total)
                for row in page:
                    parts = waiting.setdefault(row["Id"], [])
                    parts.append(row)
                    if len(parts) == len(streams):
                        whole.append({k: v for part in waiting.pop(row["Id"]) for k, v in part.items()})
            yield Page(whole, total)
        if waiting:
            problem = f"{len(waiting)} records changed while their fields were read in parts."
            raise IncompleteRead(self._salesforce.connection.name, problem, "Run the same command again.")
