"""HubSpot's raw tables: contacts, companies and deals with all their properties, what they are associated with, and what explains them.

A full read lists everything. An incremental one searches for what changed in its span and adds what a search cannot see: archived and
restored records, and those that were merged away. `python -m cdp_pipelines.sources.hubspot` runs this source alone.

Associations are re-read for records that changed. HubSpot keeps the number of a record's contacts and deals in properties of its own
(`num_associated_contacts`, `num_associated_deals`), so a new or removed link counts as a change of the records at both its ends. Links that
change without any such number changing (one company for another, say) are only seen by a full read or a reconcile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from cdp_pipelines import mapping
from cdp_pipelines.config import HubSpotConnection
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.sources.hubspot_rows import (
    MERGED_IDS,
    STAGE,
    TOP_LEVEL,
    Seen,
    StageFile,
    field_of,
    links_of,
    row_of,
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
        self._properties: dict[str, list[str]] = {}
        self._filled: dict[str, set[str]] = {}
        self._stages: StageFile | None = None

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader. A property named like one of the record's own keys is `properties.<name>`."""
        if table.name in RECORDS:
            return [*TOP_LEVEL, *map(field_of, await self._property_names(table.name))]
        return list(table.fields)

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """See Reader."""
        if table.name in RECORDS:
            rows = self._records(table.name, span)
        elif table.replace_by == ("from_id",):
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
            there = {*TOP_LEVEL, *map(field_of, self._properties[feed.table])}
            for name, source in feed.fields.items():
                fields = {r for r in source.references if "." not in r and r not in mapping.BOOKKEEPING}
                absent, empty = fields - there, feed.table in self._filled and not fields & self._filled[feed.table]
                if absent and (absent == set(source.references) or (empty and fields == set(source.references))):
                    wanted = " or ".join(source.references)
                    found.append(f"HubSpot's {feed.table} have no property {wanted} with a value, so {entity}.{name} stays empty.")
        return found

    async def _property_names(self, name: str) -> list[str]:
        if name not in self._properties:
            self._properties[name] = [f.name for f in await self._hubspot.describe_fields(name)]
        return self._properties[name]

    async def _records(self, name: str, span: Span) -> AsyncIterator[list[Record]]:
        properties = await self._property_names(name)
        # Of all contacts, the list gives their stages' history too, 50 a call instead of 100. That is two calls for 100 contacts; a list
        # without it and a batch read of the history, which also takes 50 a call, would be three.
        history = [STAGE] if name == "contacts" and span.mode == "full" and STAGE in properties else []
        async for records in self._changed(name, span, properties, history):
            rows = [row_of(r) for r in records]
            if span.mode == "full":
                self._note_filled(name, rows)
            yield rows
        seen = self._seen[name]
        yield [{"id": str(i), DELETED: True} for i in seen.missing - seen.losers.keys()]
        yield [{"id": str(i), DELETED: True, MERGED_INTO: str(into)} for i, into in seen.losers.items()]

    def _note_filled(self, name: str, rows: list[Record]) -> None:
        filled = self._filled.setdefault(name, set())
        for wanted in set(mapping.load().raw_fields("hubspot", name)) - filled:
            if any(row.get(wanted) for row in rows):
                filled.add(wanted)

    async def _changed(self, name: str, span: Span, properties: list[str], history: list[str] | None = None) -> AsyncIterator[list[Record]]:
        """Pages of the span's records, as HubSpot gives them; what was seen is kept once all of them came."""
        seen, stages = Seen(span.start), StageFile() if history else None
        pages = self._everything(name, properties, history or []) if span.start is None else self._since(name, span, properties, seen)
        async for records in pages:
            seen.note(records)
            if stages:
                stages.write(records)
            yield records
        seen.end()
        self._seen[name], self._stages = seen, stages or self._stages

    async def _everything(self, name: str, properties: list[str], history: list[str]) -> AsyncIterator[list[Record]]:
        for archived in (False, True):
            async for records in self._hubspot.list_objects(name, properties, history=history, archived=archived):
                yield records

    async def _since(self, name: str, span: Span, properties: list[str], seen: Seen) -> AsyncIterator[list[Record]]:
        assert span.start is not None
        async for records in self._hubspot.search_modified(name, properties, span.start, span.end):
            yield records
        # Archiving moves no date that a search could look for (airbytehq/airbyte#19838), so that the whole list is looked through.
        start = span.start.replace(microsecond=span.start.microsecond // 1000 * 1000)
        archived: set[str] = set()
        async for records in self._hubspot.list_objects(name, properties, archived=True):
            archived |= {r["id"] for r in records}
            yield [r for r in records if start <= datetime.fromisoformat(r["archivedAt"]) < span.end]
        restored = [i for i in self.known.values(name, "id", {"archived": "true"}) if i not in archived]
        found: set[int] = set()
        async for records in self._hubspot.batch_read(name, restored, properties):
            found |= {int(r["id"]) for r in records}
            yield records
        seen.back |= found
        seen.missing |= {int(i) for i in restored} - found

    async def _look(self, name: str, span: Span) -> Seen:
        """What changed of an object; from this run's read of its table where there was one."""
        if name not in self._seen or not self._seen[name].covers(span):
            async for _ in self._changed(name, span, [MERGED_IDS]):
                pass
        return self._seen[name]

    async def _associations(self, table: RawTable, span: Span) -> AsyncIterator[list[Record]]:
        start, end = table.object.split("/")
        seen = await self._look(start, span)
        yield [{"from_id": str(i)} for i in seen.gone]
        ids: Iterable[str] = map(str, seen.live)
        if span.start is not None:
            ids = map(str, sorted({*seen.live, *await self._other_ends(table, await self._look(end, span))} - seen.gone))
        async for answer in self._hubspot.associations(start, end, ids):
            yield [row for record_id, links in answer.items() for row in links_of(record_id, links)]

    async def _other_ends(self, table: RawTable, ended: Seen) -> set[int]:
        """Records whose links changed because of what befell the record at the other end: it vanished, came back or took a merged one's place."""
        start, end = table.object.split("/")
        found = {int(i) for gone in ended.gone for i in self.known.values(table.name, "from_id", {"to_id": str(gone)})}
        returned = ended.back | set(ended.losers.values())
        async for answer in self._hubspot.associations(end, start, map(str, sorted(returned - ended.gone))):
            found |= {int(link["toObjectId"]) for links in answer.values() for link in links}
        return found

    async def _stage_history(self, span: Span) -> AsyncIterator[list[Record]]:
        if self._stages is None and span.start is None:
            async for _ in self._changed("contacts", span, [MERGED_IDS], [STAGE]):
                pass
        if self._stages is not None:
            seen = self._seen["contacts"]
            for rows in self._stages.read(seen):
                yield rows
        else:
            seen = await self._look("contacts", span)
            for archived, ids in ((False, seen.live), (True, sorted(seen.archived - seen.losers.keys()))):
                async for records in self._hubspot.batch_read("contacts", map(str, ids), history=[STAGE], archived=archived):
                    yield versions_of(records)
        yield [{"contact_id": str(i)} for i in seen.missing | seen.losers.keys()]

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
