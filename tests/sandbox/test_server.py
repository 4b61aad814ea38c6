from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cdp_pipelines.config import KINDS, ConfigError, Kind, Settings, connection_from_config, connection_from_env
from cdp_pipelines.sandbox import credentials, hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sandbox.server import SandboxServer, path_template

PEOPLE = 120


@contextmanager
def serving(state: Path, seed: int = 1, empty: frozenset[Kind] = frozenset()) -> Generator[SandboxServer]:
    server = SandboxServer(people=PEOPLE, seed=seed, state=state, empty=empty)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SandboxServer]:
    with serving(tmp_path) as running:
        yield running


def get(addresses: SandboxAddresses, path: str) -> Any:
    answer = httpx2.get(f"{addresses.control_url}{path}", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def change(addresses: SandboxAddresses, seed: int = 1, count: int = 60) -> list[dict[str, Any]]:
    return httpx2.post(f"{addresses.control_url}/sandbox/change", json={"seed": seed, "count": count}, timeout=30).json()["changes"]


def hubspot_contacts(addresses: SandboxAddresses) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    url: str | None = f"{addresses.url('hubspot')}/crm/v3/objects/contacts?limit=100&properties=email,lastname,jobtitle,phone"
    while url:
        answer = httpx2.get(url, headers={"Authorization": f"Bearer {credentials.HUBSPOT['access_token']}"}).json()
        found += answer["results"]
        url = answer.get("paging", {}).get("next", {}).get("link")
        url = url and f"{addresses.url('hubspot')}{url.split(url.split('/crm/')[0], 1)[1]}"
    return found


def salesforce_token(addresses: SandboxAddresses) -> str:
    form = {"grant_type": "password", **credentials.SALESFORCE}
    return httpx2.post(f"{addresses.url('salesforce')}/services/oauth2/token", data=form).json()["access_token"]


def salesforce_people(addresses: SandboxAddresses) -> list[dict[str, Any]]:
    base, token = addresses.url("salesforce"), salesforce_token(addresses)
    found = []
    for name in ("Contact", "Lead"):
        query = {"q": f"SELECT Id, FirstName, LastName, Email, Phone, Title, SystemModstamp FROM {name}"}
        answer = httpx2.get(f"{base}/services/data/v62.0/query", params=query, headers={"Authorization": f"Bearer {token}"})
        found += answer.json()["records"]
    return found


def marketo_token(addresses: SandboxAddresses) -> httpx2.Response:
    form = {"grant_type": "client_credentials", **credentials.MARKETO}
    return httpx2.get(f"{addresses.url('marketo')}/identity/oauth/token", params=form)


def marketo_leads(addresses: SandboxAddresses) -> list[dict[str, Any]]:
    token = marketo_token(addresses).json()["access_token"]
    query = {"filterType": "id", "filterValues": ",".join(map(str, range(1, 200))), "fields": "id,email,lastName,title,phone,updatedAt"}
    answer = httpx2.get(f"{addresses.url('marketo')}/rest/v1/leads.json", params=query, headers={"Authorization": f"Bearer {token}"})
    return answer.json()["result"]


def everything(addresses: SandboxAddresses) -> tuple[Any, ...]:
    return get(addresses, "/sandbox/counts"), salesforce_people(addresses), hubspot_contacts(addresses), marketo_leads(addresses)


def test_health_says_what_runs_and_where(server: SandboxServer) -> None:
    said = get(server.addresses, "/sandbox/health")
    assert (said["name"], said["people"], said["seed"]) == ("cdp-sandbox", PEOPLE, 1)
    assert SandboxAddresses(**said["ports"]) == server.addresses
    assert set(said["counts"]) == set(KINDS)
    assert said["counts"]["hubspot"]["contacts"] > 50


def test_each_port_is_another_crm(server: SandboxServer) -> None:
    assert len(salesforce_people(server.addresses)) == sum(server.world.counts()["salesforce"][name] for name in ("Contact", "Lead"))
    assert len(hubspot_contacts(server.addresses)) == server.world.counts()["hubspot"]["contacts"]
    assert len(marketo_leads(server.addresses)) == server.world.counts()["marketo"]["leads"]
    assert httpx2.get(f"{server.addresses.url('salesforce')}/sandbox/health").status_code in (401, 404)


def test_truth_has_every_record_that_the_crms_show_once(server: SandboxServer) -> None:
    change(server.addresses, count=150)
    people = get(server.addresses, "/sandbox/truth")["people"]
    known = [(record["crm"], str(record["id"])) for records in people.values() for record in records]
    assert len(set(known)) == len(known)
    shown = {("salesforce", r["Id"]) for r in salesforce_people(server.addresses)}
    shown |= {("hubspot", str(r["id"])) for r in hubspot_contacts(server.addresses)}
    shown |= {("marketo", str(r["id"])) for r in marketo_leads(server.addresses)}
    assert shown <= set(known)


def test_truth_has_the_vendors_company_ids(server: SandboxServer) -> None:
    companies = get(server.addresses, "/sandbox/truth")["companies"]
    assert {record["crm"] for records in companies.values() for record in records} == set(KINDS)
    assert all(record["id"] for records in companies.values() for record in records)


def test_a_change_is_seen_in_the_crm_and_in_the_log(server: SandboxServer) -> None:
    done = [done for seed in range(4) for done in change(server.addresses, seed, count=200)]
    assert len(done) == 800
    alive: dict[str, bool] = {}
    for step in done:
        if step["crm"] == "hubspot" and step["op"] in ("create", "edit", "delete", "purge", "restore", "merge", "move"):
            alive[step["id"]] = step["op"] not in ("delete", "purge")
            alive |= {step["loser"]: False} if step["op"] == "merge" else {}
    shown = {contact["id"] for contact in hubspot_contacts(server.addresses)}
    assert {person for person, lives in alive.items() if lives} <= shown
    assert any(step["op"] == "delete" and step["crm"] == "hubspot" for step in done)
    assert not {person for person, lives in alive.items() if not lives} & shown
    log = get(server.addresses, "/sandbox/log")
    assert [(batch["seed"], batch["count"]) for batch in log["batches"]] == [(seed, 200) for seed in range(4)]
    assert [{k: v for k, v in step.items() if k != "at"} for step in log["changes"]] == done


def test_a_restarted_sandbox_is_where_it_was(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        untouched = everything(first.addresses)
        for seed in range(3):
            change(first.addresses, seed, 80)
        before = everything(first.addresses)
        truth = get(first.addresses, "/sandbox/truth")
    with serving(tmp_path) as second:
        assert everything(second.addresses) == before != untouched
        assert get(second.addresses, "/sandbox/truth") == truth


def write_by_api(addresses: SandboxAddresses, mail: str = "ann@tea.example") -> list[Any]:
    """A person in each CRM, changed, and one in Salesforce's recycle bin; gives what is shown of them."""
    sales, hub, market = (addresses.url(kind) for kind in KINDS)
    as_sales = {"Authorization": f"Bearer {salesforce_token(addresses)}"}
    as_market = {"Authorization": f"Bearer {marketo_token(addresses).json()['access_token']}"}
    as_hub = {"Authorization": f"Bearer {credentials.HUBSPOT['access_token']}"}
    objects = f"{sales}/services/data/v62.0/sobjects/Lead"
    for name in ("Ann", "Bea"):
        lead = httpx2.post(objects, json={"LastName": name, "Company": "Tea"}, headers=as_sales).json()["id"]
    assert httpx2.patch(f"{objects}/{lead}", json={"Title": "Taster"}, headers=as_sales).status_code == 204
    contacts = f"{hub}/crm/v3/objects/contacts"
    contact = httpx2.post(contacts, json={"properties": {"email": mail, "lastname": "Ann"}}, headers=as_hub).json()["id"]
    assert httpx2.patch(f"{contacts}/{contact}", json={"properties": {"jobtitle": "Taster"}}, headers=as_hub).status_code == 200
    made = httpx2.post(f"{market}/rest/v1/leads.json", json={"input": [{"email": mail, "title": "Taster"}]}, headers=as_market)
    return [lead, contact, made.json()["result"][0]["id"]]


def read_by_api(addresses: SandboxAddresses, lead: str, contact: str, person: int) -> list[Any]:
    sales, hub, market = (addresses.url(kind) for kind in KINDS)
    asked = (
        (f"{sales}/services/data/v62.0/sobjects/Lead/{lead}", salesforce_token(addresses)),
        (f"{hub}/crm/v3/objects/contacts/{contact}?properties=email,jobtitle,lastmodifieddate", credentials.HUBSPOT["access_token"]),
        (f"{market}/rest/v1/lead/{person}.json?fields=id,email,title,createdAt,updatedAt", marketo_token(addresses).json()["access_token"]),
    )
    found = [httpx2.get(url, headers={"Authorization": f"Bearer {token}"}).json() for url, token in asked]
    return [found[0], found[1], found[2]["result"]]


def test_what_clients_wrote_is_there_after_a_restart_with_the_same_ids_and_moments(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        change(first.addresses, 1, 20)
        ids = write_by_api(first.addresses)
        change(first.addresses, 2, 60)
        before, everybody = read_by_api(first.addresses, *ids), everything(first.addresses)
        log = get(first.addresses, "/sandbox/log")
    assert before[0]["Title"] == before[1]["properties"]["jobtitle"] == before[2][0]["title"] == "Taster"
    assert credentials.HUBSPOT["access_token"] not in (tmp_path / "changes.jsonl").read_text()
    with serving(tmp_path) as second:
        assert read_by_api(second.addresses, *ids) == before
        assert everything(second.addresses) == everybody
        assert get(second.addresses, "/sandbox/log") == log
        assert not set(write_by_api(second.addresses, "bob@tea.example")) & set(ids)
    assert [step["op"] for step in log["changes"]].count("request") == 6


def test_two_sandboxes_on_one_log_show_the_same(tmp_path: Path) -> None:
    with serving(tmp_path) as one, serving(tmp_path) as two:
        change(one.addresses, 1, 60)
        change(two.addresses, 2, 60)
        change(one.addresses, 3, 60)
        assert everything(one.addresses) == everything(two.addresses)
        assert len((tmp_path / "changes.jsonl").read_text().splitlines()) == 3


def test_another_world_does_not_take_the_changes_of_this_one(tmp_path: Path) -> None:
    with serving(tmp_path) as one:
        change(one.addresses)
    with serving(tmp_path, seed=2) as other:
        assert get(other.addresses, "/sandbox/log")["batches"] == []


def test_what_cannot_be_understood_is_refused(server: SandboxServer) -> None:
    url = server.addresses.control_url
    for body in (b"no", b"[]", b'{"seed": "x"}', b'{"count": -1}', b'{"count": 1000000000}'):
        assert httpx2.post(f"{url}/sandbox/change", content=body).status_code == 400
    assert httpx2.post(f"{url}/sandbox/revoke", json={"crm": "dynamics"}).status_code == 400
    assert httpx2.get(f"{url}/sandbox/change").status_code == 405
    assert get(server.addresses, "/sandbox/log")["batches"] == []


def test_revoked_tokens_are_refused_and_the_other_crms_go_on(server: SandboxServer) -> None:
    token = marketo_token(server.addresses).json()["access_token"]
    url = f"{server.addresses.url('marketo')}/rest/v1/leads/describe.json"

    def ask(token: str) -> bool:
        return httpx2.get(url, headers={"Authorization": f"Bearer {token}"}).json()["success"]

    assert ask(token)
    said = httpx2.post(f"{server.addresses.control_url}/sandbox/revoke", json={"crm": "marketo"}).json()
    assert said == {"crm": "marketo", "revoked": True}
    assert not ask(token)
    assert ask(marketo_token(server.addresses).json()["access_token"])
    assert hubspot_contacts(server.addresses)
    for crm in ("salesforce", "hubspot"):
        assert httpx2.post(f"{server.addresses.control_url}/sandbox/revoke", json={"crm": crm}).json()["revoked"]
    answer = httpx2.get(
        f"{server.addresses.url('hubspot')}/crm/v3/objects/contacts",
        headers={"Authorization": f"Bearer {credentials.HUBSPOT['access_token']}"},
    )
    assert answer.status_code == 401


def test_requests_are_counted_by_crm_and_kind_of_path(server: SandboxServer) -> None:
    contact = hubspot_contacts(server.addresses)[0]["id"]
    for _ in range(2):
        httpx2.get(f"{server.addresses.url('hubspot')}/crm/v3/objects/contacts/{contact}")
    counted = get(server.addresses, "/sandbox/requests")
    assert counted["hubspot"]["GET /crm/v3/objects/contacts/{id}"] == 2
    assert counted["salesforce"] == {}


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/services/data/v62.0/jobs/query/750Kx0000000001MAA/results", "/services/data/v62.0/jobs/query/{id}/results"),
        ("/services/data/v62.0/sobjects/Contact/003Kx00000000Ab", "/services/data/v62.0/sobjects/Contact/{id}"),
        ("/services/data/v62.0/sobjects/OpportunityContactRole/describe", "/services/data/v62.0/sobjects/OpportunityContactRole/describe"),
        ("/bulk/v1/leads/export/ce45a7a1-f19d-4ce2-882c-a3c795940a7d/file.json", "/bulk/v1/leads/export/{id}/file.json"),
        ("/rest/v1/leads/describe.json", "/rest/v1/leads/describe.json"),
    ],
)
def test_paths_are_counted_without_ids(path: str, template: str) -> None:
    assert path_template(path) == template


def test_the_page_shows_the_crms_and_what_changed(server: SandboxServer) -> None:
    change(server.addresses, 1, 5)
    page = httpx2.get(server.addresses.control_url)
    assert page.headers["content-type"].startswith("text/html")
    for kind in KINDS:
        assert server.addresses.url(kind) in page.text
    assert get(server.addresses, "/sandbox/log")["changes"][-1]["id"] in page.text


def test_an_empty_crm_answers_with_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, empty=frozenset({"marketo"})) as server:
        counts = get(server.addresses, "/sandbox/counts")
        assert counts["marketo"]["leads"] == 0
        assert counts["hubspot"]["contacts"] > 0


