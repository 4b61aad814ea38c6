"""Salesforce's raw tables: the newest version of each record, deleted and merged ones marked, purged ones as their id alone.

Records are read by SystemModstamp, which moves with every change (LastModifiedDate can be set by integrations: mautic/mautic PR 5841),
through `queryAll`, which shows the recycle bin. What was purged from the bin is in no query; getDeleted tells of it for 15 days, and once
a day the deleted records that the warehouse knows are looked for. Calculated fields are as of the record's last change: they move without
SystemModstamp (heroku/roadmap#319), so a full read or a reconcile refreshes them.

    python -m cdp_pipelines.sources.salesforce [--full]
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines import mapping
from cdp_pipelines.config import SalesforceConnection
from cdp_pipelines.crm_integrations.base_crm import IncompleteRead, PermissionDenied, RequestRejected
from cdp_pipelines.crm_integrations.salesforce import Salesforce, soql_time
from cdp_pipelines.mapping_check import compare
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, KnownRecords, RawTable, Reader, Span

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
# Salesforce refuses a request line and headers of more than 16,384 bytes.
MAX_QUERY_BYTES = 14_000
IDS_PER_QUERY = 300
# getDeleted goes 15 days back; an hour less, so that clocks that differ do no harm.
DELETIONS_KNOWN = timedelta(days=15) - timedelta(hours=1)
BIN_CHECK_EVERY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


class SalesforceReader(Reader):
    """Reads one org's raw tables."""

    tables = TABLES

    def __init__(self, connection: SalesforceConnection, known: KnownRecords):
        self.connection, self.known = connection, known
        self._salesforce = Salesforce(connection)
        self.client = self._salesforce

    async def fields(self, table: RawTable) -> list[str]:
        """See Reader: every field that describe shows to the API user, compound fields and files left out."""
        return [f.name for f in await self._salesforce.describe_fields(table.object) if f.type not in UNREAD_TYPES]

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """See Reader. A full read has no upper bound either: a record changed meanwhile would be in neither this read nor the last."""
        fields = await self.fields(table)
        maybe_gone = await self._deletions(table, span)
        async for rows in self._records(table.object, fields, _where(span)):
            maybe_gone -= _mark(rows)
            yield Batch(rows if isinstance(rows, list) else _marked(rows))
        ids = sorted(maybe_gone)
        for at in range(0, len(ids), IDS_PER_QUERY):
            yield Batch(await self._purged(table, ids[at : at + IDS_PER_QUERY]))

    async def warnings(self) -> list[str]:
        """See Reader: mapped fields that the org lacks, where nothing takes their place."""
        findings = await compare(mapping.load(), "salesforce", self)
        return [
            f"{self.connection.name}: {f.table}.{f.field} is not in this org or hidden from the API user; {', '.join(f.used_by)} stays empty."
            for f in findings
            if f.what == "missing" and f.empty
        ]

    async def _records(self, object_name: str, fields: list[str], where: str) -> AsyncIterator[list[dict[str, Any]] | pa.Table]:
        """The records by the cheaper way: REST for few, Bulk API 2.0 for many or for queries too long for a URL."""
        count = await self._count(object_name, where)
        if count == 0:
            return
        queries = _queries(object_name, fields, where)
        if count is None or count > self.connection.bulk_above or len(queries) > 1:
            begun = False
            try:
                async for table in self._salesforce.bulk_query(_soql(object_name, fields, where), include_deleted=True):
                    begun = True
                    yield table
                return
            except (RequestRejected, PermissionDenied) as error:
                # Some objects and some orgs have no Bulk API (airbytehq/airbyte#13088); a job that a person aborted is to stay so.
                if begun or getattr(error, "code", None) == "Aborted":
                    raise
        async for rows in self._by_rest(object_name, queries):
            yield rows

    async def _count(self, object_name: str, where: str) -> int | None:
        """How many records there are; None when counting takes Salesforce too long."""
        try:
            return await self._salesforce.count(f"SELECT COUNT() FROM {object_name}{where}", include_deleted=True)
        except RequestRejected as error:
            if error.code == "QUERY_TIMEOUT":
                return None
            raise

    async def _by_rest(self, object_name: str, queries: list[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """The records page by page. Several queries each have a part of the fields; all have the same order and are joined by Id."""
        streams = [self._salesforce.query(soql, include_deleted=True) for soql in queries]
        if len(streams) == 1:
            async for rows in streams[0]:
                yield rows
            return
        waiting: dict[str, list[dict[str, Any]]] = {}
        running = list(streams)
        while running:
            whole: list[dict[str, Any]] = []
            for stream in list(running):
                page = await anext(stream, None)
                if page is None:
                    running.remove(stream)
                for row in page or ():
                    parts = waiting.setdefault(row["Id"], [])
                    parts.append(row)
                    if len(parts) == len(streams):
                        whole.append({k: v for part in waiting.pop(row["Id"]) for k, v in part.items()})
            yield whole
        if waiting:
            problem = f"{len(waiting)} records of {object_name} changed while their fields were read in parts."
            raise IncompleteRead(self.connection.name, problem, "Run the same command again.")

    async def _deletions(self, table: RawTable, span: Span) -> set[str]:
        """Ids of records that may be gone for good: those that getDeleted names, and once a day all that we know as deleted."""
        described = await self._salesforce.describe(table.object)
        if not (described["deletable"] and described["replicateable"]):
            return set()
        earliest = span.end - DELETIONS_KNOWN
        since = min(filter(None, (span.start, _moment(span.state.get("deletions_until"))))) if span.start else earliest
        # Salesforce leaves seconds out of account, and wants more than a minute between the two.
        start, end = max(since - 2 * _MINUTE, earliest), span.end
        gone = set[str]()
        async for ids, covered in self._deleted_between(table.object, start, end):
            gone |= ids
            span.state["deletions_until"] = min(covered, span.end).isoformat()
        checked = _moment(span.state.get("bin_checked"))
        if span.mode == "full" or checked is None or span.end - checked >= BIN_CHECK_EVERY:
            span.state["bin_checked"] = span.end.isoformat()
            if span.mode == "incremental":
                gone |= set(self.known.values(table.name, "Id", {"IsDeleted": "true"}))
        return gone

    async def _deleted_between(self, object_name: str, start: datetime, end: datetime) -> AsyncIterator[tuple[set[str], datetime]]:
        """What was deleted, and until when that is complete; in halves where there are more ids than one answer holds (600,000)."""
        try:
            found = await self._salesforce.deleted(object_name, start, end)
            yield set(found.ids), found.covered
        except RequestRejected as error:
            if error.code != "EXCEEDED_ID_LIMIT" or end - start < 4 * _MINUTE:
                raise
            middle = (start + (end - start) / 2).replace(second=0, microsecond=0)
            for half in ((start, middle), (middle, end)):
                async for part in self._deleted_between(object_name, *half):
                    yield part

    async def _purged(self, table: RawTable, ids: list[str]) -> list[dict[str, Any]]:
        """Rows for those of the ids that no query finds any more."""
        wanted = ",".join(f"'{record_id}'" for record_id in ids)
        found: set[str] = set()
        async for rows in self._salesforce.query(f"SELECT Id FROM {table.object} WHERE Id IN ({wanted})", include_deleted=True):
            found |= {row["Id"] for row in rows}
        gone = [record_id for record_id in ids if record_id not in found]
        return [{"Id": record_id, DELETED: True, MERGED_INTO: self._survivor(table, record_id)} for record_id in gone]

    def _survivor(self, table: RawTable, record_id: str) -> str | None:
        """The record that one was merged into, as an earlier read saw it: Salesforce has forgotten."""
        return next(self.known.values(table.name, MERGED_INTO, {"Id": record_id}), None) if "MasterRecordId" in table.fields else None


def _where(span: Span) -> str:
    if span.start is None:
        return ""
    # Salesforce stamps with whole seconds: the seconds in which the window begins and ends are read whole.
    end = span.end + timedelta(microseconds=-span.end.microsecond % 1_000_000)
    return f" WHERE SystemModstamp >= {soql_time(span.start)} AND SystemModstamp < {soql_time(end)}"


def _soql(object_name: str, fields: list[str], where: str) -> str:
    return f"SELECT {','.join(fields)} FROM {object_name}{where}"


def _queries(object_name: str, fields: list[str], where: str) -> list[str]:
    """One query for all fields, or as many as it takes to keep each within what a URL may hold."""
    room = MAX_QUERY_BYTES - 500 - len(quote(where))
    return [f"{_soql(object_name, part, where)} ORDER BY SystemModstamp, Id" for part in _parts(fields, room)]


def _parts(fields: list[str], room: int) -> Iterator[list[str]]:
    part, size = ["Id"], 0
    for field in fields:
        if field == "Id":
            continue
        length = len(quote(f"{field},"))
        if size + length > room and len(part) > 1:
            yield part
            part, size = ["Id"], 0
        part.append(field)
        size += length
    yield part


def _mark(rows: list[dict[str, Any]] | pa.Table) -> set[str]:
    """Set `_deleted` and `_merged_into` where Salesforce says so (in place, for dictionaries); gives the ids of the deleted ones."""
    if isinstance(rows, pa.Table):
        return set(rows.filter(_is_deleted(rows))["Id"].to_pylist())
    deleted: set[str] = set()
    for row in rows:
        if row.get("IsDeleted"):
            deleted.add(row["Id"])
            row[DELETED], row[MERGED_INTO] = True, row.get("MasterRecordId")
    return deleted


def _marked(table: pa.Table) -> pa.Table:
    """A bulk table with the two columns of bookkeeping."""
    deleted, nothing = _is_deleted(table), pa.scalar(None, pa.string())
    merged = table["MasterRecordId"] if "MasterRecordId" in table.column_names else nothing
    marks = pc.call_function("if_else", [deleted, pa.scalar("true"), nothing])
    masters = pc.call_function("if_else", [deleted, merged, nothing])
    return table.append_column(DELETED, marks).append_column(MERGED_INTO, masters)


def _is_deleted(table: pa.Table) -> pa.ChunkedArray:
    if "IsDeleted" not in table.column_names:
        return pa.chunked_array([pa.repeat(False, table.num_rows)])
    return pc.call_function("equal", [table["IsDeleted"], pa.scalar("true")])


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


if __name__ == "__main__":
    from cdp_pipelines.sources.run_alone import main

    main("salesforce")
