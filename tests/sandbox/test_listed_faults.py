"""Faults that are listed for one CRM, switched on while the sandbox runs and seen in its answers; and each listed fault has such a test."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from cdp_pipelines.config import KINDS
from cdp_pipelines.sandbox.faults.kinds import FAULTS as KINDS_OF_FAULT
from cdp_pipelines.sandbox.faults.settings import SwitchError
from cdp_pipelines.sandbox.faults.switches import parse_fault, parse_option
from tests.marked import put_between
from tests.sandbox import listed_faults
from tests.sandbox.faulty import Faulty
from tests.sandbox.listed_faults import FAULTS, shows

CONTACTS, DEALS = "/crm/v3/objects/contacts", "/crm/v3/objects/deals"
EVER = {"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "2000-01-01T00:00:00Z"}], "sorts": ["hs_object_id"]}


@pytest.fixture
def sandbox(running: Faulty) -> Faulty:
    running.reset()
    running.option("hubspot", searches_per_second=None)
    return running


def answer(response: httpx2.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json()


def read(sandbox: Faulty, crm: str, path: str, status: int = 200, **params: Any) -> Any:
    return answer(sandbox.call(crm, path, params=params or None), status)


def send(sandbox: Faulty, crm: str, path: str, body: Any, method: str = "POST", status: int = 200) -> Any:
    return answer(sandbox.call(crm, path, method=method, json=body), status)


def search(sandbox: Faulty, kind: str = "contacts", **body: Any) -> Any:
    return send(sandbox, "hubspot", f"/crm/v3/objects/{kind}/search", body)


def new(sandbox: Faulty, **properties: str) -> str:
    return send(sandbox, "hubspot", CONTACTS, {"properties": properties}, status=201)["id"]


def properties(sandbox: Faulty, path: str, *names: str) -> dict[str, Any]:
    return read(sandbox, "hubspot", path, properties=",".join(names))["properties"]


def searched(sandbox: Faulty, limit: int, **body: Any) -> tuple[list[int], list[str]]:
    """The sizes of a search's pages, and all the ids."""
    sizes, ids, after = [], [], "0"
    while after:
        page = search(sandbox, limit=limit, after=after, **body)
        sizes.append(len(page["results"]))
        ids += [r["id"] for r in page["results"]]
        after = page.get("paging", {}).get("next", {}).get("after")
    return sizes, ids


@pytest.mark.parametrize("crm", KINDS)
@shows("All: 5xx storms")
def test_a_storm_of_errors_strikes_the_same_part_of_the_calls_each_time(sandbox: Faulty, crm: str) -> None:
    token, seen = sandbox.token(crm), []
    for _ in range(2):
        sandbox.control("DELETE", "/sandbox/faults")
        sandbox.set(crm, "server_error", status=502, rate=0.5, seed=4)
        seen.append([sandbox.call(crm, token=token).status_code for _ in range(20)])
    assert seen[0] == seen[1]
    assert 4 < seen[0].count(502) < 16
    assert set(seen[0]) == {200, 502}


@pytest.mark.parametrize("crm", KINDS)
@pytest.mark.parametrize("kind", ["rate_limit", "daily_quota"])
@shows("All: rate limit after so many calls", "Salesforce: limit after so many calls")
def test_a_limit_can_be_met_after_some_calls(sandbox: Faulty, crm: str, kind: str) -> None:
    token = sandbox.token(crm)
    sandbox.set(crm, kind, after=2)
    answers = [sandbox.call(crm, token=token) for _ in range(4)]
    refused = [a.status_code in (403, 429) or a.json().get("success") is False for a in answers]
    assert refused == [False, False, True, True]


@shows("HubSpot: 401 mid-run")
def test_a_token_can_expire_in_the_middle_of_a_list(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "token_expired", after=2)
    statuses = [sandbox.call("hubspot").status_code for _ in range(4)]
    assert statuses == [200, 200, 401, 200]


@shows("HubSpot: search lag of one object")
def test_search_can_be_late_for_one_object_only(sandbox: Faulty) -> None:
    sandbox.option("hubspot", search_lag_seconds=3600, search_lag_types=["contacts"])
    person = new(sandbox, firstname="Late")
    deal = send(sandbox, "hubspot", DEALS, {"properties": {"dealname": "Quick"}}, status=201)["id"]
    for kind, record, total in (("contacts", person, 0), ("deals", deal, 1)):
        found = search(sandbox, kind, filters=[{"propertyName": "hs_object_id", "operator": "EQ", "value": record}])
        assert found["total"] == total


