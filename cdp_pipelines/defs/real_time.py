"""Real time: when change notifications wait in the inbox, a small run reads what they name, through to the published file."""

import time
from contextlib import closing

import dagster as dg

from cdp_pipelines import sync
from cdp_pipelines.config import Settings
from cdp_pipelines.defs.lag import materialized
from cdp_pipelines.defs.policy import POOL
from cdp_pipelines.webhooks.catch_up import catch_up
from cdp_pipelines.webhooks.inbox import Inbox

# How often the inbox is looked at, and after how long a run is asked for again when its events still wait.
EVERY_SECONDS, AGAIN_SECONDS = 5, 60
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.op(pool=POOL)
def read_what_changed(context: dg.OpExecutionContext) -> None:
    """The records that waiting notifications name, read again; then models, checks and the published file. Fails when events remain."""
    settings = Settings()
    with sync.configured(settings) as connections:
        found = catch_up(settings, connections, on_stage=context.log.info)
    if found is None:
        context.log.info("Nothing waits.")
        return
    metadata = materialized(context, found.report, {"events": found.done})
    if found.report.problem or found.failed or found.left:
        problems = "; ".join(f"{o.connection}: {o.problem}" for o in found.report.connections if o.problem)
        raise dg.Failure(f"{found.failed + found.left:,} events wait on. {found.report.problem or problems}", metadata=metadata)


@dg.job(description="What change notifications name, read again, through to the published file. The sensor `inbox_events` starts it.")
def catch_up_with_events() -> None:
    """One step, so that the warehouse is taken once."""
    read_what_changed()


@dg.sensor(job=catch_up_with_events, minimum_interval_seconds=EVERY_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def inbox_events(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run when events wait and none is under way. The cursor is the newest event that a run was asked for."""
    settings = Settings()
    if not settings.inbox.exists():
        return dg.SkipReason("No notification has ever come (see `cdp webhooks serve`).")
    with closing(Inbox(settings.inbox)) as inbox:
        newest = inbox.newest()
    if not newest:
        return dg.SkipReason("No event waits.")
    filters = dg.RunsFilter(job_name=catch_up_with_events.name, statuses=UNDER_WAY)
    if context.instance.get_runs(filters, limit=1):
        return dg.SkipReason("A run is under way; what comes meanwhile is for the next one.")
    context.update_cursor(str(newest))
    # Another key each minute: events that are left (a CRM that cannot be reached) are tried again.
    return dg.RunRequest(run_key=f"{newest}-{int(time.time() // AGAIN_SECONDS)}")


defs = dg.Definitions(jobs=[catch_up_with_events], sensors=[inbox_events])
