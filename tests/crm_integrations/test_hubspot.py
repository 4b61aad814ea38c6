from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines.config import HubSpotConnection, connection_from_config
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    IncompleteRead,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
    Unreachable,
)
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.crm_integrations.hubspot_pages import RecordPage
from cdp_pipelines.sandbox import credentials
from tests.sandbox.hubspot_portal import Portal, after
from tests.sources.known_failures import known_failure

Serve = Callable[[ASGIApp], str]
T = TypeVar("T")
START, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def connection(url: str, **settings: Any) -> HubSpotConnection:
    unlimited = {"calls_per_10_seconds": 10_000, "searches_per_second": 1_000, "visibility_lag_seconds": 0}
    made = connection_from_config("hubspot", {**credentials.HUBSPOT, "base_url": url, **unlimited, **settings})
    assert isinstance(made, HubSpotConnection)
    return made


def ask(url: str, question: Callable[[HubSpot], Any], **settings: Any) -> Any:
    """The answer of a client, in an event loop of its own; all items when the answer is pages."""

    async def run() -> Any:
        async with HubSpot(connection(url, **settings)) as client:
            answer = question(client)
            if isinstance(answer, AsyncIterator):
                return [item async for page in answer for item in items(page)]
            return await answer

    return asyncio.run(run())


def items(page: Any) -> list[Any]:
    """What is on a page: rows, each with its versions if there are any, or records as HubSpot gives them."""
    if isinstance(page, RecordPage):
        rows = page.records.to_pylist()
        if page.versions is not None:
            versions = page.versions.to_pylist()
            rows = [row | {"versions": [v for v in versions if v["id"] == row["id"]]} for row in rows]
        return rows
    return page.to_pylist() if isinstance(page, pa.Table) else page


def answering(*answers: Any) -> tuple[Starlette, list[dict[str, Any]]]:
    """An application that gives these answers in turn, (status, body) or body, and keeps the requests' JSON."""
    waiting, asked = list(answers), []

    async def handle(request: Request) -> JSONResponse:
        asked.append(await request.json() if request.method == "POST" else dict(request.query_params))
        answer = waiting.pop(0)
        status, body, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        return JSONResponse(body, status, headers)

    return Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])]), asked


def contact(record_id: int, modified: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"id": str(record_id), "properties": {"lastmodifieddate": modified}, "updatedAt": modified, "archived": False}


def test_a_list_is_read_to_its_end_with_all_properties(serve: Serve) -> None:
    portal = Portal(serve)
    records = ask(portal.url, lambda c: c.list_objects("contacts", ["email", "phone"]))
    assert [r["id"] for r in records] == portal.store.live_people()
    assert {"email", "phone"} <= records[0].keys()


def test_archived_records_are_listed_apart(serve: Serve) -> None:
    portal = Portal(serve)
    records = ask(portal.url, lambda c: c.list_objects("contacts", archived=True))
    assert [r["id"] for r in records] == portal.store.deleted_people()
    assert all(r["archivedAt"] for r in records)


@pytest.mark.parametrize("history", [[], ["lifecyclestage"]])
@known_failure(
    "airbytehq/airbyte#3977",
    "airbytehq/airbyte#33528",
    "singer-io/tap-hubspot#112",
    "dlt-hub/verified-sources#305",
    "dlt-hub/verified-sources#330",
    "dlt-hub/verified-sources#404",
    "PostHog/posthog#31617",
)
def test_more_properties_than_a_url_holds_are_read_in_batches(serve: Serve, history: list[str]) -> None:
    portal = Portal(serve)
    wide = ["email", *(f"a_custom_property_with_a_long_name_{n}" for n in range(500))]
    records = ask(portal.url, lambda c: c.list_objects("contacts", wide, history=history))
    assert [r["id"] for r in records] == portal.store.live_people()
    assert "email" in records[0]
    assert all(r["versions"][0]["property"] == "lifecyclestage" for r in records) if history else "versions" not in records[0]


@known_failure("airbytehq/airbyte#60858", "HubSpot/hubspot-api-nodejs#132")
def test_a_search_reads_more_than_the_cap_of_one_query(serve: Serve) -> None:
    portal = Portal(serve, search_cap=200)
    records = ask(portal.url, lambda c: c.search_modified("contacts", ["email"], START, END))
    assert [r["id"] for r in records] == portal.store.live_people()
    assert len(records) > 200


