from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.properties import CONTACTS
from cdp_pipelines.sandbox.hubspot.search import Search
from cdp_pipelines.sandbox.hubspot.stock_properties import properties
from cdp_pipelines.sandbox.hubspot.values import value
from tests.sandbox.hubspot_portal import Portal, after, new_store
from tests.sandbox.listed_faults import shows

Serve = Callable[[ASGIApp], str]

KNOWN = properties("contacts")
STORE = new_store()
ROWS: list[dict[str, Any]] = [
    {name: value(STORE, CONTACTS, STORE.records["contacts"].get(i), name) for name in KNOWN} for i in STORE.records["contacts"].live
]
# One property of each type that compares in its own way.
ASKED = ("hs_lead_score", "lastmodifieddate", "firstname", "lifecyclestage", "hs_email_optout", "hs_object_id", "num_associated_deals")
COMPARISONS = ("EQ", "NEQ", "LT", "LTE", "GT", "GTE")


def naive_value(name: str, text: str) -> Any:
    """A second, simpler reading of what a property's text means."""
    if KNOWN[name].type == "number":
        return Decimal(text)
    if KNOWN[name].type == "datetime":
        return datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdigit() else datetime.fromisoformat(text)
    return text if KNOWN[name].type == "enumeration" else text.lower()


def naive(row: dict[str, Any], condition: dict[str, Any]) -> bool:
    """A second, simpler evaluation of a filter."""
    name, operator, text = condition["propertyName"], condition["operator"], row[condition["propertyName"]]
    if operator.endswith("HAS_PROPERTY"):
        return bool(text) is (operator == "HAS_PROPERTY")
    if not text:
        return operator.startswith("N")
    mine = naive_value(name, text)
    if operator in ("IN", "NOT_IN"):
        inside = mine in [naive_value(name, v) if KNOWN[name].type != "string" else v for v in condition["values"]]
        return inside is (operator == "IN")
    if operator.endswith("CONTAINS_TOKEN"):
        pattern = re.escape(condition["value"].lower()).replace(r"\*", ".*")
        inside = any(re.fullmatch(pattern, word) for word in [text.lower(), *re.split(r"[\W_]+", text.lower())])
        return inside is (operator == "CONTAINS_TOKEN")
    bound = naive_value(name, condition["value"])
    if operator == "BETWEEN":
        return bound <= mine <= naive_value(name, condition["highValue"])
    return {
        "EQ": mine == bound, "NEQ": mine != bound, "LT": mine < bound, "LTE": mine <= bound, "GT": mine > bound, "GTE": mine >= bound,
    }[operator]  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(ASKED))
    texts = st.sampled_from(sorted({row[name] for row in ROWS if row[name]}))
    operator = draw(st.sampled_from([*COMPARISONS, "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY"]))
    if operator.endswith("HAS_PROPERTY"):
        return {"propertyName": name, "operator": operator}
    if operator in ("IN", "NOT_IN"):
        return {"propertyName": name, "operator": operator, "values": draw(st.lists(texts, min_size=1, max_size=5))}
    found = {"propertyName": name, "operator": operator, "value": draw(texts)}
    return found | ({"highValue": draw(texts)} if operator == "BETWEEN" else {})


@settings(max_examples=150, deadline=None)
@given(groups=st.lists(st.lists(conditions(), min_size=1, max_size=3), min_size=1, max_size=3), descending=st.booleans())
def test_filters_mean_what_a_naive_evaluation_says(groups: list[list[dict[str, Any]]], descending: bool) -> None:
    body = {
        "filterGroups": [{"filters": group} for group in groups],
        "sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING" if descending else "ASCENDING"}],
        "limit": 200,
    }
    total, records, after_ = Search(STORE, HubSpotOptions()).run(CONTACTS, KNOWN, body)
    wanted = [int(row["hs_object_id"]) for row in ROWS if any(all(naive(row, c) for c in group) for group in groups)]
    wanted.sort(reverse=descending)
    assert total == len(wanted)
    assert [r.id for r in records] == wanted[:200]
    assert after_ == ("200" if len(wanted) > 200 else None)


@pytest.mark.parametrize("pattern", ["*@*.example", "ann*", "*.com", "sales", "webinar", "x*y"])
@pytest.mark.parametrize("operator", ["CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"])
def test_tokens_match_words_and_whole_values_with_stars(pattern: str, operator: str) -> None:
    condition = {"propertyName": "email", "operator": operator, "value": pattern}
    total, _, _ = Search(STORE, HubSpotOptions()).run(CONTACTS, KNOWN, {"filters": [condition]})
    assert total == sum(naive(row, condition) for row in ROWS)


@pytest.mark.parametrize("by", ["email", "hs_lead_score", "lastmodifieddate"])
@pytest.mark.parametrize("sort", ["{}", "-{}"])
def test_sorts_compare_by_type_and_put_empty_values_last(by: str, sort: str) -> None:
    _, records, _ = Search(STORE, HubSpotOptions()).run(CONTACTS, KNOWN, {"sorts": [sort.format(by)], "limit": 200})
    texts = [value(STORE, CONTACTS, r, by) for r in records]
    filled = [naive_value(by, t) for t in texts if t]
    assert filled == sorted(filled, reverse=sort.startswith("-"))
    if not sort.startswith("-"):
        assert not any(texts[len(filled) :])


