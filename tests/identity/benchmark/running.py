"""Runs one tool on one record set, in a process of its own, bounded in time and memory: clusters, wall seconds and peak memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_pipelines.config import PROJECT_DIR
from tests.identity.benchmark import environment
from tests.identity.benchmark.datasets import Dataset
from tests.identity.benchmark.scoring import Score, score

# A name after the hyphen is another way of the same tool.
TOOLS = ("ours", "splink", "goldenmatch", "goldenmatch-probabilistic", "recordlinkage")
# Characters of what a tool said last that the table shows.
_MOST_SAID = 90
# What the other tools see: they have no use for times, owners and the like.
_SHOWN = (
    "row", "first_name", "last_name", "email", "phone", "mobile_phone", "company", "city", "state", "country", "crm_link",
    "date_of_birth", "national_id", "street_number", "street_name", "district", "postcode",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a tool made of a record set. `how` is the best of its variants; `problem` says why there is no score."""

    data: str
    records: int
    tool: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    how: str = ""
    score: Score | None = None
    problem: str | None = None


def run(tool: str, data: Dataset, *, most_seconds: float, most_gb: float, labels: Path | None = None) -> Run:
    """Run it, whole process, imports and reading included; stopped after `most_seconds`, or when it takes more than `most_gb` of memory.

    `labels` is where to keep the clusters.
    """
    with tempfile.TemporaryDirectory() as scratch:
        records, made = data.records, labels or Path(scratch) / "labels.parquet"
        made.unlink(missing_ok=True)
        rows = pq.ParquetFile(records).metadata.num_rows
        name, _, way = tool.partition("-")
        if name == "ours":
            command = [sys.executable, "-m", "tests.identity.benchmark.tools.ours"]
        else:
            command = [str(environment.python()), str(Path(__file__).parent / "tools" / f"{name}_run.py")]
            records = Path(scratch) / "records.parquet"
            table = pq.read_table(data.records)
            pq.write_table(table.select([name for name in table.column_names if name in _SHOWN]), records)
        command += [str(records), str(made), data.kind, *([way] if way else [])]
        code, seconds, cpu, peak_mb, said = _measured(command, most_seconds, most_gb)
        if code:
            if seconds >= most_seconds:
                problem = f"not done in {most_seconds:,.0f} s"
            elif peak_mb >= most_gb * 1024:
                problem = f"not done in {most_gb:g} GB"
            else:
                problem = f"failed: {said.splitlines()[-1] if said.strip() else code}"[:_MOST_SAID]
            return Run(data.name, rows, tool, seconds, cpu, peak_mb, problem=problem)
        how, best = _best(pq.read_table(made), data.persons())
        return Run(data.name, rows, tool, seconds, cpu, peak_mb, how, best)


def _best(found: pa.Table, persons: list[str]) -> tuple[str, Score]:
    variants = {name: score(found[name].to_pylist(), persons) for name in found.column_names if name != "row"}
    return max(variants.items(), key=lambda item: item[1].f1)


def _measured(command: list[str], most_seconds: float, most_gb: float) -> tuple[int, float, float, float, str]:
    """Exit code, wall and processor seconds, peak MB, and what was said on standard error."""
    ours = {**os.environ, "CDP_ENV_FILE": os.devnull, "PYTHONPATH": str(PROJECT_DIR)}
    theirs = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        environ = ours if command[0] == sys.executable else theirs
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=PROJECT_DIR, env=environ)
        ended = Event()
        watch = Thread(target=_watch, args=(process, ended, most_seconds, most_gb))
        watch.start()
        _, status, used = os.wait4(process.pid, 0)
        ended.set()
        watch.join()
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        cpu = used.ru_utime + used.ru_stime
        return process.returncode, seconds, cpu, used.ru_maxrss / 1024, errors.read().decode(errors="replace").strip()


def _watch(process: subprocess.Popen[bytes], ended: Event, most_seconds: float, most_gb: float) -> None:
    until = time.monotonic() + most_seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        seen = psutil.Process(process.pid)
        while not ended.wait(0.2):
            if time.monotonic() > until or seen.memory_info().rss > most_gb * 2**30:
                seen.kill()
                return
