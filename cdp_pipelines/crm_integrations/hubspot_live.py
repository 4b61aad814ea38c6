"""HubSpot records as they stand, by id or by the value of a property: live ones, and by id also archived and merged ones.

Nothing is searched for where it can be read: search lags behind writes (HubSpot/hubspot-api-nodejs#545).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from cdp_pipelines.crm_integrations.base_crm import RequestRejected
from cdp_pipelines.crm_integrations.hubspot import BATCH, HubSpot
from cdp_pipelines.crm_integrations.hubspot_answers import body_of
from cdp_pipelines.crm_integrations.hubspot_search import SEARCH_PAGE, modified_property
from cdp_pipelines.crm_integrations.json_text import as_text
from cdp_pipelines.crm_integrations.together import together
from cdp_pipelines.crm_integrations.writes import LiveRecord, State

# A contact is also found by these addresses, `;` between them.
FURTHER_EMAILS = "hs_additional_emails"
Record = dict[str, Any]


class LiveRecords:
    """Reads the records of one portal."""

    def __init__(self, client: HubSpot):
        self._client, self._at_once = client, client.concurrent_calls
        self._unique: dict[str, set[str]] = {}

    async def read(self, object_name: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """See RecordWriter: a call for 100 ids; those that are not live are asked for among the archived ones, the rest one by one.

        A batch says nothing of an id that was merged away, while a call for it alone gives the survivor.
        """
        asked = list(dict.fromkeys(ids))
        found = {r["id"]: _live(object_name, r, fields) for r in await self._many(object_name, asked, fields)}
        if missing := [i for i in asked if i not in found]:
            archived = await self._many(object_name, missing, fields, archived=True)
            found |= {r["id"]: _live(object_name, r, fields, "deleted") for r in archived}
        left = [i for i in asked if i not in found and i.isdigit()]
        for i, survivor in zip(left, await asyncio.gather(*(self._one(object_name, i, fields) for i in left)), strict=True):
            if survivor is not None:
                found[i] = survivor
        return {i: found[i] for i in asked if i in found}

    async def find(self, object_name: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """See RecordWriter: read by a unique property, else searched for. Text is compared without regard to case, and blank values are not
        asked for. A contact is found by its further addresses too."""
        asked = {value: value.strip().lower() for value in values if value.strip()}
        folded = list(dict.fromkeys(asked.values()))
        wanted = list(dict.fromkeys([*fields, by_field, *([FURTHER_EMAILS] if by_field == "email" else [])]))
        if await self._is_unique(object_name, by_field):
            records = await self._many(object_name, folded, wanted, by=by_field)
        else:
            records = await self._searched(object_name, by_field, folded, wanted)
        found: dict[str, list[LiveRecord]] = {}
        # One record may have several of the values.
        for record in {record["id"]: record for record in records}.values():
            for text in _texts(record["properties"], by_field):
                found.setdefault(text, []).append(_live(object_name, record, fields))
        return {value: found[text] for value, text in asked.items() if text in found}

    async def _is_unique(self, object_name: str, name: str) -> bool:
        if object_name not in self._unique:
            described = await self._client.properties(object_name)
            self._unique[object_name] = {p["name"] for p in described if p.get("hasUniqueValue")} | {"hs_object_id"}
        return name in self._unique[object_name]

    async def _many(
        self, object_name: str, ids: Iterable[str], fields: Sequence[str], *, by: str | None = None, archived: bool = False
    ) -> list[Record]:
        async def some(batch: list[str]) -> list[Record]:
            asked = {"properties": list(fields), "inputs": [{"id": i} for i in batch]} | ({"idProperty": by} if by else {})
            path, params = f"/crm/v3/objects/{object_name}/batch/read", {"archived": str(archived).lower()}
            return body_of(await self._client.send("POST", path, params=params, json=asked)).get("results") or []

        return [record async for page in together(ids, BATCH, self._at_once, some) for record in page]

    async def _one(self, object_name: str, record_id: str, fields: Sequence[str]) -> LiveRecord | None:
        try:
            path = f"/crm/v3/objects/{object_name}/{record_id}"
            record = body_of(await self._client.send("GET", path, params={"properties": ",".join(fields)}))
        except RequestRejected:
            return None
        if record.get("id") in (None, record_id):
            return None
        live = _live(object_name, record, fields)
        return LiveRecord(record_id, live.values, live.version, "merged", live.id)

    async def _searched(self, object_name: str, by: str, values: Iterable[str], fields: Sequence[str]) -> list[Record]:
        records, left = [], iter(values)
        while some := list(islice(left, BATCH)):
            query: dict[str, Any] = {
                "filterGroups": [{"filters": [{"propertyName": by, "operator": "IN", "values": some}]}],
                "properties": list(fields),
                "limit": SEARCH_PAGE,
            }
            after: str | None = "0"
            while after is not None:
                path = f"/crm/v3/objects/{object_name}/search"
                body = body_of(await self._client.send("POST", path, call="search", json=query | {"after": after}))
                records += body["results"]
                after = ((body.get("paging") or {}).get("next") or {}).get("after")
        return records


def _texts(properties: Record, by: str) -> set[str]:
    texts = [as_text(properties.get(by)) or ""]
    texts += (properties.get(FURTHER_EMAILS) or "").split(";") if by == "email" else []
    return {text.strip().lower() for text in texts if text.strip()}


def _live(object_name: str, record: Record, fields: Sequence[str], state: State = "live") -> LiveRecord:
    properties = record["properties"]
    version = properties.get(modified_property(object_name)) or record.get("updatedAt") or ""
    return LiveRecord(record["id"], {name: as_text(properties.get(name)) for name in fields}, version, state)
