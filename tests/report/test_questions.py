"""The questions of docs/questions.md have answers: each query runs on what a sync publishes."""

from __future__ import annotations

import re

import duckdb
import pytest

from cdp_pipelines.config import PROJECT_DIR, Settings

pytestmark = pytest.mark.slow
QUESTIONS = re.findall(
    r"^### (\d+)\. ([^\n]+)\n\n```sql\n(.*?)```$", (PROJECT_DIR / "docs/questions.md").read_text(), re.DOTALL | re.MULTILINE
)
# Of a few hundred people it may be that nobody has such a deal.
MAY_BE_NOBODY = {"17", "18"}


def test_there_are_twenty():
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 21))


@pytest.mark.parametrize(("number", "query"), [(number, query) for number, _, query in QUESTIONS], ids=[title for _, title, _ in QUESTIONS])
def test_a_question_has_an_answer(synced: Settings, number: str, query: str):
    with duckdb.connect(str(synced.published), read_only=True) as db:
        found = db.execute(query).fetchall()
    assert found or number in MAY_BE_NOBODY
    assert all(any(value is not None for value in row) for row in found)
