"""How late changes are in the published file: a check, and what the small runs say of themselves that follow the CRMs in between."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from cdp_pipelines import lag, polling
from cdp_pipelines.config import Settings
from cdp_pipelines.connections import configured
from cdp_pipelines.defs.policy import POOL
from cdp_pipelines.defs.publish import PUBLISHED
from cdp_pipelines.scrubbing import without_secrets
from cdp_pipelines.sync import SyncReport


@dg.asset_check(
    asset=PUBLISHED,
    name=lag.CHECK,
    description="Changes reach the published file within CDP_REAL_TIME_LAG_MINUTES of a notification, or of the poll that is due.",
    pool=POOL,
)
@without_secrets
def real_time_lag() -> dg.AssetCheckResult:
    """Looks at the published file and the inbox; no call is made. Warns, and never stops a run: the data is right, only late."""
    settings = Settings()
    # Without connections in the environment the sandbox is what is read, and nobody polls it.
    with configured(settings) if settings.connection_kinds() else nullcontext([]) as connections:
        found = lag.check(settings, polling.polled(connections), datetime.now(UTC))
    return dg.AssetCheckResult(
        asset_key=PUBLISHED,
        check_name=lag.CHECK,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found.description} {found.remedy}".strip(),
        metadata={"connections that are late": ", ".join(found.sample_keys) or "none"},
    )


def materialized(context: dg.OpExecutionContext, report: SyncReport, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Tell Dagster what one step read and published, and how late changes are now; gives what was told of the published file."""
    rows = "".join(
        f"| {o.connection} | {t.table} | {t.mode} | {t.rows_read:,} | {t.rows_deleted:,} | {t.calls:,} | {t.state} |\n"
        for o in report.connections
        for t in o.tables
    )
    metadata = {
        **(more or {}),
        "read": dg.MetadataValue.md(
            f"| connection | object | mode | rows | deleted | calls | state |\n|---|---|---|---|---|---|---|\n{rows}"
        ),
    }
    if report.lags:
        lags = "".join(f"| {one.connection} | {one.events:,} | {one.median:.1f} | {one.p95:.1f} |\n" for one in report.lags)
        metadata["lag from change to published (s)"] = dg.MetadataValue.md(
            f"| connection | events | median | p95 |\n|---|---|---|---|\n{lags}"
        )
    if report.published:
        for outcome in report.connections:
            for table in outcome.tables:
                context.log_event(dg.AssetMaterialization([f"raw_{outcome.kind}", table.table], metadata={"rows read": table.rows_read}))
        context.log_event(dg.AssetMaterialization(PUBLISHED, metadata=metadata))
        _report(context.instance)
    return metadata


def _report(instance: dg.DagsterInstance) -> None:
    """Renew what the check says, which no run of the assets does in between."""
    found = real_time_lag()
    assert isinstance(found, dg.AssetCheckResult)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=PUBLISHED,
        check_name=lag.CHECK,
        passed=found.passed,
        severity=found.severity,
        description=found.description,
        metadata=found.metadata,
    )
    instance.report_runless_asset_event(evaluation)


defs = dg.Definitions(asset_checks=[real_time_lag])
