"""Salesforce's raw tables: the newest version of each record, deleted and merged ones marked, purged ones as their id alone.

Records are read by SystemModstamp through `queryAll`, which shows the recycle bin; `salesforce_records.py` says by which way, and
`salesforce_deletions.py` how purged ones are found. Calculated fields are as of the record's last change: they move without
SystemModstamp (heroku/roadmap#319), so a full read or a reconcile refreshes them.

    python -m cdp_pipelines.sources.salesforce [--full]
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines import mapping
from cdp_pipelines.config import SalesforceConnection
from cdp_pipelines.crm_integrations.base_crm import FieldInfo, RequestRejected
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.mapping_check import compare
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, KnownRecords, RawTable, Reader, Span
from cdp_pipelines.sources.salesforce_deletions import Deletions
from cdp_pipelines.sources.salesforce_records import RecordReader
from cdp_pipelines.sources.salesforce_soql import Selection, cursors

_ALWAYS = ("Id", "CreatedDate", "LastModifiedDate", "SystemModstamp")
TABLES = (
    RawTable("account", "Account", ("Id",), fields=(*_ALWAYS, "IsDeleted", "MasterRecordId")),
    RawTable("contact", "Contact", ("Id",), fields=(*_ALWAYS, "IsDeleted", "MasterRecordId")),
    RawTable("lead", "Lead", ("Id",), fields=(*_ALWAYS, "IsDeleted", "MasterRecordId")),
    RawTable("opportunity", "Opportunity", ("Id",), fields=(*_ALWAYS, "IsDeleted")),
    RawTable("opportunity_contact_role", "OpportunityContactRole", ("Id",), fields=(*_ALWAYS, "IsDeleted")),
    RawTable("campaign", "Campaign", ("Id",), fields=(*_ALWAYS, "IsDeleted")),
    RawTable("campaign_member", "CampaignMember", ("Id",), fields=(*_ALWAYS, "IsDeleted")),
    RawTable("user", "User", ("Id",), fields=_ALWAYS),
)
# Bulk API 2.0 refuses compound fields, whose parts are fields of their own; files are not data of a customer table.
UNREAD_TYPES = ("address", "location", "base64")


class SalesforceReader(Reader):
    """Reads one org's raw tables."""

    tables = TABLES

    def __init__(self, connection: SalesforceConnection, known: KnownRecords):
        self.connection, self.known = connection, known
        self.client = self._salesforce = Salesforce(connection)
        self._records = RecordReader(self._salesforce, connection.bulk_above, [table.object for table in TABLES])
        self._deletions = Deletions(self._salesforce, known)

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader: every field that describe shows to the API user, compound fields and files left out."""
        return [f.name for f in await self.described(table)]

    async def described(self, table: RawTable) -> list[FieldInfo]:
        """See Reader."""
        return [f for f in await self._salesforce.describe_fields(table.object) if f.type not in UNREAD_TYPES]

    async def read(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        """See Reader. A full read has no upper bound either: a record changed meanwhile would be in neither this read nor the last."""
        maybe_gone = await self._deletions.maybe_gone(table, span)
        async with aclosing(self._batches(table, span)) as batches:
            async for batch in batches:
                maybe_gone -= _deleted_ids(batch.rows)
                yield Batch(marked(batch.rows), batch.resume, batch.expected)
        async for batch in self._deletions.purged(table, maybe_gone):
            yield batch

    async def warnings(self) -> list[str]:
        """See Reader: mapped fields that the org lacks, where nothing takes their place, and a refresh token that nobody keeps."""
        name = self.connection.name
        found = [
            f"{name}: {f.table}.{f.field} is not in this org or hidden from the API user; {', '.join(f.used_by)} stays empty."
            for f in await compare(mapping.load(), "salesforce", self)
            if f.what == "missing" and f.empty
        ]
        if self._salesforce.unsaved_refresh_token:
            setting = self.connection.variable("refresh_token_file")
            found.append(
                f"{name}: Salesforce has renewed the refresh token and no file keeps it; set {setting} and authorize the app anew."
            )
        return found

    async def _batches(self, table: RawTable, span: Span) -> AsyncGenerator[Batch]:
        """Records by the first field that Salesforce lets us filter; all of them where there is none (airbytehq/airbyte PR 68166)."""
        fields = tuple(await self.fields(table))
        for cursor in (*cursors(await self._salesforce.describe(table.object)), None):
            start, end = (span.start, span.end) if span.start and cursor else (None, None)
            wanted = Selection(table.object, fields, cursor, start, end)
            try:
                async with aclosing(self._records.read(wanted, span.resume)) as batches:
                    async for batch in batches:
                        yield batch
                return
            except RequestRejected as error:
                if cursor is None or error.code != "INVALID_FIELD" or "can not be" not in error.problem:
                    raise


def _deleted_ids(rows: pa.Table) -> set[str]:
    return set(rows["Id"].filter(_is_deleted(rows)).to_pylist())


def marked(table: pa.Table) -> pa.Table:
    """The rows with the two columns of bookkeeping."""
    deleted, nothing = _is_deleted(table), pa.scalar(None, pa.string())
    merged = table["MasterRecordId"] if "MasterRecordId" in table.column_names else nothing
    marks = pc.call_function("if_else", [deleted, pa.scalar("true"), nothing])
    masters = pc.call_function("if_else", [deleted, merged, nothing])
    return table.append_column(DELETED, marks).append_column(MERGED_INTO, masters)


def _is_deleted(table: pa.Table) -> pa.ChunkedArray:
    if "IsDeleted" not in table.column_names:
        return pa.chunked_array([pa.repeat(False, table.num_rows)])
    return pc.call_function("equal", [table["IsDeleted"], pa.scalar("true")])


if __name__ == "__main__":
    from cdp_pipelines.sources.run_alone import main

    main("salesforce")
