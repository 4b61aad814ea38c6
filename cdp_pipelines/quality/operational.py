"""The checks of the running of things, in one list: what each run looks at just before it publishes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality.erased import NOBODY_ERASED
from cdp_pipelines.quality.looking import Check, Look
from cdp_pipelines.quality.merges import MERGES_RESOLVED
from cdp_pipelines.quality.reading import CALLS_LEFT, EVERYTHING_READ, REAL_TIME_LAG
from cdp_pipelines.quality.reconciliation import NO_LATE_ROWS, SAME_IDS
from cdp_pipelines.quality.stores import AUDIT_CHAIN, HOLDS_WHAT_WE_WROTE, RETENTION

log = logging.getLogger(__name__)

CHECKS = (EVERYTHING_READ, REAL_TIME_LAG, MERGES_RESOLVED, HOLDS_WHAT_WE_WROTE, NOBODY_ERASED, RETENTION, AUDIT_CHAIN, CALLS_LEFT)

OF_RECONCILES = (SAME_IDS.newest(), NO_LATE_ROWS.newest())
"""What reconciles found and wrote down for each table, each over all tables."""


def run_all(settings: Settings, told: Mapping[str, Sequence[datetime]] | None = None, *, now: datetime | None = None) -> list[CheckResult]:
    """Run every check and write down what it found. `told` is as in `publish`. No call is made. The caller holds the warehouse lock."""
    moment = now or datetime.now(UTC)
    with history.opened(settings) as db:
        look = Look(settings, db, moment, told or {})
        results = [_run(check, look) for check in CHECKS]
    history.record_checks(settings, moment, results)
    return results


def _run(check: Check, look: Look) -> CheckResult:
    """What a check finds. One that cannot be made (a setting is wrong, a file is damaged) has failed, and says why."""
    try:
        return check.run(look)
    except Exception as error:
        log.exception("the check %s could not be made", check.name)
        problem = f"It could not be found out ({type(error).__name__}); the log has the details. Mend that, and run `cdp sync`."
        return CheckResult(check.name, check.table, False, check.blocking, 0, check.description, problem)


def of_reconciles(settings: Settings) -> list[CheckResult]:
    """What the newest reconciles found. It stands in the history for each table, and is not written down again."""
    with history.opened(settings) as db:
        return [check.run(Look(settings, db)) for check in OF_RECONCILES]
