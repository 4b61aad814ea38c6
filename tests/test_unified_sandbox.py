"""Companies, deals, whose value survives, and the masked file, from the sandbox's three CRMs, held against the sandbox's truth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import httpx2
import pytest

from cdp_pipelines import classified, mapping
from cdp_pipelines.config import Settings, connection_from_config
from cdp_pipelines.quality import schema
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sync import sync

pytestmark = pytest.mark.slow
PEOPLE = 600
Query = Callable[[str], list[tuple[Any, ...]]]
Records = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, Any]]:
    """What was synced, and the truth."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with hosting.child(Settings(data_dir=tmp_path_factory.mktemp("sandbox"), sandbox_people=PEOPLE)) as (addresses, _):
        report = sync(settings, [connection_from_config(name, config) for name, config in addresses.connections().items()])
        truth = httpx2.get(f"{addresses.control_url}/sandbox/truth", timeout=60).json()
    assert report.complete, report.problem
    return settings, truth


@pytest.fixture(scope="module")
def told(synced: tuple[Settings, dict[str, Any]]) -> Iterator[tuple[Query, dict[str, Any]]]:
    """A query of the published file, and the truth."""
    settings, truth = synced
    with duckdb.connect(str(settings.published), read_only=True) as db:
        yield lambda sql: db.execute(sql).fetchall(), truth


def precision_and_recall(found: Records, truth: dict[str, list[dict[str, Any]]]) -> tuple[float, float]:
    """Of pairs of records that are one, as found and as they are; records that were not found are left out."""
    true = {(r["crm"], r["id"]): key for key, records in truth.items() for r in records if (r["crm"], r["id"]) in found}
    assert len(true) > 100

    def pairs(groups: Counter[Any]) -> int:
        return sum(n * (n - 1) // 2 for n in groups.values())

    both = pairs(Counter((found[r], true[r]) for r in true))
    return both / pairs(Counter(found[r] for r in true)), both / pairs(Counter(true.values()))


def records(rows: list[tuple[Any, ...]]) -> Records:
    return {(crm, record): key for crm, record, key in rows}


def test_company_records_of_one_company_are_found_and_no_others(told: tuple[Query, dict[str, Any]]):
    query, truth = told
    found = records(query("select source_system, company_id, company_key from company_records"))
    precision, recall = precision_and_recall(found, truth["companies"])
    assert precision >= 0.99, precision
    assert recall >= 0.97, recall
    assert query("select count(*) from unified.companies") == query("select count(distinct company_key) from company_records")


def test_deals_of_several_crms_are_linked_and_no_others(told: tuple[Query, dict[str, Any]]):
    query, truth = told
    found = records(query("select source_system, opportunity_id, deal_key from opportunity_links where rule <> 'deleted'"))
    precision, recall = precision_and_recall(found, truth["deals"])
    # A sixth of the pairs of one deal share neither person nor company, as these are found so far, nor a Salesforce id.
    assert precision >= 0.99, precision
    assert recall >= 0.75, recall


def test_a_deal_is_counted_once_and_nothing_of_it_is_lost(told: tuple[Query, dict[str, Any]]):
    query, _ = told
    counted = query("""select count(*), count(distinct deal_key) from opportunity_links where is_counted""")
    assert counted[0][0] == counted[0][1] == query("select count(distinct deal_key) from opportunity_links where rule <> 'deleted'")[0][0]
    by_currency = """select o.currency, sum(o.value) from opportunities o join opportunity_links l on l.connection = o.connection and l.opportunity_id = o.id
        join {part} p using (deal_key) where l.is_counted and o.is_won and o.value is not null group by 1 having sum(o.value) > 0 order by 1"""
    for who in ("customer", "company"):
        shown = query(f"select currency, sum(won_value) from {who}_values group by 1 having sum(won_value) > 0 order by 1")
        assert shown == query(by_currency.format(part=f"{who}_opportunities"))
        assert shown
    several = query("select open_value, won_value from customers where currency_count > 1")
    assert several
    assert query("select count(*) from customers where currency_count > 1 and currency is not null") == [(0,)]


def test_every_value_is_that_of_the_record_that_won_and_that_record_is_current(told: tuple[Query, dict[str, Any]]):
    query, _ = told
    for field in ("email", "first_name", "phone", "city", "lead_score", "lifecycle_stage"):
        wrong = query(f"""select count(*) from customers c left join customer_provenance p on p.customer_key = c.customer_key and p.field = '{field}'
            left join contacts r on r.connection = p.connection and r.customer_id = p.customer_id where c.{field} is distinct from r.{field}""")
        assert wrong == [(0,)], field
    assert query("""select count(*) from customer_provenance p join customer_contacts l using (connection, customer_id)
        where not l.is_current or l.customer_key <> p.customer_key""") == [(0,)]  # fmt: skip
    assert query("select count(*) from customer_provenance where beaten is not null")[0][0] > 100
    assert query("select count(*) from customers where last_activity is not null and not is_deleted")[0][0] > PEOPLE / 2


def test_lines_of_the_truth_are_known_by_the_ids_that_the_tables_have(told: tuple[Query, dict[str, Any]]):
    query, truth = told
    for kind, table in {"companies": "companies", "deals": "opportunities"}.items():
        there = set(query(f"select source_system, id from {table}"))
        true = {(r["crm"], r["id"]) for group in truth[kind].values() for r in group}
        assert there <= true
        assert len(there) > len(true) * 0.9


# Where each CRM's raw tables have what says who somebody is.
PERSONAL = {
    "raw_salesforce.contact": "id, email, phone, mobile_phone, first_name || ' ' || last_name",
    "raw_salesforce.lead": "id, email, phone, mobile_phone, first_name || ' ' || last_name",
    "raw_hubspot.contacts": "email, phone, mobilephone, firstname || ' ' || lastname",
    "raw_marketo.leads": "email, phone, mobile_phone, first_name || ' ' || last_name",
}


def test_no_address_number_id_or_full_name_of_a_raw_row_is_in_the_masked_file(synced: tuple[Settings, dict[str, Any]]):
    settings, _ = synced
    with duckdb.connect(str(settings.warehouse), read_only=True) as db:
        rows = [row for table, columns in PERSONAL.items() for row in db.execute(f"select {columns} from {table}").fetchall()]
    values = {value.strip().lower() for row in rows for value in row if value and len(value.strip()) >= 7}
    values = {value for value in values if len(set(value)) > 2}  # of 0000000000 any file is full
    assert len(values) > 3 * PEOPLE
    with duckdb.connect(str(settings.masked_file), read_only=True) as db:
        columns = db.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where data_type like 'VARCHAR%' and schema_name in ('main', 'unified')"
        ).fetchall()
        cells = {
            text
            for schema, table, column in columns
            for (text,) in db.execute(f'select distinct "{column}" from "{schema}"."{table}"').fetchall()
        }
    assert {cell for cell in cells if cell and cell.strip().lower() in values} == set()
    content = settings.masked_file.read_bytes().lower()
    said = {
        found.decode() for found in re.findall(rb"[a-z0-9._%+-]+@[a-z0-9.-]+|\+?[0-9][0-9 ().-]{6,}[0-9]|00[3q][a-z0-9]{12,15}", content)
    }
    assert said & values == set()


