"""Writing to HubSpot: batches of 100, each input with a trace id of its own, so that a conflict says whose it is.

A wrong value fails the whole batch; such a batch is halved (Atlas-Authority/marketing-automation#174). What HubSpot accepts without doing
it is read back. Sources: HubSpot's API documentation; the public issues named beside the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from cdp_pipelines.crm_integrations.base_crm import CRMError, OutcomeUnknown, RequestRejected
from cdp_pipelines.crm_integrations.hubspot import BATCH, HubSpot
from cdp_pipelines.crm_integrations.hubspot_answers import body_of, faults_of
from cdp_pipelines.crm_integrations.hubspot_live import LiveRecords
from cdp_pipelines.crm_integrations.write_batches import Limits, write_in_batches
from cdp_pipelines.crm_integrations.writes import CLEAR, LiveRecord, OnResult, RecordWrite, Value, WriteResult

# The same in every row that has the property.
_UNFIT = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
# A call is refused as a whole for what one of its rows has.
_DIVISIBLE = frozenset({"VALIDATION_ERROR", "CONFLICT", "OBJECT_NOT_FOUND"})
# HubSpot moves a lifecycle stage forward only, and answers an earlier one with success.
_READ_BACK = ("lifecyclestage",)
_SILENT = "NO_RESULT"
# An update of a record that was merged away is passed over in silence.
_NOT_THERE = {"OBJECT_NOT_FOUND", _SILENT}
_EXISTING = re.compile(r"Existing ID: (\d+)")
# What tells new records apart, by object: two of one value in a batch fail all of it.
_UNIQUE = {"contacts": "email"}


class HubSpotWriter:
    """A RecordWriter of one portal. Object names are plural: `contacts`."""

    def __init__(self, client: HubSpot):
        self._client, self._connection, self._records = client, client.connection, LiveRecords(client)
        self._limits = Limits(BATCH, client.concurrent_calls, divisible=_DIVISIBLE, unfit=_UNFIT)

    async def read(self, object: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        """See RecordWriter."""
        return await self._records.read(object, ids, fields)

    async def find(self, object: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        """See RecordWriter."""
        return await self._records.find(object, by_field, values, fields)

    async def write(self, object: str, writes: Sequence[RecordWrite], *, on_result: OnResult | None = None) -> list[WriteResult]:
        """See RecordWriter. Two writes of one record are sent one after the other: to go back in the lifecycle, clear the stage first."""

        async def send(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            results = await self._where_gone(object, batch, await self._send(object, batch))
            return await self._read_back(object, batch, results)

        return await write_in_batches(writes, send, self._limits, same=_same, on_result=on_result)

    async def delete(
        self, object: str, ids: Sequence[str], *, forget: bool = False, on_result: OnResult | None = None
    ) -> list[WriteResult]:
        """See RecordWriter. Archives, 100 a call, which passes over what is archived already; `forget` erases, one call for each."""

        async def archive(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            inputs = [{"id": write.id} for write in batch]
            await self._client.send("POST", f"/crm/v3/objects/{object}/batch/archive", json={"inputs": inputs}, effect="repeatable")
            return [WriteResult(write.key, "deleted", write.id) for write in batch]

        async def erase(batch: list[RecordWrite]) -> Sequence[WriteResult]:
            asked = {"objectId": batch[0].id}
            try:
                await self._client.send("POST", f"/crm/v3/objects/{object}/gdpr-delete", json=asked, effect="repeatable")
            except RequestRejected as error:
                if error.code != "OBJECT_NOT_FOUND":
                    raise
                return [WriteResult(batch[0].key, "unchanged", batch[0].id)]
            return [WriteResult(batch[0].key, "deleted", batch[0].id)]

        gone = [RecordWrite(i, object, "update", i, {}) for i in dict.fromkeys(ids)]
        send, limits = (erase, replace(self._limits, size=1)) if forget else (archive, self._limits)
        results = {r.key: r for r in await write_in_batches(gone, send, limits, same=lambda write: write.id, on_result=on_result)}
        return [results[i] for i in ids]

    async def _send(self, object: str, batch: list[RecordWrite]) -> list[WriteResult]:
        """The results of a batch; what the answer passes over in silence is unknown."""
        create = batch[0].action == "create"
        # In the order of the batch, so that an answer needs no other key; HubSpot wants them unique within a call only.
        inputs = [
            {
                "objectWriteTraceId": str(n),
                **({} if create else {"id": write.id}),
                "properties": {k: text(v) for k, v in write.fields.items()},
            }
            for n, write in enumerate(batch)
        ]
        path = f"/crm/v3/objects/{object}/batch/{'create' if create else 'update'}"
        try:
            response = await self._client.send("POST", path, json={"inputs": inputs}, effect="once" if create else "repeatable")
        except RequestRejected as error:
            if len(batch) > 1 or not (existing := _EXISTING.search(error.problem)):
                raise
            return [WriteResult(batch[0].key, "rejected", existing[1], error.code, error.problem, candidates=(existing[1],))]
        body = body_of(response)
        found: dict[int, WriteResult] = {}
        for error in body.get("errors") or []:
            for n in _concerned(error, batch):
                found[n] = _rejected(batch[n], error)
        for record in body.get("results") or []:
            n = _place(record, batch)
            if n is not None:
                found[n] = WriteResult(batch[n].key, "created" if create else "updated", str(record["id"]))
        problem = f"HubSpot answered {len(found)} results to {len(batch)} records."
        if create and not found:
            # What HubSpot gives to a body that it did not understand (rudderlabs/rudder-server PR 5147).
            raise OutcomeUnknown(self._connection.name, problem, "Look at the records before writing them again.")
        for n, write in enumerate(batch):
            if n not in found:
                found[n] = WriteResult(write.key, "unknown", write.id, _SILENT, problem, retryable=not create)
        return [found[n] for n in range(len(batch))]

    async def _where_gone(self, object: str, batch: list[RecordWrite], results: Sequence[WriteResult]) -> list[WriteResult]:
        """The results, those of updates whose record is gone saying so and where it went: some more calls, when there are any."""
        doubtful = {write.key: write.id for write, r in zip(batch, results, strict=True) if write.id and r.code in _NOT_THERE}
        try:
            found = await self.read(object, doubtful.values(), ()) if doubtful else {}
        except CRMError:
            # The rows are refused all the same, only less is known of why.
            return list(results)
        return [_gone(r, found.get(doubtful[r.key])) if r.key in doubtful else r for r in results]

    async def _read_back(self, object: str, batch: list[RecordWrite], results: list[WriteResult]) -> list[WriteResult]:
        """The results, with what HubSpot took without error and left as it was: one more call, when such a property was set."""
        names = [name for name in _READ_BACK if any(name in write.fields for write in batch)]
        done = [(w, r) for w, r in zip(batch, results, strict=True) if r.outcome in ("created", "updated") and r.id]
        written = {r.key: r.id for w, r in done if r.id and w.fields.keys() & set(names)}
        if not written:
            return results
        try:
            live = await self._records.read(object, written.values(), names)
        except CRMError:
            return results
        return [_checked(w, r, live.get(written[r.key])) if r.key in written else r for w, r in zip(batch, results, strict=True)]


def text(value: Value) -> str:
    """A value as HubSpot's properties have it: text always, and blank to clear."""
    if value is CLEAR:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, date):
        return value.isoformat()
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)


