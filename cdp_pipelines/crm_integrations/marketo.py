"""Marketo's client: signs in, pages, waits, and reads leads, activities, opportunities, companies, campaigns and programs.

Facts of the API are the vendor's documentation's (experienceleague.adobe.com, Marketo REST API) unless a public issue is named.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import httpx2
from pyrate_limiter import Rate

from cdp_pipelines.config import MarketoConnection
from cdp_pipelines.crm_integrations.base_crm import BaseCRM, ConnectionTest, CRMError, DayOfCalls, FieldInfo, PermissionDenied
from cdp_pipelines.crm_integrations.http import HttpClient
from cdp_pipelines.crm_integrations.marketo_answers import DailyBudget, MarketoJudge, read_body
from cdp_pipelines.crm_integrations.marketo_export import Exporter, ExportPart, Window, whole_second
from cdp_pipelines.scrubbing import know

IDS_IN_A_CALL = 300
TYPES_IN_A_CALL = 10
# Marketo refuses URIs beyond 8 KB with 414; the same request is then sent as a form.
LONGEST_URI = 7500
CALLS_AT_ONCE = 8
Row = dict[str, Any]


@dataclass
class ActivityPage:
    """Some activities, and the token from which to go on. `more` may be true where there is no activity at all."""

    rows: list[Row]
    token: str
    more: bool


class Marketo(BaseCRM):
    """A client of one Marketo instance."""

    def __init__(self, connection: MarketoConnection):
        self.connection, self._settings = connection, connection
        self._token: str | None = None
        self.api_user: str | None = None
        """Whose token it is, once signed in: the vendor's only word on what it may do."""
        self._signing_in = asyncio.Lock()
        self._judge = MarketoJudge(connection.name)
        self._budget = DailyBudget(connection)
        self._http = HttpClient(
            connection,
            judge=self._judge,
            authorize=self._authorize,
            renew=self._sign_in,
            limits={"default": [Rate(connection.calls_per_20_seconds, 20_000)]},
            # The instance allows ten for all its clients together.
            max_concurrent=CALLS_AT_ONCE,
        )
        self._exporter = Exporter(connection.name, connection.bulk_poll_seconds, self._result, self._file_part, self.rejected)

    async def close(self) -> None:
        """See BaseCRM."""
        self._exporter.close()
        await self._http.close()

    @property
    def calls(self) -> Counter[str]:
        """See BaseCRM."""
        return self._http.calls

    @property
    def day(self) -> DayOfCalls:
        """See BaseCRM. From the usage that is looked up now and then for `daily_call_reserve`, and the own calls since."""
        return self._budget.day(self._http.calls.total())

    @property
    def bulk_poll_seconds(self) -> float:
        """The first pause between two looks at a bulk job."""
        return self._settings.bulk_poll_seconds

    async def test_connection(self) -> ConnectionTest:
        """See BaseCRM. Reads today's usage; a user who may not is connected all the same."""
        host = urlsplit(self._settings.endpoint or "").hostname or ""
        about: dict[str, Any] = {"connection": self.connection.name, "kind": "marketo", "account": host.partition(".mktorest")[0]}
        try:
            used = (await self.usage()).get("total")
        except PermissionDenied:
            used = None
        except CRMError as error:
            return ConnectionTest(ok=False, problem=error.problem, remedy=error.remedy, **about)
        return ConnectionTest(ok=True, calls_used=used, **about)

    async def describe_fields(self, object_name: str) -> list[FieldInfo]:
        """See BaseCRM; `leads`, `opportunities`, `opportunities/roles` or `companies`."""
        if object_name == "leads":
            return await self.describe_leads()
        described = (await self._result("GET", f"/rest/v1/{object_name}/describe.json"))[0]
        return [FieldInfo(f["name"], f.get("dataType", ""), f.get("displayName", "")) for f in described.get("fields", [])]

    async def describe_leads(self) -> list[FieldInfo]:
        """The lead fields that REST shows; entries for SOAP only are left out (Airbyte #55729)."""
        entries = await self._result("GET", "/rest/v1/leads/describe.json")
        # Nothing here says what is custom. Standard fields have the same low ids in every instance (grouparoo's recorded answer).
        return [
            FieldInfo(
                entry["rest"]["name"],
                entry.get("dataType", ""),
                entry.get("displayName", ""),
                custom=_is_custom(entry),
                read_only=bool(entry["rest"].get("readOnly")),
            )
            for entry in entries
            if entry.get("rest")
        ]

    async def usage(self) -> Row:
        """Today's API calls of the whole instance: `date`, `total`, `users`."""
        with self._budget.looking():
            used = next(iter(await self._result("GET", "/rest/v1/stats/usage.json")), {})
            self._budget.seen(int(used.get("total") or 0), self._http.calls.total())
        return used

    def leads_by(self, filter_type: str, values: Iterable[str | int], fields: Iterable[str]) -> AsyncGenerator[list[Row]]:
        """Leads where a field is one of `values`, in pages. A value that more than 1,000 leads share is refused (1003)."""
        return self._lookup("/rest/v1/leads.json", filter_type, values, fields)

    def opportunities_by(self, filter_type: str, values: Iterable[str | int], fields: Iterable[str]) -> AsyncGenerator[list[Row]]:
        """Opportunities where a searchable field is one of `values`, in pages. There is no other way to list them."""
        return self._lookup("/rest/v1/opportunities.json", filter_type, values, fields)

    def roles_by(self, filter_type: str, values: Iterable[str | int], fields: Iterable[str]) -> AsyncGenerator[list[Row]]:
        """Opportunity roles where `leadId`, `externalOpportunityId` or `marketoGUID` is one of `values`, in pages."""
        return self._lookup("/rest/v1/opportunities/roles.json", filter_type, values, fields)

    def companies_by(self, filter_type: str, values: Iterable[str | int], fields: Iterable[str]) -> AsyncGenerator[list[Row]]:
        """Companies where `externalCompanyId`, `id` or `company` is one of `values`, in pages."""
        return self._lookup("/rest/v1/companies.json", filter_type, values, fields)

    def campaigns(self) -> AsyncGenerator[list[Row]]:
        """All smart campaigns, in pages."""
        return self._pages("/rest/v1/campaigns.json", {"batchSize": 300})

    async def programs(self) -> AsyncGenerator[list[Row]]:
        """All programs, in pages. The asset API counts by offset and leaves `result` out at the end."""
        offset, size = 0, 200
        while page := await self._result("GET", "/rest/asset/v1/programs.json", {"maxReturn": size, "offset": offset}):
            yield page
            if len(page) < size:
                return
            offset += size

    async def paging_token(self, since: datetime) -> str:
        """A token for activities from `since` on."""
        body = await self._body("GET", "/rest/v1/activities/pagingtoken.json", {"sinceDatetime": whole_second(since)})
        return body["nextPageToken"]

    async def activities(self, types: Iterable[int], token: str) -> AsyncGenerator[ActivityPage]:
        """Activities of at most ten types from a token on, until there are no more. Pages without rows are left to the caller to skip."""
        wanted = ",".join(map(str, types))
        more = True
        while more:
            body = await self._body(
                "GET", "/rest/v1/activities.json", {"nextPageToken": token, "activityTypeIds": wanted, "batchSize": 300}
            )
            here, token, more = token, body.get("nextPageToken", token), body.get("moreResult") is True
            yield ActivityPage(body.get("result") or [], token, more)
            if more:
                self.onward("activities", here, token)

    async def deleted_leads(self, token: str) -> AsyncGenerator[ActivityPage]:
        """Delete Lead activities from a token on."""
        more = True
        while more:
            body = await self._body("GET", "/rest/v1/activities/deletedleads.json", {"nextPageToken": token, "batchSize": 300})
            here, token, more = token, body.get("nextPageToken", token), body.get("moreResult") is True
            yield ActivityPage(body.get("result") or [], token, more)
            if more:
                self.onward("deleted leads", here, token)

    def export_leads(
        self, filter_field: Literal["createdAt", "updatedAt"], windows: Iterable[Window], fields: Iterable[str]
    ) -> AsyncGenerator[ExportPart]:
        """Leads created (`createdAt`) or changed in any field (`updatedAt`) in each window of at most 31 days, as text columns.

        Both ends of a window count, in whole seconds. RequestRejected with code 1035: the subscription has no `updatedAt` filter.
        QuotaExhausted: the 500 MB of the day are used up.
        """
        return self._exporter.parts("leads", ({filter_field: _range(w)} for w in windows), list(fields))

    def export_activities(self, windows: Iterable[Window], types: Iterable[int]) -> AsyncGenerator[ExportPart]:
        """Activities of these types in each window, as text columns; `attributes` is a JSON object. Delete Lead (37) is never among them."""
        kinds = sorted(types)
        return self._exporter.parts("activities", ({"createdAt": _range(w), "activityTypeIds": kinds} for w in windows), None)

    async def send(self, method: str, path: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The body of the answer to a signed call, for what writes; `options` are those of `HttpClient.request`."""
        return await self._body(method, path, params, **options)

    async def file(self, path: str) -> bytes:
        """A file of a bulk job, whole."""
        return (await self._file_part(path, {})).content

    async def _lookup(self, path: str, filter_type: str, values: Iterable[str | int], fields: Iterable[str]) -> AsyncGenerator[list[Row]]:
        """Pages in the order of the values, some chunks of which are asked for at the same time."""
        params = {"filterType": filter_type, "fields": ",".join(fields), "batchSize": 300}

        async def all_of(some: list[str]) -> list[list[Row]]:
            return [page async for page in self._pages(path, {**params, "filterValues": ",".join(some)})]

        chunks = _chunks(map(str, values), IDS_IN_A_CALL)
        running: deque[asyncio.Task[list[list[Row]]]] = deque()
        try:
            while True:
                running.extend(asyncio.create_task(all_of(some)) for some in islice(chunks, CALLS_AT_ONCE - len(running)))
                if not running:
                    return
                for page in await running.popleft():
                    for row in page:
                        # A record's place in the answer, not a field of it.
                        row.pop("seq", None)
                    yield page
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _pages(self, path: str, params: dict[str, Any]) -> AsyncGenerator[list[Row]]:
        token: str | None = None
        while True:
            body = await self._body("GET", path, {**params, **({"nextPageToken": token} if token else {})})
            if rows := body.get("result"):
                yield rows
            token = self.onward(path.rpartition("/")[2].removesuffix(".json"), token, body.get("nextPageToken"))
            if not token:
                return

    async def _result(self, method: str, path: str, params: dict[str, Any] | None = None, **options: Any) -> list[Row]:
        return (await self._body(method, path, params, **options)).get("result") or []

    async def _body(self, method: str, path: str, params: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        url = f"{self._settings.endpoint}{path}"
        if params and method == "GET" and len(url) + len(urlencode(params)) > LONGEST_URI:
            response = await self._http.request("POST", f"{url}?_method=GET", data=params, **options)
        else:
            response = await self._http.request(method, url, params=params, **options)
        return read_body(response)

    async def _file_part(self, path: str, headers: dict[str, str]) -> httpx2.Response:
        return await self._http.request("GET", f"{self._settings.endpoint}{path}", headers=headers, judge=self._judge.file)

    async def _authorize(self) -> dict[str, str]:
        if self._token is None:
            async with self._signing_in:
                if self._token is None:
                    await self._sign_in()
        if self._budget.wants_a_look(self._http.calls.total()):
            with contextlib.suppress(PermissionDenied):
                await self.usage()
        self._budget.check(self._http.calls.total())
        # In the header only: the query parameter is refused since 31 August 2026.
        return {"Authorization": f"Bearer {self._token}"}

    async def _sign_in(self) -> None:
        secret = self._settings.client_secret
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id or "",
            "client_secret": secret.get_secret_value() if secret else "",
        }
        url = f"{self._settings.endpoint}/identity/oauth/token"
        response = await self._http.request("POST", url, call="identity", signed=False, judge=self._judge.token, data=form)
        self._token = read_body(response)["access_token"]
        know(self._token)
        self.api_user = str(read_body(response).get("scope") or "") or None


def _is_custom(entry: Row) -> bool:
    return entry.get("id", 0) > 700 and not entry["rest"].get("readOnly")


def _range(window: Window) -> dict[str, str]:
    return {"startAt": whole_second(window[0]), "endAt": whole_second(window[1])}


def _chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    source = iter(values)
    while chunk := list(islice(source, size)):
        yield chunk
