"""What the command line, Dagster and the Python API do with write-back: plan, apply, undo, retry, and say how it stands."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.privacy.refusing import Refusing
from cdp_pipelines.writeback import guards
from cdp_pipelines.writeback.applying import Applying, Progress
from cdp_pipelines.writeback.outbox import Outbox, there_is_one
from cdp_pipelines.writeback.outgoing import Outgoing, State
from cdp_pipelines.writeback.plan import Plan, PlanError, load, save
from cdp_pipelines.writeback.planner import Asked, Base, Found, plan_connection
from cdp_pipelines.writeback.rules import Flow, Rules, read
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.undoing import plan_undo
from cdp_pipelines.writeback.wanted import Wanted, wanted

NOT_AS_PLANNED: tuple[State, ...] = ("conflict", "rejected", "refused", "pending", "sent")


class WritebackBusy(Exception):
    """Another process is writing to the CRMs."""


@dataclass(frozen=True)
class RunReport:
    """What a run did. `outcomes` counts its entries by connection and how they ended; every entry is in it once.

    `pending` are entries still to be sent, with `problems` by connection; `left` are those that ended otherwise than planned.
    """

    run: str
    kind: str
    outcomes: dict[str, dict[str, int]]
    problems: dict[str, str] = field(default_factory=dict)
    left: list[dict[str, str | None]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Nothing is still to be sent."""
        return not self.problems and not any(counts.get("pending") for counts in self.outcomes.values())

    @property
    def clean(self) -> bool:
        """All that the plan was to write was written."""
        return self.complete and all(one["state"] == "refused" for one in self.left)


@contextmanager
def writing(settings: Settings) -> Generator[None]:
    """Hold the right to write to the CRMs: one process at a time. Raises WritebackBusy after `settings.lock_wait_seconds`."""
    settings.writeback_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.writeback_dir / "apply.lock", thread_local=False)
    try:
        lock.acquire(timeout=settings.lock_wait_seconds)
    except Timeout:
        raise WritebackBusy("Another process is writing to the CRMs. Wait until it ends, and run this again.") from None
    try:
        yield
    finally:
        lock.release()


def rules_of(settings: Settings) -> Rules:
    """The rules of writeback.yml. Raises RulesError."""
    return read(settings.writeback_file)


async def make_plan(
    settings: Settings,
    sessions: Mapping[str, Session],
    *,
    flows: Sequence[str] = (),
    overwrite: Iterable[str] = (),
    dry_run: bool = False,
) -> tuple[Plan, Path | None]:
    """A plan against the CRMs as they are now, and its file; with `dry_run` nothing is written down anywhere.

    `overwrite` has places (`connection:id`) where ours wins although somebody changed the CRM. A CRM that cannot be asked is among the
    plan's problems. Raises RulesError, NotPublished.
    """
    rules = rules_of(settings)
    rules.check_connections(list(sessions))
    chosen = rules.chosen(list(flows))
    known = _known(settings, list(sessions))
    over, erased = frozenset(overwrite), Refusing.of(settings)

    async def one(session: Session) -> tuple[Found, str | None]:
        merged = Found()
        for name, flow in chosen.items():
            if (target := flow.target(session.connection)) is None:
                continue
            rows = _for(await asyncio.to_thread(wanted, settings, name, flow, session.connection), flow, session)
            base, making = known[session.name]
            try:
                found = await plan_connection(session, rows, Asked(target, base, making, over, erased=erased))
            except CRMError as error:
                return merged, " ".join(filter(None, (error.problem, error.remedy)))
            _merge(merged, found)
        return merged, None

    used = [s for s in sessions.values() if any(flow.target(s.connection) for flow in chosen.values())]
    answers = dict(zip((s.name for s in used), await asyncio.gather(*map(one, used)), strict=True))
    entries = tuple(e for found, _ in answers.values() for e in found.entries)
    looked_at = {name: found.looked_at for name, (found, _) in answers.items()}
    plan = Plan(
        "write", entries, flows=tuple(chosen), looked_at=looked_at, unchanged={name: found.unchanged for name, (found, _) in answers.items()},
        problems={name: problem for name, (_, problem) in answers.items() if problem}, notes=tuple(_notes(answers)),
        stopped=guards.beyond(rules.guards, entries, sum(looked_at.values())),
    )  # fmt: skip
    return plan, None if dry_run else keep(settings, plan)


