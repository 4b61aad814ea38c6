"""The same calls under their other names: the fourth version's objects, and the versions that are named by a date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.hubspot_portal import Portal

CHANCE = {"metadata": {"probability": "0.5"}, "displayOrder": 1}


@pytest.fixture
def portal(serve: Callable) -> Portal:
    return Portal(serve)


@pytest.mark.parametrize("root", ["/crm/v3/objects", "/crm/v4/objects", "/crm/objects/2026-03", "/crm/objects/2026-09-beta"])
@pytest.mark.parametrize("kind", ["contacts", "contact", "0-1"])
def test_a_contacts_life_is_the_same_by_every_name(portal: Portal, root: str, kind: str) -> None:
    path = f"{root}/{kind}"
    one = portal.post(path, {"properties": {"email": "one@new.example"}}, 201)["id"]
    assert portal.get(f"{path}/{one}", properties="email") == portal.get(f"/crm/v3/objects/contacts/{one}", properties="email")
    assert portal.send("PATCH", f"{path}/{one}", {"properties": {"firstname": "Ann"}})["properties"]["firstname"] == "Ann"
    assert portal.get(path, limit=2)["results"] == portal.get("/crm/v3/objects/contacts", limit=2)["results"]
    found = portal.post(f"{path}/search", {"filters": [{"propertyName": "email", "operator": "EQ", "value": "one@new.example"}]})
    assert [r["id"] for r in found["results"]] == [one]

    def batch(call: str, status: int, *inputs: dict[str, Any]) -> list[str]:
        return [r["id"] for r in portal.post(f"{path}/batch/{call}", {"inputs": list(inputs)}, status)["results"]]

    two, three = batch("create", 201, *({"properties": {"email": f"{name}@new.example"}} for name in ("two", "three")))
    assert batch("read", 200, {"id": two}, {"id": three}) == [two, three]
    assert batch("update", 200, {"id": two, "properties": {"lastname": "Lee"}}) == [two]
    assert batch("upsert", 200, {"id": "three@new.example", "idProperty": "email", "properties": {"lastname": "May"}}) == [three]
    assert portal.post(f"{path}/merge", {"primaryObjectId": one, "objectIdToMerge": two})["id"] == one
    portal.send("POST", f"{path}/gdpr-delete", {"objectId": three}, 204)
    portal.send("DELETE", f"{path}/{one}", None, 204)
    portal.get(f"{path}/{one}", 404)
    four = portal.post(path, {"properties": {"email": "four@new.example"}}, 201)["id"]
    portal.send("POST", f"{path}/batch/archive", {"inputs": [{"id": four}]}, 204)
    portal.get(f"{path}/{four}", 404)


@pytest.mark.parametrize("objects", ["/crm/v3/objects", "/crm/v4/objects", "/crm/objects/2026-09"])
@pytest.mark.parametrize("links", ["/crm/v4/associations", "/crm/associations/2026-09"])
def test_links_are_made_and_ended_by_every_name(portal: Portal, objects: str, links: str) -> None:
    contact = portal.post("/crm/v3/objects/contacts", {"properties": {"email": "one@new.example"}}, 201)["id"]
    company = portal.post("/crm/v3/objects/companies", {"properties": {"name": "Acme"}}, 201)["id"]
    end, pair = f"{objects}/contacts/{contact}/associations/companies", f"{links}/contacts/companies"
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    inputs = {"inputs": [{"from": {"id": contact}, "to": {"id": company}, "types": [spec]}]}

    def linked() -> bool:
        return bool(portal.get(f"/crm/v4/objects/contacts/{contact}/associations/companies")["results"])

    portal.send("PUT", f"{objects}/contacts/{contact}/associations/default/companies/{company}", None)
    assert linked()
    assert len(portal.get(end)["results"]) >= 1
    portal.send("DELETE", f"{end}/{company}", None, 204)
    assert not linked()
    portal.send("PUT", f"{end}/{company}", [spec], 201)
    assert portal.post(f"{pair}/batch/read", {"inputs": [{"id": contact}]})["results"][0]["to"][0]["toObjectId"] == int(company)
    portal.send("POST", f"{pair}/batch/archive", {"inputs": [{"from": {"id": contact}, "to": [{"id": company}]}]}, 204)
    assert not linked()
    portal.post(f"{pair}/batch/create", inputs, 201)
    portal.send("POST", f"{pair}/batch/labels/archive", inputs, 204)
    portal.send("POST", f"{pair}/batch/associate/default", {"inputs": [{"from": {"id": contact}, "to": {"id": company}}]})
    assert linked()


def test_labels_have_dated_names_too(portal: Portal) -> None:
    path = "/crm/associations/2026-03/contacts/companies/labels"
    made = portal.post(path, {"label": "Adviser", "name": "adviser"})["results"]
    number = next(label["typeId"] for label in made if label["label"] == "Adviser")
    portal.send("PUT", path, {"associationTypeId": number, "label": "Counsel"}, 204)
    assert portal.get(path) == portal.get("/crm/v4/associations/contacts/companies/labels")
    assert "Counsel" in {label["label"] for label in portal.get(path)["results"]}
    portal.send("DELETE", f"{path}/{number}", None, 204)


@pytest.mark.parametrize("root", ["/crm/v3/properties", "/crm/properties/2026-09"])
def test_definitions_are_made_and_archived_by_every_name(portal: Portal, root: str) -> None:
    path = f"{root}/contacts"
    tea = {"name": "tea", "label": "Tea", "type": "string", "fieldType": "text", "groupName": "likes"}
    portal.post(f"{path}/groups", {"name": "likes", "label": "Likes"}, 201)
    assert portal.send("PATCH", f"{path}/groups/likes", {"label": "Tastes"})["label"] == "Tastes"
    assert portal.get(f"{path}/groups/likes") in portal.get(f"{path}/groups")["results"]
    portal.post(path, tea, 201)
    assert portal.send("PATCH", f"{path}/tea", {"label": "Brew"})["label"] == "Brew"
    assert portal.get(f"{path}/tea") in portal.get(path)["results"]
    portal.send("DELETE", f"{path}/tea", None, 204)
    portal.post(f"{path}/batch/create", {"inputs": [{**tea, "name": "cake"}]}, 201)
    assert portal.post(f"{path}/batch/read", {"inputs": [{"name": "cake"}]})["results"][0]["name"] == "cake"
    portal.send("POST", f"{path}/batch/archive", {"inputs": [{"name": "cake"}]}, 204)
    portal.send("DELETE", f"{path}/groups/likes", None, 204)
    assert portal.get(path, dataSensitivity="sensitive")["results"] == []


@pytest.mark.parametrize("root", ["/crm/v3/pipelines", "/crm/pipelines/2026-03"])
def test_pipelines_are_made_and_removed_by_every_name(portal: Portal, root: str) -> None:
    path = f"{root}/0-3"
    body = {"label": "Renewals", "displayOrder": 1, "stages": [{"label": label, **CHANCE} for label in ("A", "B")]}
    made = portal.post(path, body, 201)["id"]
    assert portal.send("PUT", f"{path}/{made}", {**body, "label": "Again"})["label"] == "Again"
    assert portal.send("PATCH", f"{path}/{made}", {"label": "Once more"}) == portal.get(f"{path}/{made}")
    stage = portal.post(f"{path}/{made}/stages", {"label": "C", **CHANCE}, 201)["id"]
    portal.send("PUT", f"{path}/{made}/stages/{stage}", {"label": "D", **CHANCE})
    assert portal.send("PATCH", f"{path}/{made}/stages/{stage}", {"label": "E"}) == portal.get(f"{path}/{made}/stages/{stage}")
    assert len(portal.get(f"{path}/{made}/stages")["results"]) == 3
    assert len(portal.get(f"{path}/{made}/audit")["results"]) == len(portal.get(f"{path}/{made}/stages/{stage}/audit")["results"]) == 3
    portal.send("DELETE", f"{path}/{made}/stages/{stage}", None, 204)
    portal.send("DELETE", f"{path}/{made}", None, 204)
    assert [p["id"] for p in portal.get(path)["results"]] == ["default"]


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("/crm/owners/2026-09", "/crm/v3/owners"),
        ("/crm/owners/2026-09/{owner}", "/crm/v3/owners/{owner}"),
        ("/crm-object-schemas/2026-03/schemas", "/crm/v3/schemas"),
        ("/crm-object-schemas/2026-03/schemas/0-1", "/crm/v3/schemas/contacts"),
    ],
)
def test_what_surrounds_records_reads_the_same_by_every_name(portal: Portal, path: str, same: str) -> None:
    owner = portal.get("/crm/v3/owners")["results"][0]["id"]
    assert portal.get(path.format(owner=owner)) == portal.get(same.format(owner=owner))


@pytest.mark.parametrize("version", ["2026-05", "v5", "2026-09-alpha", "1999-09"])
def test_versions_that_there_are_not_are_refused(portal: Portal, version: str) -> None:
    portal.get(f"/crm/objects/{version}/contacts", 404)
