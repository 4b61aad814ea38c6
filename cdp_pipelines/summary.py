"""A sync's report as plain values, for scripts and the Python API, and as text for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdp_pipelines.sources.report import TableReport
    from cdp_pipelines.sync import ConnectionOutcome, SyncReport


class SyncSummary(dict[str, Any]):
    """What a sync did, as values that JSON can hold (times are aware datetimes); `str()` gives it in a few lines.

    Keys: complete, problem, published, started_at, ended_at, seconds, calls, connections (by name, each with its objects, and what
    reconciling mended of them), checks.
    """

    def __str__(self) -> str:
        lines = [f"Sync {'complete' if self['complete'] else 'INCOMPLETE'} in {self['seconds']:.1f} s, {self['calls']:,} API calls"]
        for name, connection in self["connections"].items():
            outcomes = (*connection["objects"].items(), *connection["reconciled"].items())
            lines += [f"  {name}.{table}: {describe(outcome)}" for table, outcome in outcomes]
            lines += [f"  {name}: warning: {warning}" for warning in connection["warnings"]]
        lines += [f"  check {check['table']}.{check['name']} failed: {describe_check(check)}" for check in self["checks"]["failed"]]
        lines.append(f"  checks: {self['checks']['passed']} passed, {len(self['checks']['failed'])} failed")
        lines.append(f"  published {self['published']}" if self["published"] else f"  not published: {self['problem']}")
        return "\n".join(lines)


def summarize(report: SyncReport) -> SyncSummary:
    """The summary of a report."""
    return SyncSummary(
        complete=report.complete,
        problem=report.problem,
        published=str(report.published) if report.published else None,
        started_at=report.started_at,
        ended_at=report.ended_at,
        seconds=round((report.ended_at - report.started_at).total_seconds(), 3),
        calls=sum(c.calls for c in report.connections),
        connections={c.connection: _connection(c) for c in report.connections},
        checks={"passed": sum(c.passed for c in report.checks), "failed": [asdict(c) for c in report.checks if not c.passed]},
    )


def describe(outcome: dict[str, Any]) -> str:
    """One object's outcome in a line."""
    if outcome["state"] != "ok":
        return f"incomplete: {explain(outcome['problem'], outcome['remedy'])}"
    counts = ", ".join(f"{outcome[f'rows_{what}']:,} {word}" for what, word in _COUNTS.items())
    return f"{outcome['mode']}, {counts}, {outcome['calls']:,} calls"


def explain(problem: str | None, remedy: str | None) -> str:
    """A problem and its remedy as sentences."""
    return " ".join(f"{part.rstrip('. ')}." for part in (problem, remedy) if part)


def describe_check(check: dict[str, Any]) -> str:
    """A failed check in a line."""
    keys = f" Rows: {', '.join(check['sample_keys'])}." if check["sample_keys"] else ""
    blocking = "blocking, " if check["blocking"] else ""
    rows = "1 row" if check["failed_rows"] == 1 else f"{check['failed_rows']:,} rows"
    return f"{blocking}{rows}. {check['description']} {check['remedy']}".rstrip() + keys


_COUNTS = {"read": "read", "inserted": "new", "updated": "updated", "deleted": "deleted", "rejected": "rejected"}


def _connection(outcome: ConnectionOutcome) -> dict[str, Any]:
    return {
        "source_system": outcome.kind,
        "complete": outcome.complete,
        "problem": outcome.problem,
        "remedy": outcome.remedy,
        "calls": outcome.calls,
        "warnings": outcome.warnings,
        "objects": {t.table: _table(t) for t in outcome.tables if t.mode != "reconcile"},
        "reconciled": {t.table: _table(t) for t in outcome.tables if t.mode == "reconcile"},
    }


def _table(report: TableReport) -> dict[str, Any]:
    names = (
        "mode",
        "state",
        "problem",
        "remedy",
        "cursor",
        "calls",
        "calls_left",
        "calls_allowed",
        "rows_total",
        *(f"rows_{what}" for what in _COUNTS),
    )
    return {name: getattr(report, name) for name in names}