def _known(settings: Settings, names: Sequence[str]) -> dict[str, tuple[Base, Mapping[str, str]]]:
    """By connection: what we last wrote, and the addresses of contacts that are still to be made."""
    if not there_is_one(settings):
        return {name: ({}, {}) for name in names}
    with Outbox(settings) as outbox:
        return {name: (outbox.bases(name), outbox.open_creates(name)) for name in names}


def keep(settings: Settings, plan: Plan) -> Path:
    """Write a plan to its file and remember that it was made here."""
    path = save(settings, plan)
    record(settings, Operation("writeback_plan", plan.kind, "ok", len(plan.writes), {"hash": plan.hash, "connections": plan.counts()}))
    with Outbox(settings) as outbox:
        outbox.note_plan(plan, path)
    return path


async def apply_plan(settings: Settings, sessions: Mapping[str, Session], path: Path, *, on_progress: Progress | None = None) -> RunReport:
    """Do what the plan in a file says. The same plan once more goes on where it stopped, and sends nothing that was sent.

    Raises PlanError for a plan that was changed, was not made here, or that goes beyond a guard; WritebackBusy.
    """
    plan = load(settings, path)
    with writing(settings), Outbox(settings) as outbox:
        outbox.check_plan(plan)
        _check_nobody_erased(settings, plan)
        if plan.kind == "write":
            stopped = plan.stopped or guards.beyond(rules_of(settings).guards, plan.entries, sum(plan.looked_at.values()))
            if stopped:
                raise PlanError(" ".join(stopped))
        run = outbox.begin(plan, new_run(plan.kind))
        return await _send(outbox, run, sessions, on_progress)


def _check_nobody_erased(settings: Settings, plan: Plan) -> None:
    """Raise PlanError for a plan that was copied elsewhere before an erasure, which removes those that it finds."""
    erased = Refusing.of(settings)
    for entry in plan.writes if erased else ():
        new = {c.field: c.new for c in entry.changes if c.new is not None and (entry.action == "create" or c.field == "email")}
        values = {"email": entry.email, **new, "id": entry.id}
        if entry.action != "delete" and erased and erased.listed(entry.connection, [values]):
            raise PlanError("The plan is about somebody who was erased since. Make a new one: `cdp writeback plan`.")


async def undo_plan(settings: Settings, sessions: Mapping[str, Session], run: str, *, keep_created: bool = False) -> Plan:
    """The plan that takes a run back; what cannot be taken back is listed first. Raises PlanError. `keep` it to apply it."""
    with Outbox(settings) as outbox:
        return await plan_undo(outbox, run, dict(sessions), keep_created=keep_created)


async def retry(
    settings: Settings,
    sessions: Mapping[str, Session],
    *,
    run: str | None = None,
    keys: Sequence[str] = (),
    on_progress: Progress | None = None,
) -> list[RunReport]:
    """Send what is still open (of one run, or of all), and these rejected entries again. Raises PlanError for a run or key that is not there."""
    with writing(settings), Outbox(settings) as outbox:
        if run is not None and outbox.run(run) is None:
            raise PlanError(f"There is no run {run}. `cdp writeback status` lists them.")
        if keys:
            again = [e for e in outbox.with_state(("rejected", "conflict")) if e.key in keys and run in (None, e.run)]
            if missing := set(keys) - {e.key for e in again}:
                raise PlanError(f"No rejected entry has the key {min(missing)}. `cdp writeback rejects` lists them.")
            outbox.reopen((e.run, e.key) for e in again)
        open_runs = dict.fromkeys(e.run for e in outbox.with_state(("pending", "sent")) if run in (None, e.run))
        # An erasure goes on by `cdp privacy finish`, which deletes as an erasure must.
        return [await _send(outbox, one, sessions, on_progress) for one in open_runs if (row := outbox.run(one)) and row["kind"] != "erase"]


