"""The journal: what happened to the sandbox's world since its seed, in order, in one file, so that a restarted sandbox is where it was.

Three kinds of entry: a batch of everyday changes, what a client wrote through a CRM's API, and a record that was purged by hand.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from filelock import FileLock

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox import clock

T = TypeVar("T")
# What a body or query says about who asks, never what is to be done.
_SECRET_PARAMETERS = {"access_token", "hapikey", "client_secret", "client_id", "oauth_token", "sid"}
_SESSION = re.compile(rb"(<(?:\w+:)?sessionId>)[^<]*")


@dataclass(frozen=True)
class Batch:
    """A batch of everyday changes: what `apply_changes` was asked for."""

    seed: int
    at: datetime
    count: int


@dataclass(frozen=True)
class Write:
    """What a client wrote through a CRM's API, without its token. `headers` are those that say how to read the body, or what to do."""

    crm: Kind
    at: datetime
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Purge:
    """A record that was removed for good by hand (`/sandbox/purge`)."""

    crm: Kind
    at: datetime
    id: str


Entry = Batch | Write | Purge


def without_secrets(write: Write) -> Write:
    """The same without tokens and session ids."""
    pairs = parse_qsl(write.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name.lower() not in _SECRET_PARAMETERS]
    query = write.query if len(kept) == len(pairs) else urlencode(kept)
    return Write(write.crm, write.at, write.method, write.path, query, write.headers, _SESSION.sub(rb"\1", write.body))


class Journal:
    """An append-only file of JSON lines, shared by all sandboxes of one data directory, also while several of them run.

    Every line names its world; lines of other worlds are skipped. A sandbox applies the lines that it has not seen before it answers.
    A line is written under a file lock and synced to disk; a torn last line (power cut) is ignored, and removed by the next writer.
    """

    def __init__(self, path: Path, world: str):
        self.path, self.world = path, world
        self._read_up_to = 0
        self._last = datetime.min.replace(tzinfo=UTC)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")

    def news(self) -> list[Entry]:
        """The entries that were added since the last call, by whichever process."""
        try:
            if os.stat(self.path).st_size <= self._read_up_to:
                return []
        except FileNotFoundError:
            return []
        with self.path.open("rb") as file:
            file.seek(self._read_up_to)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._read_up_to += len(whole)
        entries = [_entry(line) for line in map(json.loads, whole.splitlines()) if line["world"] == self.world]
        self._last = max((entry.at for entry in entries), default=self._last)
        return entries

    def add(self, seed: int, count: int, apply: Callable[[Entry], list[T]]) -> list[T]:
        """Apply a batch at this moment (later than any before) and, once that has worked, write it down.

        Entries of other processes that `news` has not given yet are applied first. Gives what `apply` gave for the new one.
        """
        with self.writing(lambda news: [apply(entry) for entry in news]):
            batch = Batch(seed, max(clock.now(), self._last + timedelta(milliseconds=1)), count)
            done = apply(batch)
            self.append(batch)
        return done

    @contextmanager
    def writing(self, apply_news: Callable[[list[Entry]], Any]) -> Generator[None]:
        """Hold the file while something is done and written down with `append`; what others wrote before is applied first."""
        with self._lock:
            if news := self.news():
                apply_news(news)
            yield

    def append(self, entry: Entry) -> None:
        """Write an entry down. To be called inside `writing`."""
        line = (json.dumps({"world": self.world, **_written(entry)}) + "\n").encode()
        with self.path.open("ab") as file:
            file.truncate(self._read_up_to)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._read_up_to += len(line)
        self._last = max(self._last, entry.at)


def _written(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, Batch):
        return {"seed": entry.seed, "at": entry.at.isoformat(), "count": entry.count}
    if isinstance(entry, Purge):
        return {"purge": entry.id, "crm": entry.crm, "at": entry.at.isoformat()}
    try:
        body = {"body": entry.body.decode()}
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(entry.body).decode()}
    request = {"method": entry.method, "path": entry.path, "query": entry.query, "headers": dict(entry.headers)}
    return {"crm": entry.crm, "at": entry.at.isoformat(), **request, **body}


def _entry(line: dict[str, Any]) -> Entry:
    at = datetime.fromisoformat(line["at"])
    if "method" in line:
        body = base64.b64decode(line["base64"]) if "base64" in line else line["body"].encode()
        return Write(line["crm"], at, line["method"], line["path"], line["query"], tuple(line["headers"].items()), body)
    return Purge(line["crm"], at, line["purge"]) if "purge" in line else Batch(line["seed"], at, line["count"])
