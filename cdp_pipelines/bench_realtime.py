"""`make bench-realtime`: how long a change in each CRM takes to the published file, with the receiver and Dagster's daemon at work.

Sandbox, receiver (`cdp webhooks serve`) and Dagster (as `make dev` starts it) are processes of their own over a data directory of their own,
ended and removed afterwards. Single changes are made through the CRMs' own APIs at random moments, whether or not the one before has
arrived. A change's lag is from the CRM's answer to the moment when the published file shows it. Then the parts: of the changes, how long
each waited for what; of the runs, how long each step took. Figures of one machine, one run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from cdp_pipelines import dagster_home, database, dev
from cdp_pipelines.config import KINDS, Connection, Kind, Settings, connection_from_config
from cdp_pipelines.crm_integrations.writers import writer_of
from cdp_pipelines.crm_integrations.writes import RecordWrite
from cdp_pipelines.history import p95
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sources import registry
from cdp_pipelines.sync import sync
from cdp_pipelines.webhooks import serving

TARGET_SECONDS = 30
JOB = "catch_up_with_events"
# What a person's record is called, its title, and what the published ids of such records begin with.
_PEOPLE: dict[Kind, tuple[str, str, str]] = {
    "salesforce": ("Contact", "Title", "003"), "hubspot": ("contacts", "jobtitle", ""), "marketo": ("leads", "title", ""),
}  # fmt: skip
# The steps of a catch-up as its run's log names them, and what they are.
_STEPS = {
    "reading what changed": "reading the records", "standardizing": "building the standardized tables", "checking": "checks",
    "identifying": "who is who", "unifying": "building the unified tables", "measuring": "measuring",
    "checking what is to be published": "checks of how it ran", "publishing": "publishing",
}  # fmt: skip
_RUNS = """query ($job: String!) { runsOrError(filter: {pipelineName: $job}, limit: 500) { ... on Runs { results {
  status creationTime eventConnection(limit: 1000) { events { ... on MessageEvent { message timestamp } } } } } } }"""
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"


def main() -> int:
    """Print the lags and their parts; 1 when a change did not arrive."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench_realtime", description=__doc__)
    parser.add_argument("--people", type=int, default=5_000, help="people in the sandbox (default %(default)s)")
    parser.add_argument("--changes", type=int, default=10, help="changes in each CRM (default %(default)s)")
    parser.add_argument("--every", type=float, default=12, metavar="S", help="mean seconds between two changes (default %(default)s)")
    given = parser.parse_args()
    # Whoever is told to end, all that was started is ended first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{given.people:,} people in three CRMs, {os.cpu_count()} processors, load at the start {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings = Settings(data_dir=Path(folder) / "data", sandbox_dir=Path(folder) / "sandbox", sandbox_people=given.people)
        sandbox, _ = stack.enter_context(hosting.child(settings))
        connections = [connection_from_config(name, config) for name, config in sandbox.connections().items()]
        if problem := sync(settings, connections).problem:
            raise SystemExit(problem)
        environment = {
            **dagster_home.prepare(settings), **sandbox.environment(), "CDP_CONNECTIONS": ",".join(KINDS), "CDP_ENV_FILE": os.devnull,
            "CDP_WEBHOOK_PORT": "0",
        }  # fmt: skip
        url, _ = stack.enter_context(serving.child(environment, dagster_home.log_file(settings, "receiver")))
        hosting.notify(sandbox, url)
        dagster = stack.enter_context(_Dagster.running(settings, environment))
        changes = _Changes(settings, random.Random(7))
        for number in range(given.changes * len(KINDS)):
            changes.make(connections[number % len(KINDS)], number)
            time.sleep(changes.dice.expovariate(1 / given.every))
        arrived = changes.wait(seconds=180)
        until = time.monotonic() + 30
        while arrived and changes.latest() > max((one.steps["end"] for one in dagster.runs()), default=0) and time.monotonic() < until:
            time.sleep(1)  # the last run says a moment later that it has published
        _print(changes.made, dagster.runs())
    if not arrived:
        print("Not all changes arrived.")
    return 0 if arrived else 1


@dataclass
class _Change:
    """A change that was made, and when (seconds since 1970) the published file was first seen to have it."""

    kind: Kind
    record_id: str
    title: str
    at: float
    seen: float | None = None


