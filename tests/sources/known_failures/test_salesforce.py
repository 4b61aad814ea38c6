"""Reports about reading Salesforce that no other test answers, over HTTP against the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.faulty import Faulty
from tests.sources.faulty_reads import Kept, problems
from tests.sources.known_failures import known_failure

SOBJECTS = "/services/data/v62.0/sobjects"


def made(sandbox: Faulty, name: str = "Contact", **fields: Any) -> str:
    answer = sandbox.call("salesforce", f"{SOBJECTS}/{name}", method="POST", json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def contacts(sandbox: Faulty, folder: Path) -> Kept:
    return Kept(sandbox, "salesforce", folder, ("contact",))


def names(kept: Kept, record_id: str) -> list[Any]:
    return kept.query(f"select last_name, _deleted, _merged_into from raw_salesforce.contact where id = '{record_id}'")


@known_failure("airbytehq/airbyte#27146", "singer-io/tap-salesforce#135")
def test_a_row_that_shows_late_is_in_the_overlap_of_the_next_run(sandbox: Faulty, tmp_path: Path) -> None:
    kept = contacts(sandbox, tmp_path)
    kept.sync()
    record = made(sandbox, LastName="Late")
    sandbox.option("salesforce", visible_after_seconds=3600)
    assert problems(kept.sync(overlap_seconds=60)) == {}
    assert names(kept, record) == []
    sandbox.option("salesforce", visible_after_seconds=0)
    kept.sync(overlap_seconds=60)
    assert names(kept, record) == [("Late", None, None)]


@known_failure("estuary/connectors#2670")
def test_the_newest_rows_wait_for_a_later_run_and_the_cursor_with_them(sandbox: Faulty, tmp_path: Path) -> None:
    kept = contacts(sandbox, tmp_path)
    kept.sync(visibility_lag_seconds=300)
    record = made(sandbox, LastName="Newest")
    (table,) = kept.sync(visibility_lag_seconds=300).tables
    assert (table.state, names(kept, record)) == ("ok", [])
    assert table.cursor is not None
    assert datetime.now(UTC) - table.cursor > timedelta(seconds=299)
    kept.sync()
    assert names(kept, record) == [("Newest", None, None)]


@known_failure("airbytehq/airbyte#42537", "supaglue-labs/supaglue#532")
def test_rows_with_the_stamp_at_which_a_run_ended_are_read(sandbox: Faulty, tmp_path: Path) -> None:
    kept, store = contacts(sandbox, tmp_path), sandbox.server.world.stores["salesforce"]
    records = [made(sandbox, LastName="Before") for _ in range(2)]
    (table,) = kept.sync().tables
    assert table.cursor is not None
    for record in records:
        store.edit_person(record, {"last_name": "After"}, table.cursor)
    kept.sync()
    assert [names(kept, record) for record in records] == [[("After", None, None)]] * 2


@known_failure("singer-io/tap-salesforce#198", "singer-io/tap-salesforce#109")
def test_an_empty_window_of_no_length_moves_the_cursor(sandbox: Faulty, tmp_path: Path) -> None:
    kept = contacts(sandbox, tmp_path)
    kept.sync()
    first, second = kept.sync(), kept.sync()
    assert (problems(first), problems(second), second.tables[0].rows_read) == ({}, {}, 0)
    assert first.tables[0].cursor is not None
    assert second.tables[0].cursor is not None
    assert second.tables[0].cursor > first.tables[0].cursor


@known_failure("singer-io/tap-salesforce#109")
def test_a_lag_that_is_raised_makes_no_window_that_ends_before_it_begins(sandbox: Faulty, tmp_path: Path) -> None:
    kept = contacts(sandbox, tmp_path)
    (first,) = kept.sync().tables
    (second,) = kept.sync(visibility_lag_seconds=300).tables
    assert (second.state, second.cursor) == ("ok", first.cursor)


@known_failure("singer-io/tap-salesforce#60")
def test_both_halves_of_a_divided_window_are_read(sandbox: Faulty, tmp_path: Path) -> None:
    kept, store = contacts(sandbox, tmp_path), sandbox.server.world.stores["salesforce"]
    gone = [made(sandbox, LastName="Gone") for _ in range(2)]
    kept.sync()
    for record, minutes in zip(gone, (50, 5), strict=True):
        store.delete_person(record, datetime.now(UTC) - timedelta(minutes=minutes))
        store.purge(record)
    # Too many deletions for one answer: the window is asked for in halves, and each has one.
    sandbox.set("salesforce", "error", code="EXCEEDED_ID_LIMIT", message="exceeded max limit", path="*/deleted*", count=1)
    assert problems(kept.sync(overlap_seconds=3600)) == {}
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []
    assert [names(kept, record) for record in gone] == [[(None, "true", None)]] * 2


@known_failure("simple-salesforce/simple-salesforce#34")
def test_a_merged_record_names_the_one_that_it_went_into(sandbox: Faulty, tmp_path: Path) -> None:
    kept, store = contacts(sandbox, tmp_path), sandbox.server.world.stores["salesforce"]
    keep, lose = made(sandbox, LastName="Keep"), made(sandbox, LastName="Lose")
    kept.sync()
    store.merge_people(keep, lose, datetime.now(UTC))
    # Salesforce's stamps are whole seconds, and the second that is not over is read by the next run.
    kept.sync(full=True)
    assert names(kept, lose) == [("Lose", "true", keep)]


@known_failure(
    "airbytehq/airbyte#12372",
    "simple-salesforce/simple-salesforce#687",
    "airbytehq/airbyte#12552",
    "simple-salesforce/simple-salesforce#688",
    "simple-salesforce/simple-salesforce#706",
    "simple-salesforce/simple-salesforce#710",
)
def test_text_is_utf_8_whatever_a_bulk_results_header_says(sandbox: Faulty, tmp_path: Path) -> None:
    record = made(sandbox, LastName="Søren Ünlü 李")
    sandbox.set("salesforce", "wrong_charset")
    kept = contacts(sandbox, tmp_path)
    assert problems(kept.sync(bulk_above=0)) == {}
    assert names(kept, record)[0][0] == "Søren Ünlü 李"


@known_failure("airbytehq/airbyte#17503", "airbytehq/airbyte#19947", "singer-io/tap-salesforce#98")
@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_a_query_that_is_refused_is_no_empty_table(sandbox: Faulty, tmp_path: Path, code: str) -> None:
    kept = contacts(sandbox, tmp_path)
    sandbox.set("salesforce", "error", code=code, path="re:[qQ]uery")
    (table,) = kept.sync().tables
    assert (table.state, table.cursor) == ("incomplete", None)
    assert code in (table.problem or "")
    sandbox.control("DELETE", "/sandbox/faults")
    assert problems(kept.sync()) == {}
    assert kept.query("select count(*) > 10 from raw_salesforce.contact") == [(True,)]


@known_failure("singer-io/tap-salesforce#222", "apache/camel#826")
def test_a_session_that_ends_between_the_parts_of_a_download_loses_nothing(sandbox: Faulty, tmp_path: Path) -> None:
    whole = contacts(sandbox, tmp_path / "whole")
    whole.sync(bulk_above=0)
    sandbox.option("salesforce", bulk_page_rows=10)
    sandbox.set("salesforce", "token_expired", path="*/results*", after=2)
    kept = contacts(sandbox, tmp_path / "kept")
    assert problems(kept.sync(bulk_above=0)) == {}
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []
    assert kept.rows() == whole.rows()


@known_failure("heroku/roadmap#319", "estuary/connectors#3414")
def test_what_changes_without_a_stamp_comes_with_the_weekly_full_read(sandbox: Faulty, tmp_path: Path) -> None:
    company = made(sandbox, "Account", Name="Acme", Region__c="EMEA")
    record = made(sandbox, LastName="Lee", AccountId=company)
    kept = contacts(sandbox, tmp_path)
    kept.sync()
    formula = f"select account_region__c from raw_salesforce.contact where id = '{record}'"
    assert kept.query(formula) == [("EMEA",)]
    answer = sandbox.call("salesforce", f"{SOBJECTS}/Account/{company}", method="PATCH", json={"Region__c": "APAC"})
    assert answer.status_code == 204, answer.text
    assert problems(kept.sync(full=True)) == {}
    assert kept.query(formula) == [("APAC",)]
