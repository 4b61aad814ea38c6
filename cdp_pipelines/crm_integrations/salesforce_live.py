"""Salesforce records as they stand, by id or by the value of a field: live ones, and by id also deleted, merged and converted ones.

Ids are the same in their forms of 15 and 18 characters; the answer has the id that was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote_plus

from cdp_pipelines.crm_integrations.json_text import as_text
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.crm_integrations.salesforce_answers import read_json
from cdp_pipelines.crm_integrations.together import together
from cdp_pipelines.crm_integrations.writes import LiveRecord

READ_AT_ONCE, CALLS_AT_ONCE = 2_000, 4
# A URI and its headers may have 16,384 bytes.
LONGEST_QUERY = 14_000
_ID = re.compile(r"[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?")
_NUMBERS = {"int", "long", "double", "currency", "percent"}
_UNQUOTED = _NUMBERS | {"boolean", "date", "datetime"}
_STATE_FIELDS = ("SystemModstamp", "IsDeleted", "MasterRecordId", "IsConverted", "ConvertedContactId")
# A merged record's survivor may have been merged in turn.
_MOST_MERGES = 10

Row = dict[str, Any]


class LiveRecords:
    """Reads the records of one org."""

    def __init__(self, client: Salesforce):
        self._client = client

    async def read(self, object_name: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """See RecordWriter: a call for 2,000 ids, and for those that are not live one for some hundred."""
        asked = [i for i in dict.fromkeys(ids) if _ID.fullmatch(i)]
        wanted = await self._with_state(object_name, fields)

        async def live(some: list[str]) -> list[Row]:
            response = await self._client.send("POST", f"composite/sobjects/{object_name}", json={"ids": some, "fields": wanted})
            return [row for row in read_json(response) if row]

        rows: list[Row] = []
        async for page in together(asked, READ_AT_ONCE, CALLS_AT_ONCE, live):
            rows += page
        missing = sorted({same(i) for i in asked} - {same(row["Id"]) for row in rows})
        rows += await self._select(object_name, wanted, "Id", map(_literal, missing), include_deleted=True)
        found = {same(row["Id"]): _live(row, fields) for row in rows}
        records = {i: found[same(i)] for i in asked if same(i) in found}
        return await self._to_the_last_survivor(object_name, records)

    async def find(self, object_name: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """See RecordWriter. Salesforce compares text without regard to case; blank values are not asked for."""
        types = {field["name"]: field["type"] for field in (await self._client.describe(object_name))["fields"]}
        kind = types.get(by_field, "string")
        asked = {value: _folded(value, kind) for value in values if value.strip()}
        literal = str.strip if kind in _UNQUOTED else _literal
        wanted = await self._with_state(object_name, [*fields, by_field])
        found: dict[str, list[LiveRecord]] = {}
        for row in await self._select(object_name, wanted, by_field, map(literal, dict.fromkeys(asked.values()))):
            found.setdefault(_folded(as_text(row[by_field]) or "", kind), []).append(_live(row, fields))
        return {value: found[folded] for value, folded in asked.items() if folded in found}

    async def _with_state(self, object_name: str, fields: Sequence[str]) -> list[str]:
        """The fields, and what tells of a record's life as far as the object has it."""
        described = {field["name"] for field in (await self._client.describe(object_name))["fields"]}
        return list(dict.fromkeys([*fields, "Id", *(name for name in _STATE_FIELDS if name in described)]))

    async def _select(
        self, object_name: str, fields: Sequence[str], by_field: str, literals: Iterable[str], *, include_deleted: bool = False
    ) -> list[Row]:
        beginning = f"SELECT {', '.join(fields)} FROM {object_name} WHERE {by_field} IN "

        async def some(part: list[str]) -> list[Row]:
            pages = self._client.query(f"{beginning}({','.join(part)})", include_deleted=include_deleted)
            return [row async for page in pages for row in page]

        parts = _parts(literals, LONGEST_QUERY - len(quote_plus(beginning)))
        return [row for rows in await asyncio.gather(*map(some, parts)) for row in rows]

    async def _to_the_last_survivor(self, object_name: str, records: dict[str, LiveRecord]) -> dict[str, LiveRecord]:
        """The same records, where a survivor was merged in turn with the one that is left."""
        known: dict[str, LiveRecord] = {}
        for _ in range(_MOST_MERGES):
            goals = {record.moved_to for record in records.values() if record.state == "merged" and record.moved_to}
            if not (unknown := goals - known.keys()):
                break
            wanted = await self._with_state(object_name, ())
            rows = await self._select(object_name, wanted, "Id", map(_literal, sorted(unknown)), include_deleted=True)
            known |= {row["Id"]: _live(row, ()) for row in rows}
            records = {
                i: replace(record, moved_to=known[record.moved_to].moved_to)
                if record.state == "merged" and record.moved_to in known and known[record.moved_to].state == "merged"
                else record
                for i, record in records.items()
            }
            known = {i: record for i, record in known.items() if record.state != "merged"}
        return records


def same(record_id: str) -> str:
    """What the two forms of an id share."""
    return record_id[:15]


def _folded(text: str, kind: str) -> str:
    """What is equal to Salesforce is equal here: text in any case, and 12 and 12.0."""
    with contextlib.suppress(InvalidOperation):
        return f"{Decimal(text.strip()).normalize():f}" if kind in _NUMBERS else text.strip().lower()
    return text.strip()


def _literal(value: str) -> str:
    """A text in SOQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _parts(literals: Iterable[str], room: int) -> Iterator[list[str]]:
    """As many values to a query as its URI takes."""
    part: list[str] = []
    size = 0
    for literal in literals:
        length = len(quote_plus(literal)) + len("%2C")
        if part and size + length > room:
            yield part
            part, size = [], 0
        part.append(literal)
        size += length
    if part:
        yield part


def _live(row: Mapping[str, Any], fields: Sequence[str]) -> LiveRecord:
    values = {name: as_text(row.get(name)) for name in fields}
    version = str(row.get("SystemModstamp") or "")
    if row.get("MasterRecordId"):
        return LiveRecord(row["Id"], values, version, "merged", row["MasterRecordId"])
    if row.get("IsDeleted"):
        return LiveRecord(row["Id"], values, version, "deleted")
    if row.get("IsConverted"):
        return LiveRecord(row["Id"], values, version, "converted", row.get("ConvertedContactId"))
    return LiveRecord(row["Id"], values, version)
