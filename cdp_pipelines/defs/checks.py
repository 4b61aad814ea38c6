"""Checks that compare stages, run between the standardized and the unified tables; checks on one table are dbt tests."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from cdp_pipelines import checks, history
from cdp_pipelines.config import Settings
from cdp_pipelines.defs.policy import POOL
from cdp_pipelines.defs.results import check_result
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.publish import publish_status
from cdp_pipelines.scrubbing import without_secrets


def _spec(check: checks.Check) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(check.name, asset=["standardized", check.table], description=check.description, blocking=check.blocking)


@dg.multi_asset_check(name="compare_stages", specs=[_spec(c) for c in checks.all_checks()], pool=POOL)
@without_secrets
def compare_stages(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Nothing lost between raw and standardized, values that did not cast, and the like."""
    settings = Settings()
    with warehouse_lock(settings, f"Dagster run {context.run.run_id}", context.log.info):
        results = checks.run_all(settings)
        history.record_checks(settings, datetime.now(UTC), results)
        if any(r.blocking and not r.passed for r in results):
            publish_status(settings)
    for result in results:
        yield check_result(dg.AssetKey(["standardized", result.table]), result)


defs = dg.Definitions(asset_checks=[compare_stages])
