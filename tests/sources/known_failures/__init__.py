"""Faults of reading and writing that users of other tools reported, and the tests that show that they cannot happen here.

`entries.yml` has them in our own words, by CRM. A test names the reports that it answers: `@known_failure("airbytehq/airbyte#27146")`.
`python -m tests.sources.known_failures` writes the table of docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.marked import PROJECT, marked, put_between

PAGE = PROJECT / "docs" / "reliability.md"
COMMAND = "python -m tests.sources.known_failures"
BEGIN, END = f"<!-- known failures: written by `{COMMAND}` -->", "<!-- end of known failures -->"
NAMES = {"salesforce": "Salesforce", "hubspot": "HubSpot", "marketo": "Marketo", "writeback": "Write-back to all of them"}
Test = TypeVar("Test", bound=Callable[..., Any])


@cache
def entries() -> dict[str, dict[str, str]]:
    """CRM -> report (`owner/name#N`) -> what must not happen."""
    return yaml.safe_load((Path(__file__).parent / "entries.yml").read_text(encoding="utf-8"))


def known_failure(*issues: str) -> Callable[[Test], Test]:
    """Says which public reports a test answers. Raises KeyError for one that is not in entries.yml."""
    listed = {issue for of_crm in entries().values() for issue in of_crm}
    if unknown := set(issues) - listed:
        raise KeyError(f"not in entries.yml: {', '.join(sorted(unknown))}")
    return lambda test: test


def answered() -> dict[str, list[str]]:
    """Report -> tests."""
    return marked((PROJECT / "tests").rglob("test_*.py"), "known_failure")


def table() -> str:
    """The table's Markdown: one part for each CRM, one line for each kind."""
    tests, lines = answered(), []
    for crm, of_crm in entries().items():
        kinds: dict[str, list[str]] = {}
        for issue, kind in of_crm.items():
            kinds.setdefault(kind, []).append(issue)
        lines += ["", f"## {NAMES[crm]}", "", "| What must not happen | Reported | Tests |", "| --- | --- | --- |"]
        for kind, issues in kinds.items():
            shown = dict.fromkeys(test for issue in issues for test in tests.get(issue, []))
            lines.append(f"| {kind} | {', '.join(issues)} | {'<br>'.join(f'`{test}`' for test in shown)} |")
    return "\n".join([*lines, "", ""])


def refreshed(page: str) -> str:
    """The page with its table made anew. Raises ValueError when the page has no place for it."""
    return put_between(page, BEGIN, END, table())
