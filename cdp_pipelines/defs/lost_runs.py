"""Runs whose process is gone without a word (killed with Dagster itself, a power cut): Dagster would take them for running, and since one
run at a time may have the warehouse, every later one would wait for them for ever.

That is about runs whose processes the code server started, beside it. Where something else starts them (a pod for each run), process ids say
nothing here, and Dagster's own run monitoring asks it.
"""

from datetime import UTC, datetime

import dagster as dg
import psutil

from cdp_pipelines.scrubbing import without_secrets

# A process that begins says so a moment later.
BEGINNING_SECONDS = 60


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process is gone, so that others have their turn.",
)
@without_secrets
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Marks runs as failed whose process is not there any more, so that others have their turn."""
    if not isinstance(context.instance.run_launcher, dg.DefaultRunLauncher):
        return dg.SkipReason("Runs are started elsewhere, and Dagster's run monitoring looks after them.")
    lost = 0
    for record in context.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if not _is_alive(context.instance, record):
            run = record.dagster_run
            context.instance.report_run_failed(
                run, "The process of this run is gone: it was killed, or the machine stopped. It can be run again."
            )
            context.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            lost += 1
    return dg.SkipReason(f"{lost} runs were lost, and are marked as failed." if lost else "No run is lost.")


def _is_alive(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Whether one of the processes that said that they execute the run is there. Ids are given again: a younger process is another one."""
    said = [
        (int(pid.value), event.timestamp)
        for event in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if event.dagster_event
        and (pid := event.dagster_event.engine_event_data.metadata.get("pid")) is not None
        and isinstance(pid.value, str)
        and pid.value.isdigit()
    ]
    if not said:
        return datetime.now(UTC).timestamp() - (record.start_time or 0) < BEGINNING_SECONDS
    return any(_there(pid, at) for pid, at in said)


def _there(pid: int, since: float) -> bool:
    try:
        return psutil.Process(pid).create_time() <= since + 1
    except psutil.NoSuchProcess:
        return False


defs = dg.Definitions(sensors=[lost_runs])
