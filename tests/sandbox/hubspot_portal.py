"""A small portal over real HTTP, for tests of the HubSpot emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx2
from starlette.types import ASGIApp

from cdp_pipelines.sandbox.hubspot.api import app
from cdp_pipelines.sandbox.hubspot.limits import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.people import World, build_world

# After everything in the world, to the millisecond, as HubSpot keeps moments.
LATER = datetime(2027, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)
UNLIMITED: dict[str, Any] = {"calls_per_10_seconds": None, "searches_per_second": None}


@cache
def world() -> World:
    """The same world for all tests."""
    return build_world(people=400, seed=7)


def new_store(**options: Any) -> HubSpotStore:
    """A portal as the world begins."""
    return HubSpotStore(world().hubspot, world().owners, salesforce=world().salesforce, **options)


class Portal:
    """A portal that is being served, and a signed-in HTTP client for it."""

    def __init__(self, serve: Callable[[ASGIApp], str], store: HubSpotStore | None = None, **options: Any):
        self.store = store or new_store()
        self.options = HubSpotOptions(**UNLIMITED | options)
        self.app = app(self.store, self.options)
        self.url = serve(self.app)
        headers = {"Authorization": f"Bearer {self.options.access_token}"}
        self.http = httpx2.Client(base_url=self.url, headers=headers, trust_env=False)

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        """The JSON of a GET."""
        return self._checked(self.http.get(path, params=params or None), status)

    def post(self, path: str, body: Any, status: int = 200, **params: Any) -> Any:
        """The JSON of a POST."""
        return self._checked(self.http.post(path, json=body, params=params or None), status)

    def send(self, method: str, path: str, body: Any, status: int = 200) -> Any:
        """The JSON of any other call; None when there is no body to the answer."""
        response = self.http.request(method, path, json=body)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def search(self, kind: str, status: int = 200, **body: Any) -> Any:
        """The JSON of a search."""
        return self.post(f"/crm/v3/objects/{kind}/search", body, status)

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """All records of a list, by following the links."""
        found, body = [], self.get(path, **params)
        while True:
            found += body["results"]
            if "paging" not in body:
                return found
            body = self._checked(self.http.get(body["paging"]["next"]["link"]), 200)

    @staticmethod
    def _checked(response: httpx2.Response, status: int) -> Any:
        assert response.status_code == status, response.text
        return response.json()


def after(minutes: int) -> datetime:
    """A moment after the world's history."""
    return LATER + timedelta(minutes=minutes)
