"""How good a clustering is, by pairs of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 over pairs of records; the size of the largest cluster found, and of the largest that is true."""

    precision: float
    recall: float
    f1: float
    largest: int
    true_largest: int


def score(found: Sequence[Any], true: Sequence[Any]) -> Score:
    """Compare two labellings of the same records, in the same order."""
    ours, theirs = _numbers(found), _numbers(true)
    both = _numbers(ours * (int(theirs.max(initial=0)) + 1) + theirs)
    right, made, wanted = _pairs(both), _pairs(ours), _pairs(theirs)
    precision = right / made if made else 1.0
    recall = right / wanted if wanted else 1.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return Score(precision, recall, f1, _largest(ours), _largest(theirs))


def _numbers(labels: Sequence[Any] | np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)


def _pairs(labels: np.ndarray) -> int:
    sizes = np.bincount(labels).astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _largest(labels: np.ndarray) -> int:
    return int(np.bincount(labels).max(initial=0))
