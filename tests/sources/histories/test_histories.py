"""Incremental equals full: random histories of three CRMs, read as they happen, give the tables that one full read at the end gives.

Changes of all kinds come in batches, some stamped with one moment, some becoming visible after a sync that should have seen them, while
our clock and the CRMs' differ; calls fail in between. HISTORY_SEED repeats a run, SHRINK makes its failing history
shorter. Most histories follow one of the CRMs, since none of them sees another.
"""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cdp_pipelines.config import KINDS, Connection, Kind, connection_from_config
from cdp_pipelines.crm_integrations import http
from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.change import apply_changes
from cdp_pipelines.sandbox.server import SandboxServer
from cdp_pipelines.sources import registry
from tests.sources.histories.quick import QuickWarehouse
from tests.sources.histories.standardized import Layers

PEOPLE = 60
OVERLAP, LAG = 120, 60
QUICK: dict[Kind, dict[str, Any]] = {
    "salesforce": {"bulk_poll_seconds": 0.01, "bulk_above": 20},
    "hubspot": {"calls_per_10_seconds": 100_000, "searches_per_second": 100_000},
    "marketo": {"bulk_poll_seconds": 0.01, "calls_per_20_seconds": 100_000},
}
FAULTS = ("drop", "server_error", "truncate")

# What nobody can ask Marketo for who did not see it earlier: a deal that lost its last role, a company that lost its last lead.
UNASKABLE = (
    (
        "delete from raw_marketo.opportunities where external_opportunity_id not in "
        "(select external_opportunity_id from raw_marketo.opportunity_roles where external_opportunity_id is not null)"
    ),
    (
        "delete from raw_marketo.companies where external_company_id not in "
        "(select external_company_id from raw_marketo.leads where external_company_id is not null)"
    ),
)


class History(RuleBasedStateMachine):
    """The CRMs' world and our warehouse, which follows `crms` of them."""

    layers: Layers
    crms: int
    begun: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self.server = SandboxServer(people=PEOPLE, seed=7, state=self.folder / "sandbox")
        thread = threading.Thread(target=self.server.run, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self.server.stop)
        # Days ago, so that time can pass in the story without waiting. Whole days, so that a seed gives the same story all day.
        self.now = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=9)
        self.warehouse = self._first_read()
        self._stack.callback(self.warehouse.close)

    def _first_read(self) -> QuickWarehouse:
        """All histories begin with the same world read in full, which is done once."""
        if "first" not in self.begun:
            first = QuickWarehouse(self.begun["folder"] / "first")
            for kind in KINDS:
                assert first.sync(self.connection(kind), self.now) == {}
            first.close()
            self.begun["first"] = first
        return QuickWarehouse(self.folder / "ours", self.begun["first"])

    def connection(self, kind: Kind) -> Connection:
        config = self.server.addresses.connections()[kind]
        common = {"overlap_seconds": OVERLAP, "visibility_lag_seconds": LAG, "max_attempts": 4}
        return connection_from_config(kind, {**config, **common, **QUICK[kind]})

    @initialize(order=st.permutations(KINDS))
    def begin(self, order: list[Kind]) -> None:
        """Which of the CRMs are followed."""
        self.kinds = sorted(order[: self.crms])

    @rule(changes=st.integers(0, 10**6), count=st.integers(1, 25), later=st.integers(0, 40_000))
    def change(self, changes: int, count: int, later: int) -> None:
        """Time passes, or none at all, and then much happens in one moment."""
        self.now += timedelta(seconds=later)
        self._change(self.now, changes, count)

    @rule(changes=st.integers(0, 10**6), count=st.integers(1, 8), late=st.integers(1, 60))
    def change_that_shows_late(self, changes: int, count: int, late: int) -> None:
        """Something that is stamped earlier than what the last sync may have read."""
        self._change(self.now - timedelta(seconds=late), changes, count)

    @rule(kinds=st.sets(st.sampled_from(KINDS), min_size=1), skew=st.integers(-60, 90), later=st.integers(0, 4_000))
    def sync(self, kinds: set[Kind], skew: int, later: int) -> None:
        """A sync by a clock that differs from the CRMs'."""
        self.now += timedelta(seconds=later)
        self.synced(sorted(kinds & set(self.kinds)), skew)

    @rule(kind=st.sampled_from(KINDS), later=st.integers(0, 4_000))
    def reconcile(self, kind: Kind, later: int) -> None:
        """What cursors cannot see is looked for."""
        self.now += timedelta(seconds=later)
        if kind in self.kinds:
            assert self.warehouse.sync(self.connection(kind), self.now, "reconcile") == {}

    @rule(kind=st.sampled_from(KINDS), fault=st.sampled_from(FAULTS), after=st.integers(0, 20), count=st.integers(1, 12))
    def sync_while_calls_fail(self, kind: Kind, fault: str, after: int, count: int) -> None:
        """Whether it survives or not, it must leave nothing wrong."""
        if kind not in self.kinds:
            return
        self.server.faults.set({"crm": kind, "kind": fault, "after": after, "count": count})
        self._sync([kind], 0)
        self.server.faults.clear()

    def teardown(self) -> None:
        """The end of the story: our tables against those of a reader who comes only now."""
        try:
            self.now += timedelta(hours=1)
            self.synced(self.kinds, 0)
            for kind in self.kinds:
                assert self.warehouse.sync(self.connection(kind), self.now, "reconcile") == {}
            fresh = QuickWarehouse(self.folder / "fresh")
            self._stack.callback(fresh.close)
            for kind in self.kinds:
                assert fresh.sync(self.connection(kind), self.now) == {}
            assert differences(self.warehouse, fresh, self.layers, self.kinds) == {}
        finally:
            self._stack.close()

    def synced(self, kinds: Iterable[Kind], skew: int) -> None:
        """A sync that must be whole."""
        assert self._sync(kinds, skew) == {kind: {} for kind in kinds}

    def _change(self, at: datetime, changes: int, count: int) -> None:
        with clock.at(at):
            apply_changes(self.server.world.stores, changes, at, count)

    def _sync(self, kinds: Iterable[Kind], skew: int) -> dict[str, dict[str, str]]:
        return {kind: self.warehouse.sync(self.connection(kind), self.now + timedelta(seconds=skew)) for kind in kinds}


