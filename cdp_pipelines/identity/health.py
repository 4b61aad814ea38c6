"""Whether what was found can be trusted: bounds that a sound answer keeps, and a report for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cdp_pipelines.history import CheckResult
from cdp_pipelines.identity.answer import Resolution
from cdp_pipelines.identity.judging import PRIORITY
from cdp_pipelines.identity.merging import SPLIT

# Records of one customer beyond which somebody should look. One person has seldom more than a few in each CRM.
MANY_RECORDS = 12
# No customer may have more than this, nor more than the share of all records below (in a table of more than a few).
MOST_RECORDS, MOST_SHARE, FEW = 50, 0.01, 1_000
MOST_CHURN = 0.05
MOST_VETOED = 0.15
SAMPLE = 10


@dataclass(frozen=True)
class Check:
    """A check of the answer, as Dagster and the documentation list it."""

    name: str
    blocking: bool
    description: str
    remedy: str


CHECKS = {
    check.name: check
    for check in (
        Check("every_contact_once", True, "Every contact record belongs to exactly one customer.",
              "The resolver lost or repeated records: report it, and keep the published tables."),
        Check("largest_customer", True, f"No customer has more than {MOST_RECORDS} records, nor (of {FEW:,} contacts and more) 1 % of all.",
              "See identity_edges of this customer for what its records share, then `cdp customers split`."),
        Check("large_customers", False, f"No customer has more than {MANY_RECORDS} records.",
              "Look at them with `cdp customers explain`; `cdp customers split` takes one apart."),
        Check("keys_stay", False, f"At most {MOST_CHURN:.0%} of the records known before changed their customer key.",
              "customer_aliases says where keys went; look for a rule, a setting or a batch of records that changed."),
        Check("vetoes_few", False, f"Vetoes kept apart at most {MOST_VETOED:.0%} of the pairs that evidence would have joined.",
              "See identity_vetoes: values that many share may pass for a person's own."),
        Check("overrides_honoured", False, "Every decision of a person is honoured.",
              "See identity_overrides: the records are gone, or another decision stands in the way."),
        Check("customers_of_several_crms", False, "Where several connections have contacts, some customers are known to more than one.",
              "See whether e-mail addresses, phone numbers and names are mapped for every connection."),
    )
}  # fmt: skip


def check(found: Resolution, contacts: int) -> list[CheckResult]:
    """All checks over an answer for so many contacts."""
    counts = _counts(found)
    most = min(MOST_RECORDS, max(int(contacts * MOST_SHARE), 1)) if contacts >= FEW else MOST_RECORDS
    joined, vetoed = _pairs(found)
    missed = [row for row in found.overrides.to_pylist() if row["outcome"] in ("refused", "record_missing")]
    connections, shared = _several(found)
    records = found.customer_contacts.num_rows
    twice = records - found.customer_contacts.group_by(["connection", "customer_id"]).aggregate([]).num_rows
    return [
        _result("every_contact_once", abs(records - contacts) + twice, []),
        _result("largest_customer", int((counts > most).sum()), _largest(found, most)),
        _result("large_customers", int((counts > MANY_RECORDS).sum()), _largest(found, MANY_RECORDS)),
        _result("keys_stay", round(found.churn * records) if found.churn > MOST_CHURN else 0, []),
        _result("vetoes_few", vetoed if vetoed > MOST_VETOED * (joined + vetoed) and vetoed > SAMPLE else 0, []),
        _result("overrides_honoured", len(missed), [f"{row['left_connection']}:{row['left_customer_id']}" for row in missed]),
        _result("customers_of_several_crms", int(connections > 1 and not shared and joined + vetoed > 0), []),
    ]


def report(found: Resolution) -> str:
    """What was found, as Markdown: numbers only, nobody's data."""
    counts = _counts(found)
    spread = np.bincount(np.minimum(counts, MANY_RECORDS + 1), minlength=1).tolist()
    rules = Counter({row["values"]: row["counts"] for row in found.customer_contacts.column("rule").value_counts().to_pylist()})
    vetoes = Counter(zip(found.vetoes.column("rule").to_pylist(), found.vetoes.column("evidence").to_pylist(), strict=True))
    doubts = Counter(zip(found.review.column("reason").to_pylist(), found.review.column("evidence").to_pylist(), strict=True))
    outcomes = Counter(found.overrides.column("outcome").to_pylist())
    connections, shared = _several(found)
    people = len(counts)
    summary = (
        f"{found.customer_contacts.num_rows:,} records are {people:,} customers; the largest has {max(counts, default=0):,} records. "
        f"{shared:,} customers ({shared / people if people else 0:.1%}) are known to more than one of {connections} connections. "
        f"{found.churn:.2%} of the records known before have another customer key now."
    )
    lines = [
        summary,
        _table(
            ("records of a customer", "customers"),
            [(f"{n}" if n <= MANY_RECORDS else f"more than {MANY_RECORDS}", c) for n, c in enumerate(spread) if c],
        ),
        _table(("rule", "records"), rules.most_common()),
        _table(("veto", "evidence", "pairs"), [(*pair, n) for pair, n in vetoes.most_common()]),
        _table(("to review: reason", "evidence", "pairs"), [(*pair, n) for pair, n in doubts.most_common()]),
        _table(("decision of a person", "decisions"), outcomes.most_common()),
    ]
    return "\n\n".join(line for line in lines if line)


def _table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    if not rows:
        return ""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in line)} |" for line in lines)


def _result(name: str, failed: int, keys: list[str]) -> CheckResult:
    said = CHECKS[name]
    return CheckResult(name, "customer_contacts", not failed, said.blocking, failed, said.description, said.remedy, keys[:SAMPLE])


def _counts(found: Resolution) -> np.ndarray:
    """How many records each customer has."""
    return found.customers.column("contact_count").to_numpy()


def _largest(found: Resolution, bound: int) -> list[str]:
    large = found.customers.take(pa.array(np.flatnonzero(_counts(found) > bound), pa.int64()))
    sizes = zip(*(large.column(name).to_pylist() for name in ("customer_key", "contact_count")), strict=True)
    return [f"customer {key} ({n:,} rows)" for key, n in sorted(sizes, key=lambda item: (-item[1], item[0]))[:SAMPLE]]


def _pairs(found: Resolution) -> tuple[int, int]:
    """Pairs that a rule joined, and those that a veto other than a decision kept apart."""
    vetoes = zip(found.vetoes.column("rule").to_pylist(), found.vetoes.column("evidence").to_pylist(), strict=True)
    return found.edges.num_rows, sum(rule != SPLIT and evidence in PRIORITY for rule, evidence in vetoes)


def _several(found: Resolution) -> tuple[int, int]:
    """The connections, and the customers known to more than one."""
    connections = len(found.customer_contacts.column("connection").unique()) if found.customer_contacts.num_rows else 0
    counts: pa.ChunkedArray = found.customers.column("connection_count")
    return connections, int((counts.to_numpy() > 1).sum())
