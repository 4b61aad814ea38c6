"""Reports about cursors without a time zone: the machine's own zone must not matter, nor may it change between two runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdp_pipelines.config import KINDS, Kind
from tests.sandbox.faulty import Faulty
from tests.sources.faulty_reads import Kept, problems
from tests.sources.known_failures import known_failure

TABLES: dict[Kind, str] = {"salesforce": "contact", "hubspot": "contacts", "marketo": "leads"}


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        yield patch
    time.tzset()


@known_failure("airbytehq/airbyte#79653", "airbytehq/airbyte#48492", "airbytehq/airbyte#7962")
@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_in_another_time_zone_reads_the_same_rows(kind: Kind, sandbox: Faulty, tmp_path: Path, zone: pytest.MonkeyPatch) -> None:
    kept, store = Kept(sandbox, kind, tmp_path / "kept", (TABLES[kind],)), sandbox.server.world.stores[kind]
    people = [person for person in store.live_people() if kind != "salesforce" or person.startswith("003")]  # contacts, no leads
    for person, name in zip(people, ("Pacific/Auckland", "America/Los_Angeles", "Pacific/Auckland"), strict=False):
        zone.setenv("TZ", name)
        time.tzset()
        assert problems(kept.sync()) == {}
        store.edit_person(person, {"last_name": f"Changed while in {name}"}, datetime.now(UTC))
    (table,) = kept.sync().tables
    assert 0 < table.rows_read < len(people) / 2, "only what was changed is read"
    fresh = Kept(sandbox, kind, tmp_path / "fresh", (TABLES[kind],))
    assert problems(fresh.sync()) == {}
    assert kept.rows() == fresh.rows()
