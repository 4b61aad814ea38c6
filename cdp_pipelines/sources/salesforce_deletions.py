"""Finds Salesforce records that are gone for good: purged from the recycle bin, where no query sees them.

getDeleted tells of them for 15 days; once a day the deleted records that the warehouse knows are looked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from cdp_pipelines.crm_integrations.base_crm import RequestRejected
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, KnownRecords, RawTable, Span
from cdp_pipelines.sources.salesforce_soql import IDS_PER_QUERY

# getDeleted goes 15 days back; an hour less, so that clocks that differ do no harm.
DELETIONS_KNOWN = timedelta(days=15) - timedelta(hours=1)
BIN_CHECK_EVERY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


class Deletions:
    """What was deleted in one org."""

    def __init__(self, salesforce: Salesforce, known: KnownRecords):
        self._salesforce, self._known = salesforce, known

    async def maybe_gone(self, table: RawTable, span: Span) -> set[str]:
        """Ids of records that may be gone for good: those that getDeleted names, and once a day all that we know as deleted."""
        described = await self._salesforce.describe(table.object)
        if not (described["deletable"] and described["replicateable"]):
            return set()
        earliest = span.end - DELETIONS_KNOWN
        since = min(filter(None, (span.start, _moment(span.state.get("deletions_until"))))) if span.start else earliest
        # Salesforce leaves seconds out of account, and wants more than a minute between the two.
        start, end = max(since - 2 * _MINUTE, earliest), span.end
        gone = set[str]()
        async for ids, covered in self._between(table.object, start, end):
            gone |= ids
            span.state["deletions_until"] = min(covered, span.end).isoformat()
        checked = _moment(span.state.get("bin_checked"))
        if span.mode == "full" or checked is None or span.end - checked >= BIN_CHECK_EVERY:
            span.state["bin_checked"] = span.end.isoformat()
            if span.mode == "incremental":
                gone |= set(self._known.values(table.name, "Id", {"IsDeleted": "true"}))
        return gone

    async def purged(self, table: RawTable, maybe_gone: set[str]) -> AsyncIterator[Batch]:
        """Rows for those of the ids that no query finds any more."""
        ids = sorted(maybe_gone)
        for at in range(0, len(ids), IDS_PER_QUERY):
            asked = ids[at : at + IDS_PER_QUERY]
            wanted = ",".join(f"'{record_id}'" for record_id in asked)
            found: set[str] = set()
            async for rows in self._salesforce.query(f"SELECT Id FROM {table.object} WHERE Id IN ({wanted})", include_deleted=True):
                found |= {row["Id"] for row in rows}
            gone = [record_id for record_id in asked if record_id not in found]
            yield Batch([{"Id": record_id, DELETED: True, MERGED_INTO: self._survivor(table, record_id)} for record_id in gone])

    def _survivor(self, table: RawTable, record_id: str) -> str | None:
        """The record that one was merged into, as an earlier read saw it: Salesforce has forgotten."""
        return next(self._known.values(table.name, MERGED_INTO, {"Id": record_id}), None) if "MasterRecordId" in table.fields else None

    async def _between(self, object_name: str, start: datetime, end: datetime) -> AsyncIterator[tuple[set[str], datetime]]:
        """What was deleted, and until when that is complete; in halves where there are more ids than one answer holds (600,000)."""
        try:
            found = await self._salesforce.deleted(object_name, start, end)
            yield set(found.ids), found.covered
        except RequestRejected as error:
            if error.code != "EXCEEDED_ID_LIMIT" or end - start < 4 * _MINUTE:
                raise
            middle = (start + (end - start) / 2).replace(second=0, microsecond=0)
            for half in ((start, middle), (middle, end)):
                async for part in self._between(object_name, *half):
                    yield part


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
