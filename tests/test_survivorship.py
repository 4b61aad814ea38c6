"""The SQL by which values survive, run by itself over a few records: each strategy, its ties, and what is excluded."""

from __future__ import annotations

import re
from collections.abc import Mapping as Dict
from datetime import datetime
from typing import Any

import duckdb
import pytest

from cdp_pipelines import mapping
from cdp_pipelines.generate import docs, survivors
from cdp_pipelines.survivorship import STRATEGIES, Strategy, Unified

EARLY, LATE = datetime(2025, 1, 1), datetime(2026, 1, 1)
# As far as the generated models use them; dbt makes the same of them for DuckDB.
_MACROS = {r"{{ ref\('(\w+)'\) }}": r"\1", r"{{ dbt\.type_string\(\) }}": "text", r"{{ source_systems\(\) }}": "string_agg(distinct source_system, ', ')",
           r'{{ joined_texts\("(.*?)", \'(.*?)\', \'(.*?)\'\) }}': r"string_agg(\1, '\2' order by \3)",
           r"{{ lower_case\('(.*?) ' ~ dbt\.type_string\(\) ~ '(.*?)'\) }}": r"lower(\1 text\2)"}  # fmt: skip


def table(**changes: Any) -> Unified:
    """A unified table of contacts with one field, `phone`, unless `changes` says otherwise."""
    given: dict[str, Any] = {
        "description": "People.", "noun": "person", "records": "contacts", "links": "links", "id": "customer_id", "key": "person_key", "count": "records",
        "provenance": "provenance", "source_order": ["salesforce", "hubspot", "marketo"], "fields": {"phone": {"by": "newest"}}, **changes,
    }  # fmt: skip
    return Unified(**given)


