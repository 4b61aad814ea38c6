"""Load jobs of dlt in which there is nothing to do.

After each step of a load dlt (1.31, load/load.py) waits until a job tells that it ended, a second at most. One that was done before it began
tells nothing, so that a load waited a second for each table of which it had one; these run, do nothing and tell.
"""

from __future__ import annotations

from dlt.common.destination.client import HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.destinations.job_impl import FinalizedLoadJob


class NothingToDo(RunnableLoadJob):
    """Ends at once."""

    def run(self) -> None:
        """See dlt's RunnableLoadJob."""


class NothingToDoYet(NothingToDo, HasFollowupJobs):
    """Ends at once, and jobs are made of it."""


def that_tells(job: LoadJob) -> LoadJob:
    """The same job, as one that tells that it ended if it was done before it began."""
    if not isinstance(job, FinalizedLoadJob) or job.state() != "completed":
        return job
    return (NothingToDoYet if isinstance(job, HasFollowupJobs) else NothingToDo)(job._file_path)
