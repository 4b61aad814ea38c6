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

from cdp_pipelines.crm_integrations.marketo_writes import MarketoWriter
from cdp_pipelines.crm_integrations.writes import CLEAR, Value
from tests.sandbox.faulty import Faulty
from tests.sources.known_failures import known_failure
from tests.writes.writing import Writing, creates, update, writing


@pytest.fixture
def marketo(sandbox: Faulty) -> Writing:
    return writing(sandbox, "marketo", daily_call_reserve=0)


def people(n: int, tag: str, **more: Value) -> list[dict[str, Value]]:
    return [{"email": f"{tag}{i}@writes.example.com", "lastName": f"Writer {i}", **more} for i in range(n)]


def test_answers_are_told_apart_by_their_place_and_skipped_rows_are_no_success(marketo: Writing) -> None:
    marketo.made("leads", *people(2, "place"))
    records = [*people(4, "place"), {"email": "wrong@writes.example.com", "leadScore": "many"}]
    results = marketo.write("leads", creates("leads", *reversed(records)))
    assert [(r.outcome, r.code) for r in results] == [
        ("rejected", "1003"), ("created", None), ("created", None), ("rejected", "1005"), ("rejected", "1005")
    ]  # fmt: skip
    assert "leadScore" in (results[0].reason or "") and "many" not in (results[0].reason or "")
    found = marketo.read("leads", [r.id or "" for r in results[1:3]], "email")
    assert [found[r.id or ""].values["email"] for r in results[1:3]] == ["place3@writes.example.com", "place2@writes.example.com"]


def test_what_exists_already_names_the_lead_and_several_name_all(sandbox: Faulty, marketo: Writing) -> None:
    [there] = marketo.made("leads", *people(1, "there"))
    twins = {"action": "createDuplicate", "input": [{"email": "several@writes.example.com"}] * 2}
    made = sandbox.call("marketo", "/rest/v1/leads.json", method="POST", json=twins).json()["result"]
    results = marketo.write("leads", creates("leads", {"email": "There0@writes.example.com"}, {"email": "several@writes.example.com"}))
    assert [(r.code, r.id) for r in results] == [("1005", there), ("1005", None)]
    assert set(results[1].candidates) == {str(m["id"]) for m in made}


@known_failure("dchesterton/marketo-rest-api#26", "looker-open-source/actions#161")
def test_new_leads_are_told_apart_by_a_field_of_choice_in_a_partition_of_choice(sandbox: Faulty) -> None:
    marketo = writing(sandbox, "marketo", lambda client: MarketoWriter(client, lookup_field="productInterest", partition="Europe"))
    records = [{"email": "same@writes.example.com", "productInterest": f"choice {n}"} for n in (1, 2, 1)]
    results = marketo.write("leads", creates("leads", *records))
    assert [r.outcome for r in results] == ["created", "created", "rejected"] and results[2].id == results[0].id
    assert marketo.read("leads", [results[0].id or ""], "leadPartitionId")[results[0].id or ""].values == {"leadPartitionId": "2"}


def test_the_same_address_twice_in_whatever_case_makes_one_lead(marketo: Writing) -> None:
    records: list[dict[str, Value]] = [
        {"email": e} for e in ("twin@writes.example.com", "Twin@Writes.example.com", "other@writes.example.com")
    ]
    results = marketo.write("leads", creates("leads", *records))
    assert [r.outcome for r in results] == ["created", "rejected", "created"]
    assert results[1].id == results[0].id


