"""Everything that is held of a person, handed out: one JSON file, and a CSV file for each table, with where each row comes from."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson

from cdp_pipelines import history
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.showing import entries_about
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.privacy import person as people_of
from cdp_pipelines.privacy.erasing import pseudonyms
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.needles import Needles
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.stores import opened, outbox_entries
from cdp_pipelines.privacy.suppression import Suppression
from cdp_pipelines.privacy.warehouse_rows import other_rows, raw_rows


@dataclass(frozen=True)
class Exported:
    """Where it was written, and how many rows of each table or store."""

    folder: Path
    rows: dict[str, int]


def export(settings: Settings, person: Person, folder: Path | None = None) -> Exported:
    """Write everything held on a person to a new folder, readable by its owner alone (`exports/` in the data directory unless given).

    An erasure removes what lies in `exports/`. Raises ConfigError when the folder is there or cannot be made, WarehouseBusy.
    """
    target = folder or settings.data_dir / "exports" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    try:
        target.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise ConfigError(str(target), f"cannot be made ({error.strerror})", "Give a folder that is not there yet.") from None
    found = {place: rows for place, rows in _held(settings, person).items() if rows}
    told = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "asked": person.asked, "customer_keys": sorted(person.keys),
        "records": [":".join(one) for one in sorted(person.ids)], "held": found,
    }  # fmt: skip
    _write(target / "person.json", orjson.dumps(told, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    for place, rows in found.items():
        _write_csv(target / f"{place}.csv", rows)
    log, counts = AuditLog(settings), {place: len(rows) for place, rows in found.items()}
    about = tuple(pseudonyms(log, person, Hasher.of_settings(settings)))
    log.append([Operation("export", "person", "ok", sum(counts.values()), {"tables": counts}, about)])
    return Exported(target, counts)


def _held(settings: Settings, person: Person) -> dict[str, list[dict[str, Any]]]:
    """Rows by table or store. Raw rows have the connection that they came by and when they were read; the provenance table says who won."""
    hasher = Hasher.of_settings(settings)
    found: dict[str, list[dict[str, Any]]] = {}
    with warehouse_lock(settings, "cdp privacy export"), history.opened(settings) as db:
        listed = Suppression(hasher, {h: "asked" for _, h in person.hashes(hasher)})
        found |= dict(raw_rows(db, listed))
        person.ids |= listed.learnt
        found |= dict(other_rows(db, settings.warehouse.stem, person))
    needles = Needles(person.needles(hasher), people_of.ids_by_connection(person.ids)).of_kinds("e-mail address", "id")
    found["change_notifications"] = _notifications(settings, person)
    found["write_backs"] = outbox_entries(settings, person, needles)
    log = AuditLog(settings)
    found["audit_log"] = entries_about(log, pseudonyms(log, person, hasher))
    return found


def _notifications(settings: Settings, person: Person) -> list[dict[str, Any]]:
    if not settings.inbox.exists():
        return []
    names = ("connection", "object", "record_id", "what", "occurred_at", "received_at", "state")
    with opened(settings.inbox) as db:
        rows = db.execute(f"select {', '.join(names)} from events order by id").fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows if (row[0], row[2]) in person.ids]


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return orjson.dumps(value, default=_plain).decode() if isinstance(value, list | dict) else _plain(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
