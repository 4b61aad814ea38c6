"""What extraction does the same for every CRM, on a reader without a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import AuthenticationError
from cdp_pipelines.sources import extract, warehouse
from cdp_pipelines.sources.raw_tables import create_raw_tables
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from tests.sources.fake_reader import TABLES, FakeReader, problem, salesforce
from tests.sources.known_failures import known_failure


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def query(settings: Settings, sql: str) -> list[tuple]:
    with duckdb.connect(str(settings.warehouse)) as db:
        return db.execute(sql).fetchall()


def run(settings: Settings, reader: FakeReader, **options) -> ExtractReport:
    return extract.extract(salesforce(options.pop("name", "salesforce")), reader, settings, **options)


CONTACTS = "select connection, id, name, _deleted from raw_salesforce.contact order by 1, 2"


@known_failure("airbytehq/airbyte#22774", "airbytehq/airbyte#4396", "airbytehq/airbyte#22891")
def test_values_are_kept_as_the_text_that_was_given(settings):
    rows = [{"Id": "1", "Name": True, "A": 7, "B": "1604.470", "C": {"x": [1, None]}, "D": None}]
    run(settings, FakeReader({"contact": [rows]}, fields=("A", "B", "C", "D")))
    assert query(settings, "select name, a, b, c, d from raw_salesforce.contact") == [("true", "7", "1604.470", '{"x":[1,null]}', None)]


@known_failure("fivetran/dbt_salesforce_source#15", "fivetran/dbt_marketo#33")
def test_a_record_read_twice_is_one_row_with_the_later_values(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1", "Name": "a"}, {"Id": "1", "Name": "b"}], [{"Id": "1", "Name": "c"}]]}))
    assert query(settings, CONTACTS) == [("salesforce", "1", "c", None)]


def test_the_next_run_starts_from_the_end_of_the_last_window_less_the_overlap(settings):
    first = FakeReader({})
    run(settings, first)
    second = FakeReader({})
    report = run(settings, second)
    assert first.spans["contact"].start is None
    assert second.spans["contact"].start == first.spans["contact"].end - timedelta(seconds=120)
    assert second.spans["contact"].mode == report.tables[0].mode == "incremental"
    assert second.spans["contact"].state == {"reads": 1}


@known_failure("airbytehq/airbyte#77627")
def test_a_table_that_fails_keeps_its_cursor_and_the_others_go_on(settings):
    first = FakeReader({})
    run(settings, first)
    second = FakeReader({"contact": [[{"Id": "1"}]], "roles": [[{"from_id": "1", "to_id": "2"}]]}, {"contact": problem("no")})
    report = run(settings, second)
    third = FakeReader({})
    run(settings, third)
    assert [(t.table, t.state, t.problem) for t in report.tables] == [("contact", "incomplete", "no"), ("roles", "ok", None)]
    assert third.spans["contact"].start == first.spans["contact"].end - timedelta(seconds=120)
    assert third.spans["roles"].start == second.spans["roles"].end - timedelta(seconds=120)
    assert query(settings, "select from_id, to_id from raw_salesforce.roles") == [("1", "2")]


def test_an_error_in_our_own_code_fails_the_table_only_and_shows_no_values(settings):
    report = run(settings, FakeReader({"roles": [[{"from_id": "1", "to_id": "2"}]]}, {"contact": KeyError("ann@example.com")}))
    assert [t.state for t in report.tables] == ["incomplete", "ok"]
    assert report.tables[0].problem == "unexpected KeyError"


def test_a_rejected_sign_in_is_not_tried_for_every_table(settings):
    reader = FakeReader({}, {"contact": AuthenticationError("salesforce", "wrong password", "Correct it.")})
    report = run(settings, reader)
    assert list(reader.spans) == ["contact"]
    assert [(t.table, t.state, t.problem) for t in report.tables] == [
        ("contact", "incomplete", "wrong password"), ("roles", "incomplete", "wrong password"),
    ]  # fmt: skip


def test_a_full_read_makes_tombstones_of_what_the_crm_no_longer_has_of_this_connection_only(settings):
    before = [{"Id": "1", "Name": "Ann"}, {"Id": "2", "Name": "Bob"}, {"Id": "3", DELETED: True, MERGED_INTO: "2"}]
    run(settings, FakeReader({"contact": [before], "roles": [[{"from_id": "1", "to_id": "8"}]]}))
    run(settings, FakeReader({"contact": [[{"Id": "1", "Name": "Ann"}]]}), name="other")
    run(settings, FakeReader({"contact": [[{"Id": "2", "Name": "Bob"}]]}), full=True)
    found = "select connection, id, name, _deleted, _merged_into from raw_salesforce.contact order by 1, 2"
    assert query(settings, found) == [
        ("other", "1", "Ann", None, None), ("salesforce", "1", None, "true", None), ("salesforce", "2", "Bob", None, None),
        ("salesforce", "3", None, "true", "2"),
    ]  # fmt: skip
    assert query(settings, "select count(*) from raw_salesforce.roles") == [(0,)]


def test_a_tombstone_keeps_the_moment_at_which_it_was_made(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1"}]]}))
    made = []
    for _ in range(2):
        run(settings, FakeReader({}), full=True)
        made += query(settings, "select _synced_at from raw_salesforce.contact")
    assert made[0] == made[1]


def test_events_that_the_crm_no_longer_gives_are_kept(settings):
    reader = FakeReader({"contact": [[{"Id": "1", "Name": "Opened an email"}]]})
    reader.tables = (replace(TABLES[0], events=True),)
    run(settings, reader)
    reader.data = {}
    run(settings, reader, full=True)
    assert query(settings, "select name, _deleted from raw_salesforce.contact") == [("Opened an email", None)]


def test_a_full_read_that_fails_removes_nothing(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1"}, {"Id": "2"}]]}))
    run(settings, FakeReader({"contact": [[{"Id": "2", "Name": "new"}]]}, {"contact": problem("no")}), full=True)
    assert [row[1:3] for row in query(settings, CONTACTS)] == [("1", None), ("2", "new")]


def test_rows_left_by_a_stop_after_a_full_load_go_with_the_next_run(settings, monkeypatch):
    run(settings, FakeReader({"contact": [[{"Id": "1"}, {"Id": "2"}]]}))
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr(warehouse, "retire_rows_of_older_full_reads", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run(settings, FakeReader({"contact": [[{"Id": "2"}]]}), full=True)
    gone = "select id from raw_salesforce.contact where _deleted = 'true'"
    assert query(settings, gone) == []
    run(settings, FakeReader({}))
    assert query(settings, gone) == [("1",)]


def test_a_set_is_replaced_whole_and_may_become_empty(settings):
    run(settings, FakeReader({"roles": [[{"from_id": "1", "to_id": "8"}, {"from_id": "1", "to_id": "9"}, {"from_id": "2", "to_id": "9"}]]}))
    run(settings, FakeReader({"roles": [[{"from_id": "1", "to_id": "7"}, {"from_id": "2"}]]}))
    assert query(settings, "select from_id, to_id from raw_salesforce.roles order by 1") == [("1", "7"), ("2", None)]


def test_tables_and_mapped_columns_exist_in_an_empty_crm(settings):
    create_raw_tables("salesforce", TABLES, settings)
    run(settings, FakeReader({}))
    assert query(settings, "select count(*), count(email), count(_synced_at) from raw_salesforce.contact") == [(0, 0, 0)]


@known_failure("estuary/connectors#3493")
def test_a_new_field_arrives_by_itself(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1"}]]}))
    run(settings, FakeReader({"contact": [[{"Id": "2", "Shoe_Size__c": "44"}]]}, fields=("Shoe_Size__c",)))
    assert query(settings, "select id, shoe_size__c from raw_salesforce.contact order by 1") == [("1", None), ("2", "44")]


@known_failure("fivetran/dbt_salesforce#39", "fivetran/dbt_salesforce#40")
def test_two_fields_that_come_to_one_column_are_both_kept_and_stay_where_they_are(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1", "ShoeSize__c": "44"}]]}, fields=("ShoeSize__c",)))
    run(
        settings, FakeReader({"contact": [[{"Id": "2", "ShoeSize__c": "45", "Shoe_Size__c": "9"}]]}, fields=("ShoeSize__c", "Shoe_Size__c"))
    )
    columns = [name for name, *_ in query(settings, "describe raw_salesforce.contact") if name.startswith("shoe_size__c")]
    assert len(columns) == 2
    assert query(settings, f"select id, {', '.join(sorted(columns))} from raw_salesforce.contact order by 1") == [
        ("1", "44", None),
        ("2", "45", "9"),
    ]


def test_the_report_counts_new_updated_and_deleted_rows(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1"}, {"Id": "2"}]]}))
    report = run(settings, FakeReader({"contact": [[{"Id": "1", "Name": "x"}, {"Id": "2", "_deleted": True}, {"Id": "3"}]]}))
    table = report.tables[0]
    assert (table.rows_read, table.rows_inserted, table.rows_updated, table.rows_deleted, table.rows_total) == (3, 1, 1, 1, 3)


def test_what_the_warehouse_knows_can_be_asked_by_field(settings):
    known = Warehouse(settings, "salesforce", "salesforce")
    assert list(known.values("contact", "Id")) == []
    run(settings, FakeReader({"contact": [[{"Id": "1", "Name": "x"}, {"Id": "2", "Name": "y"}]]}))
    run(settings, FakeReader({"contact": [[{"Id": "3", "Name": "x"}]]}), name="other")
    assert list(known.values("contact", "Id")) == ["1", "2"]
    assert list(known.values("contact", "Id", {"Name": "x"})) == ["1"]
    assert list(known.values("nothing", "Id")) == []


def test_a_read_in_many_loads_loses_nothing_between_them(settings, monkeypatch):
    monkeypatch.setattr(extract, "ROWS_A_LOAD", 3)
    monkeypatch.setattr("cdp_pipelines.sources.raw_rows.ROWS_AT_ONCE", 2)
    batches = [[{"Id": f"{number}"}] for number in range(11)]
    report = run(settings, FakeReader({"contact": batches, "roles": [[{"from_id": "1", "to_id": "2"}]]}))
    assert report.complete
    assert query(settings, "select count(*), count(distinct id) from raw_salesforce.contact") == [(11, 11)]
    assert query(settings, "select from_id, to_id from raw_salesforce.roles") == [("1", "2")]


def test_files_of_dlt_that_were_cut_off_stop_nobody(settings):
    run(settings, FakeReader({"contact": [[{"Id": "1"}]]}))
    for path in (settings.data_dir / "dlt").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:7])
    assert run(settings, FakeReader({"contact": [[{"Id": "2"}]]})).complete
    assert [row[1] for row in query(settings, CONTACTS)] == ["1", "2"]
