"""The Celery application of the workers: celery -A cdp_pipelines.defs.celery_worker worker -Q dagster --concurrency 1

It does the steps of Dagster's runs, and says to the broker every few seconds what it is still at (see `executor.py`).

The project is loaded by the process that does the steps, with the first one, and not here, although that would be once for all: this process
is forked, and threads that libraries have by then (dbt's parser, where the manifest had to be made) are missing in the fork, which waits
for them for ever.
"""

from __future__ import annotations

import time
from typing import Any

from celery import Celery, bootsteps
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from cdp_pipelines.config import Settings
from cdp_pipelines.defs.executor import CONFIG, SAY_EVERY_SECONDS, broker_of


class StillAtIt(bootsteps.StartStopStep):
    """Renews, for as long as the worker lives, the broker's note of when the worker took what it has not acknowledged."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any):
        super().__init__(consumer, **options)
        self.timer: Any = None

    def start(self, consumer: Any) -> None:
        """With each connection to the broker."""
        self.timer = consumer.timer.call_repeatedly(SAY_EVERY_SECONDS, say, (consumer.task_consumer.channel,))

    def stop(self, consumer: Any) -> None:
        """When the connection, or the worker, ends."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def say(channel: Any) -> None:
    """Renew the time of every message that came over this channel and is not acknowledged. One that is acknowledged meanwhile stays so."""
    # kombu has no public name for either; its Redis transport keeps the times in a sorted set, of which only who is in it is renewed.
    tags = list(channel.qos._delivered)
    if tags:
        with channel.conn_or_acquire() as redis:
            redis.zadd(channel.unacked_index_key, dict.fromkeys(tags, time.time()), xx=True)


def worker_app(settings: Settings) -> Celery:
    """The application, connected to the broker of the settings. Raises ConfigError."""
    broker = broker_of(settings)
    made = make_app({"broker": broker, "backend": broker})
    made.conf.update(CONFIG)
    made.steps["consumer"].add(StillAtIt)
    create_task(made)
    return made


app = worker_app(Settings())
