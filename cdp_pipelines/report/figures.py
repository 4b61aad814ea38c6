"""The numbers on the report, each a query of the published file that counts or adds up: no row of a person leaves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb

from cdp_pipelines.mapping import load

# What tells records apart, or says where they came from: always there, so that nothing is learnt from how often.
_NOT_PROFILED = frozenset({"connection", "source_system", "record_type", "customer_id", "is_deleted", "merged_into", "synced_at", "converted_contact_id"})  # fmt: skip
_CURRENT_DEALS = """
    from opportunities as o
    join opportunity_links as l on l.connection = o.connection and l.opportunity_id = o.id
    where l.is_counted and not o.is_closed and not o.is_deleted
"""
# The stages that HubSpot has from the start (https://knowledge.hubspot.com/records/use-lifecycle-stages), and Salesforce's and Marketo's usual words for
# a lead's status; without what is no letter.
_FUNNEL = {
    "subscriber": ("subscriber",),
    "lead": ("lead", "new", "open", "opennotcontacted", "working", "workingcontacted"),
    "marketing qualified": ("marketingqualifiedlead", "mql"),
    "sales qualified": ("salesqualifiedlead", "sql", "qualified", "closedconverted"),
    "opportunity": ("opportunity",),
    "customer": ("customer", "evangelist"),
}
_STEPS = ", ".join(f"('{stage}', {place})" for place, stage in enumerate(_FUNNEL))
_WORDS = ", ".join(f"('{stage}', '{word}')" for stage, words in _FUNNEL.items() for word in words)
_BY_STAGE = f"""
    select coalesce(lifecycle_stage, 'none') as word, stage, count(*) as customers
    from customers left join (values {_WORDS}) as known(stage, letters) on letters = regexp_replace(lower(lifecycle_stage), '[^a-z]', '', 'g')
    where not is_deleted group by all