def differences(ours: QuickWarehouse, fresh: QuickWarehouse, layers: Layers, kinds: Collection[Kind]) -> dict[str, list[str]]:
    """By table, what is not the same in two warehouses; ours may also know of records that no CRM shows any more."""
    ours.close()
    fresh.close()
    with duckdb.connect(str(ours.settings.warehouse), config={"threads": 1}) as db:
        for query in UNASKABLE:
            db.execute(query)
        db.execute(f"attach '{fresh.settings.warehouse}' as fresh (read_only)")
        for kind in kinds:
            for table in registry.TABLES[kind]:
                _forget(db, kind, table.name, table.key, bool(table.replace_by))
    left, right = (_rows(layers.tables(warehouse.settings.warehouse, kinds)) for warehouse in (ours, fresh))
    return {table: _said(left[table] - rows, rows - left[table]) for table, rows in right.items() if left[table] != rows}


def _said(ours: set[Any], fresh: set[Any]) -> list[str]:
    """Up to ten rows, by what alone differs where a row of the other side is nearly the same."""
    said = []
    for row in list(ours)[:10]:
        near = max(fresh, key=lambda other: len(row & other), default=frozenset())
        said.append(f"ours {sorted(row - near)} fresh {sorted(near - row)} both {sorted(row & near)[:4]}")
    return said or [f"only fresh {sorted(row)[:12]}" for row in list(fresh)[:10]]


def _rows(tables: dict[str, pa.Table]) -> dict[str, set[Any]]:
    """Rows as what they say: nulls left out, since a new field is a column only of who saw it, and when they were read."""
    unsaid = {"_synced_at", "_dlt_load_id", "synced_at"}
    return {
        name: {frozenset((k, _plain(str(v))) for k, v in row.items() if v is not None and k not in unsaid) for row in table.to_pylist()}
        for name, table in tables.items()
    }


def _plain(text: str) -> str:
    """Salesforce's two query APIs write the same moment and the same number differently, and raw keeps what was given."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text.replace("+0000", "Z"))


def _forget(db: duckdb.DuckDBPyConnection, kind: str, table: str, key: tuple[str, ...], is_set: bool) -> None:
    """Drop from ours the tombstones of records that the fresh reader cannot know: the CRM shows nothing of them."""
    from cdp_pipelines.sources.columns import column_name

    columns = [f'"{column_name(field)}"' for field in key]
    relation = f'raw_{kind}."{table}"'
    same = " and ".join(f"theirs.{c} is not distinct from ours.{c}" for c in columns)
    gone = "true" if is_set else "ours._deleted = 'true'"
    others = [n for n, *_ in db.execute(f"describe {relation}").fetchall()]
    bookkeeping = {"connection", "_synced_at", "_deleted", "_merged_into", "_dlt_load_id", *(c.strip('"') for c in columns)}
    empty = " and ".join(f'ours."{c}" is null' for c in others if c not in bookkeeping) or "true"
    if is_set:
        # The empty set of a record that is gone.
        empty += "".join(f" and ours.{c} is null" for c in columns[1:])
    db.execute(
        f"delete from {relation} as ours where {gone} and {empty} and not exists (select 1 from fresh.{relation} as theirs where {same})"
    )


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Layers:
    return Layers(tmp_path_factory.mktemp("models") / "warehouse")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)


def _run(layers: Layers, folder: Path, seen: Callable[[str, object], None], histories: int, steps: int, crms: int) -> None:
    chosen = int(os.environ.get("HISTORY_SEED") or random.randrange(10**9))
    seen("HISTORY_SEED", chosen)
    machine = type("History", (History,), {"layers": layers, "begun": {"folder": folder}, "crms": crms})
    options = settings(
        max_examples=histories, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink) if os.environ.get("SHRINK") else (Phase.generate,),
    )  # fmt: skip
    run_state_machine_as_test(seed(chosen)(machine), settings=options)


def test_twenty_histories_read_as_they_happen_are_one_full_read_at_the_end(
    layers: Layers, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _run(layers, tmp_path, record_property, 20, 6, crms=1)


@pytest.mark.endurance
@pytest.mark.parametrize(("part", "crms"), [(1, 3), (2, 1), (3, 1), (4, 1), (5, 1)])
def test_two_hundred_histories_read_as_they_happen_are_one_full_read_at_the_end(
    layers: Layers, tmp_path: Path, record_property: Callable[[str, object], None], part: int, crms: int
) -> None:
    """Two hundred in all; the first forty follow the three CRMs at once, which takes longest."""
    _run(layers, tmp_path, record_property, 40, 4, crms)
