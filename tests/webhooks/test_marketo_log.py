"""Marketo's log, read from a stored token: each thing that happened is in the inbox once, and the raw tables follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from cdp_pipelines.config import MarketoConnection
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.webhooks import catch_up as following
from cdp_pipelines.webhooks.inbox import Inbox, Place, Waiting
from cdp_pipelines.webhooks.marketo_log import read_log
from tests.sources.reconciled import Followed, app_of


class Logged:
    """An emulated Marketo, a warehouse that was filled from it, and an inbox."""

    def __init__(self, store: MarketoStore, followed: Followed):
        self.store, self.followed, self.settings = store, followed, followed.settings("kept")

    def poll(self, **options: Any) -> int:
        connection = self.followed.connection.model_copy(update=options)
        assert isinstance(connection, MarketoConnection)
        return asyncio.run(read_log(self.settings, connection))

    def waiting(self) -> list[Waiting]:
        with closing(Inbox(self.settings.inbox)) as inbox:
            return inbox.waiting()

    def place(self) -> Place | None:
        with closing(Inbox(self.settings.inbox)) as inbox:
            return inbox.place("marketo")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=40)


@pytest.fixture
def logged(world: World, serve: Callable[[ASGIApp], str], tmp_path: Path) -> Logged:
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    return Logged(store, Followed("marketo", serve(app_of("marketo", store)), tmp_path))


def test_what_happens_is_in_the_inbox_once_with_its_moment_and_none_of_its_values(logged: Logged):
    assert logged.poll() == 0
    first, second = list(logged.store.live_people())[:2]
    at = datetime.now(UTC)
    logged.store.edit_person(first, {"title": "Told by the log"}, at)
    logged.store.delete_person(second, at)
    assert logged.poll() >= 2
    assert {(w.event.record_id, w.event.what) for w in logged.waiting()} == {(str(first), "changed"), (str(second), "deleted")}
    assert all(w.event.occurred_at and abs((w.event.occurred_at - at).total_seconds()) < 2 for w in logged.waiting())
    assert all(w.event.identity for w in logged.waiting())
    assert b"Told by the log" not in logged.settings.inbox.read_bytes()
    assert logged.poll() == 0, "the token is stored"


def test_a_token_that_marketo_takes_no_more_loses_nothing(logged: Logged):
    logged.poll()
    logged.store.edit_person(next(iter(logged.store.live_people())), {"title": "Between"}, datetime.now(UTC))
    place = logged.place()
    assert place
    with closing(Inbox(logged.settings.inbox)) as inbox:
        inbox.add([], log=("marketo", Place("no token", place.read_at)))
    assert logged.poll() >= 1
    assert logged.place() != place
    assert logged.poll() == 0


def test_what_is_read_twice_is_kept_once(logged: Logged):
    logged.poll()
    logged.store.edit_person(next(iter(logged.store.live_people())), {"title": "Twice"}, datetime.now(UTC))
    kept = logged.poll()
    assert kept >= 1
    with closing(Inbox(logged.settings.inbox)) as inbox:
        inbox.add([], log=("marketo", Place("no token", datetime.now(UTC) - timedelta(minutes=5))))
    assert logged.poll() == 0
    assert len(logged.waiting()) == kept


def test_a_log_that_cannot_be_read_stays_where_it_was(logged: Logged):
    logged.poll()
    before = logged.place()
    with pytest.raises(CRMError):
        logged.poll(client_id="wrong", max_attempts=1)
    assert logged.place() == before


@pytest.mark.slow
def test_the_raw_tables_follow_the_log(logged: Logged, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "build", lambda settings, report, say, **more: None)
    logged.followed.sync()
    logged.poll()
    people, deal = list(logged.store.live_people()), next(iter(logged.store.live_deals()))
    at = datetime.now(UTC)
    logged.store.edit_person(people[0], {"title": "Told by the log"}, at)
    logged.store.delete_person(people[1], at)
    logged.store.merge_people(people[2], people[3], at)
    member = next(person for person in people[4:] if person not in logged.store.deal_people(deal))
    logged.store.link(deal, member, at)
    logged.store.create_person({"email": "new@example.com", "last_name": "New"}, at)
    assert logged.poll() > 0
    done = following.catch_up(logged.settings, [logged.followed.connection])
    assert done is not None
    assert (done.failed, done.left) == (0, 0)
    differences = logged.followed.differences()
    differences.pop("activities", None)
    assert differences == {}
