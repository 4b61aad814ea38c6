"""Customer keys: made once, and carried on by the records that had them.

A new person's key follows from its oldest record, so that the same history gives the same keys again. When people are merged, the key of the
oldest record stays. When a person is taken apart, a key goes to the part with most of the records that had it first, then with most that
have it now, then with the oldest; what was merged and is taken apart again has its old keys back.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

Reason = Literal["merged", "split", "gone"]
Record = tuple[str, str]  # connection, customer_id


@dataclass(frozen=True, slots=True)
class Held:
    """The key that a record has, and the one it had first. `there`: whether the record was there in the last run."""

    key: str
    first_key: str
    there: bool = True


@dataclass(frozen=True, slots=True)
class Alias:
    """Where a key, or some of its records, went. `new_key` is None when all its records are gone."""

    old_key: str
    new_key: str | None
    reason: Reason


@dataclass
class Keys:
    """The key of each person, each record's key and first key, where keys went, and the share of known records whose key changed."""

    keys: list[str]
    held: dict[Record, Held]
    aliases: list[Alias]
    churn: float


def assign(people: Sequence[Sequence[Record]], previous: Mapping[Record, Held], retired: Collection[str] = ()) -> Keys:
    """Keys for people, the oldest first, each given as its records with the oldest first.

    `previous` may hold records that are gone: should they come back, they have their key again. `retired` are keys of earlier times, which
    are not made for anybody else.
    """
    keys = settle(people, previous)
    known = {key for h in previous.values() for key in (h.key, h.first_key)} | set(retired) | {k for k in keys if k}
    made: list[str] = []
    for key, records in zip(keys, people, strict=True):
        if key is None:
            key = _new(records[0], known)
            known.add(key)
        made.append(key)
    held = {
        record: Held(key, previous[record].first_key if record in previous else key)
        for key, records in zip(made, people, strict=True)
        for record in records
    }
    changed = [record for record in held if record in previous and previous[record].key != held[record].key]
    there = sum(record in previous for record in held)
    return Keys(made, held, _aliases(previous, held), len(changed) / there if there else 0.0)


def settle(people: Sequence[Sequence[Record]], previous: Mapping[Record, Held]) -> list[str | None]:
    """The key that each person carries on; None for those who need a new one. See `assign`."""
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


def _new(founder: Record, known: Collection[str]) -> str:
    """A key that follows from a record; another one where that key is somebody's already."""
    text = "\0".join(founder)
    for attempt in count():
        key = hashlib.sha256(f"{text}\0{attempt}".encode()).hexdigest()[:32]
        if key not in known:
            return key
    raise AssertionError


def _aliases(previous: Mapping[Record, Held], held: Mapping[Record, Held]) -> list[Alias]:
    """What became of each key that lost records, but for those that had lost them before."""
    went: dict[str, set[str]] = defaultdict(set)
    for record, before in previous.items():
        if record in held:
            went[before.key].add(held[record].key)
        elif before.there:
            went[before.key]
    alive = {h.key for h in held.values()}
    found = []
    for old, to in sorted(went.items()):
        if old in alive:
            found += [Alias(old, new, "split") for new in sorted(to - {old})]
        elif to:
            found += [Alias(old, new, "merged" if len(to) == 1 else "split") for new in sorted(to)]
        else:
            found.append(Alias(old, None, "gone"))
    return found
