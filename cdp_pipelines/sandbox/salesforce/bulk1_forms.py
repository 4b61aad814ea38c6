"""Bulk API 1.0 in its two spellings: JSON and XML bodies of jobs, batches, results and errors, and rows of results."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, time
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import orjson
from starlette.responses import Response

from cdp_pipelines.sandbox.salesforce.columns import Column
from cdp_pipelines.sandbox.salesforce.query import Result
from cdp_pipelines.sandbox.salesforce.replies import read_body_xml
from cdp_pipelines.sandbox.salesforce.rows import Done

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
NO_ROWS = "Records not found for this query"


class Bulk1Error(Exception):
    """An error answer of this API: HTTP 400 with a code and a message."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code, self.message = code, message


def answer(name: str, body: dict[str, Any] | list[dict[str, Any]], *, json: bool, status: int = 200) -> Response:
    """An object (`jobInfo`), or a list of them (`batchInfoList`), in one of the spellings; XML leaves out what is null."""
    if json:
        return Response(
            orjson.dumps({name.removesuffix("List"): body} if isinstance(body, list) else body), status, media_type="application/json"
        )
    if isinstance(body, list):
        inner = "".join(f"<{name.removesuffix('List')}>{_elements(part)}</{name.removesuffix('List')}>" for part in body)
    else:
        inner = _elements(body)
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{NAMESPACE}">{inner}</{name}>'
    return Response(text.encode(), status, media_type="application/xml")


def error(problem: Bulk1Error, *, json: bool) -> Response:
    """An error in one of the spellings."""
    return answer("error", {"exceptionCode": problem.code, "exceptionMessage": problem.message}, json=json, status=400)


def _elements(body: dict[str, Any]) -> str:
    return "".join(f"<{key}>{escape(_xml_text(value))}</{key}>" for key, value in body.items() if value is not None)


def _xml_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # XML writes times as CSV does.
    return str(value).replace(".000+0000", ".000Z")


def read_job(body: bytes, *, json: bool) -> dict[str, Any]:
    """A `jobInfo` that a client sent. Raises Bulk1Error."""
    try:
        if json:
            read = orjson.loads(body)
            if not isinstance(read, dict):
                raise ValueError
            return read
        return {child.tag.rpartition("}")[2]: child.text or "" for child in read_body_xml(body)}
    except (ValueError, ElementTree.ParseError):
        raise Bulk1Error("InvalidJob", "Unable to parse Job") from None


def json_rows(result: Result, numbers: list[int], version: str) -> bytes:
    """Rows as JSON: dates and times are milliseconds since 1970."""
    columns: list[Column] = result.columns
    rows = []
    for number, shown in zip(numbers, result.json_rows(numbers, version), strict=False):
        record = result.store.records[result.spec.name].get(number)
        for column in columns:
            value = column.value(result.store, record) if not column.hops else None
            if isinstance(value, datetime | date):
                shown[column.field.name] = _milliseconds(value)
        rows.append(shown)
    return orjson.dumps(rows)


def _milliseconds(value: date) -> int:
    moment = value if isinstance(value, datetime) else datetime.combine(value, time(), UTC)
    return int(moment.timestamp() * 1000)


def csv_rows(result: Result, numbers: list[int]) -> bytes:
    """Rows as CSV; without any, the vendor's remark stands in place of the header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([column.name for column in result.columns] if numbers else [NO_ROWS])
    writer.writerows(result.csv_rows(numbers))
    return text.getvalue().encode()


def xml_rows(result: Result, numbers: list[int]) -> bytes:
    """Rows as XML `queryResult`."""
    names = [column.name for column in result.columns]
    rows = "".join(
        f'<records xsi:type="sObject"><type>{result.spec.name}</type>'
        + "".join(f"<{n}>{escape(v)}</{n}>" if v else f'<{n} xsi:nil="true"/>' for n, v in zip(names, row, strict=True)) + "</records>"
        for row in result.csv_rows(numbers)
    )  # fmt: skip
    head = f'<?xml version="1.0" encoding="UTF-8"?><queryResult xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    return f"{head}{rows}</queryResult>".encode()


def given_rows(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """The rows of a batch; in CSV an empty cell leaves a field, #N/A clears it. Raises ValueError or csv.Error."""
    if content_type == "JSON":
        rows = orjson.loads(body)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("not a list of objects")
        return [{k: v for k, v in row.items() if k != "attributes"} for row in rows]
    read = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
    return [{k: None if v == "#N/A" else v for k, v in row.items() if k and v} for row in read]


def json_done(done: Done) -> dict[str, Any]:
    """What became of one row, as JSON."""
    errors = [{**done.refused.row_error(), "extendedErrorDetails": None}] if done.refused else []
    if done.error and not done.refused:
        errors = [{"statusCode": "DUPLICATE_EXTERNAL_ID", "message": done.error, "fields": [], "extendedErrorDetails": None}]
    return {"success": done.error is None, "created": done.created, "id": done.id, "errors": errors}
