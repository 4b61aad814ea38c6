"""Marketo's opportunities and their roles. There is no list of either: leads lead to roles, roles to opportunities, and back.

What Marketo has no way to ask for stays unseen: an opportunity that never had a role. One that lost its last role is kept, and read again
each time, for as long as it exists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.sources.marketo_leads import SeenLeads
from cdp_pipelines.sources.marketo_log import ActivityLog
from cdp_pipelines.sources.reader import DELETED, Batch, KnownRecords, Span

# More leads than this, and reading all opportunities is less work than asking the warehouse for each lead's.
LEADS_TO_LOOK_UP = 100


class DealReader:
    """Reads one instance's opportunities and roles."""

    def __init__(self, marketo: Marketo, log: ActivityLog, known: KnownRecords, seen: SeenLeads):
        self._marketo, self._log, self._known, self._seen = marketo, log, known, seen
        # Opportunities that this run's roles name, by the start of the span that was read; None is everything.
        self._linked: dict[datetime | None, set[str]] = {}

    async def roles(self, fields: list[str], span: Span) -> AsyncGenerator[Batch]:
        """The roles of all leads, or of those that opportunity activities name; a lead without any is a row of its id alone."""
        found: set[str] = set()
        touched: set[str] = set()
        if span.start is None:
            leads = self._seen.sorted_ids()
            if self._seen.since is not None:
                leads = sorted({*leads, *map(int, self._known.values("leads", "id"))})
        else:
            told = await self._log.told(span.start)
            touched = told.touched
            leads = sorted(map(int, touched - told.gone))
        with_roles: set[str] = set()
        async for page in self._marketo.roles_by("leadId", leads, fields):
            found.update(row["externalOpportunityId"] for row in page)
            if touched:
                with_roles.update(str(row["leadId"]) for row in page)
            yield Batch(page)
        if touched:
            yield Batch([{"leadId": lead} for lead in sorted(touched - with_roles)])
        self._linked[span.start] = found

    async def opportunities(self, fields: list[str], span: Span) -> AsyncGenerator[Batch]:
        """The opportunities that roles name, those that did before, and those that are known to have none."""
        linked, wanted = await self._keys(span)
        found: set[str] = set()
        async for page in self._marketo.opportunities_by("externalOpportunityId", sorted(wanted), fields):
            found.update(row["externalOpportunityId"] for row in page)
            yield Batch(page)
        if span.start is not None and (missing := wanted - found):
            guids = (
                guid
                for key in sorted(missing)
                for guid in self._known.values("opportunities", "marketoGUID", {"externalOpportunityId": key})
            )
            yield Batch([{"marketoGUID": guid, DELETED: True} for guid in guids])
        # Nothing else in the API would tell of a change of these.
        span.state["without_roles"] = sorted(await self._without_roles(found - linked))

    async def _keys(self, span: Span) -> tuple[set[str], set[str]]:
        """External ids of the opportunities that have a role for sure, and of all that are to be read."""
        linked = self._linked.get(span.start, self._linked.get(None))
        if span.start is None:
            if linked is None:
                linked = set(self._known.values("opportunity_roles", "externalOpportunityId")).union(*self._linked.values())
            return linked, linked | set(self._known.values("opportunities", "externalOpportunityId"))
        told = await self._log.told(span.start)
        if linked is None:
            pages = self._marketo.roles_by("leadId", sorted(map(int, told.touched - told.gone)), ["externalOpportunityId", "leadId"])
            linked = {row["externalOpportunityId"] async for page in pages for row in page}
        # Opportunities that have lost a role: this is what the warehouse still has.
        keys = ({"leadId": lead} for lead in sorted(told.touched)) if len(told.touched) <= LEADS_TO_LOOK_UP else (None,)
        before = {key for where in keys for key in self._known.values("opportunity_roles", "externalOpportunityId", where)}
        return linked, linked | before | set(span.state.get("without_roles", ()))

    async def _without_roles(self, candidates: set[str]) -> set[str]:
        pages = self._marketo.roles_by("externalOpportunityId", sorted(candidates), ["externalOpportunityId"])
        return candidates - {row["externalOpportunityId"] async for page in pages for row in page}
