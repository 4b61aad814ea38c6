"""A sandbox of 500 people for the connectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp_pipelines.sandbox.server import SandboxServer
from tests.clients_slow.connectors import FOLDER
from tests.sandbox.clients import calls
from tests.sandbox.clients.conftest import running

calls.watch()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    if FOLDER not in os.environ:
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="public connectors are run by `make test-clients`"))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with running(500, tmp_path_factory.mktemp("sandbox")) as server:
        yield server
