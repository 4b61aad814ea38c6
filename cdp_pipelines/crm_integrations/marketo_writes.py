"""Writing to Marketo: 300 records a call, answered by position, `skipped` rows within a success, and large sets by bulk import.

Sources: Marketo's REST documentation (leads, opportunities, companies, error codes); Marketo/REST-Sample-Code#13 (answers say nothing of the
input but its place), segmentio/action-destinations PR 1799 and 3733 (which codes pass).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from cdp_pipelines.crm_integrations.base_crm import CRMError, OutcomeUnknown, RequestRejected
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.marketo_import import FAILED, LeadImport, importable
from cdp_pipelines.crm_integrations.marketo_live import ID_FIELDS, LiveRecords
from cdp_pipelines.crm_integrations.write_batches import Limits, tidy, write_in_batches
from cdp_pipelines.crm_integrations.writes import CLEAR, LiveRecord, OnResult, RecordWrite, Value, WriteResult

WRITTEN_AT_ONCE, CALLS_AT_ONCE = 300, 5
# A body may have 1 MB.
MOST_BYTES = 1_000_000
# The vendor lets the sync of leads take 90 seconds.
WRITE_SECONDS = 100.0
BULK_FROM = 20_000
GONE_WITHIN = timedelta(days=7)
_PASSING = frozenset({"611", "713"})
_LATER = _PASSING | {"601", "602", "604", "606", "607", "608", "615"}
# A call is refused as a whole for what one of its rows has: invalid JSON, a value, a field, a body that is too long.
_DIVISIBLE = frozenset({"609", "1001", "1003", "1006", "1007", "1021", "413"})
_UNFIT = frozenset({"1006"})
# Lead not found, object not found; a row of a file says so in words only.
_NOT_THERE = {"1004", "1013", FAILED}
# It exists already (lead, object), or several have the value that it is looked up by.
_IN_THE_WAY = {"1005", "1017", "1007"}
_VALUE = re.compile(r"value '.*'", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"[Ff]ield '([^']+)' not found")


class MarketoWriter:
    """A RecordWriter of one instance; objects are `leads`, `companies`, `opportunities` and `opportunities/roles`.

    A new lead that has the same `lookup_field` as another is not created; it goes into `partition`, the default one when none is named, and
    is looked for there. From `bulk_from` updates of leads on, those that a file can
    say go by bulk import. Where a lead went that is gone is known for `gone_within`.
    """

    def __init__(
        self,
        client: Marketo,
        *,
        lookup_field: str = "email",
        partition: str | None = None,
        bulk_from: int = BULK_FROM,
        gone_within: timedelta = GONE_WITHIN,
    ):
        self._client, self._connection, self._records = client, client.connection, LiveRecords(client, gone_within)
        self._lookup, self._partition, self._bulk_from = lookup_field, partition, bulk_from

    async def read(self, object: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """See RecordWriter."""
        return await self._records.read(object, ids, fields)

    async def find(self, object: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """See RecordWriter."""
        return await self._records.find(object, by_field, values, fields)

    async def write(self, object: str, writes: Sequence[RecordWrite], *, on_result: OnResult | None = None) -> list[WriteResult]:
        """See RecordWriter."""
        done = await self._in_bulk(writes, on_result) if object == "leads" and len(writes) >= self._bulk_from else {}

        async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            return await self._explained(object, batch, await self._send(object, batch))

        def weigh(write: RecordWrite) -> int:
            return len(orjson.dumps(self._record(object, write))) + 1

        limits = Limits(
            WRITTEN_AT_ONCE, CALLS_AT_ONCE, self._connection.max_attempts, _PASSING, _DIVISIBLE, _UNFIT, MOST_BYTES - 200, weigh
        )
        rest = [write for write in writes if write.key not in done]
        for result in await write_in_batches(rest, send, limits, same=self._same, on_result=on_result):
            done[result.key] = result
        return [done[write.key] for write in writes]

    async def delete(
        self, object: str, ids: Sequence[str], *, forget: bool = False, on_result: OnResult | None = None
    ) -> list[WriteResult]:
        """See RecordWriter. Marketo has no bin: what is deleted is gone, with `forget` or without."""
        key = ID_FIELDS[object]

        async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            body = ({} if object == "leads" else {"deleteBy": "idField"}) | {"input": [{key: _id(write)} for write in batch]}
            rows = await self._rows(batch, f"/rest/v1/{object}/delete.json", body, "repeatable")
            return [_deleted(write, row) for write, row in zip(batch, rows, strict=True)]

        gone = [RecordWrite(i, object, "update", i, {}) for i in dict.fromkeys(ids)]
        limits = Limits(WRITTEN_AT_ONCE, CALLS_AT_ONCE, self._connection.max_attempts, _PASSING, _DIVISIBLE)
        results = {r.key: r for r in await write_in_batches(gone, send, limits, same=lambda write: write.id, on_result=on_result)}
        return [results[i] for i in ids]

    async def _in_bulk(self, writes: Sequence[RecordWrite], on_result: OnResult | None) -> dict[str, WriteResult]:
        """What became of the updates that files can say. An import creates or updates, so that creates are not for it."""
        first = {write.id: write for write in reversed(writes) if write.action == "update"}
        large = importable(write for write in writes if first.get(write.id) is write)
        if len(large) < self._bulk_from:
            return {}
        done: dict[str, WriteResult] = {}
        told = await LeadImport(self._client).write(large)
        results = await self._explained("leads", [write for write, _ in told], [result for _, result in told])
        for (write, _), result in zip(told, results, strict=True):
            done[write.key] = tidy(result, write)
            if on_result:
                await on_result(done[write.key])
        return done

    def _same(self, write: RecordWrite) -> tuple[str, ...] | None:
        if write.id:
            return "id", write.id
        # Two creates of one key under way at the same time make two leads.
        names = {"leads": (self._lookup,), "companies": ("externalCompanyId",), "opportunities": ("externalOpportunityId",)}
        key = tuple(str(write.fields.get(name) or "").strip().lower() for name in names.get(write.object, ()))
        return ("value", *key) if all(key) and key else None

    def _record(self, object: str, write: RecordWrite) -> dict[str, Any]:
        own = {ID_FIELDS[object]: _id(write)} if write.id else {}
        return own | {name: json_value(value) for name, value in write.fields.items()}

    async def _send(self, object: str, batch: list[RecordWrite]) -> list[WriteResult]:
        create = batch[0].action == "create"
        body: dict[str, Any] = {"action": "createOnly" if create else "updateOnly"}
        if object == "leads":
            body |= {"lookupField": self._lookup if create else "id"} | (
                {"partitionName": self._partition} if create and self._partition else {}
            )
        else:
            body |= {"dedupeBy": "dedupeFields" if create else "idField"}
        body["input"] = [self._record(object, write) for write in batch]
        try:
            rows = await self._rows(batch, f"/rest/v1/{object}.json", body, "once" if create else "repeatable")
        except RequestRejected as error:
            if field := _UNKNOWN_FIELD.search(error.problem):
                raise RequestRejected(error.connection, error.problem, error.remedy, error.code, {field[1]: error.code or ""}) from error
            raise
        return [_result(object, write, row) for write, row in zip(batch, rows, strict=True)]

    async def _rows(self, batch: list[RecordWrite], path: str, body: dict[str, Any], effect: Any) -> list[dict[str, Any]]:
        """One row of the answer for each write: only the place tells whose it is. Raises OutcomeUnknown when there are not so many."""
        content, headers = orjson.dumps(body), {"Content-Type": "application/json"}
        answer = await self._client.send("POST", path, content=content, headers=headers, effect=effect, timeout=WRITE_SECONDS)
        rows = answer.get("result")
        if not isinstance(rows, list) or len(rows) != len(batch) or not all(isinstance(row, dict) for row in rows):
            problem = f"Marketo gave {len(rows) if isinstance(rows, list) else 'no'} results for {len(batch)} records."
            raise OutcomeUnknown(self._connection.name, problem, "Look at the records before writing them again.")
        return rows

    async def _explained(self, object: str, batch: list[RecordWrite], results: list[WriteResult]) -> list[WriteResult]:
        """The results, with where a record went that is gone, and which one is in the way of a new one: more calls, when there are any."""
        doubtful = {w.key: w.id for w, r in zip(batch, results, strict=True) if w.id and r.code in _NOT_THERE}
        taken = {
            w.key: str(w.fields.get(self._lookup) or "") for w, r in zip(batch, results, strict=True) if not w.id and r.code in _IN_THE_WAY
        }
        try:
            found = await self.read(object, doubtful.values(), ()) if doubtful else {}
            others = await self.find(object, self._lookup, taken.values(), ()) if taken and object == "leads" else {}
        except CRMError:
            # The rows are refused all the same, only less is known of why.
            return results
        results = [_gone(r, found.get(doubtful[r.key])) if r.key in doubtful else r for r in results]
        return [_with_candidates(r, others.get(taken[r.key], [])) if r.key in taken else r for r in results]


def json_value(value: Value) -> Any:
    """A value in Marketo's JSON; null clears, and so does blank text. Times are in whole seconds."""
    if value is CLEAR:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value


