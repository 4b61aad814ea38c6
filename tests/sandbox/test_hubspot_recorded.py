"""The emulator's answers against bodies that were recorded from real accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal, after

Serve = Callable[[ASGIApp], str]
RECORDED = Path(__file__).parents[3] / "shared" / "fixtures" / "hubspot" / "recorded"

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded exchanges in ../shared/fixtures")


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def same_shape(given: Any, wanted: Any, where: str = "") -> None:
    """Every key that was recorded is there with a value of the same kind; null fits all."""
    if given is None or wanted is None:
        return
    assert type(given) is type(wanted), where
    if isinstance(wanted, dict):
        for key in wanted:
            assert key in given, f"{where}.{key}"
            same_shape(given[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list) and wanted and given:
        same_shape(given[0], wanted[0], f"{where}[0]")


def test_account_details(serve: Serve) -> None:
    same_shape(Portal(serve).get("/account-info/v3/details"), recorded("post-auth__account-info"))


def test_the_deal_pipeline_is_the_default_one_of_a_real_portal(serve: Serve) -> None:
    portal, wanted = Portal(serve), recorded("metadata-deals-external-pipelines")
    same_shape(given := portal.get("/crm/v3/pipelines/deals"), wanted)
    stages = [[(s["id"], s["label"], s["metadata"]) for s in body["results"][0]["stages"]] for body in (given, wanted)]
    assert stages[0] == stages[1]


def test_the_lifecycle_pipeline(serve: Serve) -> None:
    portal, wanted = Portal(serve), recorded("metadata-contacts-external-pipelines")
    same_shape(given := portal.get("/crm/v3/pipelines/contacts"), wanted)
    assert [s["id"] for s in given["results"][0]["stages"]] == [s["id"] for s in wanted["results"][0]["stages"]]


@pytest.mark.parametrize("kind", ["contacts", "deals"])
def test_property_definitions_have_the_types_of_the_real_ones(serve: Serve, kind: str) -> None:
    portal, wanted = Portal(serve), recorded(f"metadata-{kind}-properties-sampled")["results"]
    given = {p["name"]: p for p in portal.get(f"/crm/v3/properties/{kind}")["results"]}
    shared = [p for p in wanted if p["name"] in given]
    assert shared
    for real in shared:
        ours = given[real["name"]]
        same_shape(ours, {k: v for k, v in real.items() if k not in ("options", "modificationMetadata")}, real["name"])
        facts = ("type", "fieldType", "externalOptions", "hasUniqueValue", "hubspotDefined", "referencedObjectType")
        assert {k: ours.get(k) for k in facts} == {k: real.get(k) for k in facts}, real["name"]


def test_a_list(serve: Serve) -> None:
    same_shape(Portal(serve).get("/crm/v3/objects/contacts", properties="email"), recorded("read__objects-api__contacts-response"))


@pytest.mark.parametrize("page", ["1-first-page", "2-second-page"])
def test_a_search_page(serve: Serve, page: str) -> None:
    properties = ["company", "email", "firstname", "lastname", "phone", "website"]
    given = Portal(serve).search("contacts", properties=properties, limit=1, after=0)
    same_shape(given, recorded(f"search__contacts__{page}"))
    assert "link" not in given["paging"]["next"]


def test_recorded_search_requests_are_understood(serve: Serve) -> None:
    portal = Portal(serve)
    for name in ("read-via-search__contacts-payload", "read__objects-api__contacts-req-payload-since-until",
                 "read__objects-api__contacts-req-payload-since", "read__objects-api__contacts-req-payload-until"):  # fmt: skip
        assert set(portal.search("contacts", **recorded(name))) >= {"total", "results"}


def test_a_batch_read(serve: Serve) -> None:
    portal = Portal(serve)
    inputs = {"inputs": [{"id": i} for i in portal.store.live_people()[:2]]}
    same_shape(portal.post("/crm/v3/objects/contacts/batch/read", inputs), recorded("read__objects-api__contacts-batch"))
    partial = recorded("batch__update__contacts__err-partial-success")
    for result in partial["results"]:
        result["properties"] = {}
    given = portal.post("/crm/v3/objects/contacts/batch/read", {"inputs": [*inputs["inputs"], {"id": "unknownIdentifier888"}]}, status=207)
    same_shape(given, partial)
    assert given["errors"] == partial["errors"]


def test_associations(serve: Serve) -> None:
    portal = Portal(serve)
    lonely = portal.store.create_person({"first_name": "Ann"}, after(1))
    linked = next(r["id"] for r in portal.all("/crm/v3/objects/contacts", limit=100, associations="companies") if "associations" in r)
    body = {"inputs": [{"id": linked}, {"id": lonely}]}
    given = portal.post("/crm/v4/associations/contacts/companies/batch/read", body, status=207)
    wanted = recorded("search__contacts__contacts-to-companies")
    same_shape(given, wanted)
    assert given["results"][0]["to"][0]["associationTypes"] == wanted["results"][0]["to"][0]["associationTypes"]
    assert given["errors"][0]["message"] == f"No company is associated with contact {lonely}."


def test_errors(serve: Serve) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.schemas.custom.read"}))
    wanted = recorded("search__error-invalid-object")
    given = portal.search("butterflies", status=400)
    assert {k: v for k, v in given.items() if k != "correlationId"} == {k: v for k, v in wanted.items() if k != "correlationId"}
    same_shape(portal.get("/crm/v3/schemas", status=403), recorded("metadata-err-schemas-scope"))
