"""What a reconcile finds, as checks: the CRM's ids and ours are the same, and no read had missed a change that it should have seen.

A reconcile asks a CRM for the key of everything that it shows, which is its own count and its ids in one. Both checks compare them in
full, so that no sample has to be drawn, and cost no call beyond the reconcile's. Their results stay until the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.privacy.suppression import Suppression
from cdp_pipelines.quality.check import SAMPLE
from cdp_pipelines.quality.looking import Check, Found, Look
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.shown import Shown


def checks(settings: Settings, connection: Connection, report: ExtractReport) -> list[CheckResult]:
    """The results for each table that a reconcile came through with. The caller holds the warehouse lock."""
    complete = {table.table for table in report.tables if table.state == "ok"}
    return [result for name, shown in report.shown.items() if name in complete for result in _of(settings, connection, shown)]


def _of(settings: Settings, connection: Connection, shown: Shown) -> Iterator[CheckResult]:
    landed = shown.compare(settings, connection)
    if landed.missing and (listed := Suppression.of(settings)):
        # Rows that name somebody who was erased do not land.
        landed = landed.without(key for key in landed.missing if listed.listed_ids(connection.name, key))
    about = f"{connection.name}.{shown.table.name}"
    wrong = [*landed.missing, *landed.surplus]
    said = f"Of {landed.shown:,} that it shows {len(landed.missing):,} are missing here, and {len(landed.surplus):,} are here that it does not show."
    yield SAME_IDS.result(about, len(wrong), [f"{connection.name}:{'/'.join(key)}" for key in wrong[:SAMPLE]], said)
    if not shown.table.replace_by:  # links have no time stamp
        yield NO_LATE_ROWS.result(about, shown.late.count, [f"{connection.name}:{one}" for one in shown.late.ids])


@dataclass(frozen=True)
class OfReconcile:
    """A check whose results come from reconciles, one for each table (`connection.table`)."""

    number: int
    name: str
    why: str
    description: str
    remedy: str

    def result(self, about: str, failed: int, keys: list[str], more: str = "") -> CheckResult:
        """The result for a table."""
        remedy = f"{more} {self.remedy}".strip() if failed else ""
        return CheckResult(self.name, about, not failed, False, failed, self.description, remedy, keys)

    def newest(self) -> Check:
        """The same over all tables, as each was found by its newest reconcile."""
        return Check(self.number, self.name, "", False, self.why, self.description, self.remedy, self._newest)

    def _newest(self, look: Look) -> Found:
        failing = look.db.execute(
            """select table_name, failed_rows, sample_keys from ops.check_results where name = ?
               qualify row_number() over (partition by table_name order by checked_at desc) = 1 order by table_name""",
            [self.name],
        ).fetchall()
        wrong = [(table, rows, keys) for table, rows, keys in failing if rows]
        said = ", ".join(f"{table} ({rows:,} rows)" for table, rows, _ in wrong)
        return Found(sum(rows for _, rows, _ in wrong), [key for *_, keys in wrong for key in keys], said and f"{said}.")


SAME_IDS = OfReconcile(
    1, "same_ids_as_crm", "Warns: what did land is right, and may be shown.",
    "The CRM's records and ours have the same ids, those of erased people left out.",
    "Run `cdp sync --full` for this connection; if it stays, report it: rows are lost between the CRM and the raw table.",
)  # fmt: skip
NO_LATE_ROWS = OfReconcile(
    2, "no_late_rows", "Warns: the reconcile that found them has read them.",
    "No record that had changed, by its own time stamp, before the moment until which everything was read had been missed.",
    "They are read now. If it goes on, raise overlap_seconds or visibility_lag_seconds of this connection: the CRM shows changes late.",
)  # fmt: skip
