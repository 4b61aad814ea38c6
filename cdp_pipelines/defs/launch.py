"""Run one job of this project to its end, in this process, with its history kept in DAGSTER_HOME.

python -m cdp_pipelines.defs.launch sync some.log     what Dagster and dbt print goes to the log, one line for each step to the screen
"""

import os
import sys
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import dagster as dg

from cdp_pipelines.definitions import defs
from cdp_pipelines.private_files import keep_new_files_private


def launch(job_name: str, screen: TextIO) -> bool:
    """Run a job, telling the screen of each step that ends and each check that fails. True when all of it succeeded."""
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.get() as instance, _told_of_steps(run_id, screen):
        result = defs.resolve_job_def(job_name).execute_in_process(instance=instance, run_id=run_id, raise_on_error=False)
    checks = [event.asset_check_evaluation_data for event in result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    failed = [check for check in checks if not check.passed]
    print(f"  {len(checks)} checks, {len(checks) - len(failed)} passed", file=screen, flush=True)
    for check in failed:
        said = f"{check.severity.value}: {check.asset_key.to_user_string()} {check.check_name}. {check.description or ''}"
        print(f"  {said.strip()}", file=screen, flush=True)
    return result.success


@contextmanager
def _told_of_steps(run_id: str, screen: TextIO) -> Generator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=_tell, args=(run_id, screen, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tell(run_id: str, screen: TextIO, ended: threading.Event) -> None:
    told: set[str] = set()
    with dg.DagsterInstance.get() as instance:  # of its own: SQLite connections belong to one thread
        last = False
        while not last:
            last = ended.wait(0.5)
            for step in instance.get_run_step_stats(run_id):
                if step.end_time and step.start_time and step.status and step.step_key not in told:
                    told.add(step.step_key)
                    line = f"  {step.step_key:<16} {step.status.value.lower():<8} {step.end_time - step.start_time:5.1f} s"
                    print(line, file=screen, flush=True)


def main(job_name: str, log: Path) -> int:
    """Run a job with everything but its own lines in the log."""
    keep_new_files_private()
    screen = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    return 0 if launch(job_name, screen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
