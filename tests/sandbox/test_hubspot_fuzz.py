"""Whatever JSON is sent, the portal answers as an API does: never with an error of its own."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_pipelines.sandbox.hubspot.api import app
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.stock_properties import properties
from tests.sandbox.hubspot_portal import UNLIMITED, new_store

WORDS = [
    "filterGroups", "filters", "propertyName", "operator", "value", "values", "highValue", "sorts", "direction", "query", "limit", "after",
    "properties", "inputs", "id", "idProperty", "associations", "to", "from", "types", "associationCategory", "associationTypeId",
    "objectWriteTraceId", "propertiesWithHistory", "primaryObjectId", "objectIdToMerge", "objectId", "type", "name", "label", "options",
    "fieldType", "groupName", "hasUniqueValue", "displayOrder", "inverseLabel", "tokenKey",
]  # fmt: skip
OPERATORS = ["EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY", "CONTAINS_TOKEN",
             "NOT_CONTAINS_TOKEN", "IS", ""]  # fmt: skip
NAMES = [*properties("contacts"), "associations.company", "associations.x", "dealstage", "pipeline", "amount", "closedate", "nothing", ""]
TEXTS = st.sampled_from([*NAMES, *OPERATORS, *WORDS, "0", "-1", "²", "1e999", "NaN", "2026-01-01", "9999-12-31T23:59:59-23:59", "[a", "*", "?",
                         "9" * 30, "\ud800", "\x00", "a@b.example", "contacts", "USER_DEFINED", "HUBSPOT_DEFINED"]) | st.text(max_size=8)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(width=32) | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | TEXTS, inner, max_size=4), max_leaves=20
)
FILTER = st.fixed_dictionaries(
    {"propertyName": st.sampled_from(NAMES) | SCALARS, "operator": st.sampled_from(OPERATORS) | SCALARS},
    optional={"value": SCALARS | JSON, "values": st.lists(SCALARS, max_size=3) | JSON, "highValue": SCALARS},
)
SORT = (
    st.sampled_from(NAMES) | st.fixed_dictionaries({"propertyName": st.sampled_from(NAMES) | SCALARS}, optional={"direction": TEXTS}) | JSON
)
SEARCH = st.fixed_dictionaries(
    {},
    optional={
        "filterGroups": st.lists(st.fixed_dictionaries({"filters": st.lists(FILTER, max_size=3)}), max_size=3) | JSON,
        "filters": st.lists(FILTER, max_size=3) | JSON, "sorts": st.lists(SORT, max_size=2) | JSON, "query": SCALARS | JSON,
        "limit": SCALARS, "after": SCALARS, "properties": st.lists(TEXTS, max_size=3) | JSON,
    },
)  # fmt: skip
VALUES = st.dictionaries(st.sampled_from(NAMES) | TEXTS, SCALARS, max_size=4)
INPUT = st.fixed_dictionaries({}, optional={"id": SCALARS, "idProperty": TEXTS, "properties": VALUES | JSON, "objectWriteTraceId": SCALARS})
ONE = st.fixed_dictionaries({"properties": VALUES}, optional={"associations": JSON}) | JSON
MANY = st.fixed_dictionaries({"inputs": st.lists(INPUT, max_size=3) | JSON}, optional={"idProperty": TEXTS, "properties": JSON}) | JSON
DEFINITION = st.fixed_dictionaries(
    {"name": TEXTS, "label": TEXTS, "type": st.sampled_from(["string", "number", "enumeration", "x"]), "fieldType": st.sampled_from(["text", "number"]),
     "groupName": st.just("contactinformation")},
    optional={"options": JSON, "displayOrder": SCALARS, "hasUniqueValue": SCALARS, "hidden": SCALARS},
) | JSON  # fmt: skip
WRITES = [
    ("POST", "/crm/v3/objects/{kind}", ONE), ("PATCH", "/crm/v3/objects/{kind}/{id}", ONE), ("POST", "/crm/v3/objects/{kind}/merge", JSON),
    ("POST", "/crm/v3/objects/{kind}/gdpr-delete", JSON),
    *(("POST", f"/crm/v3/objects/{{kind}}/batch/{call}", MANY) for call in ("create", "read", "update", "upsert", "archive")),
    *(("POST", f"/crm/v4/associations/{{kind}}/contacts/{call}", MANY)
      for call in ("batch/read", "batch/create", "batch/archive", "batch/associate/default", "batch/labels/archive", "labels")),
    ("POST", "/crm/v3/associations/{kind}/contacts/batch/create", MANY), ("POST", "/crm/v3/associations/{kind}/contacts/batch/read", MANY),
    ("PUT", "/crm/v4/associations/{kind}/contacts/labels", JSON), ("PUT", "/crm/v4/objects/{kind}/{id}/associations/contacts/{id}", JSON),
    ("POST", "/crm/v3/properties/{kind}", DEFINITION), ("PATCH", "/crm/v3/properties/{kind}/email", JSON),
    ("POST", "/crm/v3/properties/{kind}/groups", JSON), ("POST", "/crm/v3/properties/{kind}/batch/create", MANY),
    ("POST", "/oauth/v2/private-apps/get/access-token-info", JSON),
]  # fmt: skip


@cache
def portal() -> tuple[Any, str, dict[str, str]]:
    options = HubSpotOptions(**UNLIMITED, epoch_zero_fails=False)
    store = new_store()
    ids = {"contacts": store.live_people()[0], "deals": store.live_deals()[0], "companies": str(store.records["companies"].live[0])}
    return app(store, options), options.access_token, ids


def status(method: str, path: str, body: Any) -> int:
    made, token, _ = portal()

    async def call() -> int:
        # An exception in a handler comes out of the transport as it is, so that the test shows it.
        transport = httpx2.ASGITransport(app=made)
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as http:
            response = await http.request(method, path, content=json.dumps(body), headers={"Authorization": f"Bearer {token}"})
            if response.content:
                response.json()
            return response.status_code

    return asyncio.run(call())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(kind=st.sampled_from(["contacts", "deals", "0-2", "tickets"]), body=SEARCH | JSON)
def test_a_search_for_anything_is_answered(kind: str, body: Any) -> None:
    assert status("POST", f"/crm/v3/objects/{kind}/search", body) in (200, 400)


@pytest.mark.parametrize(("method", "path", "bodies"), WRITES, ids=[f"{m} {p}" for m, p, _ in WRITES])
def test_a_write_of_anything_is_answered(method: str, path: str, bodies: st.SearchStrategy[Any]) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(kind=st.sampled_from(["contacts", "deals", "companies"]), body=bodies)
    def run(kind: str, body: Any) -> None:
        assert status(method, path.format(kind=kind, id=portal()[2][kind]), body) < 500

    run()


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(["/crm/v3/objects/contacts", "/crm/v3/owners", "/companies/v2/companies/paged", "/deals/v1/deal/recent/modified",
                          "/crm/v3/objects/contacts/1", "/crm/v3/objects/deals/²"]),
    query=st.dictionaries(st.sampled_from(["limit", "after", "offset", "count", "since", "archived", "idProperty", "associations"]),
                          TEXTS.filter(lambda text: "\ud800" not in text)),
)  # fmt: skip
def test_a_query_of_anything_is_answered(path: str, query: dict[str, str]) -> None:
    address = httpx2.URL(path, params=query)
    assert status("GET", str(address), None) < 500
