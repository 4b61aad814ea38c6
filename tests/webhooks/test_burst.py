"""A burst of ten thousand events, each three times and in any order, over HTTP to the receiver's own process."""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.webhooks import serving
from cdp_pipelines.webhooks.catch_up import catch_up
from cdp_pipelines.webhooks.inbox import Inbox
from tests.webhooks.killing import following, synced
from tests.webhooks.vendors import Call, Notification, calls_of, invented, other_forms, send

EVENTS, TIMES = 10_000, 3
# What a quiet machine keeps to, and what a machine with much else to do does.
MEDIAN_SECONDS, LOADED_SECONDS = 0.05, 1.0
MEMORY_MB = 25


@contextmanager
def receiver(folder: Path, **settings: str) -> Generator[tuple[str, psutil.Process, Settings]]:
    """`cdp webhooks serve` with an inbox in the folder: its URL and process."""
    secrets = SandboxAddresses(1, 2, 3, 4).environment()
    environment = {
        **os.environ, **secrets, "CDP_DATA_DIR": str(folder), "CDP_WEBHOOK_PORT": "0", "CDP_CONNECTIONS": "salesforce,hubspot,marketo", **settings,
    }  # fmt: skip
    with serving.child(environment, folder / "receiver.log") as (url, process):
        yield url, psutil.Process(process.pid), Settings(data_dir=folder)


def burst(url: str, process: psutil.Process, inbox: Path) -> list[Call]:
    """Send everything; each event is in the inbox once, and the process is no larger afterwards."""
    dice = random.Random(3)
    events = invented(EVENTS)
    send(url, calls_of(invented(100), dice))
    before = process.memory_info().rss
    shuffled = events * TIMES
    dice.shuffle(shuffled)
    calls = calls_of(shuffled, dice)
    begun = time.perf_counter()
    send(url, calls)
    seconds = time.perf_counter() - begun
    grown = (process.memory_info().rss - before) / 1e6
    answers = [call.seconds[0] for call in calls]
    print(
        f"\n{len(shuffled):,} events of which {EVENTS:,} differ in {len(calls):,} calls, 16 at a time: {seconds:.1f} s; an answer takes "
        f"{statistics.median(answers) * 1000:.1f} ms at the median, {sorted(answers)[int(len(answers) * 0.99)] * 1000:.1f} ms for 99 %; "
        f"memory {before / 1e6:.0f} MB, grown by {grown:.1f} MB"
    )
    assert {status for call in calls for status in call.statuses} == {200}
    assert all(call.acknowledged for call in calls)
    with closing(sqlite3.connect(inbox)) as db:
        assert db.execute("select count(*), count(distinct connection || object || record_id) from events").fetchone() == (EVENTS, EVENTS)
    assert grown < MEMORY_MB
    return calls


@pytest.mark.slow
def test_each_of_ten_thousand_events_is_kept_once_by_a_process_that_does_not_grow(tmp_path: Path):
    with receiver(tmp_path) as (url, process, settings):
        calls = burst(url, process, settings.inbox)
        assert statistics.median(call.seconds[0] for call in calls) < LOADED_SECONDS


@pytest.mark.timing
def test_half_of_the_answers_of_a_burst_take_less_than_fifty_milliseconds(tmp_path: Path):
    with receiver(tmp_path) as (url, process, settings):
        calls = burst(url, process, settings.inbox)
        assert statistics.median(call.seconds[0] for call in calls) < MEDIAN_SECONDS


def test_senders_that_come_again_get_through_a_full_inbox_and_nothing_that_was_acknowledged_is_lost(tmp_path: Path):
    most, dice, ended = 300, random.Random(5), threading.Event()
    events = invented(3_000)
    calls = calls_of(events * 2, dice)
    with receiver(tmp_path, CDP_INBOX_MOST=str(most)) as (url, _, settings):
        fullest = 0

        def drain() -> None:
            """As a catch-up does, now and then."""
            nonlocal fullest
            with closing(Inbox(settings.inbox)) as inbox:
                while not ended.wait(0.05):
                    waiting = inbox.waiting()
                    fullest = max(fullest, len(waiting))
                    inbox.done(one.id for one in waiting)

        send(url, calls[: len(calls) // 2])
        thread = threading.Thread(target=drain)
        thread.start()
        try:
            until = time.monotonic() + 60
            send(url, [call for call in calls if not call.acknowledged], until=lambda: time.monotonic() > until)
        finally:
            ended.set()
            thread.join()
        assert all(call.acknowledged for call in calls)
        assert {status for call in calls for status in call.statuses} == {200, 429}
        assert fullest <= most
        with closing(sqlite3.connect(settings.inbox)) as db:
            assert db.execute("select count(*), count(distinct connection || object || record_id) from events").fetchone() == (3_000, 3_000)


@pytest.mark.endurance
def test_a_burst_of_ten_thousand_real_events_through_a_small_inbox_ends_in_the_tables_of_a_full_sync(tmp_path: Path):
    chosen = int(os.environ.get("BURST_SEED") or random.randrange(10**9))
    print(f"\nBURST_SEED={chosen}")
    dice = random.Random(chosen)
    with synced(tmp_path, people=600) as told, following(told, CDP_INBOX_MOST="3000") as it:
        events: list[Notification] = []
        while len(events) < EVENTS:
            events += it.events(dice.randrange(10**6), 200)
        # The other forms in which the same changes are told.
        events += [other for one in dice.sample(events, 1_000) for other in other_forms(one)]
        early, late = events[: len(events) // 2], events[len(events) // 2 :]
        for some in (early, late + dice.sample(early, 500)):
            shuffled = some * TIMES
            dice.shuffle(shuffled)
            sender = threading.Thread(target=it.send, args=(shuffled, dice))
            sender.start()
            while sender.is_alive() or it.waiting():
                if catch_up(told.settings, told.connections) is None:
                    time.sleep(0.2)
            sender.join()
        statuses = [status for call in it.sent for status in call.statuses]
        print(f"{len(events):,} events, {len(it.sent):,} calls, {statuses.count(429):,} times asked to come again")
        assert set(statuses) == {200, 429}
        it.check(tmp_path / "fresh")
