"""A glance beside a raw table: what differs, what is gone, what is as it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.sources.comparison import Comparison
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Batch, Glance, RawTable
from tests.sources.fake_reader import salesforce

CONTACT = RawTable("contact", "Contact", ("Id",))
ROLES = RawTable("roles", "Role", ("from_id", "to_id"), replace_by=("from_id",))
COLUMNS = {"Id": "id", "Stamp": "stamp", "Score": "score", "from_id": "from_id", "to_id": "to_id"}


async def nothing() -> AsyncIterator[Batch]:
    return
    yield


def glance(**kind: bool) -> Glance:
    return Glance(nothing(), **kind)


@pytest.fixture
def warehouse(tmp_path: Path) -> Settings:
    """Contacts: 1 to 3 live, 4 a tombstone; roles of 1, 2 and, without any, of 3. Another connection has the same ids."""
    settings = Settings(data_dir=tmp_path)
    with duckdb.connect(str(settings.warehouse)) as db:
        db.execute("create schema raw_salesforce")
        db.execute("create table raw_salesforce.contact (connection text, _synced_at text, _deleted text, _merged_into text, id text, stamp text, score text, _dlt_load_id text)")  # fmt: skip
        db.execute("create table raw_salesforce.roles (connection text, _synced_at text, _deleted text, _merged_into text, from_id text, to_id text)")  # fmt: skip
        for connection in ("salesforce", "other"):
            for record in ("1", "2", "3"):
                db.execute("insert into raw_salesforce.contact values (?, 'a', null, null, ?, '2026-01-01T00:00:00.000+0000', '7', 'x')", [connection, record])  # fmt: skip
            db.execute("insert into raw_salesforce.contact values (?, 'a', 'true', '1', '4', null, null, 'x')", [connection])
            db.execute("insert into raw_salesforce.roles values (?, 'a', null, null, '1', '8'), (?, 'a', null, null, '1', '9'), (?, 'a', null, null, '2', '8'), (?, 'a', null, null, '3', null)", [connection] * 4)  # fmt: skip
    return settings


def compared(warehouse: Settings, table: RawTable, batches: list[Any], seen: Glance) -> tuple[list[dict[str, Any]], dict[str, str | None]]:
    """The rows that need no second reading, null values left out, and the keys to read again."""
    with Comparison(warehouse, salesforce(), table, COLUMNS) as comparison:
        for rows in batches:
            comparison.add(rows)
        comparison.compare(seen)
        rows = [{k: v for k, v in row.items() if v is not None} for found in comparison.rows() for row in found.to_pylist()]
        return sorted(rows, key=repr), comparison.keys()


def live(record: str, **more: Any) -> dict[str, Any]:
    return {"Id": record, "Stamp": "2026-01-01T00:00:00.000Z", "Score": 7, **more}


def test_a_record_with_the_same_stamp_and_values_is_left_alone_however_its_zone_is_written(warehouse: Settings) -> None:
    assert compared(warehouse, CONTACT, [[live("1"), live("2")], [live("3")]], glance()) == ([], {})


def test_a_value_that_moved_without_the_stamp_a_new_record_and_one_that_is_gone_are_read_again(warehouse: Settings) -> None:
    rows, keys = compared(warehouse, CONTACT, [[live("1", Score=8), live("2"), live("5")]], glance())
    assert (rows, set(keys)) == ([], {"1", "5", "3"})


def test_the_last_of_several_versions_counts(warehouse: Settings) -> None:
    table = pa.table({"Id": ["1"], "Stamp": ["2026-01-01T00:00:00.000Z"], "Score": ["7"]})
    assert compared(warehouse, CONTACT, [[live("1", Score=1), live("2"), live("3")], table], glance()) == ([], {})


def test_a_tombstone_of_the_glance_needs_no_second_reading_and_a_known_one_nothing(warehouse: Settings) -> None:
    gone = [{"Id": "2", DELETED: True, MERGED_INTO: "1"}, {"Id": "4", DELETED: True, MERGED_INTO: "1"}]
    rows, keys = compared(warehouse, CONTACT, [[live("1"), live("3")], gone], glance())
    assert (rows, keys) == ([{"Id": "2", DELETED: "true", MERGED_INTO: "1"}], {})


def test_of_a_whole_glance_nothing_is_read_again(warehouse: Settings) -> None:
    rows, keys = compared(warehouse, CONTACT, [[live("1", Score=8), live("2")]], glance(whole=True))
    assert keys == {}
    assert rows == [{"Id": "1", "Score": "8", "Stamp": "2026-01-01T00:00:00.000Z"}, {"Id": "3", DELETED: "true"}]


def test_nothing_is_gone_because_a_glance_of_some_records_lacks_it(warehouse: Settings) -> None:
    assert compared(warehouse, CONTACT, [[live("1")]], glance(everything=False)) == ([], {})


def test_an_empty_glance_says_that_everything_is_gone(warehouse: Settings) -> None:
    _, keys = compared(warehouse, CONTACT, [], glance())
    assert set(keys) == {"1", "2", "3"}


def test_a_set_that_differs_comes_whole_and_one_that_is_gone_empty(warehouse: Settings) -> None:
    seen = [{"from_id": "1", "to_id": "9"}, {"from_id": "1", "to_id": "7"}, {"from_id": "3", "to_id": None}]
    rows, keys = compared(warehouse, ROLES, [seen], glance(whole=True))
    assert rows == [{"from_id": "1", "to_id": "7"}, {"from_id": "1", "to_id": "9"}, {"from_id": "2"}]
    assert keys == {}
    assert compared(warehouse, ROLES, [[{"from_id": "2", "to_id": "8"}]], glance(whole=True, everything=False)) == ([], {})
