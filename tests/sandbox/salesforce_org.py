"""A small org for the Salesforce tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import httpx2

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore


@cache
def small_world() -> World:
    return build_world(people=400, seed=3)


def new_store() -> SalesforceStore:
    world = small_world()
    return SalesforceStore(world.salesforce, world.owners)


class Caller:
    """A plain HTTP caller, signed in by password, so that tests see exactly what a client sees."""

    def __init__(self, base_url: str, version: str = "62.0"):
        self.base_url, self.version = base_url, version
        self.http = httpx2.Client(base_url=base_url, trust_env=False)
        self.http.headers["Authorization"] = f"Bearer {self.token(grant_type='password').json()['access_token']}"

    def token(self, **form: str) -> httpx2.Response:
        return self.http.post("/services/oauth2/token", data={**credentials.SALESFORCE, **form}, headers={"Authorization": ""})

    def get(self, path: str, **params: Any) -> httpx2.Response:
        return self.http.get(f"/services/data/v{self.version}/{path}", params=params)

    def send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return self.http.request(method, f"/services/data/v{self.version}/{path}", json=body)

    def query(self, soql: str) -> Any:
        return self.get("query", q=soql).json()

    def error(self, soql: str) -> Any:
        answer = self.get("query", q=soql)
        assert answer.status_code == 400
        return answer.json()[0]
