"""A signed-in caller of the emulated Marketo, for tests of its answers."""

from __future__ import annotations

from typing import Any

import httpx2

from cdp_pipelines.sandbox import credentials


class Caller:
    """Calls the API at a base URL with a fresh token."""

    def __init__(self, url: str):
        self.http = httpx2.Client(base_url=url, timeout=30)
        self.sign_in()

    def sign_in(self) -> dict[str, Any]:
        answer = self.http.get("/identity/oauth/token", params={"grant_type": "client_credentials", **credentials.MARKETO}).json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        return answer

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.http.get(path, params=params).json()

    def post(self, path: str, body: Any = None, **params: Any) -> dict[str, Any]:
        return self.http.post(path, json=body, params=params).json()

    def error(self, path: str, **params: Any) -> str:
        """The code of the error that a call must give."""
        answer = self.get(path, **params)
        assert answer["success"] is False, answer
        return answer["errors"][0]["code"]
