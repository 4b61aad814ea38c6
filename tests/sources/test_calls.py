"""No CRM is asked more than a tenth oftener than its API makes necessary; `pytest -s` prints the calls of each table."""

from __future__ import annotations

import pytest

from cdp_pipelines.bench_calls import BULK_ABOVE, Reading, measure, table
from cdp_pipelines.config import KINDS
from tests.sources.known_failures import known_failure

READS = ("full", "nothing changed", "1 % of people changed")


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Reading]:
    return {(reading.crm, reading.what): reading for reading in measure(1500, tmp_path_factory.mktemp("calls"))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", READS)
@known_failure("airbytehq/airbyte#45653", "singer-io/tap-marketo (R9)")
def test_a_read_takes_hardly_more_calls_than_the_least(readings: dict[tuple[str, str], Reading], kind: str, what: str) -> None:
    reading = readings[kind, what]
    print(f"\n{table(reading)}")
    assert sum(reading.least.values()) > 10
    assert reading.over <= 0.1


def test_every_way_of_reading_is_among_them(readings: dict[tuple[str, str], Reading]) -> None:
    salesforce, hubspot, marketo = (readings[kind, "full"].least for kind in KINDS)
    assert salesforce["campaign_member"] == 2 + 4, f"more than {BULK_ABOVE} records are read in bulk"
    assert hubspot["contacts"] > 20
    assert marketo["leads"] > 50
