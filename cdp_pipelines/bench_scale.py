"""`make bench-scale`: what each step after reading costs at one, three and ten million contact records, on DuckDB.

A small sandbox is read for real, and its raw tables are multiplied into as many contact records as asked for (see bench_multiply.py). Then each
step of a sync runs, the very functions that `cdp sync` calls, each in a process of its own and measured from its start, interpreter and
imports included. Figures of one machine, one run; work of others on it makes them worse.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from cdp_pipelines import bench_multiply, bench_process, database, masking, publish, sync
from cdp_pipelines.bench import NO_LIMITS, NO_LIMITS_THERE
from cdp_pipelines.bench_process import Took
from cdp_pipelines.config import KINDS, Settings, connection_from_config, load_settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.identity.step import identify
from cdp_pipelines.private_files import keep_new_files_private
from cdp_pipelines.quality import operational
from cdp_pipelines.quality.measuring import measure
from cdp_pipelines.sandbox import hosting

SEED_PEOPLE = 10_000
Done = tuple[int, list[CheckResult]]
"""How many rows a step made, or looked at, and what its checks found."""


def _models(settings: Settings) -> Done:
    sync.create_missing_raw_tables(settings)
    results = [*sync.checks.run_raw(settings), *sync.standardize(settings)]
    return _rows(settings, "standardized"), results


def _checks(settings: Settings) -> Done:
    return _rows(settings, "standardized"), sync.check_standardized(settings)


def _identity(settings: Settings) -> Done:
    found = identify(settings)
    return found.rows["customer_contacts"], found.checks


def _unified(settings: Settings) -> Done:
    results = sync.unify(settings)
    return _rows(settings, "unified"), results


def _measuring(settings: Settings) -> Done:
    found = measure(settings)
    return sum(found.rows.values()), [*found.checks, *operational.run_all(settings, None)]


def _publish(settings: Settings) -> Done:
    # The masked file is the next step's.
    return sum(publish.publish(settings.model_copy(update={"masked": False})).rows.values()), []


def _masked(settings: Settings) -> Done:
    written = masking.mask(settings.model_copy(update={"masked": True}))
    assert written is not None
    return sum(written.rows.values()), []


STEPS: dict[str, Callable[[Settings], Done]] = {
    "models": _models, "checks": _checks, "identity": _identity, "unified models": _unified, "measuring": _measuring, "publish": _publish,
    "masked file": _masked,
}  # fmt: skip


def _rows(settings: Settings, schema: str) -> int:
    with database.connect(settings, settings.warehouse, read_only=True) as db:
        tables = db.execute("select table_name from duckdb_tables() where schema_name = ?", [schema]).fetchall()
        return sum(db.execute(f'select count(*) from {schema}."{table}"').fetchall()[0][0] for (table,) in tables)


def main() -> int:
    """Print a table for each size. Gives 1 when a step broke off."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench_scale", description=__doc__)
    parser.add_argument(
        "--contacts", type=int, action="append", help="contact records; may be given more than once (default: 1, 3 and 10 million)"
    )
    parser.add_argument(
        "--data-dir", type=Path, help="where the files go, which are kept then (default: a folder of its own under data/, removed)"
    )
    parser.add_argument(
        "--memory", type=float, metavar="GB", help="the most that DuckDB takes in a step (CDP_MEMORY_LIMIT; default: DuckDB's own)"
    )
    parser.add_argument(
        "--only", choices=STEPS, action="append", help="this step alone, of those that come before it the tables are needed"
    )
    parser.add_argument(
        "--seed-people", type=int, default=SEED_PEOPLE, help="people in the sandbox that is multiplied (default: %(default)s)"
    )
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    keep_new_files_private()
    if given.step:
        rows, results = STEPS[given.step](load_settings())
        blocking = [f"{r.table}.{r.name}" for r in results if r.blocking and not r.passed]
        print(json.dumps({"rows": rows, "checks": len(results), "stopped_by": blocking}))
        return 0
    print(_machine(given.memory), flush=True)
    folder = given.data_dir or Path(tempfile.mkdtemp(prefix="scale-", dir=_made(Settings().data_dir)))
    try:
        seed = _seed(folder / "seed", given.seed_people)
        outcomes = []
        for contacts in given.contacts or (10**6, 3 * 10**6, 10**7):
            outcomes.append(_bench(seed, folder / str(contacts), contacts, given))
            if not given.data_dir:
                shutil.rmtree(folder / str(contacts))
        return max(outcomes)
    finally:
        if not given.data_dir:
            shutil.rmtree(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _machine(memory: float | None) -> str:
    limit = f"{memory:g} GB" if memory else database.memory_limit(Settings())
    return (
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.1f} GiB of memory, of which DuckDB takes {limit} at most; "
        f"load {psutil.getloadavg()[0]:.1f} at the start"
    )


