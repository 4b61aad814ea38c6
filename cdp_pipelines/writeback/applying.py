"""Sends the entries of a run: look once more right before, on disk as begun, send, on disk as ended; what is uncertain is looked up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.crm_integrations.writes import CLEAR, LiveRecord, OnResult, RecordWrite, Value, WriteResult
from cdp_pipelines.writeback.locating import Sought, locate, read_fields
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.outgoing import OPEN, Outgoing, Result
from cdp_pipelines.writeback.plan import Change
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.values import same

Progress = Callable[[str, int, int], None]
"""Told a connection's name, how many of its entries have ended, and how many there are."""

AT_ONCE, LARGE = 2_000, 20_000
"""Entries that are looked at and sent together: a vendor's batches side by side, and still right before the write. So many that a vendor's
bulk interface is worth its while go together."""
RESULTS_AT_ONCE = 100
ROUNDS = 5
SETTLE_SECONDS = 2.0
"""A call whose answer never came may still be at work in the CRM; a look-up before this has passed since it began proves nothing."""
PAUSE_SECONDS = 0.5
Live = tuple[str, LiveRecord] | Result
EXISTS, MOVED, IGNORED = "EXISTS", "MOVED", "IGNORED"


class Applying:
    """One run being sent. Entries that end are on disk at once; whoever stops this at any moment may begin it again."""

    def __init__(
        self, outbox: Outbox, run: str, sessions: Mapping[str, Session], *, restore: bool = False, on_progress: Progress | None = None
    ):
        self._outbox, self._run, self._sessions = outbox, run, sessions
        self._restore, self._progress = restore, on_progress or (lambda name, done, total: None)

    async def go(self, only: str | None = None) -> dict[str, str]:
        """Send what is open, all connections at once or `only` one. Gives by connection what stopped it; its entries stay open."""
        names = {e.entry.connection for e in self._outbox.entries(self._run, states=OPEN, connection=only)}
        problems = await asyncio.gather(*(self._connection(name) for name in sorted(names)))
        self._outbox.end(self._run)
        found = {name: problem for name, problem in zip(sorted(names), problems, strict=True) if problem}
        self._outbox.write_down_run(self._run, names, complete=not found)
        return found

    async def _connection(self, name: str) -> str | None:
        if (session := self._sessions.get(name)) is None:
            return f"{name} is not among the connections."
        for attempt in range(ROUNDS):
            if attempt:
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
            try:
                await self._look_up(session)
                await self._send_waiting(session)
                await self._look_up(session)
            except CRMError as error:
                return " ".join(filter(None, (error.problem, error.remedy)))
            if not self._outbox.entries(self._run, states=OPEN, connection=name):
                return None
        return "some records were refused again and again for reasons that pass; see `cdp writeback rejects`."

    async def _send_waiting(self, session: Session) -> None:
        """Send everything that is pending, once."""
        waiting = self._outbox.entries(self._run, states=("pending",), connection=session.name)
        for chunk in _chunks(waiting):
            ready = await self._still_as_planned(session, chunk)
            if ready:
                await self._send(session, ready)
            self._tell(session.name)

    async def _still_as_planned(self, session: Session, chunk: list[Outgoing]) -> list[Outgoing]:
        """Those whose record is as the plan saw it; the others end here."""
        found = await self._live(session, chunk)
        ended, ready = [], []
        for one in chunk:
            result = await self._judge(session, one, found.get(one.key))
            (ready.append(one) if result is None else ended.append(result))
        self._outbox.record(self._run, ended, restore=self._restore)
        return ready

    async def _look_up(self, session: Session) -> None:
        """What became of the entries whose answer never came: they are done, or are to be sent again."""
        uncertain = self._outbox.entries(self._run, states=("sent",), connection=session.name)
        if uncertain:
            await asyncio.sleep(max(0.0, max(one.sent_at or 0 for one in uncertain) + SETTLE_SECONDS - time.time()))
        for chunk in _chunks(uncertain):
            found = await self._live(session, chunk)
            results = []
            for one in chunk:
                result = await self._judge(session, one, found.get(one.key), sent=True)
                results.append(result or Result(one.key, "pending", reason="its answer never came, and the CRM does not have it"))
            self._outbox.record(self._run, results, restore=self._restore)

    async def _live(self, session: Session, chunk: Sequence[Outgoing]) -> dict[str, Live]:
        """The records as they are now, with the object they are in, by the entries' keys; or how an entry ends that has none to go to."""
        objects = await session.objects()
        found: dict[str, Live] = {}
        made = [one for one in chunk if one.entry.action == "create"]
        if made:
            places = await locate(
                session, [Sought(email=one.entry.email) for one in made], {c.field for one in made for c in one.entry.changes}
            )
            for one, place in zip(made, places, strict=True):
                if place.object and place.record:
                    found[one.key] = place.object.object, place.record
                elif place.code:
                    found[one.key] = Result(one.key, "conflict", code=EXISTS, reason=place.reason)
        known = [one for one in chunk if one.entry.action != "create"]
        for name in dict.fromkeys(one.entry.object for one in known):
            these = [one for one in known if one.entry.object == name]
            fields = read_fields(objects[name], {c.field for one in these for c in one.entry.changes})
            records = await session.writer.read(name, list(dict.fromkeys(one.id or "" for one in these)), fields)
            found |= {one.key: (name, records[one.id]) for one in these if one.id in records}
        return found

    async def _judge(self, session: Session, one: Outgoing, hit: Live | None, *, sent: bool = False) -> Result | None:
        """How an entry has ended, seen from the record; None when it is to be sent."""
        action = one.entry.action
        if isinstance(hit, Result):
            return hit
        if hit is None or hit[1].state == "deleted":
            if action == "create":
                return None
            if action == "delete":
                return Result(one.key, "deleted" if sent else "unchanged", one.id)
            return Result(one.key, "conflict", code="DELETED", reason="it was deleted in the CRM since the plan was made")
        name, record = hit
        if record.state != "live":
            return Result(one.key, "conflict", code="MERGED", reason=f"it was {record.state} in the CRM since the plan was made")
        fields = (await session.objects())[name].fields
        done = [c for c in one.entry.changes if same(fields[c.field].field, c.new, record.values.get(c.to))]
        if action == "create":
            return _judge_made(one, name, record, all_there=len(done) == len(one.entry.changes), sent=sent)
        moved = [c.field for c in one.entry.changes if c not in done and not same(fields[c.field].field, c.old, record.values.get(c.to))]
        if moved:
            return Result(one.key, "conflict", code=MOVED, reason=f"changed in the CRM since the plan was made: {', '.join(moved)}")
        if action == "update" and len(done) == len(one.entry.changes):
            return Result(one.key, "updated" if sent else "unchanged", one.id)
        return None

    async def _send(self, session: Session, ready: list[Outgoing]) -> None:
        self._outbox.sending(self._run, [one.key for one in ready])
        book = _Book(self._outbox, self._run, restore=self._restore)
        try:
            for name in dict.fromkeys(one.entry.object for one in ready):
                these = [one for one in ready if one.entry.object == name]
                gone = {one.id or "": one.key for one in these if one.entry.action == "delete"}
                if gone:
                    await session.writer.delete(name, list(gone), on_result=book.taking(gone))
                if writes := [_write(one) for one in these if one.entry.action != "delete"]:
                    await session.writer.write(name, writes, on_result=book.taking({w.key: w.key for w in writes}, writes))
        finally:
            book.close()

    def _tell(self, name: str) -> None:
        states = self._outbox.states(self._run).get(name, {})
        self._progress(name, sum(number for state, number in states.items() if state not in OPEN), sum(states.values()))


