from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines.crm_integrations.writes import CLEAR, Value
from tests.sandbox.faulty import Faulty
from tests.sources.known_failures import known_failure
from tests.writes.writing import Writing, creates, update, writing


@pytest.fixture
def hubspot(sandbox: Faulty) -> Writing:
    return writing(sandbox, "hubspot")


def people(n: int, tag: str, **more: str) -> list[dict[str, Value]]:
    return [{"email": f"{tag}{i}@writes.example.com", "lastname": f"Writer {i}", **more} for i in range(n)]


@known_failure("Atlas-Authority/marketing-automation#174")
def test_one_wrong_value_in_100_leaves_its_neighbours_as_they_are(hubspot: Writing) -> None:
    records = people(100, "bisect")
    records[61]["email"] = "not an address"
    results = hubspot.write("contacts", creates("contacts", *records))
    assert [r.outcome for r in results].count("created") == 99
    assert (results[61].outcome, results[61].code, results[61].reason) == ("rejected", "INVALID_EMAIL", "email: INVALID_EMAIL")
    assert hubspot.calls <= 1 + 2 * 7  # halved seven times


def test_a_wrong_value_of_a_field_that_one_row_has_costs_one_call_more(hubspot: Writing) -> None:
    records = people(100, "named")
    records[5]["hs_lead_status"] = "NO_SUCH_STATUS"
    results = hubspot.write("contacts", creates("contacts", *records))
    assert (results[5].code, [r.outcome for r in results].count("created"), hubspot.calls) == ("INVALID_OPTION", 99, 2)


def test_a_property_that_does_not_exist_is_not_looked_for_row_by_row(sandbox: Faulty, hubspot: Writing) -> None:
    records = people(60, "unfit", first000name="x")
    del records[7]["first000name"]
    results = hubspot.write("contacts", creates("contacts", *records))
    assert {(r.outcome, r.code, r.retryable) for r in [*results[:7], *results[8:]]} == {("rejected", "PROPERTY_DOESNT_EXIST", False)}
    assert (results[7].outcome, hubspot.calls) == ("created", 2)
    one_at_a_time = writing(sandbox, "hubspot", concurrent_calls=1)
    results = one_at_a_time.write("contacts", creates("contacts", *people(500, "unfits", first000name="x")))
    assert {r.code for r in results} == {"PROPERTY_DOESNT_EXIST"} and one_at_a_time.calls == 1


def test_a_property_that_cannot_be_set_is_refused_and_named(hubspot: Writing) -> None:
    [record] = hubspot.made("contacts", *people(1, "readonly"))
    [result] = hubspot.write("contacts", [update("contacts", record, hs_object_id="1", lastname="Changed")])
    assert (result.outcome, result.code, result.reason) == ("rejected", "READ_ONLY_VALUE", "hs_object_id: READ_ONLY_VALUE")


@known_failure(
    "HubSpot/hubspot-api-python#51",
    "HubSpot/hubspot-api-nodejs#545",
    "PipedreamHQ/pipedream#11236",
    "airbytehq/airbyte#76340",
    "HubSpot/hubspot-api-ruby#325",
)
def test_every_conflict_of_a_batch_names_the_record_in_the_way(sandbox: Faulty, hubspot: Writing) -> None:
    there = hubspot.made("contacts", *people(2, "conflict"))
    # A search would not see them yet.
    sandbox.option("hubspot", search_lag_seconds=3600)
    results = hubspot.write("contacts", creates("contacts", *people(5, "conflict")))
    assert [r.outcome for r in results] == ["rejected", "rejected", "created", "created", "created"]
    assert [(r.code, r.id, r.candidates) for r in results[:2]] == [("CONFLICT", i, (i,)) for i in there]
    assert hubspot.calls == 1
    assert "@" not in (results[0].reason or "")


def test_a_change_to_anothers_address_is_refused(hubspot: Writing) -> None:
    one, two = hubspot.made("contacts", *people(2, "taken"))
    results = hubspot.write("contacts", [update("contacts", two, email="TAKEN0@writes.example.com"), update("contacts", one, lastname="A")])
    assert [(r.outcome, r.code, r.id) for r in results] == [("rejected", "CONFLICT", one), ("updated", None, one)]