def test_updates_of_leads_that_are_gone_say_where_they_went(sandbox: Faulty, marketo: Writing) -> None:
    alive, deleted, loser, middle, survivor = marketo.made("leads", *people(5, "gone"))
    assert [r.outcome for r in marketo.delete("leads", [deleted])] == ["deleted"]
    for winner, lost in ((middle, loser), (survivor, middle)):
        answer = sandbox.call("marketo", f"/rest/v1/leads/{winner}/merge.json", method="POST", params={"leadId": lost})
        assert answer.json()["success"]
    ids = [alive, deleted, loser, "987654"]
    results = marketo.write("leads", [update("leads", i, title="New") for i in ids])
    assert [(r.outcome, r.code, r.id) for r in results] == [
        ("updated", None, alive), ("rejected", "DELETED", deleted), ("rejected", "MERGED", survivor), ("rejected", "NOT_FOUND", "987654")
    ]  # fmt: skip
    found = marketo.read("leads", ids, "title")
    assert {i: (r.state, r.moved_to) for i, r in found.items()} == {
        alive: ("live", None), deleted: ("deleted", None), loser: ("merged", survivor)
    }  # fmt: skip
    assert [r.outcome for r in marketo.delete("leads", [deleted, alive])] == ["unchanged", "deleted"]


def test_null_and_blank_clear_and_what_is_not_named_stays(marketo: Writing) -> None:
    [lead] = marketo.made("leads", *people(1, "clear", title="CEO", phone="+1 555 0100", unsubscribed=True, leadScore=10))
    marketo.write("leads", [update("leads", lead, title=CLEAR, phone="", leadScore=12)])
    read = marketo.read("leads", [lead], "title", "phone", "unsubscribed", "leadScore", "lastName")[lead]
    assert read.values == {"title": None, "phone": None, "unsubscribed": "true", "leadScore": "12", "lastName": "Writer 0"}
    assert read.version.endswith("Z")


@known_failure("segmentio/action-destinations#1799")
@pytest.mark.parametrize("code", ["601", "602"])
def test_a_token_that_ends_between_two_calls_loses_no_batch(sandbox: Faulty, marketo: Writing, code: str) -> None:
    sandbox.set("marketo", "error", code=code, path="POST /rest/v1/leads.json*", count=1)
    results = marketo.write("leads", creates("leads", *people(310, f"token{code}")))
    assert {r.outcome for r in results} == {"created"}


@known_failure("segmentio/action-destinations#3733")
@pytest.mark.parametrize(
    ("code", "outcome"),
    [("606", "created"), ("608", "created"), ("615", "created"), ("713", "created"), ("604", "unknown"), ("611", "unknown")],
)
def test_only_what_was_surely_not_done_is_created_again(
    sandbox: Faulty, marketo: Writing, monkeypatch: pytest.MonkeyPatch, code: str, outcome: str
) -> None:
    monkeypatch.setattr("cdp_pipelines.crm_integrations.marketo_answers.RATE_WINDOW_SECONDS", 0.01)
    sandbox.set("marketo", "error", code=code, path="POST /rest/v1/leads.json*", count=1)
    assert [r.outcome for r in marketo.write("leads", creates("leads", *people(1, f"again{code}")))] == [outcome]


def test_a_resource_that_is_not_there_is_not_asked_for_row_by_row(sandbox: Faulty, marketo: Writing) -> None:
    sandbox.set("marketo", "error", code="610", path="POST /rest/v1/leads.json*")
    results = marketo.write("leads", creates("leads", *people(50, "610")))
    assert {(r.outcome, r.code) for r in results} == {("rejected", "610")} and marketo.calls == 2


def test_a_create_whose_answer_is_lost_is_unknown_and_is_not_sent_again(sandbox: Faulty, marketo: Writing) -> None:
    sandbox.set("marketo", "drop", done=True, path="POST /rest/v1/leads.json*", count=1)
    [result] = marketo.write("leads", creates("leads", *people(1, "once")))
    assert (result.outcome, result.code, result.retryable) == ("unknown", "NO_ANSWER", False)
    assert len(marketo.find("leads", "email", ["once0@writes.example.com"])["once0@writes.example.com"]) == 1


def test_an_update_whose_answer_is_lost_is_sent_again(sandbox: Faulty, marketo: Writing) -> None:
    [lead] = marketo.made("leads", *people(1, "twice"))
    sandbox.set("marketo", "drop", done=True, path="POST /rest/v1/leads.json*", count=2)
    assert [r.outcome for r in marketo.write("leads", [update("leads", lead, title="CEO")])] == ["updated"]


