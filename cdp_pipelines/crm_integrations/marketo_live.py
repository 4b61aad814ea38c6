"""Marketo records as they stand, by id or by the value of a field; for leads that are gone, what the activities of the last days tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from cdp_pipelines.crm_integrations.base_crm import RequestRejected
from cdp_pipelines.crm_integrations.json_text import as_text
from cdp_pipelines.crm_integrations.marketo import IDS_IN_A_CALL, Marketo
from cdp_pipelines.crm_integrations.marketo_merges import DELETE, MERGE, merged_leads
from cdp_pipelines.crm_integrations.merges import survivors
from cdp_pipelines.crm_integrations.writes import LiveRecord

# By object, the field that names a record.
ID_FIELDS = {"leads": "id", "companies": "id", "opportunities": "marketoGUID", "opportunities/roles": "marketoGUID"}
_TOO_MANY = "1003"
Row = dict[str, Any]


class LiveRecords:
    """Reads the records of one instance. Where a lead went is looked for in the activities of the last `gone_within`."""

    def __init__(self, client: Marketo, gone_within: timedelta):
        self._client, self._gone_within = client, gone_within
        self._by: dict[str, Callable[..., AsyncIterator[list[Row]]]] = {
            "leads": client.leads_by,
            "companies": client.companies_by,
            "opportunities": client.opportunities_by,
            "opportunities/roles": client.roles_by,
        }

    async def read(self, object_name: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """See RecordWriter: a call for 300 ids. `version` follows a lead's standard fields only: Marketo keeps no other time that can be read.

        A lead that is gone is in the answer when it was deleted or merged within the last days.
        """
        key, asked = ID_FIELDS[object_name], list(dict.fromkeys(ids))
        rows = await self._rows(object_name, key, asked, [*fields, key, "updatedAt"])
        found = {str(row[key]): _live(row, key, fields) for row in rows}
        if object_name == "leads" and (missing := [i for i in asked if i not in found]):
            found |= await self._gone(missing)
        return {i: found[i] for i in asked if i in found}

    async def find(self, object_name: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """See RecordWriter. Marketo compares without regard to case. Blank values, and those with a comma, which separates values in a
        request, are not asked for. Raises RequestRejected (1003) for a value that more than 1,000 records have."""
        key = ID_FIELDS[object_name]
        asked = {value: value.strip().lower() for value in values if value.strip() and "," not in value}
        rows = await self._rows(object_name, by_field, list(dict.fromkeys(asked.values())), [*fields, key, by_field, "updatedAt"])
        found: dict[str, list[LiveRecord]] = {}
        for row in rows:
            found.setdefault((as_text(row.get(by_field)) or "").lower(), []).append(_live(row, key, fields))
        return {value: found[text] for value, text in asked.items() if text in found}

    async def _rows(self, object_name: str, by: str, values: Sequence[str], fields: Iterable[str]) -> list[Row]:
        wanted, left, parts = list(dict.fromkeys(fields)), iter(values), []
        while some := list(islice(left, IDS_IN_A_CALL)):
            parts.append(some)
        found = await asyncio.gather(*(self._part(object_name, by, some, wanted) for some in parts))
        return [row for rows in found for row in rows]

    async def _part(self, object_name: str, by: str, values: list[str], fields: list[str]) -> list[Row]:
        try:
            return [row async for page in self._by[object_name](by, values, fields) for row in page]
        except RequestRejected as error:
            # More than 1,000 records have one of the values; fewer values may have fewer.
            if error.code != _TOO_MANY or "many" not in error.problem or len(values) == 1:
                raise
            middle = len(values) // 2
            return [row for half in (values[:middle], values[middle:]) for row in await self._part(object_name, by, half, fields)]

    async def _gone(self, ids: Sequence[str]) -> dict[str, LiveRecord]:
        token = await self._client.paging_token(datetime.now(UTC) - self._gone_within)
        merges: dict[str, str] = {}
        times: dict[str, str] = {}
        async for page in self._client.activities((MERGE, DELETE), token):
            for row in page.rows:
                losers = merged_leads(row) if row["activityTypeId"] == MERGE else {}
                merges |= losers
                times |= dict.fromkeys([*losers, *([str(row["leadId"])] if row["activityTypeId"] == DELETE else [])], row["activityDate"])
        last = survivors(merges)
        return {
            i: LiveRecord(i, {}, times[i], "merged", last[i]) if i in last else LiveRecord(i, {}, times[i], "deleted")
            for i in ids
            if i in times
        }


def _live(row: Row, key: str, fields: Sequence[str]) -> LiveRecord:
    return LiveRecord(str(row[key]), {name: as_text(row.get(name)) for name in fields}, str(row.get("updatedAt") or ""))
