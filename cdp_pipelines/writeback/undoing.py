"""The way back: a plan that puts back, field by field, what a run overwrote, where the CRM still holds what the run wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.crm_integrations.writes import LiveRecord
from cdp_pipelines.writeback.fields import ObjectTarget
from cdp_pipelines.writeback.locating import read_fields
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.outgoing import Outgoing
from cdp_pipelines.writeback.plan import Change, Entry, Kept, Plan, PlanError
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.values import same


async def plan_undo(outbox: Outbox, run: str, sessions: dict[str, Session], *, keep_created: bool = False) -> Plan:
    """The plan that takes a run back; what cannot be taken back is in it as refused, with the reason.

    A contact that the run made is deleted, if nobody has changed what the run wrote; with `keep_created` it stays. Raises PlanError for a
    run that there is not, that was itself an undo, or that still has something to send.
    """
    row = outbox.run(run)
    if row is None:
        raise PlanError(f"There is no run {run}. `cdp writeback status` lists them.")
    if row["kind"] == "undo":
        raise PlanError(f"{run} is itself an undo; plan the write-back again instead.")
    if outbox.entries(run, states=("pending", "sent")):
        raise PlanError(f"{run} is not done: finish it first with `cdp writeback retry {run}`.")
    entries: list[Entry] = []
    problems: dict[str, str] = {}
    done = outbox.entries(run, states=("created", "updated"))
    for name in dict.fromkeys(one.entry.connection for one in done):
        these = [one for one in done if one.entry.connection == name]
        if name not in sessions:
            problems[name] = f"{name} is not among the connections."
            continue
        try:
            entries += await _connection(sessions[name], these, keep_created)
        except CRMError as error:
            problems[name] = " ".join(filter(None, (error.problem, error.remedy)))
    entries.sort(key=lambda e: e.action != "refused")  # what cannot be undone comes first
    return Plan("undo", tuple(entries), problems=problems, undo_of=run)


async def _connection(session: Session, done: Sequence[Outgoing], keep_created: bool) -> list[Entry]:
    objects = await session.objects()
    entries = []
    for name in dict.fromkeys(one.entry.object for one in done):
        these = [one for one in done if one.entry.object == name and one.id]
        ours = {c.field for one in these for c in one.changes}
        live = await session.writer.read(name, [one.id or "" for one in these], read_fields(objects[name], ours))
        entries += [_back(one, objects[name], live.get(one.id or ""), keep_created) for one in these]
    return entries


def _back(one: Outgoing, target: ObjectTarget, record: LiveRecord | None, keep_created: bool) -> Entry:
    entry = replace(one.entry, id=one.id, changes=(), kept=(), code="", reason="", key=f"undo:{one.key}", action="refused")
    if record is None or record.state != "live":
        how = "gone" if record is None else record.state
        return replace(entry, code="GONE", reason=f"the record is {how} in the CRM, so nothing of it can be put back")
    changes, kept = [], []
    for c in one.changes:
        theirs = record.values.get(c.to)
        if same(target.fields[c.field].field, c.new, theirs):
            changes.append(replace(c, old=theirs, new=c.old, policy="undo"))
        else:
            kept.append(Kept(c.field, c.to, theirs, c.old, "somebody changed it since we wrote it; it stays", "conflict"))
    entry = replace(entry, kept=tuple(kept), version=record.version)
    if one.entry.action == "create":
        return _unmake(entry, changes, keep_created)
    if not changes:
        return replace(entry, code="CHANGED", reason="every field was changed in the CRM since we wrote it")
    return replace(entry, action="update", changes=tuple(changes))


def _unmake(entry: Entry, changes: Sequence[Change], keep_created: bool) -> Entry:
    if keep_created:
        return replace(entry, code="KEPT", reason="made by the run; it is kept, as asked")
    if entry.kept:
        return replace(
            entry, code="CHANGED", reason="made by the run, and somebody has changed it since; delete it in the CRM if it should go"
        )
    return replace(entry, action="delete", changes=tuple(replace(c, new=None) for c in changes))
