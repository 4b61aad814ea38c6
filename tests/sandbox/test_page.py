"""The page that shows what runs, what is switched on and what was asked."""

from __future__ import annotations

import re

from cdp_pipelines.config import KINDS
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.traffic import KEPT
from tests.sandbox.faulty import Faulty


def page(sandbox: Faulty) -> str:
    answer = sandbox.control("GET", "/")
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def rows(sandbox: Faulty, heading: str) -> list[str]:
    """The table's rows as text, without markup."""
    table = page(sandbox).split(f"<h2>{heading}<small>")[1].split("</table>")[0].split("<tr")[2:]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", f"<tr{row}")).strip() for row in table]


def test_each_crm_has_its_address_and_its_records(sandbox: Faulty) -> None:
    text = page(sandbox)
    counts = sandbox.server.world.counts()
    for kind in KINDS:
        assert sandbox.addresses.url(kind) in text
        for name, count in counts[kind].items():
            assert f"<dt>{name}</dt><dd>{count:,}</dd>" in text


def test_requests_are_shown_newest_first_with_what_was_answered(sandbox: Faulty) -> None:
    sandbox.call("hubspot", "/crm/v3/objects/contacts?limit=3&properties=email,phone")
    sandbox.call("hubspot", "/crm/v3/nothing")
    newest, before = rows(sandbox, "Recent requests")[:2]
    assert re.fullmatch(r"\d\d:\d\d:\d\d HubSpot GET /crm/v3/nothing 404 [\d.]+", newest)
    assert re.fullmatch(r"\d\d:\d\d:\d\d HubSpot GET /crm/v3/objects/contacts \?limit=3&amp;properties=email,phone 200 [\d.]+", before)


def test_a_request_shows_the_faults_that_struck_it(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "server_error", status=502, count=1)
    sandbox.call("hubspot", "/crm/v3/owners")
    assert re.search(r"/crm/v3/owners server_error 502 ", rows(sandbox, "Recent requests")[0])


def test_an_error_inside_a_good_status_is_shown_too(sandbox: Faulty) -> None:
    sandbox.call("marketo", "/rest/v1/leads.json?filterType=createdAt&filterValues=1")
    assert re.search(r" 200 1011 [\d.]+$", rows(sandbox, "Recent requests")[0])


def test_only_the_latest_requests_are_kept(sandbox: Faulty) -> None:
    for number in range(KEPT + 5):
        sandbox.call("hubspot", f"/crm/v3/objects/contacts/{number}")
    shown = rows(sandbox, "Recent requests")
    assert len(shown) == KEPT == 50
    assert f"/contacts/{KEPT + 4} " in shown[0]
    assert "/contacts/5 " in shown[-1]


def test_no_secret_of_a_query_or_body_is_shown(sandbox: Faulty) -> None:
    sandbox.sign_in("salesforce")
    sandbox.sign_in("marketo")
    sandbox.call("marketo", "/rest/v1/leads.json?access_token=hidden-1&filterType=id&filterValues=1")
    sandbox.call("hubspot", "/crm/v3/owners?hapikey=hidden-2")
    sandbox.call("hubspot", "/oauth/v1/access-tokens/hidden-3")
    text = page(sandbox)
    secrets = (credentials.MARKETO["client_secret"], credentials.SALESFORCE["password"], credentials.HUBSPOT["access_token"])
    for secret in ("hidden-", *secrets):
        assert secret not in text
    assert "access_token=…&amp;filterType=id&amp;filterValues=1" in text
    assert "client_secret=…" in text


def test_what_a_request_says_is_not_read_as_markup(sandbox: Faulty) -> None:
    sandbox.call("hubspot", "/crm/v3/<script>alert(1)</script>?q=<b>x</b>")
    sandbox.set("hubspot", "slow", seconds=0, path="<i>*")
    text = page(sandbox)
    for markup in ("<script>alert", "<b>x", "<i>"):
        assert markup not in text
    assert "&lt;i&gt;*" in text


def test_switches_are_shown_with_a_way_to_turn_them_off(sandbox: Faulty) -> None:
    assert rows(sandbox, "Switched on")[0].startswith("None:")
    fault = sandbox.set("marketo", "rate_limit", path="/rest/*", count=3)
    sandbox.option("hubspot", search_lag_seconds=5)
    first, second = rows(sandbox, "Switched on")
    assert re.fullmatch(r"Marketo rate_limit /rest/\* policy=TEN_SECONDLY_ROLLING 0 of 3 off", first)
    assert re.fullmatch(r"HubSpot options search_lag_seconds=5.0 reset", second)
    text = page(sandbox)
    for address in (f"/sandbox/faults/{fault['id']}", "/sandbox/options/hubspot"):
        assert f'data-off="{address}"' in text
        assert sandbox.control("DELETE", address).status_code == 200
    assert rows(sandbox, "Switched on")[0].startswith("None:")


def test_changes_are_shown_newest_first(sandbox: Faulty) -> None:
    done = sandbox.control("POST", "/sandbox/change", {"seed": 5, "count": 12}).json()["changes"]
    shown = rows(sandbox, "Recent changes")
    assert len(shown) == 12
    assert f" {done[-1]['id']}" in shown[0]
    assert f" {done[0]['id']}" in shown[-1]


def test_the_page_needs_nothing_from_elsewhere(sandbox: Faulty) -> None:
    assert re.findall(r"(?:src|href)=\"(?!/sandbox/)[^\"]*", page(sandbox)) == []