class _Changes:
    """Makes changes, and watches the published file for them from a thread."""

    def __init__(self, settings: Settings, dice: random.Random):
        self.dice, self.made, self._settings = dice, list[_Change](), settings
        with database.connect(self._settings, self._settings.published, read_only=True) as db:
            rows = db.execute("select source_system, customer_id from contacts where not is_deleted order by all").fetchall()
        self._people = {kind: [i for crm, i in rows if crm == kind and i.startswith(_PEOPLE[kind][2])] for kind in KINDS}
        self._lock, self._ended = threading.Lock(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def make(self, connection: Connection, number: int) -> None:
        """Give some person of the CRM another title."""
        change = _Change(connection.kind, self.dice.choice(self._people[connection.kind]), f"Changed {number}", 0)
        asyncio.run(_write(connection, change))
        with self._lock:
            self.made.append(change)

    def wait(self, seconds: float) -> bool:
        """Wait until all are there, or for so long; tells whether they are."""
        until = time.monotonic() + seconds
        while any(change.seen is None for change in self.made) and time.monotonic() < until:
            time.sleep(0.1)
        self._ended.set()
        return all(change.seen is not None for change in self.made)

    def latest(self) -> float:
        """When the last of those that are there was seen."""
        return max(change.seen or 0 for change in self.made)

    def _watch(self) -> None:
        last = None
        while not self._ended.wait(0.05):
            found = self._settings.published.stat()
            if (found.st_ino, found.st_mtime_ns) == last:
                continue
            last, now = (found.st_ino, found.st_mtime_ns), time.time()
            with database.connect(self._settings, self._settings.published, read_only=True) as db:
                titles = {title for (title,) in db.execute("select title from contacts where title like 'Changed %'").fetchall()}
            with self._lock:
                for change in self.made:
                    if change.seen is None and change.title in titles:
                        change.seen = now


async def _write(connection: Connection, change: _Change) -> None:
    name, title, _ = _PEOPLE[connection.kind]
    async with registry.client(connection) as client:
        (done,) = await writer_of(client).write(name, [RecordWrite("one", name, "update", change.record_id, {title: change.title})])
    if done.outcome != "updated":
        raise SystemExit(f"{connection.kind} did not take a change: {done.outcome} {done.reason or ''}")
    change.at = time.time()


@dataclass
class _Round:
    """One catch-up: when its run was asked for, and the moments at which its steps began; the last one is its end."""

    asked: float
    steps: dict[str, float] = field(default_factory=dict)


class _Dagster:
    """Dagster's UI and daemon, asked through the UI's own GraphQL."""

    def __init__(self, port: int):
        self._url = f"http://127.0.0.1:{port}/graphql"

    @classmethod
    @contextmanager
    def running(cls, settings: Settings, environment: Mapping[str, str]) -> Generator[_Dagster]:
        """Start it, and wait until its sensors are looked after. Raises SystemExit when that takes more than two minutes."""
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        with dagster_home.log_file(settings, "dagster").open("wb") as log:
            process = dev.start(environment, port, log)
            try:
                made, until = cls(port), time.monotonic() + 120
                while not made._ready():
                    if time.monotonic() > until or process.poll() is not None:
                        raise SystemExit(
                            f"Dagster did not start. The end of its log:\n{Path(log.name).read_text(errors='replace')[-2000:]}"
                        )
                    time.sleep(0.5)
                yield made
            finally:
                dev.end(process)

    def runs(self) -> list[_Round]:
        """The catch-ups that came to their end, the oldest first."""
        found = []
        for run in self._ask(_RUNS, job=JOB)["runsOrError"]["results"]:
            moments = [(event["message"], float(event["timestamp"]) / 1000) for event in run["eventConnection"]["events"] if event]
            asked = run["creationTime"]
            for (message, at), (_, following) in itertools.pairwise(moments):
                step = message.rpartition(" - ")[2]
                if step == "reading what changed":
                    found.append(_Round(asked))
                if step in _STEPS and found:
                    found[-1].steps[step] = at
                    found[-1].steps["end"] = asked = following
        return sorted((one for one in found if "publishing" in one.steps), key=lambda one: one.steps["end"])

    def _ready(self) -> bool:
        try:
            daemons = self._ask(_DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        except (httpx2.HTTPError, ValueError, KeyError):
            return False
        return any(one["daemonType"] == "SENSOR" and one["healthy"] for one in daemons)

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx2.post(self._url, json={"query": query, "variables": variables}, timeout=30, trust_env=False)
        return answer.raise_for_status().json()["data"]


def _print(changes: Sequence[_Change], rounds: Sequence[_Round]) -> None:
    print(f"\nseconds from the change in the CRM to the published file (target: p95 of at most {TARGET_SECONDS})")
    print(f"{'':<34} {'median':>7} {'p95':>7} {'most':>7} {'count':>6}")
    lags = {kind: [c.seen - c.at for c in changes if c.kind == kind and c.seen] for kind in KINDS}
    for kind, found in lags.items():
        _line(kind, found)
    every = [lag for found in lags.values() for lag in found]
    _line("all", every)
    print(f"target {'met' if every and p95(every) <= TARGET_SECONDS else 'missed'}")
    print("\nparts of it, of each change")
    for name, found in _parts(changes, rounds).items():
        _line(name, found)
    print(f"\nparts of the {len(rounds)} catch-ups")
    for step, following in itertools.pairwise([*_STEPS, "end"]):
        _line(_STEPS[step], [r.steps[following] - r.steps[step] for r in rounds if step in r.steps and following in r.steps])


def _parts(changes: Iterable[_Change], rounds: Sequence[_Round]) -> dict[str, list[float]]:
    """What each change waited for, by name; together they are its lag."""
    waited, noticed, begun, dealt = (list[float]() for _ in range(4))
    for change in changes:
        # The file is there a moment before the run says so.
        own = next((n for n, one in enumerate(rounds) if change.seen and change.seen <= one.steps["end"] + 0.1), None)
        if change.seen is None or own is None:
            continue
        free = max(change.at, rounds[own - 1].steps["end"] if own else 0)
        reading = rounds[own].steps["reading what changed"]
        waited.append(free - change.at)
        noticed.append(max(rounds[own].asked - free, 0))
        begun.append(reading - max(rounds[own].asked, free))
        dealt.append(change.seen - reading)
    return {
        "waits for the catch-up before it": waited,
        "told, and noticed by the sensor": noticed,
        "start of the run": begun,
        "the catch-up": dealt,
    }


def _line(name: str, found: Sequence[float]) -> None:
    if found:
        print(f"{name:<34} {statistics.median(found):>7.1f} {p95(found):>7.1f} {max(found):>7.1f} {len(found):>6}")


if __name__ == "__main__":
    sys.exit(main())
