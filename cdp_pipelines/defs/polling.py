"""Polling: connections with a poll interval are synced when it is over, through to the published file."""

from datetime import UTC, datetime

import dagster as dg

from cdp_pipelines import polling
from cdp_pipelines.config import Settings
from cdp_pipelines.connections import configured
from cdp_pipelines.defs.automate import full_sync, reconcile
from cdp_pipelines.defs.automate import sync as whole_sync
from cdp_pipelines.defs.lag import materialized
from cdp_pipelines.defs.policy import POOL, WHAT
from cdp_pipelines.defs.real_time import UNDER_WAY
from cdp_pipelines.scrubbing import without_secrets

EVERY_SECONDS = 30


@dg.op(pool=POOL)
@without_secrets
def sync_what_is_due(context: dg.OpExecutionContext) -> None:
    """What changed in the connections whose poll interval is over; models, checks and the published file. Fails when it is incomplete."""
    settings = Settings()
    with configured(settings) as connections:
        done = polling.poll(settings, connections, on_stage=context.log.info)
    if done is None:
        context.log.info("Nothing is due any more.")
        return
    for name, events in done.told.items():
        context.log.info(f"{name}: {events:,} changes in its log, which `catch_up_with_events` follows.")
    problems, metadata = list(done.problems), {}
    if report := done.report:
        metadata = materialized(context, report)
        problems += [report.problem] if report.problem else []
        problems += [f"{o.connection} {t.table}: {t.problem}" for o in report.connections for t in o.tables if t.state != "ok"]
    if problems:
        raise dg.Failure("; ".join(problems), metadata=metadata)


@dg.job(
    description="Connections with a poll interval, synced when it is over. The sensor `polls_due` starts it.",
    run_tags={WHAT: "poll the connections that are due"},
)
def poll_connections() -> None:
    """One step, so that the warehouse is taken once."""
    sync_what_is_due()


# Jobs that read everything, after which nothing is due.
_READING = (poll_connections.name, whole_sync.name, reconcile.name, full_sync.name)


@dg.sensor(
    job=poll_connections,
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a sync of the connections whose poll interval is over.",
)
@without_secrets
def polls_due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for a sync of those connections whose `<NAME>_POLL_MINUTES` are over, unless a run is under way that reads them."""
    settings, now = Settings(), datetime.now(UTC)
    if not settings.connection_kinds():
        return dg.SkipReason("The environment names no connection.")
    with configured(settings) as connections:
        polled = polling.polled(connections)
    if not polled:
        return dg.SkipReason("No connection has a poll interval (<NAME>_POLL_MINUTES).")
    due = polling.due(settings, polled, now)
    if not due:
        next_one = min(at for c in polled if (at := polling.due_at(settings, c)))
        return dg.SkipReason(f"The next connection is due at {next_one:%Y-%m-%d %H:%M} UTC.")
    if any(context.instance.get_runs(dg.RunsFilter(job_name=name, statuses=UNDER_WAY), limit=1) for name in _READING):
        return dg.SkipReason("A run is under way that reads them.")
    # The key changes with the interval: one request each time until it works, not one each tick.
    slots = (f"{c.name}-{int(now.timestamp() // (60 * (c.poll_minutes or 1)))}" for c in due)
    names = [c.name for c in due]
    return dg.RunRequest(run_key=" ".join(slots), tags={"connections": ",".join(names), WHAT: f"poll {', '.join(names)}"})


defs = dg.Definitions(jobs=[poll_connections], sensors=[polls_due])
