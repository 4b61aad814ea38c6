"""Pairs of records that share evidence: plain joins on one spelling of each value. No pair is judged here."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from cdp_pipelines.identity import civil as civil_data
from cdp_pipelines.identity import sharing
from cdp_pipelines.identity.civil import Civil
from cdp_pipelines.identity.names import Name
from cdp_pipelines.identity.particulars import NONE, Ints, Particulars
from cdp_pipelines.identity.sharing import Sharing

# Pairs of a block are all looked at up to this many records; in larger ones each record meets the next one alone.
BLOCK = 40
_NOBODY = pa.array([], pa.int64())

_MOVES = """
select c.record as a, t.record as b, c.how from (
    select record, connection, customer_id, coalesce(merged_into, converted_contact_id) as target,
        case when merged_into is not null then 'merged' else 'converted' end as how
    from crm_keys
) as c join crm_keys as t on t.connection = c.connection and t.customer_id = c.target and t.record <> c.record
"""

# The id that another CRM's integration wrote down. Of 18 characters the last three are a checksum. One of two orgs' same id says nothing.
_REFERENCES = """
select h.record as a, s.record as b, 'crm_reference' as how
from crm_keys as h
join (
    select substring(customer_id, 1, 15) as id, min(record) as record from crm_keys
    where source_system = 'salesforce' or (source_system is null and regexp_matches(customer_id, '^(003|00Q)[A-Za-z0-9]{12,15}$'))
    group by 1 having count(distinct connection) = 1
) as s on s.id = substring(h.salesforce_id, 1, 15) and s.record <> h.record
"""

# A value of one person or two is looked at whole; on a group's, and on one that very many hold, only records with a name in common are.
_VALUES = f"""
create or replace temp table met as
with blocks as (
    select v.record, v.evidence, v.value, s.sharing, '' as word
    from held as v join shared as s using (evidence, value)
    where s.sharing = {Sharing.OWN} or (s.sharing = {Sharing.TWO} and s.holders <= {BLOCK})
    union all
    select v.record, v.evidence, v.value, s.sharing, w.word
    from held as v join shared as s using (evidence, value) join name_words as w using (record)
    where s.sharing = {Sharing.GROUP} or (s.sharing = {Sharing.TWO} and s.holders > {BLOCK})
),
sized as (
    select *, count(*) over (partition by evidence, value, word) as size,
        lead(record) over (partition by evidence, value, word order by record) as next
    from blocks
)
select l.record as a, r.record as b, l.evidence, l.value, l.sharing
from sized as l join sized as r on r.evidence = l.evidence and r.value = l.value and r.word = l.word
where l.size <= {BLOCK} and r.record > l.record
union
select record as a, next as b, evidence, value, sharing from sized where size > {BLOCK} and next is not null
"""

_COMPANIES = f"""
create or replace temp table colleagues as
with blocks as (
    select c.company, w.word, c.record,
        count(*) over (partition by c.company, w.word) as size,
        lead(c.record) over (partition by c.company, w.word order by w.full_name, c.record) as next
    from (select distinct record, company from employed) as c join name_words as w using (record)
)
select least(a, b) as a, greatest(a, b) as b, min(company) as company from (
    select l.record as a, r.record as b, l.company
    from blocks as l join blocks as r on r.company = l.company and r.word = l.word
    where l.size <= {BLOCK} and r.record > l.record
    union all
    select record, next, company from blocks where size > {BLOCK} and next is not null
) as pairs group by 1, 2
"""

_PAIRS = """
create or replace temp table pairs as
select a, b,
    max(case when evidence = 'email' then 4 - sharing else 0 end)::tinyint as email,
    max(case when evidence = 'phone' then 4 - sharing else 0 end)::tinyint as phone,
    max(case when evidence = 'company' then 1 else 0 end)::tinyint as company,
    min(case when evidence = 'email' then value end) as email_value,
    min(case when evidence = 'phone' then value end) as phone_value,
    min(case when evidence = 'company' then value end) as company_value,
    max(case when evidence = 'crm' then sharing else 0 end)::tinyint as crm
