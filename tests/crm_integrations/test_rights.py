"""What a token may do, as each emulated vendor tells, and what is said of one that may do too much, too little, or not for long."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines.config import PROJECT_DIR, connection_from_config
from cdp_pipelines.crm_integrations import rights
from cdp_pipelines.crm_integrations.base_crm import ConnectionTest
from cdp_pipelines.crm_integrations.rights import HUBSPOT_READS, HUBSPOT_WRITES, with_rights
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot.oauth_api import SCOPES
from cdp_pipelines.sandbox.marketo.api import app as marketo_app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import build_world
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.api import app as salesforce_app
from cdp_pipelines.sources import registry
from cdp_pipelines.writeback.rules import writes_to
from tests.sandbox import salesforce_org
from tests.sandbox.hubspot_portal import Portal
from tests.sandbox.test_hubspot_oauth import sign_in

Serve = Callable[[ASGIApp], str]


def found_of(kind: str, config: dict[str, Any], *, writes: bool = False) -> ConnectionTest:
    async def go() -> ConnectionTest:
        async with registry.client(connection_from_config(kind, {"max_attempts": 1, **config})) as client:
            return await with_rights(client, writes=writes)

    return asyncio.run(go())


def hubspot(portal: Portal, token: str | None = None, *, writes: bool = False) -> ConnectionTest:
    return found_of("hubspot", {"base_url": portal.url, "access_token": token or portal.options.access_token}, writes=writes)


def least(*needed: str) -> frozenset[str]:
    """What to withhold so that only these scopes are left."""
    return frozenset(SCOPES) - {"oauth", *needed}


@pytest.mark.parametrize(("writes", "needed"), [(False, HUBSPOT_READS), (True, (*HUBSPOT_READS, *HUBSPOT_WRITES))])
def test_a_hubspot_token_with_just_the_documented_scopes_is_not_warned_of(serve: Serve, writes: bool, needed: tuple[str, ...]) -> None:
    found = hubspot(Portal(serve, withheld_scopes=least(*needed)), writes=writes)
    assert found.ok
    assert found.scopes == sorted(["oauth", *needed])
    assert (found.warnings, found.expires_at) == ([], None)


def test_a_hubspot_token_that_may_do_more_than_is_needed_is_named_scope_by_scope(serve: Serve) -> None:
    portal = Portal(
        serve, withheld_scopes=least(*HUBSPOT_READS, *HUBSPOT_WRITES), extra_scopes=frozenset({"settings.users.write", "files"})
    )
    assert hubspot(portal, writes=True).warnings == [
        "may do more than is needed: files, settings.users.write. What is enough: docs/connections.md."
    ]
    (said,) = hubspot(portal, writes=False).warnings
    assert "crm.objects.contacts.write, files, settings.users.write" in said


def test_a_hubspot_token_that_lacks_a_scope_is_named(serve: Serve) -> None:
    found = hubspot(Portal(serve, withheld_scopes=least(*HUBSPOT_READS[1:])))
    assert found.warnings == [f"lacks {HUBSPOT_READS[0]}. What is enough: docs/connections.md."]


def test_a_hubspot_oauth_token_is_shown_with_its_end(serve: Serve) -> None:
    portal = Portal(serve, withheld_scopes=least(*HUBSPOT_READS))
    token = sign_in(portal)["access_token"]
    found = hubspot(portal, token)
    assert found.ok
    assert found.expires_at is not None
    assert timedelta(minutes=29) < found.expires_at - datetime.now(UTC) < timedelta(minutes=31)
    (said,) = found.warnings
    assert said.startswith(f"ends at {found.expires_at:%Y-%m-%d %H:%M} UTC")
    assert token not in str(found)
    portal.options.token_lifetime = 60 * 86_400
    assert hubspot(portal, token).warnings == []


def test_a_portal_that_tells_nothing_of_its_token_is_connected_all_the_same(serve: Serve) -> None:
    async def details(request: Any) -> JSONResponse:
        return JSONResponse({"portalId": 7})

    url = serve(Starlette(routes=[Route("/account-info/v3/details", details)]))
    found = found_of("hubspot", {"base_url": url, "access_token": "pat-na1-whatever"})
    assert (found.ok, found.scopes, found.warnings) == (True, [], [])


def salesforce(serve: Serve, **options: Any) -> ConnectionTest:
    url = serve(salesforce_app(salesforce_org.new_store(), SalesforceOptions(**options)))
    return found_of("salesforce", {"login_url": url, **credentials.SALESFORCE})


def test_a_salesforce_user_with_the_documented_rights_is_not_warned_of(serve: Serve) -> None:
    found = salesforce(serve, token_scopes="refresh_token api", user_permissions=frozenset({"ViewAllData"}))
    assert found.ok
    assert (found.scopes, found.warnings) == (["api", "refresh_token"], [])


def test_a_salesforce_administrator_and_a_full_scope_are_warned_of(serve: Serve) -> None:
    found = salesforce(serve, token_scopes="full api", user_permissions=frozenset({"ModifyAllData", "AuthorApex", "ViewSetup"}))
    assert found.warnings == ["may do more than is needed: scope full, Modify All Data, Author Apex. What is enough: docs/connections.md."]


def test_an_org_that_does_not_tell_of_permissions_is_connected_all_the_same(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rights.SALESFORCE_TOO_MUCH, "NotInThisEdition", "Not In This Edition")
    found = salesforce(serve, user_permissions=frozenset({"ModifyAllData"}))
    assert (found.ok, found.scopes, found.warnings) == (True, ["api"], [])


def test_marketo_says_whose_token_it_is_and_no_more(serve: Serve) -> None:
    world = build_world(people=20, seed=1)
    url = serve(marketo_app(MarketoStore(world.marketo, world.owners), MarketoOptions()))
    found = found_of("marketo", {"endpoint": url, **credentials.MARKETO})
    assert (found.ok, found.scopes, found.warnings) == (True, ["apis@sandbox.example.com"], [])


def test_whether_anything_is_written_to_a_connection_is_what_the_flows_say(tmp_path: Path) -> None:
    hub = connection_from_config("hubspot", {"access_token": "t"})
    emea = connection_from_config("emea", {"kind": "hubspot", "access_token": "t"})
    path = tmp_path / "writeback.yml"
    path.write_text("flows:\n  scores:\n    rows: customers\n    to:\n      emea:\n        fields: {lead_score: source_wins}\n")
    assert (writes_to(path, hub), writes_to(path, emea)) == (False, True)
    path.write_text("flows: {}\n")
    assert not writes_to(path, emea)
    path.write_text("flows: [\n")
    assert writes_to(path, hub)


def test_the_least_scopes_are_those_of_the_documentation() -> None:
    page = (PROJECT_DIR / "docs" / "connections.md").read_text()
    reading = page.partition("## HubSpot")[2].partition("## Marketo")[0]
    writing = page.partition("## Writing")[2].partition("## ")[0]
    assert set(re.findall(r"`(crm\.[a-z.]+)`", reading)) == set(HUBSPOT_READS)
    assert set(re.findall(r"`(crm\.[a-z.]+)`", writing)) == set(HUBSPOT_WRITES)
    for label in rights.SALESFORCE_TOO_MUCH.values():
        assert f"*{label}*" in page
