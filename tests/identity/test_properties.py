"""What holds of any contacts and any history of changes, looked for by chance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from types import FunctionType
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cdp_pipelines.identity import Resolution, resolve
from tests.identity.records import NOON, contact, contacts, groups, keys
from tests.identity.strangers import strangers

Row = dict[str, Any]

FIRST = ("Robert", "Bob", "R.", "Maria", "Pavel", "fischer", "", None)
LAST = ("Fischer", "Fisher", "Fischer Jr", "Novak", "Robert", "n/a", None)
EMAIL = (
    "robert.fischer@acme.com", "rfischer@acme.com", " Robert.Fischer@ACME.com", "bob.fischer@gmail.com", "bobfischer+x@googlemail.com",
    "pavel.novak@globex.com", "info@acme.com", "none@none.com", "", None, None,
)  # fmt: skip
PHONE = ("(415) 555-2671", "+14155552671", "415-555-2698", "000-000-0000", "n/a", None, None)
COMPANY = ("Acme Inc.", "ACME", "Globex", "", None)
CONNECTIONS = ("salesforce", "hubspot", "marketo")


@st.composite
def rows(draw: st.DrawFn, least: int = 1, most: int = 8) -> list[Row]:
    """Records that have much in common."""
    made: list[Row] = []
    for number in range(draw(st.integers(least, most))):
        connection = draw(st.sampled_from(CONNECTIONS))
        made.append(contact(
            f"{connection}:{number:02d}", first_name=draw(st.sampled_from(FIRST)), last_name=draw(st.sampled_from(LAST)), email=draw(st.sampled_from(EMAIL)),
            phone=draw(st.sampled_from(PHONE)), mobile_phone=draw(st.sampled_from(PHONE)), company=draw(st.sampled_from(COMPANY)),
            is_deleted=draw(st.integers(0, 9)) == 0, created_date=NOON + timedelta(hours=draw(st.integers(0, 3))),
        ))  # fmt: skip
    for row in made:
        if draw(st.integers(0, 7)) == 0:
            row["merged_into"] = draw(st.sampled_from(made))["customer_id"]
        if row["connection"] != "salesforce" and draw(st.integers(0, 5)) == 0:
            row["salesforce_id"] = draw(st.sampled_from(made))["customer_id"]
    return made


# A change of one record: which (a place in the list), what, and to what.
CHANGES = st.one_of(
    st.tuples(st.integers(0, 20), st.just("first_name"), st.sampled_from(FIRST)),
    st.tuples(st.integers(0, 20), st.just("last_name"), st.sampled_from(LAST)),
    st.tuples(st.integers(0, 20), st.just("email"), st.sampled_from(EMAIL)),
    st.tuples(st.integers(0, 20), st.just("phone"), st.sampled_from(PHONE)),
    st.tuples(st.integers(0, 20), st.just("is_deleted"), st.booleans()),
    st.tuples(st.integers(0, 20), st.just("merged_into"), st.one_of(st.none(), st.integers(0, 20))),
    st.tuples(st.integers(0, 20), st.just("gone"), st.booleans()),
)
PLACES = st.integers(0, 20)
HISTORIES = st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=1, max_size=3)


# Decisions about two records: a place in the list for each.
DECISIONS = st.lists(st.tuples(st.sampled_from(("merge", "split")), PLACES, PLACES), min_size=1, max_size=4)


def decisions(some: list[Row], decided: list[tuple[str, int, int]]) -> pa.Table:
    """Overrides, made a minute after one another."""
    made = []
    for minute, (kind, *places) in enumerate(decided):
        ends = {
            f"{side}_{name}": some[place % len(some)][name]
            for side, place in zip(("left", "right"), places, strict=True)
            for name in ("connection", "customer_id")
        }
        made.append({"kind": kind, **ends, "who": "somebody", "why": "seen", "decided_at": NOON + timedelta(minutes=minute)})
    return pa.Table.from_pylist(made)


def checked(resolution: Resolution) -> Resolution:
    """An answer that is well-formed: each person has one key, and every pair that joins or parts is of records that are there."""
    links = keys(resolution.customer_contacts)
    assert sorted(set(links.values())) == sorted(resolution.customers["customer_key"].to_pylist())
    assert None not in links.values()
    edges, vetoes = resolution.edges.to_pylist(), resolution.vetoes.to_pylist()
    ends = [(f"{e['left_connection']}:{e['left_customer_id']}", f"{e['right_connection']}:{e['right_customer_id']}") for e in edges]
    assert all(links[left] == links[right] for left, right in ends), "an edge leads out of its person"
    apart = [(f"{v['left_connection']}:{v['left_customer_id']}", f"{v['right_connection']}:{v['right_customer_id']}") for v in vetoes]
    assert all(links[left] != links[right] for left, right in apart), "a veto stands within one person"
    # Whoever is together is so by a path of edges: each merge is explained.
    roots = {member: member for member in links}

    def root(member: str) -> str:
        while roots[member] != member:
            member = roots[member]
        return member

    for left, right in ends:
        roots[root(left)] = root(right)
    assert len({root(member) for member in links}) == len(set(links.values())), "a person whose records no path of edges joins"
    return resolution


def states(start: list[Row], history: list[list[tuple[int, str, Any]]]) -> list[list[Row]]:
    """The records after each step of a history, the start first."""
    now, gone, found = [dict(row) for row in start], set(), [[dict(row) for row in start]]
    for step in history:
        for place, what, value in step:
            row = now[place % len(now)]
            if what == "gone":
                (gone.add if value else gone.discard)(place % len(now))
            else:
                row[what] = now[value % len(now)]["customer_id"] if what == "merged_into" and value is not None else value
        found.append([dict(row) for n, row in enumerate(now) if n not in gone])
    return found


def lived(start: list[Row], history: list[list[tuple[int, str, Any]]]) -> list[Resolution]:
    """The answers to each state, each made with the one before."""
    answers: list[Resolution] = []
    previous: pa.Table | None = None
    for state in states(start, history):
        answers.append(checked(resolve(contacts(state), previous=previous)))
        previous = answers[-1].customer_contacts
    return answers


STRATEGIES: dict[str, dict[str, Any]] = {}


def holding_for(**strategies: Any) -> Callable[[FunctionType], FunctionType]:
    """What a property is tried with; few examples or many is for the tests below to say."""

    def remember(body: FunctionType) -> FunctionType:
        STRATEGIES[body.__name__] = strategies
        return body

    return remember


def tried(holds: FunctionType, **chosen: Any) -> None:
    settings(deadline=None, suppress_health_check=list(HealthCheck), **chosen)(given(**STRATEGIES[holds.__name__])(holds))()


@holding_for(data=st.data(), some=rows())
def the_order_of_rows_does_not_matter(data: st.DataObject, some: list[Row]) -> None:
    one, other = (checked(resolve(contacts(order))) for order in (some, data.draw(st.permutations(some))))
    assert keys(one.customer_contacts) == keys(other.customer_contacts)
    assert one.edges.sort_by(_ends(one.edges)).equals(other.edges.sort_by(_ends(other.edges)))
    assert one.vetoes.sort_by(_ends(one.vetoes)).equals(other.vetoes.sort_by(_ends(other.vetoes)))


@holding_for(some=rows())
def people_who_have_nothing_to_do_with_it_do_not_matter(some: list[Row]) -> None:
    members = [f"{row['connection']}:{row['customer_id']}" for row in some]
    alone, among = checked(resolve(contacts(some))), checked(resolve(contacts([*some, *strangers(60)])))
    assert groups(alone.customer_contacts) == groups(among.customer_contacts, members)
    found = keys(among.customer_contacts)
    assert keys(alone.customer_contacts) == {member: found[member] for member in members}


@holding_for(some=rows(), cuts=st.lists(PLACES, max_size=4))
def the_number_of_steps_does_not_matter(some: list[Row], cuts: list[int]) -> None:
    previous: pa.Table | None = None
    for end in sorted({*(cut % len(some) + 1 for cut in cuts), len(some)}):
        answer = checked(resolve(contacts(some[:end]), previous=previous))
        previous = answer.customer_contacts
    assert groups(answer.customer_contacts) == groups(resolve(contacts(some)).customer_contacts)


@holding_for(some=rows(), history=HISTORIES)
def keys_survive_any_history(some: list[Row], history: list[list[tuple[int, str, Any]]]) -> None:
    answers = lived(some, history)
    for before, after in pairwise(answers):
        was, now = keys(before.customer_contacts), keys(after.customer_contacts)
        told = {alias["old_key"] for alias in after.aliases.to_pylist()}
        for person in groups(before.customer_contacts):
            if person in groups(after.customer_contacts):
                assert now[person[0]] == was[person[0]], "a person of the same records has another key"
        assert {key for member, key in was.items() if now.get(member) != key and key not in now.values()} <= told, (
            "a key went, and nobody is told where"
        )
        carried = {key: [now[m] for m in was if was[m] == key and m in now] for key in set(was.values())}
        # A key stays among its own records unless another person's older key took its place.
        assert all(key in new or key in told for key, new in carried.items() if new), "a key left its records"


@holding_for(some=rows(), history=HISTORIES)
def the_same_history_gives_the_same_keys(some: list[Row], history: list[list[tuple[int, str, Any]]]) -> None:
    one, other = lived(some, history), lived(some, history)
    assert [keys(a.customer_contacts) for a in one] == [keys(a.customer_contacts) for a in other]
    again = resolve(contacts(states(some, history)[-1]), previous=one[-1].customer_contacts)
    assert (keys(again.customer_contacts), again.churn, again.aliases.num_rows) == (keys(one[-1].customer_contacts), 0.0, 0)


@holding_for(some=rows(least=2), one=PLACES, other=PLACES)
def a_merge_that_is_taken_back_leaves_no_trace(some: list[Row], one: int, other: int) -> None:
    connection = some[one % len(some)]["connection"]
    loser = some[one % len(some)]
    winner = some[other % len(some)]
    if winner["connection"] != connection or winner is loser:
        winner = {**winner, "connection": connection, "source_system": connection, "customer_id": "winner"}
        some = [*some, winner]
    before = checked(resolve(contacts(some)))
    merged = [{**row, "merged_into": winner["customer_id"], "is_deleted": True} if row is loser else row for row in some]
    between = checked(resolve(contacts(merged), previous=before.customer_contacts))
    together = keys(between.customer_contacts)
    assert together[f"{connection}:{loser['customer_id']}"] == together[f"{connection}:{winner['customer_id']}"]
    after = checked(resolve(contacts(some), previous=between.customer_contacts))
    assert keys(after.customer_contacts) == keys(before.customer_contacts)


@holding_for(some=rows(least=2), decided=DECISIONS)
def decisions_hold_and_their_outcome_is_told(some: list[Row], decided: list[tuple[str, int, int]]) -> None:
    made = decisions(some, decided)
    answer = checked(resolve(contacts(some), overrides=made))
    links = keys(answer.customer_contacts)
    assert answer.overrides.num_rows == made.num_rows
    for row in answer.overrides.to_pylist():
        together = len({links.get(f"{row[f'{side}_connection']}:{row[f'{side}_customer_id']}") for side in ("left", "right")}) == 1
        if row["outcome"] in ("honoured", "against_evidence"):
            assert together == (row["kind"] == "merge"), row
        elif row["outcome"] == "refused":
            assert "split" in made["kind"].to_pylist(), "a merge was refused although nobody decided otherwise"
    # What was decided and taken back leaves no trace.
    after = checked(resolve(contacts(some), previous=answer.customer_contacts))
    assert groups(after.customer_contacts) == groups(resolve(contacts(some)).customer_contacts)


@holding_for(some=rows(least=2), one=PLACES, other=PLACES)
def a_merge_and_then_a_split_restore_what_was(some: list[Row], one: int, other: int) -> None:
    before = checked(resolve(contacts(some)))
    was = keys(before.customer_contacts)
    left, right = (f"{row['connection']}:{row['customer_id']}" for row in (some[one % len(some)], some[other % len(some)]))
    assume(was[left] != was[right])
    merged = checked(resolve(contacts(some), previous=before.customer_contacts, overrides=decisions(some, [("merge", one, other)])))
    together = keys(merged.customer_contacts)
    assert together[left] == together[right]
    assert together[left] in (was[left], was[right])
    parted = [("merge", one, other), ("split", one, other)]
    after = checked(resolve(contacts(some), previous=merged.customer_contacts, overrides=decisions(some, parted)))
    assert keys(after.customer_contacts) == was


def _ends(pairs: pa.Table) -> list[tuple[str, str]]:
    return [(name, "ascending") for name in pairs.column_names]


PROPERTIES = (
    the_order_of_rows_does_not_matter, people_who_have_nothing_to_do_with_it_do_not_matter, the_number_of_steps_does_not_matter,
    keys_survive_any_history, the_same_history_gives_the_same_keys, a_merge_that_is_taken_back_leaves_no_trace, decisions_hold_and_their_outcome_is_told,
    a_merge_and_then_a_split_restore_what_was,
)  # fmt: skip


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda held: held.__name__)
def test_for_the_same_few_contacts_each_time(holds: FunctionType) -> None:
    tried(holds, max_examples=3, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda held: held.__name__)
def test_for_many_contacts_by_chance(holds: FunctionType) -> None:
    tried(holds, max_examples=60)
