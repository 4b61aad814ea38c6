"""What the pairs look like that a clustering got wrong: counted by shape, without anybody's name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import Any

import pyarrow as pa

_NOTHING = {"", "n/a", "na", "null", "none", "-", "#n/a", "unknown", "[not provided]"}
_FIELDS = ("first_name", "last_name", "email", "phone", "mobile_phone", "company")
_CIVIL = ("national_id", "date_of_birth", "street", "postcode")
# Above this many pairs of one cluster or person, some are enough.
_PAIRS = 200


def wrong_pairs(records: pa.Table, found: Sequence[Any], truth: pa.Table) -> dict[str, Counter[str]]:
    """`false` (joined, not one person) and `missed` (one person, not joined): how many pairs of each shape."""
    rows = [dict.fromkeys(_FIELDS) | row for row in records.to_pylist()]
    for row, dirt in zip(rows, truth["dirt"].to_pylist() if "dirt" in truth.column_names else [""] * len(rows), strict=True):
        row["dirt"] = dirt
    persons = truth["person"].to_pylist()
    crowds = _Crowds(rows)
    false = (pair for pair in _pairs(found) if persons[pair[0]] != persons[pair[1]])
    missed = (pair for pair in _pairs(persons) if found[pair[0]] != found[pair[1]])
    return {
        "false": Counter(crowds.shape(rows[a], rows[b]) for a, b in false),
        "missed": Counter(crowds.shape(rows[a], rows[b]) for a, b in missed),
    }


def _pairs(labels: Sequence[Any]) -> Iterable[tuple[int, int]]:
    members: dict[Any, list[int]] = defaultdict(list)
    for place, label in enumerate(labels):
        members[label].append(place)
    for group in members.values():
        for number, pair in enumerate(combinations(group, 2)):
            if number == _PAIRS:
                break
            yield pair


class _Crowds:
    """Knows which values many names share."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self._names: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            for value in {_mail(row["email"]), _digits(row["phone"]), _digits(row["mobile_phone"])}:
                self._names[value].add(_letters(row["last_name"]))

    def shape(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
        """Which fields agree and which do not, in words."""
        parts = [
            f"mail {self._compared(_mail(a['email']), _mail(b['email']))}{_where(a['email'], b['email'])}",
            f"phone {self._phones(a, b)}",
            f"first name {_alike(_letters(a['first_name']), _letters(b['first_name']))}",
            f"last name {_alike(_letters(a['last_name']), _letters(b['last_name']))}",
            f"company {_alike(_letters(a['company'])[:8], _letters(b['company'])[:8])}",
        ]
        parts += [f"{field} {_alike(_letters(a[field]), _letters(b[field]))}" for field in _CIVIL if a.get(field) or b.get(field)]
        if _letters(a["first_name"]) and _letters(a["first_name"]) == _letters(b["last_name"]):
            parts.append("names changed over")
        dirt = sorted({word for row in (a, b) for word in ([row["dirt"]] if row["dirt"] and row["dirt"] != "clean" else [])})
        return "; ".join(parts + ([f"dirt: {' / '.join(dirt)}"] if dirt else []))

    def _compared(self, a: str, b: str) -> str:
        if not a or not b:
            return "missing"
        if a == b:
            return "same, of many" if len(self._names[a]) > 2 else "same"
        crowd = any(len(self._names[value]) > 2 for value in (a, b))
        return "other, one of many" if crowd else "near" if SequenceMatcher(None, a, b).ratio() > 0.9 else "other"

    def _phones(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
        left, right = ({_digits(row["phone"]), _digits(row["mobile_phone"])} - {""} for row in (a, b))
        if both := left & right:
            return "same" if any(len(self._names[number]) <= 2 for number in both) else "same, of many"
        if not left or not right:
            return "missing"
        crowd = any(all(len(self._names[number]) > 2 for number in side) for side in (left, right))
        return "other, one of many" if crowd else "other"


def _mail(text: str | None) -> str:
    text = (text or "").strip().lower()
    if text in _NOTHING:
        return ""
    local, _, domain = text.partition("@")
    local = local.partition("+")[0]
    return f"{local.replace('.', '')}@gmail.com" if domain in ("gmail.com", "googlemail.com") else f"{local}@{domain}"


def _where(a: str | None, b: str | None) -> str:
    left, right = (_mail(text).partition("@")[2] for text in (a, b))
    return "" if not left or not right or _mail(a) == _mail(b) else " at one domain" if left == right else " at two domains"


def _digits(text: str | None) -> str:
    digits = re.sub(r"\D", "", re.split(r"x|ext", (text or "").lower())[0])
    return digits[-9:] if len(digits) >= 9 else ""


def _letters(text: str | None) -> str:
    folded = unicodedata.normalize("NFD", (text or "").strip().lower())
    return "" if folded in _NOTHING else "".join(c for c in folded if c.isalnum())


def _alike(a: str, b: str) -> str:
    if not a or not b:
        return "missing"
    if a == b:
        return "same"
    if a[0] == b[0] and 1 in (len(a), len(b)):
        return "initial"
    return "near" if SequenceMatcher(None, a, b).ratio() >= 0.8 else "other"
