"""The emulated Marketo's answers beside recorded ones, the calls that public clients make, and what nobody should send."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.fields import LEAD_FIELDS
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from tests.conftest import served
from tests.sandbox.marketo_calls import Caller

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "marketo"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no recorded answers in {FIXTURES}")
FIELDS = ["id", "email", "leadScore", "createdAt"]
DAY = {"startAt": "2026-05-01T00:00:00Z", "endAt": "2026-05-20T00:00:00Z"}


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=150)


@pytest.fixture(scope="module")
def call(world: World) -> Iterator[Caller]:
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    with served(app(store, MarketoOptions(calls_per_20_seconds=10**6, daily_calls=10**9, import_slots=10**6))) as url:
        yield Caller(url)


def shape(value: Any) -> Any:
    """Keys and types of a JSON value; of a list, the shapes that are in it."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    return {json.dumps(shape(v), sort_keys=True) for v in value} if isinstance(value, list) else type(value).__name__


RECORDED: dict[str, Callable[[Caller], Any]] = {
    "leads.json": lambda c: c.get("/rest/v1/leads.json", filterType="id", filterValues=named_lead(c)),
    "write-leads.json": lambda c: c.post("/rest/v1/leads.json", {"action": "createOnly", "input": [{"email": "shape@new.example"}]}),
    "campaigns.json": lambda c: c.get("/rest/v1/campaigns.json", batchSize=1),
    "zero-records.json": lambda c: c.get("/rest/asset/v1/programs.json", offset=1000),
    "not-found.json": lambda c: c.get("/rest/v1/nonsense.json"),
}


def named_lead(call: Caller) -> int:
    """A lead with both names: the recorded one has them."""
    found = call.get("/rest/v1/leads.json", filterType="id", filterValues=",".join(map(str, range(1, 40))))["result"]
    return next(lead["id"] for lead in found if lead["firstName"] and lead["lastName"] and lead["email"])


@needs_fixtures
@pytest.mark.parametrize("name", [p.name for p in sorted((FIXTURES / "recorded").glob("*.json"))] if FIXTURES.is_dir() else [])
def test_an_answer_has_the_keys_and_types_of_the_recorded_one(call: Caller, name: str):
    real, ours = json.loads((FIXTURES / "recorded" / name).read_text()), RECORDED[name](call)
    if name == "campaigns.json":
        # The recorded campaign lies outside of programs; the world's lie in one. And ours is a page of several.
        ours.pop("nextPageToken")
        for key in ("programName", "programId"):
            ours["result"][0].pop(key)
    assert shape(ours) == shape(real)


@needs_fixtures
def test_the_description_of_leads_begins_with_the_recorded_one_field_for_field(call: Caller):
    real = json.loads((FIXTURES / "leads_describe.json").read_text())
    ours = call.get("/rest/v1/leads/describe.json")
    assert len(real["result"]) == 100 and ours["result"][:100] == real["result"]
    assert ours.keys() == real.keys()
    own = ours["result"][100:]
    assert all(field["id"] > 1000 for field in own) and sum("rest" not in field for field in own) == 2


