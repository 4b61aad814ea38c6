"""The identity step of a run: the standardized contacts in the warehouse become customers, with their keys carried on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines import database, history
from cdp_pipelines.config import Settings
from cdp_pipelines.engines import serving
from cdp_pipelines.history import CheckResult
from cdp_pipelines.identity import health, particulars, store
from cdp_pipelines.identity.answer import ALONE, Resolution
from cdp_pipelines.identity.options import Options
from cdp_pipelines.identity.resolve import resolve
from cdp_pipelines.identity.tables import SCHEMA, TABLES

_WHY = {
    "override": "somebody decided that it is one with ",
    "merged": "its CRM merged it with ",
    "converted": "its CRM converted it to, or made it of, ",
    "crm_reference": "one CRM has the id of the other: ",
    "email_and_name": "has the e-mail address and the name of ",
    "email": "has the e-mail address of ",
    "phone_and_name": "has the phone number and the name of ",
    "company_and_name": "has the name and the company of ",
    "civil_data": "has the name, the date of birth, the number or the address of ",
}


@dataclass(frozen=True)
class Identified:
    """What the step found: the checks' results, the report in Markdown, and the rows of each table."""

    checks: list[CheckResult]
    report: str
    rows: dict[str, int]


def identify(settings: Settings, *, now: datetime | None = None) -> Identified:
    """Resolve the contacts in the warehouse and write the tables of `tables.TABLES`. The caller holds the warehouse lock.

    Keys come from the ledger and go to it. Raises StoreBroken, BadContacts.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    with history.opened(settings) as db:
        records = db.execute("select count(*) from standardized.contacts").fetchall()[0][0]
    found = resolve(
        _contacts(settings),  # named nowhere, so that the resolver can let go of what it has read
        previous=store.ledger(settings),
        overrides=store.overrides(settings),
        options=Options(settings.identity_region, settings.identity_plus_tags, put_aside=database.put_aside(settings)),
    )
    went = _aliases(store.aliases(settings), found, moment)
    store.keep(settings, found.ledger, went)
    with history.opened(settings) as db:
        rows = _write(db, found, went)
    serving.send(settings, SCHEMA, TABLES)
    results = health.check(found, records)
    history.record_checks(settings, moment, results)
    return Identified(results, health.report(found), rows)


def _contacts(settings: Settings) -> pa.Table:
    """What the resolver reads of the contacts, in the order of their keys, which it would make itself in memory."""
    with history.opened(settings) as db:
        there = {column for (column,) in db.execute("select column_name from (describe standardized.contacts)").fetchall()}
        columns = ", ".join(column for column in particulars.COLUMNS if column in there)
        return db.execute(f"select {columns} from standardized.contacts order by {', '.join(particulars.KEY)}").to_arrow_table()


def _aliases(before: pa.Table, found: Resolution, moment: datetime) -> pa.Table:
    """All that keys went through: what was known, and what this run found and was not known."""
    known = {(row["old_key"], row["new_key"], row["reason"]) for row in before.to_pylist()}
    new = [row for row in found.aliases.to_pylist() if (row["old_key"], row["new_key"], row["reason"]) not in known]
    return pa.concat_tables([before, pa.Table.from_pylist([{**row, "happened_at": moment} for row in new], schema=before.schema)])


def _write(db: duckdb.DuckDBPyConnection, found: Resolution, went: pa.Table) -> dict[str, int]:
    given = {
        "customer_contacts": (found.customer_contacts, _MEMBERS), "customer_aliases": (_followed(went, _alive(went, found)), _ALIASES), "identity_edges": (found.edges, "from given"),
        "identity_vetoes": (found.vetoes, "from given"), "identity_review": (found.review, "from given"),
        "identity_overrides": (found.overrides, "from given"),
    }  # fmt: skip
    rows = {}
    db.execute(f"create schema if not exists {SCHEMA}")
    db.register("edges", found.edges)
    for name, (table, query) in given.items():
        db.register("given", table)
        columns = ", ".join(TABLES[name].columns)
        db.execute(f"create or replace table {SCHEMA}.{name} as select {columns} from ({query}) order by all")
        db.unregister("given")
        _describe(db, name)
        rows[name] = db.execute(f"select count(*) from {SCHEMA}.{name}").fetchall()[0][0]
    return rows


# The sentence names the other record of the surest decisive edge.
_MEMBERS = f"""
select given.*, case given.rule when '{ALONE}' then 'no evidence joins it to another record: stands alone'
    {" ".join(f"when '{rule}' then '{text}' || best.other" for rule, text in _WHY.items())} end as why
from given left join (
    select connection, customer_id, min_by(other, (priority, other)) as other from (
        select left_connection as connection, left_customer_id as customer_id, priority, right_connection || ':' || right_customer_id as other
        from edges where is_decisive
        union all
        select right_connection, right_customer_id, priority, left_connection || ':' || left_customer_id from edges where is_decisive
    ) as ends group by connection, customer_id
) as best using (connection, customer_id)
"""

_ALIASES = f"""
select old_key, new_key, reason, happened_at,
    case when reason = 'split' then new_key in (select customer_key from {SCHEMA}.customer_contacts)
        else old_key not in (select customer_key from {SCHEMA}.customer_contacts) end as is_current
from given
"""


def _alive(went: pa.Table, found: Resolution) -> set[str]:
    """Of the keys that went somewhere, or that something went to, those of customers who live now."""
    keys = found.customers.column("customer_key")
    named = pa.concat_arrays(
        [chunk for name in ("old_key", "new_key") for chunk in went.column(name).chunks] or [pa.array([], pa.string())]
    )
    return set(keys.filter(pc.call_function("is_in", [keys], pc.SetLookupOptions(named))).to_pylist())


def _followed(went: pa.Table, alive: set[str]) -> pa.Table:
    """The same with each new key followed to the customer who lives now: where it went may itself have been merged."""
    rows = went.to_pylist()
    onward = {row["old_key"]: row["new_key"] for row in rows if row["reason"] != "split"}
    for row in rows:
        seen = {row["old_key"]}
        while row["new_key"] is not None and row["new_key"] not in alive | seen:
            seen.add(row["new_key"])
            row["new_key"] = onward.get(row["new_key"])
    return pa.Table.from_pylist(rows, schema=went.schema)


def _describe(db: duckdb.DuckDBPyConnection, name: str) -> None:
    table = TABLES[name]
    db.execute(f"comment on table {SCHEMA}.{name} is '{database.quoted(table.description)}'")
    for column, text in table.columns.items():
        db.execute(f"comment on column {SCHEMA}.{name}.{column} is '{database.quoted(text)}'")
