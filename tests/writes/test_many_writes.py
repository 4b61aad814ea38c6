"""Ten thousand records to each CRM in as few calls as its batches allow."""

from __future__ import annotations

import math

import pytest

from cdp_pipelines.config import Kind
from cdp_pipelines.crm_integrations.writes import Value
from tests.sandbox.faulty import Faulty
from tests.sources.known_failures import known_failure
from tests.writes.writing import creates, requests, update, writing

NAMES: dict[Kind, tuple[str, str, str, int]] = {
    "salesforce": ("Contact", "LastName", "Email", 200), "hubspot": ("contacts", "lastname", "email", 100), "marketo": ("leads", "lastName", "email", 300),
}  # fmt: skip


@known_failure("grouparoo/grouparoo#655")
@pytest.mark.slow
@pytest.mark.parametrize("kind", NAMES)
def test_ten_thousand_updates_take_hardly_more_calls_than_full_batches(sandbox: Faulty, kind: Kind) -> None:
    name, surname, email, size = NAMES[kind]
    lifted: dict[str, dict[str, object]] = {"hubspot": {"calls_per_10_seconds": None}, "marketo": {"calls_per_20_seconds": 100_000}}
    sandbox.option(kind, **lifted.get(kind, {}))
    crm = writing(sandbox, kind)
    people: list[dict[str, Value]] = [{surname: f"Many {n}", email: f"many{n}@writes.example.com"} for n in range(10_000)]
    ids = [result.id or "" for result in crm.write(name, creates(name, *people))]
    before, least = requests(sandbox, kind), math.ceil(len(ids) / size)
    results = crm.write(name, [update(name, i, **{surname: f"Changed {n}"}) for n, i in enumerate(ids)])
    assert [(r.outcome, r.id) for r in results] == [("updated", i) for i in ids]
    # Signing in and a look at the day's calls come once, however many records there are.
    assert requests(sandbox, kind) - before <= 1.05 * least + 2
    sample = ids[::997]
    found = crm.read(name, sample, surname)
    assert [found[i].values[surname] for i in sample] == [f"Changed {n}" for n in range(0, 10_000, 997)]