"""


@dataclass(frozen=True)
class Figure:
    """A table of numbers: what it shows in a sentence, its headings and its rows."""

    name: str
    title: str
    says: str
    columns: Sequence[str]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        """The rows by heading."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Figures:
    """All of the report's numbers. `headlines` are a few of them with what they count."""

    headlines: dict[str, str]
    figures: dict[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asked:
    name: str
    title: str
    says: str
    sql: str | Callable[[duckdb.DuckDBPyConnection], str]


def _filled(_: duckdb.DuckDBPyConnection) -> str:
    """How many of a CRM's live records have each field."""
    names = [name for name in load().entities["contacts"].fields if name not in _NOT_PROFILED]
    shares = ", ".join(f'round(100 * count("{name}") / count(*), 1) as "{name}"' for name in names)
    return f"""
        select source_system as "CRM", field as "field", filled as "filled in, %"
        from (select source_system, {shares} from contacts where not is_deleted group by 1)
        unpivot (filled for field in ({", ".join(f'"{name}"' for name in names)}))
        order by 2, 1
    """


def _calls(db: duckdb.DuckDBPyConnection) -> str:
    """A file that an earlier version published does not say what was left."""
    there = db.execute(
        "select count(*) from duckdb_columns() where table_name = 'sync_status' and column_name in ('calls_left', 'calls_allowed')"
    )
    left = ', min(calls_left) as "left that day", max(calls_allowed) as "allowed a day"' if there.fetchall() == [(2,)] else ""
    return f"""
        select connection, mode, sum(calls)::bigint as "calls", sum(rows_read)::bigint as "rows read" {left} from sync_status group by all order by 1, 2
    """


_ASKED = (
    _Asked("overlap", "Who is in which CRM", "Customers by the set of CRMs that know them.", """
        select source_systems as "CRMs", count(*) as "customers" from customers where not is_deleted group by 1 order by 2 desc, 1
    """),
    _Asked("records", "Records of one customer", "How many records of all CRMs together stand for one person.", """
        select least(contact_count, 10) as "records", count(*) as "customers" from customers where not is_deleted group by 1 order by 1
    """),
    _Asked("duplicates", "Duplicates within a CRM", "Live records beyond the first one of the same person in the same CRM.", """
        select source_system as "CRM", count(*) as "records", count(distinct customer_key) as "customers",
            count(*) - count(distinct customer_key) as "duplicates", round(100 * (1 - count(distinct customer_key) / count(*)), 1) as "duplicates, %"
        from customer_contacts join contacts using (connection, source_system, customer_id)
        where is_current and not is_deleted
        group by 1 order by 1
    """),
    _Asked("matching", "Match quality", "How many records were put together, how many pairs were kept apart, and what waits for a person.", """
        select 'customers with several records' as "what", count(*) filter (where contact_count > 1) as "number" from customers where not is_deleted
        union all by name select 'records that stand alone' as "what", count(*) as "number" from customer_contacts where is_current and rule = 'alone'
        union all by name select 'pairs kept apart, since they contradict each other' as "what", count(*) as "number" from identity_vetoes
        union all by name select 'pairs for a person to look at' as "what", count(*) as "number" from identity_review
        union all by name select 'decisions of people' as "what", count(*) as "number" from identity_overrides
        union all by name select 'of these, against the evidence' as "what", count(*) as "number" from identity_overrides where outcome = 'against_evidence'
    """),
    _Asked("evidence", "Why records were put together", "Records by the strongest evidence that joins each to its customer.", """
        select replace(rule, '_', ' ') as "evidence", count(*) as "records" from customer_contacts where is_current group by 1 order by 2 desc, 1
    """),
    _Asked("scores", "Lead scores", "Customers by lead score, in steps of ten; a score of 100 or more is in the last step.", """
        select least(floor(lead_score / 10) * 10, 100)::integer as "score from", count(*) as "customers"
        from customers where not is_deleted and lead_score is not null group by 1 order by 1
    """),
    _Asked("stages", "Funnel", "Customers by lifecycle stage: those who have come so far or further. Which of the CRMs' words count as which stage: see the next table.", f"""
        with found as (
            select stage, place, coalesce(sum(customers), 0)::bigint as customers
            from (values {_STEPS}) as steps(stage, place) left join ({_BY_STAGE}) using (stage) group by all
        ), reached as (select *, (sum(customers) over (order by place desc))::bigint as so_far from found)
        select stage as "stage", customers as "at this stage", so_far as "this far or further",
            round(100 * so_far / nullif(lag(so_far) over (order by place), 0), 1) as "of the stage before, %"
        from reached order by place
    """),
    _Asked("words", "Lifecycle in the CRMs' own words", "Customers by lifecycle stage as their CRM calls it; the twenty commonest.", f"""
        select word as "in the CRM", coalesce(stage, 'none of the funnel') as "stage", sum(customers)::bigint as "customers" from ({_BY_STAGE})
        group by all order by 3 desc, 1 limit 20
    """),
    _Asked("pipeline", "Open pipeline by stage", "Deals that are not closed, each counted once, with their value and their value times its probability.", f"""
        select coalesce(o.currency, 'not said') as "currency", coalesce(o.stage, 'none') as "stage", count(*) as "deals",
            round(coalesce(sum(o.value), 0))::bigint as "value", round(coalesce(sum(o.value * o.probability), 0))::bigint as "weighted value"
        {_CURRENT_DEALS} group by all order by 1, max(o.probability), 2
    """),
    _Asked("months", "Open pipeline by month of closing", "The same deals by the month in which they are expected to close.", f"""
        select coalesce(o.currency, 'not said') as "currency", strftime(o.close_date, '%Y-%m') as "month", count(*) as "deals",
            round(coalesce(sum(o.value), 0))::bigint as "value", round(coalesce(sum(o.value * o.probability), 0))::bigint as "weighted value"
        {_CURRENT_DEALS} and o.close_date is not null group by all order by 1, 2
    """),
    _Asked("filled", "Fields that are filled in", "Share of a CRM's live contacts and leads that have a value.", _filled),
    _Asked("agreement", "Where records of one customer disagree", "Share of the customers with several values of a field whose records do not all say the same, letter for letter: a phone number or a stage may be the same one, written otherwise.", """
        select field as "field", count(*) as "customers", count(*) filter (where agreeing_count < record_count) as "disagreeing",
            round(100 * disagreeing / customers, 1) as "disagreeing, %"
        from customer_provenance where record_count > 1 and field not in ('created_date', 'last_updated')
        group by 1 order by 4 desc, 1
    """),
    _Asked("freshness", "Freshness", "How old the data were when they were published, and how long changes that a CRM told of took, by connection.", """
        select connection, count(*) as "objects", count(*) filter (where state <> 'ok') as "incomplete",
            strftime(min(seen_until), '%Y-%m-%d %H:%M') as "read until (UTC)", round(max(lag_seconds) / 60, 1) as "oldest, minutes",
            max(events_last_day) as "changes told, last day", round(max(event_lag_p95_seconds), 1) as "their lag, p95 seconds"
        from sync_status group by 1 order by 1
    """),
    _Asked("checks", "Data quality", "Checks of each published table, and those that found something in the last run.", """
        select table_name as "table", count(*) as "checks", count(*) filter (where not passed) as "failed",
            coalesce(string_agg(name, ', ' order by name) filter (where not passed), '') as "failed checks"
        from data_quality group by 1 order by 3 desc, 1
    """),
    _Asked("calls", "API calls", "Calls that the newest read of each object took, and what of a day's calls the account had left then, where its CRM says it.", _calls),
)  # fmt: skip


def figures_of(db: duckdb.DuckDBPyConnection) -> Figures:
    """Ask a published file that is open. Raises duckdb.Error for one of another version."""
    return Figures(_headlines(db), {asked.name: _figure(db, asked) for asked in _ASKED})


def figure(db: duckdb.DuckDBPyConnection, name: str) -> Figure:
    """One of them, by its name."""
    return _figure(db, next(asked for asked in _ASKED if asked.name == name))


def _figure(db: duckdb.DuckDBPyConnection, asked: _Asked) -> Figure:
    result = db.execute(asked.sql if isinstance(asked.sql, str) else asked.sql(db))
    return Figure(asked.name, asked.title, asked.says, [column[0] for column in result.description], result.fetchall())


def _headlines(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    def count(of: str) -> int:
        return db.execute(f"select count(*) from {of}").fetchall()[0][0]

    failed, checks = count("data_quality where not passed"), count("data_quality")
    return {
        "customers": f"{count('customers where not is_deleted'):,}",
        "contact records": f"{count('contacts where not is_deleted'):,}",
        "companies": f"{count('customer_companies where not is_deleted'):,}",
        "open deals": f"{count(f'(select 1 {_CURRENT_DEALS})'):,}",
        "pairs to review": f"{count('identity_review'):,}",
        "checks passed": f"{checks - failed:,} of {checks:,}",
    }


def written(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None:
            return ""
        case int():
            return f"{value:,}"
        case float() | Decimal():
            return f"{value:,.1f}"
        case _:
            return str(value)
