"""Dagster's processes are ended together."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from cdp_pipelines import dev


@pytest.mark.parametrize(("deaf", "code"), [(False, -signal.SIGINT), (True, -signal.SIGKILL)])
def test_whoever_does_not_end_when_told_to_is_ended_by_force_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, deaf: bool, code: int
):
    monkeypatch.setattr(dev, "PATIENCE_SECONDS", 0.5)
    handler = "SIG_IGN" if deaf else "SIG_DFL"
    child = "import time; time.sleep(60)"
    program = (
        f"import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.{handler}); "
        f"print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid, flush=True); {child}"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    started = psutil.Process(int(process.stdout.readline()))
    assert dev.end(process) == code
    process.stdout.close()
    started.wait(timeout=10)
