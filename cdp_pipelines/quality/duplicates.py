"""Checks 9: contact records that are somebody's second one in their own CRM, before and after the resolver."""

from __future__ import annotations

from datetime import datetime

import duckdb

from cdp_pipelines.quality import moments

TABLE = "quality.duplicates"
_SECOND = "{field} is not null and row_number() over (partition by connection, {field} order by customer_id) > 1"
_MEASURE = f"""
insert into {TABLE}
select
    $1, connection, source_system, records, with_email, same_email, same_email / nullif(with_email, 0), same_customer,
    same_customer / nullif(records, 0)
from (
    select
        connection, source_system, count(*) as records, count(email) as with_email, count(*) filter (email_is_second) as same_email,
        count(*) filter (customer_is_second) as same_customer
    from (
        select
            c.connection, c.source_system, c.email, {_SECOND.format(field="email")} as email_is_second,
            {_SECOND.format(field="customer_key")} as customer_is_second
        from standardized.contacts as c left join unified.customer_contacts as of using (connection, customer_id)
        where not c.is_deleted
    ) group by all
)"""


def measure(db: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Count them. `now` is in UTC, without zone."""
    moments.make_room(db, TABLE, now)
    db.execute(_MEASURE, [now])
