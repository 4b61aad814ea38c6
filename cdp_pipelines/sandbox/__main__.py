"""`python -m cdp_pipelines.sandbox`: serve the sandbox. With `--child` for a command that needs one while it runs (see `hosting`)."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.server import SandboxServer, serve


def main() -> int:
    """Serve until interrupted; as a child until standard input closes."""
    settings = Settings()
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.sandbox", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=settings.sandbox_port, help="first of four ports; 0 takes free ones (default %(default)s)"
    )
    parser.add_argument("--people", type=int, default=settings.sandbox_people, help="people in the world (default %(default)s)")
    parser.add_argument("--seed", type=int, default=settings.sandbox_seed, help="the world's seed (default %(default)s)")
    parser.add_argument("--state", type=Path, default=settings.sandbox_dir, help="folder of the change log")
    parser.add_argument("--child", action="store_true", help="print one JSON line when ready and end when standard input closes")
    given = parser.parse_args()
    try:
        serve(people=given.people, seed=given.seed, state=given.state, port=given.port, ready=_as_child if given.child else _announce)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _announce(server: SandboxServer) -> None:
    print(f"The sandbox is on {server.addresses.control_url} (Ctrl-C ends it)", flush=True)


def _as_child(server: SandboxServer) -> None:
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    print(hosting.ready_line(server.addresses), flush=True)
    # Nobody reads on: a library that prints must not fill the pipe and block.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _end_with_parent(server: SandboxServer) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.stop()
    time.sleep(5)
    os._exit(0)  # a request that never ends must not keep the process


if __name__ == "__main__":
    sys.exit(main())
