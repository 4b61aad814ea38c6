"""What `make bench-scale` measures: every step of a sync after reading, over as many contacts as asked for, each copy's people its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines import bench_multiply, bench_process
from cdp_pipelines.bench_scale import STEPS

pytestmark = [pytest.mark.scale, pytest.mark.xdist_group("bench")]
CONTACTS = 5_000
IDENTITY = "unified.customer_contacts"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("scale")
    options = ["--contacts", str(CONTACTS), "--seed-people", "400", "--memory", "1", "--data-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "cdp_pipelines.bench_scale", *options], stdout=subprocess.PIPE, text=True, check=True, timeout=600,
        env={**os.environ, "CDP_ENV_FILE": os.devnull},
    )  # fmt: skip
    return folder, done.stdout.splitlines()


def count(folder: Path, sql: str, file: str = "warehouse.duckdb") -> int:
    with duckdb.connect(str(folder / str(CONTACTS) / file), read_only=True) as db:
        return db.execute(f"select {sql}").fetchall()[0][0]


def test_every_step_is_there_with_its_rows(printed: tuple[Path, list[str]]):
    folder, lines = printed
    rows = {step: int(line[len(step) :].split()[0].replace(",", "")) for step in STEPS for line in lines if line.startswith(f"{step} ")}
    assert set(rows) == set(STEPS)
    assert not any("broke off" in line or "failed" in line for line in lines)
    people = count(folder, "count(*) from standardized.contacts")
    assert CONTACTS <= people < 1.2 * CONTACTS
    assert rows["identity"] == people == count(folder, f"count(*) from {IDENTITY}")
    assert rows["models"] == rows["checks"] > people
    assert count(folder, "count(*) from contacts", "cdp.duckdb") == people == count(folder, "count(*) from contacts", "cdp_masked.duckdb")
    assert lines[0].startswith(f"{os.cpu_count()} cores")
    assert "1 GB at most" in lines[0]


def test_copies_are_other_people_and_as_many_records_are_one_person(printed: tuple[Path, list[str]]):
    folder, _ = printed
    copies = CONTACTS / count_of_seed(folder)
    with duckdb.connect(str(folder / "seed" / "warehouse.duckdb"), read_only=True) as db:
        addresses = db.execute("select count(distinct email) from raw_hubspot.contacts where email like '%@%.example'").fetchall()[0][0]
    many = count(folder, "count(distinct email) from raw_hubspot.contacts where email like '%@%.example'")
    assert many > 0.9 * copies * addresses
    people, customers = (count(folder, f"{what} from {IDENTITY}") for what in ("count(*)", "count(distinct customer_key)"))
    assert 0.4 < customers / people < 0.65, "half as many customers as records, as in the sandbox itself"
    alike = count(folder, f"count(*) from (select customer_key from {IDENTITY} group by 1 having count(*) > 12)")
    assert alike < 0.001 * customers


def count_of_seed(folder: Path) -> int:
    with duckdb.connect(str(folder / "seed" / "warehouse.duckdb"), read_only=True) as db:
        return sum(db.execute(f"select count(*) from {table}").fetchall()[0][0] for table in bench_multiply.PEOPLE)


def test_a_process_is_measured_with_those_that_it_starts(tmp_path: Path):
    inner = f"held = bytearray(200_000_000); open({str(tmp_path / 'aside')!r}, 'wb').write(bytes(1000)); import time; time.sleep(1)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True); print('done')"
    took = bench_process.run([sys.executable, "-c", outer], {}, [tmp_path, tmp_path / "nowhere"])
    assert (took.ended_well, took.said, took.aside) == (True, "done", 1000)
    assert took.memory > 200_000_000
    assert 0 < took.cpu < took.wall
    assert not bench_process.run([sys.executable, "-c", "raise SystemExit(3)"], {}, []).ended_well