def test_the_same_address_twice_in_whatever_case_makes_one_contact(hubspot: Writing) -> None:
    records = [
        {"email": e, "lastname": "Twin"} for e in ("twin@writes.example.com", " Twin@Writes.example.com", "other.twin@writes.example.com")
    ]
    results = hubspot.write("contacts", creates("contacts", *records))
    assert [r.outcome for r in results] == ["created", "rejected", "created"]
    assert (results[1].code, results[1].id) == ("CONFLICT", results[0].id)
    assert hubspot.calls == 2


@known_failure("segmentio/action-destinations#3957", "HubSpot/hubspot-api-nodejs#548")
def test_updates_are_by_id_and_have_an_effect(hubspot: Writing) -> None:
    ids = hubspot.made("contacts", *people(3, "byid"))
    results = hubspot.write("contacts", [update("contacts", i, lastname=f"Changed {n}") for n, i in enumerate(ids)])
    assert [(r.outcome, r.id) for r in results] == [("updated", i) for i in ids]
    found = hubspot.read("contacts", ids, "lastname", "email")
    assert [found[i].values["lastname"] for i in ids] == ["Changed 0", "Changed 1", "Changed 2"]


@known_failure("HubSpot/hubspot-api-python#85", "HubSpot/hubspot-api-nodejs#6")
def test_updates_of_records_that_are_gone_say_where_they_went(sandbox: Faulty, hubspot: Writing) -> None:
    alive, archived, loser, survivor = hubspot.made("contacts", *people(4, "gone"))
    hubspot.delete("contacts", [archived])
    merge = {"primaryObjectId": survivor, "objectIdToMerge": loser}
    assert sandbox.call("hubspot", "/crm/v3/objects/contacts/merge", method="POST", json=merge).status_code == 200
    ids = [alive, archived, loser, "999999999"]
    results = hubspot.write("contacts", [update("contacts", i, lastname="New") for i in ids])
    assert [(r.outcome, r.code, r.id) for r in results] == [
        ("updated", None, alive), ("rejected", "DELETED", archived), ("rejected", "MERGED", survivor), ("rejected", "NOT_FOUND", "999999999")
    ]  # fmt: skip
    assert [(r.code, r.id) for r in hubspot.write("contacts", [update("contacts", loser, lastname="Alone")])] == [("MERGED", survivor)]
    found = hubspot.read("contacts", [*ids, "no id"], "lastname")
    assert {i: (r.state, r.moved_to) for i, r in found.items()} == {
        alive: ("live", None), archived: ("deleted", None), loser: ("merged", survivor)
    }  # fmt: skip


def test_an_earlier_lifecycle_stage_is_reported_as_ignored(hubspot: Writing) -> None:
    one, two, three = hubspot.made("contacts", *people(3, "stage", lifecyclestage="customer"))
    results = hubspot.write(
        "contacts",
        [
            update("contacts", one, lifecyclestage="lead"),
            update("contacts", two, lifecyclestage="lead", lastname="Kept"),
            update("contacts", three, lifecyclestage="evangelist"),
        ],
    )
    assert [(r.outcome, r.ignored, r.code) for r in results] == [
        ("unchanged", ("lifecyclestage",), "IGNORED"), ("updated", ("lifecyclestage",), "IGNORED"), ("updated", (), None)
    ]  # fmt: skip
    assert hubspot.read("contacts", [two], "lastname", "lifecyclestage")[two].values == {"lastname": "Kept", "lifecyclestage": "customer"}


def test_a_stage_goes_back_when_it_is_cleared_by_a_write_of_its_own_before(hubspot: Writing) -> None:
    [record] = hubspot.made("contacts", *people(1, "back", lifecyclestage="customer"))
    writes = [update("contacts", record, "clear", lifecyclestage=CLEAR), update("contacts", record, "set", lifecyclestage="lead")]
    assert [(r.outcome, r.ignored) for r in hubspot.write("contacts", writes)] == [("updated", ()), ("updated", ())]
    assert hubspot.read("contacts", [record], "lifecyclestage")[record].values == {"lifecyclestage": "lead"}


