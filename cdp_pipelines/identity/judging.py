"""What a pair's evidence amounts to: the rule by which two records are one person, or why they are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cdp_pipelines.identity.names import Agreement, compare
from cdp_pipelines.identity.particulars import NONE, Ints, Particulars

# Rule -> priority: the smaller, the earlier merged. Documented in docs/identity.md.
PRIORITY = {
    "override": 0, "merged": 10, "converted": 11, "crm_reference": 20, "email_and_name": 30, "email": 35, "phone_and_name": 50,
    "company_and_name": 60,
}  # fmt: skip
# Facts that a CRM or a person states; no likeness of names speaks against them.
STATED = ("override", "merged", "converted")
NO_RULE = 99


@dataclass(frozen=True)
class Judged:
    """Pairs with the names' agreement and the rule that joins them (None: not enough), in order of the pairs."""

    a: Ints
    b: Ints
    names: Ints
    rule: list[str | None]
    priority: Ints


def judge(pairs: pa.Table, found: Particulars) -> Judged:
    """The best rule of each pair. Vetoes are the merging's to find: they hold between all records of two people."""
    a, b = (pairs.column(name).to_numpy() for name in ("a", "b"))
    names = np.maximum(agreement(found, found.name_of, a, b), agreement(found, found.guess_of, a, b))
    email, phone, company, crm = (pairs.column(n).to_numpy() for n in ("email", "phone", "company", "crm"))
    rules = np.full(len(a), NO_RULE, np.int64)
    full = names >= Agreement.CLOSE
    for name, holds in (
        ("company_and_name", full & ((company == 1) | (phone == 1) | (email == 1))),
        ("phone_and_name", ((phone == 3) & (names >= Agreement.HALF)) | ((phone == 2) & full)),
        ("email", (email == 3)),
        ("email_and_name", (email >= 2) & full),
        ("crm_reference", crm == 1),
        ("converted", crm == 2),
        ("merged", crm == 3),
    ):
        rules[holds] = PRIORITY[name]
    by_priority = {priority: name for name, priority in PRIORITY.items()}
    return Judged(a, b, names, [by_priority.get(p) for p in rules.tolist()], rules)


def agreement(found: Particulars, name_of: Ints, a: Ints, b: Ints) -> Ints:
    """How well the names of each pair go together (`Agreement`)."""
    left, right = np.minimum(name_of[a], name_of[b]), np.maximum(name_of[a], name_of[b])
    codes = left * (len(found.names) + 1) + right
    different, inverse = np.unique(codes, return_inverse=True)
    results = np.empty(len(different), np.int64)
    for i, code in enumerate(different.tolist()):
        x, y = divmod(code, len(found.names) + 1) if code >= 0 else (NONE, NONE)
        results[i] = Agreement.UNKNOWN if x == NONE or y == NONE else compare(found.names[x], found.names[y])
    return results[inverse]
