"""The published file, and the last word on the run: whether everything was read."""

from collections.abc import Iterator

import dagster as dg

from cdp_pipelines import classified, database
from cdp_pipelines.config import Settings
from cdp_pipelines.defs import identify, quality, transform
from cdp_pipelines.defs.policy import FRESHNESS, OWNERS, POOL
from cdp_pipelines.defs.results import check_result
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.publish import publish, publish_status
from cdp_pipelines.quality import operational
from cdp_pipelines.scrubbing import without_secrets

PUBLISHED = dg.AssetKey(["published", "cdp"])
_LAGS = """
select
    connection, strftime(min(seen_until), '%Y-%m-%d %H:%M:%S'), max(lag_seconds), any_value(events_last_day),
    any_value(event_lag_median_seconds), any_value(event_lag_p95_seconds)
from sync_status
group by connection
order by connection
"""
_INCOMPLETE = "select connection, object, problem, remedy from sync_status where state <> 'ok' order by all"

# What the asset itself says of its file; whether changes come in time, defs/lag.py says, after small runs too.
_SAID_ELSEWHERE = ("everything_read", "real_time_lag")
CHECKS = [check for check in (*operational.CHECKS, *operational.OF_RECONCILES) if check.name not in _SAID_ELSEWHERE]

_STEPS = (transform.standardize, identify.who_is_who, transform.unify, quality.measure)
_INPUTS = sorted(key for step in _STEPS for key in step.keys if key.path[0] != "staging")


@dg.asset(
    key=PUBLISHED,
    deps=_INPUTS,
    group_name="published",
    owners=OWNERS,
    kinds={"duckdb"},
    freshness_policy=FRESHNESS,
    pool=POOL,
    check_specs=[
        dg.AssetCheckSpec(
            "everything_read",
            asset=PUBLISHED,
            blocking=True,
            description="No table of any connection is incomplete. Fails the run, after what could be read has been published.",
        ),
        dg.AssetCheckSpec(
            "every_column_has_a_class",
            asset=PUBLISHED,
            description="mapping.yml says of every published column which class of personal data it has. The masked file leaves out what has none.",
        ),
        *(
            dg.AssetCheckSpec(check.name, asset=PUBLISHED, description=f"{check.description} {check.why}", blocking=check.blocking)
            for check in CHECKS
        ),
    ],
)
@without_secrets
def cdp(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """The file that analysts open: every standardized and unified table, sync_status and data_quality, replaced in one move; then
    the masked file, which says of nobody who they are."""
    settings = Settings()
    with warehouse_lock(settings, f"Dagster run {context.run.run_id}", context.log.info):
        results = operational.run_all(settings)
        stopped = [f"{r.description} {r.remedy}" for r in results if r.blocking and not r.passed]
        written = publish_status(settings) if stopped else publish(settings)
        results += operational.of_reconciles(settings)
    yield from (check_result(PUBLISHED, result) for result in results if result.name not in _SAID_ELSEWHERE)
    if stopped:
        raise dg.Failure(f"The tables stay those of the last good run. Not so: {' '.join(stopped)}")
    with database.connect(settings, written.path, read_only=True) as db:
        incomplete = db.execute(_INCOMPLETE).fetchall()
        lags = db.execute(_LAGS).fetchall()
        unclassified = classified.unclassified(db, settings.published.stem)
    for connection, table, problem, remedy in incomplete:
        context.log.error(f"{connection} {table} is incomplete: {problem} {remedy or ''}")
    yield dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(written.path),
            "size (bytes)": written.path.stat().st_size,
            "masked file": dg.MetadataValue.path(written.masked.path) if written.masked else dg.MetadataValue.text("off (CDP_MASKED)"),
            "rows": dg.MetadataValue.md("| table | rows |\n|---|---|\n" + "".join(f"| {t} | {n:,} |\n" for t, n in written.rows.items())),
            "lag": dg.MetadataValue.md(
                "| connection | all changes until (UTC) | that was before (s) | told in the last day | half published within (s) | 95 % within (s) |\n"
                "|---|---|---|---|---|---|\n" + "".join(f"| {' | '.join(map(_shown, row))} |\n" for row in lags)
            ),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="everything_read",
                passed=not incomplete,
                severity=dg.AssetCheckSeverity.ERROR,
                description="; ".join(f"{c} {t}: {p}" for c, t, p, _ in incomplete)
                or "Every table of every connection was read to its end.",
            ),
            dg.AssetCheckResult(
                check_name="every_column_has_a_class",
                passed=not unclassified,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"No class in mapping.yml: {', '.join(unclassified)}."
                if unclassified
                else "Every published column has a class.",
            ),
        ],
    )


def _shown(value: object) -> str:
    return "" if value is None else f"{value:,.0f}" if isinstance(value, int | float) else str(value)


defs = dg.Definitions(assets=[cdp])
