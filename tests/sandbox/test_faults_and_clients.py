"""What this project's own clients do when they meet each fault: try again, wait, sign in again, or say what is wrong."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cdp_pipelines.config import KINDS, connection_from_config
from cdp_pipelines.crm_integrations import http, hubspot_answers, marketo_answers
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    BaseCRM,
    CRMError,
    IncompleteRead,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
    Unreachable,
)
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from tests.sandbox.faulty import Faulty
from tests.sources.known_failures import known_failure

CLIENTS: dict[str, Callable[[Any], BaseCRM]] = {"salesforce": Salesforce, "hubspot": HubSpot, "marketo": Marketo}
# A read of each, by one call; and the number of its results in an undisturbed sandbox.
OBJECTS = {"salesforce": "Contact", "hubspot": "contacts", "marketo": "leads"}
A_MONTH = [(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))]
every_crm = pytest.mark.parametrize("crm", KINDS)


@pytest.fixture
def sandbox(running: Faulty, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    running.reset()
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)
    return running


def use(sandbox: Faulty, crm: str, work: Callable[[Any], Awaitable[Any]], **settings: Any) -> tuple[Any, int]:
    """What `work` gives with a client, and how many calls it made."""
    config = {**sandbox.addresses.connections()[crm], "max_attempts": 3, **settings}

    async def run() -> tuple[Any, int]:
        async with CLIENTS[crm](connection_from_config(crm, config)) as client:
            return await work(client), Counter(client.calls).total()

    return asyncio.run(run())


def read(sandbox: Faulty, crm: str, **settings: Any) -> tuple[set[str], int]:
    """The names of an object's fields, and how many calls that took."""

    async def work(client: BaseCRM) -> set[str]:
        return {field.name for field in await client.describe_fields(OBJECTS[crm])}

    return use(sandbox, crm, work, **settings)


# What a client makes up for within its tries: once, and for how many more calls.
@every_crm
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("drop", {}), ("truncate", {}), ("server_error", {"status": 502}), ("server_error", {"status": 503}), ("server_error", {"status": 521}),
        ("html_instead", {"status": 503}),
    ],
)  # fmt: skip
def test_what_passes_is_tried_again(sandbox: Faulty, crm: str, kind: str, settings: dict[str, Any]) -> None:
    names, calls = read(sandbox, crm)
    api = {"salesforce": "/services/data/*", "hubspot": "/crm/*", "marketo": "/rest/*"}[crm]
    sandbox.set(crm, kind, path=api, count=2, **settings)
    assert read(sandbox, crm) == (names, calls + 2)


@every_crm
def test_what_does_not_pass_is_reported_when_the_tries_run_out(sandbox: Faulty, crm: str) -> None:
    for kind in ("drop", "truncate", "server_error"):
        sandbox.reset()
        sandbox.set(crm, kind)
        with pytest.raises(Unreachable) as told:
            read(sandbox, crm)
        assert told.value.remedy


@every_crm
def test_a_storm_of_errors_is_lived_through(sandbox: Faulty, crm: str) -> None:
    names, _ = read(sandbox, crm)
    sandbox.set(crm, "server_error", status=503, rate=0.4, seed=3)
    sandbox.set(crm, "drop", rate=0.2, seed=5)
    for _ in range(5):
        assert read(sandbox, crm, max_attempts=12)[0] == names


@every_crm
@known_failure("singer-io/tap-marketo#78")
def test_a_client_that_waits_too_short_gives_up_with_a_time_out(sandbox: Faulty, crm: str) -> None:
    sandbox.set(crm, "slow", seconds=0.6)
    with pytest.raises(Unreachable, match="did not answer in time"):
        read(sandbox, crm, timeout_seconds=0.2, max_attempts=1)
    assert read(sandbox, crm, timeout_seconds=5)[0]


@every_crm
def test_a_body_that_is_no_json_is_never_taken_for_data(sandbox: Faulty, crm: str) -> None:
    api = {"salesforce": "/services/data/*", "hubspot": "/crm/*", "marketo": "/rest/*"}[crm]
    for kind in ("malformed_json", "empty_body", "html_instead"):
        sandbox.reset()
        sandbox.set(crm, kind, path=api)
        with pytest.raises(CRMError):
            read(sandbox, crm)


