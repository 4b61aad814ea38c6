"""The tables of schema `quality`: what they hold and what each column is, in the warehouse and in the published file."""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from cdp_pipelines.database import quoted
from cdp_pipelines.pii import Pii, described

SCHEMA = "quality"
PUBLISHED_DAYS = 90


@dataclass(frozen=True)
class Column:
    """A column: its type, its description, and its class of personal data."""

    type: str
    description: str
    pii: Pii = "none"


@dataclass(frozen=True)
class Table:
    """A table. `keeps` says whether it is a history, by its column `measured_at`, of which the published file has the last days."""

    description: str
    columns: dict[str, Column] = field(default_factory=dict)
    keeps: bool = True


_AT = Column("timestamp not null", "When it was measured, UTC.")
_CONNECTION = Column("varchar not null", "Connection; empty for a table that is of all of them together.")
_SYSTEM = Column("varchar not null", "Kind of the CRM.")
_RATE = "double"

TABLES = {
    "column_profiles": Table(
        "For each column of the standardized and unified tables, by connection: how many values, how many nulls and of what length. No value of "
        "a person: bounds are there for numbers, dates and marks alone. Of the last two days the newest of each hour, before then of each day.",
        {
            "measured_at": _AT, "table_name": Column("varchar not null", "Table."), "connection": _CONNECTION,
            "column_name": Column("varchar not null", "Column."), "column_type": Column("varchar not null", "Type in DuckDB."),
            "rows": Column("bigint not null", "Rows of the table; deleted ones left out."),
            "nulls": Column("bigint not null", "Rows without a value."), "null_rate": Column(_RATE, "Their share, from 0 to 1."),
            "distinct_values": Column("bigint not null", "Different values, to about 2 %."),
            "shortest": Column("bigint", "Characters of the shortest text."), "longest": Column("bigint", "Characters of the longest text."),
            "least": Column("varchar", "Least value; of columns without personal data that are no texts."),
            "greatest": Column("varchar", "Greatest value, likewise."),
        },
    ),
    "duplicates": Table(
        "For each connection: contact records that are somebody's second one, before the resolver (by e-mail address) and after it (by customer).",
        {
            "measured_at": _AT, "connection": _CONNECTION, "source_system": _SYSTEM,
            "records": Column("bigint not null", "Contact records, deleted ones left out."),
            "with_email": Column("bigint not null", "Those with an e-mail address."),
            "same_email": Column("bigint not null", "Those whose address an earlier record of the connection has."),
            "same_email_rate": Column(_RATE, "Their share of those with an address: the duplicates before resolution."),
            "same_customer": Column("bigint not null", "Records whose customer an earlier record of the connection is."),
            "same_customer_rate": Column(_RATE, "Their share of all: the duplicates that the resolver found."),
        },
    ),
    "disagreements": Table(
        "For each field and pair of CRMs: of how many customers and companies that both know they say something else. Upper and lower case, "
        "blanks and how a phone number is written do not count.",
        {
            "measured_at": _AT, "table_name": Column("varchar not null", "customers or customer_companies."),
            "field": Column("varchar not null", "Field of the records."),
            "left_system": Column("varchar not null", "One CRM."), "right_system": Column("varchar not null", "The other CRM."),
            "compared": Column("bigint not null", "Customers (or companies) of which both have a value."),
            "disagreeing": Column("bigint not null", "Those of which they have no value in common."), "rate": Column(_RATE, "Their share, from 0 to 1."),
        },
    ),
    "disagreement_examples": Table(
        "Up to ten customers or companies for each row of the newest disagreements, by key. Their values are in the tables.",
        {
            "table_name": Column("varchar not null", "customers or customer_companies."), "field": Column("varchar not null", "Field of the records."),
            "left_system": Column("varchar not null", "One CRM."), "right_system": Column("varchar not null", "The other CRM."),
            "customer_key": Column("varchar", "The customer.", "id"), "company_key": Column("varchar", "The company.", "id"),
        },
        keeps=False,
    ),
    "source_fields": Table(
        "For each raw table of each connection: its fields, whether mapping.yml uses them, and whether they hold anything.",
        {
            "connection": _CONNECTION, "source_system": _SYSTEM, "raw_table": Column("varchar not null", "Raw table."),
            "raw_column": Column("varchar not null", "The field's column there."),
            "is_mapped": Column("boolean not null", "Whether a standardized field uses it."),
            "is_filled": Column("boolean not null", "Whether a record has a value in it."),
            "first_filled_at": Column("timestamp", "When a value was first seen in it, UTC."),
        },
        keeps=False,
    ),
    "values_seen": Table(
        "For each picklist (`picklist` in mapping.yml) and connection: its values, and when each was first seen.",
        {
            "table_name": Column("varchar not null", "Table."), "connection": _CONNECTION, "column_name": Column("varchar not null", "Column."),
            "value": Column("varchar not null", "A value."), "first_seen_at": Column("timestamp not null", "When it was first seen, UTC."),
        },
        keeps=False,
    ),
}  # fmt: skip
# Made when the file is published, from the schema `ops`.
LOGS = {
    "check_results": Table(
        "What each check found, of the last 90 days: of each hour its newest result and each other one in which its outcome changed.",
        {
            "checked_at": Column("timestamp", "When it ran, UTC."), "name": Column("varchar", "Check; docs/quality.md says what each does."),
            "table_name": Column("varchar", "What it is about."), "passed": Column("boolean", "Whether all is well."),
            "blocking": Column("boolean", "Whether its failure keeps the published tables as they were."),
            "failed_rows": Column("bigint", "How many rows (or groups of rows) are not as they should be."),
            "sample_keys": Column("varchar[]", "Up to ten of them, by key.", "text"),
        },
    ),
    "field_changes": Table(
        "Fields that came, went, or changed their name or type in a CRM, of the last 90 days.",
        {
            "told_at": Column("timestamp", "When it was noticed, UTC."), "connection": Column("varchar", "Connection."),
            "source_system": Column("varchar", "Kind of the CRM."), "object": Column("varchar", "Raw table."),
            "change": Column("varchar", "new, gone, renamed or retyped."), "field": Column("varchar", "The vendor's field."),
            "detail": Column("varchar", "Its new name, or its types before and after."),
        },
    ),
}  # fmt: skip


def classes() -> dict[str, dict[str, Pii]]:
    """Table -> column -> class of personal data."""
    return {name: {column: one.pii for column, one in table.columns.items()} for name, table in {**TABLES, **LOGS}.items()}


def create(db: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of the warehouse that are not there yet."""
    db.execute(f"create schema if not exists {SCHEMA}")
    for name, table in TABLES.items():
        columns = ", ".join(f"{column} {one.type}" for column, one in table.columns.items())
        db.execute(f"create table if not exists {SCHEMA}.{name} ({columns})")


def describe(db: duckdb.DuckDBPyConnection, catalog: str, name: str) -> None:
    """Write down what a published table and its columns are."""
    table = {**TABLES, **LOGS}[name]
    relation = f"{catalog}.{SCHEMA}.{name}"
    db.execute(f"comment on table {relation} is '{quoted(table.description)}'")
    for column, one in table.columns.items():
        db.execute(f"comment on column {relation}.{column} is '{quoted(described(one.description, one.pii))}'")
