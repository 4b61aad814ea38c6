"""HubSpot's CRM API: list, search, read by id, associations, and what describes them.

Sources: HubSpot's API documentation and published specifications; where users of other tools found what these do not say, the public
issue is named beside the rule.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
import pyarrow as pa
from pyrate_limiter import Rate

from cdp_pipelines.config import HubSpotConnection
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    BaseCRM,
    ConnectionTest,
    CRMError,
    DayOfCalls,
    FieldInfo,
    IncompleteRead,
    QuotaExhausted,
    RequestRejected,
)
from cdp_pipelines.crm_integrations.http import HttpClient
from cdp_pipelines.crm_integrations.hubspot_answers import body_of, judge, quick_body
from cdp_pipelines.crm_integrations.hubspot_budget import DailyBudget
from cdp_pipelines.crm_integrations.hubspot_pages import Ranges, RecordPage, joined, links_of, page_of
from cdp_pipelines.crm_integrations.hubspot_ranges import RangedList
from cdp_pipelines.crm_integrations.hubspot_search import Window, modified_property
from cdp_pipelines.crm_integrations.rejected import NO_KEY
from cdp_pipelines.crm_integrations.together import together

Record = dict[str, Any]

PAGE, HISTORY_PAGE, BATCH, HISTORY_BATCH, OWNER_PAGE = 100, 50, 100, 50, 500
# The documentation allows 1,000; a changelog quoted in airbytehq/airbyte#48834 announces 100.
ASSOCIATION_BATCH = 100
# HubSpot answers 414 from about 16,200 characters on (PostHog/posthog PR 31617).
LONGEST_URL = 15_000
NO_ASSOCIATIONS = "crm.associations.NO_ASSOCIATIONS_FOUND"


class HubSpot(BaseCRM):
    """A client of one portal, signed in with the access token of a private app or a service key. Object names are plural: `contacts`."""

    def __init__(self, connection: HubSpotConnection):
        self.connection, self._settings = connection, connection
        self._budget = DailyBudget(connection, self._details_in_any_case)
        # The portal measures when calls arrive, this client when they leave: a little slack keeps the two from disagreeing.
        limits = {
            "default": [Rate(connection.calls_per_10_seconds, 10_300)],
            "search": [Rate(connection.searches_per_second, 1_100)],
        }
        self._http = HttpClient(
            connection, judge=self._judge, authorize=self._authorize, limits=limits, max_concurrent=connection.concurrent_calls
        )

    async def close(self) -> None:
        """See BaseCRM."""
        await self._http.close()

    @property
    def calls(self) -> Counter[str]:
        """See BaseCRM."""
        return self._http.calls

    @property
    def day(self) -> DayOfCalls:
        """See BaseCRM. From the headers `X-HubSpot-RateLimit-Daily` and `-Remaining`, which searches and OAuth apps' answers lack."""
        return DayOfCalls(self._budget.calls_allowed, self._budget.calls_left)

    @property
    def concurrent_calls(self) -> int:
        """Calls that may be under way at a time."""
        return self._settings.concurrent_calls

    @property
    def token(self) -> str:
        """The access token. Raises AuthenticationError when there is none."""
        return self._signature()["Authorization"].removeprefix("Bearer ")

    async def test_connection(self) -> ConnectionTest:
        """See BaseCRM. One call: the account's details."""
        name, kind = self.connection.name, self.connection.kind
        try:
            details = await self.account_info()
        except CRMError as error:
            return ConnectionTest(name, kind, ok=False, problem=error.problem, remedy=error.remedy)
        most, left = self._budget.calls_allowed, self._budget.calls_left
        used = most - left if most is not None and left is not None else None
        return ConnectionTest(name, kind, ok=True, account=f"portal {details.get('portalId')}", calls_used=used, calls_left=left)

    async def describe_fields(self, object_name: str) -> list[FieldInfo]:
        """See BaseCRM."""
        return [
            FieldInfo(
                name=p["name"],
                type=p.get("type", ""),
                label=p.get("label") or "",
                custom=not p.get("hubspotDefined", False),
                calculated=bool(p.get("calculated") or (p.get("modificationMetadata") or {}).get("readOnlyValue")),
                read_only=bool((p.get("modificationMetadata") or {}).get("readOnlyValue")),
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
        self,
        object_name: str,
        properties: Sequence[str] = (),
        *,
        history: Sequence[str] = (),
        archived: bool = False,
        ranges: Ranges | None = None,
    ) -> AsyncIterator[RecordPage]:
        """Pages of all records, live or archived ones, with these properties and the versions of those in `history`.

        A long list is read in several ranges of ids at once: pages are in order of id, and between ranges in any order. `ranges` are
        what a page of an earlier read said to be `remaining`. With more properties than a URL can hold, the list gives the ids and a
        batch read the rest. Raises IncompleteRead when a range does not come to its end in order of id.
        """
        path = f"/crm/v3/objects/{object_name}"
        url = self._url(path)
        params = {"limit": HISTORY_PAGE if history else PAGE, "archived": str(archived).lower()}
        asked = params | {"properties": ",".join(properties)} | ({"propertiesWithHistory": ",".join(history)} if history else {})
        wide = len(str(httpx2.URL(url, params=asked))) > LONGEST_URL
        # Encoded once: thousands of characters of property names, the same for every page.
        target = httpx2.URL(url, params=params | {"limit": PAGE} if wide else asked).raw_path

        async def fetch(cursor: str | None) -> tuple[RecordPage, str | None]:
            entered = target + f"&after={quote(cursor)}".encode() if cursor else target
            response = await self._send("GET", path, extensions={"target": entered})
            page, following = self._page_of(response, () if wide else history), _after(quick_body(response))
            if wide and len(page):
                ids = page.records["id"].to_pylist()
                read = self.batch_read(object_name, ids, properties, history=history, archived=archived)
                page = joined([some async for some in read]).in_order()
            return page, following

        listed = RangedList(
            fetch,
            functools.partial(self._highest_id, object_name, counted=not archived),
            connection=self.connection.name,
            what=f"{'archived ' if archived else ''}{object_name}",
            most=self._settings.concurrent_calls,
            ranges=ranges,
        )
        async for page in listed.pages():
            yield page

    async def _highest_id(self, object_name: str, *, counted: bool) -> tuple[int | None, int | None]:
        """The newest live record that a search knows, and how many live ones there are."""
        query = {"sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}], "limit": 1}
        body = await self._json("POST", f"/crm/v3/objects/{object_name}/search", call="search", json=query)
        return next((int(r["id"]) for r in body["results"]), None), body.get("total") if counted else None

    async def search_modified(
        self, object_name: str, properties: Sequence[str], start: datetime, end: datetime
    ) -> AsyncIterator[RecordPage]:
        """Pages of live records that last changed in [start, end), in order of id.

        Every page asks for the ids beyond the last one seen, instead of following offsets: HubSpot serves no more than 10,000 results of
        one query (airbytehq/airbyte#43317), and a record that changes meanwhile leaves the window, which would shift what comes after
        it. Rows outside the window occur (estuary/connectors PR 2210) and are dropped. Raises IncompleteRead when ids do not
        ascend or HubSpot sends fewer rows than it counts.
        """
        window = Window(modified_property(object_name), start, end)
        last, after, received = 0, "0", 0
        while True:
            query = window.query(properties, last, after)
            response = await self._send("POST", f"/crm/v3/objects/{object_name}/search", call="search", json=query)
            page, body = self._page_of(response), quick_body(response)
            ids = page.ids
            if len(ids) and (ids[0] <= last or np.any(ids[1:] <= ids[:-1])):
                raise IncompleteRead(self.connection.name, f"a search of {object_name} is not in order of id.", "Run a full sync.")
            if len(inside := window.inside(page)):
                yield inside
            # Short and even empty pages can have a next one (airbytehq/airbyte PR 80744).
            following, received = self.onward(f"a search of {object_name}", after, _after(body)), received + len(page) + page.without_id
            if following is None:
                if received < body.get("total", 0):
                    problem = f"a search of {object_name} gave {received} of {body['total']} records."
                    raise IncompleteRead(self.connection.name, problem, "Run it again.")
                return
            last, after, received = (int(ids[-1]), "0", 0) if len(page) else (last, following, received)

    async def batch_read(
        self,
        object_name: str,
        ids: Iterable[str],
        properties: Sequence[str] = (),
        *,
        history: Sequence[str] = (),
        archived: bool = False,
    ) -> AsyncIterator[RecordPage]:
        """Records by id, some at a time. Ids that do not exist (any more), or belong to a record that was merged away, are left out."""

        async def read(some: list[str]) -> RecordPage:
            asked: dict[str, Any] = {"properties": list(properties), "inputs": [{"id": i} for i in some]}
            if history:
                asked["propertiesWithHistory"] = list(history)
            params = {"archived": str(archived).lower()}
            response = await self._send("POST", f"/crm/v3/objects/{object_name}/batch/read", params=params, json=asked)
            self._only(quick_body(response), "category", "OBJECT_NOT_FOUND")
            return self._page_of(response, history)

        async for page in together(ids, HISTORY_BATCH if history else BATCH, self._settings.concurrent_calls, read):
            yield page

    async def associations(self, start: str, end: str, ids: Iterable[str]) -> AsyncIterator[pa.Table]:
        """For records of type `start`, what they are associated with of type `end`: a row for each type of each link, with `from_id`,
        `to_id`, `type_id`, `category` and `label`.

        Every id that was asked for has all its rows in one table, with nothing but `from_id` when it has no links. Raises IncompleteRead
        when HubSpot loses one.
        """

        async def read(some: list[str]) -> pa.Table:
            found: dict[str, list[Record]] = {i: [] for i in some}
            inputs = [{"id": i} for i in some]
            while inputs:
                response = await self._send("POST", f"/crm/v4/associations/{start}/{end}/batch/read", json={"inputs": inputs})
                body = quick_body(response)
                # 207 is the everyday answer: having no association is an error to HubSpot.
                self._only(body, "subCategory", NO_ASSOCIATIONS)
                if len(body["results"]) + body.get("numErrors", 0) < len(inputs):
                    problem = f"HubSpot left out some of the {start} whose {end} were asked for."
                    raise IncompleteRead(self.connection.name, problem, "Run it again.")
                for result in body["results"]:
                    found[str(result["from"]["id"])] += result["to"]
                here = {i["id"]: i.get("after") for i in inputs}
                more = [(str(r["from"]["id"]), after) for r in body["results"] if (after := _after(r)) is not None]
                inputs = [{"id": i, "after": self.onward(f"{start}' {end}", here.get(i), after)} for i, after in more]
            return links_of(found)

        async for links in together(ids, ASSOCIATION_BATCH, self._settings.concurrent_calls, read):
            yield links

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The answer to a signed call, for what writes; `options` are those of `HttpClient.request`."""
        return await self._send(method, path, **options)

    def _judge(self, response: httpx2.Response) -> None:
        self._budget.note(response)
        judge(self._settings, response)

    async def _authorize(self) -> dict[str, str]:
        await self._budget.check()
        return self._signature()

    def _signature(self) -> dict[str, str]:
        token = self._settings.access_token
        if token is None:
            raise AuthenticationError(self.connection.name, "there is no access token.", "Set the connection's access_token.")
        return {"Authorization": f"Bearer {token.get_secret_value()}"}

    async def _pages(self, path: str, params: dict[str, Any]) -> AsyncIterator[list[Record]]:
        after: str | None = None
        while True:
            body = await self._json("GET", path, params=params | ({"after": after} if after else {}))
            yield body["results"]
            if (after := self.onward(path.rpartition("/")[2], after, _after(body))) is None:
                return

    def _page_of(self, response: httpx2.Response, history: Sequence[str] = ()) -> RecordPage:
        page = page_of(response, history)
        self.rejected.note(NO_KEY, page.without_id)
        return page

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return body_of(await self._send(method, path, **options))

    async def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            return await self._http.request(method, self._url(path), **options)
        except QuotaExhausted as error:
            if error.remedy:
                raise
            raise self._budget.with_time(error) from error

    async def _details_in_any_case(self) -> dict[str, Any]:
        """The account's details, also when only the reserve is left."""
        url = self._url("/account-info/v3/details")
        return body_of(await self._http.request("GET", url, signed=False, headers=self._signature()))

    def _url(self, path: str) -> str:
        return f"{self._settings.base_url}{path}"

    def _only(self, body: dict[str, Any], field: str, normal: str) -> None:
        """Raises RequestRejected when part of a batch failed for another reason than the normal one."""
        for error in body.get("errors") or []:
            if error.get(field) != normal:
                code = error.get("subCategory") or error.get("category")
                raise RequestRejected(self.connection.name, f"HubSpot refused part of a batch ({code}).", "Run it again.", code)


def _after(body: dict[str, Any]) -> str | None:
    return ((body.get("paging") or {}).get("next") or {}).get("after")
