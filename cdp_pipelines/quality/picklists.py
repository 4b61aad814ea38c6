"""Checks 4: values of picklists that were never seen before, by connection; which columns are picklists is said in mapping.yml."""

from __future__ import annotations

from datetime import datetime

import duckdb

from cdp_pipelines import mapping

TABLE = "quality.values_seen"
TOLD_HOURS = 24
LEARNT_DAYS = 7
"""In the first days after a connection's first sync every value is new."""
UNSEEN = f"""
    select connection || ':' || table_name || '.' || column_name as key, count(*) as rows
    from (select *, min(first_seen_at) over (partition by connection, table_name, column_name) as since from {TABLE})
    where first_seen_at > since + interval {LEARNT_DAYS} day and first_seen_at > now() at time zone 'UTC' - interval {TOLD_HOURS} hour
    group by all"""


def measure(db: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Note the values that are there and were not. `now` is in UTC, without zone."""
    parts = [
        f"select '{entity}' as table_name, connection, '{name}' as column_name, {name} as value from standardized.{entity} "
        f"where {name} is not null and not is_deleted group by all"
        for entity, spec in mapping.load().entities.items()
        for name, field in spec.fields.items()
        if field.picklist
    ]
    db.execute(
        f"insert into {TABLE} select now.*, $1 from ({' union all '.join(parts)}) as now "
        f"anti join {TABLE} using (table_name, connection, column_name, value)",
        [now],
    )
