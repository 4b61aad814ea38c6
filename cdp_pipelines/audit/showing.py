"""The log for people: the entries that somebody asks for, and their payloads where they can still be opened."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from cdp_pipelines.audit import subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import ConfigError, Settings

DESTROYED = "destroyed: the person was erased"
AT_ONCE = 1_000


@dataclass(frozen=True)
class Wanted:
    """Which entries: operations (all, where empty), from when on, about whom (see `subjects.of_text`, or a pseudonym)."""

    what: frozenset[str] = frozenset()
    since: datetime | None = None
    subject: str | None = None


def newest(settings: Settings, wanted: Wanted, limit: int, *, opened: bool = False) -> list[dict[str, Any]]:
    """The newest entries, oldest first; `opened` adds each one's `payload`, and is written down."""
    log = AuditLog(settings)
    found = list(deque(chosen(log, wanted), maxlen=limit))
    if opened:
        found = list(_opened(log, found))
        _write_down(log, wanted, "show", len(found))
    return found


def export(settings: Settings, wanted: Wanted, path: Path, *, opened: bool = False) -> int:
    """Write entries to a new file, one a line; gives how many. Raises ConfigError when the file is there or cannot be made."""
    log = AuditLog(settings)
    found: Iterable[dict[str, Any]] = chosen(log, wanted)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be made ({error.strerror})", "Give a file that is not there yet.") from None
    count = 0
    with os.fdopen(descriptor, "wb") as file:
        for entry in _opened(log, found) if opened else found:
            file.write(orjson.dumps(entry) + b"\n")
            count += 1
    _write_down(log, wanted, "export", count, opened=opened)
    return count


def chosen(log: AuditLog, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The entries that are asked for, as they stand in the log."""
    names = {*subjects.of_text(log.key, wanted.subject), wanted.subject} if wanted.subject else None
    for entry in log.entries():
        if wanted.what and entry["what"] not in wanted.what:
            continue
        if wanted.since and datetime.fromisoformat(entry["at"]) < wanted.since:
            continue
        if names is None or not names.isdisjoint(entry.get("subjects", ())):
            yield entry


def entries_about(log: AuditLog, names: Iterable[str]) -> list[dict[str, Any]]:
    """All entries about one of these pseudonyms, opened."""
    wanted = set(names)
    return list(_opened(log, [entry for entry in log.entries() if not wanted.isdisjoint(entry.get("subjects", ()))]))


def _opened(log: AuditLog, found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    entries = iter(found)
    while some := list(islice(entries, AT_ONCE)):
        sealed = [entry for entry in some if "sealed" in entry]
        payloads = iter(log.vault.open([(entry["subjects"], entry["sealed"]) for entry in sealed]))
        for entry in some:
            if "sealed" in entry:
                payload = next(payloads)
                yield {**entry, "payload": DESTROYED if payload is None else payload}
            else:
                yield entry


def _write_down(log: AuditLog, wanted: Wanted, how: str, count: int, *, opened: bool = True) -> None:
    about = {"how": how, "opened": opened, "what": sorted(wanted.what)}
    whom = tuple(subjects.of_text(log.key, wanted.subject)) if wanted.subject else ()
    log.append([Operation("audit_read", "audit log", "ok", count, about, whom)])