@known_failure("airbytehq/airbyte#43317")
def test_records_that_share_one_moment_beyond_the_cap_are_all_found(serve: Serve) -> None:
    portal = Portal(serve, search_cap=200)
    people = portal.store.live_people()
    for person in people:
        portal.store.edit_person(person, {"title": "Moved by an import"}, after(1))
    records = ask(portal.url, lambda c: c.search_modified("contacts", [], after(1), after(1) + timedelta(milliseconds=1)))
    assert [r["id"] for r in records] == people


def test_a_window_holds_its_start_and_not_its_end(serve: Serve) -> None:
    portal = Portal(serve)
    first, second = portal.store.live_people()[:2]
    portal.store.edit_person(first, {"title": "Baker"}, after(1))
    portal.store.edit_person(second, {"title": "Baker"}, after(2))
    assert [r["id"] for r in ask(portal.url, lambda c: c.search_modified("contacts", [], after(1), after(2)))] == [first]


@known_failure("airbytehq/airbyte#80744", "estuary/connectors#2210")
def test_empty_pages_are_followed_and_rows_outside_the_window_dropped(serve: Serve) -> None:
    app, asked = answering(
        {"total": 3, "results": [], "paging": {"next": {"after": "200"}}},
        {"total": 3, "results": [contact(5), contact(6, "2126-01-01T00:00:00Z")], "paging": {"next": {"after": "400"}}},
        {"total": 1, "results": [contact(7)]},
    )
    records = ask(serve(app), lambda c: c.search_modified("contacts", [], START, END))
    assert [r["id"] for r in records] == ["5", "7"]
    assert [a["after"] for a in asked] == ["0", "200", "0"]
    assert {"propertyName": "hs_object_id", "operator": "GT", "value": "6"} in asked[2]["filterGroups"][0]["filters"]


@pytest.mark.parametrize(
    "page",
    [{"total": 9, "results": [contact(1)]}, {"total": 2, "results": [contact(10), contact(9)]}],
    ids=["fewer than counted", "not in order"],
)
@known_failure("airbytehq/airbyte#79666")
def test_a_search_that_may_have_lost_records_is_incomplete(serve: Serve, page: dict[str, Any]) -> None:
    app, _ = answering(page)
    with pytest.raises(IncompleteRead):
        ask(serve(app), lambda c: c.search_modified("contacts", [], START, END))


def test_records_are_read_by_id_in_batches_and_missing_ones_left_out(serve: Serve) -> None:
    portal = Portal(serve)
    people = portal.store.live_people()[:120]
    records = ask(portal.url, lambda c: c.batch_read("contacts", [*people, "12"], ["email"], history=["lifecyclestage"]))
    assert [r["id"] for r in records] == people
    assert all(r["versions"][0]["value"] for r in records)


@known_failure("HubSpot/hubspot-api-python#135", "HubSpot/hubspot-api-python#187")
def test_associations_come_for_every_id_also_for_those_that_have_none(serve: Serve) -> None:
    portal = Portal(serve, association_page=1, association_inputs=100)
    lonely = portal.store.create_deal({"name": "Nobody's"}, [], after(1))
    deals = portal.store.live_deals()
    found: dict[str, list[str]] = {d: [] for d in deals}
    rows = ask(portal.url, lambda c: c.associations("deals", "contacts", deals))
    for row in rows:
        found[row["from_id"]] += {row["to_id"]} - {None, *found[row["from_id"]]}
    assert found == {d: portal.store.deal_people(d) for d in deals}
    assert [r for r in rows if r["from_id"] == lonely] == [
        {"from_id": lonely, "to_id": None, "type_id": None, "category": None, "label": None}
    ]
    assert max(map(len, found.values())) > 1  # so that pages were followed


def test_an_association_error_that_is_not_absence_is_a_failure(serve: Serve) -> None:
    error = {"category": "VALIDATION_ERROR", "subCategory": "crm.associations.INVALID_IDENTIFIER"}
    app, _ = answering((207, {"results": [], "numErrors": 1, "errors": [error]}, {}))
    with pytest.raises(RequestRejected, match="INVALID_IDENTIFIER"):
        ask(serve(app), lambda c: c.associations("deals", "contacts", ["1"]))


def test_an_id_that_an_association_batch_loses_is_noticed(serve: Serve) -> None:
    app, _ = answering({"results": []})
    with pytest.raises(IncompleteRead):
        ask(serve(app), lambda c: c.associations("deals", "contacts", ["1"]))


