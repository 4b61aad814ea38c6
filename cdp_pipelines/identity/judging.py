"""What a pair's evidence amounts to: the rule by which two records are one person, or what leaves it in doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cdp_pipelines.identity.civil import Civil, joins
from cdp_pipelines.identity.names import Agreement, compare
from cdp_pipelines.identity.particulars import NONE, Ints, Particulars

# Rule -> priority: the smaller, the earlier merged. Said in docs/identity.md.
PRIORITY = {
    "override": 0, "merged": 10, "converted": 11, "crm_reference": 20, "email_and_name": 30, "email": 35, "civil_data": 40, "phone_and_name": 50,
    "company_and_name": 60,
}  # fmt: skip
RULES = {priority: rule for rule, priority in PRIORITY.items()}
# Facts that a CRM or a person states; no likeness of names speaks against them.
STATED = ("override", "merged", "converted")
NO_RULE = 99

# Evidence that does not reach for a rule, as the review queue names it.
DOUBTS = (None, "same_email_other_name", "same_phone_other_surname", "same_phone_no_name", "part_of_name_at_company",
          "same_phone_other_name")  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """Pairs with their names' agreement, the priority of the rule that joins them (NO_RULE: not enough) and, without one, the doubt (its place
    in DOUBTS), in order of the pairs. As numbers, since there are more pairs than records."""

    a: Ints
    b: Ints
    names: np.ndarray
    priority: np.ndarray
    doubt: np.ndarray


def judge(pairs: pa.Table, found: Particulars, civil: Civil | None, *, twins: bool = True) -> Judged:
    """The best rule of each pair. Vetoes are the merging's to find: they hold between all records of two people.

    For `twins` see Options.
    """
    a, b = (pairs.column(name).to_numpy() for name in ("a", "b"))
    names = np.maximum(agreement(found, found.name_of, a, b), agreement(found, found.guess_of, a, b))
    email, phone, company, crm = (pairs.column(n).to_numpy() for n in ("email", "phone", "company", "crm"))
    rules = np.full(len(a), NO_RULE, np.int8)
    full = names >= Agreement.CLOSE
    for name, holds in (
        # A switchboard or a shared mailbox is its company's: it stands for the company where one record names none.
        ("company_and_name", full & ((company == 1) | (((phone == 1) | (email == 1)) & ~_elsewhere(found, a, b)))),
        ("phone_and_name", ((phone == 3) & (names >= Agreement.HALF)) | ((phone == 2) & full)),
        ("civil_data", np.array(joins(civil, a, b, names, twins=twins), np.bool_) if civil else np.zeros(len(a), np.bool_)),
        ("email", email == 3),
        ("email_and_name", (email >= 2) & full),
        ("crm_reference", crm == 1),
        ("converted", crm == 2),
        ("merged", crm == 3),
    ):
        rules[holds] = PRIORITY[name]
    doubts = np.zeros(len(a), np.int8)
    for number, holds in (
        (5, (phone >= 2) & (names < Agreement.SURNAME)),
        (4, (company == 1) & ((names == Agreement.PARTIAL) | (names == Agreement.HALF))),
        (3, (phone == 3) & (names == Agreement.UNKNOWN)),
        (2, (phone >= 2) & (names == Agreement.SURNAME)),
        (1, (email >= 2) & (names < Agreement.CLOSE)),
    ):
        doubts[holds] = number
    doubts[rules < NO_RULE] = 0
    return Judged(a, b, names, rules, doubts)


def _elsewhere(found: Particulars, a: Ints, b: Ints) -> np.ndarray:
    """Whether both records of each pair name a company; of pairs that share none, it is another one."""
    employed = np.zeros(len(found), np.bool_)
    employed[found.companies.column("record").to_numpy()] = True
    return employed[a] & employed[b]


def agreement(found: Particulars, name_of: Ints, a: Ints, b: Ints) -> np.ndarray:
    """How well the names of each pair go together (`Agreement`)."""
    left, right = np.minimum(name_of[a], name_of[b]), np.maximum(name_of[a], name_of[b])
    codes = left * (len(found.names) + 1) + right
    different, inverse = np.unique(codes, return_inverse=True)
    results = np.empty(len(different), np.int8)
    for i, code in enumerate(different.tolist()):
        x, y = divmod(code, len(found.names) + 1) if code >= 0 else (NONE, NONE)
        results[i] = Agreement.UNKNOWN if x == NONE or y == NONE else compare(found.names[x], found.names[y])
    return results[inverse]