def _same(write: RecordWrite) -> tuple[str, str] | None:
    if write.id:
        return "id", write.id
    value = write.fields.get(_UNIQUE.get(write.object, ""))
    # HubSpot keeps addresses in lower case: other spellings are the same one.
    return ("value", value.strip().lower()) if isinstance(value, str) and value.strip() else None


def _place(record: dict[str, Any], batch: list[RecordWrite]) -> int | None:
    trace = str(record.get("objectWriteTraceId", ""))
    if trace.isdigit() and int(trace) < len(batch):
        return int(trace)
    return next((n for n, write in enumerate(batch) if write.id == str(record.get("id"))), None)


def _concerned(error: dict[str, Any], batch: list[RecordWrite]) -> list[int]:
    """The places in the batch that an error is about: by trace id, or by the ids that it names."""
    context = error.get("context") or {}
    traces = [int(trace) for trace in map(str, context.get("objectWriteTraceId") or []) if trace.isdigit() and int(trace) < len(batch)]
    ids = set(map(str, context.get("ids") or context.get("id") or []))
    return traces or [n for n, write in enumerate(batch) if write.id in ids]


def _rejected(write: RecordWrite, error: dict[str, Any]) -> WriteResult:
    context, faults = error.get("context") or {}, faults_of(error)
    existing = tuple(map(str, context.get("existingId") or []))
    code = next(iter(faults.values()), "") or error.get("category") or "UNKNOWN"
    reason = ", ".join(f"{name}: {fault}" for name, fault in faults.items()) or str(error.get("message") or "")
    record_id = existing[0] if len(existing) == 1 else write.id
    return WriteResult(write.key, "rejected", record_id, code, reason, candidates=existing)


def _gone(result: WriteResult, record: LiveRecord | None) -> WriteResult:
    if record is None:
        return replace(result, outcome="rejected", code="NOT_FOUND", reason="There is no such record.", retryable=False)
    if record.state == "live":
        return result
    reason = "It was merged into another record." if record.state == "merged" else "It was archived."
    record_id = record.moved_to or result.id
    return replace(result, outcome="rejected", id=record_id, code=record.state.upper(), reason=reason, retryable=False)


def _checked(write: RecordWrite, result: WriteResult, record: LiveRecord | None) -> WriteResult:
    if record is None:
        return result
    ignored = tuple(n for n in _READ_BACK if n in write.fields and n in record.values and text(write.fields[n]) != (record.values[n] or ""))
    if not ignored:
        return result
    reason = (
        f"HubSpot took {', '.join(ignored)} without error and left it as it was; a stage only moves forward unless it is cleared first."
    )
    outcome = "unchanged" if result.outcome == "updated" and set(ignored) == set(write.fields) else result.outcome
    return replace(result, outcome=outcome, ignored=ignored, code="IGNORED", reason=reason)
