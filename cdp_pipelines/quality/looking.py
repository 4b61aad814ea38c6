"""What a check of the running of things looks at, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb

from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality.check import SAMPLE


@dataclass(frozen=True)
class Look:
    """What the checks of one run share: the warehouse, and when the changes were, by connection, that notifications told this run of."""

    settings: Settings
    db: duckdb.DuckDBPyConnection
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    told: Mapping[str, Sequence[datetime]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """How much is wrong, keys of some of it (`connection:id`, or another name; never a value), and what else there is to say."""

    count: int = 0
    keys: Sequence[str] = ()
    more: str = ""


@dataclass(frozen=True)
class Check:
    """A check: its `number` in the list of docs/quality.md, what is so when it passes, what to do when it fails, `why` it stops the
    publication or does not, and how it is found out."""

    number: int
    name: str
    table: str
    blocking: bool
    why: str
    description: str
    remedy: str
    find: Callable[[Look], Found]

    def run(self, look: Look) -> CheckResult:
        """What it finds."""
        found = self.find(look)
        remedy = " ".join(part for part in (found.more, self.remedy) if part) if found.count else ""
        return CheckResult(
            self.name, self.table, not found.count, self.blocking, found.count, self.description, remedy, list(found.keys)[:SAMPLE]
        )


def rows_of(db: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object] = ()) -> Found:
    """What a query finds that gives the key of each failing row."""
    found = db.execute(
        f"select key, count(*) over () from (select distinct key from ({sql})) order by key limit {SAMPLE}", values
    ).fetchall()
    return Found(found[0][1], [key for key, _ in found]) if found else Found()
