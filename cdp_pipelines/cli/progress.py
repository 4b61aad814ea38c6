"""Progress of a sync on stderr: a live line for each table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 10.0


class Shown(Protocol):
    """Told what a sync does."""

    def stage(self, text: str) -> None:
        """A step begins, or something else that a person should know."""

    def rows(self, connection: str, table: str, rows: int, expected: int | None) -> None:
        """So many rows of a table have been read by now, of so many to expect where that is known."""


@contextmanager
def progress(console: Console) -> Generator[Shown]:
    """Show progress for the length of the block."""
    if not console.is_terminal:
        yield _Plain(console)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TextColumn("{task.fields[said]}", justify="right"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as live:
        yield _Live(live)


class _Plain:
    """One line for each step, and now and then one for a table that takes long."""

    def __init__(self, console: Console):
        self._console = console
        self._begun: dict[tuple[str, str], float] = {}
        self._said = time.monotonic()

    def stage(self, text: str) -> None:
        self._console.print(text, markup=False)

    def rows(self, connection: str, table: str, rows: int, expected: int | None) -> None:
        now = time.monotonic()
        begun = self._begun.setdefault((connection, table), now)
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            self._console.print(f"  {connection}.{table}: {_rate(rows, expected, now - begun)}", markup=False)


class _Live:
    """One line for each step and each table."""

    def __init__(self, live: Progress):
        self._live = live
        self._tables: dict[tuple[str, str], TaskID] = {}
        self._current: TaskID | None = None

    def stage(self, text: str) -> None:
        self._begin(text)

    def rows(self, connection: str, table: str, rows: int, expected: int | None) -> None:
        if (connection, table) not in self._tables:
            self._tables[connection, table] = self._begin(f"  {connection}.{table}")
        task = self._tables[connection, table]
        self._live.update(task, said=_rate(rows, expected, self._live.tasks[self._live.task_ids.index(task)].elapsed or 0))

    def _begin(self, text: str) -> TaskID:
        """A new line; the one before is done, since a sync does one thing after the other."""
        if self._current is not None:
            self._live.update(self._current, total=1, completed=1)
        self._current = self._live.add_task(text, total=None, said="")
        return self._current


def _rate(rows: int, expected: int | None, seconds: float) -> str:
    said = f"{rows:,} of about {expected:,} rows" if expected and expected > rows else f"{rows:,} rows"
    if seconds < 1:
        return said
    rate = rows / seconds
    left = f", {_duration((expected - rows) / rate)} left" if expected and expected > rows and rate else ""
    return f"{said}, {rate:,.0f}/s{left}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
