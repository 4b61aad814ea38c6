from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal
from tests.sandbox.listed_faults import shows

Serve = Callable[[ASGIApp], str]
CONTACTS = "/crm/v3/objects/contacts"


@pytest.fixture
def portal(serve: Serve) -> Portal:
    return Portal(serve)


def batch(portal: Portal, call: str, inputs: list[dict[str, Any]], status: int = 200) -> Any:
    return portal.post(f"{CONTACTS}/batch/{call}", {"inputs": inputs}, status)


def people(*addresses: str, traced: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"properties": {"email": address}} for address in addresses]
    return [{**one, "objectWriteTraceId": str(n)} for n, one in enumerate(found)] if traced else found


def test_a_batch_creates_its_records_in_order(portal: Portal) -> None:
    made = batch(portal, "create", people("a@b.example", "c@d.example"), 201)
    assert [r["properties"]["email"] for r in made["results"]] == ["a@b.example", "c@d.example"]
    assert portal.store.live_people()[-2:] == [r["id"] for r in made["results"]]
    assert "errors" not in made


def test_without_trace_ids_one_conflict_fails_the_whole_batch_and_names_nobody(portal: Portal) -> None:
    batch(portal, "create", people("a@b.example"), 201)
    before = portal.store.counts()
    refused = batch(portal, "create", people("new@b.example", "a@b.example"), 409)
    assert {k: v for k, v in refused.items() if k != "correlationId"} == {
        "status": "error", "message": "Contact already exists", "category": "CONFLICT",
    }  # fmt: skip
    assert batch(portal, "create", people("x@b.example", "X@b.example"), 409)["category"] == "CONFLICT"
    assert portal.store.counts() == before


def test_with_trace_ids_the_others_are_created(portal: Portal) -> None:
    first = batch(portal, "create", people("a@b.example"), 201)["results"][0]["id"]
    made = batch(portal, "create", people("a@b.example", "new@b.example", traced=True), 207)
    assert made["errors"] == [{
        "status": "error", "category": "CONFLICT", "message": f"Contact already exists. Existing ID: {first}",
        "context": {"objectWriteTraceId": ["0"], "existingId": [first]},
    }]  # fmt: skip
    assert (made["numErrors"], [r["objectWriteTraceId"] for r in made["results"]]) == (1, ["1"])
    twice = [{"objectWriteTraceId": "0", "properties": {}}, {"objectWriteTraceId": "0", "properties": {}}]
    batch(portal, "create", twice, 400)


@pytest.mark.parametrize("call", ["create", "update", "upsert"])
def test_one_wrong_value_fails_the_whole_batch_and_all_of_them_are_named(portal: Portal, call: str) -> None:
    ids = [r["id"] for r in batch(portal, "create", people("a@b.example", "c@d.example"), 201)["results"]]
    keys: list[dict[str, Any]] = {
        "create": [{}, {}], "update": [{"id": i} for i in ids], "upsert": [{"id": f"{n}@e.example", "idProperty": "email"} for n in "xy"],
    }[call]  # fmt: skip
    before = portal.store.counts()
    inputs = [{**key, "objectWriteTraceId": str(n), "properties": {"first000name": "Ann"}} for n, key in enumerate(keys)]
    refused = batch(portal, call, inputs, 400)
    assert [e["code"] for e in refused["errors"]] == ["PROPERTY_DOESNT_EXIST"] * 2
    assert refused["message"].count('\\"first000name\\"') == 2
    assert portal.store.counts() == before


def test_wrong_values_may_fail_alone_when_the_portal_is_told_so(serve: Serve) -> None:
    portal = Portal(serve, partial_validation_errors=True)
    inputs = people("a@b.example", "nonsense", traced=True)
    made = batch(portal, "create", inputs, 207)
    assert (len(made["results"]), made["errors"][0]["category"], made["errors"][0]["context"]) == (
        1, "VALIDATION_ERROR", {"objectWriteTraceId": ["1"]},
    )  # fmt: skip
    batch(portal, "create", people("nonsense"), 400)


