"""What is unusual: far from the median, whatever a few odd runs were like, and not before enough is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb
import pytest

from cdp_pipelines.quality.moments import WARM_UP
from cdp_pipelines.quality.usual import Figures, as_count, outliers

FIGURES = Figures("measured", ("name",), "rows", "greatest(0.05 * usual, 10)", as_count(), "name", zero_if_gone=True)


def told(rows: Sequence[int | None]) -> list[str]:
    db = duckdb.connect()
    db.execute("create table measured (measured_at timestamp, name varchar, rows bigint)")
    for hours, figure in enumerate(rows):
        moment = datetime(2026, 3, 1) + timedelta(hours=hours)
        db.execute("insert into measured values (?, 'other', 50)", [moment])
        if figure is not None:
            db.execute("insert into measured values (?, 'contacts', ?)", [moment, figure])
    return [key for key, _ in db.execute(outliers(FIGURES)).fetchall()]


@pytest.mark.parametrize(
    "rows",
    [
        [1000] * 8,
        [1000] * 8 + [1100],
        [1000 + 20 * n for n in range(30)],
        [1000, 990, 1010] * 4 + [1030],
        [3] * 8 + [12],
        [1000] * 10 + [2000] * 11,
    ],
    ids=["the same", "a tenth more", "growth", "up and down", "a few of a small table", "what became usual"],
)
def test_what_is_usual_is_not_told(rows):
    assert told(rows) == []


def test_what_is_far_from_usual_is_told_with_both_figures():
    assert told([1000] * 8 + [400]) == ["contacts: 400 rows, usually 1,000 rows"]
    assert told([1000] * 8 + [1400]) == ["contacts: 1,400 rows, usually 1,000 rows"]


def test_odd_runs_before_hide_nothing():
    assert told([1000, 1000, 5, 1000, 90_000, 1000, 1000, 1000, 400]) == ["contacts: 400 rows, usually 1,000 rows"]


def test_a_table_that_is_gone_has_no_rows():
    assert told([1000] * 8 + [None]) == ["contacts: 0 rows, usually 1,000 rows"]


def test_nothing_is_told_before_enough_is_known():
    assert told([1000] * (WARM_UP - 1) + [1]) == []
    assert told([1000] * WARM_UP + [1]) != []