def test_headers_are_marketos_and_large_json_is_compressed_but_files_never(call: Caller):
    answer = call.http.get("/rest/v1/leads/describe.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and answer.headers["content-type"] == "application/json;charset=UTF-8"
    expected = {"cache-control": "no-store", "x-frame-options": "DENY", "x-content-type-options": "nosniff", "pragma": "no-cache"}
    assert expected.items() <= dict(answer.headers).items() and "nginx" in answer.headers["server"]
    assert "content-encoding" not in call.http.get("/rest/v1/lists.json", params={"id": "7"}, headers={"Accept-Encoding": "gzip"}).headers
    with httpx2.Client(base_url=call.http.base_url, headers=call.http.headers) as raw, raw.stream(
        "GET", "/rest/v1/leads/describe.json", headers={"Accept-Encoding": "gzip"}
    ) as stream:  # fmt: skip
        assert len(json.loads(gzip.decompress(b"".join(stream.iter_raw())))["result"]) == len(LEAD_FIELDS)


# What marketorestpython 0.5.25, tap-marketo and Airbyte's source send, as they send it; {export} is an export of theirs.
CLIENT_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/rest/v1/leads.json", {"data": {"_method": "GET", "filterType": "id", "filterValues": "1,2", "access_token": "x"}}),
    ("POST", "/rest/v1/list/3001/leads.json", {"params": {"_method": "GET"}, "data": {"batchSize": "300"}}),
    ("POST", "/rest/v1/leads/programs/1001.json", {"params": {"_method": "GET"}, "data": {"fields": "id,email"}}),
    ("POST", "/rest/v1/campaigns.json", {"params": {"_method": "GET"}, "data": {"batchSize": "300"}}),
    ("POST", "/rest/v1/opportunities.json", {"params": {"_method": "GET"}, "data": {"filterType": "idField", "filterValues": "x"}}),
    ("POST", "/rest/v1/opportunities/roles.json", {"params": {"_method": "GET"}, "data": {"filterType": "leadId", "filterValues": "1"}}),
    ("POST", "/rest/v1/companies.json", {"params": {"_method": "GET"}, "data": {"filterType": "id", "filterValues": "1"}}),
    ("POST", "/rest/v1/leads.json", {"json": {"input": [{"email": "client@new.example"}], "asyncProcessing ": False}}),
    ("POST", "/rest/v1/leads/1/associate.json", {"params": {"id": 1, "cookie": "id:1&token:_mch-x-1"}, "json": None}),
    ("POST", "/rest/v1/lists/3001/leads/ismember.json", {"params": {"_method": "GET"}, "json": {"input": [{"id": 1}]}}),
    ("DELETE", "/rest/v1/lists/3001/leads.json", {"json": {"input": [{"id": 1}]}}),
    ("GET", "/rest/v1/leads/describe.json", {}),
    ("GET", "/rest/v1/leads/describe2.json", {}),
    ("GET", "/rest/v1/leads/partitions.json", {}),
    ("GET", "/rest/v1/leads/2/smartCampaignMembership.json", {}),
    ("GET", "/rest/v1/opportunities/describe.json", {}),
    ("GET", "/rest/v1/opportunities/roles/describe.json", {}),
    ("GET", "/rest/v1/companies/describe.json", {}),
    ("GET", "/rest/v1/lists.json", {"params": {"batchSize": 300}}),
    ("GET", "/rest/v1/campaigns.json", {"params": {"batchSize": 300}}),
    ("GET", "/rest/v1/activities/types.json", {"params": {"batchSize": 300}}),
    ("GET", "/rest/v1/activities/external/types.json", {}),
    ("GET", "/rest/v1/activities/pagingtoken.json", {"params": {"sinceDatetime": "2014-10-06T13:22:17-08:00"}}),
    ("GET", "/rest/v1/stats/usage.json", {}),
    ("GET", "/rest/v1/stats/usage/last7days.json", {}),
    ("GET", "/rest/v1/stats/errors.json", {}),
    ("GET", "/rest/v1/stats/errors/last7days.json", {}),
    ("GET", "/rest/asset/v1/programs.json", {"params": {"maxReturn": 200, "offset": 0, "earliestUpdatedAt": "2020-01-01T00:00:00Z"}}),
    ("GET", "/rest/asset/v1/program/1001.json", {}),
    ("GET", "/rest/asset/v1/program/byName.json", {"params": {"name": "x", "includeCosts": "true", "includeTags": "true"}}),
    ("GET", "/rest/asset/v1/smartCampaigns.json", {"params": {"maxReturn": 200}}),
    ("GET", "/rest/asset/v1/staticLists.json", {"params": {"maxReturn": 20, "offset": 0}}),
    ("GET", "/rest/asset/v1/channels.json", {}),
    ("GET", "/rest/asset/v1/tagTypes.json", {}),
    ("GET", "/bulk/v1/leads/export.json", {"params": {"batchSize": 300}}),
    ("POST", "/bulk/v1/leads/export/create.json", {"params": {"batchSize": 300}, "json": {"fields": FIELDS, "format": "CSV", "filter": {"updatedAt": DAY}}}),
    ("GET", "/bulk/v1/leads/export/{export}/status.json", {"params": {"batchSize": 300}}),
    ("POST", "/bulk/v1/leads/export/{export}/enqueue.json", {"params": {"batchSize": 300}, "json": None}),
    ("POST", "/bulk/v1/leads/export/{export}/cancel.json", {}),
    ("POST", "/bulk/v1/activities/export/create.json", {"json": {"format": "CSV", "filter": {"createdAt": DAY, "activityTypeIds": [6]}}}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sent"), CLIENT_CALLS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_call_as_public_clients_make_it_is_answered(call: Caller, method: str, path: str, sent: dict):
    if "{export}" in path:
        made = call.post("/bulk/v1/leads/export/create.json", {"fields": FIELDS, "format": "CSV", "filter": {"createdAt": DAY}})
        path = path.replace("{export}", made["result"][0]["exportId"])
    answer = call.http.request(method, path, **sent)
    assert answer.status_code == 200 and answer.json()["success"] is True, answer.text


def test_a_token_is_given_to_a_form_too_and_each_wrong_credential_has_its_own_body(call: Caller):
    form = {"grant_type": "client_credentials", **credentials.MARKETO}
    assert call.http.post("/identity/oauth/token", data=form).json()["token_type"] == "bearer"
    wrong = call.http.post("/identity/oauth/token", data=form | {"client_id": "nobody"})
    assert (wrong.status_code, wrong.json()) == (
        401, {"error": "unauthorized", "error_description": "No client with requested id: nobody"},
    )  # fmt: skip
    wrong = call.http.get("/identity/oauth/token", params=form | {"client_secret": "x"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client", "error_description": "Bad client credentials"})


PATHS = [
    *sorted({path for _, path, _ in CLIENT_CALLS if "{" not in path}),
    "/rest/v1/lead/{text}.json", "/rest/v1/leads/{text}/merge.json", "/rest/v1/leads/delete.json", "/rest/v1/leads/push.json",
    "/rest/v1/opportunities/delete.json", "/rest/v1/opportunities/roles/delete.json", "/rest/v1/companies/delete.json",
    "/rest/v1/lists/{text}/leads.json", "/rest/v1/lists/3001/leads.json", "/rest/v1/activities.json", "/rest/v1/activities/leadchanges.json",
    "/rest/v1/activities/deletedleads.json", "/rest/v1/activities/external.json", "/rest/v1/campaigns/{text}/trigger.json",
    "/rest/v1/campaigns/2001/schedule.json", "/rest/v1/campaigns/2004/trigger.json", "/rest/v1/leads/programs/1001/status.json",
    "/rest/v1/leads/schema/fields.json", "/rest/asset/v1/smartCampaign/{text}.json", "/rest/asset/v1/program/{text}.json",
    "/rest/asset/v1/staticLists.json", "/bulk/v1/leads.json", "/bulk/v1/leads/batch/{text}.json", "/bulk/v1/leads/export/{text}/file.json",
]  # fmt: skip
TEXTS = st.text(max_size=12) | st.sampled_from(["1", "3001", "1,2,3", "9" * 30, "-1", "id", "email", "2026-01-01T00:00:00Z", "null", "٣"])
NAMES = [
    "filterType",
    "filterValues",
    "fields",
    "batchSize",
    "nextPageToken",
    "_method",
    "id",
    "leadIds",
    "sinceDatetime",
    "offset",
    "name",
]
NAMES += ["activityTypeIds", "listId", "assetIds", "maxReturn", "cookie", "format", "earliestUpdatedAt", "status", "folder", "lookupField"]
KEYS = [
    "input",
    "action",
    "lookupField",
    "filter",
    "fields",
    "format",
    "id",
    "email",
    "name",
    "leadId",
    "externalOpportunityId",
    "role",
    "leads",
]
KEYS += [
    "externalCompanyId",
    "leadScore",
    "createdAt",
    "startAt",
    "endAt",
    "activityTypeIds",
    "filterType",
    "dedupeBy",
    "marketoGUID",
    "runAt",
]
KEYS += ["programName", "status", "columnHeaderNames", "nextPageToken", "tokens", "dateOfBirth", "datetime_field", "isPrimary", "amount"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(KEYS), SCALARS | JSON, max_size=5), max_size=3)
BODIES = JSON | st.fixed_dictionaries(
    {"input": RECORDS}, optional=dict.fromkeys(("action", "lookupField", "dedupeBy", "deleteBy"), SCALARS)
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(PATHS),
    text=TEXTS,
    method=st.sampled_from(["GET", "POST", "DELETE", "PATCH"]),
    params=st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=5),
    body=st.one_of(st.binary(max_size=60), st.builds(lambda j: json.dumps(j).encode(), BODIES)),
    kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]),
)
def test_whatever_is_sent_is_answered_in_marketos_way(call: Caller, path: str, text: str, method: str, params: Any, body: bytes, kind: str):
    path = path.replace("{text}", quote(text, safe="") or "x")
    answer = call.http.request(method, path, params=params, content=b"" if method == "GET" else body, headers={"Content-Type": kind})
    assert answer.status_code in (200, 404), (answer.status_code, answer.text)
    if answer.headers["content-type"].startswith("application/json"):
        assert isinstance(answer.json()["success"], bool)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    filter_type=st.sampled_from([f.name for f in LEAD_FIELDS if f.name] + ["facebookId", "x"]),
    values=st.lists(TEXTS, min_size=1, max_size=4),
)
def test_a_filter_gives_what_a_look_at_every_lead_gives(call: Caller, filter_type: str, values: list[str]):
    wanted = [part for v in values for part in v.split(",") if part]
    answer = call.get(
        "/rest/v1/leads.json", filterType=filter_type, filterValues=",".join(values), fields=f"id,{filter_type}".removesuffix(",x")
    )
    if not answer["success"]:
        assert answer["errors"][0]["code"] in ("1002", "1006", "1011")
        return
    expected = {v.lower() for v in wanted}
    assert all(str(lead[filter_type]).lower() in expected for lead in answer["result"])
