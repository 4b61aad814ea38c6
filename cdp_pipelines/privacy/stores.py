"""What lies beside the DuckDB files: the identity store, the inbox, the outbox and its plans, Dagster's and all other SQLite files, texts.

Each function gives how many rows, entries or files it concerns; with `apply` false nothing is changed.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from cdp_pipelines.config import Settings
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.identity import store
from cdp_pipelines.privacy.needles import Needles
from cdp_pipelines.privacy.person import Person, ids_by_connection
from cdp_pipelines.private_files import replaced
from cdp_pipelines.webhooks import inbox as inbox_file
from cdp_pipelines.writeback import outbox as outbox_file

# Texts that programs write beside the data, in which values are replaced. A file of any other kind is named, and left to its owner.
_LOGS = {".log", ".out", ".err", ".json", ".yaml", ".txt", ".sql"}
WAIT_SECONDS = 20
_WRITTEN_BY_US = ("dbt", "dagster", "logs")


class StillOpen(Exception):
    """Another program has a file open, so that it cannot be rewritten. The text names it."""


def identity_store(settings: Settings, person: Person, *, apply: bool) -> Counter[str]:
    """The ledger of keys, where keys went, and decisions of people."""
    counts: Counter[str] = Counter()
    folder = settings.data_dir / "identity"
    for name, gone in (
        ("keys.parquet", lambda row: (row["connection"], row["customer_id"]) in person.ids or row["customer_key"] in person.keys),
        ("aliases.parquet", lambda row: not person.keys.isdisjoint((row["old_key"], row["new_key"]))),
    ):
        path = folder / name
        if path.exists():
            table = store.read_table(settings, path)
            left = [not gone(row) for row in table.to_pylist()]
            counts[f"identity/{name}"] = left.count(False)
            if apply and counts[f"identity/{name}"]:
                store.write_table(settings, path, table.filter(pa.array(left, pa.bool_())))
    path = folder / "overrides.jsonl"
    if path.exists():
        sealer = Sealer.of(settings)
        lines = sealer.read(path).decode().splitlines(keepends=True)
        left_lines = [line for line in lines if line.strip() and not _is_about(json.loads(line), person)]
        counts["identity/overrides.jsonl"] = len(lines) - len(left_lines)
        if apply and len(left_lines) < len(lines):
            sealer.write(path, "".join(left_lines).encode())
    return +counts


def _is_about(decision: dict[str, str], person: Person) -> bool:
    return any((decision[f"{side}_connection"], decision[f"{side}_customer_id"]) in person.ids for side in ("left", "right"))


def inbox(settings: Settings, person: Person, people_objects: dict[str, set[str]], *, apply: bool) -> Counter[str]:
    """Change notifications about the person's records, or that name one. `people_objects` are a connection's objects that are people."""
    counts: Counter[str] = Counter()
    if not settings.inbox.exists():
        return counts
    ids = {connection: set(found) for connection, found in ids_by_connection(person.ids).items()}
    sealer = Sealer.of(settings)
    with opened(settings.inbox) as db:
        rows = db.execute("select id, connection, object, record_id, related from events").fetchall()
        for number, connection, object_name, record, related in rows:
            mine = ids.get(connection, set())
            others = json.loads(sealer.opened(related, inbox_file.SEALED, settings.inbox))
            start, _, end = object_name.partition("/")
            about = record in mine and (not people_objects.get(connection) or start in people_objects[connection])
            if about:
                counts["inbox.events"] += 1
                if apply:
                    db.execute("delete from events where id = ?", (number,))
            elif (not end or end in people_objects.get(connection, {end})) and not mine.isdisjoint(others):
                counts["inbox.events"] += 1
                if apply:
                    db.execute(
                        "update events set related = ?, identity = null where id = ?",
                        (sealer.text(json.dumps([o for o in others if o not in mine]), inbox_file.SEALED), number),
                    )
        if apply and counts:
            compact(db, settings.inbox)
    return counts


def outbox(settings: Settings, person: Person, needles: Needles, *, apply: bool) -> Counter[str]:
    """Entries, what we last wrote, calls and plans about the person. A plan that names the person goes as a whole: it can be made anew."""
    counts: Counter[str] = Counter()
    path = settings.writeback_dir / "outbox.sqlite"
    if path.exists():
        gone: dict[str, set[int]] = {}
        sealer = Sealer.of(settings)
        with opened(path) as db:
            for table, said in {"entries": "entry", "calls": "request"}.items():
                rows = db.execute(f"select rowid, connection, {said} from {table}").fetchall()
                plain = [(number, connection, sealer.opened(text, outbox_file.SEALED, path)) for number, connection, text in rows]
                gone[table] = {number for number, connection, text in plain if _names(connection, text, person, needles)}
            for table in ("entries", "base"):
                rows = db.execute(f"select rowid, connection, id from {table} where id is not null").fetchall()
                gone.setdefault(table, set()).update(number for number, *record in rows if tuple(record) in person.ids)
            counts.update({f"outbox.{table}": len(numbers) for table, numbers in gone.items()})
            if apply and +counts:
                for table, numbers in gone.items():
                    db.executemany(f"delete from {table} where rowid = ?", [(number,) for number in numbers])
                compact(db, path)
    for plan in sorted((settings.writeback_dir / "plans").glob("*")):
        if _plan_names(settings, plan, person, needles):
            counts["plans"] += 1
            if apply:
                plan.unlink()
    return +counts


def outbox_entries(settings: Settings, person: Person, needles: Needles) -> list[dict[str, Any]]:
    """What was written back about the person, or was to be."""
    path = settings.writeback_dir / "outbox.sqlite"
    if not path.exists():
        return []
    with opened(path) as db:
        found = db.execute("select connection, id, entry, run, state, done_at from entries order by rowid").fetchall()
    sealer = Sealer.of(settings)
    rows = [(c, i, sealer.opened(entry, outbox_file.SEALED, path), *rest) for c, i, entry, *rest in found]
    return [
        {"connection": connection, "id": one, "run": run, "state": state, "done_at": done_at, "changes": json.loads(entry)["changes"]}
        for connection, one, entry, run, state, done_at in rows
        if (connection, one) in person.ids or _names(connection, entry, person, needles)
    ]


def _plan_names(settings: Settings, path: Path, person: Person, needles: Needles) -> bool:
    text = Sealer.of(settings).read(path).decode(errors="replace")
    try:
        entries = json.loads(text)["entries"]
    except (ValueError, KeyError, TypeError):
        return needles.found_in(text)
    return any(_names(entry["connection"], json.dumps(entry, ensure_ascii=False), person, needles) for entry in entries)


def _names(connection: str, text: str, person: Person, needles: Needles) -> bool:
    """Whether an entry or request (JSON) is about the person: by record, by customer, or by a value."""
    try:
        said = json.loads(text)
    except ValueError:
        return needles.found_in(text)
    ids = [said.get("id"), *(one[0] for one in said.get("ids") or () if one)]
    return said.get("customer_key") in person.keys or any((connection, one) in person.ids for one in ids) or needles.found_in(text)


def dlt_folders(settings: Settings, *, apply: bool) -> Counter[str]:
    """dlt's working directories with their load packages, and what else a killed extraction left: scratch, since the warehouse remembers."""
    counts: Counter[str] = Counter()
    for name in ("dlt", "unloaded"):
        folder = settings.data_dir / name
        counts[f"{name}/"] = sum(path.is_file() for path in folder.rglob("*")) if folder.exists() else 0
        if apply:
            shutil.rmtree(folder, ignore_errors=True)
    return +counts


