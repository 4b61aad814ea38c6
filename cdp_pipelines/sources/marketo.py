"""Marketo's raw tables: what is exported in bulk, what follows from activities, and what can only be asked by id.

leads                `marketo_leads.py`: bulk export; deletions and merges from activities
opportunity_roles    `marketo_deals.py`: by lead id, since there is no list; in incremental reads of the leads that activities name
opportunities        `marketo_deals.py`: by the external ids that roles name
companies            by the external ids that leads name; a company without a lead stays unseen
campaigns, programs  whole, each time: there are few
activities           bulk export; in incremental reads, or without bulk access, page by page from the span's start
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines import mapping
from cdp_pipelines.config import MarketoConnection
from cdp_pipelines.crm_integrations.base_crm import FieldInfo, PermissionDenied, RequestRejected
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.marketo_export import LONGEST_WINDOW, split_windows
from cdp_pipelines.sources import marketo_activities as log
from cdp_pipelines.sources.marketo_deals import DealReader
from cdp_pipelines.sources.marketo_leads import LeadReader
from cdp_pipelines.sources.marketo_log import ActivityLog
from cdp_pipelines.sources.reader import DELETED, Batch, KnownRecords, RawTable, Reader, Span

TABLES = (
    RawTable("leads", "leads", ("id",)),
    RawTable(
        "opportunity_roles", "opportunities/roles", ("leadId", "marketoGUID"), replace_by=("leadId",),
        fields=("externalOpportunityId", "role", "isPrimary"), after=("leads",),
    ),
    RawTable("opportunities", "opportunities", ("marketoGUID",), fields=("externalOpportunityId",), after=("opportunity_roles",)),
    RawTable("companies", "companies", ("id",), fields=("externalCompanyId",), after=("leads",)),
    RawTable("campaigns", "campaigns", ("id",)),
    RawTable("programs", "programs", ("id",)),
    RawTable("activities", "activities", ("marketoGUID",), events=True),
)  # fmt: skip
# Marketo's own syncs with a CRM fill these, where there is such a sync.
_NEED_NOT_BE_FILLED = {"sfdcContactId", "sfdcLeadId", "externalCompanyId", "externalSalesPersonId", "contactCompany"}
_UNDESCRIBED = {
    "campaigns": ("id", "name", "description", "type", "programName", "programId", "workspaceName", "createdAt", "updatedAt", "active"),
    "programs": (
        "id", "name", "description", "createdAt", "updatedAt", "url", "type", "channel", "folder", "status", "workspace", "startDate", "endDate",
        "sfdcId", "sfdcName", "headStart",
    ),
    "activities": log.COLUMNS,
}  # fmt: skip


class MarketoReader(Reader):
    """Reads one Marketo instance. Tables read later use what the ones before them showed, or else what the warehouse knows."""

    tables = TABLES

    def __init__(self, connection: MarketoConnection, known: KnownRecords):
        self.client = self._marketo = Marketo(connection)
        self.known = known
        self._log = ActivityLog(self._marketo, {*connection.activity_type_ids, *log.ALWAYS})
        self._leads = LeadReader(self._marketo, self._log, known)
        self._deals = DealReader(self._marketo, self._log, known, self._leads.seen)
        self._described: dict[str, list[str]] = {}
        self._infos: dict[str, list[FieldInfo]] = {}
        # Mapped fields in which no lead of a full read has a value.
        self._empty: set[str] = set()

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader."""
        if table.name not in self._described:
            fixed = _UNDESCRIBED.get(table.name)
            self._infos[table.name] = [] if fixed else await self._marketo.describe_fields(table.object)
            described = fixed or [f.name for f in self._infos[table.name]]
            self._described[table.name] = list(dict.fromkeys([*table.key, *described]))
        return self._described[table.name]

    async def described(self, table: RawTable) -> list[FieldInfo]:
        """See Reader."""
        await self.fields(table)
        return self._infos[table.name]

    def read(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        """See Reader."""
        return getattr(self, f"_read_{table.name}")(table, span)

    async def warnings(self) -> list[str]:
        """See Reader: mapped fields that this instance lacks."""
        spec, found = mapping.load(), []
        for table in self.tables:
            fields = self._described.get(table.name) if table.name not in _UNDESCRIBED else None
            lacking = [f for f in spec.raw_fields("marketo", table.name) if fields and f not in fields]
            if lacking:
                found.append(f"Marketo has no field {', '.join(lacking)} in {table.name}; what is mapped to it stays empty.")
        unfilled = [info.name for info in self._infos.get("leads", ()) if info.read_only and info.name in self._empty]
        if unfilled:
            found.append(
                f"Marketo gives no lead a value in {', '.join(unfilled)}, so what is mapped to it stays empty; its API never computes formula "
                "fields. Map the fields that the formula is made of."
            )
        return found

    async def _read_leads(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        empty = set(mapping.load().raw_fields("marketo", "leads"))
        async for batch in self._leads.read(await self.fields(table), span):
            if isinstance(batch.rows, pa.Table):
                empty -= {name for name in empty & set(batch.rows.column_names) if batch.rows[name].null_count < len(batch)}
            yield batch
        if span.mode == "full" and not span.resume:
            self._empty = empty - _NEED_NOT_BE_FILLED

    async def _read_opportunity_roles(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        async for batch in self._deals.roles(await self.fields(table), span):
            yield batch

    async def _read_opportunities(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        async for batch in self._deals.opportunities(await self.fields(table), span):
            yield batch

    async def _read_companies(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        fields = await self.fields(table)
        wanted, since = set(self._leads.seen.companies), self._leads.seen.since
        # This run's leads name every company that is to be read, unless they were read for a shorter time than the companies are.
        if since is False or (since is not None and (span.start is None or since > span.start)):
            wanted.update(self.known.values("leads", "externalCompanyId"))
        if span.start is None:
            wanted.update(self.known.values("companies", "externalCompanyId"))
        async for page in self._marketo.companies_by("externalCompanyId", sorted(wanted), fields):
            yield Batch(page)

    def _read_campaigns(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        return self._whole(table, span, self._marketo.campaigns())

    def _read_programs(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        return self._whole(table, span, self._marketo.programs())

    async def _whole(self, table: RawTable, span: Span, pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncGenerator[Batch]:
        """All records; the ones that were there before and are not now are gone."""
        seen: set[str] = set()
        async for page in pages:
            seen.update(str(row["id"]) for row in page)
            yield Batch(page)
        if span.start is not None and (gone := set(self.known.values(table.name, "id")) - seen):
            yield Batch([{"id": key, DELETED: True} for key in sorted(gone)])

    async def _read_activities(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        if span.start is not None:
            async for batch in self._logged(span.start, span.end):
                yield batch
            return
        exported = False
        place: dict[str, Any] = span.resume or {}
        first = datetime.fromisoformat(place["until"]) if place else await self._log.first() or span.end - LONGEST_WINDOW
        try:
            async for batch in self._exported(first, span.end):
                exported = True
                yield batch
        except (PermissionDenied, RequestRejected) as error:
            if exported or not (isinstance(error, PermissionDenied) or error.code == "1035"):
                raise
            async for batch in self._logged(first, span.end):
                yield batch
        # Bulk extract leaves deletions out.
        rows = (await self._log.told(None)).rows
        yield Batch(_before(rows.filter(pc.call_function("equal", [rows["activityTypeId"], pa.scalar(str(log.DELETE))])), span.end))

    async def _exported(self, start: datetime, end: datetime) -> AsyncGenerator[Batch]:
        windows = split_windows(start, end)
        parts = self._marketo.export_activities(windows, self._log.types - {log.DELETE})
        async with aclosing(parts):
            async for part in parts:
                until = windows[part.done - 1][1] if part.done else start
                yield Batch(log.from_bulk(part.rows), {"until": until.isoformat()})

    async def _logged(self, start: datetime, end: datetime) -> AsyncGenerator[Batch]:
        """Activities page by page, those that other tables ask for too from the one time when they were asked for."""
        yield Batch(_before((await self._log.told(start)).rows, end))
        async for page in self._log.pages(self._log.types - set(log.ALWAYS), start):
            yield Batch([log.from_rest(row) for row in page if log.happened(row) < end])


def _before(rows: pa.Table, end: datetime) -> pa.Table:
    early = [log.happened({"activityDate": text}) < end for text in rows["activityDate"].to_pylist()]
    return rows.filter(pa.array(early, pa.bool_()))


if __name__ == "__main__":
    from cdp_pipelines.sources.run_alone import main

    main("marketo")
