from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.sandbox.clients.conftest import running


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("salesforce", "/services/data/", {"Content-Type", "Cache-Control"}),
        ("hubspot", "/crm/v3/owners", {"Content-Type", "X-HubSpot-Correlation-Id"}),
        ("marketo", "/rest/v1/leads.json", {"Content-Type", "X-XSS-Protection", "X-Frame-Options"}),
    ],
)
def test_header_names_come_as_the_vendors_write_them(tmp_path: Path, kind: str, path: str, expected: set[str]) -> None:
    with running(1, tmp_path) as server:
        answer = httpx2.get(server.addresses.url(kind) + path, trust_env=False)
    assert expected <= {name.decode() for name, _ in answer.headers.raw}
