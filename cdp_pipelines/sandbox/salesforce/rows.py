"""One row of a bulk upload: written by its operation, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdp_pipelines.sandbox.salesforce.dml import Writer
from cdp_pipelines.sandbox.salesforce.ids import well_formed
from cdp_pipelines.sandbox.salesforce.replies import Refused
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec
from cdp_pipelines.sandbox.salesforce.values import BadValue


@dataclass(frozen=True)
class Done:
    """What became of a row. `error` is as the failed results have it (`CODE:message:fields --`); `refused` says the same in parts."""

    id: str | None = None
    created: bool = False
    error: str | None = None
    refused: Refused | None = None


def write_row(writer: Writer, spec: ObjectSpec, operation: str, external_id: str | None, given: dict[str, Any], header: list[str]) -> Done:
    """Write a row; names may go through a relationship (`Account.External_Id__c`). Raises SeveralMatch."""
    record_id = next((v for k, v in given.items() if k.lower() == "id"), None)
    body = {k: v for k, v in _nested(given).items() if k.lower() != "id"}
    try:
        if operation == "insert":
            return Done(writer.create(spec, body), created=True)
        if operation == "upsert" and external_id != "Id":
            value = next((v for k, v in body.items() if k.lower() == (external_id or "").lower()), None)
            body = {k: v for k, v in body.items() if k.lower() != (external_id or "").lower()}
            done = writer.upsert(spec, external_id or "", value, body)
            return Done(done.id, created=done.created)
        if operation == "upsert" and record_id is None:
            return Done(writer.create(spec, body), created=True)
        return _by_id(writer, spec, operation, record_id, body)
    except BadValue as bad:
        names = [name.lower() for name in header]
        column = names.index(bad.field.name.lower()) if bad.field.name.lower() in names else 0
        return Done(record_id, error=bad.bulk_text(column), refused=bad)
    except Refused as refused:
        return Done(record_id, error=f"{refused.code}:{refused.message}:{', '.join(refused.fields or [])} --", refused=refused)


def _by_id(writer: Writer, spec: ObjectSpec, operation: str, record_id: str | None, body: dict[str, Any]) -> Done:
    if not record_id:
        raise Refused(400, "MISSING_ARGUMENT", f"Id not specified in an {'update' if operation == 'upsert' else operation} call", [])
    records = writer.store.records[spec.name]
    number = records.number(record_id)
    if number is None:
        if not well_formed(record_id, spec.prefix):
            raise Refused(400, "MALFORMED_ID", f"malformed id {record_id}", [])
        raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
    full_id = records.id(number)
    if operation in ("delete", "hardDelete"):
        writer.delete(spec, full_id, hard=operation == "hardDelete")
    else:
        writer.update(spec, full_id, body)
    return Done(full_id)


def _nested(given: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in given.items():
        first, _, rest = name.partition(".")
        body[first] = {rest: value} if rest and value is not None else value
    return body
