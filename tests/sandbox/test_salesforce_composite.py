from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.salesforce_org import Caller, new_store
from tests.sandbox.test_salesforce_api import fixture

Serve = Callable[[Any], str]
Row = dict[str, Any]


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


@pytest.fixture
def caller(serve: Serve, store: SalesforceStore) -> Caller:
    return Caller(serve(app(store)))


def contact(**fields: Any) -> Row:
    return {"attributes": {"type": "Contact"}, **fields}


def send(caller: Caller, method: str, rows: list[Row], path: str = "composite/sobjects", **more: Any) -> list[Row]:
    answer = caller.send(method, path, {"records": rows, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def live(store: SalesforceStore) -> dict[str, int]:
    return store.counts()


def test_rows_are_answered_in_order_whatever_becomes_of_them(caller: Caller) -> None:
    names = [f"Lee{n}" for n in range(200)]
    answers = send(caller, "POST", [contact(LastName=None if n % 50 == 7 else name) for n, name in enumerate(names)])
    assert [a["success"] for a in answers] == [n % 50 != 7 for n in range(200)]
    assert answers[7] == fixture("recorded/batch__create__contacts__partial-but-allOrNone.json")[0]
    read = caller.get("composite/sobjects/Contact", ids=",".join(a["id"] for a in answers if a["success"]), fields="LastName").json()
    assert [r["LastName"] for r in read] == [name for n, name in enumerate(names) if n % 50 != 7]


def test_all_or_none_leaves_nothing_behind(caller: Caller, store: SalesforceStore) -> None:
    (known,) = send(caller, "POST", [contact(LastName="Old", External_Id__c="old")])
    before = live(store)
    rows = [contact(FirstName="A"), contact(LastName="Lee", External_Id__c="new")]
    assert send(caller, "POST", rows, allOrNone=True) == fixture("recorded/batch__create__contacts__partial-but-allOrNone.json")
    rows = [contact(id=known["id"], LastName="Changed"), contact(id=known["id"], unknownField_LastName="x")]
    assert send(caller, "PATCH", rows, allOrNone=True) == fixture("recorded/batch__update__contacts__partial-but-allOrNone.json")
    assert live(store) == before
    assert caller.get(f"sobjects/Contact/{known['id']}").json()["LastName"] == "Old"
    assert caller.get("sobjects/Contact/External_Id__c/new").status_code == 404
    (again,) = send(caller, "POST", [contact(LastName="Lee", External_Id__c="new")], allOrNone=True)
    assert again["success"]
    assert caller.get("sobjects/Contact/External_Id__c/new").json()["Id"] == again["id"]


def test_side_effects_are_rolled_back_too(caller: Caller, store: SalesforceStore) -> None:
    (made,) = send(caller, "POST", [contact(LastName="Lee")])
    before = live(store)
    deal = {
        "attributes": {"type": "Opportunity"},
        "Name": "Big",
        "StageName": "Prospecting",
        "CloseDate": "2026-12-31",
        "ContactId": made["id"],
    }
    answers = send(caller, "POST", [deal, {**deal, "Name": None}], allOrNone=True)
    assert [a["errors"][0]["statusCode"] for a in answers] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert live(store) == before


def test_updates_want_an_id_in_either_spelling(caller: Caller) -> None:
    rows = send(caller, "POST", [contact(LastName="A"), contact(LastName="B")])
    done = send(caller, "PATCH", [contact(id=rows[0]["id"][:15], LastName="C"), contact(Id=rows[1]["id"], LastName="D")])
    assert done == [{"id": r["id"], "success": True, "errors": []} for r in rows]
    assert send(caller, "PATCH", [contact(LastName="C")] * 2) == fixture("recorded/batch__update__contacts__err-each-no-ids.json")
    errors = send(caller, "PATCH", [contact(id="003x", LastName="C"), contact(id="003Kx0zzzzzzzzz", LastName="C")])
    assert [e["errors"][0]["statusCode"] for e in errors] == ["MALFORMED_ID", "INVALID_CROSS_REFERENCE_KEY"]


def test_upserts_say_what_they_created(caller: Caller) -> None:
    path = "composite/sobjects/Contact/External_Id__c"
    rows = [contact(External_Id__c="1", LastName="A"), contact(External_Id__c="1", LastName="B"), contact(LastName="C")]
    first, second, third = send(caller, "PATCH", rows, path)
    assert (first["created"], second["created"], first["id"]) == (True, False, second["id"])
    assert third["errors"][0]["statusCode"] == "MISSING_ARGUMENT"


def test_deletions_are_told_apart(caller: Caller) -> None:
    rows = send(caller, "POST", [contact(LastName="A"), contact(LastName="B")])
    ids = [rows[0]["id"], "001RM000003oLrB000", rows[0]["id"]]
    answers = caller.send("DELETE", f"composite/sobjects?ids={','.join(ids)}").json()
    recorded = fixture("recorded/success-with-errors.json")["errors"]
    assert answers[0] == {"id": rows[0]["id"], "success": True, "errors": []}
    assert answers[1] == {"success": False, "errors": recorded}
    assert answers[2]["errors"][0]["statusCode"] == "ENTITY_IS_DELETED"
    kept = caller.send("DELETE", f"composite/sobjects?ids={rows[1]['id']},{ids[1]}&allOrNone=true").json()
    assert [e["errors"][0]["statusCode"] for e in kept] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "MALFORMED_ID"]
    assert caller.get(f"sobjects/Contact/{rows[1]['id']}").status_code == 200


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([contact(LastName="A")] * 201, "EXCEEDED_ID_LIMIT"),
        ([{"attributes": {"type": t}, "LastName": "A"} for t in ("Contact", "Lead") * 6], "LIMIT_EXCEEDED"),
    ],
)
def test_too_much_in_one_call_is_refused(caller: Caller, rows: list[Row], code: str) -> None:
    answer = caller.send("POST", "composite/sobjects", {"records": rows})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def composite(caller: Caller, parts: list[Row], **more: Any) -> list[Row]:
    answer = caller.send("POST", "composite", {"compositeRequest": parts, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["compositeResponse"]


def part(method: str, path: str, ref: str, body: Any = None) -> Row:
    return {"method": method, "url": f"/services/data/v62.0/{path}", "referenceId": ref} | ({} if body is None else {"body": body})


def test_later_parts_use_what_earlier_ones_gave(caller: Caller) -> None:
    first, second, third, fourth = composite(caller, [
        part("POST", "sobjects/Account", "acme", {"Name": "Acme"}),
        part("POST", "sobjects/Contact", "lee", {"LastName": "Lee", "AccountId": "@{acme.id}"}),
        part("GET", "query?q=SELECT+Id,AccountId+FROM+Contact+WHERE+Id='@{lee.id}'", "found"),
        part("PATCH", "sobjects/Account/@{found.records[0].AccountId}", "change", {"Site": "of @{lee.id}"}),
    ])  # fmt: skip
    assert first["httpStatusCode"] == second["httpStatusCode"] == 201
    assert first["httpHeaders"] == {"Location": f"/services/data/v62.0/sobjects/Account/{first['body']['id']}"}
    assert third["body"]["records"][0]["AccountId"] == first["body"]["id"]
    assert (fourth["httpStatusCode"], fourth["body"]) == (204, None)
    assert caller.get(f"sobjects/Account/{first['body']['id']}").json()["Site"] == f"of {second['body']['id']}"


def test_a_part_without_its_reference_is_halted(caller: Caller) -> None:
    answers = composite(caller, [
        part("POST", "sobjects/Account", "acme", {}), part("POST", "sobjects/Contact", "lee", {"LastName": "Lee", "AccountId": "@{acme.id}"}),
    ])  # fmt: skip
    assert [a["body"][0]["errorCode"] for a in answers] == ["REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    assert "No value for acme.id" in answers[1]["body"][0]["message"]


def test_a_failed_part_takes_the_others_back_when_all_or_none(caller: Caller, store: SalesforceStore) -> None:
    before = live(store)
    parts = [part("POST", "sobjects/Account", "a", {"Name": "Acme"}), part("POST", "sobjects/Contact", "b", {})]
    answers = composite(caller, parts, allOrNone=True)
    assert [a["httpStatusCode"] for a in answers] == [400, 400]
    assert [a["body"][0]["errorCode"] for a in answers] == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert live(store) == before
    assert composite(caller, parts)[0]["httpStatusCode"] == 201


def test_a_composite_describe_reads_as_recorded(caller: Caller) -> None:
    recorded = fixture("recorded/metadata__read__accounts-sampled.json")["compositeResponse"][0]
    (ours,) = composite(caller, [part("GET", "sobjects/Account/describe", "Account")])
    assert list(ours) == list(recorded)
    assert list(ours["httpHeaders"]) == list(recorded["httpHeaders"])
    assert set(ours["body"]) == set(recorded["body"])


def test_a_composite_is_one_call_and_a_batch_as_many_as_it_has_parts(serve: Serve, store: SalesforceStore) -> None:
    made = app(store, SalesforceOptions())
    caller = Caller(serve(made))
    composite(caller, [part("GET", "limits", f"r{n}") for n in range(5)])
    assert made.state.org.calls_today == 1
    body = {"batchRequests": [{"method": "GET", "url": "v62.0/limits"}] * 5}
    caller.send("POST", "composite/batch", body)
    assert made.state.org.calls_today == 7


def test_a_batch_gives_each_answer_and_may_halt(caller: Caller) -> None:
    parts = [
        {"method": "POST", "url": "v62.0/sobjects/Account", "richInput": {"Name": "Acme"}}, {"method": "GET", "url": "v62.0/sobjects/Nonsense/1"},
        {"method": "GET", "url": "/services/data/v62.0/limits"},
    ]  # fmt: skip
    body = caller.send("POST", "composite/batch", {"batchRequests": parts}).json()
    assert (body["hasErrors"], [r["statusCode"] for r in body["results"]]) == (True, [201, 404, 200])
    halted = caller.send("POST", "composite/batch", {"batchRequests": parts, "haltOnError": True}).json()
    assert [r["statusCode"] for r in halted["results"]] == [201, 404, 412]
    assert halted["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"


@pytest.mark.parametrize(
    "body", [{}, {"compositeRequest": []}, {"compositeRequest": [1]}, {"compositeRequest": [{"method": "GET"}]},
             {"compositeRequest": [part("GET", "limits", f"r{n}") for n in range(26)]},
             {"compositeRequest": [part("GET", "limits", "same")] * 2}],
)  # fmt: skip
def test_a_malformed_composite_is_refused(caller: Caller, body: Any) -> None:
    assert caller.send("POST", "composite", body).status_code == 400
