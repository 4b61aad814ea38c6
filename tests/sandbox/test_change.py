from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.change import apply_changes
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import build_world
from cdp_pipelines.sandbox.salesforce import query
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sandbox.store import CrmStore

AT = datetime(2026, 9, 1, 8, tzinfo=UTC)
WORLD = "people=10 seed=1"


class PlainStore:
    """The least that a CRM must do, with every call noted."""

    def __init__(self, kind: Kind, people: int = 40, deals: int = 10):
        self.kind: Kind = kind
        # Half of Salesforce's people are leads, as the ids say.
        prefixes = ("003", "00Q") if kind == "salesforce" else ("1", "1")
        self.people: dict[str, dict[str, Any]] = {f"{prefixes[n % 2]}{n:04}": {} for n in range(people)}
        self.gone: set[str] = set()
        self.deals: dict[str, set[str]] = {f"d{n}": set() for n in range(deals)}
        self.lost_deals: set[str] = set()
        self.calls: list[tuple[Any, ...]] = []

    def live_people(self) -> list[str]:
        return [person for person in self.people if person not in self.gone]

    def deleted_people(self) -> list[str]:
        return sorted(self.gone)

    def live_deals(self) -> list[str]:
        return [deal for deal in self.deals if deal not in self.lost_deals]

    def deal_people(self, deal: str) -> list[str]:
        return list(self.deals[deal])

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        new = f"{'00Q' if self.kind == 'salesforce' else '1'}{len(self.people):04}"
        self.people[new] = dict(fields)
        self.calls.append(("create", new, fields, at))
        return new

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        assert person in self.live_people()
        self.people[person] |= fields
        self.calls.append(("edit", person, fields, at))

    def delete_person(self, person: str, at: datetime) -> None:
        assert person in self.live_people()
        self.gone.add(person)

    def restore_person(self, person: str, at: datetime) -> None:
        self.gone.remove(person)

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        assert winner in self.live_people()
        assert loser in self.live_people()
        assert winner != loser
        assert winner[:3] == loser[:3] or self.kind != "salesforce"
        self.gone.add(loser)
        self.calls.append(("merge", winner, loser, at))

    def convert_person(self, person: str, at: datetime) -> str | None:
        if not person.startswith("00Q"):
            return None
        self.gone.add(person)
        contact = f"003{len(self.people):04}"
        self.people[contact] = dict(self.people[person])
        return contact

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        assert all(person.startswith("003") for person in people) or self.kind != "salesforce"
        new = f"d{len(self.deals)}"
        self.deals[new] = set(people)
        return new

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        assert deal in self.live_deals()

    def delete_deal(self, deal: str, at: datetime) -> None:
        assert deal in self.live_deals()
        self.lost_deals.add(deal)

    def link(self, deal: str, person: str, at: datetime) -> None:
        assert person not in self.deals[deal]
        self.deals[deal].add(person)

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        self.deals[deal].remove(person)

    def counts(self) -> dict[str, int]:
        return {"people": len(self.live_people()), "deals": len(self.live_deals())}


def plain_stores(people: int = 40) -> dict[Kind, CrmStore]:
    return {kind: PlainStore(kind, people) for kind in KINDS}


def real_stores(people: int = 250) -> dict[Kind, CrmStore]:
    world = build_world(people=people)
    return {
        "salesforce": SalesforceStore(world.salesforce, world.owners),
        "hubspot": HubSpotStore(world.hubspot, world.owners),
        "marketo": MarketoStore(world.marketo, world.owners),
    }


def state(stores: dict[Kind, CrmStore]) -> dict[Kind, Any]:
    return {
        kind: (store.counts(), store.live_people(), store.deleted_people(), {deal: store.deal_people(deal) for deal in store.live_deals()})
        for kind, store in stores.items()
    }


@pytest.mark.parametrize("make", [plain_stores, real_stores])
def test_the_same_seed_moment_and_state_give_the_same_changes(make: Any) -> None:
    one, two = make(), make()
    for seed in range(6):
        at = AT.replace(hour=8 + seed)
        assert apply_changes(one, seed, at, 60) == apply_changes(two, seed, at, 60)
    assert state(one) == state(two)
    assert apply_changes(one, 7, AT, 30) != apply_changes(two, 8, AT, 30)


