"""SystemModstamp of every record of an object, by the record's number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping

import numpy as np
from numpy.typing import NDArray

_NONE = -1


class Stamps(MutableMapping[int, int]):
    """Epoch seconds by number, in order of number. The world's are a column, so that a million costs little; later ones are kept apart."""

    def __init__(self, world: NDArray[np.int64] | None = None):
        """`world` has the stamp of each number from 0 on, -1 where there is no record."""
        self._world = np.zeros(0, dtype=np.int64) if world is None else world
        self._later: dict[int, int] = {}
        self._size = int((self._world != _NONE).sum())

    @property
    def end(self) -> int:
        """The first number that no record has had."""
        return max(len(self._world), max(self._later, default=-1) + 1)

    def __getitem__(self, number: int) -> int:
        if 0 <= number < len(self._world):
            if (stamp := int(self._world[number])) != _NONE:
                return stamp
            raise KeyError(number)
        return self._later[number]

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        return self._world[number] != _NONE if 0 <= number < len(self._world) else number in self._later

    def __setitem__(self, number: int, stamp: int) -> None:
        self._size += number not in self
        if 0 <= number < len(self._world):
            self._world[number] = stamp
        else:
            self._later[number] = stamp

    def __delitem__(self, number: int) -> None:
        if number not in self:
            raise KeyError(number)
        self._size -= 1
        if number < len(self._world):
            self._world[number] = _NONE
        else:
            del self._later[number]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        return iter(self.between(None, None))

    def between(self, since: float | None, before: float | None, but: Iterable[int] = ()) -> list[int]:
        """Numbers with a stamp in [since, before), in order, without those of `but`."""
        there = self._world != _NONE if since is None else self._world >= np.ceil(since)
        if before is not None:
            there &= self._world < before
        without = set(but)
        there[[number for number in without if number < len(there)]] = False
        later = sorted(
            n for n, s in self._later.items() if (since is None or s >= since) and (before is None or s < before) and n not in without
        )
        return [*np.flatnonzero(there).tolist(), *later]

    def have(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these numbers have a stamp."""
        there = np.zeros(max(self.end, int(numbers.max(initial=-1)) + 1), dtype=bool)
        there[: len(self._world)] = self._world != _NONE
        there[list(self._later)] = True
        return there[numbers]

    def in_order(self, numbers: Iterable[int], *, descending: bool = False) -> list[int]:
        """These numbers by stamp; equal stamps stay in the order given."""
        given = np.fromiter(numbers, dtype=np.int64)
        world = given < len(self._world)
        stamps = np.empty(len(given), dtype=np.int64)
        stamps[world] = self._world[given[world]]
        stamps[~world] = [self._later[number] for number in given[~world].tolist()]
        return given[np.argsort(-stamps if descending else stamps, kind="stable")].tolist()
