"""`make explore`: serve the notebook on this machine, to those who have the address that it prints, and open it in a browser.

Further arguments are marimo's, such as `--headless` or `--port 2800`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from cdp_pipelines.private_files import keep_new_files_private

NOTEBOOK = Path(__file__).with_name("notebook.py")
PORT = 2718


def command(arguments: list[str]) -> list[str]:
    """What serves the notebook. Whoever has no token is not let in: the answers are people's data, and others may use this machine."""
    return [sys.executable, "-m", "marimo", "run", str(NOTEBOOK), "--host", "127.0.0.1", "--port", str(PORT), "--token", *arguments]


def main() -> None:
    """Become marimo's server; it ends with Ctrl-C."""
    if importlib.util.find_spec("marimo") is None:
        sys.exit("The notebook needs marimo: run `make setup`, or `pip install 'cdp-pipelines[explore]'`.")
    keep_new_files_private()
    os.execv(sys.executable, command(sys.argv[1:]))  # noqa: S606 - our own interpreter, without a shell


if __name__ == "__main__":
    main()
