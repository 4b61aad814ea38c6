"""One sandbox for a module's tests, its switches set back before each; clients that do not wait long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdp_pipelines.crm_integrations import http
from tests.sandbox.faulty import Faulty, faulty


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A sandbox of the module's own."""
    with faulty(tmp_path_factory.mktemp("state")) as made:
        yield made


@pytest.fixture
def sandbox(running: Faulty, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    """It, with every fault off and every option as it was."""
    running.reset()
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)
    return running
