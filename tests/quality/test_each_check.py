"""Each check of the tables: the data are broken in just that way, and that check and no other fails, in words that say what to do.

All cases start from one synced sandbox, with eight hours of earlier measurements. What stands between raw and standardized are views, so that a
case changes raw and fills the standardized table from them; where dbt's own tests are meant, dbt runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import httpx2
import pytest

from cdp_pipelines import checks, history, mapping, sync, transform
from cdp_pipelines.config import KINDS, Settings, connection_from_config
from cdp_pipelines.history import CheckResult
from cdp_pipelines.publish import publish, publish_status
from cdp_pipelines.quality import dbt_tests, measuring, schema
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from tests.quality.broken import CASES, DBT, MODELS, STAGES

pytestmark = pytest.mark.slow
PEOPLE = 300
EARLIER = 8


@dataclass(frozen=True)
class World:
    """A synced data directory with a history, and the sandbox that it came from."""

    data: Path
    sandbox: SandboxAddresses
    first: list[CheckResult]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("quality")
    with hosting.child(Settings(data_dir=folder / "sandbox", sandbox_people=PEOPLE)) as (sandbox, _):
        settings = Settings(data_dir=folder / "data")
        report = sync.sync(settings, [connection_from_config(name, sandbox.connections()[name]) for name in KINDS])
        assert report.complete, report
        now = datetime.now(UTC)
        for hours in range(EARLIER, 0, -1):
            measuring.measure(settings, now=now - timedelta(hours=hours))
        with history.opened(settings) as db:
            db.execute("update quality.values_seen set first_seen_at = first_seen_at - interval 30 day")
            db.execute("update quality.source_fields set first_filled_at = first_filled_at - interval 30 day")
        yield World(settings.data_dir, sandbox, report.checks)


@pytest.fixture
def settings(world: World, tmp_path: Path) -> Settings:
    """A copy of the synced data directory, for one case."""
    (tmp_path / "data").mkdir()
    shutil.copy(world.data / "warehouse.duckdb", tmp_path / "data")
    return Settings(data_dir=tmp_path / "data")


def change(settings: Settings, *statements: str) -> None:
    with history.opened(settings) as db:
        _alone(db)
        for statement in statements:
            done = db.execute(statement).fetchall()
            assert not statement.startswith("update") or done[0][0], f"changed nothing: {statement}"


def refill(settings: Settings) -> None:
    """The standardized tables from the staging views, as dbt fills them."""
    spec = mapping.load()
    with history.opened(settings) as db:
        for entity in spec.entities:
            db.execute(f"delete from standardized.{entity}")
            for kind, _, model, _ in spec.feeds(entity):
                db.execute(f"insert into standardized.{entity} by name from staging.stg_{kind}__{model}")


def failed(settings: Settings) -> list[CheckResult]:
    """What fails of all checks of the tables."""
    return [one for one in (*sync.check_standardized(settings), *measuring.measure(settings).checks) if not one.passed]


def only(found: list[CheckResult], table: str, name: str) -> CheckResult:
    assert [(one.table, one.name) for one in found] == [(table, name)], found
    one = found[0]
    assert one.failed_rows > 0 and 0 < len(one.sample_keys) <= 10 and one.remedy and "@" not in " ".join(one.sample_keys)
    return one


def test_the_clean_demonstration_has_all_green(world, settings):
    assert [one for one in world.first if not one.passed] == []
    assert {"no_rows_lost", "emails_well_formed", "rows_as_usual", "unique_key", "every_contact_once"} <= {one.name for one in world.first}
    learning = [one.name for one in world.first if "Still learning" in one.description]
    assert learning == ["rows_as_usual", "nulls_as_usual", "same_email_as_usual", "same_customer_as_usual", "crms_agree_as_usual"]
    refill(settings)
    assert failed(settings) == []
    with history.opened(settings) as db:
        assert db.execute("select count(distinct measured_at) from quality.column_profiles").fetchall() == [(EARLIER + 1,)]


def _alone(db: duckdb.DuckDBPyConnection) -> None:
    """HubSpot's records of customers whom no other CRM knows: what they say disagrees with nobody."""
    db.execute(
        "create or replace temp table alone as select customer_id as id, row_number() over (order by customer_id) as n "
        "from unified.customer_contacts join standardized.contacts using (connection, customer_id) where connection = 'hubspot' and customer_key in "
        "(select customer_key from unified.customer_contacts group by 1 having count(distinct connection) = 1)"
    )


@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_is_told_and_nothing_else(case, settings):
    statements, table, name, says, key = CASES[case]
    change(settings, *statements)
    refill(settings)
    found = only(failed(settings), table, name)
    assert says in found.description
    assert key in found.sample_keys[0]


@pytest.mark.parametrize("case", STAGES)
def test_what_a_stage_does_wrong_stops_the_run(case, settings):
    statement, table, name, says = STAGES[case]
    change(settings, statement)
    found = only(failed(settings), table, name)
    assert found.blocking and says in found.description and found.sample_keys[0].startswith("hubspot:")


@pytest.mark.parametrize("case", DBT)
def test_what_dbt_tests_is_told_and_nothing_else(case, settings):
    changed, statements, table, name, blocking, key = DBT[case]
    change(settings, *statements)
    found = only([one for one in sync.standardize(settings, {changed}) if not one.passed], table, name)
    assert found.blocking == blocking and found.failed_rows == 1 and key in found.sample_keys[0]
    assert "dbt's log" not in found.remedy


