"""Reports about HubSpot's searches, merges and values that no other test answers, over HTTP against an emulated portal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp_pipelines.config import Settings, connection_from_config
from cdp_pipelines.crm_integrations import hubspot_search
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.report import ExtractReport
from tests.sandbox.hubspot_portal import Portal
from tests.sources.faulty_reads import problems
from tests.sources.fronts import Altered, Front
from tests.sources.known_failures import known_failure

Serve = Callable[[Any], str]
QUICK = {"visibility_lag_seconds": 0, "overlap_seconds": 0, "calls_per_10_seconds": 10_000, "searches_per_second": 1_000}


def sync(url: str, folder: Path, *tables: str) -> ExtractReport:
    connection = connection_from_config("hubspot", {**credentials.HUBSPOT, "base_url": url, **QUICK})
    settings = Settings(data_dir=folder)
    report = extract(connection, registry.reader(connection, settings), settings, tables=tables)
    assert problems(report) == {}
    return report


def query(folder: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as db:
        return db.execute(sql).fetchall()


def edited(portal: Portal, count: int | None = None) -> list[str]:
    """Contacts that changed in this moment; all by default."""
    people = portal.store.live_people()[:count]
    for person in people:
        portal.store.edit_person(person, {"title": "Edited"}, datetime.now(UTC))
    return people


@known_failure("airbytehq/airbyte#45653")
def test_a_search_brings_200_records_a_call(serve: Serve, tmp_path: Path) -> None:
    portal = Portal(serve)
    front = Front(portal.app)
    url = serve(front)
    sync(url, tmp_path, "contacts")
    people = edited(portal)
    front.calls.clear()
    (table,) = sync(url, tmp_path, "contacts").tables
    assert table.rows_read - table.rows_deleted == len(people) > 200
    assert front.count("POST", "contacts/search") == -(-len(people) // 200)


@known_failure("singer-io/tap-hubspot@4.3.2", "airbytehq/airbyte#23630", "airbytehq/airbyte#61543")
def test_more_than_twice_the_cap_of_a_search_is_read_without_a_gap_in_the_middle(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubspot_search, "SEARCH_PAGE", 30)  # HubSpot takes no more than its cap
    portal = Portal(serve, search_cap=60)
    sync(portal.url, tmp_path, "contacts")
    people = edited(portal)
    (table,) = sync(portal.url, tmp_path, "contacts").tables
    assert table.rows_read - table.rows_deleted == len(people) > 4 * 60
    assert query(tmp_path, "select count(*) from raw_hubspot.contacts where jobtitle = 'Edited'") == [(len(people),)]


@known_failure("airbytehq/airbyte#10576", "airbytehq/airbyte#62866")
@pytest.mark.parametrize(("name", "value"), [("closedate", "1762212973632"), ("amount", "about 5k")])
def test_values_of_another_form_than_their_type_are_kept(serve: Serve, tmp_path: Path, name: str, value: str) -> None:
    def alter(call: str, body: Any) -> Any:
        if call == "GET /crm/v3/objects/deals":
            for record in body["results"]:
                record["properties"][name] = value
        return body

    sync(serve(Altered(Portal(serve).app, alter)), tmp_path, "deals")
    assert query(tmp_path, f"select distinct {name} from raw_hubspot.deals") == [(value,)]


@known_failure("airbytehq/airbyte#58659")
def test_empty_moments_of_a_pipeline_end_nothing(serve: Serve, tmp_path: Path) -> None:
    def alter(call: str, body: Any) -> Any:
        if call == "GET /crm/v3/pipelines/deals":
            for pipeline in body["results"]:
                pipeline["updatedAt"] = ""
                for stage in pipeline["stages"]:
                    stage["updatedAt"] = ""
        return body

    sync(serve(Altered(Portal(serve).app, alter)), tmp_path, "pipeline_stages")
    assert query(tmp_path, "select distinct updated_at, count(*) from raw_hubspot.pipeline_stages group by all") == [("", 7)]


@known_failure("fivetran/dbt_hubspot#168", "fivetran/dbt_hubspot#172", "airbytehq/airbyte#27091")
@pytest.mark.parametrize("mints", [False, True], ids=["same id", "new id"])
def test_merges_of_merged_contacts_lead_to_the_one_that_is_left(serve: Serve, tmp_path: Path, mints: bool) -> None:
    portal = Portal(serve, merge_mints_new_id=mints)
    sync(portal.url, tmp_path, "contacts")
    first, second, third = portal.store.live_people()[:3]

    def merged(keep: str, lose: str) -> str:
        body = {"primaryObjectId": keep, "objectIdToMerge": lose}
        return str(portal.post("/crm/v3/objects/contacts/merge", body)["id"])

    between = merged(second, first)
    sync(portal.url, tmp_path, "contacts")
    last = merged(third, between)
    sync(portal.url, tmp_path, "contacts")
    losers = {first, second, third, between} - {last}
    found = query(tmp_path, "select id, _deleted, _merged_into from raw_hubspot.contacts where id in ('{}')".format("', '".join(losers)))
    assert sorted(found) == sorted((loser, "true", last) for loser in losers)


@known_failure("fivetran/dbt_hubspot#134")
def test_merged_deals_are_there_once(serve: Serve, tmp_path: Path) -> None:
    portal = Portal(serve)
    sync(portal.url, tmp_path, "deals")
    keep, lose = portal.store.live_deals()[:2]
    survivor = str(portal.post("/crm/v3/objects/deals/merge", {"primaryObjectId": keep, "objectIdToMerge": lose})["id"])
    sync(portal.url, tmp_path, "deals")
    assert query(tmp_path, f"select _deleted, _merged_into from raw_hubspot.deals where id = '{lose}'") == [("true", survivor)]
    assert query(tmp_path, f"select _deleted from raw_hubspot.deals where id = '{survivor}'") == [(None,)]


@known_failure("singer-io/tap-hubspot#64", "airbytehq/airbyte#11179", "airbytehq/airbyte#21471", "estuary/connectors#3615")
def test_a_contact_that_is_archived_is_marked_and_one_that_is_restored_is_not(serve: Serve, tmp_path: Path) -> None:
    portal = Portal(serve)
    sync(portal.url, tmp_path, "contacts")
    gone, back = portal.store.live_people()[0], portal.store.deleted_people()[0]
    portal.send("DELETE", f"/crm/v3/objects/contacts/{gone}", None, 204)
    portal.store.restore_person(back, datetime.now(UTC) - timedelta(days=3))  # as if nothing had happened lately
    sync(portal.url, tmp_path, "contacts")
    assert dict(query(tmp_path, f"select id, _deleted from raw_hubspot.contacts where id in ('{gone}', '{back}')")) == {
        gone: "true",
        back: None,
    }
