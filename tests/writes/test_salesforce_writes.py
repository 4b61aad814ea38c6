from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from cdp_pipelines.crm_integrations.salesforce_writes import SalesforceWriter
from cdp_pipelines.crm_integrations.writes import CLEAR, RecordWrite
from tests.sandbox.faulty import Faulty
from tests.sources.known_failures import known_failure
from tests.writes.writing import Writing, creates, update, writing


@pytest.fixture
def salesforce(sandbox: Faulty) -> Writing:
    return writing(sandbox, "salesforce")


def names(n: int, **more: str) -> list[dict[str, str]]:
    return [{"LastName": f"Writer {i}", **more} for i in range(n)]


@known_failure("mautic/mautic#4664", "SalesforceFoundation/NPSP#2371", "datacite/datacite#1595")
def test_one_bad_row_in_200_leaves_its_neighbours_as_they_are(salesforce: Writing) -> None:
    records = names(200)
    records[137] |= {"Email": "not an address"}
    results = salesforce.write("Contact", creates("Contact", *records))
    assert [r.outcome for r in results].count("created") == 199
    bad = results[137]
    assert (bad.outcome, bad.code, bad.retryable) == ("rejected", "INVALID_EMAIL_ADDRESS", False)
    assert "Email" in (bad.reason or "") and "not an address" not in (bad.reason or "")
    assert salesforce.calls == 2  # the sign-in and one collection


def test_values_reach_their_fields_and_what_is_not_named_stays(salesforce: Writing) -> None:
    at = datetime(2026, 3, 1, 12, 30, 15, 250_000, UTC)
    [account] = salesforce.made("Account", {"Name": "Acme", "NumberOfEmployees": 12, "AnnualRevenue": 1.5})
    [deal] = salesforce.made(
        "Opportunity", {"Name": "Deal", "StageName": "Prospecting", "CloseDate": date(2026, 5, 4), "Amount": 10.25, "AccountId": account}
    )
    [contact] = salesforce.made("Contact", {"LastName": "Doe", "FirstName": "Jo", "DoNotCall": True, "Title": "CEO"})
    assert salesforce.read("Account", [account], "NumberOfEmployees", "AnnualRevenue")[account].values == {
        "NumberOfEmployees": "12", "AnnualRevenue": "1.5"
    }  # fmt: skip
    assert salesforce.read("Opportunity", [deal], "CloseDate", "Amount")[deal].values == {"CloseDate": "2026-05-04", "Amount": "10.25"}
    salesforce.write("Contact", [update("Contact", contact, EmailBouncedDate=at, FirstName="Joe")])
    found = salesforce.read("Contact", [contact], "FirstName", "Title", "DoNotCall", "EmailBouncedDate")[contact]
    assert found.values == {"FirstName": "Joe", "Title": "CEO", "DoNotCall": "true", "EmailBouncedDate": "2026-03-01T12:30:15.000+0000"}
    assert found.state == "live" and found.version


@known_failure("SalesforceCommerceCloud/b2c-crm-sync#276", "superfell/Beatbox#17", "hiratake55/RForcecom#39")
def test_a_field_can_be_cleared(salesforce: Writing) -> None:
    one, two = salesforce.made("Contact", {"LastName": "A", "Title": "CEO"}, {"LastName": "B", "Title": "CTO"})
    results = salesforce.write("Contact", [update("Contact", one, Title=CLEAR), update("Contact", two, Title="")])
    assert [r.outcome for r in results] == ["updated", "updated"]
    found = salesforce.read("Contact", [one, two], "Title", "LastName")
    assert [found[i].values for i in (one, two)] == [{"Title": None, "LastName": "A"}, {"Title": None, "LastName": "B"}]


@known_failure("jsforce/jsforce#1055", "restforce/restforce#347", "simple-salesforce/simple-salesforce#337")
def test_what_a_duplicate_rule_finds_is_named_and_can_be_overruled(sandbox: Faulty, salesforce: Writing) -> None:
    one, two = salesforce.made("Contact", *names(2, Email="twin@writes.example.com"))
    sandbox.option("salesforce", duplicate_rules=["Contact"])
    new = creates("Contact", {"LastName": "Twin", "Email": "Twin@writes.example.com"})
    [refused] = salesforce.write("Contact", new)
    assert (refused.outcome, refused.code) == ("rejected", "DUPLICATES_DETECTED")
    assert (refused.id, set(refused.candidates)) == (None, {one, two})
    overruling = writing(sandbox, "salesforce", lambda client: SalesforceWriter(client, allow_duplicates=True))
    assert [r.outcome for r in overruling.write("Contact", new)] == ["created"]


