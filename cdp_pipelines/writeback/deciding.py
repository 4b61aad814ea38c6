"""What becomes of one field: the policy, and a three-way look at ours, theirs, and what we last knew to be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cdp_pipelines.consents import OPT_OUTS
from cdp_pipelines.writeback.fields import FieldTarget
from cdp_pipelines.writeback.plan import Change, Kept
from cdp_pipelines.writeback.rules import FieldRule
from cdp_pipelines.writeback.values import ValueProblem, blank, outgoing, same


@dataclass(frozen=True)
class Known:
    """A value that somebody had: what we last wrote to the CRM, or what we last read from it."""

    value: Any


@dataclass(frozen=True)
class Side:
    """What is known of one field of one record besides ours: what the CRM holds now, what we last wrote, what we last read."""

    theirs: str | None
    written: Known | None = None
    read: Known | None = None


def decide(
    target: FieldTarget, rule: FieldRule, ours: Any, side: Side, *, newer: bool = False, overwrite: bool = False, refused: str = ""
) -> Change | Kept | None:
    """The change of one field, why it is kept although ours differs, or None where there is nothing to do.

    `newer` says whether our row is newer than the CRM's record. `overwrite` is a person's word that ours wins in a conflict.
    `refused` says why the person does not want this field to be written, if so.
    """
    if blank(ours) and not rule.clear:
        return None
    try:
        new = outgoing(target, ours)
    except ValueProblem as problem:
        return Kept(target.ours, target.to, side.theirs, None, str(problem), "invalid")
    if target.to is None:
        return Kept(target.ours, None, None, new, target.problem or "", "nowhere")
    theirs = side.theirs
    if same(target.field, new, theirs):
        return None

    def kept(why: str, how: Literal["kept", "conflict", "consent"] = "kept") -> Kept:
        return Kept(target.ours, target.to, theirs, new, why, how)

    if rule.policy == "crm_wins":
        return kept("the CRM's value wins")
    if rule.policy == "fill_empty" and not blank(theirs):
        return kept("the CRM has a value")
    if rule.policy == "newest" and not blank(theirs) and not newer:
        return kept("the CRM's record is newer")
    if target.ours in OPT_OUTS and new is not True:
        # Where the CRM holds nothing there is no opt-out to take back, and nothing to write.
        return kept("an opt-out is never taken back by a write (dotmailer-magento2#565)", "kept" if blank(theirs) else "consent")
    if rule.policy != "newest" and not overwrite:
        if side.written is not None and not same(target.field, side.written.value, theirs):
            return kept("somebody changed it in the CRM since we last wrote it", "conflict")
        if side.written is None and side.read is not None and not blank(theirs) and not same(target.field, side.read.value, theirs):
            return kept("somebody changed it in the CRM since we last read it", "conflict")
    if refused:
        return kept(refused, "consent")
    base = None if side.written is None or side.written.value is None else str(side.written.value)
    return Change(target.ours, target.to, theirs, new, rule.policy, base, side.written is not None)
