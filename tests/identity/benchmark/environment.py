"""The other tools' environment: they want other versions of what we use, so they have one of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from cdp_pipelines.config import PROJECT_DIR

PINS = PROJECT_DIR / "tests" / "identity" / "benchmark" / "requirements.txt"
# `make bench-identity` says where; beside our own environment otherwise.
FOLDER = Path(os.environ.get("BENCH_IDENTITY_DIR", PROJECT_DIR / ".venv-identity")).absolute()


def python() -> Path:
    """The environment's interpreter, made when it is not there or its requirements have changed. Raises RuntimeError with pip's reason."""
    found, stamp = FOLDER / "bin" / "python", FOLDER / ".installed"
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{FOLDER}.lock"):
        if not stamp.exists() or stamp.read_text() != PINS.read_text():
            print(f"Making {FOLDER.name} with {', '.join(tools())} (once, half a gigabyte) ...", flush=True)
            shutil.rmtree(FOLDER, ignore_errors=True)
            _install(found)
            stamp.write_text(PINS.read_text())
    return found


def tools() -> list[str]:
    """What is compared, with its version."""
    named = ("splink==", "goldenmatch==", "recordlinkage==")
    return [line.replace("==", " ") for line in PINS.read_text().splitlines() if line.startswith(named)]


def _install(found: Path) -> None:
    """With uv when it is here, else with pip."""
    if uv := shutil.which("uv"):
        steps = [[uv, "venv", "-q", "--python", sys.executable, str(FOLDER)]]
        steps += [[uv, "pip", "install", "-q", "--python", str(found), "-r", str(PINS)]]
    else:
        steps = [[sys.executable, "-m", "venv", str(FOLDER)]]
        steps += [[str(found), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(PINS)]]
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{FOLDER} could not be made: {done.stderr.strip()[-600:]}")
