"""Every report of entries.yml has its test, and the table of docs/reliability.md is that of the tests."""

from __future__ import annotations

import re

import pytest

from tests.sources.known_failures import COMMAND, PAGE, answered, entries, known_failure, refreshed


def test_every_report_has_a_test() -> None:
    tests = answered()
    assert [issue for of_crm in entries().values() for issue in of_crm if issue not in tests] == []


def test_every_report_can_be_looked_up() -> None:
    for of_crm in entries().values():
        for issue, kind in of_crm.items():
            assert re.fullmatch(r"[\w.-]+/[\w.-]+(#\d+|@[\d.]+| \(R\d+\))", issue)
            assert kind.endswith(".")


def test_a_report_that_is_not_listed_cannot_be_answered() -> None:
    with pytest.raises(KeyError, match="nobody/nothing#1"):
        known_failure("nobody/nothing#1")


def test_the_table_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert refreshed(page) == page, f"run `{COMMAND}`"
