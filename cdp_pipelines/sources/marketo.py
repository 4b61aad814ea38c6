"""Marketo's raw tables: what is exported in bulk, what follows from activities, and what can only be asked by id.

leads              bulk export; in incremental reads by `updatedAt`, which sees every change; deletions and merges from activities
opportunity_roles  by lead id, since there is no list; in incremental reads of the leads that opportunity activities name
opportunities      by the external ids that roles name
companies          by the external ids that leads name
campaigns, programs  whole, each time: there are few
activities         bulk export; in incremental reads page by page from the span's start

What Marketo has no way to ask for stays unseen: a company without a lead, an opportunity that never had a role. One that lost its
last role is kept, and read again each time, for as long as it exists.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

from cdp_pipelines import mapping
from cdp_pipelines.config import MarketoConnection
from cdp_pipelines.crm_integrations.base_crm import RequestRejected
from cdp_pipelines.crm_integrations.marketo import TYPES_IN_A_CALL, Marketo
from cdp_pipelines.crm_integrations.marketo_export import LONGEST_WINDOW, split_windows
from cdp_pipelines.sources import marketo_activities as log
from cdp_pipelines.sources.columns import as_text
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, KnownRecords, RawTable, Reader, Span

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
_UNDESCRIBED = {
    "campaigns": ("id", "name", "description", "type", "programName", "programId", "workspaceName", "createdAt", "updatedAt", "active"),
    "programs": (
        "id", "name", "description", "createdAt", "updatedAt", "url", "type", "channel", "folder", "status", "workspace", "startDate", "endDate",
        "sfdcId", "sfdcName", "headStart",
    ),
    "activities": log.COLUMNS,
}  # fmt: skip
# No instance is older than the company.
EARLIEST = datetime(2006, 1, 1, tzinfo=UTC)
# Lead ids count up from 1, so that the first lead that is left is found by asking for the lowest ids.
LOWEST_IDS = 30_000
PAGES_TO_LOOK_AT = 50
# More leads than this, and reading all opportunities is less work than asking the warehouse for each lead's.
LEADS_TO_LOOK_UP = 100


class MarketoReader(Reader):
    """Reads one Marketo instance. Tables read later use what the ones before them showed, or else what the warehouse knows."""

    tables = TABLES

    def __init__(self, connection: MarketoConnection, known: KnownRecords):
        self.client = self._marketo = Marketo(connection)
        self.known = known
        self._types = {*connection.activity_type_ids, *log.ALWAYS}
        self._described: dict[str, list[str]] = {}
        # What this run's leads and roles have shown. The keys of `_linked` and `_touched` are the start of the span that was read, None
        # for everything; `_leads_since` is False until the leads were read.
        self._lead_ids = array("q")
        self._company_keys: set[str] = set()
        self._leads_since: datetime | Literal[False] | None = False
        self._linked: dict[datetime | None, set[str]] = {}
        self._touched: dict[datetime, tuple[set[str], set[str]]] = {}
        self._oldest: datetime | None = None

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader."""
        if table.name not in self._described:
            fixed = _UNDESCRIBED.get(table.name)
            described = list(fixed) if fixed else [f.name for f in await self._marketo.describe_fields(table.object)]
            self._described[table.name] = list(dict.fromkeys([*table.key, *described]))
        return self._described[table.name]

    def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
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
        return found

    async def _read_leads(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        fields = await self.fields(table)
        if span.start is None:
            start = await self._first_lead(span.end)
            async for rows in self._marketo.export_leads("createdAt", split_windows(start, span.end), fields):
                yield self._noted(rows)
        else:
            try:
                async for rows in self._marketo.export_leads("updatedAt", split_windows(span.start, span.end), fields):
                    yield self._noted(rows)
            except RequestRejected as error:
                if error.code != "1035":
                    raise
                async for page in self._leads_with_activities(span.start, fields):
                    yield self._noted(pa.Table.from_pylist(page, pa.schema([(f, pa.string()) for f in fields])))
        async for batch in self._gone_leads(span):
            yield batch
        self._leads_since = span.start

    def _noted(self, rows: pa.Table) -> Batch:
        """The rows, their ids and companies remembered."""
        self._lead_ids.extend(map(int, rows["id"].to_pylist()))
        if "externalCompanyId" in rows.column_names:
            self._company_keys.update(filter(None, rows["externalCompanyId"].unique().to_pylist()))
        return Batch(rows)

    async def _leads_with_activities(self, start: datetime, fields: list[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Where the subscription has no export by `updatedAt`: the leads that activities say are new, changed or merged into."""
        changed = {row["leadId"] async for row in self._activities((log.NEW_LEAD, log.CHANGE_VALUE, log.MERGE), start)}
        async for page in self._marketo.leads_by("id", sorted(changed), fields):
            # An export cannot tell the text "null" from nothing, so it is nothing here too.
            yield [{f: text if (text := as_text(row.get(f))) != "null" else None for f in fields} for row in page]

    async def _gone_leads(self, span: Span) -> AsyncIterator[Batch]:
        """Leads that were deleted, then those that were merged away, whose row says into which lead."""
        merges: dict[str, str] = {}
        gone: list[dict[str, Any]] = []
        async for row in self._activities((log.MERGE, log.DELETE), span.start or EARLIEST):
            if row["activityTypeId"] == log.DELETE:
                gone.append({"id": row["leadId"], DELETED: True})
            else:
                merges |= log.merged_leads(row)
        if gone:
            yield Batch(gone)
        if span.start is not None:
            # A winner that has now been merged away in turn: who was merged into it before belongs to the last winner.
            earlier = {loser: winner for winner in merges for loser in self.known.values("leads", "id", {MERGED_INTO: winner})}
            merges = earlier | merges
        if merges:
            yield Batch([{"id": loser, DELETED: True, MERGED_INTO: winner} for loser, winner in log.survivors(merges).items()])

    async def _read_opportunity_roles(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        fields = await self.fields(table)
        found: set[str] = set()
        touched: set[str] = set()
        if span.start is None:
            leads = set(self._lead_ids)
            if self._leads_since is not None:
                leads.update(map(int, self.known.values("leads", "id")))
        else:
            touched, gone = await self._touched_leads(span.start)
            leads = {int(lead) for lead in touched - gone}
        with_roles: set[str] = set()
        async for page in self._marketo.roles_by("leadId", sorted(leads), fields):
            found.update(row["externalOpportunityId"] for row in page)
            if touched:
                with_roles.update(str(row["leadId"]) for row in page)
            yield Batch(page)
        if touched:
            yield Batch([{"leadId": lead} for lead in sorted(touched - with_roles)])
        self._linked[span.start] = found

    async def _touched_leads(self, start: datetime) -> tuple[set[str], set[str]]:
        """Leads whose roles may have changed since `start`, and those among them that are gone."""
        if start not in self._touched:
            touched: set[str] = set()
            gone: set[str] = set()
            async for row in self._activities(log.ALWAYS, start):
                touched.add(str(row["leadId"]))
                if row["activityTypeId"] == log.DELETE:
                    gone.add(str(row["leadId"]))
                elif row["activityTypeId"] == log.MERGE:
                    gone |= log.merged_leads(row).keys()
            self._touched[start] = touched | gone, gone
        return self._touched[start]

    async def _read_opportunities(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        fields = await self.fields(table)
        linked, wanted = await self._deal_keys(span)
        found: set[str] = set()
        async for page in self._marketo.opportunities_by("externalOpportunityId", sorted(wanted), fields):
            found.update(row["externalOpportunityId"] for row in page)
            yield Batch(page)
        if span.start is not None and (missing := wanted - found):
            guids = (
                guid
                for key in sorted(missing)
                for guid in self.known.values("opportunities", "marketoGUID", {"externalOpportunityId": key})
            )
            yield Batch([{"marketoGUID": guid, DELETED: True} for guid in guids])
        # Nothing else in the API would tell of a change of these.
        span.state["without_roles"] = sorted(await self._without_roles(found - linked))

    async def _deal_keys(self, span: Span) -> tuple[set[str], set[str]]:
        """External ids of the opportunities that have a role for sure, and of all that are to be read."""
        linked = self._linked.get(span.start, self._linked.get(None))
        if span.start is None:
            if linked is None:
                linked = set(self.known.values("opportunity_roles", "externalOpportunityId")).union(*self._linked.values())
            return linked, linked | set(self.known.values("opportunities", "externalOpportunityId"))
        touched, gone = await self._touched_leads(span.start)
        if linked is None:
            pages = self._marketo.roles_by("leadId", sorted(map(int, touched - gone)), ["externalOpportunityId", "leadId"])
            linked = {row["externalOpportunityId"] async for page in pages for row in page}
        # Opportunities that have lost a role: this is what the warehouse still has.
        keys = ({"leadId": lead} for lead in sorted(touched)) if len(touched) <= LEADS_TO_LOOK_UP else (None,)
        before = {key for where in keys for key in self.known.values("opportunity_roles", "externalOpportunityId", where)}
        return linked, linked | before | set(span.state.get("without_roles", ()))

    async def _without_roles(self, candidates: set[str]) -> set[str]:
        pages = self._marketo.roles_by("externalOpportunityId", sorted(candidates), ["externalOpportunityId"])
        return candidates - {row["externalOpportunityId"] async for page in pages for row in page}

    async def _read_companies(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        fields = await self.fields(table)
        wanted = set(self._company_keys)
        since = self._leads_since
        # This run's leads name every company that is to be read, unless they were read for a shorter time than the companies are.
        if since is False or (since is not None and (span.start is None or since > span.start)):
            wanted.update(self.known.values("leads", "externalCompanyId"))
        if span.start is None:
            wanted.update(self.known.values("companies", "externalCompanyId"))
        async for page in self._marketo.companies_by("externalCompanyId", sorted(wanted), fields):
            yield Batch(page)

    def _read_campaigns(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        return self._whole(table, span, self._marketo.campaigns())

    def _read_programs(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        return self._whole(table, span, self._marketo.programs())

    async def _whole(self, table: RawTable, span: Span, pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[Batch]:
        """All records; the ones that were there before and are not now are gone."""
        seen: set[str] = set()
        async for page in pages:
            seen.update(str(row["id"]) for row in page)
            yield Batch(page)
        if span.start is not None and (gone := set(self.known.values(table.name, "id")) - seen):
            yield Batch([{"id": key, DELETED: True} for key in sorted(gone)])

    async def _read_activities(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        if span.start is not None:
            async for page in self._activity_pages(self._types, span.start):
                yield Batch([log.from_rest(row) for row in page if log.happened(row) < span.end])
            return
        start = await self._first_activity() or span.end - LONGEST_WINDOW
        async for rows in self._marketo.export_activities(split_windows(start, span.end), self._types - {log.DELETE}):
            yield Batch(log.from_bulk(rows))
        # Bulk extract leaves deletions out.
        async for page in self._activity_pages((log.DELETE,), EARLIEST):
            yield Batch([log.from_rest(row) for row in page if log.happened(row) < span.end])

    async def _activity_pages(self, types: Iterable[int], start: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        token = await self._marketo.paging_token(start)
        for some in log.in_chunks(types, TYPES_IN_A_CALL):
            async for page in self._marketo.activities(some, token):
                if page.rows:
                    yield page.rows

    async def _activities(self, types: Iterable[int], start: datetime) -> AsyncIterator[dict[str, Any]]:
        async for page in self._activity_pages(types, start):
            for row in page:
                yield row

    async def _first_lead(self, end: datetime) -> datetime:
        """When the oldest lead that is left was made; ids follow the order of creation."""
        async for page in self._marketo.leads_by("id", range(1, LOWEST_IDS + 1), ["id", "createdAt"]):
            return min(datetime.fromisoformat(row["createdAt"]) for row in page)
        # Only high ids, or nobody at all; an instance without an activity has no leads, and a read of twenty years is spared.
        return EARLIEST if await self._first_activity() else end - LONGEST_WINDOW

    async def _first_activity(self) -> datetime | None:
        """When the oldest activity happened that Marketo still has."""
        if self._oldest is None:
            found: list[datetime] = []
            token = await self._marketo.paging_token(EARLIEST)
            for some in log.in_chunks(self._types, TYPES_IN_A_CALL):
                looked = 0
                async for page in self._marketo.activities(some, token):
                    looked += 1
                    if page.rows or looked == PAGES_TO_LOOK_AT:
                        found.append(min(map(log.happened, page.rows), default=EARLIEST))
                        break
            self._oldest = min(found, default=None)
        return self._oldest


if __name__ == "__main__":
    from cdp_pipelines.sources.run_alone import main

    main("marketo")