def _seed(folder: Path, people: int) -> Settings:
    """A sandbox of so many people, read as `cdp sync --full` reads it; what was read before is taken as it is."""
    settings = Settings(data_dir=folder, sandbox_dir=folder / "sandbox", sandbox_people=people)
    if (folder / "read").exists():
        return settings
    shutil.rmtree(folder, ignore_errors=True)
    with hosting.child(settings) as (sandbox, _):
        for kind in KINDS:
            hosting.ask(sandbox, "PATCH", f"/sandbox/options/{kind}", NO_LIMITS_THERE[kind]).raise_for_status()
            outcome = sync.ingest(settings, connection_from_config(kind, sandbox.connections()[kind] | NO_LIMITS[kind]))
            if not outcome.complete:
                raise SystemExit(f"{kind} could not be read: {outcome.problem}")
    (folder / "read").touch()
    return settings


def _bench(seed: Settings, folder: Path, contacts: int, given: argparse.Namespace) -> int:
    """One size. Gives 1 when a step broke off, and 0 otherwise."""
    settings = Settings(data_dir=folder, memory_limit=f"{given.memory:g}GB" if given.memory else None)
    if not settings.warehouse.exists():
        _made(folder)
        raw = bench_multiply.multiply(seed, settings, contacts)
        people = sum(raw[table] for table in bench_multiply.PEOPLE)
        print(f"\n{people:,} contact records, {sum(raw.values()):,} raw rows, warehouse {settings.warehouse.stat().st_size / 1e6:,.0f} MB")
    print(
        f"{'step':<16}{'rows':>14}{'CPU s':>9}{'s':>9}{'CPU s a million':>17}{'peak MB':>9}{'aside MB':>10}{'file MB':>9}  at", flush=True
    )
    for step in given.only or STEPS:
        took = _run(settings, step)
        if not took.ended_well:
            print(f"{step:<16} broke off after {took.wall:.0f} s with {took.memory / 1e6:,.0f} MB", flush=True)
            return 1
        found = json.loads(took.said)
        print(_line(step, found["rows"], took, contacts, _written(settings, step)), flush=True)
        for name in found["stopped_by"]:
            print(f"{'':<16} the blocking check {name} failed; a sync would have stopped here")
    return 0


def _line(step: str, rows: int, took: Took, contacts: int, written: int) -> str:
    each = took.cpu / contacts * 1e6
    return (
        f"{step:<16}{rows:>14,}{took.cpu:>9.1f}{took.wall:>9.1f}{each:>17.1f}{took.memory / 1e6:>9,.0f}{took.aside / 1e6:>10,.0f}{written / 1e6:>9,.0f}"
        f"  {datetime.now(UTC):%H:%M}"
    )


def _written(settings: Settings, step: str) -> int:
    """The size of the file that a step writes."""
    path = {"publish": settings.published, "masked file": settings.masked_file}.get(step, settings.warehouse)
    return path.stat().st_size


def _run(settings: Settings, step: str) -> Took:
    environment = {"CDP_DATA_DIR": str(settings.data_dir), "CDP_ENV_FILE": os.devnull}
    environment |= {"CDP_MEMORY_LIMIT": settings.memory_limit} if settings.memory_limit else {}
    aside = [settings.data_dir / "duckdb.tmp", *(Path(f"{path}.tmp") for path in (settings.warehouse, settings.published))]
    return bench_process.run([sys.executable, "-m", "cdp_pipelines.bench_scale", "--step", step], environment, aside)


if __name__ == "__main__":
    sys.exit(main())
