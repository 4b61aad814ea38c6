"""The sandbox in PostgreSQL and in Iceberg through Spark, beside DuckDB: every table the same, row for row, after all that a company does to it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cdp_pipelines import database, sync
from cdp_pipelines.config import KINDS, Connection, Settings
from cdp_pipelines.engines.choice import elsewhere
from cdp_pipelines.privacy.erasing import erase
from cdp_pipelines.privacy.person import look_up
from cdp_pipelines.scale import services, workers
from tests.sandbox.faulty import Faulty, faulty
from tests.scale.comparing import SOMEBODY, Compared, compare, told
from tests.sources.faulty_reads import Kept

pytestmark = pytest.mark.scale
PEOPLE = 120
# Spark has been building for so long when one of its workers is killed.
KILLED_AFTER_SECONDS = 5


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, str]]:
    """The services' settings, and `folder`, where they are."""
    pytest.importorskip("pyspark", reason="comes with make scale-setup")
    folder = Path(tempfile.mkdtemp(prefix="cdp-engines-"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(services.down, folder)
        yield {"folder": str(folder), **services.up(folder)}


class Both:
    """One company's CRMs, read into a warehouse file and into another engine."""

    def __init__(self, sandbox: Faulty, engine: str, found: dict[str, str], folder: Path):
        self.sandbox, self.engine = sandbox, engine
        url = found["CDP_POSTGRES_URL"] if engine == "postgres" else found["CDP_SPARK_URL"]
        self.here = Settings(data_dir=folder / "duckdb")
        lake = {"iceberg_catalog": found["CDP_ICEBERG_CATALOG"], "iceberg_warehouse": found["CDP_ICEBERG_WAREHOUSE"]}
        self.there = Settings.model_validate({"data_dir": folder / engine, "engine": engine, "engine_url": url, **lake})

    def connections(self, settings: Settings) -> list[Connection]:
        return [Kept(self.sandbox, crm, settings.data_dir).connection() for crm in KINDS]

    def sync(self) -> None:
        """Both, one after the other."""
        for settings in (self.here, self.there):
            self.sync_one(settings)

    def sync_one(self, settings: Settings) -> None:
        steps = [("", time.monotonic())]
        settings.data_dir.mkdir(exist_ok=True)
        report = sync.sync(settings, self.connections(settings), on_stage=lambda stage: steps.append((stage, time.monotonic())))
        steps.append(("", time.monotonic()))
        spent = ", ".join(f"{name} {after - at:.0f} s" for (name, at), (_, after) in itertools.pairwise(steps))
        print(f"{settings.engine}: {steps[-1][1] - steps[0][1]:.0f} s ({spent})")
        assert report.complete, report.problem
        assert {c.name for c in report.checks if not c.passed} <= {"fields_as_before", "close_dates_plausible", "picklist_values_known"}

    def same(self) -> list[Compared]:
        compared = compare(self.here, self.there)
        print(told(compared, self.engine))
        assert [(c.table, c.example) for c in compared if c.differing] == []
        assert all(c.rows == c.rows_elsewhere for c in compared)
        assert {c.table for c in compared if c.rows} >= {"standardized.contacts", "unified.customers", "quality.column_profiles"}
        return compared


@pytest.fixture(scope="module", params=["postgres", "spark"])
def both(request: pytest.FixtureRequest, found: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with faulty(tmp_path_factory.mktemp("sandbox"), people=PEOPLE) as sandbox:
        yield Both(sandbox, request.param, found, tmp_path_factory.mktemp("data"))


def test_first_sync(both: Both):
    both.sync()
    both.same()
    assert both.here.published.exists()
    assert both.there.published.exists()


def test_who_is_erased_is_in_no_table_of_the_engine(both: Both):
    """Nor in its files: older versions and what rows left behind go too."""
    engine = elsewhere(both.there)
    assert engine is not None
    email = somebody(both.here)
    for settings in (both.here, both.there):
        certificate = erase(settings, [look_up(settings, email=email)], asked_by="a test")
        assert certificate.found == {}
    for schema in ("raw_salesforce", "raw_hubspot", "raw_marketo", "standardized", "unified"):
        for table in engine.tables(schema):
            rows = engine.read(schema, table)
            rows = rows if hasattr(rows, "column_names") else rows.read_all()
            assert email not in str(rows.to_pylist()), f"{schema}.{table}"


def test_what_changed(both: Both, found: dict[str, str]):
    """After an erasure, of which nothing comes back. With Spark, one of two workers is killed while the models are built."""
    both.sandbox.control("POST", "/sandbox/change", {})
    both.sync_one(both.here)
    killed: list[str] = []
    if both.engine == "spark":
        threading.Thread(target=_kill_one_while_it_works, args=(Path(found["folder"]), both.there, killed), daemon=True).start()
    both.sync_one(both.there)
    if both.engine == "spark":
        assert killed, "a worker was to be killed while the models were built"
        print(f"killed in the middle: {killed[0]}")
        services.up(Path(found["folder"]))
    both.same()


def _kill_one_while_it_works(folder: Path, settings: Settings, killed: list[str]) -> None:
    """Kill a worker and its executor some seconds after dbt began."""
    log = settings.data_dir / "dbt" / "logs" / "dbt.log"
    before = log.stat().st_size if log.exists() else 0
    for _ in range(1200):
        if log.exists() and log.stat().st_size > before:
            time.sleep(KILLED_AFTER_SECONDS)
            one = workers.workers(folder)[0]
            workers.kill(one)
            killed.append(one.name)
            return
        time.sleep(0.25)


def somebody(settings: Settings) -> str:
    """The address of one customer alone, whom HubSpot and another CRM know."""
    with database.connect(settings, settings.warehouse) as db:
        return db.execute(SOMEBODY).fetchall()[0][0]
