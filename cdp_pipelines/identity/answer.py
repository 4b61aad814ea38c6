"""What was found, as tables: people, their records, the evidence for and against, what is in doubt, and where keys went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cdp_pipelines import database
from cdp_pipelines.identity import customer_keys, judging, overrides
from cdp_pipelines.identity.customer_keys import Held, Keys, Record
from cdp_pipelines.identity.judging import PRIORITY, Judged
from cdp_pipelines.identity.merging import GENERATIONS, NAMES, SPLIT, Link, Merged
from cdp_pipelines.identity.names import Agreement
from cdp_pipelines.identity.overrides import Decisions
from cdp_pipelines.identity.particulars import Particulars, Records

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
    found: Particulars,
    pairs: pa.Table,
    judged: Judged,
    merged: Merged,
    decisions: Decisions,
    previous: pa.Table | None,
    put_aside: Path | None = None,
) -> Resolution:
    """The whole answer. `put_aside`: see Options."""
    people = _people(found, merged)
    records = found.records()
    before = _held(previous)
    keys = customer_keys.assign([[records[r] for r in person] for person in people], before)
    key_of = [""] * len(found)
    for key, person in zip(keys.keys, people, strict=True):
        for record in person:
            key_of[record] = key
    members = _members(found, merged, records, keys, key_of)
    return Resolution(
        customers=_customers(members),
        customer_contacts=members,
        edges=_edges(found, pairs, judged, merged, put_aside),
        vetoes=_vetoes(found, judged, merged),
        review=_review(found, judged, merged, key_of),
        aliases=pa.table({
            "old_key": pa.array([a.old_key for a in keys.aliases], pa.string()),
            "new_key": pa.array([a.new_key for a in keys.aliases], pa.string()),
            "reason": pa.array([a.reason for a in keys.aliases], pa.string()),
        }),
        overrides=overrides.outcomes(decisions, merged),
        ledger=_ledger(before, keys),
        churn=keys.churn,
    )  # fmt: skip


def _people(found: Particulars, merged: Merged) -> list[list[int]]:
    """The records of each person, the oldest first; the person with the oldest record first."""
    table = pa.table({"created": found.column("created_date"), "record": pa.array(np.arange(len(found)))})
    order = table.sort_by([("created", "ascending"), ("record", "ascending")]).column("record")
    people: dict[int, list[int]] = defaultdict(list)
    for record in order.to_pylist():
        people[merged.person_of[record]].append(record)
    return list(people.values())


def _held(previous: pa.Table | None) -> dict[Record, Held]:
    if previous is None:
        return {}
    columns = previous.column_names
    keys = previous.column("customer_key").to_pylist()
    first = previous.column("first_key").to_pylist() if "first_key" in columns else keys
    there = previous.column("is_there").to_pylist() if "is_there" in columns else [True] * len(keys)
    records = zip(previous.column("connection").to_pylist(), previous.column("customer_id").to_pylist(), strict=True)
    return {record: Held(key, was or key, here) for record, key, was, here in zip(records, keys, first, there, strict=True)}


def _members(found: Particulars, merged: Merged, records: list[Record], keys: Keys, key_of: list[str]) -> pa.Table:
    rules = _rules(found, merged)
    return pa.table({
        **{name: found.column(name).cast(pa.string()) for name in ("connection", "source_system", "record_type", "customer_id")},
        "customer_key": pa.array(key_of, pa.string()),
        "first_key": pa.array([keys.held[r].first_key for r in records], pa.string()),
        "rule": pa.array(rules, pa.string()),
        "priority": pa.array([PRIORITY.get(rule) for rule in rules], pa.int32()),
        "is_current": _is_current(found, records),
    })  # fmt: skip


def _rules(found: Particulars, merged: Merged) -> list[str]:
    best: dict[int, Link] = {}
    for link in merged.made:
        for record in (link.a, link.b):
            if record not in best or link.priority < best[record].priority:
                best[record] = link
    return [best[record].rule if record in best else ALONE for record in range(len(found))]


def _is_current(found: Particulars, records: list[Record]) -> pa.Array:
    """Neither deleted, nor merged into another record that is there, nor converted to one."""
    there = set(records)
    rows = zip(records, *(found.column(n).to_pylist() for n in ("is_deleted", "merged_into", "converted_contact_id")), strict=True)
    return pa.array([
        not deleted and ((into or to or own) == own or (connection, into or to) not in there)
        for (connection, own), deleted, into, to in rows
    ], pa.bool_())  # fmt: skip


def _customers(members: pa.Table) -> pa.Table:
    counted = members.group_by("customer_key").aggregate(
        [("customer_id", "count"), ("connection", "count_distinct"), ("is_current", "max")]
    )
    named = counted.select(["customer_key", "customer_id_count", "connection_count_distinct", "is_current_max"])
    return named.rename_columns(["customer_key", "contact_count", "connection_count", "is_current"]).sort_by("customer_key")


def _edges(found: Particulars, pairs: pa.Table, judged: Judged, merged: Merged, put_aside: Path | None) -> pa.Table:
    person = np.array(merged.person_of, np.int64)
    inside = np.flatnonzero((person[judged.a] == person[judged.b]) & (judged.priority < judging.NO_RULE))
    a, b = judged.a[inside], judged.b[inside]
    rules = [judged.rule[i] for i in inside.tolist()]
    made = {(link.a, link.b, link.rule) for link in merged.made}
    stated = [link for link in merged.made if link.rule == "override"]
    both = [*zip(a.tolist(), b.tolist(), rules, strict=True)]
    return pa.table({
        **_pair(found, [*a.tolist(), *(link.a for link in stated)], [*b.tolist(), *(link.b for link in stated)]),
        "rule": pa.array([*rules, *(link.rule for link in stated)], pa.string()),
        "priority": pa.array([*judged.priority[inside].tolist(), *(link.priority for link in stated)], pa.int32()),
        "value_hash": pa.array([*_hashes(pairs.take(pa.array(inside)), put_aside), *(None for _ in stated)], pa.string()),
        "is_decisive": pa.array([*(pair in made for pair in both), *(True for _ in stated)], pa.bool_()),
    })  # fmt: skip


def _hashes(pairs: pa.Table, put_aside: Path | None) -> list[str | None]:
    with database.scratch(put_aside) as db:
        db.register("chosen", pairs)
        hashed = "select substring(sha256(coalesce(email_value, phone_value, company_value)), 1, 32) as hash from chosen order by a, b"
        return db.execute(hashed).to_arrow_table().column("hash").to_pylist()


def _vetoes(found: Particulars, judged: Judged, merged: Merged) -> pa.Table:
    """Links refused, and pairs that hold one address or line under names that contradict each other, which never became links."""
    rows = {
        (r.link.a, r.link.b): (r.veto, r.link.rule, r.left, r.right)
        for r in merged.refused
        if merged.person_of[r.link.a] != merged.person_of[r.link.b]
    }
    for i in np.flatnonzero(judged.names < Agreement.UNKNOWN).tolist():
        a, b, doubt = int(judged.a[i]), int(judged.b[i]), judged.doubt[i]
        if doubt in _SHARED and merged.person_of[a] != merged.person_of[b]:
            veto = GENERATIONS if judged.names[i] == Agreement.GENERATION else NAMES
            rows.setdefault((a, b), (veto, _SHARED[doubt], a, b))
    pairs = sorted(rows)
    told = [rows[pair] for pair in pairs]
    return pa.table({
        **_pair(found, [a for a, _ in pairs], [b for _, b in pairs]),
        "rule": pa.array([veto for veto, *_ in told], pa.string()),
        "evidence": pa.array([evidence for _, evidence, *_ in told], pa.string()),
        **_pair(found, [left for *_, left, _ in told], [right for *_, right in told], "between_left", "between_right"),
    })  # fmt: skip


def _review(found: Particulars, judged: Judged, merged: Merged, key_of: list[str]) -> pa.Table:
    """Vetoed and doubtful pairs of different people, the first of each two people: by the rule's priority, doubts after vetoes."""
    person = merged.person_of
    asked: dict[tuple[int, int], tuple[int, int, str, str]] = {}
    decided = {_both(person, r.link.a, r.link.b) for r in merged.refused if r.veto == SPLIT}
    for refusal in merged.refused:
        link = refusal.link
        asked.setdefault(_both(person, link.a, link.b), (link.a, link.b, refusal.veto, link.rule))
    doubtful = np.flatnonzero([doubt not in _NO_DOUBT for doubt in judged.doubt]).tolist()
    for doubt, a, b, names in sorted(
        (judging.DOUBTS.index(judged.doubt[i]), int(judged.a[i]), int(judged.b[i]), int(judged.names[i])) for i in doubtful
    ):
        reason = "not_enough" if names >= Agreement.UNKNOWN else NAMES
        asked.setdefault(_both(person, a, b), (a, b, reason, str(judging.DOUBTS[doubt])))
    rows = [row for both, row in asked.items() if both[0] != both[1] and both not in decided]
    return pa.table({
        **_pair(found, [a for a, *_ in rows], [b for _, b, *_ in rows]),
        "reason": pa.array([reason for *_, reason, _ in rows], pa.string()),
        "evidence": pa.array([evidence for *_, evidence in rows], pa.string()),
        "left_customer_key": pa.array([key_of[a] for a, *_ in rows], pa.string()),
        "right_customer_key": pa.array([key_of[b] for _, b, *_ in rows], pa.string()),
    })  # fmt: skip


def _both(person: list[int], a: int, b: int) -> tuple[int, int]:
    return min(person[a], person[b]), max(person[a], person[b])


def _ledger(before: dict[Record, Held], keys: Keys) -> pa.Table:
    held = before | keys.held
    records = sorted(held)
    return pa.table({
        "connection": pa.array([connection for connection, _ in records], pa.string()),
        "customer_id": pa.array([customer_id for _, customer_id in records], pa.string()),
        "customer_key": pa.array([held[record].key for record in records], pa.string()),
        "first_key": pa.array([held[record].first_key for record in records], pa.string()),
        "is_there": pa.array([record in keys.held for record in records], pa.bool_()),
    })  # fmt: skip


def _pair(
    found: Particulars, a: Records | Sequence[int], b: Records | Sequence[int], left: str = "left", right: str = "right"
) -> dict[str, pa.Array]:
    columns = {}
    for side, records in ((left, a), (right, b)):
        connection, customer_id = found.keys(records)
        columns |= {f"{side}_connection": connection, f"{side}_customer_id": customer_id}
    return columns