def test_owners_pipelines_properties_and_account_are_read(serve: Serve) -> None:
    portal = Portal(serve)
    assert len(ask(portal.url, lambda c: c.owners())) == sum(o.active for o in portal.store.owners)
    assert [s["id"] for s in ask(portal.url, lambda c: c.pipelines())[0]["stages"]][5:] == ["closedwon", "closedlost"]
    fields = {f.name: f for f in ask(portal.url, lambda c: c.describe_fields("contacts"))}
    assert (fields["hs_lead_score"].custom, fields["email"].custom) == (True, False)
    assert fields["num_associated_deals"].calculated
    assert ask(portal.url, lambda c: c.account_info())["portalId"] == portal.options.portal_id


def test_a_good_connection_names_the_portal_and_its_calls(serve: Serve) -> None:
    result = ask(Portal(serve, calls_per_10_seconds=190).url, lambda c: c.test_connection())
    assert (result.ok, result.account, result.calls_used, result.calls_left) == (True, "portal 44237313", 1, 624_999)


def test_a_revoked_token_is_named_with_the_remedy_and_never_shown(serve: Serve) -> None:
    portal = Portal(serve)
    portal.store.revoke_tokens()
    result = ask(portal.url, lambda c: c.test_connection())
    assert not result.ok
    assert "HUBSPOT_ACCESS_TOKEN" in str(result.remedy)
    with pytest.raises(AuthenticationError) as caught:
        ask(portal.url, lambda c: c.list_objects("contacts"))
    assert credentials.HUBSPOT["access_token"] not in str(caught.value)


@pytest.mark.parametrize("nested", [True, False])
def test_missing_scopes_are_named_in_either_shape_of_the_error(serve: Serve, nested: bool) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.objects.deals.read"}), nested_scope_errors=nested)
    with pytest.raises(PermissionDenied, match=r"crm\.objects\.deals\.read"):
        ask(portal.url, lambda c: c.list_objects("deals"))


@known_failure(
    "singer-io/tap-hubspot#93",
    "HubSpot/hubspot-api-python#49",
    "HubSpot/hubspot-api-python#20",
    "HubSpot/hubspot-api-nodejs#256",
    "HubSpot/hubspot-api-nodejs#416",
)
def test_a_429_is_waited_for_as_long_as_its_policy_says(serve: Serve) -> None:
    portal = Portal(serve, searches_per_second=1)
    began = time.monotonic()
    records = ask(portal.url, lambda c: c.search_modified("contacts", [], START, END))
    assert [r["id"] for r in records] == portal.store.live_people()
    assert time.monotonic() - began > 0.9


@known_failure("singer-io/tap-hubspot#93")
def test_the_client_keeps_below_the_limits_by_itself(serve: Serve) -> None:
    portal = Portal(serve, searches_per_second=2)
    app_calls = ask(portal.url, lambda c: _search_and_count(c), searches_per_second=2)
    assert app_calls == 2  # a refused call would have been sent again


async def _search_and_count(client: HubSpot) -> int:
    async for _ in client.search_modified("contacts", [], START, END):
        pass
    return client.calls.total()


def test_the_daily_limit_ends_the_run_without_more_tries(serve: Serve) -> None:
    portal = Portal(serve, calls_per_day=1)
    with pytest.raises(QuotaExhausted, match="daily limit"):
        ask(portal.url, lambda c: c.list_objects("contacts"))


def test_the_reserve_of_the_day_is_kept_and_the_error_says_until_when(serve: Serve) -> None:
    portal = Portal(serve, calls_per_10_seconds=190, calls_per_day=2)
    with pytest.raises(QuotaExhausted, match=r"only 1 of the portal's 2 API calls .* 60% are kept .*US/Eastern") as caught:
        ask(portal.url, lambda c: c.batch_read("contacts", portal.store.live_people()), daily_call_reserve=0.6, concurrent_calls=1)
    midnight = caught.value.resets_at
    assert midnight is not None
    assert midnight.astimezone(ZoneInfo("US/Eastern")).time() == time_of_day(0)
    assert timedelta(0) < midnight - datetime.now(UTC) <= timedelta(days=1)


@pytest.mark.parametrize("status", [423, 477, 502, 504, 521])
def test_what_passes_is_tried_again(serve: Serve, status: int) -> None:
    app, asked = answering((status, {"message": "busy"}, {"Retry-After": "0.01"}), {"results": [contact(1)]})
    assert [r["id"] for r in ask(serve(app), lambda c: c.list_objects("contacts"))] == ["1"]
    assert len(asked) == 2


