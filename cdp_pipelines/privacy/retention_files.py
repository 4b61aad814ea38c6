"""What goes by age beside the warehouse: notifications, write-backs, plans, payloads of the audit log, logs, exports, certificates.

Each function gives how many entries or files are older than a moment, and takes them away with `apply`.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.certificate import folder_of
from cdp_pipelines.privacy.stores import opened
from cdp_pipelines.writeback.outbox import there_is_one

_OF_ENDED_RUNS = "state not in ('pending', 'sent') and run in (select run from runs where ended_at < ?)"
_RUNS_OF_DAGSTER_ENDED = ("SUCCESS", "FAILURE", "CANCELED")


def inbox_done(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Notifications that were followed."""
    return _of_inbox(settings, "events", "state = 'done' and ended_at < ?", _text(before), apply=apply)


def inbox_dead(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Notifications that were given up."""
    return _of_inbox(settings, "events", "state = 'dead' and ended_at < ?", _text(before), apply=apply)


def inbox_refusals(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Counts of calls that were refused, by day."""
    return _of_inbox(settings, "refusals", "day < ?", before.date().isoformat(), apply=apply)


def _of_inbox(settings: Settings, table: str, where: str, value: str, *, apply: bool) -> int:
    return _take(settings.inbox, [(table, where)], value, apply=apply) if settings.inbox.exists() else 0


def outbox(settings: Settings, before: datetime, *, apply: bool) -> int:
    """How the records of ended runs ended, and calls that are done. What we last wrote to each field stays, and the runs as such."""
    done = [("entries", _OF_ENDED_RUNS), ("calls", "state = 'done' and made_at < ?")]
    return _take(settings.writeback_dir / "outbox.sqlite", done, _text(before), apply=apply) if there_is_one(settings) else 0


def plans(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Plans, but those of runs that are under way. One that is gone cannot be applied any more."""
    folder = settings.writeback_dir / "plans"
    old = set(_older(folder.glob("*.json"), before))
    if not old:
        return 0
    with opened(settings.writeback_dir / "outbox.sqlite") as db:
        under_way = "select p.path from plans p join runs r on r.plan_hash = p.hash where r.ended_at is null"
        old -= {folder / Path(path).name for (path,) in db.execute(under_way)}
        if apply:
            for path in old:
                path.unlink()
            gone = [(hash_,) for hash_, path in db.execute("select hash, path from plans").fetchall() if folder / Path(path).name in old]
            db.executemany("delete from plans where hash = ?", gone)
    return len(old)


def audit_payloads(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Salts of the subjects of whom nothing newer is sealed: without one a payload is no more than noise, and the chain holds."""
    log, newest = AuditLog(settings), dict[str, str]()
    for entry in log.entries():
        if "sealed" in entry:
            newest |= dict.fromkeys(entry["subjects"], entry["at"])
    old = log.vault.known(subject for subject, at in newest.items() if datetime.fromisoformat(at) < before)
    if apply and old:
        log.vault.destroy(old)
    return len(old)


def logs(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Files that nobody has written to since."""
    data = settings.data_dir
    found = [*(data / "logs").glob("*"), *(data / "dbt" / "logs").glob("*"), *(data / "dagster" / "storage").glob("**/compute_logs/*")]
    return _take_files((path for path in found if path.is_file()), before, apply=apply)


def exports(settings: Settings, before: datetime, *, apply: bool) -> int:
    """What was handed out on people."""
    return _take_files((settings.data_dir / "exports").glob("*"), before, apply=apply)


def certificates(settings: Settings, before: datetime, *, apply: bool) -> int:
    """Certificates of erasures; the audit log keeps that there was one."""
    return _take_files(folder_of(settings).glob("*"), before, apply=apply)


def dagster_runs(settings: Settings, before: datetime) -> int:
    """How many ended runs of Dagster are older. Only Dagster deletes them."""
    path = settings.data_dir / "dagster" / "history" / "runs.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        asked = f"select count(*) from runs where status in ({', '.join('?' * len(_RUNS_OF_DAGSTER_ENDED))}) and update_timestamp < ?"
        return db.execute(asked, [*_RUNS_OF_DAGSTER_ENDED, f"{before:%Y-%m-%d %H:%M:%S}"]).fetchone()[0]


def _take(path: Path, what: Iterable[tuple[str, str]], value: str, *, apply: bool) -> int:
    """Rows of a SQLite file; their place in it is overwritten."""
    count = 0
    with opened(path) as db:
        for table, where in what:
            count += db.execute(f"select count(*) from {table} where {where}", [value]).fetchone()[0]
            if apply:
                db.execute(f"delete from {table} where {where}", [value])
    return count


def _take_files(paths: Iterable[Path], before: datetime, *, apply: bool) -> int:
    old = _older(paths, before)
    for path in old if apply else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(old)


def _older(paths: Iterable[Path], before: datetime) -> list[Path]:
    return [path for path in paths if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
