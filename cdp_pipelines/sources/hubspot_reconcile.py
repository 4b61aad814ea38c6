"""What HubSpot's search cannot see: calculated properties, links whose change counts as nobody's, and what was erased for good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pyarrow as pa

from cdp_pipelines.crm_integrations.hubspot_pages import TOP_LEVEL, RecordPage, field_of
from cdp_pipelines.sources.hubspot import RECORDS, HubSpotReader
from cdp_pipelines.sources.hubspot_rows import MERGED_IDS, STAGE, row_table, versions_of
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, Glance, Named, RawTable, Reconciler, Span

# What HubSpot takes from a record's links, whether or not it calls the property calculated.
_FROM_LINKS = ("num_associated_", "associatedcompanyid")
_CONSTANT = ("createdAt", "url")


class HubSpotReconciler(HubSpotReader, Reconciler):
    """Reads one portal's raw tables, also at a glance and by id."""

    _reread_contacts: frozenset[str] = frozenset()

    def glance(self, table: RawTable) -> Glance | None:
        """See Reconciler. Records are listed with few properties, links read whole; stages' history follows the contacts that were reread."""
        span = Span("reconcile", None, datetime.now(UTC))
        if table.name in RECORDS:
            return Glance(self._glanced(table.name, span))
        if table.replace_by == ("from_id",):
            return Glance(_batches(self._associations(table, span)), whole=True)
        if table.name == "lifecycle_stage_history":
            return Glance(self._histories(table), whole=True, everything=False)
        return None

    def reread(self, table: RawTable, keys: Iterable[str]) -> AsyncIterator[Batch]:
        """See Reconciler."""
        if table.name in RECORDS:
            return self._records_by_id(table.name, list(keys))
        if table.replace_by == ("from_id",):
            return self._links_of(table, keys)
        return self._histories_of(list(keys))

    async def named(self, table: RawTable, named: Named) -> AsyncIterator[Batch]:
        """See Reconciler. Of links, also the sets that have one of the `ends` at their other end."""
        keys = dict.fromkeys(named.keys[table.name])
        if ends := sorted(named.ends[table.name]):
            keys |= dict.fromkeys(await self._linked_with(table, ends))
        if keys:
            async for batch in self.reread(table, keys):
                yield batch

    async def _linked_with(self, table: RawTable, ends: list[str]) -> set[str]:
        """Keys of the sets of a table of links that have, or had in the warehouse, one of these records at their other end."""
        start, end = table.object.split("/")
        found = set(self.known.values(table.name, "from_id", {"to_id": ends}))
        async for links in self._hubspot.associations(end, start, ends):
            found.update(links["to_id"].drop_null().to_pylist())
        return found

    async def _glanced(self, name: str, span: Span) -> AsyncIterator[Batch]:
        described = await self._hubspot.properties(name)
        unread = self.unread.get(name, frozenset())
        moving = [p["name"] for p in described if p.get("calculated") or p["name"].startswith(_FROM_LINKS) or field_of(p["name"]) in unread]
        wanted = list(dict.fromkeys([*moving, MERGED_IDS]))
        async for page, _ in self._changed(name, span, wanted):
            yield Batch(_only(page.records, [f for f in TOP_LEVEL if f not in _CONSTANT], map(field_of, wanted)))
        losers = self._seen[name].losers
        yield Batch([{"id": str(i), DELETED: True, MERGED_INTO: str(into)} for i, into in losers.items()])

    async def _records_by_id(self, name: str, ids: list[str]) -> AsyncIterator[Batch]:
        if name == "contacts":
            self._reread_contacts |= set(ids)
        properties, missing = await self._property_names(name), dict.fromkeys(ids)
        for archived in (False, True):
            async for page in self._hubspot.batch_read(name, list(missing), properties, archived=archived):
                for record_id in page.records["id"].to_pylist():
                    missing.pop(record_id, None)
                yield Batch(row_table(page))
        yield Batch([{"id": record_id, DELETED: True} for record_id in missing])

    async def _links_of(self, table: RawTable, ids: Iterable[str]) -> AsyncIterator[Batch]:
        start, end = table.object.split("/")
        async for links in self._hubspot.associations(start, end, ids):
            yield Batch(links)

    async def _histories(self, table: RawTable) -> AsyncIterator[Batch]:
        async for batch in self.reread(table, sorted(self._reread_contacts)):
            yield batch

    async def _histories_of(self, ids: list[str]) -> AsyncIterator[Batch]:
        missing = dict.fromkeys(ids)
        for archived in (False, True):
            async for page in self._hubspot.batch_read("contacts", list(missing), history=[STAGE], archived=archived):
                for record_id in page.records["id"].to_pylist():
                    missing.pop(record_id, None)
                assert page.versions is not None
                yield Batch(versions_of(page.versions))
        yield Batch([{"contact_id": contact} for contact in missing])


async def _batches(pages: AsyncIterator[pa.Table]) -> AsyncIterator[Batch]:
    async for rows in pages:
        yield Batch(rows)


def _only(records: pa.Table, own: Iterable[str], properties: Iterable[str]) -> pa.Table:
    """Some columns of a page, archived records marked; a property that no record of the page has is null."""
    nothing = pa.nulls(len(records), pa.string())
    there = set(records.column_names)
    chosen = {name: records[name] if name in there else nothing for name in (*own, *properties)}
    return row_table(RecordPage(pa.table(chosen)))
