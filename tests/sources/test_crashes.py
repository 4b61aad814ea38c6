"""A sync that is killed at any moment, whose disk is full or whose files are cut off: the next one ends in the right tables."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx2
import pytest

from cdp_pipelines.config import KINDS, Kind, Settings
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.columns import column_name

# Reads one CRM, loading a little at a time, so that kills also come between two loads.
READ = (
    "import sys; from cdp_pipelines.sources import extract, run_alone; "
    "extract.ROWS_A_LOAD = int(sys.argv.pop(2)); run_alone.main(sys.argv.pop(1))"
)
ROWS_A_LOAD = 4_000
# Marketo shows a deal that lost its last role, and a company that lost its last lead, only to those who saw it earlier.
ASKABLE = {
    "opportunities": "where external_opportunity_id in (select external_opportunity_id from raw_marketo.opportunity_roles)",
    "companies": "where external_company_id in (select external_company_id from raw_marketo.leads)",
}


class Crm:
    """One CRM of a sandbox, read by processes of their own."""

    def __init__(self, kind: Kind, sandbox: SandboxAddresses):
        self.kind: Kind = kind
        settings = {f"{kind}_{name}".upper(): str(value) for name, value in sandbox.connections()[kind].items()}
        quick = {
            "HUBSPOT_CALLS_PER_10_SECONDS": "100000",
            "HUBSPOT_SEARCHES_PER_SECOND": "100000",
            "MARKETO_CALLS_PER_20_SECONDS": "100000",
        }
        self.environment = {**os.environ, **quick, **settings, "CDP_CONNECTIONS": kind, "CDP_ENV_FILE": os.devnull}

    def start(self, folder: Path, *options: str, rows_a_load: int = ROWS_A_LOAD) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", READ, self.kind, str(rows_a_load), *options]
        environment = {**self.environment, "CDP_DATA_DIR": str(folder)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read(self, folder: Path, *options: str) -> str:
        """A whole run that must succeed; gives what it printed."""
        run = self.start(folder, *options)
        said, _ = run.communicate(timeout=300)
        assert run.returncode == 0, said
        return said

    def killed(self, folder: Path, after: float, *options: str) -> bool:
        """A run that is killed after some seconds, unless it ended before; tells whether it was."""
        run = self.start(folder, *options)
        try:
            run.wait(timeout=after)
        except subprocess.TimeoutExpired:
            run.kill()
        run.communicate(timeout=60)
        return run.returncode == -9

    def rows(self, folder: Path) -> dict[str, set[str]]:
        """Each raw table's rows, without what differs from run to run and without tombstones and empty sets,
        which a first reader need not know."""
        found = {}
        with duckdb.connect(str(Settings(data_dir=folder).warehouse), read_only=True) as db:
            for table in registry.TABLES[self.kind]:
                some = ASKABLE.get(table.name, "") if self.kind == "marketo" else ""
                query = f'select * exclude (_synced_at, _dlt_load_id) from raw_{self.kind}."{table.name}" {some}'
                said = [
                    json.dumps({k: v.replace("+0000", "Z") for k, v in row.items() if v is not None and k != "connection"}, sort_keys=True)
                    for row in db.execute(query).to_arrow_table().to_pylist()
                ]
                assert len(said) == len(set(said)), f"{table.name} has a row twice"
                nothing = {"_deleted", *map(column_name, table.replace_by or table.key)}
                if self.kind == "salesforce":  # into which record a purged one was merged, only those know who saw it
                    nothing.add("_merged_into")
                found[table.name] = {row for row in said if json.loads(row).keys() - nothing}
        return found


@contextmanager
def crms(folder: Path, people: int) -> Generator[tuple[SandboxAddresses, dict[Kind, Crm]]]:
    with hosting.child(Settings(data_dir=folder, sandbox_dir=folder / "sandbox", sandbox_people=people)) as (sandbox, _):
        yield sandbox, {kind: Crm(kind, sandbox) for kind in KINDS}


def change(sandbox: SandboxAddresses, seed: int) -> None:
    httpx2.post(f"{sandbox.control_url}/sandbox/change", json={"seed": seed, "count": 60}, timeout=60).raise_for_status()


def cut_off(folder: Path, dice: random.Random) -> None:
    """As after a power cut: the ends of the files that were being written are missing."""
    for path in [*folder.glob("*.wal"), *(p for p in (folder / "dlt").rglob("*") if p.is_file())]:
        if dice.random() < 0.5:
            os.truncate(path, dice.randrange(path.stat().st_size + 1))


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_next_run_has_everything(tmp_path: Path) -> None:
    with crms(tmp_path, 3_000) as (_, of):
        crm = of["salesforce"]
        code = f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); {READ}"
        command = [sys.executable, "-c", code, "salesforce", "250000"]
        environment = {**crm.environment, "CDP_DATA_DIR": str(tmp_path / "ours")}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert run.returncode == 1
        assert "warehouse.duckdb could not be written" in run.stderr
        assert "Make room on the disk" in run.stderr
        assert "Traceback" not in run.stderr
        crm.read(tmp_path / "ours")
        crm.read(tmp_path / "fresh")
        assert _differing(crm.rows(tmp_path / "ours"), crm.rows(tmp_path / "fresh")) == {}


@pytest.mark.slow
def test_after_fifty_kills_one_run_gives_the_tables_of_a_reader_who_was_never_stopped(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chosen = int(os.environ.get("KILL_SEED") or random.randrange(10**9))
    record_property("KILL_SEED", chosen)
    dice, kills = random.Random(chosen), 0
    with crms(tmp_path, 7_000) as (sandbox, of):
        usual, total = {}, 0
        for kind, crm in of.items():
            begun = time.monotonic()
            crm.read(tmp_path / "measured" / kind)
            usual[kind] = time.monotonic() - begun
            total += sum(map(len, crm.rows(tmp_path / "measured" / kind).values()))
        assert total >= 50_000
        for attempt in range(200):
            kind = KINDS[attempt % len(KINDS)]
            full = dice.random() < 0.5
            kills += of[kind].killed(
                tmp_path / "ours", dice.uniform(0.5, usual[kind] if full or attempt < 30 else 4), *(["--full"] if full else [])
            )
            if dice.random() < 0.3:
                cut_off(tmp_path / "ours", dice)
            if attempt % 15 == 14:
                change(sandbox, attempt)
            if kills >= 50:
                break
        assert kills >= 50
        for kind, crm in of.items():
            crm.read(tmp_path / "ours", "--reconcile")
            crm.read(tmp_path / "fresh")
            assert _differing(crm.rows(tmp_path / "ours"), crm.rows(tmp_path / "fresh")) == {}, kind


def _differing(ours: dict[str, set[str]], fresh: dict[str, set[str]]) -> dict[str, list[str]]:
    return {table: sorted(ours[table] ^ rows)[:4] for table, rows in fresh.items() if ours[table] != rows}