@every_crm
def test_a_wrong_charset_and_a_skewed_clock_change_nothing(sandbox: Faulty, crm: str) -> None:
    names, calls = read(sandbox, crm)
    sandbox.set(crm, "wrong_charset")
    sandbox.set(crm, "clock_skew", seconds=-4000)
    assert read(sandbox, crm) == (names, calls)


@pytest.mark.parametrize("crm", ["salesforce", "marketo"])
def test_an_expired_token_is_renewed_and_the_call_made_again(sandbox: Faulty, crm: str) -> None:
    names, calls = read(sandbox, crm)
    sandbox.set(crm, "token_expired")
    assert read(sandbox, crm) == (names, calls + 2)


def test_a_session_that_ends_in_the_middle_loses_no_record(sandbox: Faulty) -> None:
    async def contacts(client: Salesforce) -> list[str]:
        return [row["Id"] async for page in client.query("SELECT Id FROM Contact") for row in page]

    sandbox.option("salesforce", page_size=20)
    whole, _ = use(sandbox, "salesforce", contacts)
    assert len(whole) > 40
    sandbox.set("salesforce", "token_expired", after=1, rate=0.5, path="*/query/*")
    assert use(sandbox, "salesforce", contacts)[0] == whole


@every_crm
def test_revoked_access_is_named(sandbox: Faulty, crm: str) -> None:
    sandbox.set(crm, "token_revoked")
    with pytest.raises(AuthenticationError) as told:
        read(sandbox, crm)
    assert told.value.remedy


@pytest.mark.parametrize(
    ("crm", "settings", "said"),
    [
        ("hubspot", {"scope": "crm.schemas.contacts.read", "shape": "context"}, "lacks the scope crm.schemas.contacts.read"),
        ("hubspot", {"scope": "crm.schemas.contacts.read", "shape": "errors"}, "lacks the scope crm.schemas.contacts.read"),
        ("hubspot", {"shape": "forbidden"}, "You do not have permissions to view object type CONTACT"),
        ("salesforce", {"path": "*/describe*"}, "INSUFFICIENT_ACCESS"),
        ("salesforce", {"path": "*/describe*", "code": "API_DISABLED_FOR_ORG"}, "API is not enabled for this Organization"),
        # The day's usage is asked for first, and does without an answer.
        ("marketo", {"path": "*/leads*"}, "603: Access denied"),
    ],
)
def test_a_missing_permission_is_named_at_once(sandbox: Faulty, crm: str, settings: dict[str, Any], said: str) -> None:
    sandbox.set(crm, "permission", **settings)
    with pytest.raises(PermissionDenied, match=said):
        read(sandbox, crm)
    assert sandbox.control("GET", "/sandbox/faults").json()["on"][0]["done"] == 1


@every_crm
def test_a_used_up_day_ends_the_work_without_more_calls(sandbox: Faulty, crm: str) -> None:
    sandbox.set(crm, "daily_quota")
    with pytest.raises(QuotaExhausted):
        read(sandbox, crm)
    assert sandbox.control("GET", "/sandbox/faults").json()["on"][0]["done"] == 1


def test_hubspots_rate_limit_is_waited_for_as_long_as_it_asks(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "rate_limit", retry_after=0.4, count=1)
    begun = time.monotonic()
    read(sandbox, "hubspot")
    assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize("policy", ["SECONDLY", "TEN_SECONDLY_ROLLING"])
def test_without_a_retry_after_hubspots_policy_says_how_long(sandbox: Faulty, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hubspot_answers.POLICY_WAITS, policy, 0.3)
    sandbox.set("hubspot", "rate_limit", policy=policy, count=2)
    begun = time.monotonic()
    read(sandbox, "hubspot")
    assert time.monotonic() - begun >= 0.6


def test_marketos_rate_limit_is_waited_out(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketo_answers, "RATE_WINDOW_SECONDS", 0.3)
    sandbox.set("marketo", "rate_limit", count=2)
    begun = time.monotonic()
    read(sandbox, "marketo")
    assert time.monotonic() - begun >= 0.6


def test_salesforces_limit_of_long_requests_is_tried_again(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 0.05)
    names, calls = read(sandbox, "salesforce")
    sandbox.set("salesforce", "rate_limit", path="/services/data/*", count=2)
    assert read(sandbox, "salesforce") == (names, calls + 2)


def test_hubspots_lock_and_move_are_waited_for(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 0.05)
    names, calls = read(sandbox, "hubspot")
    sandbox.set("hubspot", "locked", count=1)
    sandbox.set("hubspot", "migration", retry_after=0.1, count=1)
    assert read(sandbox, "hubspot") == (names, calls + 2)


