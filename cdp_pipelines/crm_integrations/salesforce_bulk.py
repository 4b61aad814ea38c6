"""Bulk API 2.0 queries: the job, its result pages on disk, and Arrow tables of text from there.

Memory holds one block of one page, whatever the size of the object. Sources: Salesforce's Bulk API 2.0 guide;
simple-salesforce #693 and #590 (rows lost at page borders), airbytehq/airbyte#12372 (UTF-8), #13088 (objects that Bulk refuses).
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
from pyarrow import csv

from cdp_pipelines.config import SalesforceConnection
from cdp_pipelines.crm_integrations.base_crm import CRMError, IncompleteRead, RequestRejected, Unreachable
from cdp_pipelines.crm_integrations.http import HttpClient
from cdp_pipelines.crm_integrations.salesforce_answers import read_json

PAGE_ROWS = 50_000
LONGEST_PAUSE_SECONDS = 30.0
# A job that shows no progress for so long is stuck.
PATIENCE_SECONDS = 3600.0
_BLOCK_BYTES = 16 * 2**20
_TRIES_PER_PAGE = 3
_TEXT = csv.ConvertOptions(
    default_column_type=pa.string(), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True, check_utf8=True
)


class BulkQuery:
    """One bulk query. `url_of` turns a path below `/services/data/vNN.0` into a URL."""

    def __init__(self, connection: SalesforceConnection, http: HttpClient, url_of: Callable[[str], Awaitable[str]]):
        self._connection, self._http, self._url_of = connection, http, url_of

    async def run(self, soql: str, *, include_deleted: bool) -> AsyncIterator[pa.Table]:
        """The records as tables of text, null where the value is empty.

        Raises RequestRejected when the job is refused, fails or is aborted, IncompleteRead when the number of rows is not as announced.
        """
        wish = {"operation": "queryAll" if include_deleted else "query", "query": soql, "contentType": "CSV",
                "columnDelimiter": "COMMA", "lineEnding": "LF"}  # fmt: skip
        created = read_json(await self._http.request("POST", await self._url_of("jobs/query"), json=wish))
        path = f"jobs/query/{created['id']}"
        ended = False
        try:
            info = await self._wait(path)
            ended = True
            async for table in self._results(path, info):
                yield table
        finally:
            await self._tidy_up(path, ended)

    async def _wait(self, path: str) -> dict[str, Any]:
        """The job's information once it is complete."""
        name, pause, progress, since = self._connection.name, self._connection.bulk_poll_seconds, -1, time.monotonic()
        while True:
            info = read_json(await self._http.request("GET", await self._url_of(path)))
            state = info["state"]
            if state == "JobComplete":
                return info
            if state in ("Failed", "Aborted"):
                reason = info.get("errorMessage") or "no reason given"
                raise RequestRejected(
                    name, f"the bulk query of {info.get('object')} is {state} ({reason}).", "See Setup > Bulk Data Load Jobs.", state
                )
            if (done := int(info.get("numberRecordsProcessed") or 0)) != progress:
                progress, since = done, time.monotonic()
            elif time.monotonic() - since > PATIENCE_SECONDS:
                raise RequestRejected(
                    name,
                    f"the bulk query of {info.get('object')} has made no progress for {PATIENCE_SECONDS / 60:.0f} minutes.",
                    "See Setup > Bulk Data Load Jobs.",
                    "Stuck",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _results(self, path: str, info: dict[str, Any]) -> AsyncIterator[pa.Table]:
        locator: str | None = None
        announced = rows = 0
        # The folder is private to this user; what is in it goes with the block.
        with tempfile.TemporaryDirectory(prefix="cdp-salesforce-") as folder:
            while True:
                page = Path(folder) / "page.csv"
                headers = await self._download(path, locator, page)
                announced += int(headers["Sforce-NumberOfRecords"])
                for table in _tables(page):
                    rows += table.num_rows
                    yield table
                page.unlink()
                if rows != announced:
                    raise self._incomplete(info, announced, rows)
                following = headers.get("Sforce-Locator", "null")
                if following in ("null", ""):
                    break
                if following == locator:
                    raise self._incomplete(info, int(info["numberRecordsProcessed"]), rows)
                locator = following
        if rows != int(info["numberRecordsProcessed"]):
            raise self._incomplete(info, int(info["numberRecordsProcessed"]), rows)

    async def _download(self, path: str, locator: str | None, to: Path) -> httpx2.Headers:
        """One page of results in a file; asked for again when the connection breaks in the middle."""
        params: dict[str, str] = {"maxRecords": str(PAGE_ROWS)} | ({"locator": locator} if locator else {})
        for last in (False,) * (_TRIES_PER_PAGE - 1) + (True,):
            try:
                url = await self._url_of(f"{path}/results")
                async with self._http.stream("GET", url, params=params, headers={"Accept": "text/csv"}) as response:
                    with to.open("wb") as file:
                        async for chunk in response.aiter_bytes():
                            file.write(chunk)
                    return response.headers
            except httpx2.TransportError as error:
                if last:
                    problem = f"the download of a bulk result broke off {_TRIES_PER_PAGE} times ({type(error).__name__})."
                    raise Unreachable(self._connection.name, problem, "Check the network and run the same command again.") from error
        raise AssertionError("unreachable")

    def _incomplete(self, info: dict[str, Any], announced: int, rows: int) -> IncompleteRead:
        return IncompleteRead(
            self._connection.name,
            f"Salesforce announced {announced} records of {info.get('object')} and sent {rows}.",
            "Run the same command again.",
        )

    async def _tidy_up(self, path: str, ended: bool) -> None:
        """Results count against the org's storage: delete a job that ended, stop one that did not."""
        with contextlib.suppress(CRMError):
            if ended:
                await self._http.request("DELETE", await self._url_of(path))
            else:
                await self._http.request("PATCH", await self._url_of(path), json={"state": "Aborted"})


def _tables(page: Path) -> Iterator[pa.Table]:
    """A CSV file as tables of text, block by block. An empty file (seen where nothing matches) is none."""
    if page.stat().st_size == 0:
        return
    reading = csv.ReadOptions(block_size=_BLOCK_BYTES, encoding="utf8")
    with csv.open_csv(page, reading, csv.ParseOptions(newlines_in_values=True), _TEXT) as batches:
        for batch in batches:
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
