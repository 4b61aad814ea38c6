"""The tables of characters for the other engines, beside what DuckDB makes of each character."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from jinja2 import Environment

from cdp_pipelines.config import PROJECT_DIR

MACROS = (PROJECT_DIR / "dbt_project/macros/characters.sql").read_text(encoding="utf-8")
# Apart from halves of pairs, and from the compatibility forms of Chinese characters, which nobody types.
PLANE = [chr(n) for n in range(1, 0x10000) if not 0xD800 <= n < 0xE000 and not 0xF900 <= n < 0xFB00]


def returned(macro: str) -> Any:
    """What a macro returns; dbt's own `return` is a function too."""
    values: list[Any] = []
    Environment().from_string(MACROS + "{{ " + macro + "() }}").render({"return": values.append})
    return values[0]


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        db.execute("create table characters as select unnest(?) as c", [PLANE])
        yield db


def listed(db: duckdb.DuckDBPyConnection, condition: str) -> set[str]:
    return {c for (c,) in db.execute(f"select c from characters where {condition}").fetchall()}


def test_blanks_are_what_is_trimmed(duck: duckdb.DuckDBPyConnection):
    assert set(returned("blanks")) == listed(duck, "trim(c) = ''")


def test_letters_lose_the_accents_that_strip_accents_takes(duck: duckdb.DuckDBPyConnection):
    bare = "replace(replace(strip_accents(c), 'ø', 'o'), 'ł', 'l')"
    made = dict(duck.execute(f"select c, {bare} from characters where lower(c) = c and {bare} not in ('', c)").fetchall())
    given = {accented: letter for letter, all_accented in returned("accented_letters") for accented in all_accented}
    assert given == {c: letter for c, letter in made.items() if unicodedata.category(c)[0] == "L"}


def test_joining_marks_are_what_strip_accents_leaves_nothing_of(duck: duckdb.DuckDBPyConnection):
    marks = re.compile(f"[{returned('joining_marks')}]")
    assert {c for c in PLANE if marks.fullmatch(c)} == listed(duck, "strip_accents(c) = ''")


def test_other_numbers_are_those_that_are_no_digits(duck: duckdb.DuckDBPyConnection):
    numbers = re.compile(f"[{returned('other_numbers')}]")
    assert {c for c in PLANE if numbers.fullmatch(c)} == {c for c in PLANE if unicodedata.category(c) in ("Nl", "No")}
