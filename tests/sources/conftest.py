"""One small sandbox for a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.faulty import Faulty, faulty


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A sandbox of the module's own."""
    with faulty(tmp_path_factory.mktemp("state"), people=60) as made:
        yield made
