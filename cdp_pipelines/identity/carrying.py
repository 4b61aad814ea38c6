"""Keys for all people at once: those of whom nothing is in question as whole columns in DuckDB, the others one by one (see customer_keys).

A new person's key follows from its oldest record, so that the same history gives the same keys again.

A key is in no question where all records that are there and had it, now or first, are of one person, and that person's records had no other.
Of a usual run that is nearly everybody.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count

import duckdb
import pyarrow as pa

from cdp_pipelines.identity.customer_keys import Held, Record, settle

LENGTH = 32
_BEFORE = """
create or replace temp table before as
select connection::varchar as connection, customer_id::varchar as customer_id, customer_key::varchar as key,
    coalesce(nullif({first}::varchar, ''), customer_key::varchar) as first_key, {there} as there
from previous
"""
# `place` is the record's among its person's, the oldest first.
_KNOWN = """
create or replace temp table known as
select o.person, o.place, o.connection, o.customer_id, b.key, b.first_key from owned as o join before as b using (connection, customer_id);
create or replace temp table claims as
select key, count(distinct person) as people from (select key, person from known union all select first_key, person from known) group by key;
create or replace temp table sure as
select person, min(key) as key from known group by person
having min(key) = max(key) and min(first_key) = max(first_key) and min(key) = min(first_key)
    and min(key) in (select key from claims where people = 1)
"""
_IN_QUESTION = """
select person, connection, customer_id, place, b.key, b.first_key
from owned left join before as b using (connection, customer_id)
where person in (select person from known except select person from sure)
order by person, place
"""
# The key follows from the oldest record; where that key is somebody's already, from another attempt.
_NEW = f"""
create or replace temp table trying as
select person, connection, customer_id,
    substring(sha256(connection || chr(0) || customer_id || chr(0) || '{{attempt}}'), 1, {LENGTH}) as key
from {{waiting}}
"""
_ALIASES = """
with went as (
    select distinct b.key as old_key, h.key as new_key from before as b join held as h using (connection, customer_id)
    union all
    select distinct key, null from before as b
    where there and not exists (select 1 from held as h where h.connection = b.connection and h.customer_id = b.customer_id)
),
known as (
    select old_key, new_key, count(new_key) over (partition by old_key) as places, exists (select 1 from people_keys as p where p.key = old_key) as is_alive
    from went
)
select old_key, new_key, case when new_key is null then 'gone' when is_alive or places > 1 then 'split' else 'merged' end as reason
from known
where case when is_alive then new_key <> old_key else new_key is not null or places = 0 end
order by old_key, new_key
"""
_LEDGER = """
select connection, customer_id, coalesce(h.key, b.key) as customer_key, coalesce(h.first_key, b.first_key) as first_key,
    h.key is not null as is_there
from held as h full join before as b using (connection, customer_id)
order by connection, customer_id
"""


@dataclass(frozen=True)
class Carried:
    """The key of each person (by number), each record's key and first key, what became of keys, every record ever known, and the share of
    the records known before whose key is another now."""

    of_people: pa.ChunkedArray
    of_records: pa.ChunkedArray
    first_of_records: pa.ChunkedArray
    aliases: pa.Table
    ledger: pa.Table
    churn: float


def carry(db: duckdb.DuckDBPyConnection, owned: pa.Table, previous: pa.Table | None) -> Carried:
    """Keys for people, the oldest first.

    `owned` has a row for each record: record, person (a number, the oldest first), place (the record's among its person's, the oldest first),
    connection, customer_id. `previous` may hold records that are gone: should they come back, they have their key again.
    """
    _begin(db, owned, previous)
    db.execute(_KNOWN)
    db.execute("create or replace temp table people_keys as select person, key from sure")
    _settle(db)
    _make_new(db)
    db.execute(
        """
        create or replace temp table held as
        select o.record, o.connection, o.customer_id, p.key, coalesce(b.first_key, p.key) as first_key, b.key as key_before
        from owned as o join people_keys as p using (person) left join before as b using (connection, customer_id)
        """
    )
    changed, there = db.execute("select count(*) filter (key <> key_before), count(key_before) from held").fetchall()[0]
    records = db.execute("select key, first_key from held order by record").to_arrow_table()
    found = Carried(
        of_people=db.execute("select key from people_keys order by person").to_arrow_table().column("key"),
        of_records=records.column("key"),
        first_of_records=records.column("first_key"),
        aliases=db.execute(_ALIASES).to_arrow_table(),
        ledger=db.execute(_LEDGER).to_arrow_table(),
        churn=changed / there if there else 0.0,
    )
    for table in ("owned", "before", "known", "claims", "sure", "people_keys", "held"):
        db.execute(f"drop table {table}")
    return found


def _begin(db: duckdb.DuckDBPyConnection, owned: pa.Table, previous: pa.Table | None) -> None:
    columns = ("connection", "customer_id", "customer_key")
    given = previous if previous is not None else pa.table({name: pa.array([], pa.string()) for name in columns})
    names = given.column_names
    db.register("previous", given)
    first, there = ("first_key" if "first_key" in names else "customer_key"), ("is_there" if "is_there" in names else "true")
    db.execute(_BEFORE.format(first=first, there=there))
    db.unregister("previous")
    db.register("owned_given", owned)
    db.execute("create or replace temp table owned as from owned_given")
    db.unregister("owned_given")


def _settle(db: duckdb.DuckDBPyConnection) -> None:
    """The keys of people of whom something is in question; those who get none have a new one."""
    people: dict[int, list[Record]] = defaultdict(list)
    previous: dict[Record, Held] = {}
    for person, connection, customer_id, _, key, first_key in db.execute(_IN_QUESTION).fetchall():
        people[person].append((connection, customer_id))
        if key is not None:
            previous[connection, customer_id] = Held(key, first_key)
    keys = settle(list(people.values()), previous)
    settled = [(person, key) for person, key in zip(people, keys, strict=True) if key is not None]
    db.register("settled", pa.table({
        "person": pa.array([person for person, _ in settled], pa.int64()), "key": pa.array([key for _, key in settled], pa.string()),
    }))  # fmt: skip
    db.execute("insert into people_keys from settled")
    db.unregister("settled")


def _make_new(db: duckdb.DuckDBPyConnection) -> None:
    """Keys for those who have none yet."""
    db.execute(
        """
        create or replace temp table waiting as
        select person, connection, customer_id from owned where place = 0 and person not in (select person from people_keys)
        """
    )
    for attempt in count():
        db.execute(_NEW.format(attempt=attempt, waiting="waiting"))
        taken = "key in (select key from before union all select first_key from before)"
        db.execute(f"insert into people_keys select person, key from trying where not ({taken})")
        db.execute(f"create or replace temp table waiting as select person, connection, customer_id from trying where {taken}")
        if not db.execute("select count(*) from waiting").fetchall()[0][0]:
            break
    db.execute("drop table waiting; drop table trying")
