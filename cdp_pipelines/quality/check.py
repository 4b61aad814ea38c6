"""A check in SQL over the warehouse: what it says, and running it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from cdp_pipelines.history import CheckResult

SAMPLE = 10


@dataclass(frozen=True)
class Check:
    """One check. `sql` gives `key`, the key of each failing row (or group of `rows` rows); `table` is the table that it is about.

    `number` is that of the list in docs/quality.md, `why` why it stops the publication or does not.
    """

    name: str
    table: str
    blocking: bool
    description: str
    remedy: str
    sql: str
    number: int = 0
    why: str = ""


@dataclass(frozen=True)
class Listed:
    """A check as docs/quality.md lists it: of which `tables` it is, and in which step of `cdp sync` (`where`) it runs."""

    number: int
    name: str
    tables: str
    where: str
    blocking: bool
    why: str
    description: str
    remedy: str


def run(db: duckdb.DuckDBPyConnection, check: Check) -> CheckResult:
    """Run one check."""
    failing = db.execute(f"select key, rows, sum(rows) over () from ({check.sql}) order by rows desc, key limit {SAMPLE}").fetchall()
    failed = int(failing[0][2]) if failing else 0
    keys = [key if rows == 1 else f"{key} ({rows:,} rows)" for key, rows, _ in failing]
    return CheckResult(check.name, check.table, not failed, check.blocking, failed, check.description, check.remedy, keys)


def run_all(db: duckdb.DuckDBPyConnection, checks: Iterable[Check]) -> list[CheckResult]:
    """Run some checks, one after the other."""
    return [run(db, check) for check in checks]
