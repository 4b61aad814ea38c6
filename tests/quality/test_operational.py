"""Each check of the running of things: what it is for is broken in just that way, it alone fails, with the right words, and recovers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cdp_pipelines import checks, database, history
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import Connection, Kind, Settings, connection_from_config
from cdp_pipelines.privacy import retention
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.lifting import lift
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.quality import operational
from cdp_pipelines.sources import extract
from cdp_pipelines.sync import SyncReport, build, ingest, standardize, sync
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.outgoing import Result
from cdp_pipelines.writeback.plan import Change, Entry, Plan, save
from tests.sandbox.faulty import Faulty, faulty
from tests.sources.reconciled import AT_ONCE

pytestmark = pytest.mark.slow

NAMES = {check.name for check in (*operational.CHECKS, *operational.OF_RECONCILES)}


@dataclass
class Base:
    """The CRMs, a directory that was synced from them and reconciled, and who was merged there."""

    crms: Faulty
    settings: Settings
    report: SyncReport
    merged: str

    def connection(self, kind: Kind, **more: object) -> Connection:
        return connection_from_config(kind, {**self.crms.addresses.connections()[kind], **AT_ONCE[kind], **more})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    folder = tmp_path_factory.mktemp("operational")
    with faulty(folder / "state", people=60) as crms:
        kept, merged = (
            crms.call(
                "hubspot", "/crm/v3/objects/contacts", method="POST", json={"properties": {"email": f"{name}@merged.example"}}
            ).json()["id"]
            for name in ("kept", "merged")
        )
        both = {"primaryObjectId": kept, "objectIdToMerge": merged}
        assert crms.call("hubspot", "/crm/v3/objects/contacts/merge", method="POST", json=both).status_code == 200
        made = Base(crms, Settings(data_dir=folder / "data"), SyncReport(datetime.now(UTC), datetime.now(UTC), []), merged)
        made.report = sync(made.settings, [made.connection(kind) for kind in AT_ONCE], reconcile=True)
        yield made


@pytest.fixture
def settings(base: Base, tmp_path: Path) -> Settings:
    shutil.copytree(base.settings.data_dir, tmp_path / "data")
    return Settings(data_dir=tmp_path / "data")


def failing(settings: Settings) -> dict[str, history.CheckResult]:
    """The checks that fail, of these and of those between stages, by name."""
    found = [*operational.run_all(settings), *operational.of_reconciles(settings), *checks.run_all(settings)]
    return {result.name: result for result in found if not result.passed}


def only(settings: Settings, name: str) -> history.CheckResult:
    """The one check that fails; it says what to do."""
    found = failing(settings)
    assert set(found) == {name}, found
    assert found[name].remedy and len(found[name].sample_keys) <= 10
    return found[name]


def rows(settings: Settings, sql: str) -> list[tuple]:
    with history.opened(settings) as db:
        return db.execute(sql).fetchall()


def test_after_a_clean_sync_every_check_is_there_and_green(base: Base):
    assert base.report.complete, base.report
    assert not [result for result in base.report.checks if not result.passed]
    with database.connect(base.settings, base.settings.published, read_only=True) as db:
        published = db.execute("select name, count(*), bool_and(passed) from data_quality group by name").fetchall()
    assert {(name, 1 if count == 1 else 2) for name, count, _ in published} >= {
        *((check.name, 1) for check in operational.CHECKS),
        *((check.name, 2) for check in operational.OF_RECONCILES),
    }, "those of reconciles for each table"
    assert all(passed for *_, passed in published)
    assert not failing(base.settings)


def test_a_table_that_cannot_be_read(base: Base, settings: Settings):
    fault = base.crms.set("hubspot", "permission", path="/crm/v3/objects/deals*")
    ingest(settings, base.connection("hubspot"))
    assert "hubspot:deals" in only(settings, "everything_read").sample_keys
    base.crms.control("DELETE", f"/sandbox/faults/{fault['id']}")
    ingest(settings, base.connection("hubspot"))
    assert not failing(settings)


def test_rows_that_are_lost_between_the_crm_and_the_raw_table(base: Base, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    (lost,) = rows(settings, "select min(id) from raw_hubspot.companies")[0]
    whole, loads = extract.warehouse.keep_newest, iter(("incremental", "reconcile"))

    def losing(settings: Settings, *more: object) -> None:
        whole(settings, *more)  # ty: ignore[invalid-argument-type]
        if next(loads) == "reconcile":
            with history.opened(settings) as db:
                db.execute("delete from raw_hubspot.companies where id = ?", [lost])

    monkeypatch.setattr(extract.warehouse, "keep_newest", losing)
    ingest(settings, base.connection("hubspot"), reconcile=True)
    monkeypatch.undo()
    found = operational.of_reconciles(settings)
    (wrong,) = [result for result in found if not result.passed]
    assert (wrong.name, wrong.failed_rows, wrong.sample_keys) == ("same_ids_as_crm", 1, [f"hubspot:{lost}"])
    assert wrong.remedy.startswith("hubspot.companies (1 rows).") and "cdp sync --full" in wrong.remedy
    ((text,),) = rows(settings, "select remedy from ops.check_results where name = 'same_ids_as_crm' and not passed")
    assert "1 are missing here, and 0 are here that it does not show" in text
    ingest(settings, base.connection("hubspot"), full=True, reconcile=True)
    assert not failing(settings)


def test_a_change_that_the_crm_showed_late(base: Base, settings: Settings):
    org = base.connection("salesforce")
    ((contact,),) = rows(settings, "select min(id) from raw_salesforce.contact where _deleted is null")
    path = f"/services/data/v62.0/sobjects/Contact/{contact}"
    base.crms.option("salesforce", visible_after_seconds=3600)
    assert base.crms.call("salesforce", path, method="PATCH", json={"Title": "Late"}).status_code == 204
    time.sleep(1.1)  # a window of Salesforce begins with a whole second
    assert ingest(settings, org).complete
    base.crms.option("salesforce", visible_after_seconds=0)
    assert ingest(settings, org, reconcile=True).complete
    found = only(settings, "no_late_rows")
    assert (found.failed_rows, found.sample_keys) == (1, [f"salesforce:{contact}"])
    assert "salesforce.contact (1 rows)" in found.remedy and "visibility_lag_seconds" in found.remedy
    assert rows(settings, f"select title from raw_salesforce.contact where id = '{contact}'") == [("Late",)], "it was read all the same"
    assert ingest(settings, org, reconcile=True).complete
    assert not failing(settings)


def test_notifications_that_nobody_follows(settings: Settings):
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([Event("hubspot", "contacts", "1", "changed", identity="a")], datetime.now(UTC) - timedelta(minutes=9))
        found = only(settings, "real_time_lag")
        assert found.sample_keys == ["hubspot"] and "1 notifications wait" in found.remedy
        inbox.done([waiting.id for waiting in inbox.waiting()])
    assert not failing(settings)


def test_changes_that_took_too_long(settings: Settings):
    slow = [datetime.now(UTC) - timedelta(minutes=20)] * 3
    (found,) = [one for one in operational.run_all(settings, {"hubspot": slow}) if not one.passed]
    assert found.name == "real_time_lag" and "95 % within 20 min" in found.remedy
    assert not failing(settings), "they were not published"


def test_a_merged_record_that_came_back_to_life(base: Base, settings: Settings):
    where = f"customer_id = '{base.merged}' and connection = 'hubspot'"
    assert rows(settings, f"select is_deleted, merged_into is not null from standardized.contacts where {where}") == [(True, True)]
    for change in ("set is_deleted = false", "set is_deleted = false, merged_into = null"):
        with history.opened(settings) as db:
            db.execute(f"update standardized.contacts {change} where {where}")
        found = only(settings, "merges_resolved")
        assert (found.failed_rows, found.sample_keys) == (1, [f"hubspot:{base.merged}"])
    assert "cdp sync --reconcile" in found.remedy
    standardize(settings)
    assert not failing(settings)


def test_an_edit_of_what_was_written_back(base: Base, settings: Settings):
    ((contact, ours),) = rows(
        settings, "select min(id), min_by(jobtitle, id) from raw_hubspot.contacts where _deleted is null and jobtitle is not null"
    )
    path = f"/crm/v3/objects/contacts/{contact}"

    def edit(title: str) -> None:
        assert base.crms.call("hubspot", path, method="PATCH", json={"properties": {"jobtitle": title}}).status_code == 200
        assert ingest(settings, base.connection("hubspot")).complete
        standardize(settings, {("hubspot", "contacts")})

    change = Change("title", "jobtitle", "Before", ours, "source_wins")
    plan = Plan("write", (Entry("key1", "hubspot", "hubspot", "contacts", "update", contact, "a@b.example", "k1", changes=(change,)),))
    with Outbox(settings) as outbox:
        outbox.note_plan(plan, save(settings, plan))
        outbox.begin(plan, "w1")
        outbox.record("w1", [Result("key1", "updated", contact)])
    assert not failing(settings)
    edit("Theirs")
    found = only(settings, "holds_what_we_wrote")
    assert found.sample_keys == [f"hubspot:{contact} title"] and "Theirs" not in str(found)
    edit(ours)
    assert not failing(settings)


def test_an_erased_person_who_is_back_stops_the_publication(settings: Settings):
    ((contact, email),) = rows(
        settings, "select min_by(customer_id, email), min(email) from standardized.contacts where connection = 'marketo' and not is_deleted"
    )
    person = Person("asked", ids={("marketo", contact)}, emails={email})
    SuppressionList(settings).add("e1", person.hashes(Hasher.of_settings(settings)))
    found = only(settings, "nobody_erased")
    assert found.blocking and f"marketo:{contact}" in found.sample_keys and email not in str(found)
    assert "table contacts" in found.sample_keys, "its address is somewhere"
    report = SyncReport(datetime.now(UTC), datetime.now(UTC), [])
    build(settings, report, lambda text: None, changed=set())
    assert report.published is None and "contacts.nobody_erased" in (report.problem or "")
    with database.connect(settings, settings.published, read_only=True) as db:
        assert db.execute("select failed_rows > 0 from data_quality where name = 'nobody_erased' and not passed").fetchall() == [(True,)]
        assert db.execute("select count(*) > 100 from contacts").fetchall() == [(True,)], "the tables of the last good run are there"
    lift(settings, record=f"marketo:{contact}", reason="a test", who="kim")
    assert not failing(settings)


def test_what_is_kept_too_long(settings: Settings):
    path = settings.data_dir / "exports" / "ann" / "person.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    old = (datetime.now(UTC) - timedelta(days=60)).timestamp()
    for one in (path, path.parent):
        os.utime(one, (old, old))
    found = only(settings, "retention")
    assert (found.failed_rows, found.sample_keys) == (1, ["exports (1 rows)"])
    retention.retain(settings)
    assert not failing(settings)


def test_an_audit_log_that_was_changed(settings: Settings):
    log = AuditLog(settings).path
    content = log.read_bytes()
    log.write_bytes(content.replace(b"hubspot", b"hubspod", 1))
    found = only(settings, "audit_chain")
    assert "was changed after it was written" in found.remedy and "cdp audit verify" in found.remedy
    log.write_bytes(content)
    assert not failing(settings)


def test_a_connection_with_few_calls_left(settings: Settings):
    def left(calls: int) -> None:
        with history.opened(settings) as db:
            db.execute("update ops.table_syncs set calls_left = ?, calls_allowed = 100000 where connection = 'hubspot'", [calls])

    left(9_000)
    found = only(settings, "calls_left")
    assert found.sample_keys == ["hubspot"] and "hubspot had 9,000 of the day's 100,000 calls left." in found.remedy
    left(11_000)
    assert not failing(settings)


def _no_such_file(settings: Settings) -> Settings:
    return settings.model_copy(update={"retention_file": settings.data_dir / "none.yml"})


def _damaged_list(settings: Settings) -> Settings:
    settings.privacy_dir.mkdir(exist_ok=True)
    (settings.privacy_dir / "suppression.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    return settings


@pytest.mark.parametrize(
    ("harm", "name", "words"),
    [(_no_such_file, "retention", "CDP_RETENTION_FILE"), (_damaged_list, "nobody_erased", "could not be found out (DatabaseError)")],
)
def test_a_check_that_cannot_be_made_has_failed(settings: Settings, harm: Callable[[Settings], Settings], name: str, words: str):
    harmed = harm(settings)
    results = {result.name: result for result in operational.run_all(harmed) if not result.passed}
    assert set(results) == {name}
    assert words in results[name].remedy
