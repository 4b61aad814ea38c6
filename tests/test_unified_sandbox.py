"""Companies, deals and whose value survives, from the sandbox's three CRMs to the published file, held against the sandbox's truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import httpx2
import pytest

from cdp_pipelines.config import Settings, connection_from_config
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sync import sync

pytestmark = pytest.mark.slow
PEOPLE = 600
Query = Callable[[str], list[tuple[Any, ...]]]
Records = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Query, dict[str, Any]]]:
    """A query of the published file, and the truth."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with hosting.child(Settings(data_dir=tmp_path_factory.mktemp("sandbox"), sandbox_people=PEOPLE)) as (addresses, _):
        report = sync(settings, [connection_from_config(name, config) for name, config in addresses.connections().items()])
        truth = httpx2.get(f"{addresses.control_url}/sandbox/truth", timeout=60).json()
    assert report.complete, report.problem
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
