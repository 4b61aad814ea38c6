"""Customer keys: made once, and carried on by the records that had them (see carrying.py for how new ones are made, and for all at once).

When people are merged, the key of the oldest record stays. When a person is taken apart, a key goes to the part with most of the records that had it first, then with most that
have it now, then with the oldest; what was merged and is taken apart again has its old keys back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Record = tuple[str, str]  # connection, customer_id


@dataclass(frozen=True, slots=True)
class Held:
    """The key that a record has, and the one it had first."""

    key: str
    first_key: str


def settle(people: Sequence[Sequence[Record]], previous: Mapping[Record, Held]) -> list[str | None]:
    """The key that each person carries on, None for those who need a new one: people, the oldest first, are given as their records with the oldest
    first. `previous` may hold records that are gone."""
    return _settle(people, [_wishes(records, previous) for records in people], previous)


def _wishes(records: Sequence[Record], previous: Mapping[Record, Held]) -> list[str]:
    """The keys that a person can carry on, the most wanted first: those its records have now, by age; then those they had before."""
    known = [previous[record] for record in records if record in previous]
    now = {h.key for h in known}
    current = [key for h in known for key in (h.first_key, h.key) if key in now]
    return list(dict.fromkeys([*current, *(h.first_key for h in known)]))


def _settle(people: Sequence[Sequence[Record]], wishes: list[list[str]], previous: Mapping[Record, Held]) -> list[str | None]:
    """One key for each person that has a wish, as in a stable marriage: people ask in their order, a key takes who has most right to it."""
    keys: list[str | None] = [None] * len(people)
    holder: dict[str, int] = {}
    waiting = [person for person, wanted in enumerate(wishes) if wanted]
    asked = [0] * len(people)
    while waiting:
        person = waiting.pop()
        while asked[person] < len(wishes[person]):
            key = wishes[person][asked[person]]
            asked[person] += 1
            other = holder.get(key)
            if other is None or (*_right(people[person], key, previous), other) > (*_right(people[other], key, previous), person):
                holder[key], keys[person] = person, key
                if other is not None:
                    keys[other] = None
                    waiting.append(other)
                break
    return keys


def _right(records: Sequence[Record], key: str, previous: Mapping[Record, Held]) -> tuple[int, int]:
    """What right a person has to a key: how many of its records had it first, and how many have it now."""
    known = [previous.get(record) for record in records]
    first = sum(h is not None and h.first_key == key for h in known)
    now = sum(h is not None and h.key == key for h in known)
    return first, now
