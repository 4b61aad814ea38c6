"""Random histories of three CRMs with erasures between: no erased person is in any table, whatever is read and however often, and all
others are as they are for a reader who comes only at the end.

The histories are those of `tests/sources/histories`, and changes of people who were erased go on in the CRMs. HISTORY_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cdp_pipelines.config import KINDS, Kind, Settings
from cdp_pipelines.crm_integrations import http
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.hashes import addresses as addresses_in
from cdp_pipelines.privacy.person import Person, look_up
from cdp_pipelines.privacy.suppression import Suppression, SuppressionList
from cdp_pipelines.privacy.warehouse_rows import sweep_raw
from cdp_pipelines.privacy.where import LINKS, PEOPLE
from cdp_pipelines.sandbox import clock
from cdp_pipelines.sources import registry
from cdp_pipelines.sync import SyncReport, build
from cdp_pipelines.webhooks.event import Event
from tests.sources.histories.quick import QuickWarehouse
from tests.sources.histories.standardized import Layers
from tests.sources.histories.test_histories import UNASKABLE, History, differences


def erase_raw(settings: Settings, person: Person, name: str) -> None:
    """What an erasure does to the list and to the raw tables."""
    listing, hasher = SuppressionList(settings), Hasher.of_settings(settings)
    listing.add(name, person.hashes(hasher))
    with duckdb.connect(str(settings.warehouse)) as db:
        sweep_raw(db, Suppression(hasher, listing.rows(), listing), apply=True)


def held(settings: Settings, people: list[Person]) -> list[str]:
    """Where somebody who was erased is in the raw tables: by id in what are people or name one, by address in any text."""
    hasher, found = Hasher.of_settings(settings), []
    ids = [list(one) for person in people for one in person.ids]
    # Others may share a function's mailbox.
    addresses = [a.lower() for p in people for a in p.emails if (m := hasher.mailbox(a)) and m.kind == "personal"]
    pattern = "|".join(map(re.escape, addresses)) or "no address at all"
    with duckdb.connect(str(settings.warehouse)) as db:
        tables = db.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns() where starts_with(schema_name, 'raw_') and data_type = 'VARCHAR' "
            "and not starts_with(table_name, '_dlt') group by all"
        ).fetchall()
        for schema, table, columns in tables:
            place = schema.removeprefix("raw_"), table
            tests = [f'coalesce(bool_or(regexp_matches(lower("{column}"), $pattern)), false) as "{column}"' for column in columns]
            known = [c for c in columns if (place in PEOPLE and c == "id") or c in LINKS.get(place, {})]
            tests += [f'coalesce(bool_or(list_contains($ids, [connection, "{column}"])), false) as "id in {column}"' for column in known]
            (row,) = db.execute(
                f'select {", ".join(tests)} from {schema}."{table}"', {"pattern": pattern} | ({"ids": ids} if known else {})
            ).fetchall()
            names = [*columns, *(f"id in {column}" for column in known)]
            found += [f"{schema}.{table}: {name}" for name, there in zip(names, row, strict=True) if there]
    return found


def held_in_tables(tables: Mapping[str, pa.Table], people: list[Person], hasher: Hasher) -> list[str]:
    """The same in tables of ours, standardized, unified or published: by id where people are named, by address in any text."""
    ids = {one for person in people for one in person.ids}
    addresses = {m.address for p in people for a in p.emails if (m := hasher.mailbox(a)) and m.kind == "personal"}
    found = []
    for name, table in tables.items():
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        known = [c for c in ("customer_id", "contact_id", "merged_into", "converted_contact_id") if c in table.column_names]
        for row in table.select(list(dict.fromkeys([*texts, *known]))).to_pylist():
            said = [f"{name}: id in {column}" for column in known if (row.get("connection"), row[column]) in ids]
            written = [(c, a) for c in texts if row[c] and "@" in row[c] for a in addresses_in(row[c])]
            found += said + [f"{name}: {column}" for column, a in written if (m := hasher.mailbox(a)) and m.address in addresses]
    return found


class RawAlone:
    """The raw tables of a warehouse, for histories that are too short for models."""

    def tables(self, warehouse: Path, kinds: Collection[Kind]) -> dict[str, pa.Table]:
        with duckdb.connect(str(warehouse), read_only=True) as db:
            names = [f'raw_{kind}."{table.name}"' for kind in kinds for table in registry.TABLES[kind]]
            return {name: db.execute(f"select * from {name}").to_arrow_table() for name in names}


class WithErasures(History):
    """A history in which people are erased and come back, under new ids and in other spellings; with `whole` it ends with a published file."""

    whole: bool

    def __init__(self) -> None:
        super().__init__()
        self.erased: list[Person] = []
        self.told_of: list[tuple[Kind, str]] = []

    @initialize(order=st.permutations(KINDS), which=st.integers(0, 10**6))
    def begin(self, order: list[Kind], which: int = 0) -> None:
        """Which of the CRMs are followed, and one erased person in each."""
        self.kinds = sorted(order[: self.crms])
        for kind in self.kinds:
            self.erase(kind, which)

    @rule(kind=st.sampled_from(KINDS), which=st.integers(0, 10**6))
    def erase(self, kind: Kind, which: int) -> None:
        """Somebody whom a CRM has."""
        if kind not in self.kinds:
            return
        table = {"salesforce": "contact", "hubspot": "contacts", "marketo": "leads"}[kind]
        with duckdb.connect(str(self.warehouse.settings.warehouse)) as db:
            ids = db.execute(f"select id from raw_{kind}.{table} where email is not null order by id").fetchall()
        if ids:
            person = look_up(self.warehouse.settings, record=f"{kind}:{ids[which % len(ids)][0]}")
            erase_raw(self.warehouse.settings, person, f"{len(self.erased)}")
            self.erased.append(person)
            self.told_of += [(kind, one) for _, one in person.ids]
            assert held(self.warehouse.settings, self.erased) == []

    @rule(which=st.integers(0, 10**6), kind=st.sampled_from(KINDS), spelling=st.integers(0, 4), later=st.integers(0, 4_000))
    def come_back(self, which: int, kind: Kind, spelling: int, later: int) -> None:
        """Who was erased is made anew in a CRM: under the address in another spelling, or under the number alone."""
        self.now += timedelta(seconds=later)
        people = [p for p in self.erased if p.own_addresses(self._hasher())]
        if not people or kind not in self.kinds:
            return
        person = people[which % len(people)]
        mailbox = self._hasher().mailbox(person.own_addresses(self._hasher())[0])
        assert mailbox is not None
        name, domain = mailbox.name, mailbox.domain
        address = [f"{name}@{domain}", f"{name.upper()}@{domain.title()}", f"{name}+{which}@{domain}", f" {name}@{domain} ", None][spelling]
        if domain == "gmail.com":
            address = address and address.replace(name[0], f"{name[0]}.", 1)
        first, last = next(((f, x) for f, x in sorted(person.names, key=str) if f), (None, None))
        line = next((x for n, c in sorted(person.phones, key=str) if (x := self._hasher().line(n, c))), None)
        fields = {"first_name": first, "last_name": last or "X", "email": address and address.strip() if kind != "marketo" else address}
        if address is None:
            if line is None or first is None:
                return
            fields["phone"] = f"{line[:2]} ({line[2:5]}) {line[5:]}"
        with clock.at(self.now):
            self.told_of.append((kind, self.server.world.stores[kind].create_person(fields, self.now)))

    @rule(kind=st.sampled_from(KINDS), which=st.integers(0, 10**6))
    def merge(self, kind: Kind, which: int) -> None:
        """Somebody is merged with one of those who were erased, or came back."""
        store, live = self.server.world.stores[kind], self.server.world.stores[kind].live_people()
        mine = [one for k, one in self.told_of if k == kind and one in set(live)]
        if kind in self.kinds and mine and (others := [one for one in live if one not in mine]):
            pair = [mine[which % len(mine)], others[which % len(others)]]
            with clock.at(self.now):
                store.merge_people(*(pair if which % 2 else pair[::-1]), self.now)

    @rule(kind=st.sampled_from(KINDS), later=st.integers(0, 300))
    def told(self, kind: Kind, later: int) -> None:
        """Notifications name those who were erased, those who came back, and others."""
        self.now += timedelta(seconds=later)
        ids = [one for k, one in self.told_of if k == kind] + list(self.server.world.stores[kind].live_people())[:3]
        if kind in self.kinds:
            events = [Event(kind, _object(kind, one), one, "changed") for one in ids]
            assert self.warehouse.told(self.connection(kind), self.now, events) == {}
            assert held(self.warehouse.settings, self.erased) == []

    def teardown(self) -> None:
        """The end of the story: whatever is read once more brings nobody back, and all others are as a reader has them who comes only now."""
        try:
            for mode in ("incremental", "full", "incremental", "reconcile"):
                self.now += timedelta(hours=1)
                for kind in self.kinds:
                    assert self.warehouse.sync(self.connection(kind), self.now, mode) == {}
                assert held(self.warehouse.settings, self.erased) == []
            self._others_are_as_a_new_reader_has_them()
            assert held_in_tables(self.layers.tables(self.warehouse.settings.warehouse, self.kinds), self.erased, self._hasher()) == []
            if self.whole:
                self._nobody_is_published()
        finally:
            self._stack.close()

    def _others_are_as_a_new_reader_has_them(self) -> None:
        fresh = QuickWarehouse(self.folder / "fresh")
        self._stack.callback(fresh.close)
        for kind in self.kinds:
            assert fresh.sync(self.connection(kind), self.now) == {}
        with duckdb.connect(str(fresh.settings.warehouse)) as db:
            sweep_raw(db, Suppression(self._hasher(), SuppressionList(self.warehouse.settings).rows()), apply=True)
            for query in UNASKABLE:  # nor can it be asked for what lost its last person by the erasure
                db.execute(query)
        assert differences(self.warehouse, fresh, self.layers, self.kinds) == {}

    def _nobody_is_published(self) -> None:
        report = SyncReport(self.now, self.now, [])
        with warehouse_lock(self.warehouse.settings, "test"):
            build(self.warehouse.settings, report, lambda text: None)
        assert report.published, report.problem
        for path in (self.warehouse.settings.warehouse, self.warehouse.settings.published):
            with duckdb.connect(str(path), read_only=True) as db:
                names = db.execute(
                    "select schema_name || '.' || table_name from duckdb_tables() where not starts_with(schema_name, 'raw_')"
                )
                tables = {name: db.execute(f"from {name}").to_arrow_table() for (name,) in names.fetchall()}
            assert any(name.endswith(".customers") for name in tables)
            assert held_in_tables(tables, self.erased, self._hasher()) == []

    def _hasher(self) -> Hasher:
        return Hasher.of_settings(self.warehouse.settings)


def _object(kind: Kind, record: str) -> str:
    if kind == "salesforce":
        return "Lead" if record.startswith("00Q") else "Contact"
    return {"hubspot": "contacts", "marketo": "leads"}[kind]


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)


def _run(folder: Path, histories: int, steps: int, crms: int, layers: Layers | RawAlone, *, whole: bool = False) -> None:
    chosen = int(os.environ.get("HISTORY_SEED") or random.randrange(10**9))
    print(f"\nHISTORY_SEED={chosen}")
    given: dict[str, Any] = {"layers": layers, "begun": {"folder": folder}, "crms": crms, "whole": whole}
    machine: type[RuleBasedStateMachine] = type("WithErasures", (WithErasures,), given)
    options = settings(
        max_examples=histories, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink) if os.environ.get("SHRINK") else (Phase.generate,),
    )  # fmt: skip
    run_state_machine_as_test(seed(chosen)(machine), settings=options)


def _tell(folder: Path, crms: int, steps: int, layers: Layers | RawAlone, *, whole: bool = False) -> None:
    """One history, told in full: of so few, hypothesis would tell the simplest."""
    chosen = int(os.environ.get("HISTORY_SEED") or random.randrange(10**9))
    print(f"\nHISTORY_SEED={chosen}")
    rng = random.Random(chosen)
    story: WithErasures = type("Told", (WithErasures,), {"layers": layers, "begun": {"folder": folder}, "crms": crms, "whole": whole})()
    story.begin(rng.sample(KINDS, 3), rng.randrange(10**6))
    for step in range(steps):
        which, kind, later = rng.randrange(10**6), rng.choice(story.kinds), rng.randrange(4_000)
        story.come_back(which, kind, step % 5, later)
        story.change(which, 10, later)
        story.merge(kind, which)
        story.told(kind, later % 300)
        story.synced([kind], 0)
        story.erase(kind, which)
    assert len(story.told_of) > len(story.erased), "somebody came back"
    story.teardown()


@pytest.mark.slow
def test_in_a_history_nobody_who_was_erased_comes_back(tmp_path: Path) -> None:
    _tell(tmp_path, 1, 2, RawAlone())


@pytest.mark.slow
def test_in_some_histories_nobody_who_was_erased_comes_back_to_any_table(tmp_path: Path) -> None:
    _run(tmp_path, 3, 6, 1, Layers(tmp_path / "models"))


@pytest.mark.slow
def test_in_a_history_of_three_crms_nobody_who_was_erased_is_published(tmp_path: Path) -> None:
    _tell(tmp_path, 3, 3, Layers(tmp_path / "models"), whole=True)


@pytest.mark.endurance
@pytest.mark.parametrize("crms", [1, 3])
def test_in_many_histories_nobody_who_was_erased_comes_back_to_any_table(tmp_path: Path, crms: int) -> None:
    _run(tmp_path, 30, 8, crms, Layers(tmp_path / "models"), whole=crms == 3)
