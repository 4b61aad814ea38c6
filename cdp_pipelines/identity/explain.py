"""Why these records are one person, and why those near to them are not: read from the published file."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import duckdb

from cdp_pipelines import query
from cdp_pipelines.audit import keys, subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
from cdp_pipelines.identity import emails, names, phones
from cdp_pipelines.identity.blanks import filled
from cdp_pipelines.identity.companies import company_key
from cdp_pipelines.identity.names import Agreement
from cdp_pipelines.identity.references import Reference, find

_RECORDS = """
select connection, customer_id, c.record_type, email, first_name, last_name, phone, mobile_phone, company, country, rule, why, is_current,
    getvariable('phone_region') as phone_region
from customer_contacts as l join contacts as c using (connection, customer_id) where customer_key = ? order by connection, customer_id
"""
_ONE = _RECORDS.replace("where customer_key = ?", "where connection = ? and customer_id = ?")
_EDGES = """
select left_connection, left_customer_id, right_connection, right_customer_id, e.rule, e.priority
from identity_edges as e join customer_contacts as l on l.connection = e.left_connection and l.customer_id = e.left_customer_id
where l.customer_key = ? and is_decisive order by e.priority, 1, 2, 3, 4
"""
_APART = """
with near as (
    select left_connection, left_customer_id, right_connection, right_customer_id, rule as reason, evidence,
        between_left_connection || ':' || between_left_customer_id as one, between_right_connection || ':' || between_right_customer_id as other
    from identity_vetoes
    union all
    select left_connection, left_customer_id, right_connection, right_customer_id, reason, evidence, null, null from identity_review
    where reason = 'not_enough'
)
select n.left_connection, n.left_customer_id, n.right_connection, n.right_customer_id, n.reason, n.evidence, n.one, n.other, l.customer_key, r.customer_key
from near as n
join customer_contacts as l on l.connection = n.left_connection and l.customer_id = n.left_customer_id
join customer_contacts as r on r.connection = n.right_connection and r.customer_id = n.right_customer_id
where (l.customer_key = $key or r.customer_key = $key) and l.customer_key <> r.customer_key order by all
"""
_WORDS = {
    "names_contradict": "their names contradict each other",
    "generations_differ": "one is senior and the other junior",
    "mailboxes_of_one_company": "they have two personal mailboxes of one company",
    "override": "somebody decided that they are two",
    "not_enough": "the evidence is not enough",
}


@dataclass
class Explanation:
    """A customer's records, the steps that join them, and the records of others that were near.

    `path` has the steps from one record to another where two of the customer were asked about.
    """

    customer_key: str
    records: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    apart: list[dict[str, Any]]
    path: list[dict[str, Any]] | None = None
    former_keys: list[dict[str, Any]] = field(default_factory=list)


def explain(settings: Settings, what: str, other: str | None = None) -> Explanation:
    """Why the records of a customer belong together; with `other`, the path to it, or why it is somebody else.

    Both are a customer key, connection:id or an e-mail address. Raises NotFound, query.NotPublished.
    """
    with query.published(settings) as db:
        db.execute("set variable phone_region = ?", [settings.identity_region])
        asked = find(db, what)
        to = find(db, other) if other else None
        records = {(r["connection"], r["customer_id"]): r for r in _dicts(db, _RECORDS, [asked.customer_key])}
        steps = [_step(records, edge) for edge in db.execute(_EDGES, [asked.customer_key]).fetchall()]
        apart = [_apart(db, asked.customer_key, row) for row in db.execute(_APART, {"key": asked.customer_key}).fetchall()]
        former = _dicts(
            db,
            "select old_key, reason, happened_at from customer_aliases where new_key = ? and is_current order by all",
            [asked.customer_key],
        )
        found = Explanation(asked.customer_key, list(records.values()), steps, apart, former_keys=former)
        if to:
            _towards(db, found, asked, to)
    key = keys.load(settings)
    about = tuple({subjects.of_customer(key, reference.customer_key) for reference in (asked, to) if reference})
    record(settings, Operation("read", "explain", "ok", len(found.records), subjects=about))
    return found


def _towards(db: duckdb.DuckDBPyConnection, found: Explanation, asked: Reference, to: Reference) -> None:
    """Narrow the explanation to two: the path between two records, or what stands between two customers."""
    if asked.customer_key == to.customer_key:
        if asked.record and to.record:
            found.path = _path(found.steps, _named(*asked.record), _named(*to.record))
        return
    found.apart = [near for near in found.apart if near["customer_key"] == to.customer_key]
    if not found.apart:
        one = _dicts(db, _ONE, list(asked.record)) if asked.record else found.records
        other = _dicts(db, _ONE, list(to.record)) if to.record else _dicts(db, _RECORDS, [to.customer_key])
        a, b = _nearest(one, other)
        found.apart = [_near(to.customer_key, a, b, "not_enough", None, None)]


def shared(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What two records have in common, in words."""
    common = []
    mine, theirs = (emails.mailbox(filled(row["email"])) for row in (a, b))
    if mine and theirs and mine.address == theirs.address:
        common.append(f"the e-mail address {mine.address}" + (f" ({mine.kind})" if mine.kind != "personal" else ""))
    lines = [
        {phones.line(filled(r[f]), phones.region(r["country"], r["phone_region"])) for f in ("phone", "mobile_phone")} - {None}
        for r in (a, b)
    ]
    common += [f"the phone number {line}" for line in sorted(line for line in lines[0] & lines[1] if line)]
    called = [names.read(row["first_name"], row["last_name"]) for row in (a, b)]
    if called[0] and called[1] and (level := names.compare(called[0], called[1])) >= Agreement.HALF:
        how = {Agreement.SAME: "the name", Agreement.CLOSE: "another form of the name", Agreement.PARTIAL: "the name with an initial"}
        common.append(f"{how.get(level, 'a part of the name')} ({_called(a)}, {_called(b)})")
    firms = [{company_key(row["company"]), m.company if (m := emails.mailbox(filled(row["email"]))) else None} - {None} for row in (a, b)]
    if firms[0] & firms[1]:
        common.append(f"the company ({a['company'] or b['company'] or 'by its domain'})")
    return common