def test_values_have_hubspots_form_and_what_is_not_named_stays(sandbox: Faulty, hubspot: Writing) -> None:
    for name, kind, field in (("write_flag", "bool", "booleancheckbox"), ("write_day", "date", "date")):
        body: dict[str, Any] = {"name": name, "label": name, "type": kind, "fieldType": field, "groupName": "contactinformation"}
        if kind == "bool":
            body["options"] = [{"label": v, "value": v, "displayOrder": n} for n, v in enumerate(("true", "false"))]
        made = sandbox.call("hubspot", "/crm/v3/properties/contacts", method="POST", json=body)
        assert made.status_code == 201, made.text
    [contact] = hubspot.made(
        "contacts",
        {"email": "forms@writes.example.com", "jobtitle": "CEO", "write_flag": True, "write_day": date(2026, 2, 28), "lastname": "F"},
    )
    moment = datetime(2026, 5, 4, 10, 0, 0, 125_000, UTC)
    [deal] = hubspot.made("deals", {"dealname": "Forms", "amount": 0.00001, "closedate": moment, "dealstage": "closedwon"})
    hubspot.write("contacts", [update("contacts", contact, jobtitle=CLEAR, lastname="")])
    read = hubspot.read("contacts", [contact], "jobtitle", "lastname", "write_flag", "write_day", "email")[contact].values
    assert read == {
        "jobtitle": "", "lastname": "", "write_flag": "true", "write_day": "2026-02-28", "email": "forms@writes.example.com"
    }  # fmt: skip
    assert hubspot.read("deals", [deal], "amount", "closedate")[deal].values == {
        "amount": "0.00001",
        "closedate": "2026-05-04T10:00:00.125Z",
    }
    hubspot.write("deals", [update("deals", deal, closedate=date(2026, 6, 1), amount=7)])
    assert hubspot.read("deals", [deal], "amount", "closedate")[deal].values == {"amount": "7", "closedate": "2026-06-01T00:00:00Z"}


def test_a_contact_is_found_by_any_case_and_by_the_address_that_a_merge_brought(sandbox: Faulty, hubspot: Writing) -> None:
    keep, lose = hubspot.made("contacts", *people(2, "find"))
    merge = {"primaryObjectId": keep, "objectIdToMerge": lose}
    sandbox.call("hubspot", "/crm/v3/objects/contacts/merge", method="POST", json=merge)
    sandbox.option("hubspot", search_lag_seconds=3600)
    asked = [" FIND0@writes.example.com", "find0@writes.example.com", "find1@writes.example.com", "nobody@writes.example.com", ""]
    found = hubspot.find("contacts", "email", asked, "lastname")
    assert {value: [r.id for r in records] for value, records in found.items()} == {value: [keep] for value in asked[:3]}


def test_what_no_property_makes_unique_is_searched_for(hubspot: Writing) -> None:
    ids = hubspot.made("companies", {"name": "Several", "domain": "several.writes.example.com"}, {"name": "Several"})
    found = hubspot.find("companies", "name", ["several", "None such"], "domain")
    assert {r.id for r in found["several"]} == set(ids) and len(found) == 1


def test_a_create_whose_answer_is_lost_is_unknown_and_is_not_sent_again(sandbox: Faulty, hubspot: Writing) -> None:
    sandbox.set("hubspot", "drop", done=True, path="POST *batch/create*", count=1)
    [result] = hubspot.write("contacts", creates("contacts", *people(1, "once")))
    assert (result.outcome, result.code, result.retryable, hubspot.calls) == ("unknown", "NO_ANSWER", False, 1)
    assert len(hubspot.find("contacts", "email", ["once0@writes.example.com"])) == 1


@pytest.mark.parametrize("fault", ["locked", "rate_limit"])
def test_a_call_that_was_not_carried_out_is_sent_again(sandbox: Faulty, hubspot: Writing, fault: str) -> None:
    more = {"retry_after": 0.01} if fault == "rate_limit" else {}
    sandbox.set("hubspot", fault, path="POST *batch/create*", count=1, **more)
    assert [r.outcome for r in hubspot.write("contacts", creates("contacts", *people(1, fault)))] == ["created"]


def test_an_update_is_sent_again_after_errors_of_the_server(sandbox: Faulty, hubspot: Writing) -> None:
    [record] = hubspot.made("contacts", *people(1, "again"))
    sandbox.set("hubspot", "server_error", status=502, done=True, path="POST *batch/update*", count=2)
    assert [r.outcome for r in hubspot.write("contacts", [update("contacts", record, lastname="Again")])] == ["updated"]


