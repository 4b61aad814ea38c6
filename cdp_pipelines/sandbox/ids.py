"""Many ids without making them: numbers, and how to write one as the vendor does."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from cdp_pipelines.sandbox.columns import Column

Starting = Callable[[Column, str], Column]


class Ids(Sequence[str]):
    """A list of ids, in order. An id is made when somebody looks at it, so that a million cost a few megabytes."""

    def __init__(self, numbers: Column, text: Callable[[int], str], number: Callable[[str], int | None], starting: Starting | None = None):
        """`text` writes a number (from 0 on) as an id and `number` reads one, None when it is none. `starting` tells of numbers whether their
        ids start with a text; only `starting_with` needs it.
        """
        numbers = numbers.astype(np.int64)
        self._numbers = array("q", numbers.tobytes())
        self._text, self._number, self._starting = text, number, starting
        self._there = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=bool)
        self._there[numbers] = True

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return list(map(self._text, self._numbers[index]))
        return self._text(self._numbers[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._text, self._numbers)

    def __contains__(self, item: object) -> bool:
        number = self._number(item) if isinstance(item, str) else None
        return number is not None and 0 <= number < len(self._there) and bool(self._there[number])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Iterable) and list(self) == list(other)

    __hash__ = None

    def remove(self, item: str) -> None:
        """Take an id out. Raises ValueError when it is not there."""
        if item not in self:
            raise ValueError(f"{item} is not there")
        number = self._number(item) or 0
        self._numbers.remove(number)
        self._there[number] = False

    def append(self, item: str) -> None:
        """Put an id that is not there at the end. Raises ValueError when it is none."""
        if (number := self._number(item)) is None:
            raise ValueError(f"{item} is no id")
        if number >= len(self._there):
            self._there = np.concatenate([self._there, np.zeros(number + 1024 - len(self._there), dtype=bool)])
        self._numbers.append(number)
        self._there[number] = True

    def starting_with(self, prefix: str) -> Ids:
        """Those that start with a text, in the same order."""
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        assert self._starting is not None, "these ids do not differ in how they start"
        return Ids(numbers[self._starting(numbers, prefix)], self._text, self._number, self._starting)