@pytest.mark.parametrize("make", [plain_stores, real_stores])
def test_every_kind_of_change_happens(make: Any) -> None:
    stores = make()
    done = [change for seed in range(12) for change in apply_changes(stores, seed, AT.replace(day=1 + seed), 60)]
    optional = {"edit_company", "move", "add_field", "rename_field", "purge"}
    assert {change["op"] for change in done} - optional == {
        "create", "edit", "delete", "restore", "merge", "convert", "create_deal", "edit_deal", "delete_deal", "link", "unlink"
    }  # fmt: skip
    assert optional & {change["op"] for change in done} == (optional if make is real_stores else set())
    assert {change["crm"] for change in done} == set(KINDS)
    cleared = {name for change in done if change["op"] == "edit" for name, value in change["fields"].items() if value is None}
    assert cleared == {"phone", "title", "lead_score"}


def test_a_formula_of_many_people_says_something_else_though_none_of_them_changed() -> None:
    store = real_stores()["salesforce"]
    assert isinstance(store, SalesforceStore)
    contacts = store.records["Contact"]
    number = next(n for n in contacts.listed(include_deleted=False) if contacts.value(n, "AccountId"))
    before = contacts.stamps[number]
    rows = query.run(store, f"SELECT AccountRegion__c FROM Contact WHERE Id = '{contacts.id(number)}'", include_deleted=False)
    for region in ("EMEA", "AMER"):
        assert store.edit_company(contacts.value(number, "AccountId"), {"region": region}, AT) == {"region": region}
        assert rows.json_rows([number], "62.0")[0]["AccountRegion__c"] == region
    assert contacts.stamps[number] == before


def test_a_field_that_was_added_can_be_written_and_keeps_its_values_under_a_new_name() -> None:
    store = real_stores()["salesforce"]
    assert isinstance(store, SalesforceStore)
    old = store.add_field_for_people(7, AT)
    person = next(p for p in store.live_people() if p.startswith("003"))
    store.change(person, {old: "kept"}, AT)
    new = store.rename_field_for_people(old, 8, AT)
    assert store.added_fields() == [new]
    assert store.value(person, new) == "kept"
    assert store.value(person, old) is None


def test_a_purged_person_was_deleted_before_and_is_in_no_list_after() -> None:
    store = real_stores()["salesforce"]
    assert isinstance(store, SalesforceStore)
    person = store.live_people()[0]
    with pytest.raises(KeyError):
        store.purge_record(person, AT)
    store.delete_person(person, AT)
    store.purge_record(person, AT)
    assert person not in [*store.live_people(), *store.deleted_people()]
    assert store.get(person) is None


def test_people_are_purged_where_the_crm_would_keep_them_else() -> None:
    stores = real_stores()
    done = [c for seed in range(8) for c in apply_changes(stores, seed, AT.replace(hour=8 + seed), 60) if c["op"] == "purge"]
    assert {change["crm"] for change in done} == {"salesforce", "hubspot"}
    for change in done:
        assert change["id"] not in [*stores[change["crm"]].live_people(), *stores[change["crm"]].deleted_people()]


def test_a_batch_has_as_many_changes_as_asked_for_and_can_be_written_as_json() -> None:
    for count in (0, 1, 7, 100):
        done = apply_changes(plain_stores(), 3, AT, count)
        assert len(done) == count
        assert json.loads(json.dumps(done)) == done


def test_every_change_carries_the_moment() -> None:
    stores = plain_stores()
    apply_changes(stores, 1, AT, 80)
    calls = [call for store in stores.values() if isinstance(store, PlainStore) for call in store.calls]
    assert calls
    assert {call[-1] for call in calls} == {AT}


def test_merges_take_only_known_duplicates_when_there_is_a_list() -> None:
    stores = {"hubspot": PlainStore("hubspot")}
    pairs: dict[Kind, list[tuple[str, str]]] = {"hubspot": [("10003", "10007"), ("10011", "10012")]}
    done = [c for seed in range(20) for c in apply_changes(dict(stores), seed, AT, 60, duplicates=pairs)]  # ty: ignore[invalid-argument-type]
    merged = [(change["id"], change["loser"]) for change in done if change["op"] == "merge"]
    assert merged
    assert set(merged) <= set(pairs["hubspot"])


def test_newcomers_are_often_known_to_several_crms_under_one_key() -> None:
    done = [c for seed in range(10) for c in apply_changes(plain_stores(), seed, AT, 60)]
    crms: dict[str, set[str]] = {}
    for change in done:
        if change["op"] == "create":
            crms.setdefault(f"{change['person']}", set()).add(change["crm"])
    assert max(map(len, crms.values())) > 1


def test_nothing_is_left_to_change_in_an_empty_crm_but_to_create() -> None:
    assert apply_changes({}, 1, AT, 5) == []
    done = apply_changes({"marketo": PlainStore("marketo", people=0, deals=0)}, 1, AT, 3)
    assert done[0]["op"] in ("create", "create_deal")
