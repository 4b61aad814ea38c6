"""DuckDB files written anew: what is deleted stays readable in a file's bytes until the file is another one.

Measured on DuckDB 1.5 and 2.0: a value is still there after DELETE and CHECKPOINT, and after VACUUM; it is gone in a file that COPY FROM
DATABASE made of the rows that are left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

from cdp_pipelines import database
from cdp_pipelines.config import Settings
from cdp_pipelines.encryption import EncryptionKey


def rewrite(settings: Settings, path: Path) -> None:
    """Make a new file of the rows, views and descriptions of a DuckDB file that nobody else has open, and let it take the old one's place."""
    new = _beside(path, "new")
    try:
        with database.in_memory(settings) as db:
            database.attach(settings, db, path, "old_file")
            # What a log still has comes into the file first, and the log goes.
            db.execute("checkpoint old_file")
            _copy(settings, db, "old_file", new)
        _take_place(new, path)
        # A log of the old file would be taken for the new one's.
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
        shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)
    finally:
        _remove(new)


def rewrite_changed(settings: Settings, path: Path, change: Callable[[duckdb.DuckDBPyConnection, str], None]) -> None:
    """The same for a file that others may have open for reading: `change` is given a copy of it, attached under the name that it is told."""
    changed, new = _beside(path, "changed"), _beside(path, "new")
    try:
        with database.in_memory(settings) as db:
            database.attach(settings, db, path, "old_file", read_only=True)
            _copy(settings, db, "old_file", changed)
            db.execute("detach old_file")
            database.attach(settings, db, changed, "changed_file")
            change(db, "changed_file")
            _copy(settings, db, "changed_file", new)
        _take_place(new, path)
    finally:
        _remove(changed)
        _remove(new)


def rewrite_with(path: Path, before: EncryptionKey | None, after: EncryptionKey | None, put_aside: Path) -> None:
    """The same with another key; None: plain. A kill leaves the old file or the new one."""
    new = _beside(path, "new")
    try:
        with database.scratch(database.Aside(put_aside, encrypted=True)) as db:
            database.attach_with(before, db, path, "old_file")
            # What a log still has comes into the file first, and the log goes.
            db.execute("checkpoint old_file")
            _remove(new)
            database.attach_with(after, db, new, "target_file")
            db.execute("copy from database old_file to target_file")
            db.execute("checkpoint target_file")
            db.execute("detach target_file")
        _take_place(new, path)
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
        shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)
    finally:
        _remove(new)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of files that it wrote beside others. The caller holds the warehouse lock."""
    for path in (
        *folder.glob(".*.new*"), *folder.glob(".*.changed*"), *(folder / "identity").glob(".*.new"), *(folder / "privacy" / "pending").glob(".*.new"),
    ):  # fmt: skip
        path.unlink(missing_ok=True)


def _copy(settings: Settings, db: duckdb.DuckDBPyConnection, source: str, target: Path) -> None:
    _remove(target)
    database.attach(settings, db, target, "target_file")
    db.execute(f"copy from database {source} to target_file")
    db.execute("checkpoint target_file")
    db.execute("detach target_file")


def _take_place(new: Path, path: Path) -> None:
    os.chmod(new, path.stat().st_mode & 0o777)
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(new, path)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{what}")


def _remove(path: Path) -> None:
    for one in (path, path.with_name(f"{path.name}.wal")):
        one.unlink(missing_ok=True)
