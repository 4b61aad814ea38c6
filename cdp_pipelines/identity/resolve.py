"""Who is who: contacts in, people out, with the evidence for and against."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from cdp_pipelines.identity import candidates, customer_keys, judging, merging, particulars
from cdp_pipelines.identity.customer_keys import Held, Record
from cdp_pipelines.identity.judging import PRIORITY, Judged
from cdp_pipelines.identity.merging import Link, Merged
from cdp_pipelines.identity.options import Options
from cdp_pipelines.identity.particulars import Particulars, Records


@dataclass(frozen=True)
class Resolution:
    """What `resolve` found.

    `customers`: customer_key, contact_count, connection_count, is_current. `customer_contacts`: connection, source_system, record_type,
    customer_id, customer_key, first_key, rule, priority, is_current. `edges`: pairs within a person (left_connection, left_customer_id,
    right_connection, right_customer_id, rule, priority, value_hash, is_decisive). `vetoes`: pairs that a rule would have joined and a veto
    kept apart (the same four, rule = the veto, evidence = the rule, and the four of `between`, the two records that contradict each other).
    `review`: the uncertain pairs. `aliases`: old_key, new_key, reason. `overrides`: those given, each with its outcome. `churn`: the share
    of records known before whose key changed.
    """

    customers: pa.Table
    customer_contacts: pa.Table
    edges: pa.Table
    vetoes: pa.Table
    aliases: pa.Table
    churn: float


def resolve(
    contacts: pa.Table, *, previous: pa.Table | None = None, overrides: pa.Table | None = None, options: Options | None = None
) -> Resolution:
    """The people that the contacts are records of.

    `contacts` has the columns of `standardized.contacts`; any but connection and customer_id may be null or absent. `date_of_birth`,
    `national_id`, `street`, `postcode`, `city` and `state` are evidence where there are any. `previous` is an earlier answer's
    `customer_contacts` (connection, customer_id, customer_key, first_key): keys are carried on from it. The answer does not depend on the
    order of rows. Raises BadContacts.
    """
    found = particulars.read(contacts, options or Options())
    with duckdb.connect() as db:
        pairs = candidates.find(db, found)
        moved = db.execute("select distinct a from said where how <> 'crm_reference'").to_arrow_table().column("a").to_pylist()
    judged = judging.judge(pairs, found)
    links = _links(judged)
    merged = merging.merge(found, links, moved=frozenset(moved))
    return _resolution(found, pairs, judged, merged, previous)


def _links(judged: Judged) -> list[Link]:
    chosen = np.flatnonzero(judged.priority < judging.NO_RULE)
    return [
        Link(priority, 4 - names, a, b, rule or "")
        for priority, names, a, b, rule in zip(
            judged.priority[chosen].tolist(), judged.names[chosen].tolist(), judged.a[chosen].tolist(), judged.b[chosen].tolist(),
            (judged.rule[i] for i in chosen.tolist()), strict=True,
        )
    ]  # fmt: skip


def _resolution(found: Particulars, pairs: pa.Table, judged: Judged, merged: Merged, previous: pa.Table | None) -> Resolution:
    people = _people(found, merged)
    records = list(zip(found.column("connection").to_pylist(), found.column("customer_id").to_pylist(), strict=True))
    keys = customer_keys.assign([[records[r] for r in person] for person in people], _held(previous))
    key_of = [""] * len(found)
    for key, person in zip(keys.keys, people, strict=True):
        for record in person:
            key_of[record] = key
    rule_of = _rule_of(found, merged)
    members = pa.table({
        **{name: found.column(name).cast(pa.string()) for name in ("connection", "source_system", "record_type", "customer_id")},
        "customer_key": pa.array(key_of, pa.string()),
        "first_key": pa.array([keys.held[r].first_key for r in records], pa.string()),
        "rule": pa.array(rule_of, pa.string()),
        "priority": pa.array([PRIORITY.get(rule) for rule in rule_of], pa.int32()),
        "is_current": _is_current(found),
    })  # fmt: skip
    customers = members.group_by("customer_key").aggregate(
        [("customer_id", "count"), ("connection", "count_distinct"), ("is_current", "max")]
    )
    return Resolution(
        customers.rename_columns(["customer_key", "contact_count", "connection_count", "is_current"]).sort_by("customer_key"),
        members,
        _edges(found, pairs, judged, merged),
        _vetoes(found, merged),
        pa.table({
            "old_key": pa.array([a.old_key for a in keys.aliases], pa.string()),
            "new_key": pa.array([a.new_key for a in keys.aliases], pa.string()),
            "reason": pa.array([a.reason for a in keys.aliases], pa.string()),
        }),
        keys.churn,
    )  # fmt: skip


def _people(found: Particulars, merged: Merged) -> list[list[int]]:
    """The records of each person, the oldest first; the person with the oldest record first."""
    created = found.column("created_date")
    table = pa.table({"created": created, "record": pa.array(np.arange(len(found)))})
    order = table.sort_by([("created", "ascending"), ("record", "ascending")]).column("record")
    people: dict[int, list[int]] = defaultdict(list)
    for record in order.to_pylist():
        people[merged.person_of[record]].append(record)
    return list(people.values())


def _held(previous: pa.Table | None) -> dict[Record, Held]:
    if previous is None:
        return {}
    keys = previous.column("customer_key").to_pylist()
    first = previous.column("first_key").to_pylist() if "first_key" in previous.column_names else keys
    records = zip(previous.column("connection").to_pylist(), previous.column("customer_id").to_pylist(), strict=True)
    return {record: Held(key, was or key) for record, key, was in zip(records, keys, first, strict=True)}


def _rule_of(found: Particulars, merged: Merged) -> list[str]:
    """The surest rule by which each record belongs to its person; `alone` for a person of one record."""
    best: dict[int, Link] = {}
    for link in merged.made:
        for record in (link.a, link.b):
            if record not in best or link.priority < best[record].priority:
                best[record] = link
    return [best[record].rule if record in best else "alone" for record in range(len(found))]


def _is_current(found: Particulars) -> pa.Array:
    """Neither deleted, nor merged into another record that is there, nor converted to one."""
    index = {
        key: i for i, key in enumerate(zip(found.column("connection").to_pylist(), found.column("customer_id").to_pylist(), strict=True))
    }
    deleted = found.column("is_deleted").to_pylist()
    targets = zip(
        found.column("connection").to_pylist(),
        found.column("merged_into").to_pylist(),
        found.column("converted_contact_id").to_pylist(),
        strict=True,
    )
    return pa.array([
        not gone and index.get((connection, into or to), i) == i for i, (gone, (connection, into, to)) in enumerate(zip(deleted, targets, strict=True))
    ])  # fmt: skip


def _edges(found: Particulars, pairs: pa.Table, judged: Judged, merged: Merged) -> pa.Table:
    person = np.array(merged.person_of, np.int64)
    inside = (
        np.flatnonzero((person[judged.a] == person[judged.b]) & (judged.priority < judging.NO_RULE))
        if len(judged.a)
        else np.empty(0, np.int64)
    )
    chosen = pairs.take(pa.array(inside))
    decisive = {(link.a, link.b) for link in merged.made}
    a, b = judged.a[inside], judged.b[inside]
    return pa.table({
        **_pair_keys(found, a, b),
        "rule": pa.array([judged.rule[i] for i in inside.tolist()], pa.string()),
        "priority": pa.array(judged.priority[inside], pa.int32()),
        "value_hash": _hashes(chosen),
        "is_decisive": pa.array([pair in decisive for pair in zip(a.tolist(), b.tolist(), strict=True)], pa.bool_()),
    })  # fmt: skip


def _vetoes(found: Particulars, merged: Merged) -> pa.Table:
    refused = [r for r in merged.refused if merged.person_of[r.link.a] != merged.person_of[r.link.b]]
    return pa.table({
        **_pair_keys(found, [r.link.a for r in refused], [r.link.b for r in refused]),
        "rule": pa.array([r.veto for r in refused], pa.string()),
        "evidence": pa.array([r.link.rule for r in refused], pa.string()),
        **_pair_keys(found, [r.left for r in refused], [r.right for r in refused], "between_left", "between_right"),
    })  # fmt: skip


def _pair_keys(found: Particulars, a: Records, b: Records, left: str = "left", right: str = "right") -> dict[str, pa.ChunkedArray]:
    columns = {}
    for side, records in ((left, a), (right, b)):
        connection, customer_id = found.keys(records)
        columns |= {f"{side}_connection": connection, f"{side}_customer_id": customer_id}
    return columns


def _hashes(pairs: pa.Table) -> pa.ChunkedArray:
    """What the pairs share, so that equal values can be seen to be equal without being shown."""
    with duckdb.connect() as db:
        db.register("chosen", pairs)
        return (
            db.execute(
                "select substring(sha256(coalesce(email_value, phone_value, company_value)), 1, 32) as hash from chosen order by a, b"
            )
            .to_arrow_table()
            .column("hash")
        )
