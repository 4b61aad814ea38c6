"""What must outlive the warehouse: the ledger of customer keys, where keys went, and what people decided.

Files under `identity/` in the data directory. Each is written beside and renamed, so that a kill leaves the old one or the new one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cdp_pipelines.config import Settings
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.identity.overrides import COLUMNS

_OVERRIDES = pa.schema([(name, pa.timestamp("us") if name == "decided_at" else pa.string()) for name in COLUMNS])
_ALIASES = pa.schema([("old_key", pa.string()), ("new_key", pa.string()), ("reason", pa.string()), ("happened_at", pa.timestamp("us"))])


class StoreBroken(Exception):
    """A file of the store cannot be read; the text names it and what to do."""


def ledger(settings: Settings) -> pa.Table | None:
    """The key of every record ever known; None before the first run. Raises StoreBroken."""
    return _parquet(settings, _path(settings, "keys.parquet"))


def aliases(settings: Settings) -> pa.Table:
    """Where keys went, in the order of the runs. Raises StoreBroken."""
    found = _parquet(settings, _path(settings, "aliases.parquet"))
    return _ALIASES.empty_table() if found is None else found.select(_ALIASES.names).cast(_ALIASES)


def overrides(settings: Settings) -> pa.Table:
    """The decisions of people, the oldest first. Raises StoreBroken."""
    path = _path(settings, "overrides.jsonl")
    try:
        text = Sealer.of(settings).read(path).decode() if path.exists() else ""
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        for row in rows:
            row["decided_at"] = datetime.fromisoformat(row["decided_at"]).astimezone(UTC).replace(tzinfo=None)
        return pa.Table.from_pylist(rows, schema=_OVERRIDES)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreBroken(f"{path} cannot be read ({type(error).__name__}). Mend the line, or take the file back from a backup.") from None


def add_override(settings: Settings, override: dict[str, Any]) -> None:
    """Write a decision down, after those that are there. The caller holds the warehouse lock."""
    path = _path(settings, "overrides.jsonl")
    said = {**override, "decided_at": override["decided_at"].astimezone(UTC).isoformat()}
    sealer = Sealer.of(settings)
    before = sealer.read(path).decode() if path.exists() else ""
    sealer.write(path, f"{before}{json.dumps(said, ensure_ascii=False)}\n".encode())


def keep(settings: Settings, new_ledger: pa.Table, new_aliases: pa.Table) -> None:
    """Keep the keys of a run. Where they went comes first: a run after a kill between the two finds the same again, and says it once."""
    write_table(settings, _path(settings, "aliases.parquet"), new_aliases)
    write_table(settings, _path(settings, "keys.parquet"), new_ledger)


def read_table(settings: Settings, path: Path) -> pa.Table:
    """A Parquet file of the store."""
    return pq.read_table(pa.BufferReader(Sealer.of(settings).read(path)))


def write_table(settings: Settings, path: Path, table: pa.Table) -> None:
    """Write a Parquet file of the store anew."""
    written = pa.BufferOutputStream()
    pq.write_table(table, written)
    Sealer.of(settings).write(path, written.getvalue().to_pybytes())


def _path(settings: Settings, name: str) -> Path:
    return settings.data_dir / "identity" / name


def _parquet(settings: Settings, path: Path) -> pa.Table | None:
    if not path.exists():
        return None
    try:
        return read_table(settings, path)
    except (pa.ArrowException, OSError) as error:
        raise StoreBroken(
            f"{path} cannot be read ({type(error).__name__}). Take it back from a backup; without it customers get new keys."
        ) from None
