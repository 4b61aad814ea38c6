"""`make bench`: what it costs to fill DuckDB with the people of each CRM, from the sandbox over loopback, by the real source.

Each run is a process of its own and counts everything from its start: interpreter and imports, HTTP, dlt, DuckDB. The sandbox is another
process and is not counted; wall time is mostly its own, since it makes up each record. The vendors' rate limits are lifted, by the client
and by the sandbox, unless `--limits` is given. Figures of one machine, one run; work of others on it makes them worse.
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

import httpx2

from cdp_pipelines.bench_replay import replaying
from cdp_pipelines.config import KINDS, Kind, Settings, connection_from_config
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses

# The sandbox's world has people; each CRM knows some of them, and some of those more than once.
PEOPLE_OF_A_RECORD: dict[Kind, float] = {"salesforce": 1.443, "hubspot": 1.422, "marketo": 1.668}
PEOPLE_TABLES: dict[Kind, list[str]] = {"salesforce": ["contact", "lead"], "hubspot": ["contacts"], "marketo": ["leads"]}


def main() -> int:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="people's records in each CRM, about (default %(default)s)")
    parser.add_argument("--changed", type=int, help="changes in each CRM before the incremental run (default: a hundredth of the records)")
    parser.add_argument(
        "--latency",
        type=float,
        default=0,
        metavar="MS",
        help="milliseconds that every answer waits (HubSpot: a full read alone, of answers kept from a first one)",
    )
    parser.add_argument("--all-tables", action="store_true", help="read all tables of each CRM, not only its people")
    parser.add_argument("--limits", action="store_true", help="keep the vendors' rate limits instead of lifting them")
    parser.add_argument("--crm", choices=KINDS, action="append", help="only this CRM; may be given more than once")
    parser.add_argument("--source", help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.source:
        print(
            json.dumps(
                measure(given.source, json.loads(given.config), given.data_dir, None if given.all_tables else PEOPLE_TABLES[given.source])
            )
        )
        return 0
    limits = "on" if given.limits else "off"
    print(f"about {given.records:,} records in each CRM, rate limits {limits}, {given.latency:g} ms latency")
    print(f"{'source':<11} {'run':<12} {'rows':>9} {'calls':>6} {'wall s':>7} {'CPU s':>6} {'CPU s per 100,000 rows':>23} {'peak MB':>8}")
    for kind in given.crm or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            people = int(given.records * PEOPLE_OF_A_RECORD[kind])
            settings = Settings(data_dir=Path(folder), sandbox_dir=Path(folder) / "sandbox", sandbox_people=people)
            with hosting.child(settings) as (sandbox, _):
                if not given.limits:
                    hosting.ask(sandbox, "PATCH", f"/sandbox/options/{kind}", NO_LIMITS_THERE[kind]).raise_for_status()
                _bench(kind, sandbox, settings, given)
    return 0


def _bench(kind: Kind, sandbox: SandboxAddresses, settings: Settings, given: argparse.Namespace) -> None:
    """A full read and an incremental one of one CRM."""
    config = sandbox.connections()[kind] | ({} if given.limits else NO_LIMITS[kind])
    if kind == "hubspot" and given.latency:
        _bench_replayed(config, settings, given)
        return
    for run in ("full", "incremental"):
        if run == "incremental":
            changed = given.records // 100 if given.changed is None else given.changed
            changes = {"seed": 1, "count": changed * len(KINDS)}
            httpx2.post(f"{sandbox.control_url}/sandbox/change", json=changes, timeout=300).raise_for_status()
        if given.latency:
            fault = {"crm": kind, "kind": "slow", "seconds": given.latency / 1000}
            httpx2.post(f"{sandbox.control_url}/sandbox/faults", json=fault, timeout=60).raise_for_status()
        found = _in_a_process(kind, config, settings.data_dir, given.all_tables)
        httpx2.delete(f"{sandbox.control_url}/sandbox/faults", timeout=60).raise_for_status()
        _say(kind, run, found)


def _bench_replayed(config: dict[str, Any], settings: Settings, given: argparse.Namespace) -> None:
    """A full read of HubSpot over a slow network. Of a thousand calls, eight at a time, the sandbox would be what takes the time."""
    with replaying(config["base_url"]) as (kept, base_url):
        _in_a_process("hubspot", config | {"base_url": base_url}, settings.data_dir / "first", given.all_tables)
        kept.latency = given.latency / 1000
        _say("hubspot", "full", _in_a_process("hubspot", config | {"base_url": base_url}, settings.data_dir / "second", given.all_tables))


def _say(kind: Kind, run: str, found: dict[str, float]) -> None:
    each = f"{found['cpu'] / found['rows'] * 100_000:,.1f}" if run == "full" else ""
    print(f"{kind:<11} {run:<12} {found['rows']:>9,} {found['calls']:>6,} {found['wall']:>7.1f} {found['cpu']:>6.1f} {each:>23} "
          f"{found['peak_mb']:>8,.0f}", flush=True)  # fmt: skip


NO_LIMITS: dict[str, dict[str, Any]] = {
    "salesforce": {}, "hubspot": {"calls_per_10_seconds": 1_000_000, "searches_per_second": 1_000_000}, "marketo": {"calls_per_20_seconds": 1_000_000},
}  # fmt: skip
NO_LIMITS_THERE: dict[str, dict[str, Any]] = {
    "salesforce": {}, "hubspot": {"calls_per_10_seconds": None, "calls_per_day": None, "searches_per_second": None},
    "marketo": {"calls_per_20_seconds": 1_000_000, "daily_calls": 1_000_000, "export_bytes_a_day": 100_000_000_000},
}  # fmt: skip


def measure(kind: str, config: dict[str, Any], data_dir: Path, tables: list[str] | None) -> dict[str, float]:
    """Extract one connection: rows, calls, wall seconds, and peak memory of this process in MB."""
    wall = time.perf_counter()
    from cdp_pipelines.sources import registry
    from cdp_pipelines.sources.extract import extract

    settings = Settings(data_dir=data_dir)
    connection = connection_from_config(kind, config)
    report = extract(connection, registry.reader(connection, settings), settings, tables=tables)
    failed = [f"{t.table}: {t.problem}" for t in report.tables if t.state != "ok"]
    if failed:
        raise SystemExit("; ".join(failed))
    return {
        "rows": sum(t.rows_read for t in report.tables), "calls": report.calls, "wall": time.perf_counter() - wall,
        "peak_mb": _peak_mb(),
    }  # fmt: skip


def _peak_mb() -> float:
    """The most memory that this process had. Linux counts for the resource usage also what its parent had when it was made."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024


def _in_a_process(kind: Kind, config: dict[str, Any], data_dir: Path, all_tables: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "cdp_pipelines.bench", "--source", kind, "--config", json.dumps(config), "--data-dir", str(data_dir)]
    command += ["--all-tables"] if all_tables else []
    before = _cpu_of_children()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "CDP_ENV_FILE": os.devnull})
    return {**json.loads(done.stdout.splitlines()[-1]), "cpu": _cpu_of_children() - before}


def _cpu_of_children() -> float:
    """Seconds, user and system, of every process that this one started and that has ended, to its very end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