def _id(write: RecordWrite) -> int | str | None:
    return int(write.id) if write.id and write.id.isdigit() else write.id


def _result(object: str, write: RecordWrite, row: dict[str, Any]) -> WriteResult:
    status, record_id = row.get("status"), row.get(ID_FIELDS[object])
    if status in ("created", "updated") and record_id is not None:
        return WriteResult(write.key, status, str(record_id).strip())
    reason = next(iter(row.get("reasons") or []), {})
    code = str(reason.get("code") or "UNKNOWN")
    message = _VALUE.sub("value '…'", str(reason.get("message") or f"the status is {status}"))
    return WriteResult(write.key, "rejected", write.id, code, f"{code}: {message}", retryable=code in _LATER)


def _deleted(write: RecordWrite, row: dict[str, Any]) -> WriteResult:
    if row.get("status") == "deleted":
        return WriteResult(write.key, "deleted", write.id)
    result = _result(write.object, write, row)
    return WriteResult(write.key, "unchanged", write.id) if result.code in _NOT_THERE else result


def _gone(result: WriteResult, record: LiveRecord | None) -> WriteResult:
    if record is None:
        return replace(result, code="NOT_FOUND", reason="There is no such record.")
    if record.state == "live":
        return result
    reason = "It was merged into another lead." if record.state == "merged" else "It was deleted."
    return replace(result, id=record.moved_to or result.id, code=record.state.upper(), reason=reason)


def _with_candidates(result: WriteResult, records: Sequence[LiveRecord]) -> WriteResult:
    ids = tuple(record.id for record in records)
    return replace(result, id=ids[0] if len(ids) == 1 else None, candidates=ids)
