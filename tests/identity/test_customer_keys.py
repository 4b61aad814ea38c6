"""Keys are made once and carried on by the records that had them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from cdp_pipelines import database
from cdp_pipelines.identity.carrying import carry


@dataclass
class Keys:
    """What one run found: the people's keys, the ledger, where keys went (old, new, reason), and the churn."""

    keys: list[str]
    ledger: pa.Table
    aliases: list[tuple[str, str | None, str]]
    churn: float

    def held(self) -> dict[str, tuple[str, str]]:
        """Key and first key of the records that are there."""
        return {row["customer_id"]: (row["customer_key"], row["first_key"]) for row in self.ledger.to_pylist() if row["is_there"]}


def run(*people: str, before: Keys | None = None) -> Keys:
    """People by their records' ids, the oldest first."""
    rows = [
        {"person": person, "place": place, "connection": "hs", "customer_id": record}
        for person, ids in enumerate(people)
        for place, record in enumerate(ids.split())
    ]
    owned = pa.Table.from_pylist([{"record": number, **row} for number, row in enumerate(rows)])
    with database.scratch() as db:
        found = carry(db, owned, before.ledger if before else None)
    aliases = [(row["old_key"], row["new_key"], row["reason"]) for row in found.aliases.to_pylist()]
    return Keys(found.of_people.to_pylist(), found.ledger, aliases, found.churn)


def key(keys: Keys, record: str) -> str:
    return keys.held()[record][0]


def test_the_same_records_give_the_same_keys():
    assert run("a b", "c").keys == run("a b", "c").keys
    assert key(run("a b"), "a") == key(run("a"), "a")


def test_a_new_record_has_the_key_of_its_person_even_if_it_is_older():
    first = run("a b")
    assert key(run("z a b", before=first), "z") == key(first, "a")


def test_a_person_keeps_the_key_when_the_record_it_was_made_from_is_gone():
    first = run("a b")
    second = run("b", before=first)
    assert key(second, "b") == key(first, "a")
    assert second.aliases == []


def test_merged_people_have_the_key_of_the_oldest_record_and_the_other_key_says_so():
    first = run("a", "b c")
    second = run("a b c", before=first)
    assert key(second, "c") == key(first, "a")
    assert second.aliases == [(key(first, "b"), key(first, "a"), "merged")]
    assert second.churn == 2 / 3


def test_what_was_merged_and_is_taken_apart_has_its_old_keys_again():
    first = run("a", "b c")
    third = run("a", "b c", before=run("a b c", before=first))
    assert third.keys == first.keys


def test_a_key_goes_to_the_larger_part_and_the_rest_has_a_new_one():
    first = run("a b c")
    second = run("a", "b c", before=first)
    assert key(second, "b") == key(first, "a")
    assert key(second, "a") not in first.keys
    assert second.aliases == [(key(first, "a"), key(second, "a"), "split")]
    assert key(run("a b c", before=second), "a") == key(first, "a")


def test_of_equal_parts_the_older_one_keeps_the_key():
    first = run("a b")
    assert key(run("a", "b", before=first), "a") == key(first, "a")


def test_a_key_whose_records_are_all_gone_is_told_of_and_comes_back_with_them():
    first = run("a", "b")
    second = run("a", before=first)
    assert second.aliases == [(key(first, "b"), None, "gone")]
    third = run("a", "b", before=second)
    assert third.held() == first.held()
    assert third.aliases == []


def test_a_key_that_was_used_is_not_made_for_another():
    first = run("a b c")
    parted = run("a", "b c", before=first)
    assert len({*first.keys, *parted.keys}) == 2
    assert key(parted, "a") != key(first, "a"), "the key that follows from its oldest record is the others'"
    again = run("a", "b", "c", before=run("b c", before=parted))
    assert len(set(again.keys)) == 3
    assert key(again, "a") == key(parted, "a")


def test_keys_change_hands_as_they_would_one_by_one():
    """Two people exchange most of their records, while a third, of whom nothing is in question, keeps its own."""
    first = run("a b c", "d e f", "g")
    second = run("a e f", "d b c", "g", before=first)
    assert [key(second, record) for record in "adg"] == [key(first, record) for record in "adg"], (
        "each asks for its oldest record's key first"
    )
    assert second.churn == 4 / 7
    assert sorted(second.aliases) == sorted([(key(first, "a"), key(first, "d"), "split"), (key(first, "d"), key(first, "a"), "split")])