def test_a_used_up_day_stops_the_rest_unsent(sandbox: Faulty, marketo: Writing) -> None:
    sandbox.set("marketo", "daily_quota", path="POST /rest/v1/leads.json*")
    results = marketo.write("leads", creates("leads", *people(5, "day")))
    assert {(r.outcome, r.code, r.retryable) for r in results} == {("rejected", "QUOTA", True)}


def test_a_field_that_does_not_exist_fails_its_rows_only(marketo: Writing) -> None:
    records = people(5, "field")
    records[3]["nonsense"] = "x"
    results = marketo.write("leads", creates("leads", *records))
    assert [(r.outcome, r.code) for r in results] == [*[("created", None)] * 3, ("rejected", "1006"), ("created", None)]


def test_bodies_stay_below_a_megabyte(marketo: Writing) -> None:
    long = "x" * 20_000
    results = marketo.write("leads", creates("leads", *people(120, "long", mktoPersonNotes=long)))
    assert {r.outcome for r in results} == {"created"}
    assert marketo.calls == 4  # the sign-in, and 2.4 MB


def test_a_second_write_of_a_lead_follows_the_first(marketo: Writing) -> None:
    [lead] = marketo.made("leads", *people(1, "second"))
    marketo.write("leads", [update("leads", lead, "a", title="First"), update("leads", lead, "b", title="Second")])
    assert marketo.read("leads", [lead], "title")[lead].values == {"title": "Second"}


def test_times_are_in_whole_seconds(marketo: Writing) -> None:
    opportunity: dict[str, Value] = {"externalOpportunityId": "times-1", "name": "Deal"}
    [deal] = marketo.made("opportunities", opportunity | {"externalCreatedDate": datetime(2026, 5, 4, 10, 0, 0, 999_999, UTC)})
    found = marketo.read("opportunities", [deal], "externalCreatedDate")[deal]
    assert found.values == {"externalCreatedDate": "2026-05-04T10:00:00Z"}


def test_companies_opportunities_and_roles(marketo: Writing) -> None:
    [lead] = marketo.made("leads", *people(1, "deal"))
    [company] = marketo.made("companies", {"externalCompanyId": "writes-1", "company": "Writes"})
    [deal] = marketo.made(
        "opportunities", {"externalOpportunityId": "writes-1", "name": "Deal", "amount": 10.5, "closeDate": date(2026, 5, 4)}
    )
    [role] = marketo.made(
        "opportunities/roles", {"externalOpportunityId": "writes-1", "leadId": int(lead), "role": "Buyer", "isPrimary": True}
    )
    results = marketo.write("opportunities", [update("opportunities", deal, stage="Won", closeDate=CLEAR)])
    results += marketo.write("companies", [update("companies", company, industry="Retail")])
    results += marketo.write("opportunities/roles", [update("opportunities/roles", role, isPrimary=False)])
    assert [r.outcome for r in results] == ["updated"] * 3
    assert marketo.read("opportunities", [deal], "stage", "amount", "closeDate")[deal].values == {
        "stage": "Won", "amount": "10.5", "closeDate": None
    }  # fmt: skip
    assert marketo.find("companies", "externalCompanyId", ["Writes-1"], "industry")["Writes-1"][0].values == {"industry": "Retail"}
    [again] = marketo.write("opportunities", creates("opportunities", {"externalOpportunityId": "writes-1", "name": "Deal"}))
    assert (again.outcome, again.code) == ("rejected", "1017")
    assert [r.outcome for r in marketo.delete("opportunities/roles", [role])] == ["deleted"]
    assert [r.outcome for r in marketo.delete("opportunities", [deal, deal])] == ["deleted", "deleted"]
    assert [r.outcome for r in marketo.delete("opportunities", [deal])] == ["unchanged"]


