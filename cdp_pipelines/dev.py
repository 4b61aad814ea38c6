"""`make dev`: Dagster's UI and daemon on 127.0.0.1:3000, with the sandbox beside them when no credentials are set."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from cdp_pipelines import dagster_home
from cdp_pipelines.config import PROJECT_DIR, Settings
from cdp_pipelines.sandbox import hosting

PORT = 3000


def main() -> int:
    """Run until interrupted; gives dg's exit code."""
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
        process = subprocess.Popen(command, env=environment, cwd=PROJECT_DIR)
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait()  # the terminal sent it the same signal; let it end in order


if __name__ == "__main__":
    sys.exit(main())
