"""`make dev`: Dagster's UI and daemon on 127.0.0.1:3000, with the sandbox beside them when no credentials are set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from cdp_pipelines import dagster_home
from cdp_pipelines.config import PROJECT_DIR, Settings
from cdp_pipelines.private_files import keep_new_files_private
from cdp_pipelines.sandbox import hosting

PORT = 3000


def main() -> int:
    """Run until interrupted; gives dg's exit code."""
    keep_new_files_private()
    settings = Settings()
    with ExitStack() as stack:
        environment = dagster_home.prepare(settings)
        if settings.connection_kinds():
            print("Connections from the environment:", ", ".join(settings.connection_kinds()))
        else:
            sandbox = stack.enter_context(hosting.hosted(settings))
            environment |= {**sandbox.environment(), "CDP_CONNECTIONS": "salesforce,hubspot,marketo"}
            print(f"No credentials are set, so the sandbox is used: {sandbox.control_url}")
        print(f"Dagster's UI: http://127.0.0.1:{PORT}/asset-groups  (Ctrl-C ends it)", flush=True)
        command = [str(Path(sys.executable).with_name("dg")), "dev", "--host", "127.0.0.1", "--port", str(PORT), "-w", "workspace.yaml"]
        # A session of its own, so that all of Dagster's processes can be ended together, whoever is told to end.
        process = subprocess.Popen(command, env=environment, cwd=PROJECT_DIR, start_new_session=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return _end(process)


def _end(process: subprocess.Popen[bytes]) -> int:
    """End Dagster and all that it started: in order if it can, by force after half a minute."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.wait(timeout=30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