class _Book:
    """Takes results as they come and puts them on disk some at a time."""

    def __init__(self, outbox: Outbox, run: str, *, restore: bool):
        self._outbox, self._run, self._restore = outbox, run, restore
        self._waiting: list[Result] = []

    def taking(self, keys: Mapping[str, str], writes: Iterable[RecordWrite] = ()) -> OnResult:
        """A taker of results; `keys` says which entry a result's key means."""
        of = {w.key: w for w in writes}

        async def take(result: WriteResult) -> None:
            self._waiting += _ended(keys[result.key], result, of.get(result.key))
            if len(self._waiting) >= RESULTS_AT_ONCE:
                self.close()

        return take

    def close(self) -> None:
        self._outbox.record(self._run, self._waiting, restore=self._restore)
        self._waiting = []


def _ended(key: str, result: WriteResult, write: RecordWrite | None) -> list[Result]:
    """What a result means for its entry; nothing when it stays uncertain."""
    match result.outcome:
        case "unknown":
            return []
        case "rejected" if write and write.action == "create" and result.id:
            # Somebody made it a moment ago, or we did and the answer was lost: the record itself tells.
            return []
        case "rejected":
            state: Literal["pending", "rejected"] = "pending" if result.retryable else "rejected"
            return [Result(key, state, None, result.code, result.reason, result.retryable)]
    reason = f"the CRM took it without a word and kept its own value: {', '.join(result.ignored)}" if result.ignored else None
    if write and write.action == "update" and set(write.fields) <= set(result.ignored):
        return [Result(key, "rejected", None, IGNORED, reason, ignored=result.ignored)]
    return [Result(key, result.outcome, result.id, IGNORED if reason else None, reason, ignored=result.ignored)]


def _judge_made(one: Outgoing, name: str, record: LiveRecord, *, all_there: bool, sent: bool) -> Result:
    if sent and all_there and name == one.entry.object:
        return Result(one.key, "created", record.id)
    reason = f"somebody made {name} {record.id} with this e-mail address since the plan was made; plan again"
    return Result(one.key, "conflict", code=EXISTS, reason=reason)


def _write(one: Outgoing) -> RecordWrite:
    action: Literal["create", "update"] = "create" if one.entry.action == "create" else "update"
    return RecordWrite(one.key, one.entry.object, action, one.id, {c.to: _value(c) for c in one.entry.changes})


def _value(change: Change) -> Value:
    """What a change puts into a field."""
    return CLEAR if change.new is None else change.new


def _chunks(entries: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    size = LARGE if len(entries) >= LARGE else AT_ONCE
    for start in range(0, len(entries), size):
        yield list(entries[start : start + size])
