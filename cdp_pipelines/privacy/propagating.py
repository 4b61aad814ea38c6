"""An erasure in the CRMs too: what is to be deleted is in the outbox before the first call, and each record has a result after its own.

Whoever stops it at any moment may begin it again: deletions can be repeated, and what ended is not sent again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import ConfigError, Connection, Settings
from cdp_pipelines.crm_integrations.writes import WriteResult
from cdp_pipelines.privacy import in_crms
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.outgoing import OPEN, Outgoing, Result
from cdp_pipelines.writeback.plan import Plan
from cdp_pipelines.writeback.sessions import Session, opened

Connections = Sequence[Connection | ConfigError]
# `bin`: deleted, and for some days still in the CRM's recycle bin. `open`: not done yet, and worth another try.
Outcome = Literal["deleted", "bin", "gone", "refused", "open"]
ROUNDS, PAUSE_SECONDS = 3, 0.5
RECYCLE_BIN = "RECYCLE_BIN"
_MAY_NOT = ("PERMISSION", "AUTHENTICATION")
_HARD_DELETE_REFUSED = ("HARD_DELETE_REFUSED", "PERMISSION")
_GONE = ("ENTITY_IS_DELETED",)


@dataclass(frozen=True)
class Deletion:
    """What became of one record in a CRM; a connection that could not be asked has one without an id."""

    connection: str
    object: str
    id: str | None
    outcome: Outcome
    code: str | None = None
    reason: str | None = None

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.connection}:{self.id}" if self.id else self.connection

    @property
    def done(self) -> bool:
        """The CRM does not have it any more."""
        return self.outcome in ("deleted", "bin", "gone")


def would_delete(connections: Connections, person: Person, hasher: Hasher) -> Plan:
    """The deletions that an erasure would make in the CRMs. Nothing is changed, and nothing written down."""

    async def work() -> Plan:
        async with _sessions(connections) as (sessions, absent):
            return await in_crms.plan(sessions, person, hasher, absent)

    return asyncio.run(work())


def delete_in_crms(settings: Settings, connections: Connections, person: Person, hasher: Hasher, run: str) -> list[Deletion]:
    """Delete a person's records in the CRMs; `run` names the erasure, and the same one goes on where it stopped.

    Records that are found by address only are added to the person. The caller holds the right to write to the CRMs.
    """

    async def work() -> list[Deletion]:
        async with _sessions(connections) as (sessions, absent):
            plan = await in_crms.plan(sessions, person, hasher, absent)
            with Outbox(settings) as outbox:
                outbox.begin(plan, run)
                about = {"run": run, "connections": plan.counts()}
                _note_gone(outbox, run, plan)
                record(settings, Operation("writeback_plan", "erase", "ok", len(plan.writes), about))
                await asyncio.gather(*(_connection(outbox, run, session) for session in sessions.values()))
                outbox.end(run)
                entries = outbox.entries(run)
            person.ids.update((e.entry.connection, e.id) for e in entries if e.id)
            return [_deletion(e) for e in entries] + [
                _not_asked(name, problem, name in sessions) for name, problem in plan.problems.items()
            ]

    return asyncio.run(work())


def summary(deletions: Iterable[Deletion]) -> list[dict[str, Any]]:
    """For the certificate: how many records of each object ended how. It names none."""
    counts = Counter((d.connection, d.object, d.outcome, d.code or "") for d in deletions)
    names = ("connection", "object", "outcome", "code")
    return [dict(zip(names, key, strict=True)) | {"count": count} for key, count in sorted(counts.items())]


@asynccontextmanager
async def _sessions(connections: Connections) -> AsyncGenerator[tuple[Mapping[str, Session], dict[str, str]]]:
    absent = {c.connection or c.setting: str(c) for c in connections if isinstance(c, ConfigError)}
    async with opened(c for c in connections if isinstance(c, Connection)) as sessions:
        yield sessions, absent


def _note_gone(outbox: Outbox, run: str, plan: Plan) -> None:
    """What was sent before a stop, and whose answer never came: where the CRM does not have it now, it is done."""
    gone = {entry.key for entry in plan.entries if entry.action == "unchanged"}
    found = [one for one in outbox.entries(run, states=OPEN) if one.key in gone]
    outbox.record(run, [Result(one.key, "deleted" if one.attempts else "unchanged", one.id) for one in found])


async def _connection(outbox: Outbox, run: str, session: Session) -> None:
    """Send what is open in one connection, some times over where the CRM says that it may pass."""
    for attempt in range(ROUNDS):
        waiting = outbox.entries(run, states=OPEN, connection=session.name)
        if not waiting:
            return
        if attempt:
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        for name in dict.fromkeys(one.entry.object for one in waiting):
            these = {one.id or "": one.key for one in waiting if one.entry.object == name}
            outbox.sending(run, these.values())
            binned = await _delete(outbox, run, session, name, these, forget=True)
            if binned:
                await _delete(outbox, run, session, name, binned, forget=False)


async def _delete(outbox: Outbox, run: str, session: Session, name: str, keys: Mapping[str, str], *, forget: bool) -> dict[str, str]:
    """Delete records (id -> key of the entry); gives those that may not be deleted for good, and perhaps otherwise."""
    otherwise: dict[str, str] = {}

    async def take(result: WriteResult) -> None:
        if forget and session.connection.kind == "salesforce" and result.code in _HARD_DELETE_REFUSED:
            otherwise[result.key] = keys[result.key]
        elif result.outcome != "unknown":
            outbox.record(run, [_result(keys[result.key], result, in_bin=not forget)])

    await session.writer.delete(name, list(keys), forget=forget, on_result=take)
    return otherwise


def _result(key: str, result: WriteResult, *, in_bin: bool) -> Result:
    if result.outcome == "deleted":
        reason = "it lies in the recycle bin for some days; give the API user the permission 'Bulk API Hard Delete' to delete for good"
        return Result(key, "deleted", result.id, RECYCLE_BIN if in_bin else None, reason if in_bin else None)
    if result.outcome == "unchanged" or result.code in _GONE:
        return Result(key, "unchanged", result.id)
    if result.retryable and result.code not in _MAY_NOT:
        return Result(key, "pending", None, result.code, result.reason, retryable=True)
    return Result(key, "rejected", None, result.code, result.reason)


def _not_asked(name: str, problem: str, there: bool) -> Deletion:
    return (
        Deletion(name, "", None, "open", "NOT_ASKED", problem) if there else Deletion(name, "", None, "refused", "NO_CONNECTION", problem)
    )


def _deletion(one: Outgoing) -> Deletion:
    outcomes: dict[str, Outcome] = {"deleted": "deleted", "unchanged": "gone", "pending": "open", "sent": "open"}
    outcome = "bin" if one.code == RECYCLE_BIN else outcomes.get(one.state, "refused")
    return Deletion(one.entry.connection, one.entry.object, one.id, outcome, one.code, one.reason)
