"""Public connectors, each in a virtual environment of its own, run as commands against the sandbox.

Some of them have licences that this project's own code may not mix with; nothing of them is imported or copied.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from cdp_pipelines.sandbox.hosting import SandboxAddresses
from tests.sandbox.clients import calls

# `make test-clients` says where the environments are; without it these tests do not run.
FOLDER = "TEST_CLIENTS_DIR"
PINS = calls.PROJECT / "requirements-clients"
REDIRECT = calls.PROJECT / "tests" / "sandbox" / "clients" / "redirect.py"
HOSTS = {"salesforce": ("login.salesforce.com",), "hubspot": ("api.hubapi.com",), "marketo": ("*.mktorest.com",)}
TIMEOUT = 240


@dataclass(frozen=True)
class Connector:
    """A connector that can be run."""

    name: str
    python: Path
    hosts: Mapping[str, str]
    folder: Path

    def run(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON lines that the command printed. Fails the test with the end of its log when it fails."""
        command = [str(self.python), str(REDIRECT), json.dumps(dict(self.hosts)), self.name.removeprefix("airbyte-"), *arguments]
        ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if name not in ours} | {"NO_PROXY": "127.0.0.1"}
        done = subprocess.run(command, check=False, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode:
            end = "\n".join(_complaints(done.stdout) or [done.stdout[-2000:], done.stderr[-4000:]])
            pytest.fail(f"{self.name} {arguments[0]} ended with {done.returncode}:\n{end}", pytrace=False)
        return _json(done.stdout)

    def file(self, name: str, content: Any) -> str:
        """Write a JSON file for the command and give its path."""
        path = self.folder / name
        path.write_text(json.dumps(content))
        return str(path)


def connector(name: str, addresses: SandboxAddresses, folder: Path) -> Connector:
    """The connector, its environment made when it is not there. Skips the test, saying why, when it cannot be had."""
    root = Path(os.environ[FOLDER]).absolute() / name
    python, pins = root / "bin" / "python", PINS / f"{name}.txt"
    stamp = root / ".installed"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if not stamp.exists() or stamp.read_text() != pins.read_text():
            shutil.rmtree(root, ignore_errors=True)
            if problem := _install(root, python, pins):
                pytest.skip(f"{name} could not be installed: {problem}")
            stamp.write_text(pins.read_text())
    hosts = {host: addresses.url(kind) for kind, names in HOSTS.items() for host in names}
    return Connector(name, python, hosts, folder)


def _install(root: Path, python: Path, pins: Path) -> str | None:
    """Make an environment with uv when it is here, else with pip; gives what went wrong."""
    if uv := shutil.which("uv"):
        steps = [
            [uv, "venv", "-q", "--python", sys.executable, str(root)],
            [uv, "pip", "install", "-q", "--python", str(python), "-r", str(pins)],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(root)],
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(pins)],
        ]
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return done.stderr.strip()[-600:] or f"{step[0]} ended with {done.returncode}"
    return None


def _json(text: str) -> list[dict[str, Any]]:
    """Each line's JSON object; a catalog, which goes over many lines, is one."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _complaints(text: str) -> list[str]:
    """What an Airbyte source says went wrong: it prints that as JSON, among its messages."""
    errors = [message["trace"].get("error", {}) for message in _json(text) if message.get("type") == "TRACE"]
    return [f"{error.get('message')}: {error.get('internal_message')}"[:2000] for error in errors if error]