def _step(records: dict[tuple[str, str], dict[str, Any]], edge: tuple[Any, ...]) -> dict[str, Any]:
    a, b = records[edge[0], edge[1]], records[edge[2], edge[3]]
    return {"left": _named(*edge[:2]), "right": _named(*edge[2:4]), "rule": edge[4], "priority": edge[5], "shared": shared(a, b)}


def _apart(db: duckdb.DuckDBPyConnection, key: str, row: tuple[Any, ...]) -> dict[str, Any]:
    mine, theirs = (row[:2], row[2:4]) if row[8] == key else (row[2:4], row[:2])
    a, b = (_dicts(db, _ONE, list(record))[0] for record in (mine, theirs))
    between = f"{row[6]} and {row[7]}" if row[6] and {row[6], row[7]} != {_named(*mine), _named(*theirs)} else None
    return _near(row[9] if row[8] == key else row[8], a, b, row[4], row[5], between)


def _near(key: str, a: dict[str, Any], b: dict[str, Any], reason: str, evidence: str | None, between: str | None) -> dict[str, Any]:
    why = _WORDS.get(reason, reason) + (f": {between}" if between else "")
    return {
        "record": _named(a["connection"], a["customer_id"]), "other": _named(b["connection"], b["customer_id"]), "customer_key": key,
        "reason": reason, "evidence": evidence, "why": why, "shared": shared(a, b), "names": [_called(a), _called(b)],
    }  # fmt: skip


def _nearest(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two records with most in common."""
    return max(((a, b) for a in one for b in other), key=lambda pair: len(shared(*pair)))


def _path(steps: list[dict[str, Any]], start: str, end: str) -> list[dict[str, Any]]:
    """The steps from one record to another; decisive steps form a tree, so there is one way."""
    waiting, came = deque([start]), {start: []}
    while waiting:
        here = waiting.popleft()
        for step in steps:
            there = {step["left"]: step["right"], step["right"]: step["left"]}.get(here)
            if there and there not in came:
                came[there] = [*came[here], step]
                waiting.append(there)
    return came.get(end, [])


def _called(row: dict[str, Any]) -> str:
    return " ".join(part for part in (row["first_name"], row["last_name"]) if part) or "no name"


def _named(connection: str, customer_id: str) -> str:
    return f"{connection}:{customer_id}"


def _dicts(db: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> list[dict[str, Any]]:
    result = db.execute(sql, values)
    columns = [name for name, *_ in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
