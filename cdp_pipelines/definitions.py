"""Everything Dagster runs, in the order in which the data flows."""

import dagster as dg

from cdp_pipelines.config import Settings
from cdp_pipelines.defs import (
    alerts,
    automate,
    checks,
    executor,
    extract,
    identify,
    lag,
    lost_runs,
    polling,
    publish,
    quality,
    real_time,
    report,
    retention,
    transform,
    writeback,
)

defs = dg.Definitions.merge(
    extract.defs,
    transform.defs,
    checks.defs,
    identify.defs,
    quality.defs,
    publish.defs,
    report.defs,
    lag.defs,
    writeback.defs,
    automate.defs,
    real_time.defs,
    lost_runs.defs,
    alerts.defs,
    polling.defs,
    retention.defs,
    dg.Definitions(executor=executor.chosen(Settings())),
)
