"""One sandbox for a module's tests, and a data directory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.writeback import applying
from tests.sandbox.faulty import Faulty, faulty
from tests.writeback.world import World


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("state"), people=40) as made:
        yield made


@pytest.fixture
def world(running: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The sandbox with every fault off, and nothing written yet. What a real CRM needs time for, this one does at once."""
    running.reset()
    monkeypatch.setattr(applying, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(applying, "PAUSE_SECONDS", 0.01)
    return World(running, Settings(data_dir=tmp_path / "data", writeback_file=tmp_path / "writeback.yml", lock_wait_seconds=5))
