"""From a change in a CRM to the published file: the sandbox tells the receiver, what it names is read again, and the tables are a full sync's."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.types import ASGIApp

from cdp_pipelines.config import KINDS, Connection, Settings, connection_from_config
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.clock import now
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sync import sync
from cdp_pipelines.webhooks.catch_up import catch_up
from cdp_pipelines.webhooks.event import Event
from cdp_pipelines.webhooks.inbox import MAX_TRIES, Inbox
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.receiver import Receiver
from tests.sandbox.faulty import faulty
from tests.webhooks.killing import following, kill_and_go_on
from tests.webhooks.told import Told


@pytest.fixture(scope="module")
def first_sync(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("told")
    with faulty(folder / "state", people=60) as sandbox:
        org = sandbox.server.world.stores["salesforce"]
        winner, loser = [person for person in org.live_people() if person.startswith("003")][:2]
        org.merge_people(winner, loser, now())
        told = Told(sandbox, Settings(data_dir=folder / "data"), loser)
        assert sync(told.settings, told.connections).complete
        yield told


@pytest.fixture
def told(first_sync: Told, serve: Callable[[ASGIApp], str]) -> Iterator[Told]:
    with listening(first_sync, serve):
        yield first_sync


@contextmanager
def listening(told: Told, serve: Callable[[ASGIApp], str]) -> Generator[None]:
    """The sandbox tells a receiver with this inbox."""
    sandbox, settings = told.sandbox, told.settings
    connections = {name: connection_from_config(name, config) for name, config in sandbox.addresses.connections().items()}
    with Keeper(settings.inbox, settings.inbox_most) as keeper:
        hosting.notify(sandbox.addresses, serve(Receiver(connections, keeper).app()))
        yield
        sandbox.reset()
        hosting.notify(sandbox.addresses, None)


@pytest.mark.slow
def test_changes_of_three_crms_are_told_read_again_and_are_what_a_full_sync_gives(told: Told, tmp_path: Path):
    told.change(seed=1)
    assert set(told.status()) == set(KINDS)
    done = told.catch_up()
    assert (done.failed, done.left, done.report.problem) == (0, 0, None)
    assert done.done == sum(one["done"] for one in told.status().values()) > 0
    assert told.differences(tmp_path / "fresh") == {}
    assert catch_up(told.settings, told.connections) is None, "nothing waits"


@pytest.mark.slow
def test_events_twice_out_of_order_and_late_change_nothing(told: Told, tmp_path: Path):
    told.sandbox.option("hubspot", webhook_duplicates=True, webhook_reordered=True)
    told.change(seed=2)
    told.catch_up()
    with duckdb.connect(str(told.settings.published), read_only=True) as db:
        before = db.execute("from contacts order by all").fetchall()
    with closing(Inbox(told.settings.inbox)) as inbox:
        again = inbox.replay(connection="hubspot")
    assert again > 0
    assert told.catch_up().done == again
    with duckdb.connect(str(told.settings.published), read_only=True) as db:
        columns = [c for (c, *_) in db.execute("describe contacts").fetchall()].index("synced_at")
        after = db.execute("from contacts order by all").fetchall()
    assert sorted(map(str, (row[:columns] + row[columns + 1 :] for row in after))) == sorted(
        map(str, (row[:columns] + row[columns + 1 :] for row in before))
    )


@pytest.mark.slow
def test_a_gap_is_closed_by_a_look_at_the_whole_object(told: Told, tmp_path: Path):
    salesforce = told.sandbox.server.world.stores["salesforce"]
    if told.merged in salesforce.purgeable_people():  # else everyday changes have purged it before
        salesforce.purge(told.merged)
    told.sandbox.option("salesforce", events_overflow=True)
    told.change(seed=3)
    assert {w.event.what for w in _waiting(told) if w.event.connection == "salesforce"} == {"missed"}
    done = told.catch_up()
    assert done.failed == done.left == 0
    assert told.differences(tmp_path / "fresh") == {}


@pytest.mark.slow
def test_only_what_depends_on_the_records_is_standardized_unless_something_else_may_be_old(told: Told):
    hubspot = told.sandbox.server.world.stores["hubspot"]

    def tested(title: str) -> set[str]:
        """Standardized tables whose tests ran after a change of one contact in HubSpot."""
        hubspot.edit_person(hubspot.live_people()[0], {"title": title}, now())
        told.settle()
        return {check.table for check in told.catch_up().report.checks if check.name.startswith("unique_key")}

    assert sync(told.settings, told.connections).complete
    assert "contacts" in (one := tested("Chief of Change"))
    assert not one & {"opportunities", "companies", "campaign_members"}
    with duckdb.connect(str(told.settings.published), read_only=True) as db:
        assert db.sql("select count(*) from contacts where source_system = 'hubspot' and title = 'Chief of Change'").fetchone() == (1,)
    # As when a sync stops between reading and building.
    (connection,) = (c for c in told.connections if isinstance(c, Connection) and c.kind == "hubspot")
    assert extract(connection, registry.reader(connection, told.settings), told.settings, tables=["companies"]).complete
    assert tested("Chief of Staff") > {"contacts", "opportunities", "companies", "campaign_members"}


@pytest.mark.slow
def test_outbound_messages_are_acknowledged_and_lead_to_the_records(told: Told):
    told.sandbox.option("salesforce", events_form="outbound")
    told.change(seed=4)
    events = told.sandbox.server.apps["salesforce"].state.events
    assert events.deliveries[-1].status == 200
    assert events.deliveries[-1].attempt == 0
    assert told.catch_up().failed == 0


@pytest.mark.slow
def test_events_of_a_crm_that_cannot_be_read_wait_for_the_day_when_it_can(told: Told):
    told.change(seed=5)
    before = {name: one["waiting"] for name, one in told.status().items()}
    told.sandbox.set("hubspot", "token_revoked")
    done = told.catch_up()
    assert (done.failed, done.left) == (0, before["hubspot"])
    assert told.status()["hubspot"]["waiting"] == before["hubspot"]
    assert told.status()["salesforce"]["waiting"] == 0, "the others are not held up"
    told.sandbox.reset()
    assert told.catch_up().done == before["hubspot"]


@pytest.mark.slow
def test_an_event_that_always_fails_is_given_up_alone_and_can_be_taken_again(told: Told):
    told.change(seed=6)
    done = told.catch_up()
    assert (done.failed, done.left, _waiting(told)) == (0, 0, [])
    good, bad = (Event("hubspot", name, "1", "changed", identity=name) for name in ("contacts", "companies"))
    told.sandbox.set("hubspot", "permission", path="/crm/v3/objects/companies/*")
    with closing(Inbox(told.settings.inbox)) as inbox:
        inbox.add([good, bad])
    for _ in range(MAX_TRIES):
        told.catch_up()
    assert {name: (one["waiting"], one["dead"]) for name, one in told.status().items()}["hubspot"] == (0, 1)
    assert "companies" in told.status()["hubspot"]["last_reason"]
    told.sandbox.reset()
    with closing(Inbox(told.settings.inbox)) as inbox:
        assert inbox.replay(dead=True) == 1
    assert told.catch_up().done == 1


@pytest.mark.slow
def test_killed_receivers_and_catch_ups_lose_nothing(first_sync: Told, tmp_path: Path):
    # An outbound message tells of no deletion, so what the tests before have left untold is read first.
    assert sync(first_sync.settings, first_sync.connections).complete
    with following(first_sync) as it:
        kill_and_go_on(it, 3, 100, random.Random(11))
        it.check(tmp_path / "fresh")


# The last of all: who is erased in HubSpot is told to another warehouse than that of the tests above.
@pytest.mark.slow
def test_privacy_deletions_among_the_changes_erase_and_all_others_are_what_a_full_sync_gives(
    first_sync: Told, serve: Callable[[ASGIApp], str], tmp_path: Path
):
    settings = first_sync.settings.model_copy(update={"data_dir": tmp_path / "ours", "erase_told": True})
    shutil.copytree(first_sync.settings.data_dir, settings.data_dir)
    told = replace(first_sync, settings=settings)
    assert sync(settings, told.connections).complete
    with listening(told, serve):
        hubspot = told.sandbox.server.world.stores["hubspot"]
        erased = hubspot.live_people()[3:5]
        told.change(seed=7)
        for person in erased:
            answer = told.sandbox.call("hubspot", "/crm/v3/objects/contacts/gdpr-delete", method="POST", json={"objectId": person})
            assert answer.status_code in (204, 404), answer.text
        told.change(seed=8)
        done = told.catch_up()
        assert (done.failed, done.left, done.report.problem) == (0, 0, None)
        certificates = [
            page for page in (settings.privacy_dir / "certificates").glob("*.json") if "privacy deletion in hubspot" in page.read_text()
        ]
        assert certificates
        with closing(sqlite3.connect(settings.inbox)) as db:
            named = {
                (c, one)
                for c, one, related in db.execute("select connection, record_id, related from events")
                for one in (one, *json.loads(related))
            }
        listed, hasher = SuppressionList(settings).rows(), Hasher.of_settings(settings)
        assert any(hasher.id("hubspot", person) in listed for person in erased)
        assert [one for one in named if hasher.id(*one) in listed] == []
        assert told.differences(tmp_path / "fresh") == {}


def _waiting(told: Told) -> list[Any]:
    with closing(Inbox(told.settings.inbox)) as inbox:
        return inbox.waiting()
