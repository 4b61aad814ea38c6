"""Whatever a client sends, the org answers as Salesforce would: never with a 500, and never changing anything in a refused request."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce import query
from cdp_pipelines.sandbox.salesforce.api import app
from cdp_pipelines.sandbox.salesforce.schema import objects
from cdp_pipelines.sandbox.salesforce.soql_query import SoqlError
from tests.sandbox.salesforce_org import new_store

STORE = new_store()
APP = app(STORE)
TOKEN = APP.state.org.sign_in({**credentials.SALESFORCE, "grant_type": "password"}, None, "http://x")["access_token"]
APP.state.org.options.daily_calls = 10**9
slow = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def call(method: str, path: str, query_string: str = "", body: bytes = b"", content_type: str = "application/json") -> tuple[int, bytes]:
    """One request straight to the app; an exception in it comes out here."""
    headers = [
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"x-sfdc-session", TOKEN.encode()),
        (b"content-type", content_type.encode()),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": quote(path).encode(), "query_string": query_string.encode(), "root_path": "", "headers": headers, "client": None,
        "server": ("127.0.0.1", 80),
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(APP(scope, receive, send))
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


FIELDS = sorted({f.name for spec in objects().values() for f in spec.fields.values()})
WORDS = [
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER BY", "LIMIT", "OFFSET", "NULLS LAST", "DESC", "COUNT()", "COUNT(Id)", "MIN(",
    "MAX(", "FIELDS(ALL)", "(", ")", ",", "=", "!=", "<>", "<", ">=", "null", "true", "'a'", "'%_'", r"'\'", "''", "1", "-1e308", "1e999", "0x1", "TODAY",
    "LAST_N_DAYS:3", "NEXT_N_DAYS:9999", "2026-02-30", "2026-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00Z", "Account.Name", "Account.Owner.Name", "Contacts", "OpportunityContactRoles", "(SELECT Id FROM Contacts)", "²", "\x00", "🙂",
    *[spec.name for spec in objects().values()],
]  # fmt: skip
sentences = st.lists(st.sampled_from(WORDS) | st.sampled_from(FIELDS), max_size=14).map(" ".join)
values = st.sampled_from(
    [w for w in WORDS if w[0] in "'0123456789-" or w in ("null", "true", "TODAY", "LAST_N_DAYS:3", "NEXT_N_DAYS:9999")]
)


@st.composite
def likely(draw: st.DrawFn) -> str:
    """A query that is right or nearly so: any field, any operator, any value."""
    spec = draw(st.sampled_from(list(objects().values())))
    field = st.sampled_from([f.name for f in spec.fields.values()])
    chosen = draw(st.lists(field | field.map(lambda f: f"{draw(st.sampled_from(['MIN', 'MAX', 'COUNT']))}({f})"), min_size=1, max_size=4))
    operator = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN"])
    where = [
        f"{draw(field)} {(op := draw(operator))} {f'({draw(values)}, {draw(values)})' if 'IN' in op else draw(values)}"
        for _ in range(draw(st.integers(0, 2)))
    ]
    order = f" ORDER BY {draw(field)} {draw(st.sampled_from(['', 'DESC', 'NULLS LAST']))}" if draw(st.booleans()) else ""
    return f"SELECT {', '.join(chosen)} FROM {spec.name}{' WHERE ' + ' AND '.join(where) if where else ''}{order} LIMIT {draw(st.integers(0, 300))}"


@slow
@given(
    st.text(max_size=200)
    | sentences
    | sentences.map(lambda s: f"SELECT {s}")
    | sentences.map(lambda s: f"SELECT Id FROM Contact WHERE {s}")
    | likely()
)
def test_any_text_is_answered_or_refused_as_a_query(text: str) -> None:
    try:
        result = query.run(STORE, text, include_deleted=True)
    except SoqlError as error:
        assert error.code.isupper()
    else:
        json.dumps(result.json_rows(result.numbers[:20], "62.0"))
        list(result.csv_rows(result.numbers[:20]))


@slow
@given(
    st.binary(max_size=60).map(lambda b: quote(b)) | sentences.map(quote), st.sampled_from(["query", "queryAll", "query/", "query/01g-1"])
)
def test_no_query_is_a_server_error(text: str, path: str) -> None:
    status, body = call("GET", f"/services/data/v62.0/{path}", f"q={text}")
    assert status in (200, 400)
    json.loads(body)


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Contact", "Id", "@{a.b[0].c}", "insert", "CSV"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from([*FIELDS, "records", "attributes", "Account"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
bodies = jsons.map(lambda v: json.dumps(v).encode()) | st.binary(max_size=40)
PATHS = [
    ("POST", "/services/data/v62.0/sobjects/Contact"), ("POST", "/services/data/v62.0/sobjects/Opportunity"),
    ("PATCH", "/services/data/v62.0/sobjects/Lead/External_Id__c/a/b%"), ("POST", "/services/data/v62.0/composite"),
    ("POST", "/services/data/v62.0/composite/batch"), ("POST", "/services/data/v62.0/composite/sobjects"), ("PATCH", "/services/data/v62.0/composite/sobjects"),
    ("PATCH", "/services/data/v62.0/composite/sobjects/Contact/Email"), ("POST", "/services/data/v62.0/composite/sobjects/Contact"),
    ("POST", "/services/data/v62.0/jobs/ingest"), ("POST", "/services/data/v62.0/jobs/query"), ("POST", "/services/async/62.0/job"),
    ("POST", "/services/oauth2/token"), ("POST", "/services/Soap/u/59.0"),
]  # fmt: skip


@slow
@given(st.sampled_from(PATHS), bodies)
def test_no_body_is_a_server_error(where: tuple[str, str], body: bytes) -> None:
    before = STORE.counts()
    status, _ = call(*where, body=body)
    # A SOAP fault is HTTP 500.
    assert status < 500 or where[1].startswith("/services/Soap/")
    if status >= 400:
        assert STORE.counts() == before


@slow
@given(
    st.sampled_from(list(objects().values())),
    st.data(),
    st.sampled_from(["collections", "insert", "csv"]),
)  # fmt: skip
def test_any_value_in_any_field_is_kept_or_refused_and_can_be_read_again(spec: Any, data: st.DataObject, way: str) -> None:
    names = [f.name for f in spec.fields.values()]
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12) | st.sampled_from(
        ["2026-01-31", "1e400", "2026-01-31T10:00:00Z", "0001-01-01", "9999-12-31T23:59:59-14:00", "a@b.example", "003Kx0000000001", "005Kx0000000000"]
    )  # fmt: skip
    usual = {"LastName": "L", "Company": "C", "Name": "N", "StageName": "S", "CloseDate": "2026-01-31"}
    row = {k: v for k, v in usual.items() if k.lower() in spec.fields} | data.draw(
        st.dictionaries(st.sampled_from(names), scalars, max_size=3)
    )
    if way == "insert":
        status, body = call("POST", f"/services/data/v62.0/sobjects/{spec.name}", body=json.dumps(row).encode())
        made = json.loads(body).get("id") if status == 201 else None
    elif way == "collections":
        sent = json.dumps({"records": [{"attributes": {"type": spec.name}, **row}], "allOrNone": True}).encode()
        status, body = call("POST", "/services/data/v62.0/composite/sobjects", body=sent)
        made = json.loads(body)[0].get("id")
    else:
        job = json.loads(
            call("POST", "/services/data/v62.0/jobs/ingest", body=json.dumps({"object": spec.name, "operation": "insert"}).encode())[1]
        )
        content = ",".join(row) + "\n" + ",".join('"' + str(v).replace('"', '""') + '"' for v in row.values()) + "\n"
        path = f"/services/data/v62.0/jobs/ingest/{job['id']}"
        call("PUT", f"{path}/batches", body=content.encode("utf-8", "replace"))
        status, _ = call("PATCH", path, body=b'{"state": "UploadComplete"}')
        assert call("GET", f"{path}/failedResults")[0] == call("GET", f"{path}/successfulResults")[0] == 200
        made = None
    assert status < 500
    if made:
        assert call("GET", f"/services/data/v62.0/sobjects/{spec.name}/{made}")[0] == 200
        assert (
            call(
                "GET",
                "/services/data/v62.0/query",
                "q="
                + quote(f"SELECT {', '.join(f.name for f in spec.fields.values() if f.sortable)} FROM {spec.name} ORDER BY {names[3]}"),
            )[0]
            == 200
        )


@pytest.mark.parametrize("where", PATHS)
def test_an_empty_body_is_no_server_error(where: tuple[str, str]) -> None:
    assert call(*where)[0] < 500 or where[1].startswith("/services/Soap/")
