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


class Sharing(IntEnum):
    """How many people a value belongs to."""

    OWN = 1
    TWO = 2
    GROUP = 3


def learn(db: duckdb.DuckDBPyConnection, found: Particulars) -> None:
    """Make the table `shared` (evidence, value, sharing, holders) of the values that several records hold."""
    rows = db.execute(
        """
        select v.evidence, v.value, count(distinct v.record) as holders, list(distinct r.name) filter (r.name >= 0) as names
        from held as v join records as r using (record) group by v.evidence, v.value having count(distinct v.record) > 1
        order by v.evidence, v.value
        """
    ).to_arrow_table()
    role = {m.address for m in found.mailboxes if m.kind == "role"}
    sharing = []
    for evidence, value, numbers in zip(
        rows.column("evidence").to_pylist(), rows.column("value").to_pylist(), rows.column("names").to_pylist(), strict=True
    ):
        if evidence == "email" and value in role:
            sharing.append(Sharing.GROUP)
        else:
            sharing.append(_people(numbers, found.names))
    db.register("learnt", rows.drop_columns(["names"]).append_column("sharing", pa.array(sharing, pa.int32())))
    db.execute("create or replace temp table shared as from learnt")


def _people(numbers: list[int] | None, names: list[Name]) -> Sharing:
    if not numbers or len(numbers) == 1:
        return Sharing.OWN
    if len(numbers) > MANY_NAMES:
        return Sharing.GROUP
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