def rejects(settings: Settings) -> list[dict[str, str | None]]:
    """Every record that was not written as wanted, or not yet, with its reason and the command that tries it again.

    What was written since by a later run is not among them.
    """
    with Outbox(settings) as outbox:
        entries = [e for e in outbox.newest() if e.state in NOT_AS_PLANNED or e.ignored]
        there = {(e.run, e.entry.connection) for e in entries}
        calls = [call for call in outbox.pending_calls() if (call["run"], call["connection"]) not in there]
    return [described(e) for e in entries] + [_described_call(call) for call in calls]


def plan_file(settings: Settings, hash_: str) -> Path:
    """The file of the plan with this hash. Raises PlanError when no such plan was made here."""
    with Outbox(settings) as outbox:
        path = outbox.plan_path(hash_.strip())
    if path is None:
        raise PlanError("No plan with this hash was made here. The hash is in the metadata of `writeback/plan` and in the plan's file.")
    return Path(path)


def runs(settings: Settings) -> list[dict[str, Any]]:
    """All runs, newest first, each with how many of its entries ended how."""
    with Outbox(settings) as outbox:
        return outbox.runs()


def report(settings: Settings, run: str) -> RunReport:
    """How a run stands."""
    with Outbox(settings) as outbox:
        return report_of(outbox, run)


def described(one: Outgoing) -> dict[str, str | None]:
    """An entry that did not end as planned, for people: where, what, why, and what to do."""
    state = "pending" if one.state == "sent" else one.state
    command = {
        "pending": f"cdp writeback retry {one.run}",
        "rejected": f"cdp writeback retry {one.run} --key {one.key}",
        "conflict": f"cdp writeback plan --overwrite {one.entry.place}" if one.entry.id else "cdp writeback plan",
    }.get(state, "cdp writeback plan")
    return {
        "run": one.run, "key": one.key, "connection": one.entry.connection, "object": one.entry.object, "id": one.id,
        "action": one.entry.action, "state": state, "code": one.code, "reason": one.reason, "command": command,
    }  # fmt: skip


def _described_call(call: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        "run": call["run"], "key": call["call"], "connection": call["connection"], "object": None, "id": None, "action": call["what"],
        "state": "pending", "code": None, "reason": call["reason"], "command": "cdp writeback retry",
    }  # fmt: skip


def report_of(outbox: Outbox, run: str, problems: Mapping[str, str] | None = None) -> RunReport:
    """How a run stands."""
    row = outbox.run(run)
    outcomes: dict[str, Counter[str]] = {}
    for name, states in outbox.states(run).items():
        for state, number in states.items():
            outcomes.setdefault(name, Counter())["pending" if state == "sent" else state] += number
    left = [described(e) for e in outbox.entries(run) if e.state in NOT_AS_PLANNED or e.ignored]
    return RunReport(run, row["kind"] if row else "", {n: dict(c) for n, c in outcomes.items()}, dict(problems or {}), left)


async def _send(outbox: Outbox, run: str, sessions: Mapping[str, Session], on_progress: Progress | None) -> RunReport:
    row = outbox.run(run)
    restore = row is not None and row["kind"] == "undo"
    problems = await Applying(outbox, run, sessions, restore=restore, on_progress=on_progress).go()
    return report_of(outbox, run, problems)


def _for(rows: Sequence[Wanted], flow: Flow, session: Session) -> list[Wanted]:
    """Without the rows of customers whom this CRM does not have, where none may be made."""
    target = flow.target(session.connection)
    creates = target is not None and target.create
    return [row for row in rows if row.id or creates or flow.key == "email"]


def _merge(into: Found, found: Found) -> None:
    known = {e.key for e in into.entries}
    into.entries += [e for e in found.entries if e.key not in known]
    into.looked_at += found.looked_at
    into.unchanged += found.unchanged
    into.absent += found.absent
    into.nowhere |= found.nowhere


def _notes(answers: Mapping[str, tuple[Found, str | None]]) -> Generator[str]:
    for name, (found, _) in answers.items():
        for field_name, why in sorted(found.nowhere.items()):
            yield f"{name}: {field_name} is not written: {why}."
        if found.absent:
            yield f"{name}: {found.absent:,} rows have no record there, and create is off."


def new_run(kind: str) -> str:
    """A name for a run that sorts by time."""
    return f"{kind[0]}{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(2).hex()}"
