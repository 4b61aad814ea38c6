"""The outbox: every write is on disk before its first call and has its result after it, so that a kill at any moment sends nothing twice.

A SQLite file with write-ahead log and full synchronisation. Besides the runs and their entries it keeps the base (what we last wrote to
each field of each record), the plans that were made, and the calls for single contacts that are not done yet.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from cdp_pipelines.audit import keys, subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
from cdp_pipelines.encryption import Sealer, check_database
from cdp_pipelines.writeback.deciding import Known
from cdp_pipelines.writeback.outgoing import DONE, Outgoing, Result, State
from cdp_pipelines.writeback.plan import WRITES, Entry, Plan, PlanError

_TABLES = """
create table if not exists plans (hash text primary key, made_at text not null, path text not null);
create table if not exists runs (
    run text primary key, plan_hash text unique, kind text not null, undo_of text, started_at text not null, ended_at text
);
create table if not exists entries (
    run text not null references runs, seq integer not null, key text not null, connection text not null, object text not null,
    action text not null, id text, email text, entry text not null, state text not null, code text, reason text,
    retryable integer not null default 0, ignored text not null default '[]', attempts integer not null default 0, sent_at real,
    done_at text, primary key (run, key)
);
create index if not exists entries_open on entries (connection, state);
create table if not exists base (
    connection text not null, object text not null, id text not null, field text not null, to_field text not null, value text,
    run text not null, written_at text not null, primary key (connection, object, id, field)
);
create table if not exists calls (
    call text primary key, run text not null, connection text not null, what text not null, request text not null, state text not null,
    reason text, made_at text not null
);
"""
# Columns whose texts are sealed where a key is set, by table, and what they are sealed as.
SEALED_COLUMNS = {"entries": ("email", "entry", "reason"), "base": ("value",), "calls": ("request", "reason")}
SEALED = "outbox"
_ENTRY = "run, key, entry, state, id, code, reason, retryable, ignored, attempts, sent_at"


def there_is_one(settings: Settings) -> bool:
    """Whether anything was ever planned or written here."""
    return _path(settings).exists()


def _path(settings: Settings) -> Path:
    return settings.writeback_dir / "outbox.sqlite"


class Outbox:
    """The file, opened. Use it in a `with` block, in one thread."""

    def __init__(self, settings: Settings):
        settings.writeback_dir.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        path = _path(settings)
        self._path, self._sealer = path, Sealer.of(settings)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # it holds people's data
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        try:
            check_database(self._db, path, self._sealer)
        except BaseException:
            self._db.close()
            raise
        self._db.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        self._db.execute("begin immediate")
        try:
            yield self._db
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def note_plan(self, plan: Plan, path: os.PathLike[str]) -> None:
        """Remember that this plan was made here, so that no other passes for one."""
        with self._transaction() as db:
            db.execute("insert or ignore into plans values (?, ?, ?)", (plan.hash, plan.made_at, os.fspath(path)))

    def check_plan(self, plan: Plan) -> None:
        """Raise PlanError for a plan that was not made here."""
        if not self._db.execute("select 1 from plans where hash = ?", (plan.hash,)).fetchone():
            raise PlanError("The plan was not made here (or with another data directory). Make a new one: `cdp writeback plan`.")

    def plan_path(self, hash_: str) -> str | None:
        """The file of the plan with this hash."""
        row = self._db.execute("select path from plans where hash = ?", (hash_,)).fetchone()
        return row["path"] if row else None

    def begin(self, plan: Plan, run: str) -> str:
        """Write down a plan's entries, all or none, and give the run's name; that of the earlier run when the plan was begun before."""
        with self._transaction() as db:
            hash_ = plan.hash if plan.kind in ("write", "undo") else None  # the others' runs are told apart by name
            if hash_ and (known := db.execute("select run from runs where plan_hash = ?", (hash_,)).fetchone()):
                return known["run"]
            db.execute("insert or ignore into runs values (?, ?, ?, ?, ?, null)", (run, hash_, plan.kind, plan.undo_of, _now()))
            self._add(db, run, plan.entries)
        return run

    def add(self, run: str, entries: Iterable[Entry]) -> None:
        """More entries of a run, each once."""
        with self._transaction() as db:
            self._add(db, run, entries)

    def _add(self, db: sqlite3.Connection, run: str, entries: Iterable[Entry]) -> None:
        first = db.execute("select coalesce(max(seq), 0) + 1 from entries where run = ?", (run,)).fetchone()[0]
        rows = [
            (run, first + i, e.key, e.connection, e.object, e.action, e.id, self._seal(e.email), self._seal(orjson.dumps(asdict(e)).decode()),
             "pending" if e.action in WRITES else e.action, e.code or None, self._seal(e.reason or None))
            for i, e in enumerate(entries)
        ]  # fmt: skip
        db.executemany(
            "insert or ignore into entries (run, seq, key, connection, object, action, id, email, entry, state, code, reason) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def entries(self, run: str, *, states: Iterable[State] | None = None, connection: str | None = None) -> list[Outgoing]:
        """The entries of a run, in its order."""
        chosen = tuple(states) if states else None
        sql = f"select {_ENTRY} from entries where run = ?"
        sql += f" and state in ({', '.join('?' * len(chosen))})" if chosen else ""
        sql += " and connection = ?" if connection else ""
        rows = self._db.execute(f"{sql} order by seq", (run, *(chosen or ()), *([connection] if connection else [])))
        return [self._outgoing(row) for row in rows]

    def states(self, run: str) -> dict[str, dict[str, int]]:
        """How many entries of a run are in each state, by connection."""
        found: dict[str, dict[str, int]] = {}
        sql = "select connection, state, count(*) from entries where run = ? group by connection, state"
        for connection, state, number in self._db.execute(sql, (run,)):
            found.setdefault(connection, {})[state] = number
        return found

    def with_state(self, states: Iterable[State]) -> list[Outgoing]:
        """The entries of all runs that are in one of these states, oldest first."""
        chosen = tuple(states)
        sql = f"select {_ENTRY} from entries where state in ({', '.join('?' * len(chosen))}) order by rowid"
        return [self._outgoing(row) for row in self._db.execute(sql, chosen)]

    def newest(self) -> list[Outgoing]:
        """The newest entry of each record, and all those that are not done yet, oldest first."""
        sql = (
            f"select {_ENTRY} from entries where state in ('pending', 'sent') "
            "or rowid in (select max(rowid) from entries group by connection, key) order by rowid"
        )
        return [self._outgoing(row) for row in self._db.execute(sql)]

    def sending(self, run: str, keys: Iterable[str]) -> None:
        """These are about to be sent: on disk before the call is made."""
        moment = time.time()
        with self._transaction() as db:
            db.executemany(
                "update entries set state = 'sent', sent_at = ?, attempts = attempts + 1 where run = ? and key = ?",
                [(moment, run, key) for key in keys],
            )

    def record(self, run: str, results: Iterable[Result], *, restore: bool = False) -> None:
        """How these entries ended; what was written becomes the base. `restore` is for an undo: the base of before comes back."""
        written: list[tuple[Result, Outgoing]] = []
        with self._transaction() as db:
            for r in results:
                db.execute(
                    "update entries set state = ?, id = coalesce(?, id), code = ?, reason = ?, retryable = ?, ignored = ?, done_at = ? "
                    "where run = ? and key = ?",
                    (r.state, r.id, r.code, self._seal(r.reason), r.retryable, orjson.dumps(r.ignored).decode(), _now(), run, r.key),
                )
                if r.state in DONE:
                    row = db.execute(f"select {_ENTRY} from entries where run = ? and key = ?", (run, r.key)).fetchone()
                    self._move_base(db, self._outgoing(row), restore)
                    if r.state != "unchanged":
                        written.append((r, self._outgoing(row)))
            # Before the results are: after a kill between the two an entry is there twice, never not at all.
            self._write_down(written)

    def _write_down(self, written: Iterable[tuple[Result, Outgoing]]) -> None:
        """Each record that changed in a CRM for the audit log: what was there and what is there now, sealed for the person."""
        key = keys.load(self._settings)
        operations = []
        for r, one in written:
            e = one.entry
            about = [subjects.of_record(key, e.connection, one.id)] if one.id else []
            about += [subjects.of_address(key, e.email)] if e.email and not one.id else []
            about += [subjects.of_customer(key, e.customer_key)] if e.customer_key and not about else []
            payload = {
                "record": f"{e.connection}:{one.id or ''}", "email": e.email, "before": {c.to: c.old for c in one.changes},
                "after": {c.to: c.new for c in one.changes} if r.state != "deleted" else None,
            }  # fmt: skip
            more = {"run": one.run, "object": e.object, "fields": [c.to for c in one.changes]}
            operations.append(Operation("writeback", e.connection, r.state, 1, more, tuple(about), payload if about else None))
        record(self._settings, *operations)

    def _move_base(self, db: sqlite3.Connection, done: Outgoing, restore: bool) -> None:
        e, id_ = done.entry, done.id
        if done.entry.action == "delete" or not id_:
            db.execute("delete from base where connection = ? and object = ? and id = ?", (e.connection, e.object, id_))
            return
        for c in done.changes:
            if restore and not c.had_base:
                db.execute(
                    "delete from base where connection = ? and object = ? and id = ? and field = ?", (e.connection, e.object, id_, c.field)
                )
            else:
                value = c.base if restore else None if c.new is None else str(c.new)
                row = (e.connection, e.object, id_, c.field, c.to, self._seal(value), done.run, _now())
                db.execute("insert or replace into base values (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def write_down_run(self, run: str, connections: Iterable[str], *, complete: bool) -> None:
        """How the entries of a run stand in these connections, for the audit log: those that were not written too."""
        states = {name: found for name, found in self.states(run).items() if name in set(connections)}
        if states:
            count = sum(number for found in states.values() for number in found.values())
            record(self._settings, Operation("writeback_run", run, "ok" if complete else "incomplete", count, {"entries": states}))

    def end(self, run: str) -> None:
        """Note that nothing of a run is open any more, if that is so."""
        with self._transaction() as db:
            db.execute(
                "update runs set ended_at = ? where run = ? and ended_at is null "
                "and not exists (select 1 from entries where entries.run = runs.run and state in ('pending', 'sent'))",
                (_now(), run),
            )

    def reopen(self, keys: Iterable[tuple[str, str]]) -> int:
        """Send these rejected or conflicting entries (run, key) once more; gives how many there are."""
        with self._transaction() as db:
            done = 0
            for run, key in keys:
                done += db.execute(
                    "update entries set state = 'pending', retryable = 0, code = null, reason = null, done_at = null "
                    "where run = ? and key = ? and state in ('rejected', 'conflict') and action in ('create', 'update', 'delete')",
                    (run, key),
                ).rowcount
                db.execute("update runs set ended_at = null where run = ?", (run,))
        return done

    def run(self, run: str) -> sqlite3.Row | None:
        """One run's row: run, plan_hash, kind, undo_of, started_at, ended_at."""
        return self._db.execute("select * from runs where run = ?", (run,)).fetchone()

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first, each with how many entries are in each state."""
        counts: dict[str, dict[str, int]] = {}
        for run, state, number in self._db.execute("select run, state, count(*) from entries group by run, state order by state"):
            counts.setdefault(run, {})[state] = number
        rows = self._db.execute("select * from runs order by started_at desc, run desc").fetchall()
        return [{**dict(row), "states": counts.get(row["run"], {})} for row in rows]

    def open_creates(self, connection: str) -> dict[str, str]:
        """E-mail address, lower case -> run, of the contacts that are still to be made in a connection."""
        rows = self._db.execute(
            "select email, run from entries where connection = ? and action = 'create' and state in ('pending', 'sent') and email is not null",
            (connection,),
        )
        return {(self._open(email) or "").lower(): run for email, run in rows}

    def bases(self, connection: str) -> dict[tuple[str, str], dict[str, Known]]:
        """(object, id) -> our field -> what we last wrote there, in one connection."""
        found: dict[tuple[str, str], dict[str, Known]] = {}
        for row in self._db.execute("select object, id, field, value from base where connection = ?", (connection,)):
            found.setdefault((row["object"], row["id"]), {})[row["field"]] = Known(self._open(row["value"]))
        return found

    def base_rows(self) -> list[dict[str, Any]]:
        """Everything that we last wrote: connection, object, id, field, to_field, value, run, written_at."""
        rows = self._db.execute("select * from base order by connection, object, id, field")
        return [{**dict(row), "value": self._open(row["value"])} for row in rows]

    def call(self, call: str, run: str, connection: str, what: str, request: Mapping[str, Any]) -> None:
        """Note a call for a single contact, before anything is asked of the CRM."""
        with self._transaction() as db:
            db.execute(
                "insert or ignore into calls values (?, ?, ?, ?, ?, 'pending', null, ?)",
                (call, run, connection, what, self._seal(orjson.dumps(dict(request)).decode()), _now()),
            )

    def call_ended(self, call: str, *, reason: str | None = None, pending: bool = False) -> None:
        """The call is done, or is still to be done, and why. What was asked is kept only as long as it is needed."""
        with self._transaction() as db:
            if pending:
                db.execute("update calls set reason = ? where call = ?", (self._seal(reason), call))
            else:
                done = "update calls set state = 'done', request = ?, reason = ? where call = ?"
                db.execute(done, (self._seal("{}"), self._seal(reason), call))

    def pending_calls(self) -> list[dict[str, Any]]:
        """The calls that are not done, oldest first: call, run, connection, what, request, reason, made_at."""
        rows = self._db.execute("select * from calls where state = 'pending' order by made_at, call")
        return [
            {**dict(row), "request": orjson.loads(self._open(row["request"]) or ""), "reason": self._open(row["reason"])} for row in rows
        ]

    def _outgoing(self, row: sqlite3.Row) -> Outgoing:
        entry = Entry.of(orjson.loads(self._open(row["entry"]) or ""))
        return Outgoing(
            row["run"], row["key"], entry, row["state"], row["id"], row["code"], self._open(row["reason"]), bool(row["retryable"]),
            tuple(orjson.loads(row["ignored"])), row["attempts"], row["sent_at"],
        )  # fmt: skip

    def _seal(self, text: str | None) -> str | None:
        return None if text is None else self._sealer.text(text, SEALED)

    def _open(self, text: str | None) -> str | None:
        return None if text is None else self._sealer.opened(text, SEALED, self._path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
