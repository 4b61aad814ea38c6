"""Whose a value is: one person's own, two people's (spouses, father and son) or a group's (switchboards, shared mailboxes).

Learnt from the names on the value alone, so that the answer is the same for a handful of records and for a million.
"""

from __future__ import annotations

from enum import IntEnum

import duckdb
import pyarrow as pa

from cdp_pipelines.identity.names import Agreement, Name, compare
from cdp_pipelines.identity.particulars import Particulars

# More different names on one value than this are a group without looking closer.
MANY_NAMES = 12
BATCH = 100_000


class Sharing(IntEnum):
    """How many people a value belongs to."""

    OWN = 1
    TWO = 2
    GROUP = 3


def learn(db: duckdb.DuckDBPyConnection, found: Particulars) -> None:
    """Make the table `shared` (evidence, value, sharing, holders) of the values that several records hold."""
    db.register("role_given", pa.table({"value": pa.array([m.address for m in found.mailboxes if m.kind == "role"], pa.string())}))
    db.execute(
        f"""
        create or replace temp table named as
        select v.evidence, v.value, count(distinct v.record) as holders, list(distinct r.name) filter (r.name >= 0) as names
        from held as v join records as r using (record) group by v.evidence, v.value having count(distinct v.record) > 1;
        create or replace temp table sorted_out as
        select evidence, value, holders, names, case
            when evidence = 'email' and value in (select value from role_given) then {Sharing.GROUP}
            when coalesce(len(names), 0) <= 1 then {Sharing.OWN} when len(names) > {MANY_NAMES} then {Sharing.GROUP} end as sharing
        from named
        """
    )
    # Only the values on which a few names stand are looked at here, so many at a time.
    learnt = [pa.table({"evidence": pa.array([], pa.string()), "value": pa.array([], pa.string()), "sharing": pa.array([], pa.int32())})]
    for batch in db.execute("select evidence, value, names from sorted_out where sharing is null").to_arrow_reader(BATCH):
        sharing = [_people(numbers, found.names) for numbers in batch.column("names").to_pylist()]
        rows = pa.Table.from_batches([batch]).drop_columns(["names"])
        learnt.append(rows.append_column("sharing", pa.array(sharing, pa.int32())))
    db.register("learnt", pa.concat_tables(learnt))
    db.execute(
        """
        create or replace temp table shared as
        select evidence, value, coalesce(s.sharing, l.sharing) as sharing, holders
        from sorted_out as s left join learnt as l using (evidence, value);
        drop table named; drop table sorted_out
        """
    )
    db.unregister("learnt")


def _people(numbers: list[int], names: list[Name]) -> Sharing:
    return Sharing(count_people([names[i] for i in numbers], Sharing.GROUP))


def count_people(names: list[Name], most: int) -> int:
    """How many people so many names must at least be, counted up to `most`: names that contradict each other are different people's."""
    people: list[list[Name]] = []
    for name in sorted(names, key=lambda n: (not n.is_full, n.first, n.last, n.generation or 0)):
        fitting = [group for group in people if all(compare(name, other) >= Agreement.UNKNOWN for other in group)]
        if fitting:
            fitting[0].append(name)
        elif len(people) == most - 1:
            return most
        else:
            people.append([name])
    return len(people)
