"""What people decided: these two records are one person, or are not. It comes before all evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from cdp_pipelines.identity.judging import PRIORITY
from cdp_pipelines.identity.merging import SPLIT, Link, Merged

Outcome = Literal["honoured", "against_evidence", "refused", "superseded", "record_missing"]
COLUMNS = ("kind", "left_connection", "left_customer_id", "right_connection", "right_customer_id", "who", "why", "decided_at")


class BadOverrides(ValueError):
    """The overrides cannot be read."""


@dataclass(frozen=True)
class Decisions:
    """The overrides as links and splits between record numbers. `pairs` has each row's two records, None for one that is not there."""

    rows: list[dict[str, object]]
    pairs: list[tuple[int, int] | None]
    superseded: frozenset[int]

    def links(self) -> list[Link]:
        """The merges."""
        return [Link(PRIORITY["override"], 0, *pair, "override") for pair in self._of("merge")]

    def splits(self) -> list[tuple[int, int]]:
        """The splits."""
        return self._of("split")

    def _of(self, kind: str) -> list[tuple[int, int]]:
        pairs = (
            pair
            for i, (row, pair) in enumerate(zip(self.rows, self.pairs, strict=True))
            if row["kind"] == kind and i not in self.superseded
        )
        return [pair for pair in pairs if pair]


def read(overrides: pa.Table | None, number_of: Mapping[tuple[str, str], int]) -> Decisions:
    """The overrides over the records that are there. Of several for one pair the newest holds. Raises BadOverrides."""
    if overrides is None:
        return Decisions([], [], frozenset())
    missing = [name for name in COLUMNS[:5] if name not in overrides.column_names]
    if missing:
        raise BadOverrides(f"The overrides have no column {missing[0]!r}. They need {', '.join(COLUMNS[:5])}.")
    rows = sorted(
        ({name: row.get(name) for name in COLUMNS} for row in overrides.to_pylist()),
        key=lambda row: tuple(
            (row[name] is not None, row[name] if name == "decided_at" else str(row[name])) for name in (COLUMNS[-1], *COLUMNS[:5])
        ),
    )
    pairs: list[tuple[int, int] | None] = []
    newest: dict[tuple[int, int], int] = {}
    superseded = set()
    for i, row in enumerate(rows):
        if row["kind"] not in ("merge", "split"):
            raise BadOverrides(f"An override is of kind {row['kind']!r}. It must be 'merge' or 'split'.")
        left, right = (number_of.get((str(row[f"{side}_connection"]), str(row[f"{side}_customer_id"]))) for side in ("left", "right"))
        pair = None if left is None or right is None or left == right else (min(left, right), max(left, right))
        pairs.append(pair)
        if pair:
            if pair in newest:
                superseded.add(newest[pair])
            newest[pair] = i
    return Decisions(rows, pairs, frozenset(superseded))


def outcomes(decisions: Decisions, merged: Merged) -> pa.Table:
    """Each override with what became of it, and the evidence that speaks against it (a veto, or the rule that would have joined them)."""
    found: list[tuple[Outcome, str | None]] = []
    joined_by = _would_join(merged)
    for i, (row, pair) in enumerate(zip(decisions.rows, decisions.pairs, strict=True)):
        if pair is None:
            found.append(("record_missing", None))
        elif i in decisions.superseded:
            found.append(("superseded", None))
        elif row["kind"] == "merge":
            together = merged.person_of[pair[0]] == merged.person_of[pair[1]]
            against = merged.against.get(pair)
            found.append(("refused", SPLIT) if not together else ("against_evidence", against) if against else ("honoured", None))
        else:
            rule = joined_by.get(pair)
            found.append(("against_evidence", rule) if rule else ("honoured", None))
    columns: dict[str, Sequence[object]] = {name: [row[name] for row in decisions.rows] for name in COLUMNS}
    arrays = {name: pa.array(values, pa.timestamp("us") if name == "decided_at" else pa.string()) for name, values in columns.items()}
    arrays["outcome"] = pa.array([outcome for outcome, _ in found], pa.string())
    arrays["evidence"] = pa.array([evidence for _, evidence in found], pa.string())
    return pa.table(arrays)


def _would_join(merged: Merged) -> dict[tuple[int, int], str]:
    """The surest rule that a split held up, by the two records of the split."""
    found: dict[tuple[int, int], str] = {}
    for refusal in merged.refused:
        if refusal.veto == SPLIT:
            found.setdefault((min(refusal.left, refusal.right), max(refusal.left, refusal.right)), refusal.link.rule)
    return found
