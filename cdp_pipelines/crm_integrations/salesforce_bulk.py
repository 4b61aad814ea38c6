"""Bulk API 2.0 queries: the job, its result pages on disk, and Arrow tables of text from there.

Memory holds some blocks of one page, whatever the size of the object; large results come over several connections at once. Sources:
Salesforce's Bulk API 2.0 guide (Get Parallel Results); simple-salesforce #693 and #590 (rows lost at page borders),
airbytehq/airbyte#12372 (UTF-8), #13088 (objects that Bulk refuses).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import pyarrow as pa
from pyarrow import csv

from cdp_pipelines.config import SalesforceConnection
from cdp_pipelines.crm_integrations.base_crm import CRMError, IncompleteRead, PermissionDenied, RequestRejected, Unreachable
from cdp_pipelines.crm_integrations.http import HttpClient
from cdp_pipelines.crm_integrations.rejected import WRONG_WIDTH, Rejections
from cdp_pipelines.crm_integrations.salesforce_answers import read_json

PAGE_ROWS = 50_000
PAGES_AT_ONCE = 4
LONGEST_PAUSE_SECONDS = 30.0
# A job that shows no progress for so long is stuck.
PATIENCE_SECONDS = 3600.0
_BLOCK_BYTES = 4 * 2**20
_TRIES_PER_PAGE = 3
# A record's id at the beginning of a line: three letters of its object, zeros or digits, and its check letters.
_ID = re.compile(r'"?([0-9a-zA-Z]{15}[A-Z0-5]{3})"?(?:,|$)')
# The first API version that tells where all the pages of a result are.
_PAGES_LISTED_SINCE = 58.0
_TEXT = csv.ConvertOptions(
    default_column_type=pa.string(), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True, check_utf8=True
)


@dataclass(frozen=True)
class BulkPart:
    """Some rows of a result. `place` is the beginning of their page or a later one, for `BulkQuery.run`; `expected` all rows of the result."""

    rows: pa.Table
    place: dict[str, Any]
    expected: int


@dataclass
class _Page:
    file: Path
    announced: int
    following: str | None


class BulkQuery:
    """One bulk query. `url_of` turns a path below `/services/data/vNN.0` into a URL. Lines that are not as long as their page's header are
    `rejected`: nobody knows which value is which."""

    def __init__(self, connection: SalesforceConnection, http: HttpClient, url_of: Callable[[str], Awaitable[str]], rejected: Rejections):
        self._connection, self._http, self._url_of, self._rejected = connection, http, url_of, rejected

    async def run(
        self, soql: str, *, include_deleted: bool, keep: bool = False, place: dict[str, Any] | None = None
    ) -> AsyncGenerator[BulkPart]:
        """The records as tables of text, null where the value is empty.

        With `keep`, the job stays when not all of it was read, and `place` goes on with it (Salesforce keeps results for seven days).
        Raises RequestRejected when the job is refused, fails, is aborted or is no longer there, IncompleteRead when the number of rows is
        not as announced.
        """
        job = place["job"] if place else await self._create(soql, include_deleted)
        path, ended, whole = f"jobs/query/{job}", bool(place), False
        try:
            info = await self._wait(path)
            ended = True
            async for part in self._parts(path, info, place or {"job": job, "locator": None, "rows": 0}):
                yield part
            whole = True
        finally:
            if whole or not (keep and ended):
                await self._tidy_up(path, ended)

    async def _create(self, soql: str, include_deleted: bool) -> str:
        wish = {"operation": "queryAll" if include_deleted else "query", "query": soql, "contentType": "CSV",
                "columnDelimiter": "COMMA", "lineEnding": "LF"}  # fmt: skip
        return read_json(await self._http.request("POST", await self._url_of("jobs/query"), json=wish))["id"]

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

    async def _parts(self, path: str, info: dict[str, Any], place: dict[str, Any]) -> AsyncGenerator[BulkPart]:
        expected, rows = int(info["numberRecordsProcessed"]), place["rows"]
        many = expected - rows > PAGE_ROWS and not place["locator"] and float(self._connection.api_version) >= _PAGES_LISTED_SINCE
        # The folder is private to this user; what is in it goes with the block.
        with tempfile.TemporaryDirectory(prefix="cdp-salesforce-") as folder:
            listing = await self._page_list(path) if many else None
            there = Path(folder)
            async with contextlib.aclosing(
                self._at_once(path, there, listing) if listing else self._in_turn(path, there, place["locator"])
            ) as pages:
                async for page in pages:
                    announced = rows + page.announced
                    broken = list[str | None]()
                    for table in _tables(page.file, broken):
                        rows += table.num_rows
                        yield BulkPart(table, place, expected)
                    page.file.unlink()
                    rows += len(broken)
                    if rows != announced:
                        raise self._incomplete(info, announced, rows)
                    self._rejected.note(WRONG_WIDTH, len(broken), filter(None, broken))
                    place = {**place, "locator": page.following, "rows": rows}
        if rows != expected:
            raise self._incomplete(info, expected, rows)

    async def _in_turn(self, path: str, folder: Path, locator: str | None) -> AsyncGenerator[_Page]:
        """Page after page: only the answer with a page says where the next one is."""
        while True:
            params = {"maxRecords": str(PAGE_ROWS)} | ({"locator": locator} if locator else {})
            page = await self._download(f"{path}/results", params, folder / "page.csv")
            yield page
            if page.following is None or page.following == locator:
                return
            locator = page.following

    async def _at_once(self, path: str, folder: Path, listing: dict[str, Any]) -> AsyncGenerator[_Page]:
        """Pages in order, some fetched ahead at the same time; five are in a list."""
        waiting = deque[str]()
        running = deque[asyncio.Task[_Page]]()
        number = 0
        try:
            while True:
                waiting.extend(page["resultUrl"] for page in listing.get("resultPages", ()))
                # The guide's table and its example spell it differently.
                more = None if listing.get("done") else listing.get("nextRecordsUrl") or listing.get("nextRecordUrl")
                while waiting or (running and not more):
                    while waiting and len(running) < PAGES_AT_ONCE:
                        running.append(asyncio.create_task(self._download(waiting.popleft(), None, folder / f"{number}.csv")))
                        number += 1
                    yield await running.popleft()
                if not more:
                    return
                listing = read_json(await self._http.request("GET", await self._url_of(more)))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _page_list(self, path: str) -> dict[str, Any] | None:
        try:
            return read_json(await self._http.request("GET", await self._url_of(f"{path}/resultPages")))
        except (RequestRejected, PermissionDenied):
            return None

    async def _download(self, path: str, params: dict[str, str] | None, to: Path) -> _Page:
        """One page of results in a file; asked for again when the connection breaks in the middle."""
        for last in (False,) * (_TRIES_PER_PAGE - 1) + (True,):
            try:
                async with self._http.stream("GET", await self._url_of(path), params=params, headers={"Accept": "text/csv"}) as response:
                    with to.open("wb") as file:
                        async for chunk in response.aiter_bytes():
                            file.write(chunk)
                    following = response.headers.get("Sforce-Locator", "null")
                    return _Page(to, int(response.headers["Sforce-NumberOfRecords"]), following if following not in ("null", "") else None)
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


def _tables(page: Path, broken: list[str | None]) -> Iterator[pa.Table]:
    """A CSV file as tables of text, block by block. An empty file (seen where nothing matches) is none.

    Each line of another length than the header is left out and added to `broken`, with its id where the line begins with one.
    """
    if page.stat().st_size == 0:
        return

    def leave_out(line: csv.InvalidRow) -> Literal["skip"]:
        found = _ID.match(line.text)
        broken.append(found[1] if found else None)
        return "skip"

    reading = csv.ReadOptions(block_size=_BLOCK_BYTES, encoding="utf8")
    parsing = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=leave_out)
    with csv.open_csv(page, reading, parsing, _TEXT) as batches:
        for batch in batches:
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
