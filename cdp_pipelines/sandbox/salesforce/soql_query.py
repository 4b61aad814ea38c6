"""What a SOQL query says once it is read, and the error of one that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class SoqlError(Exception):
    """A query that Salesforce refuses: HTTP 400 with this code and message."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Token:
    """A piece of the query and where it begins."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Path:
    """A field as the query names it: parent relationships and the field itself."""

    parts: tuple[str, ...]
    at: int


@dataclass(frozen=True)
class Literal:
    """A value in a condition. `kind` is string, number, date, datetime, boolean, null or range (a date literal such as TODAY)."""

    kind: str
    value: Any
    text: str


@dataclass(frozen=True)
class Comparison:
    """A field, an operator (`<>` is written `!=`; `in`, `not in`, `like` in small letters) and the values to compare with."""

    path: Path
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    condition: Condition


@dataclass(frozen=True)
class Junction:
    """Conditions joined by `and` or `or`."""

    operator: str
    conditions: tuple[Condition, ...]


Condition = Comparison | Not | Junction


@dataclass(frozen=True)
class Selected:
    """One item of the field list; `function` is count, min, max, fields or None (then `path` is a plain field, or there is a `query`
    of child records).
    """

    path: Path | None
    function: str | None = None
    alias: str | None = None
    query: Query | None = None


@dataclass(frozen=True)
class Ordering:
    """One item of ORDER BY."""

    path: Path
    descending: bool
    nulls_first: bool


@dataclass
class Query:
    """A query, not yet checked against the org's objects."""

    text: str
    selected: list[Selected]
    object: Token
    where: Condition | None = None
    order: list[Ordering] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

    @property
    def counts(self) -> bool:
        """Whether it is `SELECT COUNT()`."""
        return self.selected == [Selected(None, "count")]


def error_at(code: str, text: str, at: int, problem: str) -> SoqlError:
    """An error that shows the place: a piece of the query, a caret below it, row and column (recorded answers show 32 characters before)."""
    start = max(0, at - 32)
    row, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    return SoqlError(code, f"\n{text[start : at + 32]}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{problem}")
