"""The inbox: events on disk before anybody is told that they arrived. SQLite, since the pipeline has the warehouse to itself.

An event waits (`waiting`) until a run has read again what it names; then it is `done`, and after MAX_TRIES failures `dead`, which only
`replay` ends. Nothing of a record but its id is kept.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from cdp_pipelines.encryption import PROBE, Sealer, check_database
from cdp_pipelines.webhooks.event import Event, What

MAX_TRIES = 5
KEEP_DONE = timedelta(days=7)
# Columns whose texts are sealed where a key is set, by table, and what they are sealed as.
SEALED_COLUMNS = {"events": ("related", "reason")}
SEALED = "inbox"
_WHATS = ", ".join(f"'{what}'" for what in get_args(What))
_SCHEMA = f"""
create table if not exists events (
    id integer primary key autoincrement,
    connection text not null, object text not null, record_id text not null, what text not null check (what in ({_WHATS})),
    occurred_at text, identity text, related text not null, received_at text not null,
    state text not null default 'waiting' check (state in ('waiting', 'done', 'dead')),
    tries integer not null default 0, reason text, ended_at text
);
create unique index if not exists same_event on events (connection, object, identity, record_id) where identity is not null;
create index if not exists waiting on events (id) where state = 'waiting';
create index if not exists ended on events (ended_at) where state = 'done';
create table if not exists logs (connection text primary key, place text not null, read_at text not null);
create table if not exists refusals (
    day text not null, connection text not null, reason text not null, calls integer not null, primary key (day, connection, reason)
);
"""


class InboxFull(Exception):
    """As many events wait as the inbox may hold; the sender should come again later."""


class InboxUnavailable(Exception):
    """The inbox cannot be written (a full disk, say). The text names the file."""


@dataclass(frozen=True)
class Waiting:
    """An event in the inbox, with its place there."""

    id: int
    event: Event
    received_at: datetime
    tries: int


@dataclass(frozen=True)
class Place:
    """How far a CRM's own log of events was read: the CRM's word for the place, and when that was."""

    token: str
    read_at: datetime


class Inbox:
    """The inbox file, for one thread. `most` is how many events may wait."""

    def __init__(self, path: Path, most: int = 1_000_000, sealer: Sealer | None = None):
        self.path, self.most, self._sealer = path, most, sealer or Sealer(None)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        # A commit is on the disk when it returns, also after a power cut.
        self._db.execute("pragma synchronous = full")
        try:
            check_database(self._db, path, self._sealer)
        except BaseException:
            self._db.close()
            raise
        self._db.executescript(_SCHEMA)
        self._key_mark = self._mark()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, events: Sequence[Event], received_at: datetime | None = None, *, log: tuple[str, Place] | None = None) -> int:
        """Keep some events, all or none; gives how many were new. On return they are on the disk.

        `log` is the connection from whose own log they were read and the place from which to go on; it is kept with them.
        Raises InboxFull or InboxUnavailable; nothing was kept then.
        """
        now = _text(received_at or datetime.now(UTC))
        rows = [
            (e.connection, e.object, e.record_id, e.what, _text(e.occurred_at), e.identity or None, self._seal(json.dumps(e.related)), now)
            for e in events
        ]
        try:
            self._db.execute("begin immediate")
            try:
                if self._mark() != self._key_mark:
                    raise InboxUnavailable(f"{self.path} has another encryption key now. Start this program anew with it.")
                if self.waiting_count() + len(rows) > self.most:
                    raise InboxFull(f"{self.path}: {self.most:,} events wait already")
                before = self._db.total_changes
                self._db.executemany(
                    "insert or ignore into events (connection, object, record_id, what, occurred_at, identity, related, received_at) "
                    "values (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
                added = self._db.total_changes - before
                if log:
                    connection, place = log
                    self._db.execute("insert or replace into logs values (?, ?, ?)", (connection, place.token, _text(place.read_at)))
                self._db.execute("commit")
            except BaseException:
                self._db.execute("rollback")
                raise
        except sqlite3.Error as error:
            raise InboxUnavailable(f"{self.path} cannot be written: {error}. Make room on the disk, or mend its permissions.") from error
        return added

    def place(self, connection: str) -> Place | None:
        """How far a CRM's own log was read; None when it never was."""
        found = self._db.execute("select place, read_at from logs where connection = ?", [connection]).fetchone()
        return Place(found[0], datetime.fromisoformat(found[1])) if found else None

    def waiting_count(self) -> int:
        """How many events wait."""
        return self._db.execute("select count(*) from events where state = 'waiting'").fetchone()[0]

    def waiting(self, connections: Iterable[str] | None = None, most: int = 50_000) -> list[Waiting]:
        """The oldest events that wait, up to `most`; of some connections, or of all."""
        chosen = None if connections is None else list(connections)
        where = "" if chosen is None else f"and connection in ({', '.join('?' * len(chosen))})"
        rows = self._db.execute(
            "select id, connection, object, record_id, what, occurred_at, identity, related, received_at, tries from events "
            f"where state = 'waiting' {where} order by id limit ?",
            [*(chosen or []), most],
        )
        return [
            Waiting(
                i,
                Event(c, o, r, w, _moment(at), identity or "", tuple(json.loads(self._open(related)))),
                _moment(received) or _EPOCH,
                tries,
            )
            for i, c, o, r, w, at, identity, related, received, tries in rows
        ]

    def newest(self) -> int:
        """The place of the newest event that waits; 0 when none does."""
        return self._db.execute("select coalesce(max(id), 0) from events where state = 'waiting'").fetchone()[0]

    def done(self, ids: Iterable[int]) -> None:
        """These events were dealt with."""
        now = _text(datetime.now(UTC))
        with self._writing():
            self._db.executemany("update events set state = 'done', reason = null, ended_at = ? where id = ?", [(now, i) for i in ids])
            self._db.execute("delete from events where state = 'done' and ended_at < ?", [_text(datetime.now(UTC) - KEEP_DONE)])

    def forget(self, ids: Iterable[int]) -> None:
        """Take out events that were dealt with, since they name somebody of whom nothing is to be kept."""
        self._db.execute("pragma secure_delete = on")
        with self._writing():
            self._db.executemany("delete from events where id = ? and state = 'done'", [(i,) for i in ids])

    def failed(self, ids: Iterable[int], reason: str) -> None:
        """These could not be dealt with this time; after MAX_TRIES failures they are dead."""
        now = _text(datetime.now(UTC))
        with self._writing():
            self._db.executemany(
                "update events set tries = tries + 1, reason = ?, state = case when tries + 1 >= ? then 'dead' else 'waiting' end, "
                "ended_at = case when tries + 1 >= ? then ? end where id = ?",
                [(self._seal(reason[:500]), MAX_TRIES, MAX_TRIES, now, i) for i in ids],
            )

    def replay(
        self, *, since: datetime | None = None, connection: str | None = None, record_id: str | None = None, dead: bool = False
    ) -> int:
        """Let events wait again that are done or dead (only those, with `dead`); gives how many. At least one condition must be given.

        When they happened is forgotten: how long ago that was says nothing any more of how fast events are followed.
        """
        if since is None and connection is None and record_id is None and not dead:
            raise ValueError("replay needs a time, a connection, a record or `dead`")
        conditions, values = [f"state in ({repr('dead') if dead else repr('done') + ', ' + repr('dead')})"], []
        for condition, value in (("received_at >= ?", _text(since)), ("connection = ?", connection), ("record_id = ?", record_id)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        with self._writing():
            return self._db.execute(
                f"update events set state = 'waiting', tries = 0, ended_at = null, occurred_at = null where {' and '.join(conditions)}",
                values,
            ).rowcount

    def refuse(self, calls: Iterable[tuple[str, str, int]], day: str | None = None) -> None:
        """Count calls that were refused, by connection (empty: none of ours) and reason."""
        today = day or datetime.now(UTC).date().isoformat()
        with self._writing():
            self._db.executemany(
                "insert into refusals values (?, ?, ?, ?) on conflict do update set calls = calls + excluded.calls",
                [(today, connection, reason, count) for connection, reason, count in calls],
            )

    def status(self) -> dict[str, Any]:
        """By connection: events waiting, done and dead, the oldest that waits, the newest that came; and what was refused this week."""
        rows = self._db.execute(
            "select connection, sum(state = 'waiting'), sum(state = 'done'), sum(state = 'dead'), "
            "min(case when state = 'waiting' then received_at end), max(received_at), max(case when state = 'dead' then reason end) "
            "from events group by 1 order by 1"
        )
        names = ("waiting", "done", "dead", "oldest_waiting", "newest", "last_reason")
        week = (datetime.now(UTC) - timedelta(days=7)).date().isoformat()
        refused = self._db.execute("select connection, reason, sum(calls) from refusals where day >= ? group by 1, 2 order by 1, 2", [week])
        return {
            "connections": {
                connection: dict(zip(names, [*rest, reason and self._open(reason)], strict=True)) for connection, *rest, reason in rows
            },
            "refused": [{"connection": c or None, "reason": r, "calls": n} for c, r, n in refused],
        }

    def _mark(self) -> object:
        """Changes when the file is sealed with another key, or with none."""
        there = self._db.execute("select 1 from sqlite_master where name = ?", [PROBE]).fetchone()
        return self._db.execute(f"select probe from {PROBE}").fetchone() if there else None

    def _seal(self, text: str) -> str:
        return self._sealer.text(text, SEALED)

    def _open(self, text: str) -> str:
        return self._sealer.opened(text, SEALED, self.path)

    def _writing(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """All or nothing; one writer at a time, of all processes."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("begin immediate")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("commit" if kind is None else "rollback")


def read_status(path: Path, sealer: Sealer | None = None) -> dict[str, Any] | None:
    """`Inbox.status` of a file that may not be there; None then."""
    if not path.exists() or not os.path.getsize(path):
        return None
    with closing(Inbox(path, sealer=sealer)) as inbox:
        return inbox.status()


def read_place(path: Path, connection: str, sealer: Sealer | None = None) -> Place | None:
    """`Inbox.place` of a file that may not be there."""
    if not path.exists() or not os.path.getsize(path):
        return None
    with closing(Inbox(path, sealer=sealer)) as inbox:
        return inbox.place(connection)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
