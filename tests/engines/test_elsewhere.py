"""Raw tables and models in another engine, here another DuckDB file: what is landed, built, shown, sent and erased there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines import database, sync
from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.engines import choice
from cdp_pipelines.privacy.erasing import erase
from cdp_pipelines.privacy.person import look_up
from tests.engines.another_file import AnotherFile
from tests.sandbox.faulty import Faulty, faulty
from tests.scale.comparing import SOMEBODY, compare, told
from tests.sources.faulty_reads import Kept


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("sandbox"), people=60) as running:
        yield running


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose engine is another file. It is none of the choices, so that it is put in their place."""
    folder = tmp_path_factory.mktemp("there")
    settings = Settings.model_validate({"data_dir": folder, "engine_url": str(tmp_path_factory.mktemp("elsewhere") / "tables")})
    engine = AnotherFile(settings)
    given = choice.elsewhere
    with pytest.MonkeyPatch.context() as patched:
        for module in _modules_that_ask():
            patched.setattr(f"{module}.elsewhere", lambda asked: engine if asked.engine_url else given(asked))
        yield settings


def _modules_that_ask() -> list[str]:
    package = Path(choice.__file__).parents[1]
    importing = "from cdp_pipelines.engines.choice import elsewhere"
    paths = [path for path in package.rglob("*.py") if importing in path.read_text()]
    return ["cdp_pipelines.engines.choice", *(".".join(p.relative_to(package.parent).with_suffix("").parts) for p in paths)]


def synced(sandbox: Faulty, *several: Settings, full: bool = False) -> None:
    for settings in several:
        report = sync.sync(settings, [Kept(sandbox, crm, settings.data_dir).connection() for crm in KINDS], full=full)
        assert report.complete, report.problem


@pytest.mark.scale
def test_first_sync_changes_erasure_and_full_reads_leave_the_same_tables(sandbox: Faulty, here: Settings, there: Settings):
    """One after the other, since each begins with what the one before left."""
    engine = choice.elsewhere(there)
    assert isinstance(engine, AnotherFile)
    synced(sandbox, here, there)
    assert_same(here, there)
    with duckdb.connect(str(there.warehouse)) as db:
        assert db.execute("select comment from duckdb_columns() where table_name = 'customers' and column_name = 'email'").fetchall()[0][0]
    assert engine.ask("select count(*) from unified.customers")[0][0] > 30

    for _ in range(3):
        sandbox.control("POST", "/sandbox/change", {})
    synced(sandbox, here, there)
    assert_same(here, there)
    assert engine.ask("select max(n) from (select count(*) as n from raw_hubspot.contacts group by connection, id)") == [(1,)]

    email = somebody(here)
    for settings in (here, there):
        certificate = erase(settings, [look_up(settings, email=email)], asked_by="a test")
        assert certificate.found == {}
    assert "raw_hubspot.contacts" in engine.forgotten
    assert "standardized.contacts" in engine.forgotten
    for schema, table in engine.ask("select schema_name, table_name from duckdb_tables() where schema_name <> 'staging'"):
        assert email not in str(engine.read(schema, table).to_pylist()), f"{schema}.{table}"
    assert_same(here, there, ("standardized", "unified"))

    # What is gone, and was never told of, is found by a full read, which does not bring back who was erased.
    sandbox.control("POST", "/sandbox/purge", {"crm": "hubspot", "kind": "contacts"})
    synced(sandbox, here, there, full=True)
    assert_same(here, there)
    assert email not in str(engine.read("raw_hubspot", "contacts").to_pylist())


def assert_same(here: Settings, there: Settings, schemas: tuple[str, ...] = ("standardized", "unified", "quality")) -> None:
    compared = [c for c in compare(here, there) if c.table.split(".")[0] in schemas]
    print(told(compared, "elsewhere"))
    assert "\n".join(f"{c.table}: {c.example}" for c in compared if c.differing) == ""
    assert {c.table for c in compared if c.rows} >= {"standardized.contacts", "unified.customers"}


def somebody(settings: Settings) -> str:
    """The address of one customer alone, whom HubSpot and another CRM know."""
    with database.connect(settings, settings.warehouse) as db:
        return db.execute(SOMEBODY).fetchall()[0][0]
