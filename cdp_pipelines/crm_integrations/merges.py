"""Merges of merges: which record is left."""

from __future__ import annotations

from collections.abc import Mapping


def survivors(merges: Mapping[str, str]) -> dict[str, str]:
    """Loser -> the record that is left in the end, where a winner was merged away in turn."""
    found = {}
    for loser in merges:
        winner, passed = merges[loser], {loser}
        while winner in merges and winner not in passed:
            passed.add(winner)
            winner = merges[winner]
        found[loser] = winner
    return found
