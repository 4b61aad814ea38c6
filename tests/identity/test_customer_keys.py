"""Keys are made once and carried on by the records that had them."""

from __future__ import annotations

from cdp_pipelines.identity.customer_keys import Alias, Held, Keys, Record, assign


def records(ids: str) -> list[Record]:
    return [("hs", i) for i in ids.split()]


def run(*people: str, before: Keys | None = None) -> Keys:
    """People by their records' ids, the oldest first."""
    return assign([records(ids) for ids in people], before.held if before else {})


def key(keys: Keys, record: str) -> str:
    return keys.held["hs", record].key


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
    assert second.aliases == [Alias(key(first, "b"), key(first, "a"), "merged")]
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
    assert second.aliases == [Alias(key(first, "a"), key(second, "a"), "split")]
    assert key(run("a b c", before=second), "a") == key(first, "a")


def test_of_equal_parts_the_older_one_keeps_the_key():
    first = run("a b")
    assert key(run("a", "b", before=first), "a") == key(first, "a")


def test_a_key_whose_records_are_all_gone_is_told_of_and_comes_back_with_them():
    first = run("a", "b")
    second = run("a", before=first)
    assert second.aliases == [Alias(key(first, "b"), None, "gone")]
    known = {**first.held, **second.held, ("hs", "b"): Held(key(first, "b"), key(first, "b"), there=False)}
    third = assign([records("a"), records("b")], known)
    assert third.held == first.held
    assert third.aliases == []


def test_a_key_that_was_used_is_not_made_for_another():
    first = run("a b c")
    parted = run("a", "b c", before=first)
    assert len({*first.keys, *parted.keys}) == 2
    again = assign([records("a")], {}, retired=first.keys)
    assert again.keys != first.keys