def test_pages_of_a_search_hold_every_record_once(serve: Serve) -> None:
    portal, found, offset = Portal(serve), [], 0
    while True:
        body = portal.search("contacts", limit="100", after=str(offset), sorts=["hs_object_id"])
        found += [r["id"] for r in body["results"]]
        if "paging" not in body:
            break
        offset = int(body["paging"]["next"]["after"])
    assert found == portal.store.live_people()
    assert body["total"] == len(found)


def test_filters_at_the_top_and_whole_numbers_are_understood(serve: Serve) -> None:
    portal = Portal(serve)
    third = int(portal.store.live_people()[2])
    filters = [
        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": 1735061514727},
        {"propertyName": "hs_object_id", "operator": "GTE", "value": third},
    ]
    body = portal.search("contact", filters=filters, sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}], after=0, limit=5)
    assert all(int(r["id"]) >= third for r in body["results"])
    assert all(r["properties"]["lastmodifieddate"] >= "2024-12-24T17:31:54.727Z" for r in body["results"])
    assert all("associations" not in r for r in body["results"])


@shows("HubSpot: search cap lowered")
def test_a_search_serves_no_more_than_its_cap(serve: Serve) -> None:
    portal = Portal(serve, search_cap=150)
    body = portal.search("contacts", limit=100)
    assert body["total"] > 150
    assert portal.search("contacts", limit=100, after="100", status=400)["category"] == "VALIDATION_ERROR"
    assert len(portal.search("contacts", limit=50, after="100")["results"]) == 50


def test_archived_records_are_not_found_and_come_back_when_restored(serve: Serve) -> None:
    portal = Portal(serve)
    person = portal.store.live_people()[0]
    asked: dict[str, Any] = {"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": person}]}
    portal.store.delete_person(person, after(1))
    assert portal.search("contacts", **asked)["total"] == 0
    portal.store.restore_person(person, after(2))
    assert portal.search("contacts", **asked)["total"] == 1


def test_deals_are_found_by_the_contact_they_are_associated_with(serve: Serve) -> None:
    portal = Portal(serve)
    deal = next(d for d in portal.store.live_deals() if portal.store.deal_people(d))
    person = portal.store.deal_people(deal)[0]
    found = portal.search("deals", filters=[{"propertyName": "associations.contact", "operator": "EQ", "value": person}])
    assert deal in [r["id"] for r in found["results"]]


def test_a_query_looks_for_words_anywhere(serve: Serve) -> None:
    portal = Portal(serve)
    portal.store.create_person({"first_name": "Zebulon", "last_name": "Quick"}, after(1))
    assert portal.search("contacts", query="zebulon quick")["total"] == 1


@shows("HubSpot: search lag")
def test_recent_changes_show_only_after_the_lag(serve: Serve) -> None:
    portal = Portal(serve, search_lag_seconds=3600)
    now = datetime.now(UTC)
    old, gone = portal.store.live_people()[:2]
    portal.store.edit_person(old, {"first_name": "Earlier"}, now - timedelta(hours=2))
    portal.store.edit_person(old, {"first_name": "Later"}, now)
    portal.store.delete_person(gone, now)
    portal.store.create_person({"first_name": "New"}, now)
    found = {r["id"]: r["properties"] for r in portal.search("contacts", limit=200, sorts=["hs_object_id"])["results"]}
    assert found[old]["firstname"] == "Earlier"
    assert gone in found
    assert portal.search("contacts", filters=[{"propertyName": "firstname", "operator": "EQ", "value": "new"}])["total"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"filters": [{"propertyName": "nope", "operator": "EQ", "value": "1"}]}, 400),
        ({"sorts": ["nope"]}, 400),
        ({"sorts": ["email", "phone"]}, 400),
        ({"limit": 201}, 400),
        ({"after": "x"}, 400),
        ({"filters": [{"propertyName": "email", "operator": "LIKE", "value": "1"}]}, 400),
        ({"filters": [{"propertyName": "email", "operator": "EQ"}]}, 400),
        ({"filters": [{"propertyName": "email", "operator": "IN", "value": "1"}]}, 400),
        ({"filters": [{"propertyName": "createdate", "operator": "GT", "value": "yesterday"}]}, 400),
        ({"filters": [{"propertyName": "createdate", "operator": "GT", "value": 0}]}, 500),
        ({"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}, 400),
        ({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}]}] * 6}, 400),
    ],
)
@shows("HubSpot: 500 for a search from the epoch")
def test_a_search_that_makes_no_sense_is_refused(serve: Serve, body: dict[str, Any], status: int) -> None:
    assert Portal(serve).search("contacts", status=status, **body)["status"] == "error"
