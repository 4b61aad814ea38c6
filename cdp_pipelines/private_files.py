"""Files for their owner alone: what this project writes holds people's data. Whole or not there, and on the disk when a block ends."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

GROUP_AND_OTHERS = 0o077


def keep_new_files_private() -> None:
    """From here on this process and those that it starts make files that only their owner may read. For entry points, never for a library."""
    os.umask(GROUP_AND_OTHERS)


def make_private(path: Path) -> None:
    """Take a file that is there from everybody but its owner."""
    mode = path.stat().st_mode & 0o777
    if mode & GROUP_AND_OTHERS:
        os.chmod(path, mode & ~GROUP_AND_OTHERS)


@contextmanager
def replaced(path: Path, *, mode: int | None = None) -> Generator[Path]:
    """A file beside that takes this one's place when the block ends well; its folder is made where there is none.

    It has this permission mode; unless given, that of the file that it replaces, or its owner's alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.touch(mode=0o600)
        yield new
        os.chmod(new, mode or (path.stat().st_mode & 0o777 if path.exists() else 0o600))
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        new.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file, or write it anew, for its owner alone."""
    with replaced(path, mode=0o600) as new:
        new.write_bytes(content)


@contextmanager
def private_database(path: Path, schema: str) -> Generator[sqlite3.Connection]:
    """A SQLite file for its owner alone, made where there is none. What is deleted is overwritten; whoever writes commits."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=60)
    try:
        db.execute("pragma synchronous = full")
        db.execute("pragma secure_delete = on")
        db.executescript(schema)
        yield db
    finally:
        db.close()
