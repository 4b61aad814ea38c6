"""Retention every day: what is older than retention.yml keeps it goes, Dagster's own runs too. That nothing is overdue, `published/cdp` checks."""

from datetime import UTC, datetime

import dagster as dg

from cdp_pipelines.config import Settings
from cdp_pipelines.defs.policy import POOL, WHAT
from cdp_pipelines.privacy import retention
from cdp_pipelines.scrubbing import without_secrets

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.op(pool=POOL)
@without_secrets
def take_away_what_is_too_old(context: dg.OpExecutionContext) -> None:
    """As `cdp privacy retain`, and ended runs with their events. The audit log has what went."""
    done = retention.retain(Settings(), delete_runs=lambda before: delete_runs(context.instance, before))
    context.log.info("; ".join(f"{name}: {count:,}" for name, count in done.counts.items() if count) or "Nothing is too old.")


def delete_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete ended runs, with their events, that nothing has been heard of since a moment; gives how many."""
    old = instance.get_run_records(dg.RunsFilter(statuses=_ENDED, updated_before=before.astimezone(UTC)))
    for record in old:
        instance.delete_run(record.dagster_run.run_id)
    return len(old)


@dg.job(
    description="What is older than retention.yml keeps it goes. `cdp privacy retain --dry-run` shows it first.",
    run_tags={WHAT: "take away what is older than retention.yml keeps it"},
)
def retain() -> None:
    """One step, so that the warehouse is taken once."""
    take_away_what_is_too_old()


daily = dg.ScheduleDefinition(
    name="daily_retention",
    job=retain,
    cron_schedule="0 5 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    execution_timezone="UTC",
    description="What is too old goes, every day.",
)


defs = dg.Definitions(jobs=[retain], schedules=[daily])
