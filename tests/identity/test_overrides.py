"""Decisions of people come before all evidence, and stick."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cdp_pipelines.identity import BadOverrides, Resolution, resolve
from tests.identity.given import contacts, override, person, together

ANN = (person("Ann Lee", "ann@acme.com"), person("Ann Lee", "ann@acme.com"))
BOB = (person("Bob Ray", "bob@acme.com"), person("Bob Ray", "bob@acme.com"))


def decided(*overrides: dict, previous: Resolution | None = None) -> Resolution:
    given = pa.Table.from_pylist(list(overrides)) if overrides else None
    return resolve(contacts(*ANN, *BOB), overrides=given, previous=previous and previous.ledger)


def outcomes(found: Resolution) -> list[tuple[str, str | None]]:
    return [(row["outcome"], row["evidence"]) for row in found.overrides.to_pylist()]


def test_a_merge_joins_whatever_the_evidence_says_and_what_belonged_to_either_comes_along():
    found = decided(override("merge", "1", "3"))
    assert together(found) == ["1 2 3 4"]
    assert outcomes(found) == [("against_evidence", "mailboxes_of_one_company")]
    assert "override" in found.edges.column("rule").to_pylist()


def test_a_split_keeps_apart_whatever_the_evidence_says():
    found = decided(override("split", "1", "2"))
    assert together(found) == ["1", "2", "3 4"]
    assert outcomes(found) == [("against_evidence", "email_and_name")]
    assert found.vetoes.column("rule").to_pylist() == ["override"]
    assert found.review.num_rows == 0


def test_merge_then_split_restores_the_customers_and_their_keys():
    before = decided()
    merged = decided(override("merge", "1", "3"), previous=before)
    after = decided(override("merge", "1", "3"), override("split", "1", "3", day=2), previous=merged)
    assert merged.customers.num_rows == 1
    assert after.customer_contacts.select(["customer_id", "customer_key"]).equals(
        before.customer_contacts.select(["customer_id", "customer_key"])
    )
    assert outcomes(after) == [("superseded", None), ("honoured", None)]


def test_the_newest_decision_about_two_holds_in_whichever_order_they_are_given():
    newer, older = override("merge", "3", "1", day=3), override("split", "1", "3", day=2)
    assert together(decided(newer, older)) == together(decided(older, newer)) == ["1 2 3 4"]


def test_a_decision_that_another_one_stands_against_is_reported():
    found = decided(override("merge", "1", "3"), override("merge", "2", "3", day=2), override("split", "1", "2", day=3))
    assert sorted(outcome for outcome, _ in outcomes(found)) == ["against_evidence", "against_evidence", "refused"]


def test_a_decision_about_a_record_that_is_not_there_is_reported():
    assert outcomes(decided(override("merge", "1", "99"))) == [("record_missing", None)]


def test_decisions_that_cannot_be_read_are_refused():
    with pytest.raises(BadOverrides, match="kind"):
        decided({**override("merge", "1", "3"), "kind": "join"})
    with pytest.raises(BadOverrides, match="left_connection"):
        resolve(contacts(), overrides=pa.table({"kind": ["merge"]}))
