"""HubSpot's raw tables: contacts, companies and deals with all their properties, what they are associated with, and what explains them.

A full read lists everything. An incremental one searches for what changed in its span and adds what a search cannot see: archived and
restored records, and those that were merged away. `python -m cdp_pipelines.sources.hubspot` runs this source alone.

Associations are re-read for records that changed. HubSpot keeps the number of a record's contacts and deals in properties of its own
(`num_associated_contacts`, `num_associated_deals`), so a new or removed link counts as a change of the records at both its ends. Links that
change without any such number changing (one company for another, say) are only seen by a full read or a reconcile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cdp_pipelines import mapping
from cdp_pipelines.config import HubSpotConnection
from cdp_pipelines.crm_integrations.base_crm import FieldInfo
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.crm_integrations.hubspot_pages import TOP_LEVEL, Ranges, RecordPage, field_of
from cdp_pipelines.sources.hubspot_rows import (
    MERGED_IDS,
    STAGE,
    Seen,
    StageFile,
    any_value,
    keys_only,
    row_table,
    stage_of,
    versions_of,
)
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, KnownRecords, RawTable, Reader, Span

Record = dict[str, Any]

STAGE_FIELDS = (
    "pipeline_id", "pipeline_label", "pipeline_display_order", "stage_id", "label", "display_order", "probability", "is_closed", "archived",
    "createdAt", "updatedAt",
)  # fmt: skip
OWNER_FIELDS = (
    "email",
    "type",
    "firstName",
    "lastName",
    "userId",
    "userIdIncludingInactive",
    "createdAt",
    "updatedAt",
    "archived",
    "teams",
)


def _associations(name: str, start: str, end: str) -> RawTable:
    fields = ("from_id", "to_id", "type_id", "category", "label")
    return RawTable(name, f"{start}/{end}", ("from_id", "to_id", "category", "type_id"), ("from_id",), fields, after=(start, end))


TABLES = (
    RawTable("owners", "owners", ("id",), fields=OWNER_FIELDS),
    RawTable("pipeline_stages", "pipelines", ("pipeline_id", "stage_id"), fields=STAGE_FIELDS),
    RawTable("contacts", "contacts", ("id",), fields=TOP_LEVEL),
    RawTable("companies", "companies", ("id",), fields=TOP_LEVEL),
    RawTable("deals", "deals", ("id",), fields=TOP_LEVEL),
    _associations("contact_company_associations", "contacts", "companies"),
    _associations("deal_contact_associations", "deals", "contacts"),
    _associations("deal_company_associations", "deals", "companies"),
    RawTable(
        "lifecycle_stage_history", "contacts", ("contact_id", "timestamp", "value"), ("contact_id",),
        ("contact_id", "value", "timestamp", "source_type", "source_id"), after=("contacts",),
    ),
)  # fmt: skip
RECORDS = ("contacts", "companies", "deals")


class HubSpotReader(Reader):
    """Reads the raw tables of one portal."""

    tables = TABLES

    def __init__(self, connection: HubSpotConnection, known: KnownRecords):
        self.client = self._hubspot = HubSpot(connection)
        self.known = known
        self._seen: dict[str, Seen] = {}
        self._properties: dict[str, list[FieldInfo]] = {}
        self._empty: dict[str, set[str]] = {}
        self._stages: StageFile | None = None
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader. A property named like one of the record's own keys is `properties.<name>`."""
        if table.name in RECORDS:
            return [*TOP_LEVEL, *map(field_of, await self._property_names(table.name))]
        return list(table.fields)

    async def described(self, table: RawTable) -> list[FieldInfo]:
        """See Reader."""
        if table.name not in RECORDS:
            return []
        return [replace(info, name=field_of(info.name)) for info in await self._described(table.name)]

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """See Reader."""
        if table.name in RECORDS:
            async for batch in self._records(table.name, span):
                yield batch
            return
        if table.replace_by == ("from_id",):
            rows = self._associations(table, span)
        elif table.name == "lifecycle_stage_history":
            rows = self._stage_history(span)
        else:
            # Small tables are always read whole, and so they replace all of what was there.
            span.mode = "full"
            rows = self._owners() if table.name == "owners" else self._pipeline_stages()
        async for some in rows:
            yield Batch(some)

    async def warnings(self) -> list[str]:
        """See Reader. Tells of standardized fields for which the portal has none of the mapped properties, or, as far as a full read shows,
        only ones that no record has a value in."""
        found = []
        for kind, entity, _, feed in mapping.load().feeds():
            if kind != "hubspot" or feed.table not in self._properties:
                continue
            there = {*TOP_LEVEL, *(field_of(info.name) for info in self._properties[feed.table])}
            for name, source in feed.fields.items():
                fields = {r for r in source.references if "." not in r and r not in mapping.BOOKKEEPING}
                absent, empty = fields - there, fields <= self._empty.get(feed.table, set())
                if absent and (absent == set(source.references) or (empty and fields == set(source.references))):
                    wanted = " or ".join(source.references)
                    found.append(f"HubSpot's {feed.table} have no property {wanted} with a value, so {entity}.{name} stays empty.")
        return found

    async def _property_names(self, name: str) -> list[str]:
        return [info.name for info in await self._described(name)]

    async def _described(self, name: str) -> list[FieldInfo]:
        if name not in self._properties:
            self._properties[name] = await self._hubspot.describe_fields(name)
        return self._properties[name]

    async def _records(self, name: str, span: Span) -> AsyncIterator[Batch]:
        properties = await self._property_names(name)
        async for page, resume in self._changed(name, span, properties, self._wanted_history(name, span, properties)):
            rows = row_table(page)
            if span.mode == "full":
                self._note_filled(name, rows)
            yield Batch(rows, resume, page.total)
        seen = self._seen[name]
        rows = keys_only("id", sorted(seen.missing - seen.losers.keys()))
        yield Batch(rows.append_column(DELETED, pa.repeat("true", len(rows)).cast(pa.string())))
        rows = keys_only("id", seen.losers.keys())
        rows = rows.append_column(DELETED, pa.repeat("true", len(rows)).cast(pa.string()))
        yield Batch(rows.append_column(MERGED_INTO, keys_only(MERGED_INTO, seen.losers.values())[MERGED_INTO]))

    def _wanted_history(self, name: str, span: Span, properties: list[str]) -> list[str]:
        """Of all contacts, the list gives their stages' history too, 50 a call instead of 100. That is two calls for 100 contacts; a list
        without it and a batch read of the history, which also takes 50 a call, would be three."""
        wanted = self.chosen is None or "lifecycle_stage_history" in self.chosen
        whole = name == "contacts" and span.mode == "full" and not span.resume
        return [STAGE] if whole and wanted and STAGE in properties else []

    def _note_filled(self, name: str, rows: pa.Table) -> None:
        if name not in self._empty:
            self._empty[name] = set(mapping.load().raw_fields("hubspot", name))
        there = self._empty[name].intersection(rows.column_names)
        self._empty[name] -= {wanted for wanted in there if any_value(rows[wanted])}

    async def _changed(
        self, name: str, span: Span, properties: list[str], history: list[str] | None = None
    ) -> AsyncIterator[tuple[RecordPage, dict[str, Any] | None]]:
        """Pages of the span's records, and where to go on after them; what was seen is kept once all of them came."""
        seen, stages = Seen(span.start), StageFile() if history else None
        pages = (
            self._everything(name, properties, history or [], span, seen)
            if span.start is None
            else self._since(name, span, properties, seen)
        )
        async for page, resume in pages:
            seen.note(page)
            if stages:
                stages.write(page)
            yield page, resume
        seen.end()
        before = self._seen.get(name)
        # A full read that was gone on with is followed by what changed since it was begun.
        self._seen[name] = before.then(seen) if before and before.start is None and span.start else seen
        self._stages = stages or self._stages

    async def _everything(
        self, name: str, properties: list[str], history: list[str], span: Span, seen: Seen
    ) -> AsyncIterator[tuple[RecordPage, dict[str, Any] | None]]:
        left: dict[str, Ranges | None] = {"live": None, "archived": None} | (span.resume or {})
        if span.resume:
            seen.note_known(name, self.known, left)
        for part in ("live", "archived"):
            listed = self._hubspot.list_objects(name, properties, history=history, archived=part == "archived", ranges=left[part])
            async for page in listed:
                left = left | {part: page.remaining}
                yield page, left if page.remaining is not None else None
            left = left | {part: []}

    async def _since(self, name: str, span: Span, properties: list[str], seen: Seen) -> AsyncIterator[tuple[RecordPage, None]]:
        assert span.start is not None
        async for page in self._hubspot.search_modified(name, properties, span.start, span.end):
            yield page, None
        # Archiving moves no date that a search could look for (airbytehq/airbyte#19838), so that the whole list is looked through.
        start = span.start.replace(microsecond=span.start.microsecond // 1000 * 1000)
        archived: set[str] = set()
        async for page in self._hubspot.list_objects(name, properties, archived=True):
            archived.update(page.records["id"].to_pylist())
            inside = [start <= datetime.fromisoformat(moment) < span.end for moment in page.records["archivedAt"].to_pylist()]
            if any(inside):
                yield page.only(np.array(inside)), None
        restored = [i for i in self.known.values(name, "id", {"archived": "true"}) if i not in archived]
        found: set[int] = set()
        async for page in self._hubspot.batch_read(name, restored, properties):
            found.update(page.ids.tolist())
            yield page, None
        seen.back |= found
        seen.missing |= {int(i) for i in restored} - found

    async def _look(self, name: str, span: Span, history: list[str] | None = None) -> Seen:
        """What changed of an object; from this run's read of its table where there was one."""
        async with self._looking[name]:
            if name not in self._seen or not self._seen[name].covers(span):
                async for _ in self._changed(name, span, [MERGED_IDS], history):
                    pass
                if span.start is not None:
                    self._seen[name].note_gone(map(int, self.known.gone_since(name, "id", span.start)))
            return self._seen[name]

    async def _associations(self, table: RawTable, span: Span) -> AsyncIterator[pa.Table]:
        start, end = table.object.split("/")
        seen = await self._look(start, span)
        gone = seen.gone
        yield keys_only("from_id", gone)
        ids = seen.live.tolist()
        if span.start is not None:
            ids = sorted({*ids, *await self._other_ends(table, await self._look(end, span))} - gone)
        async for links in self._hubspot.associations(start, end, map(str, ids)):
            yield links

    async def _other_ends(self, table: RawTable, ended: Seen) -> set[int]:
        """Records whose links changed because of what befell the record at the other end: it vanished, came back or took a merged one's place."""
        start, end = table.object.split("/")
        found = {int(i) for gone in ended.gone for i in self.known.values(table.name, "from_id", {"to_id": str(gone)})}
        returned = ended.back | set(ended.losers.values())
        async for links in self._hubspot.associations(end, start, map(str, sorted(returned - ended.gone))):
            found.update(map(int, links["to_id"].drop_null().to_pylist()))
        return found

    async def _stage_history(self, span: Span) -> AsyncIterator[pa.Table]:
        seen = await self._look("contacts", span, [STAGE] if span.start is None else None)
        if self._stages is not None and span.start is None:
            for rows in self._stages.read(seen):
                yield rows
        else:
            for archived, ids in ((False, seen.live.tolist()), (True, sorted(seen.archived - seen.losers.keys()))):
                async for page in self._hubspot.batch_read("contacts", map(str, ids), history=[STAGE], archived=archived):
                    assert page.versions is not None
                    yield versions_of(page.versions)
        yield keys_only("contact_id", seen.missing | seen.losers.keys())

    async def _owners(self) -> AsyncIterator[list[Record]]:
        for archived in (False, True):
            async for owners in self._hubspot.owners(archived=archived):
                yield [o | ({DELETED: True} if o.get("archived") else {}) for o in owners]

    async def _pipeline_stages(self) -> AsyncIterator[list[Record]]:
        for pipeline in await self._hubspot.pipelines("deals"):
            yield [stage_of(pipeline, stage) for stage in pipeline.get("stages") or []]


if __name__ == "__main__":
    from cdp_pipelines.sources.run_alone import main

    main("hubspot")