def run(spec: Unified, records: list[dict[str, Any]], excluded: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one unified row and its provenance; records are `<connection>:<id>` and fields, `excluded` the ids of suppressed ones."""
    fields = mapping.load().entities["contacts"].fields
    with duckdb.connect() as db:
        db.execute(f"create table contacts ({', '.join(f'{name} {field.type}' for name, field in fields.items())})")
        db.execute("create table links (connection text, source_system text, customer_id text, person_key text, is_current boolean)")
        db.execute("create table suppressed (connection text, customer_id text)")
        for record in records:
            connection, _, number = record["id"].partition(":")
            values = {
                "connection": connection,
                "source_system": connection,
                "customer_id": number,
                **{k: v for k, v in record.items() if k not in ("id", "gone")},
            }
            db.execute(f"insert into contacts ({', '.join(values)}) values ({', '.join('?' * len(values))})", list(values.values()))
            db.execute("insert into links values (?, ?, ?, 'p', ?)", [connection, connection, number, not record.get("gone")])
        for record in excluded:
            db.execute("insert into suppressed values (?, ?)", record.split(":"))
        db.execute(f"create table provenance as {plain(survivors.provenance(mapping.load(), spec))}")
        proof = named(db.execute("select * from provenance order by field"))
        return named(db.execute(plain(survivors.survivors(mapping.load(), spec))))[0], proof


def plain(sql: str) -> str:
    for pattern, replacement in _MACROS.items():
        sql = re.sub(pattern, replacement, sql)
    assert "{{" not in sql, sql
    return sql


def named(answer: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    columns = [name for name, *_ in answer.description or []]
    return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]


@pytest.mark.parametrize(
    "by,winner",
    [("newest", "marketo:2"), ("oldest", "hubspot:1"), ("source_order", "salesforce:3"), ("most_complete", "salesforce:4"), ("most_frequent", "marketo:1"),
     ("highest", "marketo:2"), ("lowest", "hubspot:1")],
)  # fmt: skip
def test_each_strategy_has_its_winner(by: Strategy, winner: str):
    records = [
        {"id": "hubspot:1", "phone": "11", "created_date": EARLY, "last_updated": EARLY},
        {"id": "salesforce:3", "phone": "555", "created_date": LATE, "last_updated": datetime(2025, 8, 1)},
        {"id": "marketo:1", "phone": "33a", "created_date": LATE, "last_updated": datetime(2025, 6, 1)},
        {"id": "salesforce:4", "phone": "33 33", "created_date": LATE, "last_updated": EARLY},
        {"id": "hubspot:2", "phone": "33A", "created_date": LATE, "last_updated": EARLY},
        {"id": "marketo:2", "phone": "99", "created_date": LATE, "last_updated": LATE},
        {"id": "hubspot:3", "phone": None, "created_date": datetime(2020, 1, 1), "last_updated": datetime(2026, 6, 1)},
    ]
    row, proof = run(table(fields={"phone": {"by": by}}), records)
    assert f"{proof[0]['connection']}:{proof[0]['customer_id']}" == winner
    assert row["phone"] == next(r["phone"] for r in records if r["id"] == winner)
    assert (proof[0]["rule"], proof[0]["record_count"]) == (by, 6)


def test_every_strategy_is_tried_here_and_explained():
    tried = next(m for m in vars(test_each_strategy_has_its_winner)["pytestmark"] if m.name == "parametrize").args[1]
    assert {by for by, _ in tried} == set(STRATEGIES)
    page = docs.mapping_page(mapping.load())
    assert [name for name, text in STRATEGIES.items() if f"- `{name}`: {text}" not in page] == []


def test_ties_do_not_depend_on_the_order_of_rows():
    records = [{"id": f"{crm}:{n}", "phone": f"{crm}{n}"} for crm in ("marketo", "hubspot") for n in (3, 1, 2)]
    assert {run(table(), order)[0]["phone"] for order in (records, records[::-1], records[3:] + records[:3])} == {"hubspot1"}


def test_what_a_winner_beat_is_told_the_nearest_first_and_who_agrees_is_not_beaten():
    records = [
        {"id": f"hubspot:{n}", "phone": phone, "last_updated": datetime(2026, 1, n)}
        for n, phone in enumerate(("a", "b", "c", "c", "a"), start=1)
    ]
    _, proof = run(table(), records)
    assert (proof[0]["customer_id"], proof[0]["agreeing_count"], proof[0]["beaten"]) == ("5", 2, "hubspot:4, hubspot:3, hubspot:2")


def test_fields_that_go_together_come_from_one_record():
    fields = {name: {"by": "most_complete", "together": "address"} for name in ("city", "state", "country")}
    row, proof = run(
        table(fields=fields),
        [
            {"id": "hubspot:1", "city": "Bonn", "country": "DE", "last_updated": EARLY},
            {"id": "hubspot:2", "state": "NRW and more", "last_updated": LATE},
        ],
    )
    assert (row["city"], row["state"], row["country"]) == ("Bonn", None, "DE")
    assert [(p["field"], p["customer_id"], p["beaten"]) for p in proof] == [
        (name, "1", "hubspot:2") for name in ("city", "country", "state")
    ]


GONE: Dict[str, Any] = {"id": "hubspot:9", "phone": "gone", "last_updated": LATE, "gone": True}


def test_a_record_that_is_gone_or_excluded_never_wins_and_is_not_counted():
    records = [
        GONE,
        {"id": "hubspot:1", "phone": "suppressed", "last_updated": LATE},
        {"id": "hubspot:2", "phone": "kept", "last_updated": EARLY},
    ]
    row, proof = run(table(excluded_by=["suppressed"]), [dict(r) for r in records], excluded=("hubspot:1",))
    assert (row["phone"], row["records"], row["is_deleted"]) == ("kept", 1, False)
    assert proof[0]["beaten"] is None


@pytest.mark.parametrize("excluded", [(), ("hubspot:1",)])
def test_a_row_of_which_nothing_may_speak_stays_without_values(excluded: tuple[str, ...]):
    records = [dict(GONE), *([{"id": "hubspot:1", "phone": "suppressed"}] if excluded else [])]
    row, proof = run(table(excluded_by=["suppressed"]), records, excluded)
    assert row == {"person_key": "p", "phone": None, "records": 0, "source_systems": None, "is_deleted": True}
    assert proof == []
