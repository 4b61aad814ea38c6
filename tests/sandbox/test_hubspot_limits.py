from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.sandbox.hubspot_portal import Portal

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
def test_a_missing_scope_is_403_in_either_shape(serve: Serve, nested: bool) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.objects.contacts.read"}), nested_scope_errors=nested)
    body: dict[str, Any] = portal.get("/crm/v3/objects/contact", status=403)
    context = body["errors"][0]["context"] if nested else body["context"]
    assert (body["category"], context["requiredGranularScopes"]) == ("MISSING_SCOPES", ["crm.objects.contacts.read"])
    portal.get("/crm/v3/objects/companies")


def test_a_url_that_is_too_long_is_414(serve: Serve) -> None:
    portal = Portal(serve)
    assert portal.http.get(CONTACTS, params={"properties": "x" * 16_300}).status_code == 414


def test_a_body_that_is_no_json_is_refused(serve: Serve) -> None:
    portal = Portal(serve)
    response = portal.http.post(f"{CONTACTS}/search", content=b"{")
    assert (response.status_code, response.json()["category"]) == (400, "VALIDATION_ERROR")
