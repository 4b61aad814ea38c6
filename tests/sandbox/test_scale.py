"""How quickly a large sandbox starts and answers, and how much memory it takes.

Measured in the sandbox's own process. Times are of the processor, so that whatever else the machine does is not counted; the time until it
is ready is the lesser of that and the clock's, because it starts on several processors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sandbox.hubspot.records import FIRST_ID, STEP

pytestmark = pytest.mark.timing
# People in the world, and how many of them a CRM knows at least; a million contacts in each CRM take more people than that.
SMALL, LARGE = 100_000, 1_720_000
PAGES, ROUNDS = 32, 4
TICKS = os.sysconf("SC_CLK_TCK")
SALESFORCE_FIELDS = "Id, FirstName, LastName, Email, Phone, Title, AccountId, LeadSource, CreatedDate, SystemModstamp"


@dataclass
class Large:
    """A sandbox in a process of its own."""

    addresses: SandboxAddresses
    process: subprocess.Popen[bytes]
    start_seconds: float
    http: httpx2.Client

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def milliseconds_each(self, ask: Callable[[int], Any]) -> float:
        """What a page costs: the mean of several, in the best of some rounds, since others may use the machine meanwhile. No two pages are
        the same, so none is remembered from before.
        """
        rounds = []
        for first in range(0, PAGES, PAGES // ROUNDS):
            begun = self.cpu_seconds()
            for page in range(first, first + PAGES // ROUNDS):
                ask(page)
            rounds.append((self.cpu_seconds() - begun) / (PAGES // ROUNDS) * 1000)
        return min(rounds)

    def get(self, crm: str, path: str, token: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        answer = self.http.get(f"{self.addresses.url(crm)}{path}", headers=headers, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


def sandbox(people: int, state: Path) -> Iterator[Large]:
    command = [sys.executable, "-m", "cdp_pipelines.sandbox", "--port", "0", "--people", str(people), "--state", str(state), "--child"]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        addresses = SandboxAddresses(**json.loads(process.stdout.readline())["ports"])
        took = time.monotonic() - begun
        with httpx2.Client(timeout=120, trust_env=False) as http:
            made = Large(addresses, process, took, http)
            made.start_seconds = min(took, made.cpu_seconds())
            yield made
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=20)


@pytest.fixture(scope="module", params=[pytest.param(SMALL, id="100,000"), pytest.param(LARGE, id="1,000,000", marks=pytest.mark.slow)])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    yield from sandbox(request.param, tmp_path_factory.mktemp("state"))


def places(total: int, page: int) -> dict[str, int]:
    """Where pages begin that lie at the beginning, in the middle and at the end."""
    room = PAGES * page
    return {"beginning": 0, "middle": total // 2, "end": total - room}


def test_it_is_ready_in_five_seconds(large: Large, record_property: Callable[[str, object], None]) -> None:
    record_property("start_seconds", large.start_seconds)
    print(f"\nready after {large.start_seconds:.2f} s, {large.peak_megabytes():.0f} MB")
    assert large.start_seconds < 5


@pytest.mark.parametrize("place", ["beginning", "middle", "end"])
def test_hubspot_answers_a_hundred_contacts_in_twenty_milliseconds(large: Large, place: str) -> None:
    token, size = credentials.HUBSPOT["access_token"], 100
    last = _last_contact(large)
    start = places(last, size)[place]

    def ask(page: int) -> None:
        after = FIRST_ID["contacts"] + (start + page * size) * STEP
        params = {"limit": size, "after": after, "properties": "email,firstname,lastname,phone,jobtitle,company,lastmodifieddate"}
        assert len(large.get("hubspot", "/crm/v3/objects/contacts", token, params=params)["results"]) > size * 0.9

    took = large.milliseconds_each(ask)
    print(f"\nHubSpot, {place} of {last:,}: {took:.1f} ms a page of {size}")
    assert took / size * 100 < 20


def _last_contact(large: Large) -> int:
    """The number of the last contact, found by halving: nothing tells how many there are without counting."""
    token, low, high = credentials.HUBSPOT["access_token"], 0, 4_000_000
    while high - low > 1:
        middle = (low + high) // 2
        params = {"limit": 1, "after": FIRST_ID["contacts"] + middle * STEP}
        found = large.get("hubspot", "/crm/v3/objects/contacts", token, params=params)["results"]
        low, high = (middle, high) if found else (low, middle)
    return low


def test_hubspot_finds_what_changed_lately_without_reading_everybody(large: Large) -> None:
    body: dict[str, Any] = {
        "filterGroups": [{"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "2026-06-29T00:00:00Z"}]}],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}], "limit": 100,
    }  # fmt: skip
    url, token = f"{large.addresses.url('hubspot')}/crm/v3/objects/contacts/search", credentials.HUBSPOT["access_token"]
    begun = large.cpu_seconds()
    answer = large.http.post(url, json=body, headers={"Authorization": f"Bearer {token}"}).json()
    took = (large.cpu_seconds() - begun) * 1000
    print(f"\nHubSpot search: {took:.0f} ms for {answer['total']:,} found")
    assert answer["total"] > 100
    changed = [record["updatedAt"] for record in answer["results"]]
    assert changed == sorted(changed)
    assert took < 250


def salesforce_token(large: Large) -> str:
    form = {"grant_type": "password", **credentials.SALESFORCE}
    return large.http.post(f"{large.addresses.url('salesforce')}/services/oauth2/token", data=form).json()["access_token"]


@pytest.mark.parametrize("place", ["beginning", "middle", "end"])
def test_salesforce_answers_a_hundred_contacts_in_twenty_milliseconds(large: Large, place: str) -> None:
    token, size = salesforce_token(large), 200
    batch = {"Sforce-Query-Options": f"batchSize={size}"}
    first = large.get(
        "salesforce", "/services/data/v62.0/query", token, params={"q": f"SELECT {SALESFORCE_FIELDS} FROM Contact"}, headers=batch
    )
    locator = first["nextRecordsUrl"].rsplit("-", 1)[0]
    start = places(first["totalSize"], size)[place]

    def ask(page: int) -> None:
        assert len(large.get("salesforce", f"{locator}-{start + page * size}", token, headers=batch)["records"]) == size

    took = large.milliseconds_each(ask)
    print(f"\nSalesforce, {place} of {first['totalSize']:,}: {took:.1f} ms a page of {size}")
    assert took / size * 100 < 20


def test_salesforce_finds_what_changed_lately_without_reading_everybody(large: Large) -> None:
    token = salesforce_token(large)
    text = "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-06-30T00:00:00Z ORDER BY SystemModstamp"
    begun = large.cpu_seconds()
    answer = large.get("salesforce", "/services/data/v62.0/queryAll", token, params={"q": text})
    took = (large.cpu_seconds() - begun) * 1000
    print(f"\nSalesforce query: {took:.0f} ms for {answer['totalSize']:,} found")
    assert answer["totalSize"] > 10
    assert took < 1000


def marketo_token(large: Large) -> str:
    form = {"grant_type": "client_credentials", **credentials.MARKETO}
    return large.http.get(f"{large.addresses.url('marketo')}/identity/oauth/token", params=form).json()["access_token"]


@pytest.mark.parametrize("place", ["beginning", "middle", "end"])
def test_marketo_answers_a_hundred_leads_in_twenty_milliseconds(large: Large, place: str) -> None:
    token, size = marketo_token(large), 100
    start = places(_last_lead(large, token), size)[place]

    def ask(page: int) -> None:
        ids = ",".join(str(start + page * size + n + 1) for n in range(size))
        params = {"filterType": "id", "filterValues": ids, "fields": "id,email,firstName,lastName,phone,title,company,updatedAt"}
        assert len(large.get("marketo", "/rest/v1/leads.json", token, params=params)["result"]) > size * 0.9

    took = large.milliseconds_each(ask)
    print(f"\nMarketo, {place}: {took:.1f} ms a page of {size}")
    assert took / size * 100 < 20


def _last_lead(large: Large, token: str) -> int:
    low, high = 1, 4_000_000
    while high - low > 1:
        middle = (low + high) // 2
        params = {"filterType": "id", "filterValues": ",".join(str(middle + n) for n in range(20)), "fields": "id"}
        found = large.get("marketo", "/rest/v1/leads.json", token, params=params)["result"]
        low, high = (middle, high) if found else (low, middle)
    return low


def test_marketo_answers_a_hundred_activities_in_twenty_milliseconds(large: Large) -> None:
    token = marketo_token(large)
    since = {"sinceDatetime": "2026-01-01T00:00:00Z"}
    size = 300
    page_token = large.get("marketo", "/rest/v1/activities/pagingtoken.json", token, params=since)["nextPageToken"]

    def ask(page: int) -> None:
        nonlocal page_token
        answer = large.get("marketo", "/rest/v1/activities.json", token, params={"nextPageToken": page_token, "activityTypeIds": "12,13"})
        page_token = answer["nextPageToken"]

    took = large.milliseconds_each(ask)
    print(f"\nMarketo activities: {took:.1f} ms a page of {size}")
    assert took / size * 100 < 20


def test_an_address_is_found_without_reading_everybody(large: Large) -> None:
    ask = {"salesforce": _ask_salesforce(large), "hubspot": _ask_hubspot(large), "marketo": _ask_marketo(large)}
    for crm, (addresses, find) in ask.items():
        took = []
        for address in addresses:
            begun = large.cpu_seconds()
            assert find(address) >= 1, f"{address} in {crm}"
            took.append(large.cpu_seconds() - begun)
        print(f"\n{crm}: an address is found in {took[0]:.2f} s, then in {sum(took[1:]) / len(took[1:]) * 1000:.0f} ms")
        assert took[0] < 3
        assert sum(took[1:]) / len(took[1:]) < 0.2


def _ask_salesforce(large: Large) -> tuple[list[str], Callable[[str], int]]:
    token, path = salesforce_token(large), "/services/data/v62.0/query"
    some = large.get("salesforce", path, token, params={"q": "SELECT Email FROM Contact LIMIT 12"})["records"]

    def find(address: str) -> int:
        text = f"SELECT Id FROM Contact WHERE Email = '{address}'"
        return large.get("salesforce", path, token, params={"q": text})["totalSize"]

    return [record["Email"] for record in some if record["Email"] and "'" not in record["Email"]][:8], find


def _ask_hubspot(large: Large) -> tuple[list[str], Callable[[str], int]]:
    token, path = credentials.HUBSPOT["access_token"], "/crm/v3/objects/contacts"
    some = large.get("hubspot", path, token, params={"limit": 12, "properties": "email"})["results"]

    def find(address: str) -> int:
        asked = {"filters": [{"propertyName": "email", "operator": "EQ", "value": address}]}
        url, headers = f"{large.addresses.url('hubspot')}{path}/search", {"Authorization": f"Bearer {token}"}
        time.sleep(0.3)  # the search API's limit
        return large.http.post(url, json=asked, headers=headers).json()["total"]

    return [record["properties"]["email"] for record in some if record["properties"]["email"]][:8], find


def _ask_marketo(large: Large) -> tuple[list[str], Callable[[str], int]]:
    token, path = marketo_token(large), "/rest/v1/leads.json"
    params = {"filterType": "id", "filterValues": ",".join(map(str, range(1, 20))), "fields": "id,email"}
    some = [lead["email"] or "" for lead in large.get("marketo", path, token, params=params)["result"]]

    def find(address: str) -> int:
        return len(large.get("marketo", path, token, params={"filterType": "email", "filterValues": address})["result"])

    return [address for address in some if "@" in address and "none.com" not in address and "test.com" not in address][:8], find


@pytest.mark.parametrize("turn", ["first", "next"])
def test_a_batch_of_changes_takes_less_than_five_seconds(large: Large, turn: str) -> None:
    begun = large.cpu_seconds()
    answer = large.http.post(f"{large.addresses.control_url}/sandbox/change", json={"seed": len(turn), "count": 60})
    took = large.cpu_seconds() - begun
    assert len(answer.json()["changes"]) == 60
    print(f"\n{turn} batch of changes: {took:.2f} s, {large.peak_megabytes():.0f} MB")
    assert took < 5


def test_the_whole_process_takes_less_than_two_gigabytes(large: Large) -> None:
    answer = large.http.get(f"{large.addresses.control_url}/sandbox/counts").json()
    print(f"\n{answer['salesforce']['Contact'] + answer['salesforce']['Lead']:,} people in Salesforce, {answer['hubspot']['contacts']:,} in HubSpot, "
          f"{answer['marketo']['leads']:,} in Marketo: {large.peak_megabytes():.0f} MB")  # fmt: skip
    assert large.peak_megabytes() < 2048
