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


# What a recording leaves out that newer answers have, or that our call could not be made without.
MORE = {"read__objects-api__contacts-response": {"url"}, "batch__create__contacts__err-partial-success": {"objectWriteTraceId"}}
PEOPLE = [
    {"properties": {"email": "lilyskinner@hubspot.com", "firstname": "Lily", "lastname": "Skinner"}},
    {"properties": {"email": "siena.dyer@hubspot.com", "firstname": "Siena", "lastname": "Dyer"}},
]
WRONG = {"first000name": "Siena", "last000name": "Dyer"}
BATCH = "/crm/v3/objects/contacts/batch"


def created(portal: Portal) -> list[str]:
    return [r["id"] for r in portal.post(f"{BATCH}/create", {"inputs": PEOPLE}, 201)["results"]]


def conflict(portal: Portal) -> Any:
    created(portal)
    return portal.post(f"{BATCH}/create", {"inputs": PEOPLE[:1]}, 409)


def partly_created(portal: Portal) -> Any:
    portal.post("/crm/v3/objects/contacts", PEOPLE[0], 201)
    return portal.post(f"{BATCH}/create", {"inputs": [{**p, "objectWriteTraceId": str(n)} for n, p in enumerate(PEOPLE)]}, 207)


def updates(portal: Portal, *ids: str) -> dict[str, Any]:
    return {"inputs": [{"id": i, "properties": {"firstname": "Siena (updated)", "lastname": "Dyer (updated)"}} for i in ids]}


ANSWERS: dict[str, Callable[[Portal], Any]] = {
    "batch__create__contacts__success": lambda p: p.post(f"{BATCH}/create", {"inputs": PEOPLE}, 201),
    "batch__create__contacts__err-conflict": conflict,
    "batch__create__contacts__err-partial-success": partly_created,
    "batch__create__contacts__err-many-invalid-properties": lambda p: p.post(f"{BATCH}/create", {"inputs": [{"properties": WRONG}] * 2}, 400),
    "batch__update__contacts__success": lambda p: p.post(f"{BATCH}/update", updates(p, *created(p))),
    "batch__update__contacts__err-duplicate-ids": lambda p: p.post(f"{BATCH}/update", updates(p, "123456", "123456"), 400),
    "batch__update__contacts__err-partial-success": lambda p: p.post(f"{BATCH}/update", updates(p, created(p)[0], "unknownIdentifier888"), 207),
    "batch__update__contacts__err-many-invalid-properties": lambda p: p.post(
        f"{BATCH}/update", {"inputs": [{"id": i, "properties": WRONG} for i in created(p)]}, 400
    ),
    "post-auth__account-info": lambda p: p.get("/account-info/v3/details"),
    "metadata-contacts-external-pipelines": lambda p: p.get("/crm/v3/pipelines/contacts"),
    "metadata-deals-external-pipelines": lambda p: p.get("/crm/v3/pipelines/deals"),
    "read__objects-api__contacts-batch": lambda p: p.post(f"{BATCH}/read", {"inputs": [{"id": i} for i in created(p)]}),
    "read__objects-api__contacts-response": lambda p: p.get("/crm/v3/objects/contacts", properties="email"),
    "read-via-search__contacts-response": lambda p: p.search("contacts", limit=200, after=200, properties=NINE),
    "search__contacts__1-first-page": lambda p: p.search("contacts", limit=1, properties=NINE),
    "search__contacts__2-second-page": lambda p: p.search("contacts", limit=200, after=200, properties=NINE),
    "search__error-invalid-object": lambda p: p.search("butterflies", 400),
}  # fmt: skip
NINE = ["company", "email", "firstname", "lastname", "phone", "website"]


def keys_and_types(given: Any, wanted: Any, more: set[str], where: str = "") -> None:
    """The same keys, values of the same type. Of a record's properties those that were recorded; a value that may be null is of any type."""
    if isinstance(wanted, dict):
        assert isinstance(given, dict), where
        if where.endswith(".properties"):
            assert wanted.keys() <= given.keys(), where
        else:
            assert given.keys() - more == wanted.keys() - more, where
        for key in wanted:
            keys_and_types(given[key], wanted[key], more, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(given, list), where
        assert given or not wanted, where
        for one in given if wanted else []:
            keys_and_types(one, wanted[0], more, f"{where}[]")
    elif where.rpartition(".")[0].endswith(".properties"):
        assert given is None or wanted is None or isinstance(given, str), where
    else:
        assert type(given) is type(wanted), where


@pytest.mark.parametrize("name", ANSWERS)
def test_our_answer_has_the_keys_and_types_of_the_recorded_one(serve: Serve, name: str) -> None:
    keys_and_types(ANSWERS[name](Portal(serve)), recorded(name), MORE.get(name, set()))


def test_every_recorded_answer_of_a_call_that_we_have_is_compared() -> None:
    elsewhere = {  # compared in part by the tests above, since each definition and each pair has other keys
        "metadata-contacts-properties-sampled", "metadata-deals-properties-sampled", "metadata-err-schemas-scope",
        "search__contacts__contacts-to-companies",
    }  # fmt: skip
    requests = {path.stem for path in RECORDED.glob("*payload*")}
    campaigns = {"batch__read__campaigns__ok-200"}
    assert {path.stem for path in RECORDED.glob("*.json")} == ANSWERS.keys() | elsewhere | requests | campaigns


def test_a_created_contact_shows_exactly_what_was_recorded(serve: Serve) -> None:
    given = Portal(serve).post(f"{BATCH}/create", {"inputs": PEOPLE}, 201)
    for ours, real in zip(given["results"], recorded("batch__create__contacts__success")["results"], strict=True):
        assert ours["properties"].keys() == real["properties"].keys()
        constant = ("hs_is_contact", "hs_pipeline", "hs_object_source", "hs_object_source_id", "lifecyclestage", "num_notes")
        assert {k: ours["properties"][k] for k in constant} == {k: real["properties"][k] for k in constant}


@pytest.mark.parametrize("call", ["create", "update"])
def test_wrong_properties_are_refused_in_the_recorded_words(serve: Serve, call: str) -> None:
    name = f"batch__{call}__contacts__err-many-invalid-properties"
    given, real = ANSWERS[name](Portal(serve)), recorded(name)
    assert given["message"] == real["message"]
    assert all(error in given["errors"] for error in real["errors"])


def test_errors(serve: Serve) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.schemas.custom.read"}))
    wanted = recorded("search__error-invalid-object")
    given = portal.search("butterflies", status=400)
    assert {k: v for k, v in given.items() if k != "correlationId"} == {k: v for k, v in wanted.items() if k != "correlationId"}
    same_shape(portal.get("/crm/v3/schemas", status=403), recorded("metadata-err-schemas-scope"))