def test_a_unique_value_that_another_record_has_names_that_record(salesforce: Writing) -> None:
    [first] = salesforce.made("Contact", {"LastName": "A", "External_Id__c": "unique 1"})
    [refused] = salesforce.write("Contact", creates("Contact", {"LastName": "B", "External_Id__c": "UNIQUE 1"}))
    assert (refused.outcome, refused.code, refused.id, refused.candidates) == ("rejected", "DUPLICATE_VALUE", first, (first,))


@known_failure("jsforce/jsforce#1018", "forcedotcom/SFDX-Data-Move-Utility#814", "roblesterjr04/EloquentSalesForce#59")
def test_only_rows_that_were_locked_are_sent_again(sandbox: Faulty, salesforce: Writing) -> None:
    ids = salesforce.made("Contact", *names(30))
    sandbox.option("salesforce", lock_next_rows=5)
    results = salesforce.write("Contact", [update("Contact", i, Title="Locked") for i in ids])
    assert [r.outcome for r in results] == ["updated"] * 30
    assert salesforce.calls == 3  # sign-in, the thirty, the five


def test_a_row_that_stays_locked_is_rejected_and_may_be_tried_later(sandbox: Faulty) -> None:
    salesforce = writing(sandbox, "salesforce", max_attempts=2)
    [record] = salesforce.made("Contact", *names(1))
    sandbox.option("salesforce", lock_next_rows=50)
    [result] = salesforce.write("Contact", [update("Contact", record, Title="Locked")])
    assert (result.outcome, result.code, result.retryable) == ("rejected", "UNABLE_TO_LOCK_ROW", True)


@known_failure("jsforce/jsforce#1018")
def test_writes_are_in_order_of_the_account_that_they_lock(sandbox: Faulty, salesforce: Writing) -> None:
    accounts = salesforce.made("Account", *({"Name": f"Parent {n}"} for n in range(3)))
    mixed = [{"LastName": f"Child {n}", "AccountId": accounts[n % 3]} for n in range(9)]
    results = salesforce.write("Contact", creates("Contact", *mixed))
    made = [r.id or "" for r in results]
    found = salesforce.read("Contact", made, "AccountId")
    assert [found[i].values["AccountId"] for i in made] == [m["AccountId"] for m in mixed]
    # Ids are given in the order in which records are made.
    assert [found[i].values["AccountId"] for i in sorted(made)] == sorted(accounts * 3)


@known_failure("mautic/mautic#4066")
def test_an_update_of_a_converted_lead_names_the_contact(sandbox: Faulty, salesforce: Writing) -> None:
    soql = "SELECT Id, ConvertedContactId FROM Lead WHERE IsConverted = true LIMIT 1"
    [lead] = sandbox.call("salesforce", "/services/data/v62.0/query", params={"q": soql}).json()["records"]
    [result] = salesforce.write("Lead", [update("Lead", lead["Id"], Title="Gone")])
    assert (result.outcome, result.code, result.id) == ("rejected", "CONVERTED", lead["ConvertedContactId"])
    record = salesforce.read("Lead", [lead["Id"]], "Title")[lead["Id"]]
    assert (record.state, record.moved_to) == ("converted", lead["ConvertedContactId"])


def test_updates_of_records_that_are_gone_say_where_they_went(sandbox: Faulty, salesforce: Writing) -> None:
    alive, deleted, loser, middle, survivor = salesforce.made("Contact", *names(5))
    assert [r.outcome for r in salesforce.delete("Contact", [deleted])] == ["deleted"]
    sandbox.server.world.stores["salesforce"].merge_people(middle, loser, datetime.now(UTC))
    sandbox.server.world.stores["salesforce"].merge_people(survivor, middle, datetime.now(UTC))
    never = survivor[:3] + "zzzzzzzzzzzz"
    ids = [alive, deleted, loser, never, "no id"]
    results = salesforce.write("Contact", [update("Contact", i, Title="New") for i in ids])
    assert [(r.outcome, r.code, r.id) for r in results] == [
        ("updated", None, alive), ("rejected", "DELETED", deleted), ("rejected", "MERGED", survivor), ("rejected", "NOT_FOUND", never),
        ("rejected", "NOT_FOUND", "no id"),
    ]  # fmt: skip
    found = salesforce.read("Contact", ids, "LastName")
    assert {i: (r.state, r.moved_to) for i, r in found.items()} == {
        alive: ("live", None), deleted: ("deleted", None), loser: ("merged", survivor)
    }  # fmt: skip


