"""docs/quality.md says what the checks are, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdp_pipelines.quality import dbt_tests, page

SNAPSHOT = Path(__file__).parents[1] / "defs" / "assets.txt"
# What these say is said of one asset alone (docs/write-back.md, docs/monitoring.md, docs/security.md).
ELSEWHERE = {"can_be_applied", "complete", "every_column_has_a_class"}


def test_the_page_is_what_the_checks_say():
    assert page.main(write=False) == 0, "run `python -m cdp_pipelines.quality.page --write`"


def test_a_page_that_is_out_of_date_is_told_and_mended(tmp_path, capsys):
    copy = tmp_path / "quality.md"
    copy.write_text(page.PAGE.read_text().replace("`no_rows_lost`", "`no_rows_found`"))
    assert page.main(copy, write=False) == 1
    assert "make generate" in capsys.readouterr().out
    assert page.main(copy, write=True) == 0
    assert copy.read_text() == page.PAGE.read_text()


def test_a_page_without_a_place_for_the_tables_is_refused():
    with pytest.raises(ValueError, match="no place for questions"):
        page.page("# Nothing")


def test_every_check_says_what_it_is_about_why_and_what_to_do():
    for row in page.rows():
        assert row.number in page.QUESTIONS, row.name
        assert row.why.startswith("Stops: " if row.blocking else "Warns: "), row.name
        assert row.description and row.remedy.endswith((".", ")")), row.name


def test_every_question_has_a_check_and_every_check_in_dagster_is_on_the_page():
    there = set(re.findall(r"^ +check (\w+)$", SNAPSHOT.read_text(), re.MULTILINE))
    known = {row.name for row in page.rows()}
    dbt = tuple(f"{kind}_" for kind in dbt_tests.TESTS)
    assert {row.number for row in page.rows()} == set(page.QUESTIONS)
    assert sorted(name for name in there - known - ELSEWHERE if not name.startswith(dbt)) == []
    assert len(there & known) > 20
