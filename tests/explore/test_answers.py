"""What the notebook shows: answers, charts of them, and what tables and columns mean; of an encrypted file too."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.explore import __main__, answers
from cdp_pipelines.explore.answers import Answer
from cdp_pipelines.query import NotPublished, QueryError
from tests import published_file


@pytest.fixture(scope="module", params=[None, "k" * 32], ids=["plain", "encrypted"])
def settings(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Settings:
    settings = published_file.settings_in(tmp_path_factory.mktemp("data"))
    if request.param:
        settings = settings.model_copy(update={"encryption_key": SecretStr(request.param)})
    published_file.write(settings)
    return settings


def test_a_question_is_answered_and_the_file_cannot_be_written(settings: Settings):
    found = answers.ask(settings, "select first_name, lead_score from contacts where first_name = 'Ann' order by 2")
    assert found == Answer(["first_name", "lead_score"], [("Ann", Decimal("75.50")), ("Ann", Decimal("80.00"))], False)
    assert found.records()[1] == {"first_name": "Ann", "lead_score": Decimal("80.00")}
    with pytest.raises(QueryError, match="read-only"):
        answers.ask(settings, "delete from contacts")


def test_the_masked_file_answers_with_tokens(settings: Settings):
    (shown,) = answers.ask(settings, "select distinct first_name from contacts where lead_score = 80", masked=True).rows
    assert shown != ("Ann",)


def test_a_long_answer_is_cut_and_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(answers, "ROWS", 3)
    assert answers.ask(settings, "from range(3)").more is False
    assert answers.ask(settings, "from range(4)") == Answer(["range"], [(0,), (1,), (2,)], True)


def test_tables_and_columns_say_what_they_are(settings: Settings):
    tables = answers.tables(settings)
    assert tables["sync_status"].startswith("The newest sync of each table")
    assert tables["contacts"] == "7 rows.", "one that has no description"
    told = {row["column"]: row for row in answers.columns(settings, "sync_status")}
    assert told["calls"] == {"column": "calls", "type": "bigint", "meaning": "API calls that the read took."}
    assert answers.columns(settings, "it's not there") == []


def test_nothing_published_is_said(tmp_path: Path):
    with pytest.raises(NotPublished, match="cdp sync"):
        answers.ask(published_file.settings_in(tmp_path), "select 1")


def test_a_wrong_key_is_said(settings: Settings):
    with pytest.raises(ConfigError, match="CDP_ENCRYPTION_KEY"):
        answers.ask(settings.model_copy(update={"encryption_key": SecretStr("x" * 32)}), "select 1")


def test_numbers_are_drawn_and_the_first_column_says_of_what():
    found = Answer(
        ["year", "currency", "decided", "is_late", "won"], [(2025, "EUR", 7, True, None), (2026, None, 4, False, Decimal(12))], False
    )
    assert found.numbers() == ["decided", "won"]
    drawn = answers.chart(found, "decided")
    assert "2025 · EUR" in drawn
    assert "2026 · none" in drawn
    assert 'fill="var(--accent)"' in drawn


def test_rows_of_one_name_are_bars_of_their_own_and_data_is_text():
    drawn = answers.chart(Answer(["name", "n"], [("<b>", 1), ("<b>", 2), ("c", 3)], False), "n")
    assert "&lt;b&gt; (1)" in drawn
    assert "&lt;b&gt; (2)" in drawn
    assert "<b>" not in drawn


def test_only_who_has_the_token_is_let_in_and_only_from_this_machine():
    command = __main__.command(["--headless"])
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "--token" in command
    assert command[-1] == "--headless"
    assert Path(command[command.index("run") + 1]).exists()
