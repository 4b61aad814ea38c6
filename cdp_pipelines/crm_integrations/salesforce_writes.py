"""Writing to Salesforce: collections of 200 records, and large sets through Bulk API 2.0.

Sources: Salesforce's REST developer guide (sObject Collections, Duplicate Rule header); simple-salesforce#337 (duplicates), jsforce#1018
(locks), mautic/mautic PR 4664 (one bad row fails a tree of records), mautic/mautic PR 4066 (converted leads).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import httpx2

from cdp_pipelines.crm_integrations.base_crm import CRMError, OutcomeUnknown, RequestRejected
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.crm_integrations.salesforce_answers import read_json
from cdp_pipelines.crm_integrations.salesforce_ingest import Ingest, fits_a_file
from cdp_pipelines.crm_integrations.salesforce_live import LiveRecords, same
from cdp_pipelines.crm_integrations.salesforce_rows import PASSING, json_value, rejected
from cdp_pipelines.crm_integrations.write_batches import Limits, tidy, write_in_batches
from cdp_pipelines.crm_integrations.writes import LiveRecord, OnResult, RecordWrite, WriteResult

WRITTEN_AT_ONCE, CALLS_AT_ONCE = 200, 4
# Triggers and flows of the org run within the call, which Salesforce lets take ten minutes.
WRITE_SECONDS = 610.0
BULK_FROM = 20_000
# What an update says when its record is gone, or something that it refers to.
_MAYBE_GONE = {"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "CANNOT_UPDATE_CONVERTED_LEAD", "MALFORMED_ID"}
# A call is refused as a whole for what one of its rows has.
_DIVISIBLE = frozenset({"INVALID_FIELD", "JSON_PARSER_ERROR", "MALFORMED_ID", "MISSING_ARGUMENT", "INVALID_ID_FIELD"})
_UNFIT = frozenset({"INVALID_FIELD"})
_ALREADY_GONE = {"ENTITY_IS_DELETED"}
_UNKNOWN_FIELD = re.compile(r"No such column '([^']+)'")


class SalesforceWriter:
    """A RecordWriter of one org.

    With `allow_duplicates` a record is saved although a duplicate rule objects, where the rule lets itself be overruled. From `bulk_from`
    writes on they go by Bulk API 2.0: fewer calls, and no result before the whole job is done.
    """

    def __init__(self, client: Salesforce, *, allow_duplicates: bool = False, bulk_from: int = BULK_FROM):
        self._client, self._connection, self._records = client, client.connection, LiveRecords(client)
        self._allow_duplicates, self._bulk_from = allow_duplicates, bulk_from

    async def read(self, object: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """See RecordWriter."""
        return await self._records.read(object, ids, fields)

    async def find(self, object: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """See RecordWriter. `by_field` may be any field that can be filtered by; a value with `/` is like any other here."""
        return await self._records.find(object, by_field, values, fields)

    async def write(self, object: str, writes: Sequence[RecordWrite], *, on_result: OnResult | None = None) -> list[WriteResult]:
        """See RecordWriter."""
        made = [_with_parent(write) for write in writes]
        done = await self._in_bulk(object, made, on_result) if len(made) >= self._bulk_from else {}

        async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            return await self._where_gone(object, batch, await self._send(object, batch))

        limits = Limits(WRITTEN_AT_ONCE, CALLS_AT_ONCE, self._connection.max_attempts, PASSING, _DIVISIBLE, _UNFIT)
        rest = [write for write in made if write.key not in done]
        for result in await write_in_batches(rest, send, limits, same=lambda w: w.id and same(w.id), on_result=on_result):
            done[result.key] = result
        return [done[write.key] for write in writes]

    async def delete(
        self, object: str, ids: Sequence[str], *, forget: bool = False, on_result: OnResult | None = None
    ) -> list[WriteResult]:
        """See RecordWriter. A deleted record lies in the recycle bin for some days; `forget` deletes for good, by a bulk job that needs the
        permission 'Bulk API Hard Delete'."""
        gone = [RecordWrite(i, object, "update", i, {}) for i in dict.fromkeys(ids)]
        if forget:
            by_id = await self._erase(object, gone, on_result)
            return [by_id[i] for i in ids]

        async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            params = {"ids": ",".join(write.key for write in batch), "allOrNone": "false"}
            answer = await self._client.send("DELETE", "composite/sobjects", params=params, effect="repeatable", timeout=WRITE_SECONDS)
            return [_deleted(write, row) for write, row in zip(batch, self._rows(answer, batch), strict=True)]

        limits = Limits(WRITTEN_AT_ONCE, CALLS_AT_ONCE, self._connection.max_attempts, PASSING, _DIVISIBLE)
        results = await write_in_batches(gone, send, limits, same=lambda write: same(write.key), on_result=on_result)
        by_id = {result.key: result for result in results}
        return [by_id[i] for i in ids]

    async def _erase(self, object: str, gone: list[RecordWrite], on_result: OnResult | None) -> dict[str, WriteResult]:
        found = await Ingest(self._client, object, erase=True).write(gone)
        for write in gone:
            if write.key not in found:
                reason = "Salesforce refused to delete for good; give the API user the permission 'Bulk API Hard Delete'."
                found[write.key] = WriteResult(write.key, "rejected", write.id, "HARD_DELETE_REFUSED", reason)
            if on_result:
                await on_result(found[write.key])
        return found

    async def _in_bulk(self, object: str, writes: list[RecordWrite], on_result: OnResult | None) -> dict[str, WriteResult]:
        """What became of those that a job can take, but for rows that another try, or another way, may still write."""
        # Within a job no order is promised, so that a second write of a record cannot be in it; nor does it know of duplicate headers.
        first = {same(write.id) if write.id else write.key: write for write in reversed(writes)}
        large = [write for write in writes if first.get(same(write.id) if write.id else write.key) is write and fits_a_file(write)]
        if len(large) < self._bulk_from or self._allow_duplicates:
            return {}
        done: dict[str, WriteResult] = {}
        found = await Ingest(self._client, object).write(large)
        told = [write for write in large if write.key in found]
        results = await self._where_gone(object, told, [found[write.key] for write in told])
        for write, result in zip(told, results, strict=True):
            if result.code not in PASSING:
                done[write.key] = tidy(result, write)
                if on_result:
                    await on_result(done[write.key])
        return done

    async def _send(self, object: str, batch: list[RecordWrite]) -> list[WriteResult]:
        create = batch[0].action == "create"
        records = [
            {"attributes": {"type": object}, **({} if create else {"id": write.id}), **{n: json_value(v) for n, v in write.fields.items()}}
            for write in batch
        ]
        try:
            response = await self._client.send(
                "POST" if create else "PATCH",
                "composite/sobjects",
                json={"allOrNone": False, "records": records},
                headers={"Sforce-Duplicate-Rule-Header": f"allowSave={str(self._allow_duplicates).lower()}"},
                effect="once" if create else "repeatable",
                timeout=WRITE_SECONDS,
            )
        except RequestRejected as error:
            if unknown := _UNKNOWN_FIELD.search(error.problem):
                faults = {unknown[1]: "INVALID_FIELD"}
                raise RequestRejected(error.connection, error.problem, error.remedy, error.code, faults) from error
            raise
        return [_result(write, row) for write, row in zip(batch, self._rows(response, batch), strict=True)]

    def _rows(self, response: httpx2.Response, batch: list[RecordWrite]) -> list[dict[str, Any]]:
        """One row of the answer for each write. Raises OutcomeUnknown for an answer that has not so many."""
        rows = read_json(response) if response.content else None
        if not isinstance(rows, list) or len(rows) != len(batch) or not all(isinstance(row, dict) for row in rows):
            problem = f"Salesforce gave {len(rows) if isinstance(rows, list) else 'no'} results for {len(batch)} records."
            raise OutcomeUnknown(self._connection.name, problem, "Look at the records before writing them again.")
        return rows

    async def _where_gone(self, object: str, batch: list[RecordWrite], results: Sequence[WriteResult]) -> list[WriteResult]:
        """The results, those of updates whose record is gone saying so and where it went: another call or two, when there are any."""
        doubtful = {w.key: w.id for w, r in zip(batch, results, strict=True) if w.id and r.code in _MAYBE_GONE}
        try:
            found = await self.read(object, doubtful.values(), ()) if doubtful else {}
        except CRMError:
            # The rows are refused all the same, only less is known of why.
            return list(results)
        return [gone(r, found.get(doubtful[r.key])) if r.key in doubtful else r for r in results]


def gone(result: WriteResult, record: LiveRecord | None) -> WriteResult:
    """The result of an update whose record may be gone, given the record as it is now."""
    if record is None:
        return replace(result, code="NOT_FOUND", reason="There is no such record.")
    if record.state == "live":
        return result
    where = {"deleted": "It was deleted", "merged": "It was merged into another record", "converted": "The lead was converted to a contact"}
    return replace(result, id=record.moved_to or result.id, code=record.state.upper(), reason=f"{where[record.state]}.")


def _with_parent(write: RecordWrite) -> RecordWrite:
    """Contacts and opportunities lock their account."""
    account = write.fields.get("AccountId")
    return replace(write, parent=account) if write.parent is None and isinstance(account, str) else write


def _result(write: RecordWrite, row: dict[str, Any]) -> WriteResult:
    if row.get("success") is True:
        return WriteResult(write.key, "created" if write.action == "create" else "updated", row.get("id") or write.id)
    error = next(iter(row.get("errors") or []), {})
    return rejected(write, str(error.get("statusCode") or "UNKNOWN"), str(error.get("message") or ""), error)


def _deleted(write: RecordWrite, row: dict[str, Any]) -> WriteResult:
    if row.get("success") is True:
        return WriteResult(write.key, "deleted", write.id)
    result = _result(write, row)
    return WriteResult(write.key, "unchanged", write.id) if result.code in _ALREADY_GONE else result