from (
    select a, b, evidence, value, sharing from met
    union all select a, b, 'company', company, 0 from colleagues
    union all select a, b, 'civil', null, 0 from civil_pairs
    union all select least(a, b), greatest(a, b), 'crm', null, case how when 'merged' then 3 when 'converted' then 2 else 1 end from said
) as evidence
group by a, b
"""


def find(db: duckdb.DuckDBPyConnection, found: Particulars, civil: Civil | None) -> pa.Table:
    """The pairs (a, b; record numbers, a < b) that share something, with what.

    `email` and `phone` are 3 for a value of one person's own, 2 for one of two people, 1 for one of a group, 0 for none; `company` is 1 for
    colleagues of one name; `crm` is 3 where a CRM merged one into the other, 2 where it converted one, 1 where one names the other.
    """
    _load(db, found)
    sharing.learn(db, found)
    db.execute(f"create or replace temp table said as {_MOVES} union all {_REFERENCES}")
    db.execute(_VALUES)
    db.execute(_COMPANIES)
    db.register("civil_found", pa.table({"a": _NOBODY, "b": _NOBODY}) if civil is None else civil_data.pairs(db, civil))
    db.execute("create or replace temp table civil_pairs as from civil_found")
    db.execute(_PAIRS)
    for table in ("met", "colleagues", "civil_pairs", "held", "shared", "employed", "name_words", "records"):
        db.execute(f"drop table {table}")
    return db.execute("select a, b, email, phone, company, crm from pairs order by a, b").to_arrow_table()


def hashes(db: duckdb.DuckDBPyConnection, a: Ints, b: Ints) -> pa.ChunkedArray:
    """Of some pairs that were found, in their order, a hash of the value that both hold; null where they share none."""
    db.register("chosen", pa.table({"a": a, "b": b}))
    found = db.execute(
        """
        select substring(sha256(coalesce(email_value, phone_value, company_value)), 1, 32) as hash
        from chosen join pairs using (a, b) order by a, b
        """
    ).to_arrow_table()
    db.unregister("chosen")
    return found.column("hash")


def _load(db: duckdb.DuckDBPyConnection, found: Particulars) -> None:
    record = pa.array(np.arange(len(found)), pa.int64())
    columns = ("connection", "customer_id", "source_system", "merged_into", "converted_contact_id", "salesforce_id")
    tables = {
        "records": pa.table({"record": record, "name": pa.array(found.name_of)}),
        "held": found.values,
        "employed": found.companies,
        "crm_keys": pa.table({"record": record, **{name: found.column(name).cast(pa.string()) for name in columns}}),
        "name_words": _name_words(found),
    }
    for name, table in tables.items():
        db.register(f"_{name}", table)
        every = "" if name == "crm_keys" else "distinct"
        db.execute(f"create or replace temp table {name} as select {every} * from _{name}")
        db.unregister(f"_{name}")


def _name_words(found: Particulars) -> pa.Table:
    """What a name is looked up by: its last name, and its first, so that either may have a slip or stand in the other's place."""
    words = [_lookups(name) for name in found.names]
    flat = pa.array([word for own in words for word in own], pa.string())
    counts = np.array([len(own) for own in words] + [0])
    starts = np.cumsum(counts) - counts
    full = pa.array(["|".join(own) for own in words], pa.string())
    records = np.flatnonzero(found.guess_of != NONE)
    numbers = found.guess_of[records]
    many = counts[numbers]
    # Of each record's words the places in the list of all names' words.
    places = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + np.repeat(starts[numbers], many)
    return pa.table({
        "record": pa.array(np.repeat(records, many)), "word": flat.take(pa.array(places)),
        "full_name": full.take(pa.array(np.repeat(numbers, many))),
    })  # fmt: skip


def _lookups(name: Name) -> list[str]:
    last = "".join(name.last)
    words = {last, *name.first[:1]} if name.last else {"".join(name.first)}
    return sorted(word for word in words if len(word) > 1 or not word.isascii())
