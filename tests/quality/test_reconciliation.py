"""What a CRM showed beside what has landed: missing, too much, read again, sets of links, erased people."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from cdp_pipelines.config import Connection, Settings, connection_from_config
from cdp_pipelines.history import CheckResult
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.quality import reconciliation
from cdp_pipelines.sources.reader import DELETED, Batch, RawTable
from cdp_pipelines.sources.report import ExtractReport, TableReport
from cdp_pipelines.sources.shown import Late, Shown

CONTACTS = RawTable("contacts", "contacts", ("id",))
LINKS = RawTable("deal_contact_associations", "deals/contacts", ("from_id", "to_id"), replace_by=("from_id",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path)
    with duckdb.connect(str(made.warehouse)) as db:
        db.execute("create schema raw_hubspot")
        db.execute(f"create table raw_hubspot.contacts (connection text, id text, {DELETED} text)")
        db.execute(f"create table raw_hubspot.deal_contact_associations (connection text, from_id text, to_id text, {DELETED} text)")
        db.execute(
            "insert into raw_hubspot.contacts values ('hs', '1', null), ('hs', '2', null), ('hs', '3', 'true'), ('other', '9', null)"
        )
        db.execute("insert into raw_hubspot.deal_contact_associations values ('hs', '7', '1', null), ('hs', '8', null, null)")
    return made


def hs() -> Connection:
    return connection_from_config("hs", {"kind": "hubspot", "access_token": "t"})


def keys(table: RawTable, *rows: tuple[str | None, ...]) -> pa.Table:
    """A part of what was shown; the last value of a row says whether it is deleted."""
    names = [*table.key, DELETED]
    return pa.table({name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)})


def found(settings: Settings, shown: Shown, state: str = "ok") -> dict[str, CheckResult]:
    table = TableReport("hs", "hubspot", shown.table.name, "reconcile", datetime.now(UTC), state=state)
    report = ExtractReport("hs", "hubspot", [table], shown={shown.table.name: shown})
    return {result.name: result for result in reconciliation.checks(settings, hs(), report)}


def test_the_same_ids_pass_deleted_ones_and_other_connections_left_out(settings: Settings):
    shown = Shown(CONTACTS, True, parts=[keys(CONTACTS, ("1", None), ("2", None), ("3", "true"), ("4", "true"))])
    results = found(settings, shown)
    assert {name: one.passed for name, one in results.items()} == {"same_ids_as_crm": True, "no_late_rows": True}
    assert {one.table for one in results.values()} == {"hs.contacts"}
    assert found(settings, shown, state="incomplete") == {}, "of a table that was not read to its end nothing is said"


def test_what_is_missing_and_what_is_too_much_is_counted_and_named(settings: Settings):
    shown = Shown(CONTACTS, True, parts=[keys(CONTACTS, ("1", None), ("3", None), ("4", None))])
    one = found(settings, shown)["same_ids_as_crm"]
    assert (one.passed, one.blocking, one.failed_rows, one.sample_keys) == (False, False, 3, ["hs:3", "hs:4", "hs:2"])
    assert one.remedy.startswith("Of 3 that it shows 2 are missing here, and 1 are here that it does not show.")
    shown.everything = False
    assert found(settings, shown)["same_ids_as_crm"].sample_keys == ["hs:3", "hs:4"], "what it lacks may exist all the same"


def test_what_was_read_again_counts_as_it_was_found_then(settings: Settings):
    shown = Shown(CONTACTS, True, parts=[keys(CONTACTS, ("1", None), ("2", "true"), ("4", None))])
    shown.add(Batch([{"id": "4", DELETED: True}, {"id": "2", "email": "a@b.example"}]))
    shown.add(Batch([]))
    assert found(settings, shown)["same_ids_as_crm"].passed
    shown.add(Batch(pa.table({"id": ["4"], "email": ["c@d.example"]})))
    assert found(settings, shown)["same_ids_as_crm"].sample_keys == ["hs:4"]


def test_links_are_compared_end_by_end_and_have_no_time_to_be_late(settings: Settings):
    shown = Shown(LINKS, True, parts=[keys(LINKS, ("7", "1", None), ("8", None, None))])
    results = found(settings, shown)
    assert set(results) == {"same_ids_as_crm"} and results["same_ids_as_crm"].passed
    shown = Shown(LINKS, True, parts=[keys(LINKS, ("7", "2", None), ("8", None, None))])
    assert found(settings, shown)["same_ids_as_crm"].sample_keys == ["hs:7/2", "hs:7/1"]


def test_erased_people_are_rightly_missing(settings: Settings):
    shown = Shown(CONTACTS, True, parts=[keys(CONTACTS, ("1", None), ("2", None), ("5", None), ("6", None))])
    SuppressionList(settings).add("e1", Person("asked", ids={("hs", "5")}).hashes(Hasher.of_settings(settings)))
    assert found(settings, shown)["same_ids_as_crm"].sample_keys == ["hs:6"]


def test_late_rows_are_counted_and_some_of_them_named(settings: Settings):
    shown = Shown(CONTACTS, True, Late(12, [str(n) for n in range(10)]), [keys(CONTACTS, ("1", None), ("2", None))])
    one = found(settings, shown)["no_late_rows"]
    assert (one.passed, one.failed_rows, one.sample_keys[0], len(one.sample_keys)) == (False, 12, "hs:0", 10)
    assert "visibility_lag_seconds" in one.remedy