@shows("HubSpot: short page with a next one")
def test_a_page_can_be_shorter_than_asked_for_and_have_a_next_one(sandbox: Faulty) -> None:
    _, whole = searched(sandbox, 200, **EVER)
    sandbox.option("hubspot", search_page_most=30)
    sizes, ids = searched(sandbox, 200, **EVER)
    assert ids == whole
    assert set(sizes[:-1]) == {30}


@shows("HubSpot: empty page with a next one")
def test_a_page_can_be_empty_and_have_a_next_one(sandbox: Faulty) -> None:
    _, whole = searched(sandbox, 50, **EVER)
    sandbox.option("hubspot", search_empty_pages=True)
    sizes, ids = searched(sandbox, 50, **EVER)
    assert ids == whole
    assert sizes[::2] == [0] * len(sizes[::2])
    nobody = search(sandbox, limit=50, filters=[{"propertyName": "email", "operator": "EQ", "value": "no@body.example"}])
    assert (nobody["total"], nobody["results"], "paging" in nobody) == (0, [], False)


@shows("HubSpot: more records than the cap in one millisecond")
def test_more_records_than_the_cap_can_share_a_moment(sandbox: Faulty) -> None:
    ids = searched(sandbox, 200, **EVER)[1][:60]
    inputs = [{"id": i, "properties": {"jobtitle": "Imported"}} for i in ids]
    changed = send(sandbox, "hubspot", f"{CONTACTS}/batch/update", {"inputs": inputs})["results"]
    (moment,) = {r["updatedAt"] for r in changed}
    sandbox.option("hubspot", search_cap=50)
    same: dict[str, Any] = {
        "filters": [{"propertyName": "lastmodifieddate", "operator": "EQ", "value": moment}],
        "sorts": ["hs_object_id"],
        "limit": 50,
    }
    first = search(sandbox, **same)
    assert (first["total"], len(first["results"])) == (60, 50)
    send(sandbox, "hubspot", f"{CONTACTS}/search", {**same, "after": "50"}, status=400)


@shows("HubSpot: rows outside the window")
def test_a_search_by_time_can_find_what_is_outside(sandbox: Faulty) -> None:
    since = properties(sandbox, f"{CONTACTS}/{new(sandbox, firstname='Inside')}", "lastmodifieddate")["lastmodifieddate"]
    window: dict[str, Any] = {
        "filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": since}],
        "sorts": ["hs_object_id"],
    }
    inside = search(sandbox, limit=200, **window)
    sandbox.option("hubspot", search_strays=3)
    found = search(sandbox, limit=200, **window)
    outside = [r for r in found["results"] if r["updatedAt"] < since]
    assert (len(outside), found["total"], len(found["results"])) == (3, inside["total"] + 3, inside["total"] + 3)
    by_name: dict[str, Any] = {"filters": [{"propertyName": "firstname", "operator": "EQ", "value": "Inside"}]}
    assert {r["properties"]["firstname"] for r in search(sandbox, properties=["firstname"], **by_name)["results"]} == {"Inside"}


@shows(
    "HubSpot: null values", "HubSpot: empty text as a value", "HubSpot: a moment as milliseconds", "HubSpot: digits of a binary double",
)  # fmt: skip
def test_values_come_in_every_form_that_real_portals_give(sandbox: Faulty) -> None:
    path = f"{CONTACTS}/{new(sandbox, email='forms@values.example', phone='+1 555')}"
    send(sandbox, "hubspot", path, {"properties": {"phone": ""}}, "PATCH")
    found = properties(sandbox, path, "phone", "mobilephone", "hs_lifecyclestage_lead_date")
    assert (found["phone"], found["mobilephone"]) == ("", None)
    assert len(found["hs_lifecyclestage_lead_date"]) == 13
    assert found["hs_lifecyclestage_lead_date"].isdigit()
    deal = send(sandbox, "hubspot", DEALS, {"properties": {"dealstage": "appointmentscheduled"}}, status=201)["id"]
    chance = properties(sandbox, f"{DEALS}/{deal}", "hs_deal_stage_probability")["hs_deal_stage_probability"]
    assert chance == "0.200000000000000011102230246251565404236316680908203125"