def test_tries_run_out_with_a_reason(serve: Serve) -> None:
    app, _ = answering(*[(502, {}, {"Retry-After": "0.01"})] * 2)
    with pytest.raises(Unreachable, match="502"):
        ask(serve(app), lambda c: c.list_objects("contacts"), max_attempts=2)


def test_refusals_are_final_and_hide_addresses(serve: Serve) -> None:
    app, _ = answering((400, {"message": "Email ann@example.com is not right", "category": "VALIDATION_ERROR"}, {}))
    with pytest.raises(RequestRejected) as caught:
        ask(serve(app), lambda c: c.list_objects("contacts"))
    assert caught.value.code == "VALIDATION_ERROR"
    assert "ann@" not in str(caught.value)


@known_failure("singer-io/tap-hubspot#263")
def test_values_that_are_no_text_are_kept_as_they_were_sent(serve: Serve) -> None:
    raw = r"""{"results": [
        {"id": "1", "properties": {"a": 0.10, "b": 12345678901234567890123, "c": true, "d": {"x": [1]}, "e": "cut \ud83d"}, "archived": false},
        {"id": "2", "properties": {"a": "1", "id": "own"}, "archived": true, "archivedAt": "2026-01-01T00:00:00Z"}
    ]}"""
    app = Starlette(routes=[Route("/{path:path}", lambda request: Response(raw, media_type="application/json"))])
    first, second = ask(serve(app), lambda c: c.list_objects("contacts"))
    assert [first[n] for n in "abcde"] == ["0.10", "12345678901234567890123", "true", '{"x":[1]}', "cut \N{REPLACEMENT CHARACTER}"]
    assert (first["archived"], second["archived"], second["archivedAt"]) == ("false", "true", "2026-01-01T00:00:00Z")
    assert (second["id"], second["properties.id"], second["b"]) == ("2", "own", None)


def test_links_whose_ids_are_text_are_links_too(serve: Serve) -> None:
    kinds = [{"category": "USER_DEFINED", "typeId": "7", "label": "Boss"}, {"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
    app, _ = answering({"results": [{"from": {"id": "1"}, "to": [{"toObjectId": "5", "associationTypes": kinds}]}]})
    rows = ask(serve(app), lambda c: c.associations("deals", "contacts", ["1"]))
    assert [(r["to_id"], r["type_id"], r["category"], r["label"]) for r in rows] == [
        ("5", "7", "USER_DEFINED", "Boss"), ("5", "3", "HUBSPOT_DEFINED", None),
    ]  # fmt: skip


def test_a_long_list_is_read_by_as_many_calls_at_once_as_the_setting_allows(serve: Serve) -> None:
    under_way, most = 0, 0
    ids = range(1000, 7000)

    async def answer(request: Request) -> JSONResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        if request.method == "POST":
            return JSONResponse({"total": len(ids), "results": [contact(ids[-1])]})
        start = max(int(request.query_params.get("after", 0)), ids[0])
        following = {"paging": {"next": {"after": str(start + 100)}}} if start + 100 <= ids[-1] else {}
        return JSONResponse({"results": [contact(i) for i in ids if start <= i < start + 100], **following})

    async def read(client: HubSpot) -> tuple[list[int], int]:
        found = [i async for page in client.list_objects("contacts", ["email"]) for i in page.ids.tolist()]
        return sorted(found), client.calls.total()

    url = serve(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])]))
    found, calls = ask(url, read, concurrent_calls=3)
    assert found == list(ids)
    assert most == 3
    assert calls <= 60 + 60 / 10


def test_a_list_can_be_entered_at_any_id(serve: Serve) -> None:
    portal = Portal(serve)
    people = portal.store.live_people()
    low, high = int(people[50]), int(people[170])
    records = ask(portal.url, lambda c: c.list_objects("contacts", ["email"], ranges=[[high, None], [low, low + 1]]))
    assert sorted(int(r["id"]) for r in records) == [low, *map(int, people[170:])]


def test_numbers_with_a_fraction_keep_their_text(serve: Serve) -> None:
    app, _ = answering({"results": [{"id": "1", "properties": {"x": 0.1}}]})
    assert ask(serve(app), lambda c: c.list_objects("contacts"))[0]["x"] == "0.1"
