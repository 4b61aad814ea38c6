"""What a sync cannot see reaches the tables by a reconcile."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp_pipelines.config import KINDS, Kind, Settings
from cdp_pipelines.sandbox.change import apply_changes
from cdp_pipelines.sandbox.hubspot.associations import CONTACT_COMPANY_PRIMARY
from cdp_pipelines.sandbox.hubspot.properties import CONTACTS
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.reader import Batch, Glance, RawTable, Reconciler, Span
from cdp_pipelines.sources.reconcile import reconcile
from cdp_pipelines.sources.report import ExtractReport
from cdp_pipelines.sources.warehouse import Warehouse
from tests.conftest import served
from tests.sources.fake_reader import FakeReader, problem, salesforce
from tests.sources.known_failures import known_failure
from tests.sources.reconciled import Followed, app_of

Serve = Callable[[Any], str]


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=150)


def new_store(world: World, kind: Kind) -> Any:
    if kind == "salesforce":
        return SalesforceStore(world.salesforce, world.owners)
    if kind == "hubspot":
        return HubSpotStore(world.hubspot, world.owners, salesforce=world.salesforce)
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture(scope="module")
def first_syncs(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """By CRM, a folder with a warehouse as the first sync leaves it."""

    @cache
    def read(kind: Kind) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        with served(app_of(kind, new_store(world, kind))) as url:
            Followed(kind, url, folder).sync()
        return folder

    return read


@pytest.fixture
def follow(world: World, serve: Serve, tmp_path: Path, first_syncs: Callable[[Kind], Path]) -> Callable[..., tuple[Any, Followed]]:
    """A store and a warehouse that has read all of it."""

    def begin(kind: Kind, store: Any = None, **settings: Any) -> tuple[Any, Followed]:
        store = store or new_store(world, kind)
        shutil.copytree(first_syncs(kind), tmp_path, dirs_exist_ok=True)
        return store, Followed(kind, serve(app_of(kind, store)), tmp_path, **settings)

    return begin


def now() -> datetime:
    return datetime.now(UTC)


def mended(report: ExtractReport) -> dict[str, int]:
    assert {t.mode for t in report.tables} == {"reconcile"}
    return {t.table: t.rows_read for t in report.tables if t.rows_read}


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_was_missed_nothing_is_read_again(follow: Any, kind: Kind) -> None:
    _, followed = follow(kind)
    assert mended(followed.reconcile()) == {}


def test_cursors_stay_where_they_were(follow: Any) -> None:
    _, followed = follow("marketo")
    cursors = {t.table: t.cursor for t in followed.sync().tables}
    assert {t.table: t.cursor for t in followed.reconcile().tables}.items() <= cursors.items()
    assert {t.mode for t in followed.sync().tables} <= {"incremental", "full"}


@known_failure("heroku/roadmap#319")
@pytest.mark.parametrize("bulk_above", [pytest.param(10_000, marks=pytest.mark.slow), 0])
def test_a_formula_whose_input_is_elsewhere_is_read_again(follow: Any, bulk_above: int) -> None:
    store, followed = follow("salesforce", bulk_above=bulk_above)
    contacts = store.records["Contact"]
    number = next(n for n in contacts.listed(include_deleted=False) if contacts.value(n, "AccountId"))
    region = "APAC" if followed.row("contact", contacts.id(number)).get("account_region__c") != "APAC" else "EMEA"
    store.edit_company(contacts.value(number, "AccountId"), {"region": region}, now())
    followed.sync()
    assert followed.row("contact", contacts.id(number)).get("account_region__c") != region
    report = followed.reconcile()
    assert set(mended(report)) == {"contact"}
    assert followed.row("contact", contacts.id(number))["account_region__c"] == region
    assert followed.differences() == {}


def test_records_read_through_one_query_api_are_not_read_again_because_the_other_one_writes_them_otherwise(follow: Any) -> None:
    _, followed = follow("salesforce", bulk_above=0)
    assert mended(followed.reconcile()) == {}


def test_what_was_purged_from_the_recycle_bin_is_a_tombstone_that_keeps_its_survivor(follow: Any) -> None:
    store, followed = follow("salesforce")
    winner, loser, gone = [p for p in store.live_people() if p.startswith("003")][:3]
    long_ago = now() - timedelta(days=20)
    store.merge_people(winner, loser, now())
    followed.sync()
    store.delete_person(gone, long_ago)
    for record in (loser, gone):
        store.purge(record)
    followed.reconcile()
    assert followed.row("contact", gone) == {"id": gone, "_deleted": "true"}
    assert followed.row("contact", loser) == {"id": loser, "_deleted": "true", "_merged_into": winner}
    assert mended(followed.reconcile()) == {}
    assert followed.differences() == {}


def test_an_erased_contact_is_a_tombstone_and_its_links_and_history_go(follow: Any) -> None:
    store, followed = follow("hubspot")
    deal = next(d for d in store.live_deals() if store.deal_people(d))
    gone = store.deal_people(deal)[0]
    store.purge_record(gone, now())
    followed.sync()
    assert "email" in followed.row("contacts", gone)
    followed.reconcile()
    assert followed.row("contacts", gone) == {"id": gone, "_deleted": "true"}
    assert [row for row in followed.rows("deal_contact_associations") if gone in row.values()] == []
    assert [row for row in followed.rows("lifecycle_stage_history") if row["contact_id"] == gone] == [{"contact_id": gone}]
    assert followed.differences() == {}


@known_failure("airbytehq/airbyte#27199")
def test_a_link_that_changes_nothing_else_is_read_again(follow: Any) -> None:
    store, followed = follow("hubspot")
    store.association_changes_bump = lambda: False
    person = next(p for p in store.live_people() if store.primary_company(int(p)))
    company = next(c for c in store.live_companies() if c != store.primary_company(int(person)))
    store.associate(store._contact_company, int(person), int(company), (CONTACT_COMPANY_PRIMARY,), now())
    followed.sync()
    report = followed.reconcile()
    assert {"contacts", "companies", "contact_company_associations"} == set(mended(report))
    assert followed.differences() == {}


def test_a_contact_whose_change_was_missed_is_read_again_with_its_history(follow: Any) -> None:
    store, followed = follow("hubspot")
    person = next(p for p in store.live_people() if store.records["contacts"].get(int(p)).properties.get("lifecyclestage") != "customer")
    store.set_properties(CONTACTS, int(person), {"lifecyclestage": "customer"}, now() - timedelta(days=2))
    followed.sync()
    report = followed.reconcile()
    assert set(mended(report)) == {"contacts", "lifecycle_stage_history"}
    assert followed.differences() == {}


def test_a_lead_whose_deletion_is_told_nowhere_is_a_tombstone(follow: Any) -> None:
    store, followed = follow("marketo")
    deal = next(d for d in store.live_deals() if store.deal_people(d))
    gone = store.deal_people(deal)[0]
    store.leads.remove(int(gone))
    for number in store.deals.of_lead(int(gone)):
        store.deals.unlink(number, int(gone))
    followed.sync()
    assert "email" in followed.row("leads", gone)
    followed.reconcile()
    assert followed.row("leads", gone) == {"id": gone, "_deleted": "true"}
    assert [row for row in followed.rows("opportunity_roles") if row["lead_id"] == gone] == [{"lead_id": gone}]
    assert mended(followed.reconcile()) == {}
    assert followed.differences() == {}


def test_an_opportunity_without_a_role_is_kept_fresh_and_its_deletion_noticed(follow: Any) -> None:
    store, followed = follow("marketo")
    changed, gone = [d for d in store.live_deals() if store.deal_people(d)][:2]
    for deal in (changed, gone):
        for role in store.deals.roles(store._deal(deal)):
            store.deals.unlink(store._deal(deal), role["leadId"])
    store.deals.edit(store._deal(changed), {"name": "Renamed while nobody was linked"}, now().timestamp())
    guids = {row["external_opportunity_id"]: row["marketo_guid"] for row in followed.rows("opportunities")}
    store.deals.remove(store._deal(gone))
    followed.sync()
    followed.reconcile()
    assert followed.row("opportunities", guids[changed])["name"] == "Renamed while nobody was linked"
    assert followed.row("opportunities", guids[gone]) == {"marketo_guid": guids[gone], "_deleted": "true"}


class Glancing(FakeReader, Reconciler):
    """Shows the batches that it reads; `fail` holds for glances too."""

    known = Warehouse(Settings(data_dir=Path("nowhere")), "salesforce", "salesforce")

    def glance(self, table: RawTable) -> Glance:
        return Glance(self.read(table, Span("reconcile", None, now())), whole=True)

    async def reread(self, table: RawTable, keys: Iterable[str]) -> AsyncIterator[Batch]:
        assert not list(keys), "a whole glance leaves nothing to read again"
        yield Batch([])


def test_a_table_that_cannot_be_looked_at_leaves_the_others_and_changes_nothing(tmp_path: Path) -> None:
    settings, connection = Settings(data_dir=tmp_path), salesforce()
    contacts, roles = [{"Id": "1", "Name": "Ann"}], [{"from_id": "1", "to_id": "2"}]
    extract(connection, Glancing({"contact": [contacts], "roles": [roles]}), settings)
    broken = Glancing({"roles": [[{"from_id": "1", "to_id": "3"}]]}, {"contact": problem("not today")})
    report = reconcile(connection, broken, settings)
    assert [(t.table, t.mode, t.state, t.problem) for t in report.tables] == [
        ("contact", "reconcile", "incomplete", "not today"), ("roles", "reconcile", "ok", None),
    ]  # fmt: skip
    with duckdb.connect(str(settings.warehouse)) as db:
        assert db.execute("select id, name, _deleted from raw_salesforce.contact").fetchall() == [("1", "Ann", None)]
        assert db.execute("select from_id, to_id from raw_salesforce.roles").fetchall() == [("1", "3")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_read_makes_tombstones_of_what_it_does_not_see(follow: Any, kind: Kind) -> None:
    store, followed = follow(kind)
    person = next(p for p in store.live_people() if kind != "salesforce" or p.startswith("003"))
    if kind == "salesforce":
        store.delete_person(person, now() - timedelta(days=20))
        store.purge(person)
    elif kind == "hubspot":
        store.purge_record(person, now())
    else:
        store.leads.remove(int(person))
    followed.sync(full=True)
    table = {"salesforce": "contact", "hubspot": "contacts", "marketo": "leads"}[kind]
    assert followed.row(table, person) == {"id": person, "_deleted": "true"}


@known_failure("airbytehq/airbyte#25991", "airbytehq/airbyte#40591", "airbytehq/airbyte#32652")
@pytest.mark.parametrize("kind", ["hubspot", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("salesforce", "marketo"))])
def test_syncs_and_a_reconcile_give_what_a_full_sync_gives(follow: Any, kind: Kind) -> None:
    store, followed = follow(kind)
    for seed in (1, 2):
        apply_changes({kind: store}, seed, now(), 60)
        followed.sync()
    followed.reconcile()
    assert followed.differences() == {}
