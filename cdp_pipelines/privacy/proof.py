"""Whether anything is left: every byte of every file is looked at, and the texts of the files that compress what they hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cdp_pipelines import database
from cdp_pipelines.config import Settings
from cdp_pipelines.identity import store
from cdp_pipelines.privacy.needles import Needles
from cdp_pipelines.privacy.stores import files_of
from cdp_pipelines.privacy.warehouse_rows import still_there

PIECE = 32 << 20


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


def search(settings: Settings, needles: Needles, parts: Collection[str] = (), *, leave_out: Path | None = None) -> Proof:
    """Look for values in all files under the data directory but the sandbox's and one of our own.

    `parts` are values, in lower case, that are parts of other people's: they are looked for in tables alone, where each stands by itself.
    """
    proof = Proof(values=len(needles.values))
    wanted = {text.lower(): kind for text, kind in needles.encoded().items() if text.decode().lower() not in parts}
    kinds = {text.lower(): kind for text, kind in needles.values.items()}
    for path in files_of(settings):
        if path == leave_out:
            continue
        name = str(path.relative_to(settings.data_dir))
        proof.files += 1
        proof.bytes += _search_bytes(path, name, wanted, proof)
        if path.suffix == ".duckdb":
            _search_tables(settings, path, name, needles, kinds, proof)
        elif path.suffix == ".parquet":
            texts = {str(value) for column in _parquet(settings, path).columns for value in column.to_pylist()}
            for text in filter(needles.found_in, texts):
                proof.add(name, next((kind for value, kind in kinds.items() if value in text.lower()), "record"))
    return proof


def _parquet(settings: Settings, path: Path) -> pa.Table:
    return store.read_table(settings, path) if path.parent == settings.data_dir / "identity" else pq.read_table(path)


def _search_bytes(path: Path, name: str, wanted: dict[bytes, str], proof: Proof) -> int:
    """Search one file, whatever the case of ASCII letters; a piece at a time, each with the end of the one before."""
    kept = max(map(len, wanted), default=1) - 1
    size, end = 0, b""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            size += len(piece)
            content = end + piece.lower()
            for value, kind in wanted.items():
                if value in content:
                    proof.add(name, kind)
            end = content[-kept:] if kept else b""
    return size


def _search_tables(settings: Settings, path: Path, name: str, needles: Needles, kinds: dict[str, str], proof: Proof) -> None:
    with database.in_memory(settings) as db:
        database.attach(settings, db, path, "looked_at", read_only=True)
        for place, value, by_itself in still_there(db, "looked_at", needles):
            if by_itself:
                proof.add(f"{name}: {place}", kinds[value])
