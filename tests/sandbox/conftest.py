"""Watches which calls of the three APIs each test module makes (`clients/calls.py` says what for), and one sandbox for a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.clients import calls
from tests.sandbox.faulty import Faulty, faulty

calls.watch()
_ran: set[str] = set()


@pytest.fixture(autouse=True, scope="module")
def calls_made(request: pytest.FixtureRequest) -> Iterator[set[str]]:
    """The calls that the module made so far. A client's module, once it has run whole, must have made all that docs/sandbox.md lists for it."""
    name = request.path.name
    client = getattr(request.module, "CLIENT", None)
    with calls.recording(client or (calls.RECORDED if name.endswith(("_recorded.py", "_shapes.py")) else calls.OWN)) as made:
        yield made
    tests = {item.nodeid for item in request.session.items if item.path == request.path}
    whole = {item.function.__name__ for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)}
    if client and tests <= _ran and whole == {name for name in vars(request.module) if name.startswith("test_")}:
        unmade = calls.missing(client, made)
        assert not unmade, f"docs/sandbox.md lists calls that {client} no longer makes: {unmade}. Mend the test, or write the table anew."


@pytest.fixture(autouse=True)
def _it_ran(request: pytest.FixtureRequest) -> None:
    _ran.add(request.node.nodeid)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A sandbox of the module's own."""
    with faulty(tmp_path_factory.mktemp("state")) as made:
        yield made


@pytest.fixture
def sandbox(running: Faulty) -> Faulty:
    """It, with every fault off and every option as it was."""
    running.reset()
    return running
