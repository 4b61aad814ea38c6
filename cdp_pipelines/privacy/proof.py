"""Whether anything is left: every byte of every file is looked at, and the texts of the files that compress what they hold."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.needles import Needles
from cdp_pipelines.privacy.stores import files_of
from cdp_pipelines.privacy.warehouse_rows import quoted, still_there


@dataclass
class Proof:
    """What was looked at. `found` has, for each place (a file, a table's column), the kinds of values that are still there."""

    files: int = 0
    bytes: int = 0
    values: int = 0
    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, place: str, kind: str) -> None:
        """A value of a kind was found in a place."""
        kinds = self.found.setdefault(place, [])
        if kind not in kinds:
            kinds.append(kind)


def search(settings: Settings, needles: Needles, *, leave_out: Path | None = None) -> Proof:
    """Look for values in all files under the data directory but the sandbox's and one of our own."""
    proof = Proof(values=len(needles.values))
    wanted = needles.encoded()
    kinds = {text.lower(): kind for text, kind in needles.values.items()}
    for path in files_of(settings):
        if path == leave_out:
            continue
        name = str(path.relative_to(settings.data_dir))
        proof.files += 1
        proof.bytes += _search_bytes(path, name, wanted, proof)
        if path.suffix == ".duckdb":
            _search_tables(path, name, needles, kinds, proof)
        elif path.suffix == ".parquet":
            text = "\n".join(str(value) for column in pq.read_table(path).columns for value in column.to_pylist())
            for value, kind in kinds.items():
                if value in text.lower():
                    proof.add(name, kind)
    return proof


def _search_bytes(path: Path, name: str, wanted: dict[bytes, str], proof: Proof) -> int:
    size = path.stat().st_size
    if size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for value, kind in wanted.items():
                if content.find(value) >= 0:
                    proof.add(name, kind)
    return size


def _search_tables(path: Path, name: str, needles: Needles, kinds: dict[str, str], proof: Proof) -> None:
    with duckdb.connect() as db:
        db.execute(f"attach '{quoted(path)}' as looked_at (read_only)")
        for place, value in still_there(db, "looked_at", needles):
            proof.add(f"{name}: {place}", kinds.get(value, "value"))
