"""The report's numbers, of tables given by hand."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from cdp_pipelines.report.figures import figure


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def test_the_funnel_takes_every_crms_words_and_counts_who_came_further(db: duckdb.DuckDBPyConnection):
    stages = [
        "subscriber",
        "lead",
        "Open - Not Contacted",
        "New",
        "MQL",
        "marketingqualifiedlead",
        "SQL",
        "Customer",
        "evangelist",
        "other",
        None,
    ]
    db.execute("create table customers (lifecycle_stage varchar, is_deleted boolean)")
    db.executemany("insert into customers values (?, false)", [[stage] for stage in stages])
    db.execute("insert into customers values ('customer', true)")
    assert figure(db, "stages").rows == [
        ("subscriber", 1, 9, None),
        ("lead", 3, 8, 88.9),
        ("marketing qualified", 2, 5, 62.5),
        ("sales qualified", 1, 3, 60.0),
        ("opportunity", 0, 2, 66.7),
        ("customer", 2, 2, 100.0),
    ]
    told = {row["in the CRM"]: row["stage"] for row in figure(db, "words").records()}
    assert (told["MQL"], told["other"], told["none"]) == ("marketing qualified", "none of the funnel", "none of the funnel")


def test_nobody_in_the_funnel_is_no_division_by_nothing(db: duckdb.DuckDBPyConnection):
    db.execute("create table customers as select 'Stage 17' as lifecycle_stage, false as is_deleted")
    assert {row[1:] for row in figure(db, "stages").rows} == {(0, 0, None)}


def test_disagreement_is_of_fields_that_several_records_have(db: duckdb.DuckDBPyConnection):
    db.execute("create table customer_provenance (field varchar, record_count int, agreeing_count int)")
    rows = [("email", 2, 2), ("email", 3, 2), ("email", 1, 1), ("phone", 2, 1), ("last_updated", 2, 1)]
    db.executemany("insert into customer_provenance values (?, ?, ?)", rows)
    assert figure(db, "agreement").rows == [("phone", 1, 1, 100.0), ("email", 2, 1, 50.0)]


@pytest.mark.parametrize(
    ("left", "columns", "rows"),
    [
        ("", ["connection", "mode", "calls", "rows read"], [("sf", "full", 5, 40)]),
        (", 900 - i as calls_left, 1000 as calls_allowed", ["connection", "mode", "calls", "rows read", "left that day", "allowed a day"], [("sf", "full", 5, 40, 897, 1000)]),
    ],
)  # fmt: skip
def test_calls_show_what_is_left_where_the_file_says_it(db: duckdb.DuckDBPyConnection, left: str, columns: list[str], rows: list[tuple]):
    db.execute(
        f"create table sync_status as select 'sf' as connection, 'full' as mode, i as calls, 10 * (i - 1) + 5 as rows_read {left} from range(2, 4) as t(i)"
    )
    found = figure(db, "calls")
    assert (list(found.columns), found.rows) == (columns, rows)
