"""What is written here, read by the vendors' public clients as they are."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import requests
from hubspot import HubSpot
from marketorestpython.client import MarketoClient
from simple_salesforce import Salesforce

from cdp_pipelines.crm_integrations.marketo_writes import MarketoWriter
from cdp_pipelines.crm_integrations.salesforce_writes import SalesforceWriter
from cdp_pipelines.crm_integrations.writes import CLEAR, RecordWrite, Value
from cdp_pipelines.sandbox import credentials
from tests.sandbox.clients.redirect import Redirect
from tests.sandbox.faulty import Faulty
from tests.writes.writing import Writing, update, writing

TRICKY = 'Zoë O\'Brien, "Q" — 日本語 <b>&amp;</b> #N/A null'


def changed(crm: Writing, object_name: str, ids: list[str], title: str) -> None:
    """The first record's title is cleared, the second one's is a tricky text; nothing else is named."""
    values: tuple[Value, ...] = (CLEAR, TRICKY)
    results = crm.write(object_name, [RecordWrite(i, object_name, "update", i, {title: v}) for i, v in zip(ids, values, strict=True)])
    assert [result.outcome for result in results] == ["updated", "updated"]


def test_salesforce_by_simple_salesforce(sandbox: Faulty) -> None:
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Redirect({"*": sandbox.addresses.url("salesforce")}))
    keys: dict[str, Any] = {"consumer_key": credentials.SALESFORCE["client_id"], "consumer_secret": credentials.SALESFORCE["client_secret"]}
    org: Any = Salesforce(session=session, domain="sandbox.my", **keys)
    bulk = writing(sandbox, "salesforce", lambda client: SalesforceWriter(client, bulk_from=1))
    for crm, tag in ((writing(sandbox, "salesforce"), "collection"), (bulk, "bulk")):
        people: list[dict[str, Value]] = [{"LastName": f"{TRICKY} {n}"[:80], "Title": "CEO", "Phone": "+1 555 0100"} for n in range(2)]
        ids = crm.made("Contact", *people)
        changed(crm, "Contact", ids, "Title")
        rows = [org.Contact.get(i) for i in ids]
        assert [row["LastName"] for row in rows] == [person["LastName"] for person in people], tag
        assert [(row["Title"], row["Phone"]) for row in rows] == [(None, "+1 555 0100"), (TRICKY, "+1 555 0100")], tag
    [deal] = bulk.made(
        "Opportunity", {"Name": "Read", "StageName": "Prospecting", "CloseDate": date(2026, 2, 28), "Amount": 10.25, "Description": ""}
    )
    row = org.query(f"SELECT CloseDate, Amount, Description FROM Opportunity WHERE Id = '{deal}'")["records"][0]
    assert (row["CloseDate"], row["Amount"], row["Description"]) == ("2026-02-28", 10.25, None)


def test_hubspot_by_hubspot_api_client(sandbox: Faulty) -> None:
    client = HubSpot(access_token=credentials.HUBSPOT["access_token"], host=sandbox.addresses.url("hubspot"))
    crm = writing(sandbox, "hubspot")
    people: list[dict[str, Value]] = [
        {"email": f"Read{n}@writes.example.com", "lastname": f"{TRICKY} {n}", "jobtitle": "CEO", "phone": "+1 555 0100"} for n in range(2)
    ]
    ids = crm.made("contacts", *people)
    changed(crm, "contacts", ids, "jobtitle")
    names = ["email", "lastname", "jobtitle", "phone"]
    rows = [client.crm.contacts.basic_api.get_by_id(i, properties=names).properties for i in ids]
    assert [(row["email"], row["lastname"]) for row in rows] == [(f"read{n}@writes.example.com", f"{TRICKY} {n}") for n in range(2)]
    assert [(row["jobtitle"], row["phone"]) for row in rows] == [("", "+1 555 0100"), (TRICKY, "+1 555 0100")]
    moment = datetime(2026, 5, 4, 10, 0, 0, 125_000, UTC)
    [deal] = crm.made("deals", {"dealname": "Read", "amount": 10.25, "closedate": moment, "dealstage": "closedwon"})
    read = client.crm.deals.basic_api.get_by_id(deal, properties=["amount", "closedate", "dealstage"]).properties
    assert (read["amount"], read["closedate"], read["dealstage"]) == ("10.25", "2026-05-04T10:00:00.125Z", "closedwon")


def test_marketo_by_marketorestpython(sandbox: Faulty) -> None:
    client = MarketoClient("123-ABC-456", **credentials.MARKETO, max_retry_time=0)
    client.host = sandbox.addresses.url("marketo")
    crm = writing(sandbox, "marketo")
    people: list[dict[str, Value]] = [
        {"email": f"read{n}@writes.example.com", "lastName": f"{TRICKY} {n}", "title": "CEO", "phone": "+1 555 0100"} for n in range(2)
    ]
    ids = crm.made("leads", *people)
    files = writing(sandbox, "marketo", lambda client: MarketoWriter(client, bulk_from=1))
    changed(crm, "leads", ids, "title")
    [result] = files.write("leads", [update("leads", ids[0], leadScore=12, unsubscribed=True)])
    assert result.outcome == "updated"
    rows = client.get_multiple_leads_by_filter_type("id", ids, ["id", "lastName", "title", "phone", "leadScore", "unsubscribed"])
    by_id = {str(row["id"]): row for row in rows}
    assert [by_id[i]["lastName"] for i in ids] == [person["lastName"] for person in people]
    assert [(by_id[i]["title"], by_id[i]["phone"]) for i in ids] == [(None, "+1 555 0100"), (TRICKY, "+1 555 0100")]
    assert (by_id[ids[0]]["leadScore"], by_id[ids[0]]["unsubscribed"]) == (12, True)
