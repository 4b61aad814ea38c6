"""dlt's load jobs in which there is nothing to do."""

from __future__ import annotations

from contextlib import nullcontext
from threading import BoundedSemaphore
from types import SimpleNamespace
from typing import Any

import pytest
from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.destinations.job_impl import FinalizedLoadJob, FinalizedLoadJobWithFollowupJobs

from cdp_pipelines.engines.finished_jobs import that_tells

FILE = "jobs/contacts.0123456789.0.parquet"


class Client(nullcontext[Any]):
    def prepare_load_job_execution(self, job: object) -> None:
        pass


@pytest.mark.parametrize("kind", [FinalizedLoadJob, FinalizedLoadJobWithFollowupJobs])
def test_what_was_done_before_it_began_tells_that_it_ended(kind: type[FinalizedLoadJob]):
    job, ended = that_tells(kind(FILE)), BoundedSemaphore()
    assert isinstance(job, RunnableLoadJob)
    ended.acquire()
    job.run_managed(Client(), ended)  # ty: ignore[invalid-argument-type]
    assert ended.acquire(blocking=False)
    assert job.state() == "completed"
    assert isinstance(job, HasFollowupJobs) == issubclass(kind, HasFollowupJobs)


def test_what_failed_and_what_has_work_to_do_stay_as_they_are():
    failed: Any = FinalizedLoadJob(FILE, status="failed")
    working: Any = SimpleNamespace()
    assert that_tells(failed) is failed
    assert that_tells(working) is working