@shows("HubSpot: archived without a new modified date")
def test_archiving_is_no_modification(sandbox: Faulty) -> None:
    path = f"{CONTACTS}/{new(sandbox, firstname='Gone')}"
    before = read(sandbox, "hubspot", path)
    assert sandbox.call("hubspot", path, method="DELETE").status_code == 204
    after = read(sandbox, "hubspot", path, archived="true")
    assert (after["updatedAt"], after["archived"]) == (before["updatedAt"], True)
    assert after["archivedAt"] > before["updatedAt"]


@shows("HubSpot: association changed without a new modified date", "HubSpot: calculated value changed without a new modified date")
def test_links_and_what_is_counted_from_them_can_change_without_a_trace(sandbox: Faulty) -> None:
    deal = send(sandbox, "hubspot", DEALS, {"properties": {"dealname": "Tea"}}, status=201)["id"]
    for bumps in (False, True):
        sandbox.option("hubspot", association_changes_bump=bumps)
        person = new(sandbox, firstname="Ann")
        names = ("num_associated_contacts", "hs_lastmodifieddate")
        before = properties(sandbox, f"{DEALS}/{deal}", *names)
        send(sandbox, "hubspot", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{person}", None, "PUT")
        after = properties(sandbox, f"{DEALS}/{deal}", *names)
        assert int(after["num_associated_contacts"]) == int(before["num_associated_contacts"] or 0) + 1
        assert (after["hs_lastmodifieddate"] > before["hs_lastmodifieddate"]) is bumps


@shows("HubSpot: stage deleted")
def test_a_deal_can_be_in_a_stage_that_the_pipeline_no_longer_has(sandbox: Faulty) -> None:
    deal = send(sandbox, "hubspot", DEALS, {"properties": {"dealstage": "closedwon"}}, status=201)["id"]
    sandbox.call("hubspot", "/crm/v3/pipelines/deals/default/stages/closedwon", method="DELETE")
    (pipeline,) = read(sandbox, "hubspot", "/crm/v3/pipelines/deals")["results"]
    (older,) = read(sandbox, "hubspot", "/deals/v1/pipelines")
    for stages, name in ((pipeline["stages"], "id"), (older["stages"], "stageId")):
        assert "closedwon" not in {s[name] for s in stages}
        assert "closedlost" in {s[name] for s in stages}
    read(sandbox, "hubspot", "/crm/v3/pipelines/deals/default/stages/closedwon", 404)
    assert properties(sandbox, f"{DEALS}/{deal}", "dealstage")["dealstage"] == "closedwon"


@shows("HubSpot: custom lifecycle stage")
def test_a_portal_can_have_a_lifecycle_stage_of_its_own_with_a_number_for_its_id(sandbox: Faulty) -> None:
    definition = "/crm/v3/properties/contacts/lifecyclestage"
    options = read(sandbox, "hubspot", definition)["options"]
    own = {"label": "Partner", "value": "123456789", "displayOrder": len(options), "hidden": False}
    send(sandbox, "hubspot", definition, {"options": [*options, own]}, "PATCH")
    path = f"{CONTACTS}/{new(sandbox, lifecyclestage='customer')}"
    for stage in ("123456789", "lead"):
        send(sandbox, "hubspot", path, {"properties": {"lifecyclestage": stage}}, "PATCH")
        assert properties(sandbox, path, "lifecyclestage")["lifecyclestage"] == stage
    (pipeline,) = read(sandbox, "hubspot", "/crm/v3/pipelines/contacts")["results"]
    assert pipeline["stages"][-1]["label"] == "Partner"
    send(sandbox, "hubspot", definition, {"options": options}, "PATCH")


JOBS = "/services/data/v62.0/jobs/query"


def job(sandbox: Faulty, soql: str = "SELECT Id, Name FROM Account") -> str:
    return send(sandbox, "salesforce", JOBS, {"operation": "query", "query": soql})["id"]


@shows("Salesforce: job that hangs", "Salesforce: job that fails", "Salesforce: job that is refused")
def test_bulk_jobs_can_hang_fail_or_be_refused(sandbox: Faulty) -> None:
    assert read(sandbox, "salesforce", f"{JOBS}/{job(sandbox)}")["state"] == "JobComplete"
    sandbox.option("salesforce", bulk_hangs=True)
    assert read(sandbox, "salesforce", f"{JOBS}/{job(sandbox)}")["state"] in ("UploadComplete", "InProgress")
    sandbox.option("salesforce", bulk_hangs=False, bulk_fails=["Account"], bulk_refuses=["Lead"])
    failed = read(sandbox, "salesforce", f"{JOBS}/{job(sandbox)}")
    assert (failed["state"], bool(failed["errorMessage"])) == ("Failed", True)
    (refused,) = send(sandbox, "salesforce", JOBS, {"operation": "query", "query": "SELECT Id FROM Lead"}, status=400)
    assert refused["errorCode"]


@shows("Salesforce: header that spoils text")
def test_bulk_results_can_say_the_wrong_charset(sandbox: Faulty) -> None:
    send(sandbox, "salesforce", "/services/data/v62.0/sobjects/Account", {"Name": "Søren Ünlü"}, status=201)
    made = job(sandbox, "SELECT Name FROM Account")
    sandbox.set("salesforce", "wrong_charset", path="*/results*")
    got = sandbox.call("salesforce", f"{JOBS}/{made}/results")
    assert got.headers["content-type"] == "text/csv;charset=ISO-8859-1"
    assert "Søren Ünlü" in got.content.decode("utf-8")
    assert "Søren Ünlü" not in got.text


@shows("Marketo: 601 and 602")
def test_marketos_token_can_expire_after_some_calls_or_be_taken_away(sandbox: Faulty) -> None:
    token = sandbox.token("marketo")
    sandbox.set("marketo", "token_expired", after=1)
    answers = [sandbox.call("marketo", token=token).json() for _ in range(3)]
    assert [a["success"] or a["errors"][0]["code"] for a in answers] == [True, "602", "602"]
    token = sandbox.token("marketo")
    sandbox.set("marketo", "token_revoked")
    assert sandbox.call("marketo", token=token).json()["errors"][0]["code"] == "601"


@shows("Marketo: status that is repeated", "Marketo: export that hangs", "Marketo: export that fails")
def test_an_exports_status_can_be_old_and_its_end_never_come(sandbox: Faulty) -> None:
    base = "/bulk/v1/leads/export"
    window = {"startAt": "2025-01-01T00:00:00Z", "endAt": "2025-01-10T00:00:00Z"}

    def enqueued() -> str:
        made = send(sandbox, "marketo", f"{base}/create.json", {"fields": ["id"], "filter": {"createdAt": window}})
        export = made["result"][0]["exportId"]
        send(sandbox, "marketo", f"{base}/{export}/enqueue.json", None)
        return export

    def status(export: str) -> str:
        return read(sandbox, "marketo", f"{base}/{export}/status.json")["result"][0]["status"]

    sandbox.option("marketo", export_seconds=3600, status_seconds=3600)
    export = enqueued()
    early = status(export)
    assert early in ("Queued", "Processing")
    sandbox.option("marketo", export_seconds=0)
    assert status(export) == early
    sandbox.option("marketo", status_seconds=0)
    assert status(export) == "Completed"
    sandbox.option("marketo", exports="hang")
    assert status(enqueued()) in ("Queued", "Processing")
    sandbox.option("marketo", exports="fail")
    assert status(enqueued()) == "Failed"


def test_every_listed_fault_has_a_test() -> None:
    shown = listed_faults.shown()
    assert sorted(listed_faults.all_names() - shown.keys()) == []


def test_every_kind_of_fault_is_listed() -> None:
    assert KINDS_OF_FAULT.keys() - {one.by.partition(":")[0] for faults in FAULTS.values() for one in faults} == set()


def test_the_listed_switches_are_those_that_there_are() -> None:
    for crm, faults in FAULTS.items():
        for one in faults:
            kind = "hubspot" if crm == "All" else crm.lower()
            if one.by.partition(":")[0] in KINDS_OF_FAULT:
                parse_fault(f"{kind}:{one.by}")
            elif "=" in one.by:
                parse_option(f"{kind}:{one.by.partition(',')[0]}")
    with pytest.raises(SwitchError):
        parse_option("hubspot:no_such_option=1")


def test_a_fault_that_is_not_listed_cannot_be_shown() -> None:
    with pytest.raises(KeyError, match="not among the listed faults: HubSpot: rain"):
        shows("HubSpot: rain")


def test_the_table_of_faults_and_tests_is_up_to_date() -> None:
    page = listed_faults.PAGE.read_text(encoding="utf-8")
    assert put_between(page, listed_faults.BEGIN, listed_faults.END, listed_faults.table()) == page, f"run `{listed_faults.COMMAND}`"
