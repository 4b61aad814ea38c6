"""HubSpot's CRM API: list, search, read by id, associations, and what describes them.

Sources: HubSpot's API documentation and published specifications; where users of other tools found what these do not say, the public
issue is named beside the rule.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx2
from pyrate_limiter import Rate

from cdp_pipelines.config import HubSpotConnection
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    BaseCRM,
    ConnectionTest,
    CRMError,
    FieldInfo,
    IncompleteRead,
    RequestRejected,
)
from cdp_pipelines.crm_integrations.http import HttpClient
from cdp_pipelines.crm_integrations.hubspot_answers import body_of, judge

T = TypeVar("T")
Record = dict[str, Any]

PAGE, HISTORY_PAGE, SEARCH_PAGE, BATCH, HISTORY_BATCH, OWNER_PAGE = 100, 50, 200, 100, 50, 500
# The documentation allows 1,000; a changelog quoted in airbytehq/airbyte#48834 announces 100.
ASSOCIATION_BATCH = 100
# HubSpot answers 414 from about 16,200 characters on (PostHog/posthog PR 31617).
LONGEST_URL = 15_000
# Calls of one kind under way at a time.
TOGETHER = 4
# A property that says when a record last changed: contacts have their own.
MODIFIED = {"contacts": "lastmodifieddate"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_ASSOCIATIONS = "crm.associations.NO_ASSOCIATIONS_FOUND"


def modified_property(object_name: str) -> str:
    """The property by which changed records of an object are found."""
    return MODIFIED.get(object_name, "hs_lastmodifieddate")


class HubSpot(BaseCRM):
    """A client of one portal, signed in with the access token of a private app or a service key. Object names are plural: `contacts`."""

    def __init__(self, connection: HubSpotConnection):
        self.connection, self._settings = connection, connection
        # The portal measures when calls arrive, this client when they leave: a little slack keeps the two from disagreeing.
        limits = {
            "default": [Rate(connection.calls_per_10_seconds, 10_300)],
            "search": [Rate(connection.searches_per_second, 1_100)],
        }
        self._http = HttpClient(connection, judge=functools.partial(judge, connection), authorize=self._authorize, limits=limits)

    async def close(self) -> None:
        """See BaseCRM."""
        await self._http.close()

    @property
    def calls(self) -> Counter[str]:
        """See BaseCRM."""
        return self._http.calls

    async def test_connection(self) -> ConnectionTest:
        """See BaseCRM. One call: the account's details."""
        name, kind = self.connection.name, self.connection.kind
        try:
            response = await self._send("GET", "/account-info/v3/details")
        except CRMError as error:
            return ConnectionTest(name, kind, ok=False, problem=error.problem, remedy=error.remedy)
        most, left = (response.headers.get(f"X-HubSpot-RateLimit-Daily{suffix}", "") for suffix in ("", "-Remaining"))
        used = int(most) - int(left) if most.isdigit() and left.isdigit() else None
        account = f"portal {body_of(response).get('portalId')}"
        return ConnectionTest(name, kind, ok=True, account=account, calls_used=used, calls_left=int(left) if left.isdigit() else None)

    async def describe_fields(self, object_name: str) -> list[FieldInfo]:
        """See BaseCRM."""
        return [
            FieldInfo(
                name=p["name"],
                type=p.get("type", ""),
                label=p.get("label") or "",
                custom=not p.get("hubspotDefined", False),
                calculated=bool(p.get("calculated") or (p.get("modificationMetadata") or {}).get("readOnlyValue")),
            )
            for p in await self.properties(object_name)
        ]

    async def account_info(self) -> dict[str, Any]:
        """Portal id, time zone, home currency and so on."""
        return await self._json("GET", "/account-info/v3/details")

    async def properties(self, object_name: str) -> list[dict[str, Any]]:
        """The definitions of all properties of an object, as HubSpot gives them."""
        return (await self._json("GET", f"/crm/v3/properties/{object_name}"))["results"]

    async def pipelines(self, object_name: str = "deals") -> list[dict[str, Any]]:
        """The pipelines of an object with their stages."""
        return (await self._json("GET", f"/crm/v3/pipelines/{object_name}"))["results"]

    async def owners(self, *, archived: bool = False) -> AsyncIterator[list[Record]]:
        """Pages of owners; archived ones are listed apart."""
        params: dict[str, Any] = {"limit": OWNER_PAGE, "archived": str(archived).lower()}
        async for page in self._pages("/crm/v3/owners", params):
            yield page

    async def list_objects(
        self, object_name: str, properties: Sequence[str] = (), *, history: Sequence[str] = (), archived: bool = False
    ) -> AsyncIterator[list[Record]]:
        """Pages of all records in order of id, live or archived ones, with these properties and the versions of those in `history`.

        With more properties than a URL can hold, the list gives the ids and a batch read the rest.
        """
        params: dict[str, Any] = {"limit": HISTORY_PAGE if history else PAGE, "archived": str(archived).lower()}
        wide = params | {"properties": ",".join(properties)} | ({"propertiesWithHistory": ",".join(history)} if history else {})
        path = f"/crm/v3/objects/{object_name}"
        if len(str(httpx2.URL(self._url(path), params=wide))) <= LONGEST_URL:
            async for page in self._pages(path, wide):
                yield page
            return
        async for page in self._pages(path, params | {"limit": PAGE}):
            async for records in self.batch_read(object_name, [r["id"] for r in page], properties, history=history, archived=archived):
                yield records

    async def search_modified(
        self, object_name: str, properties: Sequence[str], start: datetime, end: datetime
    ) -> AsyncIterator[list[Record]]:
        """Pages of live records that last changed in [start, end), in order of id.

        Every page asks for the ids beyond the last one seen, instead of following offsets: HubSpot serves no more than 10,000 results of
        one query (airbytehq/airbyte#43317), and a record that changes meanwhile leaves the window, which would shift what comes after
        it. Rows outside the window occur (estuary/connectors PR 2210) and are dropped. Raises IncompleteRead when ids do not
        ascend or HubSpot sends fewer rows than it counts.
        """
        by, low, high = modified_property(object_name), _milliseconds(start), _milliseconds(end)
        window = [
            # HubSpot fails on a filter from the epoch on.
            {"propertyName": by, "operator": "GTE", "value": str(max(low, 1))},
            {"propertyName": by, "operator": "LT", "value": str(high)},
        ]
        last, after, received = 0, "0", 0
        while True:
            beyond = [{"propertyName": "hs_object_id", "operator": "GT", "value": str(last)}] if last else []
            query = {
                "filterGroups": [{"filters": window + beyond}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": [*properties, *({by} - set(properties))],
                "limit": SEARCH_PAGE,
                "after": after,
            }
            body = await self._json("POST", f"/crm/v3/objects/{object_name}/search", call="search", json=query)
            records = body["results"]
            ids = [last, *(int(r["id"]) for r in records)]
            if any(a >= b for a, b in itertools.pairwise(ids)):
                raise IncompleteRead(self.connection.name, f"a search of {object_name} is not in order of id.", "Run a full sync.")
            if inside := [r for r in records if low <= _milliseconds(_moment(r, by)) < high]:
                yield inside
            # Short and even empty pages can have a next one (airbytehq/airbyte PR 80744).
            following, received = _after(body), received + len(records)
            if following is None:
                if received < body.get("total", 0):
                    problem = f"a search of {object_name} gave {received} of {body['total']} records."
                    raise IncompleteRead(self.connection.name, problem, "Run it again.")
                return
            last, after, received = (ids[-1], "0", 0) if records else (last, following, received)

    async def batch_read(
        self,
        object_name: str,
        ids: Iterable[str],
        properties: Sequence[str] = (),
        *,
        history: Sequence[str] = (),
        archived: bool = False,
    ) -> AsyncIterator[list[Record]]:
        """Records by id, some at a time. Ids that do not exist (any more), or belong to a record that was merged away, are left out."""

        async def read(some: list[str]) -> list[Record]:
            asked: dict[str, Any] = {"properties": list(properties), "inputs": [{"id": i} for i in some]}
            if history:
                asked["propertiesWithHistory"] = list(history)
            params = {"archived": str(archived).lower()}
            body = await self._json("POST", f"/crm/v3/objects/{object_name}/batch/read", params=params, json=asked)
            self._only(body, "category", "OBJECT_NOT_FOUND")
            return body["results"]

        async for records in _together(ids, HISTORY_BATCH if history else BATCH, read):
            yield records

    async def associations(self, start: str, end: str, ids: Iterable[str]) -> AsyncIterator[dict[str, list[Record]]]:
        """For records of type `start`, what they are associated with of type `end`: id -> `toObjectId` with its `associationTypes`.

        Every id that was asked for is in the answer, with an empty list when it has none. Raises IncompleteRead when HubSpot loses one.
        """

        async def read(some: list[str]) -> dict[str, list[Record]]:
            found: dict[str, list[Record]] = {i: [] for i in some}
            inputs = [{"id": i} for i in some]
            while inputs:
                body = await self._json("POST", f"/crm/v4/associations/{start}/{end}/batch/read", json={"inputs": inputs})
                # 207 is the everyday answer: having no association is an error to HubSpot.
                self._only(body, "subCategory", NO_ASSOCIATIONS)
                if len(body["results"]) + body.get("numErrors", 0) < len(inputs):
                    problem = f"HubSpot left out some of the {start} whose {end} were asked for."
                    raise IncompleteRead(self.connection.name, problem, "Run it again.")
                for result in body["results"]:
                    found[str(result["from"]["id"])] += result["to"]
                inputs = [{"id": r["from"]["id"], "after": after} for r in body["results"] if (after := _after(r)) is not None]
            return found

        async for answer in _together(ids, ASSOCIATION_BATCH, read):
            yield answer

    async def _authorize(self) -> dict[str, str]:
        token = self._settings.access_token
        if token is None:
            raise AuthenticationError(self.connection.name, "there is no access token.", "Set the connection's access_token.")
        return {"Authorization": f"Bearer {token.get_secret_value()}"}

    async def _pages(self, path: str, params: dict[str, Any]) -> AsyncIterator[list[Record]]:
        after: str | None = None
        while True:
            body = await self._json("GET", path, params=params | ({"after": after} if after else {}))
            yield body["results"]
            if (after := _after(body)) is None:
                return

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return body_of(await self._send(method, path, **options))

    async def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return await self._http.request(method, self._url(path), **options)

    def _url(self, path: str) -> str:
        return f"{self._settings.base_url}{path}"

    def _only(self, body: dict[str, Any], field: str, normal: str) -> None:
        """Raises RequestRejected when part of a batch failed for another reason than the normal one."""
        for error in body.get("errors") or []:
            if error.get(field) != normal:
                code = error.get("subCategory") or error.get("category")
                raise RequestRejected(self.connection.name, f"HubSpot refused part of a batch ({code}).", "Run it again.", code)


async def _together(ids: Iterable[str], size: int, read: Callable[[list[str]], Awaitable[T]]) -> AsyncIterator[T]:
    """Read ids in batches, a few batches at a time, in order."""
    waiting, batches = [], []
    for record_id in ids:
        waiting.append(record_id)
        if len(waiting) == size:
            batches.append(waiting)
            waiting = []
        if len(batches) == TOGETHER:
            for answer in await asyncio.gather(*map(read, batches)):
                yield answer
            batches = []
    for answer in await asyncio.gather(*map(read, [*batches, *([waiting] if waiting else [])])):
        yield answer


def _after(body: dict[str, Any]) -> str | None:
    return ((body.get("paging") or {}).get("next") or {}).get("after")


def _milliseconds(moment: datetime) -> int:
    # Rounded down, as HubSpot does: a change in the window's last millisecond then belongs to the next window.
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(record: Record, by: str) -> datetime:
    text = record["properties"].get(by) or record["updatedAt"]
    return datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdigit() else datetime.fromisoformat(text)
