"""The report's page from numbers given by hand: what is on it, and what data cannot do to it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from cdp_pipelines.query import QueryError
from cdp_pipelines.report.charts import charts_of
from cdp_pipelines.report.figures import Figure, Figures
from cdp_pipelines.report.page import build, render
from tests import published_file

CHECKS = Figure("checks", "Data quality", "Checks.", ["table", "checks", "failed", "failed checks"], [("contacts", 9, 0, "")])
STAGES = Figure("stages", "Lifecycle", "By stage.", ["stage", "this far or further"], [("<script>alert(1)</script>", 1200), ("lead", 3)])
PIPELINE = Figure(
    "pipeline", "Open pipeline", "Deals.", ["currency", "stage", "deals", "value", "weighted value"],
    [("EUR", "Proposal", 1, 700, 350), ("JPY", "Proposal", 3, 900_000, 90_000), ("not said", "Open", 9, 1, 1)],
)  # fmt: skip


def page(*figures: Figure) -> str:
    found = Figures({"customers": "1,203"}, {figure.name: figure for figure in figures})
    return render(found, charts_of(found), "cdp.duckdb")


def test_what_data_say_is_text_on_the_page_and_in_its_charts():
    text = page(STAGES, CHECKS)
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2, "in the chart and in the table"
    assert "1,200" in text


def test_checks_that_failed_are_named_at_the_top():
    assert "found something" not in page(CHECKS)
    failed = Figure("checks", "Data quality", "Checks.", CHECKS.columns, [("contacts", 9, 1, "unique_key")])
    text = page(failed)
    assert "<strong>1 check</strong> found something" in text
    assert "unique_key" in text


def test_a_figure_without_rows_says_so_and_has_no_chart():
    text = page(Figure("stages", "Lifecycle", "By stage.", STAGES.columns, []), CHECKS)
    assert "Nothing yet." in text
    assert "<svg" not in text


def test_values_of_several_currencies_are_not_drawn_together():
    text = page(PIPELINE, CHECKS)
    wide, narrow = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for chart in (wide, narrow):
        assert "JPY" in chart
        assert "EUR" not in chart
    assert "700" in text, "the table has all of them"


def test_the_page_loads_nothing_and_takes_its_colours_from_one_place():
    text = page(STAGES, PIPELINE, CHECKS)
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    assert 'content="default-src' in text
    for chart in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert set(re.findall(r'(?:fill|stroke)="(#[^"]+)"', chart)) <= {"#000"}


def test_a_file_of_another_version_is_named_with_what_to_do(tmp_path: Path):
    settings = published_file.settings_in(tmp_path / "data")
    published_file.write(settings)  # it has no customers
    with pytest.raises(QueryError, match=r"cdp\.duckdb was published by another version .*customers.* Run `cdp sync`"):
        build(settings)
    assert not settings.report.exists()


def test_decimals_are_drawn_as_numbers():
    filled = Figure("filled", "Fields", "Share.", ["CRM", "field", "filled in, %"], [("hubspot", "email", Decimal("99.5"))])
    assert "99.5" in page(filled, CHECKS)
