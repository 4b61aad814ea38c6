"""After retention an incremental sync is as right as before: random histories with tombstones taken away between equal one full read.

The histories are those of `tests/sources/histories`. Tombstones go at any age here.
"""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.crm_integrations import http
from cdp_pipelines.privacy.retention_tables import take_raw_deleted
from cdp_pipelines.privacy.where import LINKS, PEOPLE
from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.store import Purges
from cdp_pipelines.sources import registry
from tests.sources.histories.standardized import Layers
from tests.sources.histories.test_histories import History

# Rows about a record, which go with it.
_ABOUT = {table for (_, table), links in LINKS.items() if "drop" in links.values()} - {table for _, table in PEOPLE}


class WithRetention(History):
    """A history in which deleted records are forgotten."""

    taken: list[int]
    only: Kind

    @initialize()
    def begin(self) -> None:
        """One of the CRMs is followed."""
        self.kinds = [self.only]

    def teardown(self) -> None:
        """At the end of the story too."""
        self.retain(0, 1)
        super().teardown()

    @rule(which=st.integers(0, 10**6), later=st.integers(0, 4_000))
    def retain(self, which: int, later: int) -> None:
        """Somebody is deleted, and years pass: the CRMs have emptied their bins, and what the next full read does not show is forgotten."""
        stores = [self.server.world.stores[kind] for kind in self.kinds]
        with clock.at(self.now):
            for store in stores:
                people = store.live_people()
                store.delete_person(people[which % len(people)], self.now)
        self.now += timedelta(seconds=later + 60)
        self.synced(self.kinds, 0)
        with clock.at(self.now):
            for store in (store for store in stores if isinstance(store, Purges)):
                for person in list(store.deleted_people()):
                    store.purge_record(person, self.now)
        self.now += timedelta(seconds=60)
        began = datetime.now(UTC)
        for kind in self.kinds:
            assert self.warehouse.sync(self.connection(kind), self.now, "full") == {}
        path, copy = self.warehouse.settings.warehouse, self.folder / "copy.duckdb"
        with duckdb.connect(str(path)) as db:
            db.execute("checkpoint")
            shutil.copy(path, copy)
            live = self._live(db)
            db.execute("create schema standardized")
            tables = self.layers.tables(copy, self.kinds)
            for name in (name for name in tables if name.startswith("standardized")):
                db.register("given", tables[name])
                db.execute(f"create table {name} as select * from given")
            reads: dict[tuple[str, str], datetime] = {(kind, table.name): began for kind in self.kinds for table in registry.TABLES[kind]}
            self.taken.append(take_raw_deleted(db, datetime.now(UTC) + timedelta(days=5_000), reads, apply=True))
            db.execute("drop schema standardized cascade")
            assert self._live(db) == live

    def _live(self, db: duckdb.DuckDBPyConnection) -> dict[str, int]:
        """How many rows there are that are not deleted, or are merged."""
        tables = [f"raw_{kind}.{table.name}" for kind in self.kinds for table in registry.TABLES[kind]]
        where = "_deleted is null or _merged_into is not null"
        tables = [name for name in tables if name.split(".")[1] not in _ABOUT]
        return {name: db.execute(f"select count(*) from {name} where {where}").fetchall()[0][0] for name in tables}


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)


def _run(folder: Path, histories: int, steps: int, kind: Kind) -> None:
    chosen = int(os.environ.get("HISTORY_SEED") or random.randrange(10**9))
    print(f"\nHISTORY_SEED={chosen}")
    taken: list[int] = []
    given = {"layers": Layers(folder / "models"), "begun": {"folder": folder}, "crms": 1, "taken": taken, "only": kind}
    machine: type[RuleBasedStateMachine] = type("WithRetention", (WithRetention,), given)
    options = settings(
        max_examples=histories, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink) if os.environ.get("SHRINK") else (Phase.generate,),
    )  # fmt: skip
    run_state_machine_as_test(seed(chosen)(machine), settings=options)
    # Salesforce tells of purges for two weeks, and Marketo of deletions for months; those stay till then.
    assert kind != "hubspot" or min(taken) > 0, "something was taken away"


@pytest.mark.slow
def test_in_two_histories_incremental_equals_full_after_retention(tmp_path: Path) -> None:
    _run(tmp_path, 2, 5, "hubspot")


@pytest.mark.endurance
@pytest.mark.parametrize("kind", KINDS)
def test_in_many_histories_incremental_equals_full_after_retention(tmp_path: Path, kind: Kind) -> None:
    _run(tmp_path, 25, 8, kind)
