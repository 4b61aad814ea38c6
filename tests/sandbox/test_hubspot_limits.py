from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.types import ASGIApp

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import Refused
from cdp_pipelines.sandbox.hubspot.limits import Limits
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from tests.sandbox.hubspot_portal import Portal
from tests.sandbox.listed_faults import shows

Serve = Callable[[ASGIApp], str]
CONTACTS = "/crm/v3/objects/contacts"


def test_calls_beyond_the_ten_second_limit_are_refused_and_the_headers_count_down(serve: Serve) -> None:
    portal = Portal(serve, calls_per_10_seconds=2)
    first, second, third = (portal.http.get(CONTACTS) for _ in range(3))
    assert [r.headers["X-HubSpot-RateLimit-Remaining"] for r in (first, second)] == ["1", "0"]
    assert first.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "624999"
    assert third.status_code == 429
    assert third.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert third.json()["message"] == "You have reached your ten_secondly_rolling limit."
    assert "Retry-After" not in third.headers


def test_searches_have_a_limit_of_their_own_and_no_headers(serve: Serve) -> None:
    portal = Portal(serve, searches_per_second=1, calls_per_10_seconds=1, retry_after=True)
    first, second = (portal.http.post(f"{CONTACTS}/search", json={}) for _ in range(2))
    assert not [name for name in first.headers if "ratelimit" in name]
    assert (second.json()["policyName"], second.headers["Retry-After"]) == ("SECONDLY", "1")
    assert portal.http.get(CONTACTS).status_code == 200


@shows("HubSpot: 429 DAILY")
def test_the_daily_limit_has_its_own_policy(serve: Serve) -> None:
    portal = Portal(serve, calls_per_day=1)
    portal.get(CONTACTS)
    assert portal.get(CONTACTS, status=429)["policyName"] == "DAILY"


def test_a_missing_wrong_or_revoked_token_is_401(serve: Serve) -> None:
    portal = Portal(serve)
    for headers in ({"Authorization": "Bearer pat-na1-wrong"}, {"Authorization": ""}):
        response = portal.http.get(CONTACTS, headers=headers)
        assert (response.status_code, response.json()["category"]) == (401, "INVALID_AUTHENTICATION")
    portal.get(CONTACTS)
    portal.store.revoke_tokens()
    assert portal.get(CONTACTS, status=401)["category"] == "INVALID_AUTHENTICATION"


@pytest.mark.parametrize("nested", [True, False])
@shows("HubSpot: 403 with the scope in the error", "HubSpot: 403 with the scope in the context")
def test_a_missing_scope_is_403_in_either_shape(serve: Serve, nested: bool) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.objects.contacts.read"}), nested_scope_errors=nested)
    body: dict[str, Any] = portal.get("/crm/v3/objects/contact", status=403)
    context = body["errors"][0]["context"] if nested else body["context"]
    assert (body["category"], context["requiredGranularScopes"]) == ("MISSING_SCOPES", ["crm.objects.contacts.read"])
    portal.get("/crm/v3/objects/companies")


@shows("HubSpot: 414 beyond 16,250 characters")
def test_a_url_that_is_too_long_is_414(serve: Serve) -> None:
    portal = Portal(serve)
    assert portal.http.get(CONTACTS, params={"properties": "x" * 16_300}).status_code == 414


def test_a_body_that_is_no_json_is_refused(serve: Serve) -> None:
    portal = Portal(serve)
    response = portal.http.post(f"{CONTACTS}/search", content=b"{")
    assert (response.status_code, response.json()["category"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("options", "burst", "day"),
    [
        ({"tier": "free"}, "100", "250000"), ({}, "190", "625000"), ({"tier": "enterprise"}, "190", "1000000"),
        ({"tier": "enterprise", "api_add_on": True}, "250", "2000000"),
    ],
)  # fmt: skip
def test_a_tier_sets_the_limits_that_the_headers_tell(serve: Serve, options: dict[str, Any], burst: str, day: str) -> None:
    portal = Portal(serve, calls_per_10_seconds="tier", **options)
    headers = portal.http.get(CONTACTS).headers
    assert (headers["X-HubSpot-RateLimit-Max"], headers["X-HubSpot-RateLimit-Daily"]) == (burst, day)


def test_a_public_app_has_its_own_limit_and_no_word_of_the_day(serve: Serve) -> None:
    portal = Portal(serve, calls_per_10_seconds="tier", secondly_headers=True)
    form = {"grant_type": "refresh_token", "client_id": portal.options.client_id, "client_secret": portal.options.client_secret,
            "refresh_token": portal.options.refresh_token}  # fmt: skip
    token = portal.http.post("/oauth/v1/token", data=form).json()["access_token"]
    headers = portal.http.get(CONTACTS, headers={"Authorization": f"Bearer {token}"}).headers
    assert (headers["X-HubSpot-RateLimit-Max"], headers["X-HubSpot-RateLimit-Secondly"]) == ("110", "11")
    assert "X-HubSpot-RateLimit-Daily" not in headers


def test_a_newer_429_has_a_category(serve: Serve) -> None:
    portal = Portal(serve, calls_per_10_seconds=0, rate_limit_category=True)
    body = portal.get(CONTACTS, status=429)
    assert (body["category"], body["errorType"]) == ("RATE_LIMITS", "RATE_LIMIT")


def test_the_days_calls_are_told_and_start_anew_at_midnight_where_the_account_is(serve: Serve) -> None:
    limits = Limits(HubSpotOptions(calls_per_day=1))
    with clock.at(datetime(2026, 7, 1, 3, 59, tzinfo=UTC)):
        limits.count(search=False)
        assert limits.resets_at() == datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
        with pytest.raises(Refused):
            limits.count(search=False)
    with clock.at(datetime(2026, 7, 1, 4, 0, tzinfo=UTC)):
        limits.count(search=False)
    portal = Portal(serve)
    for _ in range(3):
        portal.get(CONTACTS)
    row = portal.get("/account-info/v3/api-usage/daily/private-apps")["results"][0]
    assert (row["currentUsage"], row["usageLimit"]) == (4, 625_000)
    assert row["resetsAt"] > row["collectedAt"]


def test_writes_need_the_scope_for_writing(serve: Serve) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.objects.contacts.write"}))
    for method, path in (("POST", CONTACTS), ("PATCH", f"{CONTACTS}/1"), ("POST", "/crm/objects/2026-03/contact/batch/upsert")):
        body = portal.send(method, path, {"properties": {}}, 403)
        assert body["context"]["requiredGranularScopes"] == ["crm.objects.contacts.write"]
    portal.get(CONTACTS)
