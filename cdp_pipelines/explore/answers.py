"""What the notebook shows of an answer: its first rows, and a chart of one of its columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cdp_pipelines import database, query
from cdp_pipelines.config import Settings
from cdp_pipelines.report import charts

ROWS = 10_000
BARS = 40
_LABELS = 2
"""So many columns at most say what a bar is."""
_THERE = "database_name = current_database() and not internal"
_NAME = "case schema_name when 'main' then '' else schema_name || '.' end || table_name"
# The page's names for its colours, for a page that is the notebook's.
_STYLE = "--ink: currentColor; --quiet: currentColor; --line: #8888; --accent: #3d83c9; --faint: #8888; max-width: 60rem"


@dataclass(frozen=True)
class Answer:
    """The first rows of an answer, by column; `more` is whether there are others."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    more: bool

    def records(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def numbers(self) -> list[str]:
        """The columns that a chart can be drawn of: numbers, but for the first column, which says what a row is."""
        return [name for i, name in enumerate(self.columns) if i and _all_numbers([row[i] for row in self.rows])]


def ask(settings: Settings, sql: str, *, masked: bool = False) -> Answer:
    """The answer to a query of the published file, or of the masked one. Raises QueryError, NotPublished, ConfigError."""
    with query.sql(settings, sql, limit=ROWS + 1, masked=masked) as found:
        rows = list(found)
        return Answer(found.columns, rows[:ROWS], len(rows) > ROWS)


def tables(settings: Settings, *, masked: bool = False) -> dict[str, str]:
    """The tables of the file by name, with their schema where it is another than `main`, each with what it is. Raises what `ask` raises."""
    found = ask(
        settings,
        f"select {_NAME}, coalesce(comment, '') || ' ' || format('{{:,}} rows.', estimated_size) from duckdb_tables() where {_THERE}",
        masked=masked,
    )
    return {name: text.strip() for name, text in found.rows}


def columns(settings: Settings, table: str, *, masked: bool = False) -> list[dict[str, Any]]:
    """The columns of a table (see `tables`) in order: name, type and meaning. Raises what `ask` raises."""
    name = database.quoted(table)
    return ask(
        settings,
        'select column_name as "column", lower(data_type) as "type", comment as "meaning" from duckdb_columns() '
        f"where {_THERE} and {_NAME} = '{name}' order by column_index",
        masked=masked,
    ).records()


def chart(answer: Answer, number: str) -> str:
    """HTML with a bar for each of the answer's first rows, in its order."""
    labels = _labels(answer)
    place = answer.columns.index(number)
    names = [" · ".join("none" if row[i] is None else str(row[i]) for i in labels) for row in answer.rows[:BARS]]
    bars = [(name, row[place]) for name, row in zip(_distinct(names), answer.rows, strict=False)]
    return f'<div role="img" aria-label="Chart of the first rows of the table above" style="{_STYLE}">{charts.bars(bars, number)}</div>'


def _labels(answer: Answer) -> list[int]:
    """The first column and the ones right after it that are no numbers."""
    numbers = {answer.columns.index(name) for name in answer.numbers()}
    end = next((i for i in range(1, len(answer.columns)) if i in numbers), len(answer.columns))
    return list(range(min(end, _LABELS)))


def _distinct(names: Sequence[str]) -> list[str]:
    """A bar is found by its name, so that equal ones are told apart by their row."""
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]


def _all_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in known)