def test_a_reference_to_a_deleted_record_is_no_deletion_of_the_record_itself(salesforce: Writing) -> None:
    [account] = salesforce.made("Account", {"Name": "Soon gone"})
    [contact] = salesforce.made("Contact", *names(1))
    salesforce.delete("Account", [account])
    [result] = salesforce.write("Contact", [update("Contact", contact, AccountId=account)])
    assert (result.outcome, result.code, result.id) == ("rejected", "ENTITY_IS_DELETED", contact)


@known_failure(
    "SalesforceCommerceCloud/b2c-crm-sync#267",
    "SalesforceCommerceCloud/b2c-crm-sync#247",
    "SalesforceCommerceCloud/b2c-crm-sync#107",
    "codeulike/SandboxBerry#12",
    "texei/texei-sfdx-plugin#51",
)
def test_the_name_of_a_person_account_is_refused_and_the_field_is_named(sandbox: Faulty, salesforce: Writing) -> None:
    sandbox.option("salesforce", person_accounts=True)
    soql = "SELECT Id FROM Account WHERE IsPersonAccount = true LIMIT 1"
    [account] = sandbox.call("salesforce", "/services/data/v62.0/query", params={"q": soql}).json()["records"]
    [result] = salesforce.write("Account", [update("Account", account["Id"], Name="Other")])
    assert (result.outcome, result.code) == ("rejected", "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert "Name" in (result.reason or "")


def test_records_are_found_by_values_with_slashes_quotes_and_other_case(salesforce: Writing) -> None:
    values = ["a/b 1", "o'brien \\ co", "UPPER/lower"]
    ids = salesforce.made("Contact", *({"LastName": "Found", "External_Id__c": v} for v in values))
    asked = ["A/B 1", "o'brien \\ co", "upper/LOWER", "nobody", " ", ""]
    found = salesforce.find("Contact", "External_Id__c", asked, "LastName")
    assert {value: [r.id for r in records] for value, records in found.items()} == dict(zip(asked[:3], ([i] for i in ids), strict=True))
    assert found["A/B 1"][0].values == {"LastName": "Found"}


@known_failure("restforce/restforce#243")
def test_a_value_that_several_records_have_finds_them_all(salesforce: Writing) -> None:
    ids = salesforce.made("Contact", *names(3, Email="several@writes.example.com"))
    found = salesforce.find("Contact", "Email", ["Several@writes.example.com"])
    assert {r.id for r in found["Several@writes.example.com"]} == set(ids)


def test_numbers_find_their_records_however_they_are_written(salesforce: Writing) -> None:
    [account] = salesforce.made("Account", {"Name": "Numbered", "AnnualRevenue": 1234567})
    found = salesforce.find("Account", "AnnualRevenue", ["1234567", "1234567.00", "7654321"])
    assert {value: [r.id for r in records] for value, records in found.items()} == {"1234567": [account], "1234567.00": [account]}


def test_many_values_are_asked_for_in_few_calls(salesforce: Writing) -> None:
    asked = [f"person{n}@a-rather-long-domain-name.writes.example.com" for n in range(600)]
    assert salesforce.find("Contact", "Email", asked, "LastName") == {}
    assert salesforce.calls <= 6  # sign-in, describe, and some 200 addresses to a query


def test_a_create_whose_answer_is_lost_is_unknown_and_is_not_sent_again(sandbox: Faulty, salesforce: Writing) -> None:
    sandbox.set("salesforce", "drop", done=True, path="POST *composite/sobjects*", count=1)
    [result] = salesforce.write("Contact", creates("Contact", {"LastName": "Once", "Email": "once@writes.example.com"}))
    assert (result.outcome, result.code, result.id, result.retryable) == ("unknown", "NO_ANSWER", None, False)
    assert len(salesforce.find("Contact", "Email", ["once@writes.example.com"])["once@writes.example.com"]) == 1


@pytest.mark.parametrize("fault", ["server_error", "malformed_json", "html_instead", "empty_body"])
def test_a_create_with_an_answer_that_says_nothing_is_unknown(sandbox: Faulty, salesforce: Writing, fault: str) -> None:
    sandbox.set("salesforce", fault, path="POST *composite/sobjects*", count=1, **({"done": True} if fault == "server_error" else {}))
    [result] = salesforce.write("Contact", creates("Contact", {"LastName": "Once", "Email": f"{fault}@writes.example.com"}))
    assert (result.outcome, result.retryable) == ("unknown", False)
    found = salesforce.find("Contact", "Email", [f"{fault}@writes.example.com"])
    assert sum(map(len, found.values())) == (0 if fault == "html_instead" else 1)  # the page came before the org saw the call


def test_an_update_whose_answer_is_lost_is_sent_again(sandbox: Faulty, salesforce: Writing) -> None:
    [record] = salesforce.made("Contact", *names(1))
    sandbox.set("salesforce", "drop", done=True, path="PATCH *composite/sobjects*", count=2)
    [result] = salesforce.write("Contact", [update("Contact", record, Title="Twice")])
    assert (result.outcome, result.id) == ("updated", record)


def test_a_used_up_day_stops_the_rest_unsent(sandbox: Faulty) -> None:
    salesforce = writing(sandbox, "salesforce")
    ids = salesforce.made("Contact", *names(30))
    sandbox.set("salesforce", "daily_quota", path="*composite/sobjects*")
    results = salesforce.write("Contact", [update("Contact", i, Title="Late") for i in ids])
    assert {(r.outcome, r.code, r.retryable) for r in results} == {("rejected", "QUOTA", True)}
    assert salesforce.calls == 2


def test_a_session_that_ends_between_two_calls_is_renewed(sandbox: Faulty, salesforce: Writing) -> None:
    ids = salesforce.made("Contact", *names(250))
    sandbox.set("salesforce", "token_expired", path="PATCH *composite/sobjects*", after=1)
    results = salesforce.write("Contact", [update("Contact", i, Title="Renewed") for i in ids])
    assert {r.outcome for r in results} == {"updated"}


def test_a_second_write_of_a_record_follows_the_first(salesforce: Writing) -> None:
    [record] = salesforce.made("Contact", *names(1))
    twice = [update("Contact", record, "a", Title="First"), update("Contact", record[:15], "b", Title="Second")]
    assert [r.outcome for r in salesforce.write("Contact", twice)] == ["updated", "updated"]
    assert salesforce.read("Contact", [record], "Title")[record].values == {"Title": "Second"}


def test_deleting_again_changes_nothing(salesforce: Writing) -> None:
    ids = salesforce.made("Contact", *names(3))
    assert [r.outcome for r in salesforce.delete("Contact", [*ids[:2], ids[0]])] == ["deleted", "deleted", "deleted"]
    again = salesforce.delete("Contact", ids)
    assert [(r.key, r.outcome) for r in again] == [(ids[0], "unchanged"), (ids[1], "unchanged"), (ids[2], "deleted")]


def test_what_is_forgotten_is_not_in_the_recycle_bin(sandbox: Faulty, salesforce: Writing) -> None:
    ids = salesforce.made("Contact", *names(3))
    salesforce.delete("Contact", ids[:1])
    results = salesforce.delete("Contact", ids[:2], forget=True)
    assert [(r.key, r.outcome) for r in results] == [(i, "deleted") for i in ids[:2]]
    assert {i: r.state for i, r in salesforce.read("Contact", ids).items()} == {ids[2]: "live"}
    sandbox.set(
        "salesforce", "error", code="FEATURENOTENABLED", message="hardDelete needs a permission", status=400, path="POST *jobs/ingest*"
    )
    [refused] = salesforce.delete("Contact", ids[2:], forget=True)
    assert (refused.outcome, refused.code) == ("rejected", "HARD_DELETE_REFUSED") and "Bulk API Hard Delete" in (refused.reason or "")


# Bulk API 2.0


@pytest.fixture
def bulk(sandbox: Faulty) -> Writing:
    return writing(sandbox, "salesforce", lambda client: SalesforceWriter(client, bulk_from=1))


@known_failure(
    "rudderlabs/rudder-server#7151", "StevenMMortimer/salesforcer#29", "ForceCLI/force#428", "forcedotcom/SFDX-Data-Move-Utility#857"
)
def test_a_file_clears_what_is_cleared_and_leaves_the_rest(bulk: Writing) -> None:
    one, two, three = bulk.made("Contact", *({"LastName": f"File {n}", "Title": "CEO", "Department": "D"} for n in range(3)))
    results = bulk.write(
        "Contact", [update("Contact", one, Title=CLEAR), update("Contact", two, Department="NA"), update("Contact", three, Title="#N/A")]
    )
    assert [r.outcome for r in results] == ["updated"] * 3
    found = bulk.read("Contact", [one, two, three], "Title", "Department")
    assert [tuple(found[i].values.values()) for i in (one, two, three)] == [(None, "D"), ("CEO", "NA"), ("#N/A", "D")]


def test_rows_of_a_job_are_told_apart_by_all_three_lists(sandbox: Faulty, bulk: Writing) -> None:
    records = [{"LastName": f'Line\n{n}, "quoted"', "Email": f"bulk{n}@writes.example.com"} for n in range(8)]
    records[2]["Email"] = "bad address"
    sandbox.option("salesforce", bulk_partial_rows=6)
    results = bulk.write("Contact", creates("Contact", *records))
    assert [r.outcome for r in results] == ["created", "created", "rejected", "created", "created", "created", "rejected", "rejected"]
    assert (results[2].code, results[7].code, results[7].retryable) == ("INVALID_EMAIL_ADDRESS", "UNPROCESSED", True)
    assert "bad address" not in (results[2].reason or "")
    found = bulk.read("Contact", [r.id or "" for r in results if r.id], "LastName", "Email")
    assert [tuple(found[r.id].values.values()) for r in results if r.id] == [
        (m["LastName"], m["Email"]) for m, r in zip(records, results, strict=True) if r.id
    ]


def test_a_large_set_takes_a_handful_of_calls(bulk: Writing) -> None:
    ids = bulk.made("Contact", *names(400))
    results = bulk.write("Contact", [update("Contact", i, Title=f"T{n}") for n, i in enumerate(ids)])
    assert [(r.outcome, r.id) for r in results] == [("updated", i) for i in ids]
    assert bulk.calls <= 10


def test_a_job_loses_nothing_to_lost_answers(sandbox: Faulty, bulk: Writing) -> None:
    [record] = bulk.made("Contact", *names(1))
    for path in ("PUT *jobs/ingest*", "PATCH *jobs/ingest*", "POST *jobs/ingest*"):
        sandbox.set("salesforce", "drop", done=True, path=path, count=1)
    records = names(5, Email="lost.answers@writes.example.com")
    results = bulk.write("Contact", [*creates("Contact", *records), update("Contact", record, Title="Lost")])
    assert [r.outcome for r in results] == ["created"] * 5 + ["updated"]
    found = bulk.find("Contact", "Email", ["lost.answers@writes.example.com"])
    assert len(found["lost.answers@writes.example.com"]) == 5


def test_a_job_that_is_refused_as_a_whole_is_written_in_collections(sandbox: Faulty, bulk: Writing) -> None:
    records = names(3)
    records[1] |= {"Nonsense__c": "x"}
    results = bulk.write("Contact", creates("Contact", *records))
    assert [(r.outcome, r.code) for r in results] == [("created", None), ("rejected", "INVALID_FIELD"), ("created", None)]


def test_locked_and_gone_rows_of_a_job_fare_like_others(sandbox: Faulty, bulk: Writing) -> None:
    ids = bulk.made("Contact", *names(4))
    bulk.delete("Contact", [ids[3]])
    sandbox.option("salesforce", lock_next_rows=2)
    results = bulk.write("Contact", [update("Contact", i, Title="Locked") for i in ids])
    assert [(r.outcome, r.code) for r in results] == [*[("updated", None)] * 3, ("rejected", "DELETED")]


def test_keys_must_differ(salesforce: Writing) -> None:
    twice = [RecordWrite("same", "Contact", "create", None, {"LastName": "A"})] * 2
    with pytest.raises(ValueError, match="more than once"):
        salesforce.write("Contact", twice)


@known_failure("simple-salesforce/simple-salesforce#309")
def test_a_write_must_make_sense() -> None:
    with pytest.raises(ValueError, match="an update without an id"):
        RecordWrite("k", "Contact", "update", None, {})
    with pytest.raises(ValueError, match="a create with an id"):
        RecordWrite("k", "Contact", "create", "003", {})
    with pytest.raises(ValueError, match="without a zone in Birthday"):
        RecordWrite("k", "Contact", "create", None, {"Birthday": datetime(2026, 1, 1)})
    with pytest.raises(ValueError, match="no number in Score"):
        RecordWrite("k", "Contact", "create", None, {"Score": float("nan")})
