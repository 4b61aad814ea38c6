from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal

Serve = Callable[[ASGIApp], str]
PROPERTIES = "/crm/v3/properties/contacts"
COLOR = {
    "name": "color", "label": "Colour", "type": "enumeration", "fieldType": "select", "groupName": "contactinformation",
    "options": [{"label": "Red", "value": "red"}, {"label": "Blue", "value": "blue"}],
}  # fmt: skip


@pytest.fixture
def portal(serve: Serve) -> Portal:
    return Portal(serve)


def test_a_new_property_can_be_written_read_and_searched(portal: Portal) -> None:
    made = portal.post(PROPERTIES, COLOR, 201)
    assert (made["hubspotDefined"], made["archived"], [o["value"] for o in made["options"]]) == (False, False, ["red", "blue"])
    person = portal.post("/crm/v3/objects/contacts", {"properties": {"color": "red"}}, 201)["id"]
    assert portal.post("/crm/v3/objects/contacts", {"properties": {"color": "green"}}, 400)["errors"][0]["code"] == "INVALID_OPTION"
    read = portal.get(f"/crm/v3/objects/contacts/{person}", properties="color")
    assert read["properties"]["color"] == "red"
    assert portal.search("contacts", filters=[{"propertyName": "color", "operator": "EQ", "value": "red"}])["total"] == 1


def test_an_archived_property_is_unknown_and_listed_among_the_archived(portal: Portal) -> None:
    portal.post(PROPERTIES, COLOR, 201)
    person = portal.post("/crm/v3/objects/contacts", {"properties": {"color": "red"}}, 201)["id"]
    portal.send("DELETE", f"{PROPERTIES}/color", None, 204)
    portal.get(f"{PROPERTIES}/color", 404)
    assert [(p["name"], p["archived"]) for p in portal.get(PROPERTIES, archived="true")["results"]] == [("color", True)]
    assert "color" not in portal.get(f"/crm/v3/objects/contacts/{person}", properties="color")["properties"]
    portal.post("/crm/v3/objects/contacts", {"properties": {"color": "red"}}, 400)
    portal.search("contacts", 400, filters=[{"propertyName": "color", "operator": "HAS_PROPERTY"}])
    portal.send("DELETE", f"{PROPERTIES}/email", None, 400)


def test_a_property_is_changed_in_part(portal: Portal) -> None:
    made = portal.post(PROPERTIES, COLOR, 201)
    changed = portal.send(
        "PATCH", f"{PROPERTIES}/color", {"label": "Paint", "options": [*COLOR["options"], {"label": "Green", "value": "green"}]}
    )
    assert (changed["label"], len(changed["options"]), changed["type"]) == ("Paint", 3, "enumeration")
    assert changed["updatedAt"] >= made["updatedAt"]
    assert portal.post("/crm/v3/objects/contacts", {"properties": {"color": "green"}}, 201)["properties"]["color"] == "green"
    portal.send("PATCH", f"{PROPERTIES}/email", {"type": "number"}, 400)


@pytest.mark.parametrize(
    "change",
    [{"name": "Bad Name"}, {"fieldType": "number"}, {"groupName": "nowhere"}, {"type": "blob"}, {"label": None}, {"options": "red"}],
)
def test_definitions_that_make_no_sense_are_refused(portal: Portal, change: dict[str, Any]) -> None:
    portal.post(PROPERTIES, {**COLOR, **change}, 400)


def test_a_name_that_is_taken_is_a_conflict_alone_and_in_a_batch(portal: Portal) -> None:
    assert portal.post(PROPERTIES, {**COLOR, "name": "email"}, 409)["category"] == "OBJECT_ALREADY_EXISTS"
    done = portal.post(f"{PROPERTIES}/batch/create", {"inputs": [{**COLOR, "name": "email"}, COLOR]}, 207)
    assert ([r["name"] for r in done["results"]], done["errors"][0]["context"]) == (["color"], {"name": ["email"]})
    read = portal.post(f"{PROPERTIES}/batch/read", {"inputs": [{"name": "color"}, {"name": "nothing"}]}, 207)
    assert [r["name"] for r in read["results"]] == ["color"]
    portal.send("POST", f"{PROPERTIES}/batch/archive", {"inputs": [{"name": "color"}, {"name": "nothing"}]}, 204)
    portal.get(f"{PROPERTIES}/color", 404)


def test_a_checkbox_takes_several_values_and_more_on_top(portal: Portal) -> None:
    portal.post(PROPERTIES, {**COLOR, "fieldType": "checkbox"}, 201)
    person = portal.post("/crm/v3/objects/contacts", {"properties": {"color": "red"}}, 201)["id"]
    path = f"/crm/v3/objects/contacts/{person}"
    assert portal.send("PATCH", path, {"properties": {"color": ";blue"}})["properties"]["color"] == "red;blue"
    assert portal.send("PATCH", path, {"properties": {"color": "blue"}})["properties"]["color"] == "blue"
    portal.send("PATCH", path, {"properties": {"color": "blue;green"}}, 400)


def test_groups_are_made_changed_and_removed_when_empty(portal: Portal) -> None:
    made = portal.post(f"{PROPERTIES}/groups", {"name": "looks", "label": "Looks", "displayOrder": 3}, 201)
    assert made == {"name": "looks", "label": "Looks", "displayOrder": 3, "archived": False}
    portal.post(f"{PROPERTIES}/groups", {"name": "looks", "label": "Looks"}, 409)
    portal.post(PROPERTIES, {**COLOR, "groupName": "looks"}, 201)
    assert portal.send("PATCH", f"{PROPERTIES}/groups/looks", {"label": "Appearance"})["label"] == "Appearance"
    portal.send("DELETE", f"{PROPERTIES}/groups/looks", None, 400)
    portal.send("DELETE", f"{PROPERTIES}/color", None, 204)
    portal.send("DELETE", f"{PROPERTIES}/groups/looks", None, 204)
    assert [g["name"] for g in portal.get(f"{PROPERTIES}/groups")["results"]] == ["contactinformation"]


def test_date_versions_know_the_same_definitions(portal: Portal) -> None:
    portal.post("/crm/properties/2026-09/0-1", COLOR, 201)
    assert portal.get("/crm/properties/2026-03/contact/color") == portal.get(f"{PROPERTIES}/color")


def test_the_older_apis_tell_of_properties_as_bare_lists(portal: Portal) -> None:
    deals = portal.get("/crm/v3/properties/deals")["results"]
    assert [p["name"] for p in portal.get("/properties/v1/deals/properties")] == [p["name"] for p in deals]
    companies = {p["name"]: p["type"] for p in portal.get("/companies/v2/properties")}
    assert companies["numberofemployees"] == "number"


@pytest.mark.parametrize("root", ["/crm/v3/schemas", "/crm-object-schemas/v3/schemas"])
def test_schemas_list_no_custom_objects_and_describe_the_others(serve: Serve, root: str) -> None:
    portal = Portal(serve)
    assert portal.get(root)["results"] == []
    schema = portal.get(f"{root}/deals")
    assert (schema["objectTypeId"], schema["labels"]["plural"]) == ("0-3", "Deals")
    assert {"id": "3", "name": "deal_to_contact", "fromObjectTypeId": "0-3", "toObjectTypeId": "0-1"} in schema["associations"]
    portal.options.withheld_scopes = frozenset({"crm.schemas.custom.read"})
    assert portal.get(root, 403)["category"] == "MISSING_SCOPES"