def test_a_batch_updates_what_it_finds_and_names_what_it_does_not(portal: Portal) -> None:
    person = batch(portal, "create", people("a@b.example"), 201)["results"][0]["id"]
    inputs = [{"id": i, "properties": {"firstname": "Ann"}} for i in (person, "unknownIdentifier888", "777")]
    done = batch(portal, "update", inputs, 207)
    assert [(r["id"], r["properties"]["firstname"]) for r in done["results"]] == [(person, "Ann")]
    assert done["errors"][0]["context"] == {"ids": ["unknownIdentifier888", "777"]}
    by_email = batch(portal, "update", [{"id": "A@b.example", "idProperty": "email", "properties": {"firstname": "Anna"}}])
    assert by_email["results"][0]["properties"]["firstname"] == "Anna"


def test_an_update_of_a_merged_contact_is_left_out_in_silence(portal: Portal) -> None:
    keep, lose = (r["id"] for r in batch(portal, "create", people("a@b.example", "c@d.example"), 201)["results"])
    portal.post(f"{CONTACTS}/merge", {"primaryObjectId": keep, "objectIdToMerge": lose})
    done = batch(portal, "update", [{"id": keep, "properties": {"city": "X"}}, {"id": lose, "properties": {"city": "Y"}}])
    assert [r["id"] for r in done["results"]] == [keep]
    assert portal.get(f"{CONTACTS}/{keep}", properties="city")["properties"]["city"] == "X"


def test_repeated_ids_in_an_update_are_refused_by_name(portal: Portal) -> None:
    refused = batch(portal, "update", [{"id": "123456", "properties": {}}] * 2, 400)
    assert refused["message"] == "Duplicate IDs found in batch input: [123456]. IDs must be unique"
    assert refused["context"] == {"ids": ["123456"]}


def test_an_upsert_creates_or_changes_by_address_and_says_which(portal: Portal) -> None:
    batch(portal, "create", people("a@b.example"), 201)
    inputs = [{"id": address, "idProperty": "email", "properties": {"firstname": "Ann"}} for address in ("A@b.example", "new@b.example")]
    done = batch(portal, "upsert", inputs)
    assert [r["new"] for r in done["results"]] == [False, True]
    assert [portal.get(f"{CONTACTS}/{r['id']}")["properties"]["email"] for r in done["results"]] == ["a@b.example", "new@b.example"]
    assert batch(portal, "upsert", [inputs[0], {**inputs[0], "id": "a@B.example"}], 400)["category"] == "VALIDATION_ERROR"


def test_an_upsert_works_by_any_unique_property_and_by_no_other(portal: Portal) -> None:
    definition = {"name": "crm_key", "label": "Key", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    portal.post("/crm/v3/properties/contacts", {**definition, "hasUniqueValue": True}, 201)
    inputs = [{"id": "K-1", "idProperty": "crm_key", "properties": {"firstname": "Ann"}}]
    assert [batch(portal, "upsert", inputs)["results"][0]["new"] for _ in range(2)] == [True, False]
    for name in ("hs_object_id", "firstname"):
        refused = batch(portal, "upsert", [{"id": "1", "idProperty": name, "properties": {}}], 400)
        assert refused["message"] == f"Unable to perform update/upsert by non-unique 0-1 property {name} in portal ID 44237313"


@shows("HubSpot: silent 200 for a malformed upsert")
def test_an_upsert_of_another_shape_is_a_success_with_no_results(portal: Portal) -> None:
    assert portal.post(f"{CONTACTS}/batch/upsert", {"records": [{"email": "a@b.example"}]})["results"] == []
    portal.options.silent_malformed_upsert = False
    portal.post(f"{CONTACTS}/batch/upsert", {"records": []}, 400)


def test_a_batch_archives_what_is_there(portal: Portal) -> None:
    ids = [r["id"] for r in batch(portal, "create", people("a@b.example", "c@d.example"), 201)["results"]]
    portal.send("POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": i} for i in [*ids, ids[0], "5"]]}, 204)
    assert portal.store.deleted_people()[-2:] == ids


@pytest.mark.parametrize("call", ["create", "update", "upsert", "archive", "read"])
def test_more_than_a_hundred_inputs_are_refused(portal: Portal, call: str) -> None:
    inputs = [{"id": str(n), "idProperty": "email", "properties": {}} for n in range(101)]
    assert "Found 101" in batch(portal, call, inputs, 400)["message"]
