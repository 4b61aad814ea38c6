"""`cdp privacy rekey`: every file that is encrypted where a key is set, brought to the key that is set now; from another one, or from none.

Each file is written anew beside the old one and takes its place, so that a kill leaves each with one key or the other, and the next run
goes on. Nothing is changed before every file was seen to open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import duckdb

from cdp_pipelines import database, encryption
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.keys import key_file
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.encryption import PROBE, EncryptionKey, Sealer
from cdp_pipelines.lock import WarehouseBusy, warehouse_lock
from cdp_pipelines.privacy import rewriting
from cdp_pipelines.privacy.stores import compact, dlt_folders, opened
from cdp_pipelines.webhooks import inbox
from cdp_pipelines.writeback import outbox
from cdp_pipelines.writeback.service import writing

Say = Callable[[str], None]


def rekey(settings: Settings, *, decrypt: bool = False, say: Say | None = None) -> list[str]:
    """Bring every file to the key that is set; gives the names of those that were changed, which are none when all have it already.

    With no key set, `decrypt` says that plain files are meant. Raises ConfigError for a file that opens neither with it nor with the previous
    one, WarehouseBusy, WritebackBusy, StillOpen.
    """
    after, before = encryption.load(settings), encryption.previous(settings)
    if after is None and not decrypt:
        raise ConfigError("CDP_ENCRYPTION_KEY", "is not set", "Set the new key; or say --decrypt, which makes every file plain.")
    if after is not None and decrypt:
        raise ConfigError("CDP_ENCRYPTION_KEY", "is set", "Unset it, and set it as CDP_ENCRYPTION_KEY_PREVIOUS, to make every file plain.")
    keys = [after, *([before] if before else []), *([None] if after else [])]
    tell = say or (lambda text: None)
    lock = warehouse_lock(settings, "cdp privacy rekey", tell, any_key=True)
    with lock, writing(settings) if outbox.there_is_one(settings) else nullcontext():
        rewriting.remove_leftovers(settings.data_dir)
        dlt_folders(settings, apply=True)
        todo: list[tuple[Path, Callable[[], None]]] = []
        for path in sorted(settings.data_dir.glob("*.duckdb")):
            if (key := _key_of_database(settings, path, keys)) != after:
                todo.append((path, lambda path=path, key=key: rewriting.rewrite_with(path, key, after, settings.data_dir / "duckdb.tmp")))
        for path in _whole_files(settings):
            content, key = _content(path, keys)
            if key != after:
                todo.append((path, lambda path=path, content=content: Sealer(after).write(path, content)))
        for path, columns, about in (
            (settings.inbox, inbox.SEALED_COLUMNS, inbox.SEALED), (settings.writeback_dir / "outbox.sqlite", outbox.SEALED_COLUMNS, outbox.SEALED),
        ):  # fmt: skip
            if not path.exists():
                continue
            if (key := _key_of_sqlite(path, keys)) == after:
                _empty_log(path)  # what a kill in the middle of an earlier run left there
            else:
                todo.append((path, lambda path=path, key=key, columns=columns, about=about: _reseal(path, key, after, columns, about)))
        for path, change in todo:
            tell(f"{path.name} ...")
            change()
        names = [str(path.relative_to(settings.data_dir)) for path, _ in todo]
        if names:
            about = {"from": before.id if before else None, "to": after.id if after else None}
            record(settings, Operation("rekey", "data directory", "ok", len(names), about))
    return names


def _whole_files(settings: Settings) -> Iterator[Path]:
    """Files whose content is sealed as a whole."""
    identity = settings.data_dir / "identity"
    candidates = [key_file(settings), *(identity / name for name in ("keys.parquet", "aliases.parquet", "overrides.jsonl"))]
    yield from (path for path in candidates if path.exists())
    yield from sorted((settings.privacy_dir / "pending").glob("*.json"))
    yield from sorted((settings.writeback_dir / "plans").glob("*.json"))


def _key_of_database(settings: Settings, path: Path, keys: Sequence[EncryptionKey | None]) -> EncryptionKey | None:
    """The key that opens a DuckDB file. Raises ConfigError when none does, WarehouseBusy when another program has it open."""
    for key in keys:
        with database.scratch(database.Aside(settings.data_dir / "duckdb.tmp", encrypted=True)) as db:
            try:
                database.attach_with(key, db, path, "looked_at", read_only=not path.with_name(f"{path.name}.wal").exists())
                return key
            except ConfigError:
                continue
            except duckdb.IOException as error:
                if "lock" not in str(error):
                    raise
                raise WarehouseBusy(f"{path} is open in another program. Close it there, and run this again.") from None
    raise _none_opens(path)


def _content(path: Path, keys: Sequence[EncryptionKey | None]) -> tuple[bytes, EncryptionKey | None]:
    for key in keys:
        try:
            return Sealer(key).read(path), key
        except ConfigError:
            continue
    raise _none_opens(path)


def _key_of_sqlite(path: Path, keys: Sequence[EncryptionKey | None]) -> EncryptionKey | None:
    with opened(path) as db:
        sealed = db.execute("select 1 from sqlite_master where name = ?", [PROBE]).fetchone()
        probe = db.execute(f"select probe from {PROBE}").fetchone()[0] if sealed else None
    if probe is None:
        if None in keys:
            return None
        raise _none_opens(path)
    for key in filter(None, keys):
        try:
            Sealer(key).opened(probe, PROBE, path)
            return key
        except ConfigError:
            continue
    raise _none_opens(path)


def _reseal(
    path: Path, before: EncryptionKey | None, after: EncryptionKey | None, columns: Mapping[str, Sequence[str]], about: str
) -> None:
    """All sealed texts of a SQLite file, and what says which key they have, in one transaction; then the file is written anew."""
    old, new = Sealer(before), Sealer(after)
    with opened(path) as db:
        for table, names in columns.items():
            if not db.execute("select 1 from sqlite_master where name = ?", [table]).fetchone():
                continue
            for name in names:
                rows = db.execute(f"select rowid, {name} from {table} where {name} is not null").fetchall()
                changed = [(new.text(old.opened(text, about, path), about), number) for number, text in rows]
                db.executemany(f"update {table} set {name} = ? where rowid = ?", changed)
        db.execute(f"drop table if exists {PROBE}")
        if after is not None:
            db.execute(f"create table {PROBE} (probe text not null)")
            db.execute(f"insert into {PROBE} values (?)", (new.text("", PROBE),))
        compact(db, path)


def _empty_log(path: Path) -> None:
    with opened(path) as db:
        compact(db, path)


def _none_opens(path: Path) -> ConfigError:
    return ConfigError(
        "CDP_ENCRYPTION_KEY_PREVIOUS",
        f"does not open {path}, nor does the key that is set",
        "Set it to the key that the file was written with.",
    )
