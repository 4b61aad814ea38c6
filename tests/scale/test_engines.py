"""The sandbox in PostgreSQL and in Iceberg through Spark, beside DuckDB: every table the same, row for row, after all that a company does to it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp_pipelines import database, sync
from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.engines.choice import elsewhere
from cdp_pipelines.privacy.erasing import erase
from cdp_pipelines.privacy.person import look_up
from cdp_pipelines.scale import services, workers
from tests.sandbox.faulty import Faulty, faulty
from tests.scale.comparing import SOMEBODY, compare, told
from tests.sources.faulty_reads import Kept

# One process for all that need Spark, which is started once; `make test-scale` runs two.
pytestmark = [pytest.mark.scale, pytest.mark.xdist_group("spark")]
PEOPLE = 120
COMMENT = "select comment from duckdb_columns() where schema_name = 'unified' and table_name = 'customers' and column_name = 'email'"
EACH = pytest.mark.parametrize("engine", ["postgres", "spark"])
# Spark has been building for so long when one of its workers is killed.
KILLED_AFTER_SECONDS = 5


class Company:
    """One company's CRMs, read into a warehouse file, `here`, and into the other engines, `there`."""

    def __init__(self, sandbox: Faulty, found: dict[str, str], folder: Path):
        self.sandbox = sandbox
        self.here = Settings(data_dir=folder / "duckdb")
        lake = {"iceberg_catalog": found["CDP_ICEBERG_CATALOG"], "iceberg_warehouse": found["CDP_ICEBERG_WAREHOUSE"]}
        urls = {"postgres": found["CDP_POSTGRES_URL"], "spark": found["CDP_SPARK_URL"]}
        self.there = {
            engine: Settings.model_validate({"data_dir": folder / engine, "engine": engine, "engine_url": url, **lake})
            for engine, url in urls.items()
        }

    def sync(self, settings: Settings, *, full: bool = False) -> None:
        """Everything read and built, and nothing wrong with it."""
        steps = [("", time.monotonic())]
        settings.data_dir.mkdir(exist_ok=True)
        connections = [Kept(self.sandbox, crm, settings.data_dir).connection() for crm in KINDS]
        report = sync.sync(settings, connections, full=full, on_stage=lambda stage: steps.append((stage, time.monotonic())))
        steps.append(("", time.monotonic()))
        spent = ", ".join(f"{name} {after - at:.0f} s" for (name, at), (_, after) in itertools.pairwise(steps))
        print(f"{settings.engine}: {steps[-1][1] - steps[0][1]:.0f} s ({spent})")
        assert report.complete, report.problem
        assert {c.name for c in report.checks if not c.passed} <= {"fields_as_before", "close_dates_plausible", "picklist_values_known"}

    def same(self, engine: str) -> None:
        """Every table there is what it is here."""
        compared = compare(self.here, self.there[engine])
        print(told(compared, engine))
        assert [(c.table, c.example) for c in compared if c.differing] == []
        assert all(c.rows == c.rows_elsewhere for c in compared)
        assert {c.table for c in compared if c.rows} >= {"standardized.contacts", "unified.customers", "quality.column_profiles"}


@pytest.fixture(scope="module")
def company(found: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with faulty(tmp_path_factory.mktemp("sandbox"), people=PEOPLE) as sandbox:
        yield Company(sandbox, found, tmp_path_factory.mktemp("data"))


# What DuckDB makes of it, once for both other engines. Each begins with what the one before left, and so do the tests.


@pytest.fixture(scope="module")
def read_here(company: Company) -> None:
    company.sync(company.here)


@pytest.fixture(scope="module")
def erased_here(company: Company, read_here: None) -> str:
    """The address of who was erased."""
    email = somebody(company.here)
    assert erase(company.here, [look_up(company.here, email=email)], asked_by="a test").found == {}
    return email


@pytest.fixture(scope="module")
def changed_here(company: Company, erased_here: str) -> None:
    company.sandbox.control("POST", "/sandbox/change", {})
    company.sync(company.here)


@EACH
def test_first_sync(company: Company, read_here: None, engine: str):
    company.sync(company.there[engine])
    company.same(engine)
    assert company.here.published.exists()
    assert company.there[engine].published.exists()
    with database.connect(company.there[engine], company.there[engine].warehouse) as db:
        assert db.execute(COMMENT).fetchall()[0][0], "what columns mean is told of what is elsewhere too"


@EACH
def test_who_is_erased_is_in_no_table_of_the_engine(company: Company, erased_here: str, engine: str):
    """Nor in its files: older versions and what rows left behind go too."""
    settings = company.there[engine]
    chosen = elsewhere(settings)
    assert chosen is not None
    assert erase(settings, [look_up(settings, email=erased_here)], asked_by="a test").found == {}
    for schema in ("raw_salesforce", "raw_hubspot", "raw_marketo", "standardized", "unified"):
        for table in chosen.tables(schema):
            rows = chosen.read(schema, table)
            rows = rows if hasattr(rows, "column_names") else rows.read_all()
            assert erased_here not in str(rows.to_pylist()), f"{schema}.{table}"


@EACH
def test_what_changed(company: Company, changed_here: None, folder: Path, engine: str):
    """After an erasure, of which nothing comes back. With Spark, one of two workers is killed while the models are built."""
    settings, killed = company.there[engine], list[str]()
    if engine == "spark":
        threading.Thread(target=_kill_one_while_it_works, args=(folder, settings, killed), daemon=True).start()
    company.sync(settings)
    if engine == "spark":
        assert killed, "a worker was to be killed while the models were built"
        print(f"killed in the middle: {killed[0]}")
        services.up(folder)
    company.same(engine)


def test_a_full_read_finds_what_nobody_told_of_and_brings_back_nobody(company: Company, changed_here: None, erased_here: str):
    """On PostgreSQL, whose rows are changed by statements as those of the warehouses are."""
    company.sandbox.control("POST", "/sandbox/purge", {"crm": "hubspot", "kind": "contacts"})
    for settings in (company.here, company.there["postgres"]):
        company.sync(settings, full=True)
    company.same("postgres")
    engine = elsewhere(company.there["postgres"])
    assert engine is not None
    rows = engine.read("raw_hubspot", "contacts")
    rows = rows if hasattr(rows, "column_names") else rows.read_all()
    assert erased_here not in str(rows.to_pylist())
    assert {"true"} < set(rows["_deleted"].to_pylist()), "some are gone, and most are not"


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
