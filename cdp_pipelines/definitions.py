"""Everything Dagster runs, in the order in which the data flows."""

import dagster as dg

from cdp_pipelines.defs import (
    alerts,
    automate,
    checks,
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
    # DuckDB has one writer, so steps run in one process, one after the other; waiting for the CRMs overlaps inside a step.
    dg.Definitions(executor=dg.in_process_executor),
)
