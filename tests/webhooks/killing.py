"""The receiver and catch-ups as processes of their own, killed at any moment while the sandbox's events go on coming."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from cdp_pipelines import dagster_home, dev
from cdp_pipelines.config import KINDS, PROJECT_DIR, Settings
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sync import sync
from cdp_pipelines.webhooks import hubspot, marketo, salesforce, serving
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import Inbox
from tests.conftest import served
from tests.sandbox.faulty import faulty
from tests.webhooks.told import Told
from tests.webhooks.vendors import Call, Notification, PostBox, calls_of, send

# What Dagster's run does, without Dagster around it.
CATCH_UP = """
from cdp_pipelines.config import Settings
from cdp_pipelines.connections import configured
from cdp_pipelines.webhooks.catch_up import catch_up
settings = Settings()
with configured(settings) as connections:
    found = catch_up(settings, connections)
print(found and (found.done, found.failed, found.left, found.report.problem))
"""
NO_LIMITS = {"HUBSPOT_CALLS_PER_10_SECONDS": "100000", "HUBSPOT_SEARCHES_PER_SECOND": "100000", "MARKETO_CALLS_PER_20_SECONDS": "100000"}


class Following:
    """A warehouse that follows a sandbox by its events, and the processes that do it."""

    def __init__(self, told: Told, box: PostBox, settings: dict[str, str]):
        self.told, self.settings, self._box = told, told.settings, box
        self.sent: list[Call] = []
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.environment = {
            **os.environ, **told.sandbox.addresses.environment(), **NO_LIMITS, "CDP_CONNECTIONS": ",".join(KINDS),
            "CDP_DATA_DIR": str(told.settings.data_dir), "CDP_WEBHOOK_PORT": str(port), "PYTHONPATH": str(PROJECT_DIR),
            **settings,
        }  # fmt: skip

    def __enter__(self) -> Self:
        self._start_receiver()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.close()

    def events(self, seed: int, count: int) -> list[Notification]:
        """Make changes in the CRMs, and give what they tell of them."""
        self.told.change(seed, count)
        return self._box.take()

    def send(self, events: Iterable[Notification], dice: random.Random) -> None:
        """Send events until each is acknowledged."""
        calls, until = calls_of(events, dice), time.monotonic() + 900
        self.sent += calls
        send(self.url, calls, until=lambda: time.monotonic() > until)

    def kill_receiver(self) -> None:
        """Kill it, and start it again where it was."""
        self.receiver.kill()
        self.receiver.wait()
        self._receiver.close()
        self._start_receiver()

    def catch_up(self, kill_after: float | None = None) -> bool:
        """A catch-up in a process of its own, killed after some seconds unless it has ended; tells whether it was."""
        run = subprocess.Popen(
            [sys.executable, "-c", CATCH_UP], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            run.wait(timeout=kill_after or 900)
        except subprocess.TimeoutExpired:
            run.kill()
            assert kill_after, "a catch-up takes longer than a quarter of an hour"
        said, _ = run.communicate(timeout=60)
        assert run.returncode in (0, -signal.SIGKILL), said
        return run.returncode != 0

    def waiting(self) -> int:
        """How many events wait."""
        with closing(Inbox(self.settings.inbox)) as inbox:
            return inbox.waiting_count()

    def check(self, folder: Path) -> None:
        """Every acknowledged event was dealt with, and the tables are those of a full sync."""
        assert all(call.acknowledged for call in self.sent)
        status = self.told.status()
        assert {name: (one["waiting"], one["dead"]) for name, one in status.items()} == dict.fromkeys(KINDS, (0, 0))
        with closing(sqlite3.connect(self.settings.inbox)) as db:
            kept = set(
                db.execute("select connection, object, record_id, coalesce(identity, '') from events where state = 'done'").fetchall()
            )
        missing = {(e.connection, e.object, e.record_id, e.identity) for call in self.sent for e in _read(call)} - kept
        assert not missing, sorted(missing)[:3]
        differences = self.told.differences(folder)
        assert differences == {}, differences

    def _start_receiver(self) -> None:
        self._receiver = ExitStack()
        self.url, self.receiver = self._receiver.enter_context(serving.child(self.environment, self.settings.data_dir / "receiver.log"))


@contextmanager
def following(told: Told, **settings: str) -> Generator[Following]:
    """A warehouse that was synced once, and follows from now on; `settings` are environment variables of its processes."""
    box = PostBox()
    with served(box.app()) as url:
        hosting.notify(told.sandbox.addresses, url)
        try:
            with Following(told, box, settings) as made:
                yield made
        finally:
            told.sandbox.reset()
            hosting.notify(told.sandbox.addresses, None)


@contextmanager
def synced(folder: Path, people: int) -> Generator[Told]:
    """A sandbox of its own and a warehouse that was synced once."""
    with faulty(folder / "state", people=people) as sandbox:
        told = Told(sandbox, Settings(data_dir=folder / "data"))
        assert sync(told.settings, told.connections).complete
        yield told


def kill_and_go_on(it: Following, kills: int, least_events: int, dice: random.Random) -> None:
    """Events go on coming while the receiver and catch-ups are killed at random moments, so often; then whatever waits is dealt with."""
    it.send(it.events(dice.randrange(10**6), 20), dice)
    begun = time.monotonic()
    assert not it.catch_up()
    usual, sent, killed = time.monotonic() - begun, 0, Counter[str]()
    while killed.total() < kills or sent < least_events:
        events = it.events(dice.randrange(10**6), 15 + least_events // (kills or 1) // 2)
        sent += len(events)
        shuffled = events * dice.randint(1, 3)
        dice.shuffle(shuffled)
        sender = threading.Thread(target=it.send, args=(shuffled, random.Random(dice.random())))
        sender.start()
        if dice.random() < 0.5:
            time.sleep(dice.uniform(0, 0.2))
            it.kill_receiver()
            killed["receiver"] += 1
        if dice.random() < 0.7:
            killed["catch-up"] += it.catch_up(kill_after=dice.uniform(0.3, 1.8) * usual)
        sender.join()
    while it.waiting():
        it.catch_up()
    print(f"{killed.total()} kills ({dict(killed)}) during {sent:,} events; undisturbed, a catch-up takes {usual:.1f} s")


def kill_dagster(it: Following, kills: int, dice: random.Random) -> None:
    """Dagster with its daemon, code server and run is killed at random moments while events come, and started again each time."""
    environment = {**it.environment, **dagster_home.prepare(it.settings), "CDP_DATA_DIR": str(it.settings.data_dir)}
    with dagster_home.log_file(it.settings, "dagster").open("ab") as log:
        for left in range(kills, -1, -1):
            it.send(it.events(dice.randrange(10**6), 60), dice)
            with closing(socket.create_server(("127.0.0.1", 0))) as free:
                port = free.getsockname()[1]
            begun, process = time.time(), dev.start(environment, port, log)
            try:
                # Until its run is at work; then some moment of it.
                until = time.monotonic() + 400
                while it.waiting() if not left else not _busy(it.settings, begun):
                    assert time.monotonic() < until and process.poll() is None, "Dagster deals with nothing; see its log"
                    time.sleep(0.2)
                if left:
                    time.sleep(dice.uniform(0, 10))
            finally:
                if left:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                else:
                    dev.end(process)


def _busy(settings: Settings, since: float) -> bool:
    """Whether somebody took the warehouse since then."""
    holder = settings.data_dir / "warehouse.lock.json"
    return holder.exists() and holder.stat().st_mtime > since


def _read(call: Call) -> list[Event]:
    """The events of a call as the receiver reads them."""
    _, body, headers = call.request("http://127.0.0.1")
    match call.events[0].form:
        case "hubspot":
            return hubspot.events("hubspot", body)
        case "change event":
            return salesforce.change_events("salesforce", body)
        case "outbound message":
            return salesforce.outbound_message("salesforce", body)
        case _:
            return marketo.events("marketo", body, "form" in headers["Content-Type"])
