"""Every kind of fault, over real HTTP."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cdp_pipelines.config import KINDS
from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.faults.answers import HUBSPOT_ERRORS, MARKETO_ERRORS, SALESFORCE_ERRORS
from cdp_pipelines.sandbox.faults.kinds import FAULTS
from tests.sandbox.faulty import CALLS, Faulty
from tests.sandbox.listed_faults import shows

every_crm = pytest.mark.parametrize("crm", KINDS)


def good(answer: httpx2.Response) -> bool:
    return answer.status_code == 200 and answer.json().get("success", True) is True


def salesforce_error(answer: httpx2.Response) -> tuple[int, str, str]:
    assert answer.headers["content-type"].startswith("application/json")
    return answer.status_code, answer.json()[0]["errorCode"], answer.json()[0]["message"]


def marketo_error(answer: httpx2.Response) -> tuple[str, str]:
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is False
    return body["errors"][0]["code"], body["errors"][0]["message"]


@every_crm
@shows("All: slow answers", "All: half an answer, then a wait")
def test_slow_answers_come_late_and_whole(sandbox: Faulty, crm: str) -> None:
    quick = sandbox.call(crm)
    token = sandbox.token(crm)
    for middle in (False, True):
        sandbox.set(crm, "slow", seconds=0.3, middle=middle, count=1)
        begun = time.monotonic()
        late = sandbox.call(crm, token=token)
        assert time.monotonic() - begun >= 0.3
        assert good(late)
        assert late.json().keys() == quick.json().keys()
    begun = time.monotonic()
    assert good(sandbox.call(crm, token=token))
    assert time.monotonic() - begun < 0.3


@every_crm
@shows("All: dropped connections")
def test_a_dropped_connection_has_no_answer_and_the_next_one_works(sandbox: Faulty, crm: str) -> None:
    token = sandbox.token(crm)
    sandbox.set(crm, "drop", count=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        sandbox.call(crm, token=token)
    assert good(sandbox.call(crm, token=token))


@shows("All: an answer lost after the work was done")
def test_a_dropped_answer_can_hide_work_that_was_done(sandbox: Faulty) -> None:
    usage = sandbox.call("salesforce", "/services/data/v62.0/limits")
    used = int(usage.headers["Sforce-Limit-Info"].split("=")[1].split("/")[0])
    token = sandbox.token("salesforce")
    for done, more in ((False, 0), (True, 1)):
        sandbox.set("salesforce", "drop", count=1, done=done)
        with pytest.raises(httpx2.RemoteProtocolError):
            sandbox.call("salesforce", token=token)
        assert sandbox.server.apps["salesforce"].state.org.calls_today == used + more


@every_crm
@shows("All: truncated bodies")
def test_a_truncated_body_is_shorter_than_its_content_length(sandbox: Faulty, crm: str) -> None:
    whole = sandbox.call(crm, headers={"Accept-Encoding": "identity"})
    token = sandbox.token(crm)
    sandbox.set(crm, "truncate", count=1)
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    got = b""
    with (
        sandbox.http.stream("GET", f"{sandbox.addresses.url(crm)}{CALLS[crm]}", headers=headers) as answer,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        for piece in answer.iter_raw():
            got += piece
    length = int(answer.headers["content-length"])
    assert answer.status_code == 200
    assert abs(length - len(whole.content)) < 40
    assert len(got) == length // 2


@every_crm
@shows("All: empty bodies")
def test_an_empty_body_has_status_and_type(sandbox: Faulty, crm: str) -> None:
    token = sandbox.token(crm)
    sandbox.set(crm, "empty_body", count=1)
    answer = sandbox.call(crm, token=token)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert "json" in answer.headers["content-type"]


@every_crm
@shows("All: JSON that breaks off")
def test_malformed_json_is_a_whole_answer_that_does_not_parse(sandbox: Faulty, crm: str) -> None:
    token = sandbox.token(crm)
    sandbox.set(crm, "malformed_json", count=1)
    answer = sandbox.call(crm, token=token)
    assert answer.status_code == 200
    assert "json" in answer.headers["content-type"]
    assert answer.text.startswith("{")
    assert int(answer.headers["content-length"]) == len(answer.content) > 20
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@every_crm
@shows("All: a web page instead of JSON")
def test_html_comes_instead_of_json(sandbox: Faulty, crm: str) -> None:
    sandbox.set(crm, "html_instead")
    answer = sandbox.call(crm, token="any")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")
    assert answer.text.startswith("<html>")


@every_crm
@shows("All: a wrong charset")
def test_a_wrong_charset_spoils_text_for_those_who_believe_it(sandbox: Faulty, crm: str) -> None:
    token = sandbox.token(crm)
    sandbox.set(crm, "wrong_charset")
    answer = sandbox.call(crm, token=token)
    assert answer.headers["content-type"] == "application/json;charset=ISO-8859-1"
    assert json.loads(answer.content)


@every_crm
@pytest.mark.parametrize("seconds", [7200, -7200])
@shows("All: clock skew")
def test_a_skewed_clock_shows_in_the_date_header(sandbox: Faulty, crm: str, seconds: int) -> None:
    token = sandbox.token(crm)
    right = sandbox.call(crm, token=token)
    sandbox.set(crm, "clock_skew", seconds=seconds)
    skewed = sandbox.call(crm, token=token)
    assert abs(parsedate_to_datetime(right.headers["date"]) - datetime.now(UTC)) < timedelta(seconds=60)
    off = parsedate_to_datetime(skewed.headers["date"]) - datetime.now(UTC)
    assert abs(off - timedelta(seconds=seconds)) < timedelta(seconds=60)
    assert good(skewed)


@shows("All: clock skew")
def test_a_skewed_clock_is_what_handlers_reckon_with(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[datetime] = []
    inner = sandbox.server._recorded["hubspot"]

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        seen.append(clock.now())
        await inner(scope, receive, send)

    monkeypatch.setitem(sandbox.server._recorded, "hubspot", noting)
    sandbox.call("hubspot")
    sandbox.set("hubspot", "clock_skew", seconds=-3600)
    sandbox.call("hubspot")
    assert seen[0] - seen[1] > timedelta(seconds=3590)


@every_crm
@pytest.mark.parametrize("status", [500, 502, 503, 504, 521])
@shows("All: 5xx", "HubSpot: 502, 504, 521")
def test_server_errors_have_the_bodies_of_whoever_answers(sandbox: Faulty, crm: str, status: int) -> None:
    sandbox.set(crm, "server_error", status=status)
    answer = sandbox.call(crm, token="any")
    assert answer.status_code == status
    by_application = {"salesforce": (500, 503), "hubspot": (500,), "marketo": ()}[crm]
    if status in by_application:
        assert answer.json()
    else:
        assert answer.text.startswith("<html>")


@pytest.mark.parametrize("policy", ["TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY"])
@pytest.mark.parametrize("retry_after", [None, 3])
@shows("HubSpot: 429 without Retry-After, by policy", "HubSpot: 429 with Retry-After", "All: rate limit")
def test_hubspots_rate_limit_has_its_policy_and_perhaps_a_retry_after(sandbox: Faulty, policy: str, retry_after: int | None) -> None:
    sandbox.set("hubspot", "rate_limit", policy=policy, retry_after=retry_after)
    answer = sandbox.call("hubspot")
    body = answer.json()
    assert (answer.status_code, body["policyName"], body["errorType"]) == (429, policy, "RATE_LIMIT")
    assert body["message"] == f"You have reached your {policy.lower()} limit."
    assert answer.headers.get("Retry-After") == (retry_after and str(retry_after))


@shows("All: rate limit")
def test_the_others_say_too_many_calls_in_their_own_words(sandbox: Faulty) -> None:
    for crm in ("salesforce", "marketo"):
        sandbox.set(crm, "rate_limit")
    assert salesforce_error(sandbox.call("salesforce")) == (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
    assert marketo_error(sandbox.call("marketo")) == ("606", "Max rate limit '100' exceeded with in '20' secs")


@shows("All: daily quota reached")
def test_the_days_quota_is_used_up_in_the_vendors_words(sandbox: Faulty) -> None:
    for crm in KINDS:
        sandbox.set(crm, "daily_quota")
    answer = sandbox.call("salesforce")
    assert salesforce_error(answer) == (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    used, most = answer.headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")
    assert used == most
    assert (sandbox.call("hubspot").status_code, sandbox.call("hubspot").json()["policyName"]) == (429, "DAILY")
    assert marketo_error(sandbox.call("marketo")) == ("607", "Daily quota reached")


@shows("Marketo: 601 and 602")
def test_an_expired_token_stays_expired_and_a_new_one_works(sandbox: Faulty) -> None:
    salesforce, marketo = sandbox.token("salesforce"), sandbox.token("marketo")
    for crm in ("salesforce", "marketo"):
        assert sandbox.set(crm, "token_expired")["count"] == 1
    for _ in range(2):
        assert salesforce_error(sandbox.call("salesforce", token=salesforce))[:2] == (401, "INVALID_SESSION_ID")
        assert marketo_error(sandbox.call("marketo", token=marketo)) == ("602", "Access token expired")
    assert good(sandbox.call("salesforce"))
    assert good(sandbox.call("marketo"))
    assert sandbox.token("marketo") != marketo


def test_hubspots_expired_oauth_token_is_refused_once(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "token_expired")
    answer = sandbox.call("hubspot")
    assert (answer.status_code, answer.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert good(sandbox.call("hubspot"))


@shows("All: token expiry mid-run", "Salesforce: session expires after so many calls")
def test_a_session_can_end_in_the_middle_of_a_run(sandbox: Faulty) -> None:
    token = sandbox.token("salesforce")
    sandbox.set("salesforce", "token_expired", after=3)
    assert [sandbox.call("salesforce", token=token).status_code for _ in range(5)] == [200, 200, 200, 401, 401]


@every_crm
@shows("All: access taken away")
def test_revoked_access_gets_no_answer_and_no_token_until_it_is_given_back(sandbox: Faulty, crm: str) -> None:
    token = sandbox.token(crm)
    sandbox.set(crm, "token_revoked")
    answer = sandbox.call(crm, token=token)
    if crm == "marketo":
        assert marketo_error(answer)[0] == "601"
        assert (sandbox.sign_in(crm).status_code, sandbox.sign_in(crm).json()["error"]) == (401, "invalid_client")
    else:
        assert answer.status_code == 401
    if crm == "salesforce":
        assert (sandbox.sign_in(crm).status_code, sandbox.sign_in(crm).json()["error"]) == (400, "invalid_grant")
    sandbox.control("DELETE", "/sandbox/faults")
    assert good(sandbox.call(crm, token=token))


@shows("All: missing permission", "HubSpot: 403 with the scope in the error", "HubSpot: 403 with the scope in the context")
def test_a_missing_permission_has_the_vendors_shape(sandbox: Faulty) -> None:
    sandbox.set("salesforce", "permission")
    sandbox.set("marketo", "permission")
    assert salesforce_error(sandbox.call("salesforce"))[:2] == (403, "INSUFFICIENT_ACCESS")
    assert marketo_error(sandbox.call("marketo")) == ("603", "Access denied")
    asked = "crm.objects.deals.read"
    for shape in ("context", "errors", "forbidden"):
        sandbox.reset()
        sandbox.set("hubspot", "permission", shape=shape, scope=asked)
        answer = sandbox.call("hubspot")
        body = answer.json()
        assert answer.status_code == 403
        if shape == "context":
            assert body["context"]["requiredGranularScopes"] == [asked]
        elif shape == "errors":
            assert body["errors"][0]["context"]["requiredGranularScopes"] == [asked]
        else:
            assert body["category"] == "FORBIDDEN"


@shows("HubSpot: 423 locked", "HubSpot: 477 moving")
def test_hubspot_locks_records_and_moves_accounts(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "locked", count=1)
    sandbox.set("hubspot", "migration", retry_after=5)
    assert sandbox.call("hubspot").status_code == 423
    moving = sandbox.call("hubspot")
    assert (moving.status_code, moving.headers["Retry-After"]) == (477, "5")


@every_crm
@shows("All: address too long")
def test_an_address_can_be_too_long(sandbox: Faulty, crm: str) -> None:
    sandbox.set(crm, "uri_too_long", count=1)
    assert sandbox.call(crm, token="any").status_code == 414


@pytest.mark.parametrize("code", SALESFORCE_ERRORS)
@shows(
    "All: any other of the vendor's errors",
    "Salesforce: UNABLE_TO_LOCK_ROW for any call",
    "Salesforce: version mismatch, 409",
    "Salesforce: QUERY_TIMEOUT",
    "Salesforce: OPERATION_TOO_LARGE",
    "Salesforce: 406",
)
def test_salesforces_errors_by_code(sandbox: Faulty, code: str) -> None:
    sandbox.set("salesforce", "error", code=code)
    status, message = SALESFORCE_ERRORS[code]
    assert salesforce_error(sandbox.call("salesforce")) == (status, code, message)


@pytest.mark.parametrize("code", HUBSPOT_ERRORS)
@shows("All: any other of the vendor's errors")
def test_hubspots_errors_by_category(sandbox: Faulty, code: str) -> None:
    sandbox.set("hubspot", "error", code=code)
    answer = sandbox.call("hubspot")
    assert (answer.status_code, answer.json()["message"], answer.json()["category"]) == (*HUBSPOT_ERRORS[code], code)


@pytest.mark.parametrize("code", MARKETO_ERRORS)
@shows("All: any other of the vendor's errors", "Marketo: 604, 608, 611, 713", "Marketo: 615 too many at once")
def test_marketos_errors_by_number(sandbox: Faulty, code: str) -> None:
    sandbox.set("marketo", "error", code=int(code))
    assert marketo_error(sandbox.call("marketo")) == (code, MARKETO_ERRORS[code])


def test_salesforces_other_apis_have_error_forms_of_their_own(sandbox: Faulty) -> None:
    sandbox.set("salesforce", "error", code="INVALID_SESSION_ID", path="/services/*")
    bulk = sandbox.call("salesforce", "/services/async/61.0/job", method="POST", json={}, token="any")
    assert (bulk.status_code, bulk.json()["exceptionCode"]) == (400, "InvalidSessionId")
    xml = sandbox.call("salesforce", "/services/async/61.0/job", method="POST", content="<x/>", token="any")
    assert "<exceptionCode>InvalidSessionId</exceptionCode>" in xml.text
    soap = sandbox.call("salesforce", "/services/Soap/u/59.0", method="POST", content="<x/>", token="any")
    assert soap.status_code == 500
    assert "<faultcode>sf:INVALID_SESSION_ID</faultcode>" in soap.text


def test_every_kind_is_set_by_a_test_above() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FAULTS if not re.search(rf'sandbox\.set\([^)]*"{name}"', source)] == []