def test_a_taken_port_is_named_with_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"CDP_SANDBOX_PORT is {port}, but port {port} cannot be had"):
            SandboxServer(people=1, seed=1, state=tmp_path, port=port)


def test_connections_and_environment_are_what_the_settings_accept(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.addresses.environment().items():
        monkeypatch.setenv(name, value)
    for kind, config in server.addresses.connections().items():
        configured = connection_from_config(kind, config)
        assert configured.kind == kind
        assert connection_from_env(kind, configured.kind) == configured


def settings_for(tmp_path: Path, port: int) -> Settings:
    return Settings(data_dir=tmp_path, sandbox_port=port, sandbox_people=PEOPLE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_a_running_sandbox_is_found_and_used(tmp_path: Path, server: SandboxServer) -> None:
    settings = settings_for(tmp_path / "elsewhere", server.addresses.control)
    assert hosting.running(settings) == server.addresses
    with hosting.hosted(settings) as addresses:
        assert addresses == server.addresses
    assert len(hosting.change(settings, 1, 10)) == 10
    assert len(server.world.changes) == 10


@pytest.mark.parametrize(
    ("other", "said"), [({"sandbox_people": PEOPLE + 1}, "CDP_SANDBOX_PEOPLE is 121"), ({"sandbox_seed": 9}, "CDP_SANDBOX_SEED is 9")]
)
def test_a_running_sandbox_with_another_world_is_refused(tmp_path: Path, server: SandboxServer, other: dict[str, int], said: str) -> None:
    settings = settings_for(tmp_path, server.addresses.control).model_copy(update=other)
    with pytest.raises(ConfigError, match=f"{said}, but the sandbox that runs on port {server.addresses.control} has"):
        hosting.running(settings)
    assert hosting.running(settings, any_world=True) == server.addresses


def test_something_else_on_the_port_is_no_sandbox(tmp_path: Path, server: SandboxServer) -> None:
    assert hosting.running(settings_for(tmp_path, server.addresses.marketo)) is None
    assert hosting.running(settings_for(tmp_path, free_port())) is None


def test_a_command_gets_its_own_sandbox_and_changes_are_kept_for_the_next(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, free_port())
    done = hosting.change(settings, 4, 20)
    assert len(done) == 20
    with hosting.child(settings) as (addresses, process):
        changes = get(addresses, "/sandbox/log")["changes"]
        assert [{k: v for k, v in change.items() if k != "at"} for change in changes] == done
    assert process.returncode == 0
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(addresses.control_url, timeout=2)


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = (
        "import sys, time; from pathlib import Path; from cdp_pipelines.config import Settings; from cdp_pipelines.sandbox import hosting\n"
        f"settings = Settings(data_dir=Path(sys.argv[1]), sandbox_port={free_port()}, sandbox_people={PEOPLE})\n"
        "with hosting.child(settings) as (addresses, process):\n"
        "    print(hosting.ready_line(addresses), flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", command, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ})
    assert parent.stdout is not None
    addresses = SandboxAddresses(**json.loads(parent.stdout.readline())["ports"])
    assert get(addresses, "/sandbox/health")["people"] == PEOPLE
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            httpx2.get(addresses.control_url, timeout=1)
        except httpx2.HTTPError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the sandbox still answers")
    parent.stdout.close()


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, free_port())
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "changes.jsonl").write_text("{}\n")
    with pytest.raises(RuntimeError, match=r"did not start(.|\n)*KeyError"), hosting.hosted(settings):
        pass
