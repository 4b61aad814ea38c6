"""What becomes of one field, and when two values are the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_pipelines.mapping import load
from cdp_pipelines.writeback.deciding import Known, Side, decide
from cdp_pipelines.writeback.fields import FieldTarget
from cdp_pipelines.writeback.plan import Change, Kept
from cdp_pipelines.writeback.rules import FieldRule, Policy
from cdp_pipelines.writeback.values import ValueProblem, outgoing, same
from tests.sources.known_failures import known_failure

FIELDS = load().entities["contacts"].fields
TITLE = FieldTarget("title", FIELDS["title"], "Title")
SCORE = FieldTarget("lead_score", FIELDS["lead_score"], "leadScore", whole=True)
OPT_OUT = FieldTarget("do_not_email", FIELDS["do_not_email"], "unsubscribed")
EMAIL = FieldTarget("email", FIELDS["email"], "Email")
POLICIES: tuple[Policy, ...] = ("source_wins", "crm_wins", "fill_empty", "newest")


def became(policy: Policy, ours: Any, theirs: str | None, written: Any = ..., read: Any = ..., **options: Any) -> str:
    """`write`, `clear`, `same`, or how it is kept."""
    side = Side(theirs, None if written is ... else Known(written), None if read is ... else Known(read))
    decided = decide(TITLE, FieldRule(policy=policy, clear=options.pop("clear", False)), ours, side, **options)
    if isinstance(decided, Kept):
        return decided.how
    return "same" if decided is None else "clear" if decided.new is None else "write"


@pytest.mark.parametrize(
    ("policy", "ours", "theirs", "more", "expected"),
    [
        ("source_wins", "A", None, {}, "write"),
        ("source_wins", "A", " ", {}, "write"),
        ("source_wins", "A", "A ", {}, "same"),
        ("source_wins", "A", "B", {}, "write"),
        ("source_wins", "A", "B", {"read": "B"}, "write"),
        ("source_wins", "A", "B", {"read": "C"}, "conflict"),
        ("source_wins", "A", None, {"read": "C"}, "write"),
        ("source_wins", "A", "B", {"written": "B"}, "write"),
        ("source_wins", "A", "B", {"written": "B", "read": "C"}, "write"),
        ("source_wins", "A", "B", {"written": "A"}, "conflict"),
        ("source_wins", "A", None, {"written": "B"}, "conflict"),
        ("source_wins", "A", "B", {"written": "A", "overwrite": True}, "write"),
        ("fill_empty", "A", None, {}, "write"),
        ("fill_empty", "A", "B", {}, "kept"),
        ("fill_empty", "A", None, {"written": "A"}, "conflict"),
        ("crm_wins", "A", None, {}, "kept"),
        ("crm_wins", "A", "B", {}, "kept"),
        ("newest", "A", "B", {"newer": True}, "write"),
        ("newest", "A", "B", {"newer": False}, "kept"),
        ("newest", "A", None, {"newer": False}, "write"),
        ("source_wins", None, "B", {"clear": True}, "clear"),
        ("source_wins", None, "B", {"clear": True, "written": "C"}, "conflict"),
        ("source_wins", "", None, {"clear": True}, "same"),
    ],
)
def test_the_policies(policy: Policy, ours: Any, theirs: str | None, more: dict[str, Any], expected: str) -> None:
    assert became(policy, ours, theirs, **more) == expected


@given(st.sampled_from(POLICIES), st.sampled_from([None, "", "  "]), st.text(max_size=5), st.none() | st.text(max_size=5), st.booleans())
def test_nothing_of_ours_never_changes_anything_by_itself(policy: Policy, ours: Any, theirs: str, written: str | None, newer: bool) -> None:
    assert became(policy, ours, theirs, written=written, newer=newer) == "same"


@given(st.sampled_from(POLICIES), st.text(max_size=5), st.text(max_size=5), st.none() | st.text(max_size=5), st.booleans())
def test_what_was_written_is_not_written_again(policy: Policy, ours: str, theirs: str, written: str | None, newer: bool) -> None:
    decided = decide(TITLE, FieldRule(policy=policy), ours, Side(theirs, Known(written)), newer=newer)
    if isinstance(decided, Change):
        assert decided.base == written
        after = Side(None if decided.new is None else str(decided.new), Known(decided.new))
        assert decide(TITLE, FieldRule(policy=policy), ours, after, newer=newer) is None


def test_an_opt_out_is_given_and_never_taken_back() -> None:
    rule = FieldRule(policy="source_wins", clear=True)
    given_ = decide(OPT_OUT, rule, True, Side("false"))
    assert isinstance(given_, Change)
    assert given_.new is True
    for ours in (False, None):
        assert isinstance(decide(OPT_OUT, rule, ours, Side("true")), Kept)
        assert decide(OPT_OUT, rule, ours, Side(None)) is None


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        (TITLE, "  Cafe\u0301 ", "Caf\u00e9"),
        (TITLE, Decimal("1.5"), "1.5"),
        (SCORE, Decimal("75.00"), 75),
        (SCORE, "75", 75),
        (EMAIL, " Ann.Lee@Acme.COM ", "ann.lee@acme.com"),
        (OPT_OUT, "yes", True),
        (TITLE, " ", None),
    ],
)
def test_values_go_out_in_the_crms_form(target: FieldTarget, value: Any, expected: Any) -> None:
    assert outgoing(target, value) == expected


@pytest.mark.parametrize(
    ("target", "value"), [(SCORE, 75.5), (SCORE, float("nan")), (SCORE, "many"), (SCORE, True), (OPT_OUT, "perhaps"), (TITLE, [1])]
)
@known_failure("simple-salesforce/simple-salesforce#309")
def test_what_a_field_cannot_hold_is_refused_without_saying_it(target: FieldTarget, value: Any) -> None:
    """simple-salesforce#309: NaN was written, or failed without a word."""
    with pytest.raises(ValueProblem) as problem:
        outgoing(target, value)
    assert str(value) not in str(problem.value)


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "equal"),
    [
        ("lead_score", 75, "75.0", True), ("lead_score", 75, "75.01", False), ("lead_score", None, "0", False), ("title", "a\nb", "a\r\nb", True),
        ("title", "A", "a", False), ("title", "e\u0301", "\u00e9", True), ("email", "a@b.c", "A@B.C", True), ("do_not_email", False, None, True),
        ("do_not_email", True, "1", True), ("title", None, "", True), ("lead_score", "n/a", "n/a", True),
    ],
)  # fmt: skip
def test_values_are_the_same_whatever_the_crm_made_of_their_spelling(name: str, ours: Any, theirs: str | None, equal: bool) -> None:
    assert same(FIELDS[name], ours, theirs) is equal
