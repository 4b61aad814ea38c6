"""What Salesforce's cursor cannot see: calculated fields, which move without SystemModstamp (heroku/roadmap#319), and what was purged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.sources.reader import DELETED, Batch, Glance, RawTable
from cdp_pipelines.sources.salesforce import IDS_PER_QUERY, UNREAD_TYPES, SalesforceReader, _mark, _marked, _queries

_STAMPS = ("SystemModstamp", "IsDeleted", "MasterRecordId")


class SalesforceReconciler(SalesforceReader):
    """Reads one org's raw tables, also at a glance and by id."""

    def glance(self, table: RawTable) -> Glance:
        """See Reader: one query of the stamps and the calculated fields (formulas, roll-ups) of all records, the recycle bin included."""
        return Glance(self._glanced(table))

    async def reread(self, table: RawTable, keys: Iterable[str]) -> AsyncIterator[Batch]:
        """See Reader. A few records are asked for by id; where they are many, the whole object is read in bulk, which takes fewer calls."""
        ids = list(dict.fromkeys(keys))
        missing, among = set(ids), pc.SetLookupOptions(pa.array(ids, pa.string()))
        pages = self._by_ids(table, ids) if len(ids) <= self.connection.bulk_above else self._all_of(table)
        async for rows in pages:
            if isinstance(rows, pa.Table):
                rows = rows.filter(pc.call_function("is_in", [rows["Id"]], among))
                missing.difference_update(rows["Id"].to_pylist())
            else:
                rows = [row for row in rows if row["Id"] in missing]
                missing.difference_update([row["Id"] for row in rows])
            yield _batch(rows)
        yield Batch([{"Id": record_id, DELETED: True} for record_id in ids if record_id in missing])

    async def _glanced(self, table: RawTable) -> AsyncIterator[Batch]:
        described = [f for f in await self._salesforce.describe_fields(table.object) if f.type not in UNREAD_TYPES]
        fields = ["Id", *(f.name for f in described if f.calculated or f.name in _STAMPS)]
        async for rows in self._records(table.object, fields, ""):
            yield _batch(rows)

    async def _all_of(self, table: RawTable) -> AsyncIterator[list[dict[str, Any]] | pa.Table]:
        async for rows in self._records(table.object, await self.fields(table), ""):
            yield rows

    async def _by_ids(self, table: RawTable, ids: list[str]) -> AsyncIterator[list[dict[str, Any]]]:
        fields = await self.fields(table)
        for at in range(0, len(ids), IDS_PER_QUERY):
            some = ",".join(f"'{record_id}'" for record_id in ids[at : at + IDS_PER_QUERY])
            async for rows in self._by_rest(table.object, _queries(table.object, fields, f" WHERE Id IN ({some})")):
                yield rows


def _batch(rows: list[dict[str, Any]] | pa.Table) -> Batch:
    _mark(rows)
    return Batch(_marked(rows) if isinstance(rows, pa.Table) else rows)
