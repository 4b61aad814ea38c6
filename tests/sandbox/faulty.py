"""One sandbox for a module's tests, its switches set back before each, and plain calls to each of its APIs."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer

# A call of each API that needs a token and gives JSON.
CALLS = {
    "salesforce": "/services/data/v62.0/query?q=SELECT+Id,LastName+FROM+Contact",
    "hubspot": "/crm/v3/objects/contacts?limit=10",
    "marketo": "/rest/v1/leads/describe.json",
}


class Faulty:
    """A running sandbox and how to reach it."""

    def __init__(self, server: SandboxServer):
        self.server, self.addresses = server, server.addresses
        self.http = httpx2.Client(timeout=10, trust_env=False)

    def control(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """A control route's answer."""
        return self.http.request(method, f"{self.addresses.control_url}{path}", json=body)

    def set(self, crm: str, kind: str, **more: Any) -> dict[str, Any]:
        """Switch a fault on."""
        answer = self.control("POST", "/sandbox/faults", {"crm": crm, "kind": kind, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def option(self, crm: str, **values: Any) -> None:
        """Set options."""
        answer = self.control("PATCH", f"/sandbox/options/{crm}", values)
        assert answer.status_code == 200, answer.text

    def reset(self) -> None:
        """Every fault off, every option as it was."""
        self.control("DELETE", "/sandbox/faults")
        for kind in KINDS:
            self.control("DELETE", f"/sandbox/options/{kind}")

    def sign_in(self, crm: str) -> httpx2.Response:
        """The token endpoint's answer."""
        if crm == "salesforce":
            form = {"grant_type": "password", **credentials.SALESFORCE}
            return self.http.post(f"{self.addresses.url(crm)}/services/oauth2/token", data=form)
        query = {"grant_type": "client_credentials", **credentials.MARKETO}
        return self.http.get(f"{self.addresses.url(crm)}/identity/oauth/token", params=query)

    def token(self, crm: str) -> str:
        """A token that the API accepts."""
        return credentials.HUBSPOT["access_token"] if crm == "hubspot" else self.sign_in(crm).json()["access_token"]

    def call(self, crm: str, path: str | None = None, *, method: str = "GET", token: str | None = None, **more: Any) -> httpx2.Response:
        """An API's answer to a signed call."""
        headers = {"Authorization": f"Bearer {token or self.token(crm)}", **more.pop("headers", {})}
        return self.http.request(method, f"{self.addresses.url(crm)}{path or CALLS[crm]}", headers=headers, **more)


@contextmanager
def faulty(state: Path, people: int = 120, options: Mapping[Kind, Any] | None = None) -> Generator[Faulty]:
    """A sandbox of its own, with other options than usual where they are given."""
    server = SandboxServer(people=people, seed=1, state=state, options=options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    made = Faulty(server)
    try:
        yield made
    finally:
        made.http.close()
        server.stop()
        thread.join(timeout=10)
