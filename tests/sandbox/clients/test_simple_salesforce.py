"""simple-salesforce, unmodified. It insists on https and on Salesforce's hosts, so its session's transport takes the calls to the sandbox."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from simple_salesforce import Salesforce, SFType, format_soql
from simple_salesforce.bulk2 import Operation
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceOperationError,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer
from tests.sandbox.clients.redirect import Redirect

CLIENT = "simple-salesforce"
KEYS = {"consumer_key": credentials.SALESFORCE["client_id"], "consumer_secret": credentials.SALESFORCE["client_secret"]}
USER = {name: credentials.SALESFORCE[name] for name in ("username", "password")}

# The client makes up its objects' attributes as they are asked for; its own annotations know the half of them.
Org = Any
SignIn = Callable[..., Org]


@pytest.fixture(scope="module")
def sign_in(sandbox: SandboxServer) -> SignIn:
    base = sandbox.addresses.url("salesforce")

    def signed_in(**arguments: Any) -> Org:
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", Redirect({"*": base}))
        return Salesforce(session=session, **arguments)

    return signed_in


@pytest.fixture(scope="module")
def salesforce(sign_in: SignIn) -> Org:
    return sign_in(domain="sandbox.my", **KEYS)


@pytest.fixture
def counts(sandbox: SandboxServer) -> dict[str, int]:
    return sandbox.world.counts()["salesforce"]


@pytest.mark.parametrize("arguments", [{"domain": "sandbox.my", **KEYS}, {**USER, **KEYS}], ids=["client credentials", "password"])
def test_every_way_to_sign_in_opens_a_session(sign_in: SignIn, arguments: dict[str, str]) -> None:
    assert sign_in(**arguments).limits()["DailyApiRequests"]["Max"] > 0


def test_a_session_of_ones_own_is_taken(sign_in: SignIn, salesforce: Org, sandbox: SandboxServer) -> None:
    instance = sandbox.addresses.url("salesforce").replace("http:", "https:")
    assert sign_in(instance_url=instance, session_id=salesforce.session_id).query("SELECT count() FROM User")["totalSize"] == 12


def test_a_signed_assertion_opens_a_session(sign_in: SignIn) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    client = sign_in(username=USER["username"], consumer_key=KEYS["consumer_key"], privatekey=text)
    assert client.query("SELECT count() FROM User")["totalSize"] == 12
    with pytest.warns(UserWarning), pytest.raises(SalesforceAuthenticationFailed, match="user hasn't approved this consumer"):
        sign_in(username="nobody@example.com", consumer_key=KEYS["consumer_key"], privatekey=text)


def test_a_revoked_session_is_ended(sign_in: SignIn) -> None:
    client = sign_in(domain="sandbox.my", **KEYS)
    other = sign_in(instance="sandbox.my.salesforce.com", session_id=client.session_id)
    client.oauth2("revoke", params={"token": client.session_id})
    with pytest.raises(SalesforceExpiredSession):
        other.limits()


def test_a_wrong_secret_is_told_apart_from_an_unknown_application(sign_in: SignIn) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match=r"invalid_client\): invalid client credentials"):
        sign_in(domain="sandbox.my", **KEYS | {"consumer_secret": "wrong"})
    with pytest.raises(SalesforceAuthenticationFailed, match=r"invalid_client_id\): client identifier invalid"):
        sign_in(domain="sandbox.my", **KEYS | {"consumer_key": "unknown"})


def test_a_wrong_password_is_an_invalid_grant(sign_in: SignIn) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match=r"invalid_grant\): authentication failure"):
        sign_in(**USER | {"password": "wrong"}, **KEYS)


def test_the_client_signs_in_again_when_its_session_ends(sandbox: SandboxServer, sign_in: SignIn) -> None:
    client = sign_in(domain="sandbox.my", **KEYS)
    ended = client.session_id
    sandbox.apps["salesforce"].state.org.expire_tokens()
    assert client.query("SELECT count() FROM User")["totalSize"] == 12
    assert client.session_id != ended


def test_a_session_that_cannot_be_renewed_is_reported_as_expired(sign_in: SignIn) -> None:
    with pytest.raises(SalesforceExpiredSession, match="Session expired or invalid"):
        sign_in(instance="sandbox.my.salesforce.com", session_id="00D!gone").limits()


def test_the_client_reads_the_days_usage_from_every_answer(salesforce: Org) -> None:
    salesforce.limits()
    first = salesforce.api_usage["api-usage"]
    salesforce.limits()
    second = salesforce.api_usage["api-usage"]
    assert (second.used, second.total) == (first.used + 1, first.total)


def test_the_org_describes_its_objects(salesforce: Org, counts: dict[str, int]) -> None:
    described = salesforce.describe()
    assert described is not None
    assert counts.keys() <= {item["name"] for item in described["sobjects"]}


def test_an_object_describes_its_fields(salesforce: Org) -> None:
    described = salesforce.Contact.describe()
    fields = {field["name"]: field for field in described["fields"]}
    assert fields["Email"]["type"] == "email"
    assert fields["SystemModstamp"]["type"] == "datetime"
    assert fields["MailingAddress"]["type"] == "address"
    assert salesforce.Contact.metadata()["objectDescribe"]["keyPrefix"] == described["keyPrefix"] == "003"


@pytest.mark.parametrize(
    "name", ["Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Campaign", "CampaignMember", "User"]
)
def test_a_query_gives_all_records_of_an_object(salesforce: Org, counts: dict[str, int], name: str) -> None:
    records = salesforce.query_all(f"SELECT Id, SystemModstamp FROM {name}")["records"]
    assert len({record["Id"] for record in records}) == len(records) == counts[name]


def test_pages_are_followed_to_the_end(sandbox: SandboxServer, salesforce: Org, counts: dict[str, int]) -> None:
    options = sandbox.options["salesforce"]
    options.page_size = 20
    try:
        first = salesforce.query("SELECT Id FROM Contact ORDER BY Id")
        ids = {record["Id"] for record in salesforce.query_all_iter("SELECT Id FROM Contact ORDER BY Id")}
        second = salesforce.query_more(first["nextRecordsUrl"], identifier_is_url=True)
        again = salesforce.query_more(first["nextRecordsUrl"].rsplit("/", 1)[1])
    finally:
        options.page_size = 2000
    assert (len(first["records"]), first["done"], first["totalSize"]) == (20, False, counts["Contact"])
    assert len(ids) == counts["Contact"]
    assert second["records"] == again["records"]
    assert not {r["Id"] for r in first["records"]} & {r["Id"] for r in second["records"]}
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_LOCATOR"):
        salesforce.query_more("01g000000000000AAA-2000")


def test_deleted_records_are_seen_only_when_asked_for(sandbox: SandboxServer, salesforce: Org) -> None:
    store = sandbox.world.stores["salesforce"]
    gone = next(person for person in store.live_people() if person.startswith("003"))
    store.delete_person(gone, datetime.now(UTC))
    query = "SELECT Id, IsDeleted, MasterRecordId FROM Contact"
    everything = salesforce.query_all(query, include_deleted=True)["records"]
    assert gone in {record["Id"] for record in everything if record["IsDeleted"]}
    live = {record["Id"] for record in everything if not record["IsDeleted"]}
    assert live == {record["Id"] for record in salesforce.query_all(query)["records"]}


def test_a_query_made_with_the_clients_own_quoting_finds_a_name_with_an_apostrophe(salesforce: Org) -> None:
    names = {record["LastName"] for record in salesforce.query_all("SELECT LastName FROM Contact")["records"]}
    asked = next((name for name in names if "'" in name), min(names))
    found = salesforce.query_all(format_soql("SELECT LastName FROM Contact WHERE LastName = {}", asked))["records"]
    assert {record["LastName"] for record in found} == {asked}


def test_relationships_conditions_and_order_work_together(salesforce: Org) -> None:
    found = salesforce.query_all(
        "SELECT Id, Name, Account.Name, CreatedDate FROM Contact WHERE AccountId != null AND CreatedDate > 2015-01-01T00:00:00Z "
        "ORDER BY CreatedDate DESC LIMIT 5"
    )["records"]
    assert len(found) == 5
    assert all(record["Account"]["Name"] for record in found)
    assert [r["CreatedDate"] for r in found] == sorted((r["CreatedDate"] for r in found), reverse=True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT Id, Foo FROM Contact", "INVALID_FIELD"),
        ("SELECT count() FROM Xyzzy", "INVALID_TYPE"),
        ("SELECT Id FORM Contact", "MALFORMED_QUERY"),
    ],
)
def test_a_wrong_query_is_refused_with_the_code_for_it(salesforce: Org, query: str, code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest, match=f"'errorCode': '{code}'"):
        salesforce.query(query)


def test_a_record_is_read_by_its_id(salesforce: Org) -> None:
    listed = salesforce.query("SELECT Id, Email FROM Contact WHERE Email != null LIMIT 1")["records"][0]
    record = salesforce.Contact.get(listed["Id"])
    assert (record["Id"], record["Email"]) == (listed["Id"], listed["Email"])
    assert record["attributes"]["type"] == "Contact"


@pytest.mark.parametrize("asked", ["003000000000000AAA", "nonsense"])
def test_a_record_or_object_that_does_not_exist_is_not_found(salesforce: Org, asked: str) -> None:
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Contact.get(asked)
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Nonsense__c.describe()


def test_what_changed_and_what_was_deleted_is_told_for_a_window(salesforce: Org, sandbox: SandboxServer) -> None:
    now = datetime.now(UTC)
    start, end, at = now - timedelta(days=1), now + timedelta(minutes=2), now - timedelta(minutes=5)
    contacts: SFType = salesforce.Contact
    store = sandbox.world.stores["salesforce"]
    edited, gone = [person for person in store.live_people() if person.startswith("003")][:2]
    store.edit_person(edited, {"title": "Head of Testing"}, at)
    store.delete_person(gone, at)
    assert edited in contacts.updated(start, end)["ids"]
    assert gone in {record["id"] for record in contacts.deleted(start, end)["deletedRecords"]}


def test_the_rest_of_the_api_is_reached_by_path(salesforce: Org, counts: dict[str, int]) -> None:
    told = salesforce.restful("limits/recordCount", params={"sObjects": "Contact,Lead"})
    assert told is not None
    assert {entry["name"] for entry in told["sObjects"]} == {"Contact", "Lead"}
    assert "sobjects" in (salesforce.restful("") or {})


def test_a_day_without_calls_left_refuses_every_request(sandbox: SandboxServer, salesforce: Org) -> None:
    options = sandbox.options["salesforce"]
    options.daily_calls = 0
    try:
        with pytest.raises(SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
            salesforce.limits()
    finally:
        options.daily_calls = 100_000


def test_bulk_2_gives_all_rows_page_by_page(salesforce: Org, counts: dict[str, int]) -> None:
    pages = list(salesforce.bulk2.Contact.query("SELECT Id, LastName, Email FROM Contact", max_records=50, wait=0))
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(str(page)))]
    assert len(pages) == -(-counts["Contact"] // 50)
    assert len({row["Id"] for row in rows}) == len(rows) == counts["Contact"]


def test_bulk_2_shows_deleted_rows_only_when_asked_for(salesforce: Org, counts: dict[str, int]) -> None:
    query = "SELECT Id, IsDeleted FROM Contact"
    rows = [row for page in salesforce.bulk2.Contact.query_all(query, wait=0) for row in csv.DictReader(io.StringIO(page))]
    assert sum(row["IsDeleted"] == "false" for row in rows) == counts["Contact"] < len(rows)


def test_bulk_2_downloads_files(salesforce: Org, counts: dict[str, int], tmp_path: Path) -> None:
    parts = salesforce.bulk2.Account.download("SELECT Id, Name FROM Account", str(tmp_path), max_records=10, wait=0)
    assert sum(part["number_of_records"] for part in parts) == counts["Account"]
    rows = [row for part in parts for row in csv.DictReader(io.StringIO(Path(part["file"]).read_text()))]
    assert len({row["Id"] for row in rows}) == counts["Account"]


def test_a_bulk_2_job_that_fails_or_cannot_be_made_is_an_error(sandbox: SandboxServer, salesforce: Org) -> None:
    options = sandbox.options["salesforce"]
    options.bulk_fails, options.bulk_refuses = frozenset({"Lead"}), frozenset({"Campaign"})
    try:
        with pytest.raises(SalesforceOperationError, match="Failed to process query"):
            list(salesforce.bulk2.Lead.query("SELECT Id FROM Lead", wait=0))
        with pytest.raises(SalesforceMalformedRequest, match="INVALIDENTITY"):
            list(salesforce.bulk2.Campaign.query("SELECT Id FROM Campaign", wait=0))
    finally:
        options.bulk_fails = options.bulk_refuses = frozenset()


def test_a_running_bulk_2_job_can_be_aborted_and_then_deleted(sandbox: SandboxServer, salesforce: Org) -> None:
    options = sandbox.options["salesforce"]
    options.bulk_job_seconds = 60
    client = salesforce.bulk2.Contact._client
    try:
        job = client.create_job(Operation.query, "SELECT Id FROM Contact")["id"]
        assert client.get_job(job, True)["state"] == "InProgress"
        assert client.abort_job(job, True)["state"] == "Aborted"
    finally:
        options.bulk_job_seconds = 0
    with pytest.raises(requests.JSONDecodeError):  # the client reads the body of a 204, which has none
        client.delete_job(job, True)
    with pytest.raises(SalesforceResourceNotFound):
        client.get_job(job, True)
