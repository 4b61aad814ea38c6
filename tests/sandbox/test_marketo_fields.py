"""Custom lead fields of the emulated Marketo: added and changed through the API, by everyday changes, and after a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.sandbox.change import apply_changes
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sandbox.store import HasCustomFields
from tests.sandbox.marketo_calls import Caller
from tests.sandbox.running import running

SCHEMA = "/rest/v1/leads/schema/fields"
AT = datetime(2026, 9, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=60)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture
def call(serve: Callable, store: MarketoStore) -> Caller:
    return Caller(serve(app(store)))


def create(call: Caller, *fields: dict[str, Any]) -> list[str]:
    """Each field's status, or the code of its reason."""
    answer = call.post(f"{SCHEMA}.json", {"input": list(fields)})
    assert answer["success"], answer
    return [r["reasons"][0]["code"] if "reasons" in r else r["status"] for r in answer["result"]]


def described(call: Caller) -> dict[str, dict[str, Any]]:
    return {f["rest"]["name"]: f for f in call.get("/rest/v1/leads/describe.json")["result"] if "rest" in f}


def test_an_added_field_is_described_written_read_found_and_exported(call: Caller):
    before = described(call)
    shoe = {"name": "shoeSize", "displayName": "Shoe Size", "dataType": "score", "description": "In Paris points"}
    assert create(call, shoe, {"name": "isMember", "displayName": "Member", "dataType": "boolean"}) == ["created", "created"]
    added = {name: f for name, f in described(call).items() if name not in before}
    assert [(f["displayName"], f["dataType"]) for f in added.values()] == [("Shoe Size", "integer"), ("Member", "boolean")]
    assert ["shoeSize"] in call.get("/rest/v1/leads/describe2.json")["result"][0]["searchableFields"]
    (shown,) = call.get(f"{SCHEMA}/shoeSize.json")["result"]
    assert (shown["description"], shown["isCustom"], shown["isApiCreated"]) == ("In Paris points", True, True)
    old = call.get("/rest/v1/lead/1.json", fields="shoeSize,isMember")["result"]
    assert old == [{"shoeSize": None, "isMember": False}]
    made = call.post("/rest/v1/leads.json", {"input": [{"email": "foot@new.example", "shoeSize": "43"}]})["result"][0]["id"]
    call.post("/rest/v1/leads.json", {"action": "updateOnly", "lookupField": "id", "input": [{"id": 1, "shoeSize": 44, "isMember": True}]})
    found = call.get("/rest/v1/leads.json", filterType="shoeSize", filterValues="43,44", fields="id,shoeSize,isMember")["result"]
    assert found == [{"id": made, "shoeSize": 43, "isMember": False}, {"id": 1, "shoeSize": 44, "isMember": True}]
    token = call.get("/rest/v1/activities/pagingtoken.json", sinceDatetime="2026-01-01T00:00:00Z")["nextPageToken"]
    changes: list[Any] = []
    while True:
        page = call.get("/rest/v1/activities/leadchanges.json", nextPageToken=token, fields="shoeSize")
        changes += [f for c in page["result"] for f in c["fields"] if f["name"] == "shoeSize"]
        token = page["nextPageToken"]
        if not page["moreResult"]:
            break
    assert changes == [{"id": added["shoeSize"]["id"], "name": "shoeSize", "newValue": "44", "oldValue": None}]
    body = {"fields": ["id", "shoeSize"], "filter": {"staticListId": call.get("/rest/v1/lists.json")["result"][0]["id"]}}
    assert call.post("/bulk/v1/leads/export/create.json", body)["success"]


def test_a_field_that_is_wrong_or_there_already_is_skipped_with_its_reason(call: Caller):
    good = {"displayName": "New", "dataType": "string"}
    assert create(
        call, {**good, "name": "EMAIL"}, {**good, "name": "my field"}, {**good, "name": "ok", "dataType": "reference"},
        {"name": "ok", "dataType": "string"}, {**good, "name": "ok", "isHidden": "yes"}, {**good, "name": "ok"}, {**good, "name": "ok"},
    ) == ["1005", "1003", "1003", "1003", "1003", "created", "1005"]  # fmt: skip
    assert call.error(f"{SCHEMA}/nothing.json") == "1006"


def test_a_renamed_field_has_another_label_and_keeps_its_name_and_its_values(call: Caller):
    assert create(call, {"name": "hobby", "displayName": "Hobby", "dataType": "string"}) == ["created"]
    lead = call.post("/rest/v1/leads.json", {"input": [{"email": "hobby@new.example", "hobby": "chess"}]})["result"][0]["id"]
    number = described(call)["hobby"]["id"]
    changed = call.post(f"{SCHEMA}/hobby.json", {"input": [{"displayName": "Pastime", "isHidden": True, "isSensitive": True}]})
    assert changed["result"] == [{"name": "hobby", "status": "updated"}]
    assert (described(call)["hobby"]["id"], described(call)["hobby"]["displayName"]) == (number, "Pastime")
    (shown,) = call.get(f"{SCHEMA}/hobby.json")["result"]
    assert (shown["isHidden"], shown["isSensitive"], shown["isHtmlEncodingInEmail"]) == (True, True, True)
    assert call.get(f"/rest/v1/lead/{lead}.json", fields="hobby")["result"] == [{"hobby": "chess"}]


def test_a_field_of_marketos_own_keeps_its_label(call: Caller):
    refused = call.post(f"{SCHEMA}/leadScore.json", {"input": [{"displayName": "Points"}]})["result"]
    assert [(r["status"], r["reasons"][0]["code"]) for r in refused] == [("skipped", "1003")]
    assert call.post(f"{SCHEMA}/leadScore.json", {"input": [{"description": "Sum"}]})["result"][0]["status"] == "updated"
    assert (described(call)["leadScore"]["displayName"], call.get(f"{SCHEMA}/leadScore.json")["result"][0]["description"]) == (
        "Lead Score",
        "Sum",
    )


def test_everyday_changes_add_and_rename_fields(call: Caller, store: MarketoStore):
    assert isinstance(store, HasCustomFields)
    done = [c for seed in range(12) for c in apply_changes({"marketo": store}, seed, AT.replace(day=1 + seed), 60)]
    added = [c["id"] for c in done if c["op"] == "add_field"]
    renamed = [c["id"] for c in done if c["op"] == "rename_field"]
    assert added
    assert renamed
    assert set(renamed) <= set(added) == set(store.added_fields())
    fields = described(call)
    assert set(added) <= fields.keys()
    assert all(fields[name]["displayName"] != name.replace("everyday", "Everyday ") for name in set(renamed))


def test_an_added_field_and_its_values_are_there_after_a_restart(tmp_path: Path):
    def look(call: Caller) -> Any:
        lead = call.get("/rest/v1/leads.json", filterType="hobby", filterValues="chess", fields="id,hobby,updatedAt")["result"]
        return lead, described(call)["hobby"], call.get(f"{SCHEMA}/hobby.json")["result"]

    with running(tmp_path) as server:
        call = Caller(server.addresses.url("marketo"))
        assert create(call, {"name": "hobby", "displayName": "Hobby", "dataType": "string"}) == ["created"]
        call.post(f"{SCHEMA}/hobby.json", {"input": [{"displayName": "Pastime"}]})
        call.post("/rest/v1/leads.json", {"input": [{"email": "hobby@new.example", "hobby": "chess"}]})
        seen = look(call)
        assert (len(seen[0]), seen[1]["displayName"]) == (1, "Pastime")
    with running(tmp_path) as server:
        assert look(Caller(server.addresses.url("marketo"))) == seen
