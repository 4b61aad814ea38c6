"""One process at a time may open the warehouse: a lock file, shared by the command line and Dagster, that says who has it."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from cdp_pipelines.config import ConfigError, Settings


class WarehouseBusy(Exception):
    """Another process kept the warehouse for longer than we wait."""


@dataclass(frozen=True)
class Holder:
    """Who has the warehouse, or had it last. `holds`: the lock is taken; `runs`: the process is there. Neither: it was killed."""

    what: str
    pid: int
    command: str
    since: datetime
    holds: bool
    runs: bool


@contextmanager
def warehouse_lock(
    settings: Settings, what: str, on_wait: Callable[[str], None] | None = None, *, any_key: bool = False
) -> Generator[None]:
    """Hold the warehouse for `what` (a few words, shown to whoever waits). Nested use by one process is fine.

    `any_key` is for who brings files to another key: that the warehouse does not open with the one that is set is no fault then.
    Waits `settings.lock_wait_seconds`, telling `on_wait` once who has it; then raises WarehouseBusy.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    lock, holder = _files(settings)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait(f"waiting for {_who(holder)}")
        try:
            lock.acquire(timeout=settings.lock_wait_seconds)
        except Timeout:
            raise WarehouseBusy(
                f"{settings.warehouse} is in use by {_who(holder)}. Wait until it ends, or stop it, and run this again."
            ) from None
    try:
        if lock.lock_counter == 1:
            _wait_for_other_programs(settings, on_wait or (lambda text: None), any_key)
            said = {"pid": os.getpid(), "what": what, "command": os.path.basename(sys.argv[0]), "since": datetime.now(UTC).isoformat()}
            holder.write_text(json.dumps(said))
        yield
    finally:
        if lock.lock_counter == 1:
            holder.unlink(missing_ok=True)
        lock.release()


def holder(settings: Settings) -> Holder | None:
    """Who has the warehouse now, or was killed while they had it; None when nobody has and nobody was."""
    if not settings.data_dir.exists():
        return None
    lock, said = _files(settings)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _said(said, holds=True) or Holder("another process", 0, "", datetime.now(UTC), holds=True, runs=True)
    try:
        # While we have the lock nobody else does; unless it was this process all along.
        found = _said(said, holds=False)
        return _said(said, holds=True) if found and found.pid == os.getpid() else found
    finally:
        lock.release()


def _files(settings: Settings) -> tuple[FileLock, Path]:
    return FileLock(settings.data_dir / "warehouse.lock", is_singleton=True), settings.data_dir / "warehouse.lock.json"


def _said(path: Path, *, holds: bool) -> Holder | None:
    """What the holder's file says; None for none, or one that is being written."""
    try:
        said = json.loads(path.read_text())
        since = datetime.fromisoformat(said["since"])
        return Holder(said["what"], said["pid"], said["command"], since, holds, _runs(said["pid"], since))
    except (OSError, ValueError, KeyError):
        return None


def _runs(pid: int, since: datetime) -> bool:
    """Whether the process is there. Ids are given again: one that began later is another one."""
    try:
        return psutil.Process(pid).create_time() <= since.timestamp() + 1
    except psutil.Error:
        return False


def _wait_for_other_programs(settings: Settings, on_wait: Callable[[str], None], any_key: bool) -> None:
    """Wait until no other program has the warehouse open, such as somebody's DuckDB shell, which knows nothing of our lock file."""
    import duckdb

    from cdp_pipelines import database

    said, until = False, time.monotonic() + settings.lock_wait_seconds
    while settings.warehouse.exists():
        try:
            database.connect(settings, settings.warehouse).close()
            return
        except ConfigError:
            if any_key:
                return
            raise
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            holder = f"another program ({found[0]})" if (found := re.search(r"PID \d+", str(error))) else "another program"
        if time.monotonic() >= until:
            raise WarehouseBusy(
                f"{settings.warehouse} is open in {holder}. Close it there, and run this again; {settings.published.name} is the file to query."
            )
        if not said:
            on_wait(f"waiting for {holder}, which has {settings.warehouse.name} open")
            said = True
        time.sleep(min(0.5, settings.lock_wait_seconds))


def _who(path: Path) -> str:
    said = _said(path, holds=True)
    return f"{said.what} (process {said.pid}, {said.command}, since {said.since:%Y-%m-%dT%H:%M:%S}Z)" if said else "another process"
