"""The published tables that tell of the pipeline itself, and what their columns mean; what tells of customers has its words from the mapping."""

from __future__ import annotations

import duckdb

from cdp_pipelines import database
from cdp_pipelines.identity.tables import Table

TABLES = {
    "sync_status": Table(
        "The newest sync of each table of each connection: what was read, until when, and what is incomplete and why.",
        {
            "connection": "The connection, which is one account of a CRM.",
            "source_system": "Kind of its CRM.",
            "object": "What was read, in the CRM's own word.",
            "mode": "`full`: everything; `incremental`: what changed since the cursor; others read again what a cursor cannot see.",
            "state": "`ok`, or `incomplete`: not read to its end.",
            "problem": "What went wrong, where it is incomplete.",
            "remedy": "What to do about it.",
            "started_at": "When the read began, UTC.",
            "ended_at": "When it ended, UTC.",
            "cursor": "Until when the table was read.",
            "rows_read": "Records that the CRM gave and that were kept; those of erased people are neither here nor in rows_rejected.",
            "rows_inserted": "Of these, records that were not known before.",
            "rows_updated": "Of these, records that were.",
            "rows_deleted": "Of these, records that the CRM says are gone.",
            "rows_total": "Records that are known now, gone ones too.",
            "calls": "API calls that the read took.",
            "rows_rejected": "Rows that could not be kept; the table rejected_rows says why.",
            "calls_left": "API calls that the account had left for the day, all its programs together, when it was read; null where the CRM did not say.",
            "calls_allowed": "API calls that the account has in a day.",
            "seen_until": "Changes of the CRM until then are in this file for sure. Before `cursor` when a check stopped the publication.",
            "lag_seconds": "How long before the writing of this table that was.",
            "events_last_day": "Changes that notifications told of, published in the last day; of the connection as a whole.",
            "event_lag_median_seconds": "From the change in the CRM to the published file: half of them took no longer.",
            "event_lag_p95_seconds": "The same for 95 of a hundred.",
        },
    ),
    "data_quality": Table(
        "The newest result of each check.",
        {
            "checked_at": "When, UTC.",
            "name": "The check.",
            "table_name": "The table that it is about.",
            "passed": "Whether nothing was found.",
            "blocking": "Whether what it finds stops the publication.",
            "failed_rows": "How many rows it found.",
            "description": "What holds when it passes, or what is wrong, in words.",
            "remedy": "What to do when it fails.",
            "sample_keys": "Up to ten of the rows that it found, as `connection:id`.",
        },
    ),
    "rejected_rows": Table(
        "Rows that a CRM sent and that could not be kept, since each table was last read in full: how many, why, and some of their ids.",
        {
            "connection": "The connection.",
            "object": "What was read, in the CRM's own word.",
            "reason": "Why they could not be kept.",
            "rows": "How many; a row that was sent several times counts as often as that.",
            "example_keys": "Up to ten of them, as `connection:id`, where an id could be made out.",
            "last_at": "When the newest of the reads that rejected them began, UTC.",
        },
    ),
    "event_lags": Table(
        "Of the last seven days, each run that followed change notifications: seconds from change to published.",
        {
            "published_at": "When the file was written, UTC.",
            "connection": "The connection whose notifications the run followed.",
            "events": "Changes that they told of.",
            "median_seconds": "From the change in the CRM to the published file: half of them took no longer.",
            "p95_seconds": "The same for 95 of a hundred.",
        },
    ),
}


def describe(db: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Write what the tables and their columns mean into a file that is attached as `catalog`."""
    for name, table in TABLES.items():
        db.execute(f"comment on table {catalog}.{name} is '{database.quoted(table.description)}'")
        for column, text in table.columns.items():
            db.execute(f"comment on column {catalog}.{name}.\"{column}\" is '{database.quoted(text)}'")
