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

from cdp_pipelines import checks, history, mapping, sync
from cdp_pipelines.config import KINDS, Settings, connection_from_config
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality import measuring
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses

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


def of_people(column: str, value: str, most: int) -> str:
    """Change a column of some of HubSpot's contacts whom no other CRM knows."""
    return f"update raw_hubspot.contacts set {column} = {value} where id in (select id from alone where n <= {most})"


def of_deal(column: str, value: str, where: str = "true") -> str:
    return f"update raw_hubspot.deals set {column} = {value} where id = (select min(id) from raw_hubspot.deals where _deleted is distinct from 'true' and {where})"


# Name of the case -> the statements, the check that must fail (table and name), a word of its description, a word of a key.
CASES: dict[str, tuple[tuple[str, ...], str, str, str, str]] = {
    "addresses that are none": (
        (of_people("email", "'nobody at ' || id", 30),), "contacts", "emails_well_formed", "at most 10% have a value in email", "hubspot:",
    ),
    "placeholders": ((of_people("email", "'a' || id || '@test.com'", 30),), "contacts", "emails_are_someones", "placeholder", "hubspot:"),
    "mailboxes of functions": (
        (of_people("email", "'info@c' || id || '.example'", 35),), "contacts", "emails_are_personal", "mailbox of a function", "hubspot:",
    ),
    "phones that are none": ((of_people("phone", "'call me ' || id", 35),), "contacts", "phones_well_formed", "E.164", "hubspot:"),
    "countries that are none": ((of_people("country", "'Atlantis'", 30), of_people("state", "null", 30)), "contacts", "countries_known", "ISO 3166", "hubspot:"),
    "states that are none": ((of_people("country", "'USA'", 30), of_people("state", "'Narnia'", 30)), "contacts", "states_known", "ISO 3166-2", "hubspot:"),
    "a record from tomorrow": (
        (of_people("createdate", "strftime(now() + interval 1 day, '%Y-%m-%dT%H:%M:%SZ')", 1),), "contacts", "times_plausible",
        "5 minutes from now", "hubspot:",
    ),
    "a record from 1970": ((of_people("createdate", "'1970-01-01T00:00:00Z'", 2),), "contacts", "times_plausible", "before 1990", "hubspot:"),
    "times without a zone": (
        (of_people("createdate", "rtrim(createdate, 'Z')", 3),), "contacts", "times_have_a_zone", "says its zone", "hubspot:contacts.createdate (3 rows)",
    ),
    "a negative amount": ((of_deal("amount", "'-5'"),), "opportunities", "amounts_plausible", "negative value", "hubspot:"),
    "no currency": ((of_deal("deal_currency_code", "'EURO'"), "update quality.values_seen set value = 'EURO' where column_name = 'currency' and connection = 'hubspot' and value = 'EUR'",
                     "insert into quality.values_seen select 'opportunities', 'hubspot', 'currency', 'EUR', min(first_seen_at) from quality.values_seen"),
                    "opportunities", "currencies_known", "ISO 4217", "hubspot:"),
    "won and not closed": ((of_deal("hs_is_closed", "'false'", "hs_is_closed_won = 'true'"),), "opportunities", "stages_hang_together", "is closed", "hubspot:"),
    "closed in the future": ((of_deal("closedate", "'2035-01-01T00:00:00Z'", "hs_is_closed = 'true'"),), "opportunities", "close_dates_plausible", "not after tomorrow", "hubspot:"),
    "half of the members gone": (
        ("delete from raw_salesforce.campaign_member where hash(id) % 2 = 0",), "column_profiles", "rows_as_usual", "as many rows",
        "salesforce:campaign_members: ",
    ),
    "a table that is empty": (("delete from raw_salesforce.campaign_member",), "column_profiles", "rows_as_usual", "as many rows", "campaign_members: 0 rows, usually"),
    "a third of the titles gone": (
        ("update raw_hubspot.contacts set jobtitle = null where hash(id) % 3 = 0",), "column_profiles", "nulls_as_usual", "empty", "hubspot:contacts.title: ",
    ),
    "a permission lost": (
        ("update raw_hubspot.contacts set jobtitle = null",), "column_profiles", "columns_filled", "lost all of them", "hubspot:contacts.title",
    ),
    "a new stage of life": (
        (of_people("lifecyclestage", "'brandnew'", 2),), "values_seen", "values_known", "never had", "hubspot:contacts.lifecycle_stage",
    ),
    "a field that nobody maps": (
        ("alter table raw_hubspot.contacts add column favourite_colour varchar", of_people("favourite_colour", "'red'", 1)),
        "source_fields", "filled_fields_mapped", "nothing maps", "hubspot:contacts.favourite_colour",
    ),
    "an import that knew nobody": (
        ("update raw_salesforce.contact set email = 'p' || (hash(id) % 5)::varchar || '@acme.example' where hash(id) % 3 = 0 and id in "
         "(select customer_id from unified.customer_contacts where connection = 'salesforce' and customer_key in "
         "(select customer_key from unified.customer_contacts group by 1 having count(distinct connection) = 1))",
         "update raw_salesforce.lead set email = 'p' || (hash(id) % 5)::varchar || '@acme.example' where id in "
         "(select customer_id from unified.customer_contacts where connection = 'salesforce' and customer_key in "
         "(select customer_key from unified.customer_contacts group by 1 having count(distinct connection) = 1))"),
        "duplicates", "same_email_as_usual", "one e-mail address", "salesforce: ",
    ),
    "a rule that joins too much": (
        ("update unified.customer_contacts set customer_key = 'one' || (hash(customer_id) % 3)::varchar where connection = 'hubspot' and customer_id in (select id from alone)",),
        "duplicates", "same_customer_as_usual", "one customer with another", "hubspot: ",
    ),
    "a sync between the CRMs that stopped": (
        ("update raw_hubspot.contacts set jobtitle = 'Head of ' || id where hash(id) % 2 = 0 and jobtitle is not null",), "disagreements",
        "crms_agree_as_usual", "disagree", "customers.title of hubspot and ",
    ),
    "a score that is no number": (
        (of_people("hs_lead_score", "'high'", 3),), "contacts", "values_cast", "fits its column's type", "hubspot:contacts.",
    ),
    "not read for two days": (
        ("update ops.table_syncs set ended_at = ended_at - interval 2 day where object = 'deals'",), "opportunities", "fresh", "24 hours", "hubspot:deals",
    ),
    "a field gone": (
        ("insert into ops.field_changes values (now() at time zone 'UTC', 'hubspot', 'hubspot', 'deals', 'gone', 'amount', '')",),
        "opportunities", "fields_as_before", "came, went", "hubspot:deals.amount (gone)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_is_told_and_nothing_else(case, settings):
    statements, table, name, says, key = CASES[case]
    change(settings, *statements)
    refill(settings)
    found = only(failed(settings), table, name)
    assert says in found.description
    assert key in found.sample_keys[0]


# What the stages do wrong shows when the tables are not filled from the views.
STAGES: dict[str, tuple[str, str, str, str]] = {
    "a record that came as another": (
        "update standardized.contacts set customer_id = 'X' where (connection, customer_id) = (select min(('hubspot', id)) from alone)",
        "contacts", "no_rows_lost", "Every raw record",
    ),
    "a change that was left out": (
        "delete from standardized.lifecycle_stage_changes where rowid = (select max(rowid) from standardized.lifecycle_stage_changes)",
        "lifecycle_stage_changes", "same_count_as_raw", "as many rows",
    ),
    "a join that finds two": (
        "create or replace view staging.stg_hubspot__companies as select * from standardized.companies where source_system = 'hubspot' "
        "union all (select * from standardized.companies where source_system = 'hubspot' order by id limit 1)",
        "companies", "no_rows_multiplied", "each staged row once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STAGES)
def test_what_a_stage_does_wrong_stops_the_run(case, settings):
    statement, table, name, says = STAGES[case]
    change(settings, statement)
    found = only(failed(settings), table, name)
    assert found.blocking and says in found.description and found.sample_keys[0].startswith("hubspot:")


# dbt's own tests: the raw table that is changed, how, and what fails.
DBT: dict[str, tuple[tuple[str, str], str, str, str, bool]] = {
    "two records of one id": (
        ("salesforce", "lead"), "update raw_salesforce.lead set id = (select min(id) from raw_salesforce.contact) where id = (select min(id) from raw_salesforce.lead "
        "where id not in (select lead_id from raw_salesforce.campaign_member where lead_id is not null))", "contacts", "unique_key", True,
    ),
    "a record without an id": (
        ("salesforce", "opportunity_contact_role"), "alter table raw_salesforce.opportunity_contact_role alter id drop not null; "
        "update raw_salesforce.opportunity_contact_role set id = null where id = (select min(id) from raw_salesforce.opportunity_contact_role)", "opportunity_contacts", "not_null_id", True,
    ),
    "a deal of nobody's": (
        ("salesforce", "opportunity"), "update raw_salesforce.opportunity set account_id = '001NOBODY' where id = (select min(id) from raw_salesforce.opportunity "
        "where _deleted is distinct from 'true')", "opportunities", "points_to_company_id", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DBT)
def test_what_dbt_tests_is_told_and_nothing_else(case, settings):
    changed, statement, table, name, blocking = DBT[case]
    change(settings, statement)
    found = [one for one in sync.standardize(settings, {changed}) if not one.passed]
    assert [(one.table, one.name, one.blocking) for one in found] == [(table, name, blocking)]
    assert found[0].failed_rows == 1 and found[0].remedy


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


def test_every_check_of_the_tables_is_proven():
    proven = {name for _, _, name, *_ in CASES.values()} | {name for _, _, name, _ in STAGES.values()}
    assert {one.name for one in (*checks.all_checks(), *measuring.CHECKS)} == proven
