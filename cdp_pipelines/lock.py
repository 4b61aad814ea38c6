"""One process at a time may open the warehouse: a lock file, shared by the command line and Dagster, that says who has it."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from cdp_pipelines.config import ConfigError, Settings


class WarehouseBusy(Exception):
    """Another process kept the warehouse for longer than we wait."""


@contextmanager
def warehouse_lock(
    settings: Settings, what: str, on_wait: Callable[[str], None] | None = None, *, any_key: bool = False
) -> Generator[None]:
    """Hold the warehouse for `what` (a few words, shown to whoever waits). Nested use by one process is fine.

    `any_key` is for who brings files to another key: that the warehouse does not open with the one that is set is no fault then.
    Waits `settings.lock_wait_seconds`, telling `on_wait` once who has it; then raises WarehouseBusy.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.data_dir / "warehouse.lock", is_singleton=True)
    holder = settings.data_dir / "warehouse.lock.json"
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


def _who(holder: os.PathLike[str]) -> str:
    try:
        with open(holder) as file:
            said = json.load(file)
        return f"{said['what']} (process {said['pid']}, {said['command']}, since {said['since'][:19]}Z)"
    except (OSError, ValueError, KeyError):
        return "another process"
