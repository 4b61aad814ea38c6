"""One sandbox for a module's tests, its switches set back before each, and clients that do not wait long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdp_pipelines.crm_integrations import http
from tests.sandbox.faulty import Faulty, faulty


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("state"), people=60) as made:
        yield made


@pytest.fixture
def sandbox(running: Faulty, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    running.reset()
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)
    return running
