"""Kill -9 of the receiver, of catching up and of Dagster itself: every acknowledged event is applied, and the tables are a full sync's."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.webhooks.killing import following, kill_and_go_on, kill_dagster, synced


def seeded() -> random.Random:
    chosen = int(os.environ.get("KILL_SEED") or random.randrange(10**9))
    print(f"\nKILL_SEED={chosen}")
    return random.Random(chosen)


@pytest.mark.endurance
def test_fifty_kills_during_five_thousand_events(tmp_path: Path) -> None:
    with synced(tmp_path, people=400) as told, following(told) as it:
        kill_and_go_on(it, 50, 5_000, seeded())
        it.check(tmp_path / "fresh")


@pytest.mark.endurance
def test_dagster_killed_with_its_daemon_and_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with synced(tmp_path, people=400) as told, following(told) as it:
        kill_dagster(it, 4, seeded())
        it.check(tmp_path / "fresh")