@pytest.mark.parametrize("case", MODELS)
def test_what_a_model_does_wrong_is_told_and_nothing_else(case, settings):
    """dbt's tests alone, over a table that was spoilt after it was built."""
    statement, table, name, groups = MODELS[case]
    change(settings, statement)
    done = transform._invoke(["test", "--select", table], settings, settings.data_dir / "dbt" / "target")
    results = dbt_tests.results(settings, map(transform._result, done.results))
    found = only([one for one in results.values() if not one.passed], table, name)
    assert found.blocking and found.failed_rows == groups
    assert found.remedy in {test.remedy for test in dbt_tests.TESTS.values()}


def test_a_new_field_and_its_values_are_told_when_a_crm_has_them(world, settings):
    """In HubSpot itself, through its API: a property is made, and then a contact gets a value in it."""
    connection = connection_from_config("hubspot", world.sandbox.connections()["hubspot"])

    def asked(method: str, path: str, body: dict) -> None:
        given = world.sandbox.connections()["hubspot"]
        headers = {"Authorization": f"Bearer {given['access_token']}"}
        httpx2.request(method, given["base_url"] + path, json=body, headers=headers).raise_for_status()

    new = {
        "name": "favourite_colour",
        "label": "Favourite colour",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    asked("POST", "/crm/v3/properties/contacts", new)
    sync.ingest(settings, connection)
    refill(settings)
    one = only(failed(settings), "contacts", "fields_as_before")
    assert one.sample_keys == ["hubspot:contacts.favourite_colour (new)"]
    with history.opened(settings) as db:
        record = db.execute("select min(id) from raw_hubspot.contacts where _deleted is distinct from 'true'").fetchall()[0][0]
        db.execute("update ops.field_changes set told_at = told_at - interval 2 day")
    asked("PATCH", f"/crm/v3/objects/contacts/{record}", {"properties": {"favourite_colour": "red"}})
    sync.ingest(settings, connection)
    refill(settings)
    one = only(failed(settings), "source_fields", "filled_fields_mapped")
    assert one.sample_keys == ["hubspot:contacts.favourite_colour"]


def test_what_is_measured_is_published_and_says_nothing_of_anybody(settings):
    publish(settings)
    found = {}
    for file in (settings.published, settings.masked_file):
        with duckdb.connect(str(file), read_only=True) as db:
            found[file] = dict(
                db.execute("select table_name, list(column_name) from duckdb_columns() where schema_name = 'quality' group by 1").fetchall()
            )
            assert db.execute("select count(*) from duckdb_columns() where schema_name = 'quality' and comment is null").fetchall() == [
                (0,)
            ]
    assert set(found[settings.published]) == {*schema.TABLES, *schema.LOGS} == set(found[settings.masked_file])
    assert "sample_keys" in found[settings.published]["check_results"]
    assert "sample_keys" not in found[settings.masked_file]["check_results"]
    with duckdb.connect(str(settings.published), read_only=True) as db:
        values = "select distinct lower(unnest([email, first_name, last_name, phone, company, title, city])) as value from contacts"
        people = {value for (value,) in db.execute(values).fetchall() if value and len(value) > 4}
        told = {
            str(cell).lower()
            for table in found[settings.published]
            if table != "values_seen"  # what mapping.yml calls a picklist
            for row in db.execute(f"from quality.{table}").fetchall()
            for cell in row
        }
        shares = db.execute(
            "select min(rate), max(rate), min(compared) from quality.disagreements "
            "where measured_at = (select max(measured_at) from quality.disagreements)"
        ).fetchall()[0]
        assert (
            db.execute("select count(*) from quality.disagreement_examples semi join customers using (customer_key)").fetchall()[0][0] > 100
        )
    assert len(people) > 500
    assert people & told == set()
    assert shares[0] == 0 and 0.2 < shares[1] < 0.8 and shares[2] > 0


def test_a_run_that_checks_stopped_publishes_the_histories_and_no_other_examples(settings):
    before = publish(settings).rows
    change(
        settings,
        "delete from quality.disagreement_examples",
        "insert into quality.duplicates select * replace (now() as measured_at) from quality.duplicates limit 1",
    )
    after = publish_status(settings).rows
    assert after["quality.disagreement_examples"] == before["quality.disagreement_examples"] > 0
    assert after["quality.duplicates"] == before["quality.duplicates"] + 1


def test_a_run_after_a_notification_measures_once_an_hour(settings):
    now = datetime(2030, 1, 1, 12, 10, tzinfo=UTC)
    assert measuring.measure(settings, now=now, once_an_hour=True).checks
    assert measuring.measure(settings, now=now + timedelta(minutes=40), once_an_hour=True).checks == []
    assert measuring.measure(settings, now=now + timedelta(minutes=40)).checks
    assert measuring.measure(settings, now=now + timedelta(minutes=45), once_an_hour=True).checks == []
    assert measuring.measure(settings, now=now + timedelta(hours=1), once_an_hour=True).checks


def test_every_check_of_the_tables_is_proven():
    proven = {name for _, _, name, *_ in CASES.values()} | {name for _, _, name, _ in STAGES.values()}
    assert {one.name for one in (*checks.all_checks(), *measuring.CHECKS)} == proven
