"""One sync, from the CRMs to the published file: extract, standardize, check, identify, unify, measure, publish.

The steps are functions of their own; Dagster's assets (`defs/`) call the same ones in the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cdp_pipelines import checks, history, transform
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import KINDS, ConfigError, Connection, Kind, Settings
from cdp_pipelines.engines import serving
from cdp_pipelines.history import CheckResult, EventLag
from cdp_pipelines.identity.step import identify
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.publish import publish, publish_status
from cdp_pipelines.quality import dbt_tests, operational, reconciliation
from cdp_pipelines.quality.measuring import measure
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.raw_tables import create_raw_tables, declared_columns
from cdp_pipelines.sources.reconcile import reconcile as mend
from cdp_pipelines.sources.report import Progress, TableReport
from cdp_pipelines.transform import NodeResult

log = logging.getLogger(__name__)


@dataclass
class ConnectionOutcome:
    """What a sync did for one connection. `problem` and `remedy` are set when the connection as a whole failed; `checks` are those of a reconcile."""

    connection: str
    kind: Kind
    complete: bool
    problem: str | None = None
    remedy: str | None = None
    tables: list[TableReport] = field(default_factory=list)
    calls: int = 0
    warnings: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)


@dataclass
class SyncReport:
    """What a sync did. `problem` says why it stopped before publishing; `published` is the file it wrote otherwise.

    `lags` is, by connection, how long the changes took that notifications told of, where the sync followed any.
    """

    started_at: datetime
    ended_at: datetime
    connections: list[ConnectionOutcome]
    checks: list[CheckResult] = field(default_factory=list)
    published: Path | None = None
    problem: str | None = None
    lags: list[EventLag] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Everything was read, no blocking check failed, and the file was published."""
        return self.problem is None and self.published is not None and all(c.complete for c in self.connections)


