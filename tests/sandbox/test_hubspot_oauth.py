from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from cdp_pipelines.sandbox.hubspot.oauth_api import AUTHORIZATION_CODE
from tests.sandbox.hubspot_portal import Portal, new_store

Serve = Callable[[ASGIApp], str]
CONTACTS = "/crm/v3/objects/contacts"


def sign_in(portal: Portal, path: str = "/oauth/v1/token", status: int = 200, **changes: str) -> Any:
    options = portal.options
    form = {
        "grant_type": "refresh_token", "client_id": options.client_id, "client_secret": options.client_secret,
        "refresh_token": options.refresh_token, **changes,
    }  # fmt: skip
    response = portal.http.post(path, data=form, headers={"Authorization": ""})
    assert response.status_code == status, response.text
    return response.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/2026-03/token"])
def test_a_refresh_token_gives_an_access_token(serve: Serve, path: str) -> None:
    portal = Portal(serve)
    given = sign_in(portal, path)
    assert (given["expires_in"], given["refresh_token"], given["token_type"]) == (1800, portal.options.refresh_token, "bearer")
    assert portal.http.get(CONTACTS, headers=bearer(given["access_token"])).status_code == 200
    assert sign_in(portal)["access_token"] != given["access_token"]


def test_an_authorization_code_does_too(serve: Serve) -> None:
    assert sign_in(Portal(serve), grant_type="authorization_code", code=AUTHORIZATION_CODE)["access_token"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"refresh_token": "x"}, "BAD_REFRESH_TOKEN"), ({"client_id": "x"}, "BAD_CLIENT_ID"), ({"client_secret": "x"}, "BAD_CLIENT_SECRET"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"), ({"grant_type": "authorization_code", "code": "x"}, "BAD_AUTH_CODE"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_sign_in_is_its_status(serve: Serve, change: dict[str, str], status: str) -> None:
    assert sign_in(Portal(serve), status=400, **change)["status"] == status


def test_an_access_token_expires_and_says_since_when(serve: Serve) -> None:
    portal = Portal(serve)
    token = sign_in(portal)["access_token"]
    portal.options.token_lifetime = -7
    body = portal.http.get(CONTACTS, headers=bearer(token)).json()
    assert body["category"] == "EXPIRED_AUTHENTICATION"
    assert body["message"].startswith("The OAuth token used to make this call expired 7 second(s) ago.")
    portal.get(CONTACTS)
    portal.options.token_lifetime = 60
    assert portal.http.get(CONTACTS, headers=bearer(token)).status_code == 200


def test_a_token_outlives_a_restart_and_a_forged_one_is_refused(serve: Serve) -> None:
    token = sign_in(Portal(serve))["access_token"]
    portal = Portal(serve, new_store())
    assert portal.http.get(CONTACTS, headers=bearer(token)).status_code == 200
    for wrong in (f"{token[:-1]}{'0' if token[-1] != '0' else '1'}", "CNa1", "CNa1-", "é", "CNa1AAAA-abc"):
        assert portal.http.get(CONTACTS, headers={b"Authorization": f"Bearer {wrong}".encode()}).status_code == 401


def test_tokens_tell_whose_they_are(serve: Serve) -> None:
    portal = Portal(serve, withheld_scopes=frozenset({"crm.objects.deals.read"}))
    token = sign_in(portal)["access_token"]
    told = portal.get(f"/oauth/v1/access-tokens/{token}")
    assert (told["hub_id"], told["token_type"], 0 < told["expires_in"] <= 1800) == (44237313, "access", True)
    assert "crm.objects.contacts.read" in told["scopes"]
    assert "crm.objects.deals.read" not in told["scopes"]
    assert portal.get(f"/oauth/v1/refresh-tokens/{portal.options.refresh_token}")["client_id"] == portal.options.client_id
    portal.get("/oauth/v1/access-tokens/nothing", 404)
    private = portal.post("/oauth/v2/private-apps/get/access-token-info", {"tokenKey": portal.options.access_token})
    assert (private["hubId"], private["scopes"]) == (44237313, told["scopes"])
    portal.post("/oauth/v2/private-apps/get/access-token-info", {"tokenKey": "x"}, 404)


def test_a_token_may_have_more_scopes_than_matter_here(serve: Serve) -> None:
    portal = Portal(serve, extra_scopes=frozenset({"files"}), withheld_scopes=frozenset({"crm.objects.deals.write"}))
    scopes = portal.post("/oauth/v2/private-apps/get/access-token-info", {"tokenKey": portal.options.access_token})["scopes"]
    assert "files" in scopes
    assert "crm.objects.deals.write" not in scopes