def test_an_instance_with_crm_sync_refuses_its_objects(sandbox: Faulty, marketo: Writing) -> None:
    sandbox.option("marketo", crm_sync="sfdc_readonly")
    [result] = marketo.write("companies", creates("companies", {"externalCompanyId": "x", "company": "X"}))
    assert (result.outcome, result.code) == ("rejected", "1018")


def test_a_value_that_more_than_a_thousand_leads_have_is_an_error_and_no_empty_answer(sandbox: Faulty, marketo: Writing) -> None:
    many = {"action": "createDuplicate", "input": [{"email": "thousand@writes.example.com"}] * 251}
    for _ in range(4):
        assert sandbox.call("marketo", "/rest/v1/leads.json", method="POST", json=many).json()["success"]
    [lead] = marketo.made("leads", *people(1, "beside"))
    with pytest.raises(Exception, match="1003"):
        marketo.find("leads", "email", ["beside0@writes.example.com", "thousand@writes.example.com"])
    assert [r.id for r in marketo.find("leads", "email", ["beside0@writes.example.com", "a,b", ""])["beside0@writes.example.com"]] == [lead]


def answering(body: dict[str, Any]) -> Starlette:
    async def handle(request: Request) -> JSONResponse:
        token = {"access_token": "t", "expires_in": 3600}
        return JSONResponse(token if "identity" in request.url.path else {"requestId": "1", "success": True, **body})

    return Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])


@pytest.mark.parametrize("body", [{}, {"result": []}, {"result": [{"id": 1, "status": "created"}]}])
def test_fewer_results_than_records_are_no_success(serve: Callable[[ASGIApp], str], body: dict[str, Any]) -> None:
    config = {"client_id": "a", "client_secret": "b", "endpoint": serve(answering(body)), "daily_call_reserve": 0}
    results = Writing("marketo", config).write("leads", creates("leads", *people(2, "few")))
    assert {(r.outcome, r.code) for r in results} == {("unknown", "NO_ANSWER")}


# Bulk import


@pytest.fixture
def bulk(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> Writing:
    monkeypatch.setattr("cdp_pipelines.crm_integrations.marketo_import.WORTH_A_FILE", 2)
    return writing(sandbox, "marketo", lambda client: MarketoWriter(client, bulk_from=1), daily_call_reserve=0)


def test_a_file_says_what_failed_and_what_was_left_out(bulk: Writing) -> None:
    ids = bulk.made("leads", *people(7, "import", title="CEO"))
    bulk.delete("leads", [ids[2]])
    values: list[Value] = ['A "q",\nb', "B", "C", CLEAR, "null", "F", "G"]
    writes = [update("leads", i, title=v, leadScore="many" if n == 1 else n) for n, (i, v) in enumerate(zip(ids, values, strict=True))]
    results = bulk.write("leads", writes)
    assert [(r.outcome, r.ignored) for r in results] == [
        ("updated", ()), ("updated", ("leadScore",)), ("rejected", ()), *[("updated", ())] * 4
    ]  # fmt: skip
    assert results[2].code == "DELETED" and "many" not in (results[1].reason or "")
    found = bulk.read("leads", ids, "title", "leadScore")
    assert [found[i].values["title"] for i in ids if i != ids[2]] == ['A "q",\nb', "B", None, "null", "F", "G"]


def test_a_large_set_takes_a_handful_of_calls(bulk: Writing) -> None:
    ids = bulk.made("leads", *people(700, "large"))
    results = bulk.write("leads", [update("leads", i, title=f"T{n}") for n, i in enumerate(ids)])
    assert [(r.outcome, r.id) for r in results] == [("updated", i) for i in ids]
    assert bulk.calls == 3  # the sign-in, the file, a look


def test_a_full_queue_of_imports_is_waited_for(sandbox: Faulty, bulk: Writing) -> None:
    ids = bulk.made("leads", *people(3, "queue"))
    sandbox.set("marketo", "error", code="1016", message="Too many imports", path="POST /bulk/v1/leads.json*", count=2)
    assert {r.outcome for r in bulk.write("leads", [update("leads", i, title="T") for i in ids])} == {"updated"}
