"""The lock that keeps two processes from opening the warehouse together."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.lock import WarehouseBusy, warehouse_lock

HOLD = """
import sys
from cdp_pipelines.config import Settings
from cdp_pipelines.lock import warehouse_lock
with warehouse_lock(Settings(data_dir=sys.argv[1]), "the nightly sync"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_has_the_warehouse_is_said_when_it_stays_busy(tmp_path):
    process = holder(tmp_path)
    said = []
    try:
        with (
            pytest.raises(WarehouseBusy, match=rf"in use by the nightly sync \(process {process.pid}, .*Wait until it ends"),
            warehouse_lock(Settings(data_dir=tmp_path, lock_wait_seconds=0.2), "me", said.append),
        ):
            pass
    finally:
        process.communicate("")
    assert said[0].startswith("waiting for the nightly sync")


def test_the_lock_is_free_again_after_its_holder_was_killed(tmp_path):
    process = holder(tmp_path)
    process.kill()
    process.wait()
    with warehouse_lock(Settings(data_dir=tmp_path, lock_wait_seconds=1), "me"):
        assert (tmp_path / "warehouse.lock.json").exists()


def test_one_process_may_take_it_again_inside(tmp_path):
    settings = Settings(data_dir=tmp_path, lock_wait_seconds=0)
    with warehouse_lock(settings, "outer"), warehouse_lock(settings, "inner"):
        assert "outer" in (tmp_path / "warehouse.lock.json").read_text()
    assert not (tmp_path / "warehouse.lock.json").exists()


def test_a_program_that_has_the_file_open_is_waited_for_and_then_named(tmp_path):
    settings = Settings(data_dir=tmp_path, lock_wait_seconds=0.2)
    code = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", code, str(settings.warehouse)]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said: list[str] = []
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        with (
            pytest.raises(WarehouseBusy, match=rf"open in another program \(PID {program.pid}\)\. Close it there"),
            warehouse_lock(settings, "me", said.append),
        ):
            pass
    finally:
        program.communicate("")
    assert said == [f"waiting for another program (PID {program.pid}), which has warehouse.duckdb open"]
    with warehouse_lock(settings, "me"):
        assert (tmp_path / "warehouse.lock.json").exists()
