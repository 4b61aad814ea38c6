"""The benchmark's record sets with their truth, made once and kept under the data directory."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cdp_pipelines.config import PROJECT_DIR
from tests.identity.benchmark import environment, sandbox
from tests.identity.benchmark.crm_dirt import dirty
from tests.identity.records import SCHEMA

FOLDER = PROJECT_DIR / "data" / "identity-benchmark"
SETS = ("sandbox", "crm", "febrl3", "febrl4")
_HERE, _PACKAGE = Path(__file__).parent, PROJECT_DIR / "cdp_pipelines"
_MADE_BY = {
    "crm": [_HERE / "crm_dirt.py", _HERE / "crm_words.py"],
    "sandbox": [
        _HERE / "sandbox.py",
        *(_PACKAGE / "sandbox" / f"{name}.py" for name in ("names", "dirt", "generator", "records", "wording", "people", "columns", "draws")),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """Records in one file and the truth in another, row by row in the same order. `kind` is `crm` or `febrl`."""

    name: str
    kind: str
    records: Path
    truth: Path

    def persons(self) -> list[str]:
        """The true person of each record."""
        return pq.read_table(self.truth, columns=["person"])["person"].to_pylist()


def dataset(name: str, people: int = 0, seed: int = 0) -> Dataset:
    """A record set; `people` and `seed` are for those that are made up."""
    if name.startswith("febrl"):
        return _kept(name, "febrl", lambda records, truth: _febrl(name[-1], records, truth), [environment.PINS])
    make = sandbox.contacts if name == "sandbox" else dirty
    label = f"{name} {people:,} people, seed {seed}"
    return _kept(label, "crm", lambda records, truth: _write(*make(people, seed), records, truth), _MADE_BY[name])


def _kept(name: str, kind: str, make: Callable[[Path, Path], None], made_by: list[Path]) -> Dataset:
    """The set as it was kept, or made anew when what makes it has changed."""
    makers = [*(path.read_bytes() for path in made_by), " ".join(SCHEMA.names).encode()]
    version = hashlib.sha256(b"".join(makers)).hexdigest()[:8]
    folder = FOLDER / f"{name.replace(',', '').replace(' ', '-')}-{version}"
    found = Dataset(name, kind, folder / "records.parquet", folder / "truth.parquet")
    if not found.truth.exists():
        print(f"Making {name} ...", flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch)
            make(made / "records.parquet", made / "truth.parquet")
            _number(made / "records.parquet", kind)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(made, folder)
    return found


def _write(table: pa.Table, known: pa.Table, records: Path, truth: Path) -> None:
    pq.write_table(table, records)
    pq.write_table(known, truth)


def _febrl(which: str, records: Path, truth: Path) -> None:
    script = Path(__file__).parent / "tools" / "febrl_export.py"
    subprocess.run([environment.python(), script, which, records, truth], check=True)


def _number(records: Path, kind: str) -> None:
    """Add what the other tools want: a number for each row, and (they know no CRMs) one column with what the CRMs say belongs together."""
    rows = pq.read_table(records)
    rows = rows.append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    if kind == "crm":
        columns = ("source_system", "customer_id", "merged_into", "converted_contact_id", "salesforce_id")
        links = [
            f"salesforce {synced}" if synced else f"{system} {merged or converted or own}"
            for system, own, merged, converted, synced in zip(*(rows[c].to_pylist() for c in columns), strict=True)
        ]
        rows = rows.append_column("crm_link", pa.array(links))
    pq.write_table(rows, records)
