"""A sandbox whose switches are set back before each test, and clients that do not wait long."""

from __future__ import annotations

import pytest

from cdp_pipelines.crm_integrations import http
from tests.sandbox.faulty import Faulty


@pytest.fixture
def sandbox(running: Faulty, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    running.reset()
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)
    return running
