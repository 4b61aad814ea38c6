"""The one door to DuckDB files: every one that this project opens is opened here, encrypted where a key is set.

DuckDB encrypts a file (AES-256-GCM), its log and what it puts aside while it works, with the OpenSSL of its httpfs extension: the one that
is built in reads only. The extension comes as a Python package; nothing is downloaded. An encrypted file cannot be connected to, only
attached, so that the connection is to a database in memory that has the file attached under the name that it would have had.

What does not fit in memory DuckDB puts aside in files: beside a file that is connected to, and in one folder of the data directory where the
database is in memory, so that a job larger than the machine needs room there and nowhere else.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cdp_pipelines import encryption
from cdp_pipelines.config import Settings
from cdp_pipelines.duckdb_extensions import file_of
from cdp_pipelines.encryption import EncryptionKey
from cdp_pipelines.engines.choice import elsewhere

# DuckDB would look for extensions in its user's home directory, and on the network.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_opening = threading.Lock()


@dataclass(frozen=True)
class Aside:
    """Where a database in memory puts what does not fit, whether that is encrypted, and from how much on (None: DuckDB's own four fifths)."""

    folder: Path
    encrypted: bool
    memory_limit: str | None = None


def connect(settings: Settings, path: Path, *, read_only: bool = False, no_way_out: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB file, made where there is none. Close it, or use it in a `with` block.

    `no_way_out` is for other people's queries: neither other files nor the network can be reached. Raises ConfigError when the file does
    not open with the key that is set, and DuckDB's errors.
    """
    key = encryption.load(settings)
    if key is None:
        config = _limit(settings.memory_limit) | ({"enable_external_access": "false"} if no_way_out else {})
        try:
            if not read_only and not path.exists():
                _make(path)
            return _with_engine(settings, path, duckdb.connect(str(path), read_only=read_only, config=config))
        except duckdb.Error as error:
            raise _said(error, path, key) from None
    # Connections of one process to one file have to share the database that has it attached: two would write over each other.
    name = "" if read_only else hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    with _opening:
        db = duckdb.connect(f":memory:{name}", config=_CONFIG | _limit(settings.memory_limit))
        try:
            load_crypto(db, Path(f"{path}.tmp"))
            attach(settings, db, path, path.stem, read_only=read_only)
            db.execute(f"use {_identifier(path.stem)}")
            if no_way_out:
                db.execute("set enable_external_access = false")
        except BaseException:
            db.close()
            raise
    return _with_engine(settings, path, db)


def _with_engine(settings: Settings, path: Path, db: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Where the tables are elsewhere, the warehouse file has views of them, which need the engine's extensions."""
    if path == settings.warehouse and (engine := elsewhere(settings)) is not None:
        engine.prepare(db)
    return db


def _make(path: Path) -> None:
    """An empty file in the format of the DuckDB that is asked for here: it takes less processor time to write than the oldest one, which
    DuckDB makes otherwise so that clients of years ago can read it."""
    with duckdb.connect() as db:
        db.execute(f"attach '{quoted(path)}' as made (storage_version 'v1.4.0')")


def in_memory(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A database in memory, to which files are attached, or which works on what is too large for memory: that is encrypted too."""
    return scratch(put_aside(settings))


def put_aside(settings: Settings) -> Aside:
    """Where DuckDB puts what does not fit in memory: encrypted where a key is set."""
    return Aside(settings.data_dir / "duckdb.tmp", encryption.load(settings) is not None, settings.memory_limit)


def scratch(aside: Aside | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory for what comes and goes. None: for what is small, since DuckDB would put more aside wherever the program runs."""
    if aside is None:
        return duckdb.connect()
    if aside.encrypted:
        db = duckdb.connect(config=_CONFIG | _limit(aside.memory_limit))
        load_crypto(db, aside.folder)
        return db
    return duckdb.connect(config=_limit(aside.memory_limit) | {"temp_directory": str(aside.folder)})


def memory_limit(settings: Settings) -> str:
    """How much memory DuckDB takes, in its own words: as much as is set, else what it would take by itself."""
    if settings.memory_limit:
        return settings.memory_limit
    with duckdb.connect() as db:
        return db.execute("select current_setting('memory_limit')").fetchall()[0][0]


def _limit(memory: str | None) -> dict[str, str | bool | int | float | list[str]]:
    return {"memory_limit": memory} if memory else {}


def attach(settings: Settings, db: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool = False) -> None:
    """Attach a file to a database of `in_memory` under a name, made where there is none. Raises what `connect` raises."""
    attach_with(encryption.load(settings), db, path, name, read_only=read_only)
    _with_engine(settings, path, db)


def attach_with(key: EncryptionKey | None, db: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool = False) -> None:
    """The same with a key of one's own; None: plain."""
    options = [*(["read_only"] if read_only else []), *([f"encryption_key '{key.of_database(path)}'"] if key else [])]
    given = f" ({', '.join(options)})" if options else ""
    try:
        db.execute(f"attach if not exists '{quoted(path)}' as {_identifier(name)}{given}")
    except duckdb.Error as error:
        raise _said(error, path, key) from None


def quoted(text: object) -> str:
    """A text between quotes of SQL."""
    return str(text).replace("'", "''")


def load_crypto(db: duckdb.DuckDBPyConnection, put_aside: Path) -> None:
    """Let a connection write encrypted files, and encrypt what it puts aside in a folder. Raises ConfigError without the extension."""
    load_extensions(db, "CDP_ENCRYPTION_KEY", "httpfs")
    # Once for all connections of a process: DuckDB refuses both, to the same value too, as soon as something was put aside.
    if db.execute("select current_setting('temp_directory')").fetchall() != [(str(put_aside),)]:
        db.execute(f"set temp_directory = '{quoted(put_aside)}'")
        db.execute("set temp_file_encryption = true")


def load_extensions(db: duckdb.DuckDBPyConnection, setting: str, *names: str) -> None:
    """Load extensions into a connection; `setting` is the one that needs them. Raises ConfigError, see `duckdb_extensions.file_of`."""
    for name in names:
        db.execute(f"load '{quoted(file_of(name, setting))}'")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _said(error: duckdb.Error, path: Path, key: EncryptionKey | None) -> Exception:
    text = str(error)
    if "without a key" in text or "Wrong encryption key" in text:
        return encryption.refused(path, key)
    if key is not None and "is not encrypted" in text:
        return encryption.not_encrypted(path, key.setting)
    return error