def test_a_crm_that_is_down_stops_the_rest(sandbox: Faulty) -> None:
    hubspot = writing(sandbox, "hubspot", max_attempts=1, concurrent_calls=1)
    sandbox.set("hubspot", "drop", path="POST *batch/create*")
    results = hubspot.write("contacts", creates("contacts", *people(600, "down")))
    assert [r.outcome for r in results] == ["unknown"] * 300 + ["rejected"] * 300
    assert {(r.code, r.retryable) for r in results[300:]} == {("UNREACHABLE", True)} and hubspot.calls == 3


def test_a_missing_scope_stops_the_rest_unsent(sandbox: Faulty) -> None:
    hubspot = writing(sandbox, "hubspot", concurrent_calls=1)
    sandbox.set("hubspot", "permission", path="POST *batch/create*", scope="crm.objects.contacts.write")
    results = hubspot.write("contacts", creates("contacts", *people(300, "scope")))
    assert {(r.outcome, r.code) for r in results} == {("rejected", "PERMISSION")} and hubspot.calls == 1
    assert "crm.objects.contacts.write" in (results[0].reason or "")


def answering(body: dict[str, Any], status: int = 200) -> Starlette:
    async def handle(request: Request) -> JSONResponse:
        return JSONResponse(body, status)

    return Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])


def at(url: str) -> Writing:
    return Writing("hubspot", {"access_token": "pat-na1-sandbox", "base_url": url})


def test_a_success_without_results_is_no_success(serve: Callable[[ASGIApp], str]) -> None:
    hubspot = at(serve(answering({"status": "COMPLETE", "results": []})))
    results = hubspot.write("contacts", creates("contacts", *people(3, "silent")))
    assert {(r.outcome, r.code) for r in results} == {("unknown", "NO_ANSWER")}


def test_a_row_that_the_answer_leaves_out_is_unknown(serve: Callable[[ASGIApp], str]) -> None:
    answer = {"status": "COMPLETE", "results": [{"id": "7", "properties": {}, "objectWriteTraceId": "1"}]}
    results = at(serve(answering(answer, 201))).write("contacts", creates("contacts", *people(2, "silent")))
    assert [(r.outcome, r.id, r.code) for r in results] == [("unknown", None, "NO_RESULT"), ("created", "7", None)]


def test_a_conflict_without_trace_ids_is_narrowed_down_to_its_row(serve: Callable[[ASGIApp], str]) -> None:
    async def handle(request: Request) -> JSONResponse:
        inputs = (await request.json())["inputs"]
        if any(i["properties"]["email"] == "c2@writes.example.com" for i in inputs):
            shown = " Existing ID: 42" if len(inputs) == 1 else ""
            return JSONResponse({"status": "error", "message": f"Contact already exists.{shown}", "category": "CONFLICT"}, 409)
        results = [{"id": i["properties"]["email"][1], "objectWriteTraceId": i["objectWriteTraceId"]} for i in inputs]
        return JSONResponse({"status": "COMPLETE", "results": results}, 201)

    url = serve(Starlette(routes=[Route("/{path:path}", handle, methods=["POST"])]))
    results = at(url).write("contacts", creates("contacts", *people(5, "c")))
    assert [(r.outcome, r.id) for r in results] == [
        ("created", "0"), ("created", "1"), ("rejected", "42"), ("created", "3"), ("created", "4")
    ]  # fmt: skip


def test_archived_and_erased(sandbox: Faulty, hubspot: Writing) -> None:
    ids = hubspot.made("contacts", *people(4, "delete"))
    assert [r.outcome for r in hubspot.delete("contacts", ids[:2])] == ["deleted", "deleted"]
    assert hubspot.calls == 1
    erased = hubspot.delete("contacts", [*ids[1:], "999999999"], forget=True)
    assert [(r.key, r.outcome) for r in erased] == [*((i, "deleted") for i in ids[1:]), ("999999999", "unchanged")]
    assert {i: r.state for i, r in hubspot.read("contacts", ids).items()} == {ids[0]: "deleted"}


def test_reading_many_takes_a_call_for_100(hubspot: Writing) -> None:
    ids = hubspot.made("contacts", *people(150, "many"))
    assert len(hubspot.read("contacts", ids, "email")) == 150
    assert hubspot.calls == 2
