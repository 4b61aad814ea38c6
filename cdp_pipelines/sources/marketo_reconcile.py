"""What Marketo's filters and activities cannot tell any more: events that were missed, and opportunities that nobody is part of.

Formula fields are not looked at: Marketo exports none of them. Campaigns and programs are read whole by every sync, and an activity never
changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

from cdp_pipelines.sources.columns import as_text
from cdp_pipelines.sources.marketo import MarketoReader
from cdp_pipelines.sources.reader import DELETED, Batch, Glance, Named, RawTable, Reconciler, Span

_WHOLE = ("opportunity_roles", "opportunities", "companies")
# `companies` need the leads' keys.
_LEAD_FIELDS = ("id", "updatedAt", "externalCompanyId")


class MarketoReconciler(MarketoReader, Reconciler):
    """Reads one instance's raw tables, also at a glance and by id."""

    def glance(self, table: RawTable) -> Glance | None:
        """See Reconciler. Leads are exported with few fields; what can only be asked for by id is read as in a full read."""
        span = Span("reconcile", None, datetime.now(UTC))
        if table.name == "leads":
            return Glance(self._glanced_leads(table, span))
        return Glance(self.read(table, span), whole=True) if table.name in _WHOLE else None

    async def reread(self, table: RawTable, keys: Iterable[str]) -> AsyncIterator[Batch]:
        """See Reconciler; `leads`, `opportunity_roles` (by lead), `opportunities` and `companies`."""
        lookups = {
            "leads": self._marketo.leads_by,
            "opportunity_roles": self._marketo.roles_by,
            "opportunities": self._marketo.opportunities_by,
            "companies": self._marketo.companies_by,
        }
        by = (table.replace_by or table.key)[0]
        fields, missing = await self.fields(table), dict.fromkeys(keys)
        async for page in lookups[table.name](by, list(missing), fields):
            rows = [{f: as_text(row.get(f)) for f in fields} for row in page]
            for row in rows:
                missing.pop(row[by] or "", None)
            # An export cannot tell the text "null" from nothing, so it is nothing here too.
            yield Batch([{f: None if v == "null" else v for f, v in row.items()} for row in rows] if table.name == "leads" else rows)
        yield Batch([{by: key, **({} if table.replace_by else {DELETED: True})} for key in missing])

    async def named(self, table: RawTable, named: Named) -> AsyncIterator[Batch]:
        """See Reconciler. The `ends` of opportunities are leads that have a part in them."""
        if table.name == "opportunities" and (leads := sorted(named.ends[table.name])):
            async for batch in self._opportunities_of(leads):
                yield batch
        async for batch in super().named(table, named):
            yield batch

    async def _opportunities_of(self, ids: list[str]) -> AsyncIterator[Batch]:
        """The opportunities in which these leads have a part now, or had one in the warehouse; those that are gone are tombstones."""
        by = "externalOpportunityId"
        wanted = set(self.known.values("opportunity_roles", by, {"leadId": ids}))
        async for page in self._marketo.roles_by("leadId", ids, [by]):
            wanted.update(row[by] for row in page)
        (table,) = (table for table in self.tables if table.name == "opportunities")
        fields = await self.fields(table)
        async for page in self._marketo.opportunities_by(by, sorted(wanted), fields):
            wanted.difference_update(row[by] for row in page)
            yield Batch([{f: as_text(row.get(f)) for f in fields} for row in page])
        gone = self.known.values("opportunities", "marketoGUID", {by: wanted})
        yield Batch([{"marketoGUID": guid, DELETED: True} for guid in gone])

    async def _glanced_leads(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        unread = self.unread.get(table.name, frozenset())
        fields = [f for f in await self.fields(table) if f in _LEAD_FIELDS or f in unread]
        async for batch in self._leads.read(fields, span):
            yield batch