def test_joins_in_the_masked_file_give_as_many_rows(synced: tuple[Settings, dict[str, Any]]):
    settings, _ = synced
    joins = (
        "contacts join customer_contacts using (connection, customer_id) join customers using (customer_key)",
        "opportunities o join contacts c on c.connection = o.connection and c.customer_id = o.contact_id",
        "campaign_members m join contacts c on c.connection = m.connection and c.customer_id = m.contact_id join campaigns g on g.connection = m.connection and g.id = m.campaign_id",
        "companies join company_records r on r.connection = companies.connection and r.company_id = companies.id join customer_companies using (company_key)",
        "consents join customers using (customer_key)",
        "contacts a join contacts b on a.email = b.email and a.connection < b.connection",
    )
    for join in joins:
        counts = []
        for path in (settings.published, settings.masked_file):
            with duckdb.connect(str(path), read_only=True) as db:
                counts += db.execute(f"select count(*) from {join}").fetchall()
        assert counts[0] == counts[1] > (0,), join


def test_who_opted_out_in_a_crm_is_opted_out(told: tuple[Query, dict[str, Any]]):
    query, _ = told
    assert query("select distinct channel, decision from consents order by all") == [
        (channel, decision) for channel in ("email", "phone") for decision in ("allowed", "opted_out")
    ]
    assert (
        query("""select count(*) from contacts c join customer_contacts l using (connection, customer_id) left join consents s on s.customer_key = l.customer_key
        and s.channel = 'email' where l.is_current and c.do_not_email and c.email_decided_at is null and s.decision is distinct from 'opted_out'""")
        == [(0,)]
    )


def test_every_published_column_has_a_class(synced: tuple[Settings, dict[str, Any]]):
    settings, _ = synced
    with duckdb.connect(str(settings.published), read_only=True) as db:
        assert classified.unclassified(db, settings.published.stem) == []
    known = classified.classes(mapping.load())
    with duckdb.connect(str(settings.published), read_only=True) as db:
        there = set(
            db.execute("select table_name, column_name from duckdb_columns() where schema_name = 'main' and not internal").fetchall()
        )
    made = {name for name in known if name not in {*schema.TABLES, *schema.LOGS}}  # whose columns and classes are one list
    assert {(table, column) for table in made for column in known[table]} - there == set(), "no class is of what is not there"
