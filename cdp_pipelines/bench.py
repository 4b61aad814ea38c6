"""`make bench`: how fast each source fills DuckDB from the sandbox over loopback, and how much memory it takes.

Each source runs in a process of its own, against a sandbox in another one; what is measured is the source's process only (extraction, dlt and
DuckDB), with the rate limits of the settings on. Figures of one machine, one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cdp_pipelines.config import KINDS, Settings, connection_from_config
from cdp_pipelines.sandbox import hosting


def main() -> int:
    """Print a line for each source."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench", description=__doc__)
    parser.add_argument("--people", type=int, default=20_000, help="people in the sandbox's world (default %(default)s)")
    parser.add_argument("--limits", action="store_true", help="keep the vendors' rate limits instead of lifting them")
    parser.add_argument("--source", help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.source:
        print(json.dumps(measure(given.source, json.loads(given.config), given.data_dir)))
        return 0
    print(f"{given.people:,} people, rate limits {'on' if given.limits else 'off'}")
    print(f"{'source':<11} {'run':<12} {'rows':>9} {'calls':>6} {'wall s':>7} {'CPU s':>6} {'rows/s':>8} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), sandbox_dir=Path(folder) / "sandbox", sandbox_people=given.people)
        with hosting.child(settings) as (sandbox, _):
            for kind in KINDS:
                config = sandbox.connections()[kind] | ({} if given.limits else _NO_LIMITS[kind])
                for run in ("full", "incremental"):
                    found = _in_a_process(kind, config, settings.data_dir)
                    rate = found["rows"] / found["wall"]
                    print(f"{kind:<11} {run:<12} {found['rows']:>9,} {found['calls']:>6,} {found['wall']:>7.1f} {found['cpu']:>6.1f} "
                          f"{rate:>8,.0f} {found['peak_mb']:>8,.0f}", flush=True)  # fmt: skip
    return 0


_NO_LIMITS: dict[str, dict[str, Any]] = {
    "salesforce": {}, "hubspot": {"calls_per_10_seconds": 1_000_000, "searches_per_second": 1_000_000}, "marketo": {"calls_per_20_seconds": 1_000_000},
}  # fmt: skip


def measure(kind: str, config: dict[str, Any], data_dir: Path) -> dict[str, float]:
    """Extract one connection: rows, calls, wall and CPU seconds, and peak memory in MB of this process."""
    from cdp_pipelines.sources import registry
    from cdp_pipelines.sources.extract import extract

    settings = Settings(data_dir=data_dir)
    connection = connection_from_config(kind, config)
    wall, cpu = time.perf_counter(), time.process_time()
    report = extract(connection, registry.reader(connection, settings), settings)
    failed = [f"{t.table}: {t.problem}" for t in report.tables if t.state != "ok"]
    if failed:
        raise SystemExit("; ".join(failed))
    return {
        "rows": sum(t.rows_read for t in report.tables), "calls": report.calls, "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def _in_a_process(kind: str, config: dict[str, Any], data_dir: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "cdp_pipelines.bench", "--source", kind, "--config", json.dumps(config), "--data-dir", str(data_dir)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "CDP_ENV_FILE": os.devnull})
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