def sync(
    settings: Settings,
    connections: Sequence[Connection | ConfigError],
    *,
    full: bool = False,
    reconcile: bool = False,
    on_progress: Progress | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> SyncReport:
    """Run all steps. Never raises for a CRM that fails: the report says what is incomplete. Raises WarehouseBusy.

    `reconcile` mends, after reading, what a read cannot see (see sources/reconcile.py). `on_stage` is told, in a few words, which step
    begins.
    """
    say = on_stage or (lambda text: None)
    started = datetime.now(UTC)
    report = SyncReport(started, started, [])
    with warehouse_lock(settings, "cdp sync", say):
        say("extracting")
        for connection in connections:
            outcome = ingest(settings, connection, full=full, reconcile=reconcile, on_progress=on_progress)
            report.connections.append(outcome)
            report.checks += outcome.checks
        build(settings, report, say)
    report.ended_at = datetime.now(UTC)
    return report


def build(
    settings: Settings,
    report: SyncReport,
    say: Callable[[str], None],
    *,
    changed: set[tuple[Kind, str]] | None = None,
    told: Mapping[str, Sequence[datetime]] | None = None,
) -> None:
    """From the raw tables to the published file, as far as the blocking checks let it come. The caller holds the warehouse lock.

    `changed` are the raw tables (CRM and table) from which standardized tables are made anew, where all others are as they should be. Who is
    who may be another answer after any change, so the unified tables are built as a whole. `told` is when the changes were, by connection,
    that notifications told of and that are published now.
    """
    create_missing_raw_tables(settings)
    report.checks += checks.run_raw(settings)
    say("standardizing")
    report.checks += standardize(settings, changed)
    say("checking")
    report.checks += check_standardized(settings)
    if not _stopped_by(report.checks, report):
        say("identifying")
        report.checks += identify(settings).checks
    if not _stopped_by(report.checks, report):
        say("unifying")
        report.checks += unify(settings)
    if not _stopped_by(report.checks, report):
        say("measuring")
        report.checks += measure(settings, once_an_hour=told is not None).checks
        say("checking what is to be published")
        report.checks += operational.run_all(settings, told)
        _stopped_by(report.checks, report)
    say("publishing")
    if report.problem is None:
        written = publish(settings, told)
        report.published, report.lags = written.path, written.lags
        history.record_event_lags(settings, written.at, written.lags)
        history.all_built(settings, transform.version())
    else:
        publish_status(settings)


def ingest(
    settings: Settings,
    connection: Connection | ConfigError,
    *,
    full: bool = False,
    reconcile: bool = False,
    on_progress: Progress | None = None,
) -> ConnectionOutcome:
    """Extract one connection, reconcile it if asked to, and write down how each of its tables went. The caller holds the warehouse lock."""
    if isinstance(connection, ConfigError):
        problem = f"{connection.setting} {connection.problem}."
        return _failed(settings, connection.connection or connection.setting, kind_of(connection, settings), problem, connection.remedy)
    if other := history.claim(settings, connection):
        problem = f"until now this connection was {other}, and now it is {connection.kind} on {connection.host}; their records would mix."
        remedy = (
            "Give it another name in CDP_CONNECTIONS, or start anew with an empty data directory (`make clean`, or another CDP_DATA_DIR)."
        )
        return _failed(settings, connection.name, connection.kind, problem, remedy)
    found = extract(connection, registry.reader(connection, settings), settings, full=full, on_progress=on_progress)
    history.record_syncs(settings, found.tables)
    outcome = ConnectionOutcome(connection.name, connection.kind, found.complete, None, None, found.tables, found.calls, found.warnings)
    reasons = {(t.problem, t.remedy) for t in found.tables}
    if len(reasons) == 1 and not found.complete:
        outcome.problem, outcome.remedy = reasons.pop()
    elif reconcile:
        _reconcile(settings, connection, outcome, on_progress)
    return outcome


def _reconcile(settings: Settings, connection: Connection, outcome: ConnectionOutcome, on_progress: Progress | None) -> None:
    """Reconcile those tables that were read to their end, and write down whether the CRM's ids and ours are the same then."""
    read = {t.table: t.cursor for t in outcome.tables if t.state == "ok"}
    until = {table: cursor for table, cursor in read.items() if cursor}
    found = mend(connection, registry.reader(connection, settings), settings, tables=read, read_until=until, on_progress=on_progress)
    history.record_syncs(settings, found.tables)
    outcome.checks = reconciliation.checks(settings, connection, found)
    history.record_checks(settings, datetime.now(UTC), outcome.checks)
    outcome.complete = outcome.complete and found.complete
    outcome.tables += found.tables
    outcome.calls += found.calls
    outcome.warnings += [warning for warning in found.warnings if warning not in outcome.warnings]


def _failed(settings: Settings, name: str, kind: Kind, problem: str, remedy: str) -> ConnectionOutcome:
    """The outcome of a connection that could not even be tried, written down for each of its tables."""
    now = datetime.now(UTC)
    tables = [TableReport(name, kind, t.name, "incremental", now, now, "incomplete", problem, remedy) for t in registry.TABLES[kind]]
    history.record_syncs(settings, tables)
    record(settings, Operation("sync", name, "failed", 0, {"kind": kind}))
    return ConnectionOutcome(name, kind, False, problem, remedy, tables)


def kind_of(connection: Connection | ConfigError, settings: Settings) -> Kind:
    """Which CRM a connection is of, also when its settings cannot be used."""
    return connection.kind if isinstance(connection, Connection) else settings.connection_kinds()[connection.connection or ""]


def create_missing_raw_tables(settings: Settings) -> None:
    """Make sure that every raw table and mapped column exists, also those of a CRM that nobody connected: the models read all of them."""
    with history.opened(settings) as db:
        there = set(db.execute("select schema_name, table_name, column_name from duckdb_columns()").fetchall())
    for kind in KINDS:
        wanted = {(f"raw_{kind}", t.name, column) for t in registry.TABLES[kind] for column in declared_columns(kind, t).values()}
        if wanted - there:
            create_raw_tables(kind, registry.TABLES[kind], settings)
            serving.show_raw(settings, kind, registry.TABLES[kind])


def build_models(settings: Settings, select: str) -> tuple[list[NodeResult], dict[str, CheckResult]]:
    """Build dbt models with their tests, and write down what the tests found: what became of each, and the results by dbt's name of the test.
    The caller holds the warehouse lock."""
    nodes = transform.build(select, settings)
    built = {node.node for node in nodes if node.resource_type == "model" and node.ok}
    serving.show_models(settings, built, transform.manifest)
    results = dbt_tests.results(settings, nodes)
    history.record_checks(settings, datetime.now(UTC), results.values())
    return nodes, results


def standardize(settings: Settings, changed: set[tuple[Kind, str]] | None = None) -> list[CheckResult]:
    """Build staging and the standardized tables, with their tests; only those made from the `changed` raw tables where these are given."""
    if changed is not None and not changed:
        return []
    select = transform.LAYERS["standardized"] if changed is None else transform.downstream("standardized", changed)
    return list(build_models(settings, select)[1].values())


def check_standardized(settings: Settings) -> list[CheckResult]:
    """Compare the standardized tables with the raw ones."""
    results = checks.run_all(settings)
    history.record_checks(settings, datetime.now(UTC), results)
    return results


def unify(settings: Settings) -> list[CheckResult]:
    """Build the unified tables, with their tests."""
    return list(build_models(settings, transform.LAYERS["unified"])[1].values())


def _stopped_by(results: Iterable[CheckResult], report: SyncReport) -> bool:
    failed = [f"{r.table}.{r.name}" for r in results if r.blocking and not r.passed]
    if failed:
        report.problem = f"a blocking check failed ({', '.join(failed)}), so the published tables stay those of the last good run"
    return bool(failed)
