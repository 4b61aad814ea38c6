"""What a person sees of a sync while it runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cdp_pipelines.cli import progress


def shown(monkeypatch: pytest.MonkeyPatch, *reported: tuple[float, int, int | None]) -> list[str]:
    """The lines for a table of which (second, rows, expected) were reported."""
    clock = iter([0.0, *(second for second, *_ in reported)])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    said = io.StringIO()
    with progress.progress(Console(file=said, width=100)) as told:
        for _, rows, expected in reported:
            told.rows("hubspot", "contacts", rows, expected)
    return said.getvalue().splitlines()


def test_a_table_that_takes_long_shows_its_rate_and_how_long_it_will_take(monkeypatch):
    lines = shown(monkeypatch, (5, 1_000, 50_000), (25, 20_000, 50_000), (55, 50_000, 50_000))
    assert lines == [
        "  hubspot.contacts: 20,000 of about 50,000 rows, 1,000/s, 30 s left",
        "  hubspot.contacts: 50,000 rows, 1,000/s",
    ]


def test_without_a_number_to_expect_only_the_rate_is_shown(monkeypatch):
    assert shown(monkeypatch, (0, 0, None), (20, 40_000, None)) == ["  hubspot.contacts: 40,000 rows, 2,000/s"]
