"""The Salesforce client: sign-in, describe, SOQL over REST and Bulk API 2.0, deletions and limits.

Sources: Salesforce's REST and Bulk API 2.0 developer guides.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from cdp_pipelines.config import SalesforceConnection
from cdp_pipelines.crm_integrations.base_crm import BaseCRM, ConnectionTest, CRMError, DayOfCalls, FieldInfo, IncompleteRead
from cdp_pipelines.crm_integrations.http import HttpClient
from cdp_pipelines.crm_integrations.salesforce_answers import Answers, read_json
from cdp_pipelines.crm_integrations.salesforce_bulk import BulkPart, BulkQuery
from cdp_pipelines.crm_integrations.salesforce_signin import Session, SignIn

# The org allows 25 requests that take longer than 20 seconds, for all its clients together.
MAX_CONCURRENT = 10


class Page(list[dict[str, Any]]):
    """The records of one page of a query; `total` is how many the query has in all."""

    def __init__(self, records: list[dict[str, Any]], total: int):
        super().__init__(records)
        self.total = total


@dataclass(frozen=True)
class Deletions:
    """Ids of an object's records deleted in a time, and until when the list is complete."""

    ids: list[str]
    covered: datetime


def soql_time(moment: datetime) -> str:
    """A moment as SOQL writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Salesforce(BaseCRM):
    """A client of one org. Signs in at the first call, and once more when the session ends."""

    def __init__(self, connection: SalesforceConnection):
        self.connection = self._settings = connection
        self._answers = Answers(connection)
        self._http = HttpClient(
            connection, judge=self._answers.judge, authorize=self._authorize, renew=self._renew, max_concurrent=MAX_CONCURRENT
        )
        self._session: Session | None = None
        self._signing_in = asyncio.Lock()
        self._sign_in_by = SignIn(connection)
        self._described: dict[str, dict[str, Any]] = {}

    async def close(self) -> None:
        """See BaseCRM."""
        await self._http.close()

    @property
    def calls(self) -> Counter[str]:
        """See BaseCRM."""
        return self._http.calls

    @property
    def day(self) -> DayOfCalls:
        """See BaseCRM. From the header `Sforce-Limit-Info`, and the calls that were made since it came."""
        return self._answers.day()

    @property
    def bulk_poll_seconds(self) -> float:
        """The first pause between two looks at a bulk job."""
        return self._settings.bulk_poll_seconds

    @property
    def unsaved_refresh_token(self) -> bool:
        """Whether Salesforce has renewed the refresh token and no file keeps the new one."""
        return self._sign_in_by.unsaved

    async def test_connection(self) -> ConnectionTest:
        """See BaseCRM. The account is the org's id and host."""
        name = self.connection.name
        try:
            daily = (await self.limits())["DailyApiRequests"]
        except CRMError as error:
            return ConnectionTest(name, "salesforce", ok=False, problem=error.problem, remedy=error.remedy)
        session = await self._signed_in()
        org = session.identity.rstrip("/").split("/")[-2] if session.identity.count("/") > 1 else ""
        account = f"{org} at {urlsplit(session.instance_url).netloc}".removeprefix(" at ")
        used, left = daily["Max"] - daily["Remaining"], daily["Remaining"]
        return ConnectionTest(name, "salesforce", ok=True, account=account, calls_used=used, calls_left=left)

    async def scope(self) -> str:
        """The scopes of the session's token, with spaces between."""
        return (await self._signed_in()).scope

    async def describe(self, object_name: str) -> dict[str, Any]:
        """An object's describe answer; asked for once."""
        if object_name not in self._described:
            self._described[object_name] = await self._get(f"sobjects/{object_name}/describe")
        return self._described[object_name]

    async def describe_fields(self, object_name: str) -> list[FieldInfo]:
        """See BaseCRM. Fields that field-level security hides from the API user are not in the answer."""
        return [
            FieldInfo(
                f["name"], f["type"], f["label"], f["custom"], f["calculated"], read_only=not (f.get("updateable") or f.get("createable"))
            )
            for f in (await self.describe(object_name))["fields"]
        ]

    async def query(self, soql: str, *, include_deleted: bool = False) -> AsyncGenerator[Page]:
        """The records of a query, page by page, without their `attributes`; `include_deleted` shows the recycle bin too.

        Raises IncompleteRead when their number is not the `totalSize` of the first page.
        """
        page = await self._get("queryAll" if include_deleted else "query", {"q": soql})
        total, seen, here = page["totalSize"], 0, None
        while True:
            rows = page["records"]
            seen += len(rows)
            for row in rows:
                row.pop("attributes", None)
            yield Page(rows, total)
            # A page may be shorter than asked for; an empty one that says there is more would go on for ever.
            if page["done"] or not rows:
                break
            here = self.onward("a query", here, page["nextRecordsUrl"])
            page = await self._get(page["nextRecordsUrl"])
        if seen != total:
            object_name = soql.partition(" FROM ")[2].partition(" ")[0]
            problem = f"Salesforce announced {total} records of {object_name} and sent {seen}."
            raise IncompleteRead(self.connection.name, problem, "Run the same command again.")

    async def count(self, soql: str, *, include_deleted: bool = False) -> int:
        """The number that a `SELECT COUNT() FROM ...` gives."""
        return (await self._get("queryAll" if include_deleted else "query", {"q": soql}))["totalSize"]

    def bulk_query(
        self, soql: str, *, include_deleted: bool = False, keep: bool = False, place: dict[str, Any] | None = None
    ) -> AsyncGenerator[BulkPart]:
        """The records of a query through Bulk API 2.0, as tables of text; see `BulkQuery.run`. Give no ORDER BY: it hinders Salesforce."""
        return BulkQuery(self._settings, self._http, self._url, self.rejected).run(
            soql, include_deleted=include_deleted, keep=keep, place=place
        )

    async def deleted(self, object_name: str, start: datetime, end: datetime) -> Deletions:
        """Records deleted in [start, end), purged ones too. Salesforce knows about 15 days back and leaves seconds out of account."""
        times = {"start": start.astimezone(UTC).isoformat(timespec="seconds"), "end": end.astimezone(UTC).isoformat(timespec="seconds")}
        answer = await self._get(f"sobjects/{object_name}/deleted", times)
        covered = datetime.fromisoformat(answer["latestDateCovered"])
        return Deletions([record["id"] for record in answer["deletedRecords"]], covered)

    async def limits(self) -> dict[str, dict[str, int]]:
        """The org's limits, each with `Max` and `Remaining`; up to five minutes old."""
        return await self._get("limits")

    async def record_count(self, objects: Iterable[str]) -> dict[str, int]:
        """About how many records each object has; not exact, and 0 for what the answer leaves out."""
        names = list(objects)
        answer = await self._get("limits/recordCount", {"sObjects": ",".join(names)})
        return dict.fromkeys(names, 0) | {entry["name"]: entry["count"] for entry in answer["sObjects"]}

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The answer to a signed call, for what writes; `options` are those of `HttpClient.request`. See `_url` for the path."""
        return await self._http.request(method, await self._url(path), **options)

    async def _get(self, path: str, params: dict[str, str] | None = None) -> Any:
        return read_json(await self._http.request("GET", await self._url(path), params=params))

    async def _url(self, path: str) -> str:
        """The URL of a path below the API version, or of one that Salesforce gave (with a slash at the beginning)."""
        instance = (await self._signed_in()).instance_url
        return instance + path if path.startswith("/") else f"{instance}/services/data/v{self._settings.api_version}/{path}"

    async def _authorize(self) -> dict[str, str]:
        session = await self._signed_in()
        self._answers.check_reserve()
        return {"Authorization": f"Bearer {session.token}"}

    async def _signed_in(self) -> Session:
        async with self._signing_in:
            if self._session is None:
                self._session = await self._sign_in()
            return self._session

    async def _renew(self) -> None:
        async with self._signing_in:
            self._session = await self._sign_in()

    async def _sign_in(self) -> Session:
        by = self._sign_in_by
        response = await self._http.request("POST", by.url, signed=False, judge=self._answers.judge_token, data=by.form())
        return by.session(read_json(response))
