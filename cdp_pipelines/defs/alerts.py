"""Alerts: what `cdp doctor` finds, and jobs whose newest run failed, told to the channels that are set."""

import asyncio
from collections.abc import Iterator

import dagster as dg

from cdp_pipelines.alerting import Channels, tell
from cdp_pipelines.config import Settings
from cdp_pipelines.defs import automate, polling, real_time, retention
from cdp_pipelines.doctor import Finding, examine
from cdp_pipelines.engine import CDPEngine
from cdp_pipelines.scrubbing import without_secrets

EVERY_SECONDS = 300
# Dagster gives a look of a sensor a minute. A CRM that does not answer must not be why nobody is told so.
ANSWER_WITHIN_SECONDS = 20
_RUN_BY_THEMSELVES = (
    automate.sync, automate.reconcile, automate.full_sync, real_time.catch_up_with_events, polling.poll_connections, retention.retain,
)  # fmt: skip
JOBS = tuple(job.name for job in _RUN_BY_THEMSELVES)


@dg.sensor(
    minimum_interval_seconds=EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the channels of CDP_ALERT_CHANNELS what is wrong, each fault once, and when it is over.",
)
@without_secrets
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tells each fault once, and once more when it is over. Does nothing without CDP_ALERT_CHANNELS."""
    settings = Settings()
    if not list(channels := Channels(settings)):
        return dg.SkipReason("CDP_ALERT_CHANNELS is not set.")
    findings = examine(settings, asyncio.run(CDPEngine(settings).test_crm_connections(within=ANSWER_WITHIN_SECONDS)))
    told = tell(settings, channels, [*findings, *failed_jobs(context.instance)])
    if told.unsent:
        context.log.error(f"{told.unsent} alerts could not be sent; they are tried again.")
    return dg.SkipReason(f"{len(told.sent)} alerts were sent.")


def failed_jobs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Jobs whose newest run that ended failed."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    for job in JOBS:
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ended), limit=1):
            if record.dagster_run.status == dg.DagsterRunStatus.FAILURE:
                remedy = f"Look at run {record.dagster_run.run_id[:8]} in Dagster's UI, mend what it names, and start the job again."
                yield Finding(f"job {job}", "problem", "Its newest run failed.", remedy)


defs = dg.Definitions(sensors=[alerts])
