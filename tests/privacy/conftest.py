"""One directory in which a person is held everywhere, made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cdp_pipelines.config import Settings
from tests.privacy import held


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = held.make(tmp_path_factory.mktemp("held") / "data")
    assert len(held.values_left(settings.data_dir)) > 15, "the person is really everywhere"
    return settings


@pytest.fixture
def holding(made: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(made.data_dir, tmp_path / "data")
    return made.model_copy(update={"data_dir": tmp_path / "data", "sandbox_dir": tmp_path / "data" / "sandbox"})
