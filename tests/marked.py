"""Tests that say what they show: found by the decorator on them, without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def marked(files: Iterable[Path], decorator: str) -> dict[str, list[str]]:
    """What `@decorator("...", ...)` says above tests -> the tests, as `file::name` seen from `tests`."""
    found: dict[str, list[str]] = {}
    for file in sorted(files):
        for test in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
                for said in _said(test, decorator):
                    found.setdefault(said, []).append(f"{file.relative_to(PROJECT / 'tests').as_posix()}::{test.name}")
    return found


def _said(test: ast.FunctionDef, decorator: str) -> list[str]:
    calls = [
        one for one in test.decorator_list if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == decorator
    ]
    return [ast.literal_eval(argument) for call in calls for argument in call.args]


def put_between(page: str, begin: str, end: str, text: str) -> str:
    """A page with `text` between two markers, each on a line of its own. Raises ValueError when they are not there."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no place for the table: {begin} ... {end}")
    return f"{before}{begin}\n{text}{end}{after}"
