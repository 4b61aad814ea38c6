"""The questions of docs/questions.md: how they are read, and that each has an answer in what a sync publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.explore import answers, questions

QUESTIONS = questions.load()
# Of a few hundred people it may be that nobody has such a deal.
MAY_BE_NOBODY = {17, 18}


def test_there_are_twenty():
    assert [question.number for question in QUESTIONS] == list(range(1, 21))
    assert len({question.label for question in QUESTIONS}) == 20


def test_each_stands_under_its_heading_and_headings_without_a_query_are_none(tmp_path: Path):
    page = tmp_path / "questions.md"
    page.write_text(
        "# All\n\n## Deals\n\n### 1. How many?\n\n```sql\nselect 1\n```\n\n### 2. Why?\n\nNobody knows.\n\n## Trust\n\n### 3. Who?\n\n```sql\nselect\n    2\n```\n"
    )
    assert questions.load(page) == [
        questions.Question(1, "Deals", "How many?", "select 1"),
        questions.Question(3, "Trust", "Who?", "select\n    2"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS, ids=[question.title for question in QUESTIONS])
def test_a_question_has_an_answer(synced: Settings, question: questions.Question):
    found = answers.ask(synced, question.sql)
    assert found.rows or question.number in MAY_BE_NOBODY
    assert all(any(value is not None for value in row) for row in found.rows)
    for number in found.numbers():
        assert "<svg" in answers.chart(found, number)
