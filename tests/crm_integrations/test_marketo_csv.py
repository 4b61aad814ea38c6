"""Marketo's export files, with what real ones have been seen to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdp_pipelines.crm_integrations.marketo_csv import read_csv
from tests.sources.known_failures import known_failure


def rows(path: Path, text: str, records: int = 2) -> list[dict]:
    path.write_bytes(text.encode())
    broken: list[str | None] = []
    found = [row for table in read_csv(path, records, broken) for row in table.to_pylist()]
    assert broken == []
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "export.csv"


def test_a_bare_null_is_nothing_and_a_quoted_one_is_text(path: Path):
    assert rows(path, 'id,a,b\n1,null,"null"\n2,,Null\n') == [{"id": "1", "a": None, "b": "null"}, {"id": "2", "a": "", "b": "Null"}]


def test_line_ends_and_separators_inside_quotes_stay(path: Path):
    text = "one\ntwo\r\n\r\nfour,\u2028five\ttab"
    assert rows(path, f'id,a\n1,"{text} ""q"""\n2,x\n') == [{"id": "1", "a": f'{text} "q"'}, {"id": "2", "a": "x"}]


def test_a_stray_quote_does_not_lose_the_file(path: Path):
    found = rows(path, 'id,a,b\n1,"first"Name1",x\n2,y,null\n')
    assert [row["id"] for row in found] == ["1", "2"]
    assert "first" in found[0]["a"] and found[1] == {"id": "2", "a": "y", "b": None}


@known_failure("airbytehq/airbyte#20973")
def test_broken_utf8_is_read(path: Path):
    path.write_bytes(b"id,a\n1,x\n2,caf\xe9\n")
    found = [row for table in read_csv(path, 2, []) for row in table.to_pylist()]
    assert [row["id"] for row in found] == ["1", "2"] and found[1]["a"].startswith("caf")


@pytest.mark.parametrize("text", ["id,a\r\n1,x\r\n2,y\r\n", "id,a\n1,x\r\n2,y\n", "id,a\r\n1,x\n2,y\n", 'id,a\n1,x\n2,"y'])
def test_other_line_ends_and_an_open_quote_lose_nothing(path: Path, text: str):
    assert rows(path, text) == [{"id": "1", "a": "x"}, {"id": "2", "a": "y"}]


def test_a_file_with_a_header_only_has_no_rows(path: Path):
    assert rows(path, "id,a\n", 0) == []


@known_failure("airbytehq/airbyte#17445", "singer-io/tap-marketo#109", "singer-io/tap-marketo#111")
def test_rows_come_some_thousands_at_a_time_whichever_way_they_are_read(path: Path):
    lines = "".join(f"{n},v\n" for n in range(25_000))
    assert [int(row["id"]) for row in rows(path, f"id,a\n{lines}", 25_000)] == list(range(25_000))
    assert [int(row["id"]) for row in rows(path, f'id,a\n{lines}25000,"a"b"\n', 25_001)] == list(range(25_001))


def test_a_line_of_another_length_is_left_out_and_told_with_its_id_and_its_neighbours_are_kept(path: Path):
    path.write_text("id,a,b\n1,x,y\n2,too,many,values\n3,few\nnot an id,b\n4,x,y\n")
    broken: list[str | None] = []
    found = [row for table in read_csv(path, 5, broken) for row in table.to_pylist()]
    assert found == [{"id": "1", "a": "x", "b": "y"}, {"id": "4", "a": "x", "b": "y"}]
    assert broken == ["2", "3", None]


def test_a_number_that_may_be_any_fields_is_not_told_as_an_id(path: Path):
    path.write_text("phone,id\n5551234567,1,x\n5551234568,2\n")
    broken: list[str | None] = []
    assert [row for table in read_csv(path, 2, broken) for row in table.to_pylist()] == [{"phone": "5551234568", "id": "2"}]
    assert broken == [None]
