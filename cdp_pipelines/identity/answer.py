"""What was found, as tables: people, their records, the evidence for and against, what is in doubt, and where keys went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cdp_pipelines.identity import candidates, carrying, judging, overrides
from cdp_pipelines.identity.judging import DOUBTS, PRIORITY, RULES, Judged
from cdp_pipelines.identity.merging import GENERATIONS, NAMES, SPLIT, Merged
from cdp_pipelines.identity.names import Agreement
from cdp_pipelines.identity.overrides import Decisions
from cdp_pipelines.identity.particulars import Ints, Particulars, Records

ALONE = "alone"
# Doubts that are a value in common, as the vetoes name the evidence.
_SHARED = {"same_email_other_name": "shared_email", "same_phone_other_name": "shared_phone", "same_phone_other_surname": "shared_phone"}
# Two people at one number are nothing to look at; all else is.
_NO_DOUBT = (None, "same_phone_other_name")


@dataclass(frozen=True)
class Resolution:
    """What `resolve` found. A pair is left_connection, left_customer_id, right_connection, right_customer_id.

    `customers`: customer_key, contact_count, connection_count, is_current.
    `customer_contacts`: connection, source_system, record_type, customer_id, customer_key, first_key (the key that the record had first),
    rule (the surest one by which it belongs to its person, `alone` without others), priority, is_current.
    `edges`: pairs of one person, with rule, priority, value_hash (equal for equal values), is_decisive (it made the person).
    `vetoes`: pairs that a rule would have joined: rule (the veto), evidence (the rule), and the pair between_left_.., between_right_..
    that contradict each other, which may be other records of the two people.
    `review`: pairs that somebody should look at, one for each two people: reason, evidence, and the two customer keys.
    `aliases`: old_key, new_key (null: all its records are gone), reason (merged, split, gone).
    `overrides`: those given, with outcome and evidence. `ledger`: connection, customer_id, customer_key, first_key, is_there of every
    record ever known; the `previous` of the next run. `churn`: the share of records known before whose key is another now.
    """

    customers: pa.Table
    customer_contacts: pa.Table
    edges: pa.Table
    vetoes: pa.Table
    review: pa.Table
    aliases: pa.Table
    overrides: pa.Table
    ledger: pa.Table
    churn: float


def tables(
    db: duckdb.DuckDBPyConnection, found: Particulars, judged: Judged, merged: Merged, decisions: Decisions, previous: pa.Table | None
) -> Resolution:
    """The whole answer. The database is the one with the candidates (see candidates.find)."""
    owned = _owned(found, merged)
    carried = carrying.carry(db, owned, previous)
    members = _members(db, found, merged, carried)
    return Resolution(
        customers=_customers(members),
        customer_contacts=members,
        edges=_edges(db, found, judged, merged),
        vetoes=_vetoes(found, judged, merged),
        review=_review(found, judged, merged, members.column("customer_key")),
        aliases=carried.aliases,
        overrides=overrides.outcomes(decisions, merged),
        ledger=carried.ledger,
        churn=carried.churn,
    )


def _owned(found: Particulars, merged: Merged) -> pa.Table:
    """The records of each person, the oldest first; the person with the oldest record first (see carrying.carry)."""
    table = pa.table({"created": found.column("created_date"), "record": pa.array(np.arange(len(found)))})
    order = table.sort_by([("created", "ascending"), ("record", "ascending")]).column("record").to_numpy()
    _, first, of = np.unique(merged.person_of[order], return_index=True, return_inverse=True)
    person = np.empty(len(first), np.int64)
    person[np.argsort(first)] = np.arange(len(first))
    numbers = person[of]
    together = np.argsort(numbers, kind="stable")
    record, number = order[together], numbers[together]
    starts = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]])[: len(number)])
    place = np.arange(len(number)) - np.repeat(starts, np.diff([*starts, len(number)]))
    connection, customer_id = found.keys(record)
    return pa.table({"record": record, "person": number, "place": place, "connection": connection, "customer_id": customer_id})


def _members(db: duckdb.DuckDBPyConnection, found: Particulars, merged: Merged, carried: carrying.Carried) -> pa.Table:
    best = np.full(len(found), judging.NO_RULE, np.int8)
    for side in (merged.made.a, merged.made.b):
        np.minimum.at(best, side, merged.made.priority)
    return pa.table({
        **{name: found.column(name).cast(pa.string()) for name in ("connection", "source_system", "record_type", "customer_id")},
        "customer_key": carried.of_records,
        "first_key": carried.first_of_records,
        "rule": _rules(best),
        "priority": pa.array(best.astype(np.int32), mask=best == judging.NO_RULE),
        "is_current": _is_current(db, found),
    })  # fmt: skip


def _rules(priority: np.ndarray) -> pa.Array:
    """The rules of some priorities; `alone` for none."""
    names = [RULES.get(p, ALONE) for p in range(judging.NO_RULE + 1)]
    return pa.array(names, pa.string()).take(pa.array(priority))


def _is_current(db: duckdb.DuckDBPyConnection, found: Particulars) -> pa.ChunkedArray:
    """Neither deleted, nor merged into another record that is there, nor converted to one."""
    deleted = found.column("is_deleted")
    if not pa.types.is_boolean(deleted.type):
        deleted = pa.chunked_array([pa.array([bool(value) for value in deleted.to_pylist()], pa.bool_())])
    db.register("deleted", pa.table({"record": np.arange(len(found)), "is_deleted": deleted}))
    current = db.execute(
        """
        with moved as (
            select record, connection, customer_id, coalesce(nullif(merged_into, ''), nullif(converted_contact_id, '')) as target from crm_keys
        )
        select not coalesce(is_deleted, false) and (target is null or target = m.customer_id or t.record is null) as is_current
        from moved as m join deleted using (record)
        left join crm_keys as t on t.connection = m.connection and t.customer_id = m.target
        order by m.record
        """
    ).to_arrow_table()
    db.unregister("deleted")
    return current.column("is_current")


def _customers(members: pa.Table) -> pa.Table:
    counted = members.group_by("customer_key").aggregate(
        [("customer_id", "count"), ("connection", "count_distinct"), ("is_current", "max")]
    )
    named = counted.select(["customer_key", "customer_id_count", "connection_count_distinct", "is_current_max"])
    return named.rename_columns(["customer_key", "contact_count", "connection_count", "is_current"]).sort_by("customer_key")


def _edges(db: duckdb.DuckDBPyConnection, found: Particulars, judged: Judged, merged: Merged) -> pa.Table:
    inside = np.flatnonzero((merged.person_of[judged.a] == merged.person_of[judged.b]) & (judged.priority < judging.NO_RULE))
    a, b, priority = judged.a[inside], judged.b[inside], judged.priority[inside]
    stated = merged.made.take(np.flatnonzero(merged.made.priority == PRIORITY["override"]))
    made = merged.made.take(np.flatnonzero(merged.made.priority != PRIORITY["override"]))
    # A pair was judged once, so that its two records say which link it is.
    decisive = np.isin(a * len(found) + b, made.a * len(found) + made.b)
    both = np.concatenate([priority, stated.priority])
    return pa.table({
        **_pair(found, np.concatenate([a, stated.a]), np.concatenate([b, stated.b])),
        "rule": _rules(both),
        "priority": pa.array(both.astype(np.int32)),
        "value_hash": pa.chunked_array([*candidates.hashes(db, a, b).chunks, pa.nulls(len(stated), pa.string())], pa.string()),
        "is_decisive": np.concatenate([decisive, np.ones(len(stated), np.bool_)]),
    })  # fmt: skip


def _vetoes(found: Particulars, judged: Judged, merged: Merged) -> pa.Table:
    """Links refused, and pairs that hold one address or line under names that contradict each other, which never became links."""
    rows = {
        (r.link.a, r.link.b): (r.veto, r.link.rule, r.left, r.right)
        for r in merged.refused
        if merged.person_of[r.link.a] != merged.person_of[r.link.b]
    }
    apart = merged.person_of[judged.a] != merged.person_of[judged.b]
    for i in np.flatnonzero((judged.names < Agreement.UNKNOWN) & np.isin(judged.doubt, _places(_SHARED)) & apart).tolist():
        a, b = int(judged.a[i]), int(judged.b[i])
        veto = GENERATIONS if judged.names[i] == Agreement.GENERATION else NAMES
        rows.setdefault((a, b), (veto, _SHARED[str(DOUBTS[judged.doubt[i]])], a, b))
    pairs = sorted(rows)
    told = [rows[pair] for pair in pairs]
    return pa.table({
        **_pair(found, [a for a, _ in pairs], [b for _, b in pairs]),
        "rule": pa.array([veto for veto, *_ in told], pa.string()),
        "evidence": pa.array([evidence for _, evidence, *_ in told], pa.string()),
        **_pair(found, [left for *_, left, _ in told], [right for *_, right in told], "between_left", "between_right"),
    })  # fmt: skip


def _places(doubts: Iterable[str | None]) -> list[int]:
    return [DOUBTS.index(doubt) for doubt in doubts]


def _review(found: Particulars, judged: Judged, merged: Merged, key_of: pa.ChunkedArray) -> pa.Table:
    """Vetoed and doubtful pairs of different people, the first of each two people: by the rule's priority, doubts after vetoes."""
    person = merged.person_of
    asked: dict[tuple[int, int], tuple[int, int, str, str]] = {}
    decided = {_both(person, r.link.a, r.link.b) for r in merged.refused if r.veto == SPLIT}
    for refusal in merged.refused:
        link = refusal.link
        asked.setdefault(_both(person, link.a, link.b), (link.a, link.b, refusal.veto, link.rule))
    doubtful = np.flatnonzero(~np.isin(judged.doubt, _places(_NO_DOUBT)))
    doubtful = doubtful[np.lexsort((judged.names[doubtful], judged.b[doubtful], judged.a[doubtful], judged.doubt[doubtful]))]
    columns = (column[doubtful].tolist() for column in (judged.doubt, judged.a, judged.b, judged.names))
    for doubt, a, b, names in zip(*columns, strict=True):
        reason = "not_enough" if names >= Agreement.UNKNOWN else NAMES
        asked.setdefault(_both(person, a, b), (a, b, reason, str(DOUBTS[doubt])))
    rows = [row for both, row in asked.items() if both[0] != both[1] and both not in decided]
    return pa.table({
        **_pair(found, [a for a, *_ in rows], [b for _, b, *_ in rows]),
        "reason": pa.array([reason for *_, reason, _ in rows], pa.string()),
        "evidence": pa.array([evidence for *_, evidence in rows], pa.string()),
        "left_customer_key": key_of.take(pa.array([a for a, *_ in rows], pa.int64())),
        "right_customer_key": key_of.take(pa.array([b for _, b, *_ in rows], pa.int64())),
    })  # fmt: skip


def _both(person: Ints, a: int, b: int) -> tuple[int, int]:
    one, other = int(person[a]), int(person[b])
    return min(one, other), max(one, other)


def _pair(
    found: Particulars, a: Records | Sequence[int], b: Records | Sequence[int], left: str = "left", right: str = "right"
) -> dict[str, Any]:
    columns = {}
    for side, records in ((left, a), (right, b)):
        connection, customer_id = found.keys(records)
        columns |= {f"{side}_connection": connection, f"{side}_customer_id": customer_id}
    return columns
