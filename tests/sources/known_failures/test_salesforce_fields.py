"""Reports about Salesforce's objects, fields and values that no other test answers, over HTTP against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.responses import JSONResponse

from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from tests.sandbox.salesforce_org import new_store
from tests.sources.fronts import Altered, Front
from tests.sources.known_failures import known_failure
from tests.sources.test_salesforce import complete, connection, live, rows, run

Serve = Callable[[Any], str]


@pytest.fixture
def store() -> SalesforceStore:
    return new_store()


def with_values(**values: Any) -> Callable[[str, Any], Any]:
    """Alters query answers: every contact has these values."""

    def alter(call: str, body: Any) -> Any:
        if isinstance(body, dict) and "query" in call:
            for record in body.get("records", ()):
                if record["attributes"]["type"] == "Contact":
                    record.update(values)
        return body

    return alter


@known_failure("singer-io/tap-salesforce#200", "simple-salesforce/simple-salesforce#442",
               "simple-salesforce/simple-salesforce#443")  # fmt: skip
@pytest.mark.parametrize(("value", "written"), [(float("nan"), "NaN"), (float("-inf"), "-Infinity")])
def test_what_is_no_number_is_kept_as_it_was_written(
    serve: Serve, tmp_path: Path, store: SalesforceStore, value: float, written: str
) -> None:
    assert json.dumps(value) == written, "that is how it is sent"
    complete(run(connection(serve(Altered(app(store), with_values(LeadScore__c=value)))), tmp_path, tables=["contact"]))
    assert {r["lead_score__c"] for r in rows(tmp_path, "contact").values()} == {written}


@known_failure("singer-io/tap-salesforce#47")
def test_an_impossible_date_ends_nothing(serve: Serve, tmp_path: Path, store: SalesforceStore) -> None:
    strange = with_values(Birthdate="0000-00-00", EmailBouncedDate="20226-13-41T25:61:00.000+0000")
    complete(run(connection(serve(Altered(app(store), strange))), tmp_path, tables=["contact"]))
    found = {(r["birthdate"], r["email_bounced_date"]) for r in rows(tmp_path, "contact").values()}
    assert found == {("0000-00-00", "20226-13-41T25:61:00.000+0000")}


@known_failure("airbytehq/airbyte#23253")
def test_the_version_of_the_api_is_a_setting(serve: Serve, tmp_path: Path, store: SalesforceStore) -> None:
    front = Front(app(store))
    complete(run(connection(serve(front), api_version="60.0", bulk_above=10), tmp_path, tables=["contact"]))
    assert front.count("/services/data/v60.0/") == front.count("/services/data/") > 3


@known_failure("airbytehq/airbyte#44845")
def test_members_that_leave_no_trace_but_their_deletion_are_tombstones(serve: Serve, tmp_path: Path, store: SalesforceStore) -> None:
    def without_mark(call: str, body: Any) -> Any:
        if call.endswith("CampaignMember/describe"):
            body["fields"] = [field for field in body["fields"] if field["name"] != "IsDeleted"]
        return body

    made = connection(serve(Altered(app(store), without_mark)))
    complete(run(made, tmp_path, tables=["campaign_member"]))
    gone, stays = list(rows(tmp_path, "campaign_member"))[:2]
    store.delete(gone, datetime.now(UTC) - timedelta(minutes=1))  # Salesforce tells of whole minutes
    store.purge(gone)
    complete(run(made, tmp_path, tables=["campaign_member"]))
    found = rows(tmp_path, "campaign_member")
    assert [found[gone]["_deleted"], found[gone]["campaign_id"], found[stays]["_deleted"]] == ["true", None, None]


@known_failure("airbytehq/airbyte#30950")
def test_an_object_that_cannot_be_read_is_named_and_the_others_are_read(serve: Serve, tmp_path: Path, store: SalesforceStore) -> None:
    hidden = JSONResponse([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], 404)
    front = Front(app(store), lambda call: hidden if "sobjects/Campaign/" in call else None)
    report = run(connection(serve(front)), tmp_path)
    assert [t.table for t in report.tables if t.state != "ok"] == ["campaign"]
    (campaign,) = [t for t in report.tables if t.table == "campaign"]
    assert "NOT_FOUND" in (campaign.problem or "")


@known_failure("bruin-data/ingestr#695")
def test_a_change_counts_by_salesforces_own_stamp_whatever_date_an_integration_wrote(
    serve: Serve, tmp_path: Path, store: SalesforceStore
) -> None:
    front = Front(app(store))
    made = connection(serve(Altered(front, with_values(LastModifiedDate="2001-01-01T00:00:00.000+0000"))))
    complete(run(made, tmp_path, tables=["contact"]))
    person = live(store, "003")[0]
    store.edit_person(person, {"email": "changed@mail.example"}, datetime.now(UTC))
    complete(run(made, tmp_path, tables=["contact"]))
    found = rows(tmp_path, "contact")[person]
    assert (found["email"], found["last_modified_date"]) == ("changed@mail.example", "2001-01-01T00:00:00.000+0000")
    assert front.count("WHERE LastModifiedDate") == 0


@known_failure("simple-salesforce/simple-salesforce#42")
@pytest.mark.parametrize("bulk_above", [0, 10_000])
def test_ids_are_those_of_eighteen_characters(serve: Serve, tmp_path: Path, store: SalesforceStore, bulk_above: int) -> None:
    complete(run(connection(serve(app(store)), bulk_above=bulk_above), tmp_path, tables=["contact"]))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as db:
        lengths = db.execute("select distinct length(id), length(account_id), length(owner_id) from raw_salesforce.contact").fetchall()
    assert set(lengths) <= {(18, 18, 18), (18, None, 18)}
    assert lengths


@known_failure("forcedotcom/wsc#363", "simple-salesforce/simple-salesforce#805")
def test_nobody_signs_in_by_soap(serve: Serve, tmp_path: Path, store: SalesforceStore) -> None:
    front = Front(app(store, SalesforceOptions(soap_login=False)))
    complete(run(connection(serve(front)), tmp_path, tables=["user"]))
    assert front.count("/services/Soap") == 0
