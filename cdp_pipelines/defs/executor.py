"""Where the steps of a run are done: in its own process, or by Celery workers, which may be on other machines.

A worker that dies must cost time only. So a step is acknowledged when it is done and not when it is taken (`task_acks_late`), and what a
dead worker had taken is given to another one. Redis does that to everything that was taken longer ago than `visibility_timeout`, dead or
not, so workers say again and again what they still work at (`celery_worker.py`), and that time can be short. Otherwise it would have to be
longer than the longest step (https://github.com/celery/celery/issues/5935), and a run would wait as long.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from cdp_pipelines.config import ConfigError, Settings

# After how long what a dead worker was at goes to another one, and how often living ones say that they are at it.
LOST_AFTER_SECONDS, SAY_EVERY_SECONDS = 40, 5
CONFIG: dict[str, Any] = {
    "task_acks_late": True,
    # A step whose process was killed for want of memory, while the worker lives on.
    "task_reject_on_worker_lost": True,
    # A step that was done by one of whom nothing was heard for too long is not done again.
    "worker_deduplicate_successful_tasks": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {
        "visibility_timeout": LOST_AFTER_SECONDS,
        "unacked_restore_interval": SAY_EVERY_SECONDS,
        "unacked_restore_throttle": 1,
    },
}


def chosen(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that CDP_EXECUTOR names. Raises ConfigError when something that it needs is missing.

    Celery or not, one step at a time has the warehouse (see `policy.POOL`): DuckDB has one writer. So steps follow one another, each on
    any worker that is free; waiting for the CRMs overlaps inside a step.
    """
    if settings.executor == "in_process":
        return dg.in_process_executor
    broker = broker_of(settings)
    try:
        from dagster_celery import celery_executor
    except ImportError:
        raise ConfigError(
            "CDP_EXECUTOR", "is celery, and dagster-celery is not installed", "Install it: pip install 'cdp-pipelines[deploy]'."
        ) from None
    return celery_executor.configured({"broker": broker, "backend": broker, "config_source": CONFIG}, name="celery")


def broker_of(settings: Settings) -> str:
    """The address of the broker, which keeps the results too. Raises ConfigError when there is none."""
    if settings.celery_broker is None:
        raise ConfigError(
            "CDP_CELERY_BROKER", "is missing", "Set it to the Redis through which runs and workers speak: redis://host:6379/0."
        )
    return settings.celery_broker.get_secret_value()
