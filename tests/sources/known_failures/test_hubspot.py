"""Reports about reading HubSpot that no other test answers, over HTTP against the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sandbox.faulty import Faulty
from tests.sources.faulty_reads import Kept, problems
from tests.sources.known_failures import known_failure

CONTACTS, DEALS = "/crm/v3/objects/contacts", "/crm/v3/objects/deals"


def sent(sandbox: Faulty, path: str, body: Any = None, method: str = "POST") -> Any:
    answer = sandbox.call("hubspot", path, method=method, json=body)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def new(sandbox: Faulty, path: str = CONTACTS, **properties: str) -> str:
    return sent(sandbox, path, {"properties": properties})["id"]


def contacts(sandbox: Faulty, folder: Path) -> Kept:
    return Kept(sandbox, "hubspot", folder, ("contacts",))


def first_names(kept: Kept, record_id: str) -> list[Any]:
    return kept.query(f"select firstname from raw_hubspot.contacts where id = '{record_id}'")


@known_failure("estuary/connectors#1861", "supaglue-labs/supaglue#665", "estuary/connectors#1871", "HubSpot/hubspot-api-php#59")
def test_a_change_that_search_shows_late_is_in_the_overlap_of_the_next_run(sandbox: Faulty, tmp_path: Path) -> None:
    kept, record = contacts(sandbox, tmp_path), new(sandbox, firstname="Before")
    kept.sync()
    sent(sandbox, f"{CONTACTS}/{record}", {"properties": {"firstname": "After"}}, "PATCH")
    sandbox.option("hubspot", search_lag_seconds=3600)
    assert problems(kept.sync(overlap_seconds=60)) == {}
    assert first_names(kept, record) == [("Before",)]
    sandbox.option("hubspot", search_lag_seconds=0)
    kept.sync(overlap_seconds=60)
    assert first_names(kept, record) == [("After",)]


@known_failure(
    "airbytehq/airbyte#5714",
    "airbytehq/airbyte#5334",
    "fivetran/dbt_hubspot_source#151",
    "airbytehq/airbyte#4779",
    "fivetran/dbt_hubspot_source#38",
)
def test_empty_texts_and_ids_are_kept_as_text(sandbox: Faulty, tmp_path: Path) -> None:
    record = new(sandbox, firstname="Ann", phone="+1 555", hs_lead_score="7")
    sent(sandbox, f"{CONTACTS}/{record}", {"properties": {"phone": "", "hs_lead_score": ""}}, "PATCH")
    kept = contacts(sandbox, tmp_path)
    assert problems(kept.sync()) == {}
    asked = f"select phone, hs_lead_score, mobilephone, typeof(id) from raw_hubspot.contacts where id = '{record}'"
    assert kept.query(asked) == [("", "", None, "VARCHAR")]


@known_failure("dlt-hub/verified-sources#635", "dlt-hub/verified-sources#643")
def test_every_digit_of_a_number_is_kept(sandbox: Faulty, tmp_path: Path) -> None:
    deal = new(sandbox, DEALS, dealname="Tea", amount="12345678901234567890.10", dealstage="appointmentscheduled")
    kept = Kept(sandbox, "hubspot", tmp_path, ("deals",))
    assert problems(kept.sync()) == {}
    asked = f"select amount, hs_deal_stage_probability from raw_hubspot.deals where id = '{deal}'"
    assert kept.query(asked) == [("12345678901234567890.10", "0.200000000000000011102230246251565404236316680908203125")]


@known_failure("estuary/connectors#3515", "airbytehq/airbyte#27199", "estuary/connectors#3528", "airbytehq/airbyte#44554")
def test_what_changes_without_a_modified_date_comes_with_the_weekly_full_read(sandbox: Faulty, tmp_path: Path) -> None:
    sandbox.option("hubspot", association_changes_bump=False)
    kept = Kept(sandbox, "hubspot", tmp_path, ("contacts", "companies", "deals", "deal_contact_associations"))
    person, deal = new(sandbox, firstname="Ann"), new(sandbox, DEALS, dealname="Tea")
    kept.sync()
    sent(sandbox, f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{person}", None, "PUT")
    assert problems(kept.sync(full=True)) == {}
    assert kept.query(f"select num_associated_contacts from raw_hubspot.deals where id = '{deal}'") == [("1",)]
    links = f"select to_id from raw_hubspot.deal_contact_associations where from_id = '{deal}'"
    assert kept.query(links) == [(person,)]


@known_failure("supaglue-labs/supaglue#616")
def test_an_archived_record_is_given_once(sandbox: Faulty, tmp_path: Path) -> None:
    kept, record = contacts(sandbox, tmp_path), new(sandbox, firstname="Gone")
    kept.sync()
    sent(sandbox, f"{CONTACTS}/{record}", method="DELETE")
    (noticed,) = kept.sync().tables
    assert noticed.rows_read == 1
    assert kept.query(f"select archived from raw_hubspot.contacts where id = '{record}'") == [("true",)]
    (again,) = kept.sync().tables
    assert again.rows_read == 0
