"""The services, started once for all tests that need Spark."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cdp_pipelines.scale import services


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where the services are; ended and removed after the last test."""
    pytest.importorskip("pyspark", reason="comes with make scale-setup")
    made = Path(tempfile.mkdtemp(prefix="cdp-scale-"))
    made.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, made, ignore_errors=True)
        stack.callback(services.down, made)
        yield made


@pytest.fixture(scope="session")
def found(folder: Path) -> dict[str, str]:
    """The settings with which the services are found."""
    return services.up(folder)
