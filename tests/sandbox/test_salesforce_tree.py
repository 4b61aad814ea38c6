"""Records with their children in one call, `/composite/tree`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.sandbox.salesforce.api import app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.running import running
from tests.sandbox.salesforce_org import Caller, new_store

Row = dict[str, Any]


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


@pytest.fixture
def caller(serve: Callable[[Any], str], store: SalesforceStore) -> Caller:
    return Caller(serve(app(store)))


def record(kind: str, reference: str, children: dict[str, list[Row]] | None = None, **fields: Any) -> Row:
    nested = {name: {"records": rows} for name, rows in (children or {}).items()}
    return {"attributes": {"type": kind, "referenceId": reference}, **fields, **nested}


def plant(caller: Caller, kind: str, *records: Row) -> Row:
    answer = caller.send("POST", f"composite/tree/{kind}", {"records": list(records)})
    assert answer.status_code == 201, answer.text
    assert answer.json()["hasErrors"] is False
    return {result["referenceId"]: result["id"] for result in answer.json()["results"]}


def refused(caller: Caller, *records: Row, kind: str = "Account") -> Any:
    answer = caller.send("POST", f"composite/tree/{kind}", {"records": list(records)})
    assert answer.status_code == 400, answer.text
    return answer.json()


def deal(reference: str, **fields: Any) -> Row:
    return record("Opportunity", reference, Name=reference, StageName="Prospecting", CloseDate="2026-12-31", **fields)


def test_children_belong_to_the_record_that_they_stand_in(caller: Caller) -> None:
    acme = record("Account", "acme", {"Contacts": [record("Contact", "lee", LastName="Lee")], "opportunities": [deal("big")]}, Name="Acme")
    made = plant(caller, "Account", acme, record("Account", "bolt", {"Contacts": [record("Contact", "may", LastName="May")]}, Name="Bolt"))
    assert list(made) == ["acme", "bolt", "lee", "big", "may"]
    owners = {
        row["Id"]: row["AccountId"] for row in caller.query("SELECT Id, AccountId FROM Contact WHERE LastName IN ('Lee','May')")["records"]
    }
    assert owners.items() >= {made["lee"]: made["acme"], made["may"]: made["bolt"]}.items()
    assert caller.get(f"sobjects/Opportunity/{made['big']}").json()["AccountId"] == made["acme"]


def test_two_hundred_unrelated_records_and_five_levels_are_taken_and_no_more(caller: Caller) -> None:
    rows = [record("Contact", f"c{n}", LastName=f"L{n}") for n in range(201)]
    assert len(plant(caller, "Contact", *rows[:200])) == 200
    assert refused(caller, *rows, kind="Contact")[0]["errorCode"] == "LIMIT_EXCEEDED"

    def nested(levels: int) -> Row:
        below = {"ChildAccounts": [nested(levels - 1)]} if levels > 1 else None
        return record("Account", f"level{levels}", below, Name=f"Level {levels}")

    assert len(plant(caller, "Account", nested(5))) == 5
    assert refused(caller, nested(6))[0]["errorCode"] == "LIMIT_EXCEEDED"


def test_one_wrong_record_undoes_all_and_is_the_only_one_told_of(caller: Caller, store: SalesforceStore) -> None:
    before = store.counts()
    wrong = record("Contact", "wrong", FirstName="Ann")
    answer = refused(caller, record("Account", "acme", {"Contacts": [record("Contact", "lee", LastName="Lee"), wrong]}, Name="Acme"))
    assert answer == {
        "hasErrors": True,
        "results": [{
            "referenceId": "wrong",
            "errors": [{"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [LastName]", "fields": ["LastName"]}],
        }],
    }  # fmt: skip
    assert store.counts() == before


@pytest.mark.parametrize(
    "records",
    [
        [record("Account", "same", Name="A"), record("Account", "same", Name="B")],
        [record("Contact", "other type", LastName="Lee")],
        [{"attributes": {"type": "Account"}, "Name": "No reference"}],
    ],
)
def test_records_need_a_reference_of_their_own_and_the_type_of_their_place(caller: Caller, records: list[Row]) -> None:
    assert refused(caller, *records)[0]["errorCode"] == "INVALID_INPUT"


def test_a_tree_is_there_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        caller = Caller(server.addresses.url("salesforce"))
        made = plant(caller, "Account", record("Account", "a", {"Contacts": [record("Contact", "c", LastName="Lee")]}, Name="Acme"))
        seen = caller.get(f"sobjects/Contact/{made['c']}").json()
    with running(tmp_path) as server:
        caller = Caller(server.addresses.url("salesforce"))
        assert caller.get(f"sobjects/Contact/{made['c']}").json() == seen
        assert caller.get(f"sobjects/Account/{made['a']}").json()["Name"] == "Acme"