@every_crm
def test_too_long_an_address_is_not_sent_again(sandbox: Faulty, crm: str) -> None:
    api = {"salesforce": "/services/data/*", "hubspot": "/crm/*", "marketo": "/rest/*"}[crm]
    sandbox.set(crm, "uri_too_long", path=api)
    with pytest.raises(RequestRejected):
        read(sandbox, crm)
    assert sandbox.control("GET", "/sandbox/faults").json()["on"][0]["done"] == 1


@pytest.mark.parametrize(
    ("crm", "code", "passes"),
    [
        ("salesforce", "UNABLE_TO_LOCK_ROW", True), ("salesforce", "NOT_ACCEPTABLE", True), ("salesforce", "SERVER_UNAVAILABLE", True),
        ("salesforce", "QUERY_TIMEOUT", False), ("salesforce", "INVALID_QUERY_LOCATOR", False), ("hubspot", "INTERNAL_ERROR", True),
        ("hubspot", "VALIDATION_ERROR", False), ("marketo", "604", True), ("marketo", "608", True), ("marketo", "611", True),
        ("marketo", "615", True), ("marketo", "713", True), ("marketo", "609", False), ("marketo", "1035", False),
    ],
)  # fmt: skip
@known_failure("singer-io/tap-salesforce#184")
def test_the_vendors_errors_are_told_apart(sandbox: Faulty, crm: str, code: str, passes: bool) -> None:
    api = {"salesforce": "/services/data/*", "hubspot": "/crm/*", "marketo": "/rest/*"}[crm]
    names, calls = read(sandbox, crm)
    sandbox.set(crm, "error", code=code, path=api, count=1)
    if passes:
        assert read(sandbox, crm) == (names, calls + 1)
    else:
        with pytest.raises(RequestRejected, match=code if crm != "hubspot" else "There was a problem"):
            read(sandbox, crm)


def test_a_cut_file_of_an_export_is_fetched_to_its_end(sandbox: Faulty) -> None:
    async def header(client: Marketo) -> int:
        return sum([part.rows.num_rows async for part in client.export_leads("createdAt", A_MONTH, ("id", "email"))])

    whole = use(sandbox, "marketo", header)[0]
    assert whole > 0
    sandbox.set("marketo", "truncate", path="*/file.json", count=1)
    assert use(sandbox, "marketo", header)[0] == whole
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []


@known_failure("HGData/mk-node-marketo#91")
def test_an_export_whose_queueing_was_not_confirmed_is_waited_for_all_the_same(sandbox: Faulty) -> None:
    async def leads(client: Marketo) -> int:
        return sum([part.rows.num_rows async for part in client.export_leads("createdAt", A_MONTH, ("id", "email"))])

    whole, calls = use(sandbox, "marketo", leads)
    assert whole > 0
    sandbox.set("marketo", "drop", done=True, path="*/enqueue.json", count=1)
    assert use(sandbox, "marketo", leads) == (whole, calls + 1)


def test_a_search_past_its_cap_is_taken_up_again(sandbox: Faulty) -> None:
    async def modified(client: HubSpot) -> list[str]:
        start, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        return [i async for page in client.search_modified("contacts", ["email"], start, end) for i in page.records["id"].to_pylist()]

    whole = use(sandbox, "hubspot", modified)[0]
    sandbox.option("hubspot", searches_per_second=None)
    sandbox.set("hubspot", "rate_limit", policy="SECONDLY", retry_after=0, rate=0.3, path="*/search")
    assert use(sandbox, "hubspot", modified, max_attempts=10)[0] == whole
    assert len(set(whole)) > 60


def test_a_bulk_result_without_its_end_is_never_taken_for_the_whole(sandbox: Faulty) -> None:
    async def contacts(client: Salesforce) -> int:
        return sum([part.rows.num_rows async for part in client.bulk_query("SELECT Id, Email FROM Contact")])

    whole = use(sandbox, "salesforce", contacts)[0]
    sandbox.set("salesforce", "truncate", path="*/results*", count=1)
    assert use(sandbox, "salesforce", contacts)[0] == whole
    sandbox.set("salesforce", "empty_body", path="*/results*")
    with pytest.raises((IncompleteRead, Unreachable)):
        use(sandbox, "salesforce", contacts)
