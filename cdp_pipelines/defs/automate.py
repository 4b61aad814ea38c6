"""When things run: incremental every hour, reconciled every night, in full every week, and at once when a sync is overdue."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from cdp_pipelines import database
from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.defs import writeback
from cdp_pipelines.defs.extract import ExtractConfig
from cdp_pipelines.defs.policy import WHAT
from cdp_pipelines.scrubbing import without_secrets

OVERDUE = timedelta(hours=2)
# All but write-back, which a person starts.
_READING = dg.AssetSelection.all() - dg.AssetSelection.groups(writeback.GROUP)
_RECONCILE = dg.RunConfig(ops={f"raw_{kind}": ExtractConfig(reconcile=True) for kind in KINDS})
_FULL = dg.RunConfig(ops={f"raw_{kind}": ExtractConfig(full=True) for kind in KINDS})

sync = dg.define_asset_job(
    "sync",
    selection=_READING,
    description="What changed in the CRMs since the last run, through to the published file.",
    run_tags={WHAT: "read what changed, and publish it"},
)
reconcile = dg.define_asset_job(
    "reconcile",
    selection=_READING,
    config=_RECONCILE,
    description="What changed, and what no cursor sees: purges, calculated fields, links, merges that were missed.",
    run_tags={WHAT: "read what changed, mend what a sync cannot see, and publish it"},
)
full_sync = dg.define_asset_job(
    "full_sync",
    selection=_READING,
    config=_FULL,
    description="Everything in the CRMs read anew, through to the published file.",
    run_tags={WHAT: "read everything anew, and publish it"},
)
hourly = dg.ScheduleDefinition(
    name="hourly_sync",
    job=sync,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    execution_timezone="UTC",
    description="What changed in the CRMs, every hour.",
)
nightly = dg.ScheduleDefinition(
    name="nightly_reconcile",
    job=reconcile,
    cron_schedule="30 1 * * 1-6",
    description="What changed, and what a sync cannot see, in every night but Sunday's.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    execution_timezone="UTC",
)
weekly = dg.ScheduleDefinition(
    name="weekly_full_sync",
    job=full_sync,
    cron_schedule="30 3 * * 0",
    description="Everything anew, in the night of Sunday.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    execution_timezone="UTC",
)


@dg.sensor(
    job=sync,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a sync when the published data is older than two hours.",
)
@without_secrets
def overdue_sync(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for a sync when the published data is older than two hours: after a night asleep, a failed hour, or on the first start."""
    last = _last_sync(Settings())
    now = datetime.now(UTC).replace(tzinfo=None)
    if last is not None and now - last < OVERDUE:
        return dg.SkipReason(f"The last complete sync ended {last:%Y-%m-%d %H:%M} UTC.")
    # The key changes with the last sync and with the hour: one request each hour until it works, not one each tick.
    key = f"{last:%Y%m%dT%H%M%S}-{now:%Y%m%dT%H}" if last else f"first-{now:%Y%m%dT%H}"
    why = f"the last complete sync ended {last:%Y-%m-%d %H:%M} UTC" if last else "there was no complete sync yet"
    return dg.RunRequest(run_key=key, tags={WHAT: f"read what changed, and publish it: {why}"})


def _last_sync(settings: Settings) -> datetime | None:
    """When the oldest of the connections' tables was last read to its end; None when one never was."""
    if not settings.published.exists():
        return None
    with database.connect(settings, settings.published, read_only=True) as db:
        return db.execute("select case when bool_and(state = 'ok') then min(ended_at) end from sync_status").fetchall()[0][0]


defs = dg.Definitions(jobs=[sync, reconcile, full_sync], schedules=[hourly, nightly, weekly], sensors=[overdue_sync])