def sqlite_files(settings: Settings, needles: Needles, *, apply: bool) -> Counter[str]:
    """Values in all other SQLite files, Dagster's above all, replaced in their texts."""
    counts: Counter[str] = Counter()
    ours = {settings.inbox, settings.writeback_dir / "outbox.sqlite"}
    for path in files_of(settings):
        if path.suffix in (".db", ".sqlite") and path not in ours and _is_sqlite(path):
            with opened(path) as db:
                if count := _replace_texts(db, needles, apply=apply):
                    counts[str(path.relative_to(settings.data_dir))] = count
                    if apply:
                        compact(db, path)
    return counts


def _replace_texts(db: sqlite3.Connection, needles: Needles, *, apply: bool) -> int:
    db.create_function("names_one", 1, lambda text: isinstance(text, str) and needles.found_in(text))
    db.create_function("without_it", 1, needles.without)
    count = 0
    for (table,) in db.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'").fetchall():
        for column in [row[1] for row in db.execute(f'pragma table_info("{table}")')]:
            where = f'typeof("{column}") = \'text\' and names_one("{column}")'
            count += db.execute(f'select count(*) from "{table}" where {where}').fetchone()[0]
            if apply:
                db.execute(f'update "{table}" set "{column}" = without_it("{column}") where {where}')
    return count


def text_files(settings: Settings, needles: Needles, *, apply: bool) -> Counter[str]:
    """Values in logs and other texts that our programs write, replaced; and every export that names the person, removed as a whole."""
    counts: Counter[str] = Counter()
    exports = settings.data_dir / "exports"
    for path in files_of(settings):
        parts = path.relative_to(settings.data_dir).parts
        exported = exports in path.parents
        if not exported and not (parts[0] in _WRITTEN_BY_US and (path.suffix in _LOGS or not path.suffix)):
            continue
        if not path.exists():
            continue  # went with its export
        text = path.read_text(errors="surrogateescape")
        if not needles.found_in(text):
            continue
        counts["/".join(parts[:2] if exported else parts)] = 1
        if apply and exported:
            whole = exports / parts[1]
            shutil.rmtree(whole) if whole.is_dir() else whole.unlink()
        elif apply:
            with replaced(path) as new:
                new.write_text(needles.without(text), errors="surrogateescape")
    return counts


def files_of(settings: Settings) -> Iterator[Path]:
    """The files under the data directory, but for the sandbox's, which stands for the vendors."""
    for folder, names, files in os.walk(settings.data_dir):
        names[:] = sorted(name for name in names if Path(folder, name) != settings.sandbox_dir)
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


@contextmanager
def opened(path: Path) -> Generator[sqlite3.Connection]:
    """A SQLite file in which what is deleted is overwritten. One transaction, which `compact` ends before it rewrites the file."""
    db = sqlite3.connect(path, timeout=60)
    try:
        db.execute("pragma secure_delete = on")
        yield db
        db.commit()
    except sqlite3.OperationalError as error:
        raise StillOpen(
            f"{path} cannot be rewritten ({error}). Stop the program that has it open (Dagster, the receiver), and run this again."
        ) from None
    finally:
        db.close()


def compact(db: sqlite3.Connection, path: Path) -> None:
    """Write the file anew, so that nothing of what was deleted is left in it or beside it."""
    db.commit()
    db.execute("vacuum")
    until = time.monotonic() + WAIT_SECONDS
    while db.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:  # somebody reads
        if time.monotonic() > until:
            raise StillOpen(f"{path} is in use, so that its log cannot be emptied. Stop the program that has it open, and run this again.")
        time.sleep(0.1)
