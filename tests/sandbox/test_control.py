"""Switches by name: which calls a fault strikes and how often, options, purged records, ended sessions, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner, Result

from cdp_pipelines.cli import app as cli
from cdp_pipelines.config import KINDS
from cdp_pipelines.sandbox.faults.settings import SwitchError, settings_of
from cdp_pipelines.sandbox.faults.switches import option_classes, parse_fault, parse_option
from tests.sandbox.faulty import Faulty

CONTACTS, DEALS = "/crm/v3/objects/contacts", "/crm/v3/objects/deals"


def struck(sandbox: Faulty, calls: int, path: str = CONTACTS, **more: Any) -> list[bool]:
    """Which of some calls the fault `locked` (423) met."""
    return [sandbox.call("hubspot", path, **more).status_code == 423 for _ in range(calls)]


def test_a_count_strikes_the_next_calls_and_is_then_off(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "locked", count=2)
    assert struck(sandbox, 4) == [True, True, False, False]
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []


def test_without_a_count_it_stays_on_until_it_is_switched_off(sandbox: Faulty) -> None:
    fault = sandbox.set("hubspot", "locked")
    assert struck(sandbox, 6) == [True] * 6
    on = sandbox.control("GET", "/sandbox/faults").json()["on"]
    assert [(one["id"], one["kind"], one["seen"], one["done"]) for one in on] == [(fault["id"], "locked", 6, 6)]
    assert sandbox.control("DELETE", f"/sandbox/faults/{fault['id']}").json() == {"cleared": 1}
    assert struck(sandbox, 1) == [False]


def test_the_first_calls_can_be_let_through(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "locked", after=2, count=1)
    assert struck(sandbox, 5) == [False, False, True, False, False]


def test_a_rate_strikes_the_same_calls_for_the_same_seed(sandbox: Faulty) -> None:
    patterns = []
    for seed in (1, 1, 2):
        sandbox.reset()
        sandbox.set("hubspot", "locked", rate=0.5, seed=seed)
        patterns.append(struck(sandbox, 24))
    assert patterns[0] == patterns[1] != patterns[2]
    assert 4 < sum(patterns[0]) < 20


@pytest.mark.parametrize(
    ("pattern", "contacts", "deals", "query", "searched"),
    [
        (None, True, True, True, True),
        ("/crm/v3/objects/contacts*", True, False, True, True),
        ("/crm/v3/objects/contacts", True, False, True, False),
        ("*limit=7*", False, False, True, False),
        ("POST *", False, False, False, True),
        ("GET /crm/v3/objects/*", True, True, True, False),
        ("re:^POST .*/search$", False, False, False, True),
        ("re:(deals|limit=7)", False, True, True, False),
    ],
)
def test_a_path_is_a_glob_or_a_regular_expression(
    sandbox: Faulty, pattern: str | None, contacts: bool, deals: bool, query: bool, searched: bool
) -> None:
    sandbox.set("hubspot", "locked", path=pattern)
    assert struck(sandbox, 1) == [contacts]
    assert struck(sandbox, 1, DEALS) == [deals]
    assert struck(sandbox, 1, f"{CONTACTS}?limit=7") == [query]
    assert struck(sandbox, 1, f"{CONTACTS}/search", method="POST", json={}) == [searched]


def test_a_query_in_the_address_is_matched_as_it_reads(sandbox: Faulty) -> None:
    sandbox.set("salesforce", "error", path="*FROM Lead*")
    base = "/services/data/v62.0/query?q="
    assert sandbox.call("salesforce", f"{base}SELECT+Id+FROM+Contact").status_code == 200
    for blank in ("+", "%20"):
        assert sandbox.call("salesforce", f"{base}SELECT Id FROM Lead".replace(" ", blank)).status_code == 400


def test_another_crm_is_left_alone(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "server_error")
    assert sandbox.call("salesforce").status_code == 200
    assert sandbox.call("marketo").json()["success"]


def test_signing_in_is_left_alone_unless_it_is_meant(sandbox: Faulty) -> None:
    sandbox.set("marketo", "rate_limit")
    assert "access_token" in sandbox.sign_in("marketo").json()
    sandbox.set("marketo", "rate_limit", path="/identity/*")
    assert "access_token" not in sandbox.sign_in("marketo").json()


def test_faults_strike_in_the_order_in_which_they_were_set(sandbox: Faulty) -> None:
    sandbox.set("hubspot", "slow", seconds=0)
    sandbox.set("hubspot", "locked", count=1)
    sandbox.set("hubspot", "error", code="CONFLICT", count=1)
    assert [sandbox.call("hubspot").status_code for _ in range(3)] == [423, 409, 200]
    assert [one.faults for one in list(sandbox.server.traffic.latest)[-3:]] == [("slow", "locked"), ("slow", "error"), ("slow",)]


def test_all_faults_of_one_crm_or_of_all_are_cleared(sandbox: Faulty) -> None:
    for crm in (*KINDS, "hubspot"):
        sandbox.set(crm, "drop")
    assert sandbox.control("DELETE", "/sandbox/faults?crm=hubspot").json() == {"cleared": 2}
    assert [one["crm"] for one in sandbox.control("GET", "/sandbox/faults").json()["on"]] == ["salesforce", "marketo"]
    assert sandbox.control("DELETE", "/sandbox/faults").json() == {"cleared": 2}
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []


def test_what_exists_is_listed_with_its_parameters(sandbox: Faulty) -> None:
    listed = sandbox.control("GET", "/sandbox/faults").json()
    kinds = {one["kind"]: one for one in listed["kinds"]}
    assert kinds["locked"]["crms"] == ["hubspot"]
    policy = next(one for one in kinds["rate_limit"]["parameters"] if one["name"] == "policy")
    assert policy["type"] == "TEN_SECONDLY_ROLLING | SECONDLY | DAILY"
    assert [one["name"] for one in listed["when"]] == ["path", "count", "rate", "seed", "after"]
    assert all(one["doc"] for kind in listed["kinds"] for one in [kind, *kind["parameters"]])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"crm": "dynamics", "kind": "slow"}, "There is no CRM 'dynamics'; there are: salesforce, hubspot, marketo."),
        ({"crm": "hubspot", "kind": "slw"}, "There is no fault 'slw' for hubspot; there are: slow, drop, "),
        ({"crm": "marketo", "kind": "locked"}, "There is no fault 'locked' for marketo; there are: slow, "),
        ({"crm": "hubspot", "kind": "slow", "second": 2}, "no 'second'; there are: seconds, middle, path, count, rate, seed, after."),
        ({"crm": "hubspot", "kind": "slow", "seconds": "soon"}, "'seconds' is number, not 'soon'"),
        ({"crm": "hubspot", "kind": "rate_limit", "policy": "HOURLY"}, "'policy' is TEN_SECONDLY_ROLLING | SECONDLY | DAILY, not 'HOURLY'"),
        ({"crm": "hubspot", "kind": "slow", "count": 0}, "count is at least 1"),
        ({"crm": "hubspot", "kind": "slow", "rate": 2}, "rate is from 0 to 1"),
        ({"crm": "hubspot", "kind": "slow", "path": "re:("}, "path is not a regular expression"),
        ({"crm": "salesforce", "kind": "error", "code": "NOPE"}, "no code 'NOPE' for salesforce; there are: UNABLE_TO_LOCK_ROW, "),
        ({"crm": "marketo", "kind": "error", "code": "x", "message": "y"}, "codes are numbers"),
        ([], "Send a JSON object."),
    ],
)
def test_wrong_names_are_refused_with_the_valid_ones(sandbox: Faulty, body: Any, said: str) -> None:
    answer = sandbox.control("POST", "/sandbox/faults", body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []


def test_what_cannot_be_cleared_is_refused(sandbox: Faulty) -> None:
    for path, said in (("/99", "No fault 99 is on; on are: none."), ("/x", "a number, not 'x'"), ("?crm=zoho", "There is no CRM 'zoho'")):
        answer = sandbox.control("DELETE", f"/sandbox/faults{path}")
        assert answer.status_code == 400
        assert said in answer.json()["error"]


def test_options_are_set_at_run_time_and_set_back(sandbox: Faulty) -> None:
    sandbox.option("hubspot", searches_per_second=None, search_cap=20, withheld_scopes=["crm.objects.deals.read"], calls_per_day=None)
    shown = {one["name"]: one for one in sandbox.control("GET", "/sandbox/options/hubspot").json()["options"]}
    assert (shown["search_cap"]["value"], shown["search_cap"]["default"]) == (20, 10_000)
    assert shown["withheld_scopes"]["value"] == ["crm.objects.deals.read"]
    assert sandbox.call("hubspot", DEALS).status_code == 403
    assert sandbox.call("hubspot", f"{CONTACTS}/search", method="POST", json={"limit": 20, "after": 10}).status_code == 400
    assert sandbox.control("DELETE", "/sandbox/options/hubspot").status_code == 200
    assert sandbox.call("hubspot", DEALS).status_code == 200
    sandbox.option("hubspot", searches_per_second=None)
    assert sandbox.call("hubspot", f"{CONTACTS}/search", method="POST", json={"limit": 20, "after": 10}).status_code == 200


def test_salesforces_and_marketos_options_too(sandbox: Faulty) -> None:
    sandbox.option("salesforce", daily_calls=0)
    sandbox.option("marketo", denied=["leads"])
    assert sandbox.call("salesforce").json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert sandbox.call("marketo").json()["errors"][0]["code"] == "603"


def test_wrong_options_are_refused_and_nothing_is_set(sandbox: Faulty) -> None:
    before = sandbox.control("GET", "/sandbox/options/hubspot").json()
    for body, said in (
        ({"search_cap": 5, "serch_lag": 1}, "hubspot has no 'serch_lag'; there are: access_token, "),
        ({"search_cap": "many"}, "'search_cap' is integer, not 'many'"),
        ({"search_cap": None}, "'search_cap' is integer, not None"),
    ):
        answer = sandbox.control("PATCH", "/sandbox/options/hubspot", body)
        assert answer.status_code == 400
        assert said in answer.json()["error"]
    assert sandbox.control("GET", "/sandbox/options/hubspot").json() == before
    assert sandbox.control("GET", "/sandbox/options/zoho").status_code == 400


@pytest.mark.parametrize("crm", KINDS)
def test_every_option_says_what_it_does(crm: Any) -> None:
    assert [one.name for one in settings_of(option_classes()[crm]).values() if not one.doc] == []


def test_sessions_are_ended_by_hand(sandbox: Faulty) -> None:
    salesforce, marketo = sandbox.token("salesforce"), sandbox.token("marketo")
    for crm in ("salesforce", "marketo"):
        assert sandbox.control("POST", "/sandbox/expire", {"crm": crm}).json() == {"crm": crm, "expired": True}
    assert sandbox.call("salesforce", token=salesforce).status_code == 401
    assert sandbox.call("marketo", token=marketo).json()["errors"][0]["code"] == "602"
    refused = sandbox.control("POST", "/sandbox/expire", {"crm": "hubspot"})
    assert (refused.status_code, "do not expire" in refused.json()["error"]) == (400, True)


def test_a_purged_record_is_nowhere(sandbox: Faulty) -> None:
    store = sandbox.server.world.stores["salesforce"]
    contact = next(person for person in store.live_people() if person.startswith("003"))
    store.delete_person(contact, datetime.now(UTC))
    query = f"/services/data/v62.0/queryAll?q=SELECT+Id+FROM+Contact+WHERE+Id='{contact}'"
    assert sandbox.call("salesforce", query).json()["totalSize"] == 1
    assert sandbox.control("POST", "/sandbox/purge", {"crm": "salesforce", "id": contact}).json()["purged"]
    assert sandbox.call("salesforce", query).json()["totalSize"] == 0
    again = sandbox.control("POST", "/sandbox/purge", {"crm": "salesforce", "id": contact})
    assert (again.status_code, f"no record '{contact}'" in again.json()["error"]) == (400, True)


def test_leads_and_contacts_are_purged_at_once(sandbox: Faulty) -> None:
    lead = sandbox.server.world.stores["marketo"].live_people()[0]
    assert sandbox.control("POST", "/sandbox/purge", {"crm": "marketo", "id": int(lead)}).json()["purged"]
    assert sandbox.call("marketo", f"/rest/v1/leads.json?filterType=id&filterValues={lead}").json()["result"] == []
    contact = sandbox.server.world.stores["hubspot"].live_people()[0]
    assert sandbox.control("POST", "/sandbox/purge", {"crm": "hubspot", "id": contact}).json()["purged"]
    for archived in ("true", "false"):
        assert sandbox.call("hubspot", f"{CONTACTS}/{contact}?archived={archived}").status_code == 404
    for body in ({"crm": "hubspot"}, {"crm": "hubspot", "id": "99"}, {"id": "1"}):
        assert sandbox.control("POST", "/sandbox/purge", body).status_code == 400


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("hubspot:locked", {"crm": "hubspot", "kind": "locked"}),
        (
            "hubspot:rate_limit:path=/crm/v3/objects/contacts*,count=3",
            {"crm": "hubspot", "kind": "rate_limit", "path": "/crm/v3/objects/contacts*", "count": "3"},
        ),
        ("marketo:drop:path=re:^GET .*[a,b],after=2", {"crm": "marketo", "kind": "drop", "path": "re:^GET .*[a,b]", "after": "2"}),
    ],
)
def test_a_fault_is_read_from_the_command_line(text: str, given: dict[str, str]) -> None:
    assert parse_fault(text) == given


@pytest.mark.parametrize(
    "text", ["", "hubspot", "hubspot:", "hubspot:slow:seconds", "hubspot:slow:seconds=1,seconds=2", "x:slow", "hubspot:slow:x=1"]
)
def test_what_is_no_fault_is_refused_on_the_command_line(text: str) -> None:
    with pytest.raises(SwitchError):
        parse_fault(text)


def test_an_option_is_read_from_the_command_line() -> None:
    assert parse_option("hubspot:search_lag_seconds=5") == ("hubspot", {"search_lag_seconds": "5"})
    for text in ("hubspot", "hubspot:search_lag_seconds", "hubspot:nope=1", "zoho:x=1", "hubspot:search_cap=much"):
        with pytest.raises(SwitchError):
            parse_option(text)


def test_hubspots_events_are_sent_to_a_listener_of_this_machine(sandbox: Faulty, serve: Callable[[Any], str]) -> None:
    heard: list[dict[str, Any]] = []

    async def listen(request: Request) -> Response:
        heard.extend(await request.json())
        return Response()

    url = serve(Starlette(routes=[Route("/events", listen, methods=["POST"])]))
    set_to = sandbox.control("PUT", "/sandbox/webhooks", {"url": f"{url}/events", "types": ["contact.deletion"]}).json()
    assert (set_to["url"], set_to["types"]) == (f"{url}/events", ["contact.deletion"])
    contact = sandbox.server.world.stores["hubspot"].live_people()[-1]
    assert sandbox.call("hubspot", f"{CONTACTS}/{contact}", method="DELETE").status_code == 204
    assert sandbox.server.apps["hubspot"].state.webhooks.settle()
    assert [(event["subscriptionType"], str(event["objectId"])) for event in heard] == [("contact.deletion", contact)]
    ended = sandbox.control("DELETE", "/sandbox/webhooks").json()
    assert (ended["url"], [one["status"] for one in ended["deliveries"]]) == (None, [200])
    for body in ({"url": "http://example.com/"}, {"url": url, "kinds": []}, {}):
        assert sandbox.control("PUT", "/sandbox/webhooks", body).status_code == 400


def cdp(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """A command that uses the running sandbox."""
    monkeypatch.setenv("CDP_SANDBOX_PORT", str(sandbox.addresses.control))
    return CliRunner().invoke(cli, ["sandbox", *words])


def test_faults_are_set_listed_and_cleared_by_command(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No fault is on" in cdp(sandbox, monkeypatch, "faults").stdout
    done = cdp(sandbox, monkeypatch, "faults", "set", "hubspot:locked:count=2", "marketo:slow:seconds=0,path=/rest/*")
    assert done.exit_code == 0, done.output
    assert struck(sandbox, 3) == [True, True, False]
    listed = cdp(sandbox, monkeypatch, "faults").stdout
    assert "path=/rest/*" in listed
    assert "locked" not in listed
    assert "1 switched off" in cdp(sandbox, monkeypatch, "faults", "clear").stdout
    numbers = [str(sandbox.set("hubspot", "locked")["id"]) for _ in range(2)]
    assert "1 switched off" in cdp(sandbox, monkeypatch, "faults", "clear", numbers[0]).stdout
    assert "0 switched off" in cdp(sandbox, monkeypatch, "faults", "clear", "--crm", "marketo").stdout
    assert [one["id"] for one in sandbox.control("GET", "/sandbox/faults").json()["on"]] == [int(numbers[1])]


def test_the_commands_refuse_what_there_is_not(sandbox: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, said in (
        (("faults", "set", "hubspot:lockd"), "no fault 'lockd'"),
        (("faults", "clear", "4711"), "No fault 4711 is on"),
        (("serve", "--fault", "hubspot:slow:second=1"), "no 'second'"),
        (("serve", "--option", "hubspot:serch_cap=1"), "no 'serch_cap'"),
    ):
        done = cdp(sandbox, monkeypatch, *words)
        assert done.exit_code == 2
        assert said in re.sub(r"[\s│]+", " ", done.output)


def test_without_a_running_sandbox_the_commands_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_SANDBOX_PORT", "1")
    done = CliRunner().invoke(cli, ["sandbox", "faults"])
    assert done.exit_code == 1
    assert "where no sandbox runs" in done.output


def test_every_kind_is_listed_by_command() -> None:
    listed = CliRunner().invoke(cli, ["sandbox", "faults", "kinds"]).stdout
    assert {"token_expired", "truncate", "uri_too_long"} <= set(listed.split())


def test_a_sandbox_can_misbehave_from_the_start(tmp_path: Path) -> None:
    words = ["serve", "--port", "0", "--people", "20", "--fault", "hubspot:locked:path=*contacts*", "--option", "hubspot:portal_id=7"]
    command = [sys.executable, "-c", "from cdp_pipelines.cli import main; main()", "sandbox", *words]
    environment = {"PATH": "/usr/bin:/bin", "CDP_DATA_DIR": str(tmp_path), "CDP_ENV_FILE": "/dev/null", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2])
    try:
        assert process.stdout is not None
        found = re.search(r"http://127.0.0.1:\d+", process.stdout.readline())
        assert found is not None
        assert [one["kind"] for one in httpx2.get(f"{found[0]}/sandbox/faults").json()["on"]] == ["locked"]
        options = httpx2.get(f"{found[0]}/sandbox/options/hubspot").json()["options"]
        assert next(one["value"] for one in options if one["name"] == "portal_id") == 7
    finally:
        process.terminate()
        process.wait(timeout=20)
