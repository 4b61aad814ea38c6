"""What Salesforce's cursor cannot see: calculated fields, which move without SystemModstamp (heroku/roadmap#319), and what was purged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.sources.reader import DELETED, Batch, Glance, RawTable, Reconciler
from cdp_pipelines.sources.salesforce import SalesforceReader, marked
from cdp_pipelines.sources.salesforce_soql import Selection

_STAMPS = ("SystemModstamp", "IsDeleted", "MasterRecordId")


class SalesforceReconciler(SalesforceReader, Reconciler):
    """Reads one org's raw tables, also at a glance and by id."""

    def glance(self, table: RawTable) -> Glance:
        """See Reconciler: one query of the stamps and the calculated fields (formulas, roll-ups) of all records, the recycle bin included."""
        return Glance(self._glanced(table))

    async def reread(self, table: RawTable, keys: Iterable[str]) -> AsyncIterator[Batch]:
        """See Reconciler. A few records are asked for by id; where they are many, the whole object is read in bulk, which takes fewer calls."""
        ids, fields = list(dict.fromkeys(keys)), await self.fields(table)
        missing, among = set(ids), pc.SetLookupOptions(pa.array(ids, pa.string()))
        few = len(ids) <= self.connection.bulk_above
        found = self._records.of_ids(table.object, fields, ids) if few else self._records.read(Selection(table.object, tuple(fields)))
        async for batch in found:
            assert isinstance(batch.rows, pa.Table)
            rows = batch.rows.filter(pc.call_function("is_in", [batch.rows["Id"]], among))
            missing.difference_update(rows["Id"].to_pylist())
            yield Batch(marked(rows))
        yield Batch([{"Id": record_id, DELETED: True} for record_id in ids if record_id in missing])

    async def _glanced(self, table: RawTable) -> AsyncIterator[Batch]:
        unread = self.unread.get(table.name, frozenset())
        fields = ("Id", *(f.name for f in await self.described(table) if f.calculated or f.name in _STAMPS or f.name in unread))
        async for batch in self._records.read(Selection(table.object, fields)):
            yield Batch(marked(batch.rows))
