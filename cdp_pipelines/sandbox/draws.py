"""Chance that follows from the seed, a purpose and a number alone: for one number, or for a whole column of numbers at once.

A column is made with a counter-based hash (the finalizer of SplitMix64), so what is to be known of a million people takes milliseconds
and needs no order; a record's wording is drawn with `Dice` when somebody asks for the record.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from threading import local
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

T = TypeVar("T")
Ints = NDArray[Any]
Floats = NDArray[np.float64]
_GOLDEN = 0x9E3779B97F4A7C15
_ALL = 2**64 - 1


def key(*parts: object) -> int:
    """64 bits that stand for a seed and a purpose."""
    return int.from_bytes(blake2b(":".join(map(str, parts)).encode(), digest_size=8).digest(), "little")


def hashed(purpose: int, numbers: Ints) -> NDArray[np.uint64]:
    """64 random bits for each number; `purpose` is a `key`."""
    bits = numbers.astype(np.uint64)
    bits += np.uint64(1)
    bits *= np.uint64(_GOLDEN)
    bits += np.uint64(purpose)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


def chances(purpose: int, numbers: Ints) -> Floats:
    """A number in [0, 1) for each number."""
    return (hashed(purpose, numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def coarse(purpose: int, numbers: Ints) -> NDArray[Any]:
    """Four independent numbers in [0, 1) for each number, in steps of 1/65536: one row for each of the four."""
    parts = hashed(purpose, numbers).astype("<u8", copy=False).view("<u2").reshape(-1, 4)
    return (parts * np.float32(2.0**-16)).T


class Dice(Random):
    """Random numbers for the wording of records. As quick as can be in Python, since a page of records rolls thousands."""

    def choice(self, seq: SupportsLenAndGetItem[T]) -> T:
        """One of the items."""
        return seq[int(self.random() * len(seq))]

    def randint(self, a: int, b: int) -> int:
        """A whole number from a to b, both included."""
        return a + int(self.random() * (b - a + 1))

    def weighted(self, items: Sequence[T], upto: Sequence[float]) -> T:
        """One of the items; `upto` has the sum of the shares of each and those before it, the last one being 1."""
        return items[bisect(upto, self.random())]


class Rolls(local):
    """The dice of one purpose, thrown anew for each number. Making dice takes longer than throwing them, so each thread keeps one pair."""

    def __init__(self, purpose: int):
        self._purpose, self._dice = purpose, Dice(0)
        self._throw = super(Random, self._dice).seed

    def of(self, number: int) -> Dice:
        """The dice of a number; good until the next number's are asked for."""
        self._throw((self._purpose + number * _GOLDEN) & _ALL)
        return self._dice


def rank_within(groups: Ints) -> NDArray[np.int64]:
    """For each place how many earlier places have the same value."""
    order = np.argsort(groups, kind="stable")
    in_order = groups[order]
    first = np.ones(len(groups), dtype=bool)
    first[1:] = in_order[1:] != in_order[:-1]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(groups)), 0))
    ranks = np.empty(len(groups), dtype=np.int64)
    ranks[order] = np.arange(len(groups)) - starts
    return ranks
