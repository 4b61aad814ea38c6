"""Real time: when change notifications wait in the inbox, a small run reads what they name, through to the published file."""

import time
from contextlib import closing

import dagster as dg

from cdp_pipelines.config import Settings
from cdp_pipelines.connections import configured
from cdp_pipelines.defs.lag import materialized
from cdp_pipelines.defs.policy import POOL, WHAT
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.scrubbing import without_secrets
from cdp_pipelines.webhooks.catch_up import CaughtUp, catch_up
from cdp_pipelines.webhooks.inbox import Inbox

# How long one look of the sensor waits for an event, and how often it looks meanwhile; Dagster itself asks it every five seconds.
LOOK_SECONDS, EVERY_SECONDS = 4.5, 0.1
# After how long a run is asked for again when its events still wait, and for how long one run goes on while new ones come.
AGAIN_SECONDS, GOES_ON_SECONDS = 60, 300
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.op(pool=POOL)
@without_secrets
def read_what_changed(context: dg.OpExecutionContext) -> None:
    """The records that waiting notifications name, read again; then models, checks and the published file. Fails when events remain.

    What comes meanwhile is dealt with in the same run, which spares its events the start of another; after five minutes that ends, so that
    a scheduled sync has its turn.
    """
    settings, until = Settings(), time.monotonic() + GOES_ON_SECONDS
    with configured(settings) as connections:
        while found := catch_up(settings, connections, on_stage=context.log.info):
            _tell(context, found)
            if time.monotonic() > until:
                break
    context.log.info("Nothing waits." if found is None else "What still waits is for the next run.")


def _tell(context: dg.OpExecutionContext, found: CaughtUp) -> None:
    """What was done, as the run's metadata. Raises Failure when events wait on that were tried."""
    # Lags are numbers of their own too, which Dagster draws over time.
    lags = {f"lag of {one.connection} (s, p95)": round(one.p95, 1) for one in found.lags}
    metadata = materialized(context, found.report, {"events": found.done, **lags})
    if found.report.problem or found.failed or found.left:
        problems = "; ".join(f"{o.connection}: {o.problem}" for o in found.report.connections if o.problem)
        raise dg.Failure(f"{found.failed + found.left:,} events wait on. {found.report.problem or problems}", metadata=metadata)


@dg.job(
    description="What change notifications name, read again, through to the published file. The sensor `inbox_events` starts it.",
    run_tags={WHAT: "follow change notifications"},
)
def catch_up_with_events() -> None:
    """One step, so that the warehouse is taken once."""
    read_what_changed()


@dg.sensor(
    job=catch_up_with_events,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run when change notifications wait in the inbox.",
)
@without_secrets
def inbox_events(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run when events wait and none is under way. The cursor is the newest event that a run was asked for."""
    settings = Settings()
    if not settings.inbox.exists():
        return dg.SkipReason("No notification has ever come (see `cdp webhooks serve`).")
    if context.instance.get_runs(dg.RunsFilter(job_name=catch_up_with_events.name, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("A run is under way; it takes what comes meanwhile.")
    until = time.monotonic() + LOOK_SECONDS
    with closing(Inbox(settings.inbox, sealer=Sealer.of(settings))) as inbox:
        while not (newest := inbox.newest()) and time.monotonic() < until:
            time.sleep(EVERY_SECONDS)
        waiting = inbox.waiting_count()
    if not newest:
        return dg.SkipReason("No event waits.")
    context.update_cursor(str(newest))
    # Another key each minute: events that are left (a CRM that cannot be reached) are tried again.
    what = f"follow {waiting:,} change notification{'' if waiting == 1 else 's'}"
    return dg.RunRequest(run_key=f"{newest}-{int(time.time() // AGAIN_SECONDS)}", tags={WHAT: what})


defs = dg.Definitions(jobs=[catch_up_with_events], sensors=[inbox_events])
