from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal, after

Serve = Callable[[ASGIApp], str]


def pages(portal: Portal, path: str, key: str, more: str, **params: Any) -> list[dict[str, Any]]:
    """All records of an older list, by its offset."""
    found, offset = [], 0
    while True:
        body = portal.get(path, offset=offset, **params)
        found += body[key]
        if not body[more]:
            return found
        offset = body["offset"]


def test_companies_page_by_offset_with_values_that_carry_their_moment(serve: Serve) -> None:
    portal = Portal(serve)
    found = pages(
        portal, "/companies/v2/companies/paged", "companies", "has-more", limit=50, properties=["createdate", "hs_lastmodifieddate"]
    )
    wanted = portal.all("/crm/v3/objects/companies", limit=100)
    assert [str(c["companyId"]) for c in found] == [c["id"] for c in wanted]
    assert set(found[0]["properties"]) == {"createdate", "hs_lastmodifieddate"}
    assert found[0]["properties"]["hs_lastmodifieddate"]["value"] == str(found[0]["properties"]["hs_lastmodifieddate"]["timestamp"])
    one = portal.get(f"/companies/v2/companies/{found[0]['companyId']}")
    assert one["properties"]["name"]["value"] == wanted[0]["properties"]["name"]


def test_deals_page_by_offset_with_associations_when_asked(serve: Serve) -> None:
    portal = Portal(serve)
    params = {"limit": 40, "includeAllProperties": "True", "allPropertiesFetchMode": "latest_version", "includeAssociations": "True"}
    found = pages(portal, "/deals/v1/deal/paged", "deals", "hasMore", **params)
    assert [str(d["dealId"]) for d in found] == portal.store.live_deals()
    linked = next(d for d in found if d["associations"]["associatedVids"])
    assert [str(i) for i in linked["associations"]["associatedVids"]] == portal.store.deal_people(str(linked["dealId"]))
    assert linked["properties"]["dealstage"]["value"]
    assert portal.get(f"/deals/v1/deal/{linked['dealId']}")["properties"] == linked["properties"]
    bare = portal.get("/deals/v1/deal/paged", limit=1)["deals"][0]
    assert (bare["properties"], bare["associations"]["associatedVids"]) == ({}, [])


def test_recent_changes_come_first(serve: Serve) -> None:
    portal = Portal(serve)
    deal = portal.store.live_deals()[3]
    portal.store.edit_deal(deal, {"name": "Newest"}, after(1))
    body = portal.get("/deals/v1/deal/recent/modified", count=2)
    assert (str(body["results"][0]["dealId"]), body["total"]) == (deal, len(portal.store.live_deals()))
    since = 1_798_804_860_000
    assert [str(d["dealId"]) for d in portal.get("/deals/v1/deal/recent/modified", since=since)["results"]] == [deal]
    assert portal.get("/companies/v2/companies/recent/modified", count=5, offset=5)["offset"] == 10


def test_the_older_pipelines_have_the_same_stages(serve: Serve) -> None:
    portal = Portal(serve)
    stages = portal.get("/deals/v1/pipelines")[0]["stages"]
    assert [s["stageId"] for s in stages] == [s["id"] for s in portal.get("/crm/v3/pipelines/deals/default/stages")["results"]]
    assert [s["stageId"] for s in stages if s["closedWon"]] == ["closedwon"]
    assert portal.get("/crm/v3/pipelines/deals/default/stages/closedwon")["metadata"]["probability"] == "1.0"


@pytest.mark.parametrize("path", ["/companies/v2/companies/paged?limit=251", "/deals/v1/deal/paged?limit=0"])
def test_pages_of_the_older_lists_have_a_limit(serve: Serve, path: str) -> None:
    Portal(serve).get(path, 400)
