"""Random histories of three CRMs with erasures between: no erased person is in a raw table, whatever is read, and however often.

The histories are those of `tests/sources/histories`, and changes of people who were erased go on in the CRMs. HISTORY_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from cdp_pipelines.config import KINDS, Kind, Settings
from cdp_pipelines.crm_integrations import http
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person, look_up
from cdp_pipelines.privacy.suppression import Suppression, SuppressionList
from cdp_pipelines.privacy.warehouse_rows import sweep_raw
from cdp_pipelines.privacy.where import LINKS, PEOPLE
from tests.sources.histories.test_histories import History


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


class WithErasures(History):
    """A history in which people are erased."""

    def __init__(self) -> None:
        super().__init__()
        self.erased: list[Person] = []

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
            assert held(self.warehouse.settings, self.erased) == []

    def teardown(self) -> None:
        """The end of the story: whatever is read once more brings nobody back."""
        try:
            for mode in ("incremental", "full", "reconcile"):
                self.now += timedelta(hours=1)
                for kind in self.kinds:
                    assert self.warehouse.sync(self.connection(kind), self.now, mode) == {}
                assert held(self.warehouse.settings, self.erased) == []
        finally:
            self._stack.close()


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)


def _run(folder: Path, histories: int, steps: int, crms: int) -> None:
    chosen = int(os.environ.get("HISTORY_SEED") or random.randrange(10**9))
    print(f"\nHISTORY_SEED={chosen}")
    given: dict[str, Any] = {"layers": None, "begun": {"folder": folder}, "crms": crms}
    machine: type[RuleBasedStateMachine] = type("WithErasures", (WithErasures,), given)
    options = settings(
        max_examples=histories, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink) if os.environ.get("SHRINK") else (Phase.generate,),
    )  # fmt: skip
    run_state_machine_as_test(seed(chosen)(machine), settings=options)


@pytest.mark.slow
def test_in_six_histories_nobody_who_was_erased_comes_back(tmp_path: Path) -> None:
    _run(tmp_path, 6, 8, crms=1)


@pytest.mark.endurance
@pytest.mark.parametrize("crms", [1, 3])
def test_in_many_histories_nobody_who_was_erased_comes_back(tmp_path: Path, crms: int) -> None:
    _run(tmp_path, 30, 8, crms)
