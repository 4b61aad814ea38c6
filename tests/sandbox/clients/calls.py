"""Which calls of the three APIs the tests make, and the table of them in docs/sandbox.md.

A call is a method and a route's path. Every test module of tests/sandbox has a label: the public client that it runs (its constant
`CLIENT`), "recorded bodies" for those that compare with what real accounts answered, "own tests" for the rest.

`python -m tests.sandbox.clients.calls` runs these modules and writes the table anew; with `--connectors` it runs the connectors
of `make test-clients` too, whose entries otherwise stay as they are. Given some modules it runs those, and all others' entries stay.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

PROJECT = Path(__file__).resolve().parents[3]
PAGE = PROJECT / "docs" / "sandbox.md"
BEGIN, END = "<!-- calls: written by `python -m tests.sandbox.clients.calls` -->", "<!-- end of calls -->"
OWN, RECORDED = "own tests", "recorded bodies"
CONNECTORS = "tests/clients_slow"
NAMES = {"salesforce": "Salesforce", "hubspot": "HubSpot", "marketo": "Marketo"}
_LOG = "SANDBOX_CALLS_LOG"
_CONVERTER = re.compile(r":[a-z]+(?=\})")
_ROW = re.compile(r"^\| `(\w+ [^`]+)` \| ([^|]*) \|$")

# A route with so many methods takes whatever comes and decides by itself.
_ANY_METHOD = 3

_made: set[str] | None = None


@contextmanager
def recording(label: str) -> Generator[set[str]]:
    """The calls that any application in this process answers meanwhile. They go to the log for the table, when there is one."""
    global _made
    before, mine = _made, set()
    _made = mine
    try:
        yield mine
    finally:
        _made = before
        if before is not None:
            before |= mine
        if log := os.environ.get(_LOG):
            with Path(log).open("a") as file:
                file.write(json.dumps({"label": label, "calls": sorted(mine)}) + "\n")


def watch() -> None:
    """Have every route tell which call it answers."""
    handle = Route.handle
    if getattr(handle, "watched", False):
        return

    async def watched(self: Route, scope: Scope, receive: Receive, send: Send) -> None:
        if _made is not None and scope["type"] == "http" and (not self.methods or scope["method"] in self.methods):
            _made.add(_call(scope["method"], self.path))
        await handle(self, scope, receive, send)

    watched.watched = True  # ty: ignore[missing-attribute]
    Route.handle = watched


def all_calls(made: Iterable[str] = ()) -> dict[str, list[str]]:
    """Every call that the sandbox has, by CRM. Routes that take any method count with those that were made of them, or as GET."""
    from cdp_pipelines.sandbox.server import SandboxServer

    with tempfile.TemporaryDirectory() as state:
        apps = SandboxServer(people=1, seed=1, state=Path(state)).apps
    known, found = set(made), {}
    for kind, app in apps.items():
        calls: set[str] = set()
        for route in app.routes:
            if isinstance(route, Route):
                of_route = {_call(method, route.path) for method in route.methods or ()}
                calls |= of_route if len(of_route) < _ANY_METHOD else of_route & known or {_call("GET", route.path)}
        found[kind] = sorted(calls, key=lambda call: (call.split()[1], call))
    return found


def listed(page: Path = PAGE) -> set[str]:
    """All calls that the page has."""
    text = _section(page.read_text()) if page.exists() else ""
    return {match[1] for line in text.splitlines() if (match := _ROW.match(line))}


def documented(page: Path = PAGE) -> dict[str, set[str]]:
    """Label -> calls, as the page says."""
    found: dict[str, set[str]] = {}
    for line in _section(page.read_text() if page.exists() else "").splitlines():
        if match := _ROW.match(line):
            for label in filter(None, match[2].split(", ")):
                found.setdefault(label, set()).add(match[1])
    return found


def missing(label: str, made: Iterable[str]) -> list[str]:
    """The calls that the page says are covered by this label, and that were not made; none while the table is written anew."""
    if _LOG in os.environ:
        return []
    return sorted(documented().get(label, set()) - set(made))


def table(covered: dict[str, set[str]]) -> str:
    """The section's Markdown."""
    lines = [BEGIN]
    for kind, calls in all_calls(set().union(*covered.values())).items():
        lines += ["", f"### {NAMES[kind]}", "", "| call | tried by |", "|---|---|"]
        for call in calls:
            labels = sorted((label for label, made in covered.items() if call in made), key=lambda label: (label in (RECORDED, OWN), label))
            lines.append(f"| `{call}` | {', '.join(labels)} |")
    return "\n".join([*lines, "", END])


def write(covered: dict[str, set[str]], page: Path = PAGE) -> None:
    """Put the table in the page, in place of the one that is there."""
    text = page.read_text() if page.exists() else "# Sandbox\n"
    old = _section(text)
    made = table(covered)
    page.write_text(text.replace(old, made) if old else f"{text.rstrip()}\n\n## Calls\n\n{made}\n")


def _call(method: str, path: str) -> str:
    return f"{'GET' if method == 'HEAD' else method} {_CONVERTER.sub('', path).rstrip('/') or '/'}"


def _section(text: str) -> str:
    start, end = text.find(BEGIN), text.find(END)
    return text[start : end + len(END)] if 0 <= start < end else ""


def main(arguments: list[str]) -> int:
    """Run the tests with a log, then write the table."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "calls.jsonl"
        chosen = [argument for argument in arguments if not argument.startswith("--")]
        modules = [*(chosen or ["tests/sandbox"]), *([CONNECTORS] if "--connectors" in arguments else [])]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", *modules]
        failed = subprocess.run(command, check=False, cwd=PROJECT, env=os.environ | {_LOG: str(log)}).returncode
        covered: dict[str, set[str]] = {}
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            covered.setdefault(entry["label"], set()).update(entry["calls"])
    for label, calls in documented().items():
        if chosen and label in (OWN, RECORDED):
            covered[label] = covered.get(label, set()) | calls
        elif chosen or label.startswith(("tap-", "airbyte-")):
            covered.setdefault(label, calls)
    write(covered)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
