"""The receiver over HTTP: what is taken, what is refused and how, and that what was answered is on the disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from cdp_pipelines.config import connection_from_config
from cdp_pipelines.webhooks.inbox import Inbox, Waiting
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.receiver import LARGEST_BODY, Receiver

SECRET, OLD_SECRET = "the-apps-client-secret", "the-secret-before"
CONFIGS: dict[str, dict[str, Any]] = {
    "hubspot": {"access_token": "t", "webhook_secret": SECRET, "webhook_secret_previous": OLD_SECRET},
    "salesforce": {"client_id": "c", "client_secret": "s", "domain": "acme", "webhook_secret": SECRET},
    "marketo": {"endpoint": "https://123-abc-456.mktorest.com", "client_id": "c", "client_secret": "s", "webhook_secret": SECRET},
    "open": {"kind": "hubspot", "access_token": "t"},
}
CHANGE = {
    "objectId": 1246965, "propertyName": "lifecyclestage", "propertyValue": "subscriber", "changeSource": "CRM_UI", "eventId": 3816279340,
    "subscriptionId": 25, "portalId": 33, "appId": 1160452, "occurredAt": 1462216307945, "subscriptionType": "contact.propertyChange",
    "attemptNumber": 0,
}  # fmt: skip


@dataclass
class Post:
    """A receiver at work: `to` sends a body to a connection; `kept` is what waits in its inbox."""

    url: str
    inbox: Path
    http: httpx2.Client

    def to(self, path: str, body: Any, headers: dict[str, str] | None = None, *, form: str = "application/json") -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(f"{self.url}/webhooks/{path}", content=content, headers={"Content-Type": form, **(headers or {})})

    def hubspot(self, events: Any, secret: str = SECRET, **more: Any) -> httpx2.Response:
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        return self.to("hubspot", body, signed(f"{self.url}/webhooks/hubspot", body, secret, **more))

    def kept(self) -> list[Waiting]:
        with closing(Inbox(self.inbox)) as inbox:
            return inbox.waiting()

    def refused(self) -> dict[str, int]:
        time.sleep(2.2)  # refusals are written once a second
        with closing(Inbox(self.inbox)) as inbox:
            return {r["reason"]: r["calls"] for r in inbox.status()["refused"]}


def signed(url: str, body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """HubSpot's headers, made as its documents say and not by our own code."""
    timestamp = str(at or time.time_ns() // 1_000_000)
    digest = hmac.new(secret.encode(), b"POST" + url.encode() + body + timestamp.encode(), hashlib.sha256).digest()
    return {"X-HubSpot-Signature-v3": base64.b64encode(digest).decode(), "X-HubSpot-Request-Timestamp": timestamp}


@contextmanager
def receiving(folder: Path, serve: Callable[[ASGIApp], str], most: int = 1_000_000) -> Generator[Post]:
    connections = {name: connection_from_config(name, config) for name, config in CONFIGS.items()}
    with Keeper(folder / "inbox.sqlite", most) as keeper, httpx2.Client(trust_env=False, timeout=30) as http:
        yield Post(serve(Receiver(connections, keeper).app()), folder / "inbox.sqlite", http)


@pytest.fixture
def post(tmp_path: Path, serve: Callable[[ASGIApp], str]) -> Iterator[Post]:
    with receiving(tmp_path, serve) as made:
        yield made


def test_an_event_is_kept_once_with_its_id_and_none_of_its_values(post: Post):
    for number in range(3):
        answer = post.hubspot([CHANGE | {"eventId": number, "attemptNumber": number}])
        assert (answer.status_code, answer.json()) == (200, {"received": 1})
    (one,) = post.kept()
    assert (one.event.object, one.event.record_id, one.event.what) == ("contacts", "1246965", "changed")
    assert one.event.occurred_at and one.event.occurred_at.timestamp() == 1462216307.945
    assert b"subscriber" not in post.inbox.read_bytes() + post.inbox.with_name("inbox.sqlite-wal").read_bytes()


def test_both_secrets_count_while_one_is_being_changed_and_the_older_signature_where_there_is_no_newer(post: Post):
    assert post.hubspot([CHANGE], OLD_SECRET).status_code == 200
    body = json.dumps([CHANGE | {"objectId": 5}]).encode()
    version_1 = {"X-HubSpot-Signature": hashlib.sha256(SECRET.encode() + body).hexdigest(), "X-HubSpot-Signature-Version": "v1"}
    assert post.to("hubspot", body, version_1).status_code == 200
    forged = version_1 | {"X-HubSpot-Signature-v3": "x", "X-HubSpot-Request-Timestamp": str(time.time_ns() // 1_000_000)}
    assert post.to("hubspot", body, forged).status_code == 503, "a wrong newer signature is not mended by an older one"
    assert len(post.kept()) == 2


def test_what_is_not_hubspots_is_refused_so_that_hubspot_sends_again_what_may_be_our_fault(post: Post):
    body, url = json.dumps([CHANGE]).encode(), f"{post.url}/webhooks/hubspot"
    long_ago = time.time_ns() // 1_000_000 - 301_000
    assert post.to("hubspot", body).status_code == 401, "no signature"
    assert post.hubspot([CHANGE], "another secret").status_code == 503
    assert post.hubspot([CHANGE], at=long_ago).status_code == 503, "an old body that somebody sends again"
    assert post.hubspot([CHANGE], at=long_ago + 603_000).status_code == 503, "from the future"
    assert post.to("hubspot", body + b" ", signed(url, body)).status_code == 503, "altered"
    assert post.to("hubspot?x=1", body, signed(url, body)).status_code == 503, "another address"
    assert post.to("open", body, signed(f"{post.url}/webhooks/open", body, "")).status_code == 503, "without a secret nothing is accepted"
    assert "OPEN_WEBHOOK_SECRET is not set" in post.to("open", body).text
    assert post.to("nobody", body).status_code == 404
    assert post.http.get(url).status_code == 405
    assert post.kept() == []
    assert post.refused() == {
        "missing credentials": 1, "wrong signature": 3, "stale signature": 2, "no secret": 2, "unknown connection": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[1]", 400), (b"[" * 100_000, 400), (b"\xff\xfe", 400), ([{}], 400), ([CHANGE | {"objectId": "x"}], 400),
        ([CHANGE | {"objectId": True}], 400), ([CHANGE | {"objectId": 2**70}], 400), ([CHANGE | {"occurredAt": 1e300}], 400),
        ([CHANGE] * 1_001, 400), ([CHANGE, None], 400), (b" " * (LARGEST_BODY + 1), 413), ([], 200),
        ([CHANGE | {"subscriptionType": "ticket.creation"}], 200),
    ],
)  # fmt: skip
def test_a_body_that_hubspot_does_not_send_is_refused_whole(post: Post, body: Any, status: int):
    answer = post.hubspot(body)
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text
    assert post.kept() == []


def test_compressed_and_chunked_bodies_are_no_way_around_the_limit(post: Post):
    bomb = gzip.compress(b"0" * 50_000_000)
    assert post.to("hubspot", bomb, {"Content-Encoding": "gzip"}).status_code == 415
    assert post.to("hubspot", b"a=1", form="text/plain").status_code == 415

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    answer = post.http.post(f"{post.url}/webhooks/hubspot", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_merges_erasures_and_links_say_which_records_to_look_at(post: Post):
    merge = CHANGE | {
        "subscriptionType": "contact.merge",
        "primaryObjectId": 7,
        "mergedObjectIds": [8, 9],
        "newObjectId": 10,
        "objectId": 7,
    }
    link = {k: v for k, v in CHANGE.items() if k not in ("objectId", "propertyName", "propertyValue")} | {
        "subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_COMPANY", "fromObjectId": 7, "toObjectId": 70,
        "associationRemoved": False, "isPrimaryAssociation": True,
    }  # fmt: skip
    other_side = link | {"associationType": "COMPANY_TO_CONTACT", "fromObjectId": 70, "toObjectId": 7}
    erased = [CHANGE | {"subscriptionType": f"contact.{what}", "objectId": 11} for what in ("privacyDeletion", "deletion")]
    assert post.hubspot([merge, link, other_side, *erased]).status_code == 200
    found = {(e.object, e.record_id, e.what, e.related) for e in (w.event for w in post.kept())}
    assert found == {
        ("contacts", "10", "merged", ("7", "8", "9")), ("contacts/companies", "7", "linked", ("70",)),
        ("companies/contacts", "70", "linked", ("7",)), ("contacts", "11", "erased", ()), ("contacts", "11", "deleted", ()),
    }  # fmt: skip


def test_generic_subscriptions_name_the_object_by_its_types_id(post: Post):
    generic = [
        CHANGE | {"subscriptionType": f"object.{what}", "objectTypeId": kind, "objectId": n}
        for n, (what, kind) in enumerate([("creation", "0-1"), ("propertyChange", "0-2"), ("deletion", "0-3"), ("creation", "0-5")], 1)
    ]
    link = {
        "subscriptionType": "object.associationChange", "portalId": 33, "occurredAt": 1462216307945, "fromObjectId": 7, "toObjectId": 70,
        "fromObjectTypeId": "0-1", "toObjectTypeId": "0-2", "associationRemoved": False, "associationTypeId": 1, "associationCategory": "HUBSPOT_DEFINED",
    }  # fmt: skip
    assert post.hubspot([*generic, link, link | {"toObjectTypeId": "0-5"}]).status_code == 200
    assert [(e.object, e.record_id, e.what, e.related) for e in (w.event for w in post.kept())] == [
        ("contacts", "1", "changed", ()), ("companies", "2", "changed", ()), ("deals", "3", "deleted", ()), ("contacts/companies", "7", "linked", ("70",)),
    ]  # fmt: skip
    assert post.hubspot([CHANGE | {"subscriptionType": "object.creation"}]).status_code == 400, "of which object?"


MESSAGE = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00D000000000001EAA</OrganizationId>
 <ActionId>04k000000000001AAA</ActionId><SessionId xsi:nil="true"/><EnterpriseUrl>https://example.com</EnterpriseUrl>
 <Notification><Id>04l000000000001AAA</Id><sObject xsi:type="sf:Contact" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
 <sf:Id>003D000000QY0Yo</sf:Id><sf:Email>ann@example.com</sf:Email></sObject></Notification>
 <Notification><Id>04l000000000002AAA</Id><sObject xsi:type="sf:Contact" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
 <sf:Id>003D000000QY0YpIAL</sf:Id></sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"""


def test_an_outbound_message_is_acknowledged_as_salesforce_wants_it(post: Post):
    for _ in range(2):
        answer = post.to(f"salesforce/{SECRET}", MESSAGE.encode(), form="text/xml; charset=UTF-8")
        assert answer.status_code == 200
        assert "<Ack>true</Ack>" in answer.text
        assert answer.headers["content-type"].startswith("text/xml")
    assert [(w.event.object, w.event.record_id) for w in post.kept()] == [
        ("Contact", "003D000000QY0YoIAL"), ("Contact", "003D000000QY0YpIAL"),
    ]  # fmt: skip
    assert post.to("salesforce/wrong", MESSAGE.encode(), form="text/xml").status_code == 401
    assert post.to("salesforce", MESSAGE.encode(), form="text/xml").status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><lolz>&b;</lolz>',
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x/>', "<x", "<x/>", "", "<" * 100_000, MESSAGE.replace("003D000000QY0Yo", "'; --"),
        MESSAGE.replace("sf:Contact", ""), MESSAGE.replace("<Id>04l000000000001AAA</Id>", ""),
    ],
)  # fmt: skip
def test_xml_that_salesforce_does_not_send_is_refused_and_nothing_is_fetched(post: Post, body: str):
    answer = post.to(f"salesforce/{SECRET}", body.encode(), form="text/xml")
    assert answer.status_code == 400
    assert "root:" not in answer.text
    assert post.kept() == []


def change_event(change: str, ids: list[str], entity: str = "Contact", sequence: int = 1) -> dict[str, Any]:
    header = {
        "entityName": entity, "recordIds": ids, "changeType": change, "changedFields": ["Name.LastName"], "transactionKey": "0000be70-1",
        "sequenceNumber": sequence, "commitTimestamp": 1745500706000, "commitNumber": 1745500706683617281, "commitUser": "005",
    }  # fmt: skip
    return {"schema": "x", "payload": {"ChangeEventHeader": header, "Name": {"LastName": "Youngest"}}, "event": {"replayId": 6}}


def test_change_events_name_each_record_and_a_gap_the_whole_object(post: Post):
    one, two = "003D000000QY0YoIAL", "003D000000QY0YpIAL"
    calls = [
        change_event("UPDATE", [one, two]), [change_event("DELETE", [one], sequence=2)], {"specversion": "1.0", "data": change_event("GAP_UPDATE", [two], sequence=3)},
        change_event("GAP_OVERFLOW", [], "Lead"), change_event("UPDATE", [one, two]),
    ]  # fmt: skip
    for call in calls:
        assert post.to("salesforce", call, {"X-Webhook-Secret": SECRET}).status_code == 200
    assert [(w.event.object, w.event.record_id, w.event.what) for w in post.kept()] == [
        ("Contact", one, "changed"), ("Contact", two, "changed"), ("Contact", one, "deleted"), ("Contact", two, "changed"), ("Lead", "", "missed"),
    ]  # fmt: skip
    assert post.to("salesforce", change_event("UPDATE", [one]), {"Authorization": f"Bearer {SECRET}"}).status_code == 200
    assert post.to("salesforce", change_event("UPDATE", [one]), {"X-Webhook-Secret": "wrong"}).status_code == 401
    assert post.to("salesforce", change_event("NOVEL", [one]), {"X-Webhook-Secret": SECRET}).status_code == 400


def test_marketos_calls_count_each_time_and_its_streams_once(post: Post):
    secret = {"X-Webhook-Secret": SECRET}
    stream = {
        "specversion": "1.0", "type": "com.adobe.platform.marketo.activity.standard.mergeleads", "source": "urn:marketo_activity_stream",
        "id": "783961924", "time": "2026-01-02T03:04:05Z", "data": {
            "munchkinId": "123-ABC-456", "leadId": "1234", "activityDate": "2026-01-02T03:04:05Z", "activityTypeId": 32,
            "attributes": [{"name": "Merge IDs", "dataType": "string", "value": "[77, 78]"}],
        },
    }  # fmt: skip
    for _ in range(2):
        assert post.to("marketo", {"id": "5", "email": "ann@example.com"}, secret).status_code == 200
        assert post.to("marketo", b"leadId=6&email=x", secret, form="application/x-www-form-urlencoded").status_code == 200
        assert post.to("marketo", [stream], secret, form="application/cloudevents-batch+json").status_code == 200
    older = {
        "sourceApplication": "Marketo",
        "activities": [{"marketoGUID": "1", "leadId": 9, "activityTypeId": 37, "activityDate": "2026-01-02T03:04:05Z"}],
    }
    assert post.to("marketo", older, secret).status_code == 200
    assert [(w.event.record_id, w.event.what, w.event.related) for w in post.kept()] == [
        ("5", "changed", ()), ("6", "changed", ()), ("1234", "merged", ("77", "78")), ("5", "changed", ()), ("6", "changed", ()), ("9", "deleted", ()),
    ]  # fmt: skip
    assert post.to("marketo", {"id": ""}, secret).status_code == 400
    assert post.to("marketo", {"id": "5"}).status_code == 401


def test_a_full_inbox_asks_the_sender_to_come_again_and_loses_nothing(tmp_path: Path, serve: Callable[[ASGIApp], str]):
    with receiving(tmp_path, serve, most=3) as post:
        answers = [post.hubspot([CHANGE | {"objectId": n + 1}]) for n in range(5)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].headers["retry-after"] == "30"
        with closing(Inbox(post.inbox)) as inbox:
            inbox.done(w.id for w in inbox.waiting(most=2))
        assert post.hubspot([CHANGE | {"objectId": 4}]).status_code == 200
        assert [w.event.record_id for w in post.kept()] == ["3", "4"]


def test_the_same_event_from_many_callers_at_once_is_kept_once(post: Post):
    statuses: list[int] = []

    def send(start: int) -> None:
        for n in range(10):
            statuses.append(post.hubspot([CHANGE | {"objectId": (start + n) % 10 + 1}]).status_code)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
    assert sorted(int(w.event.record_id) for w in post.kept()) == list(range(1, 11))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*CHANGE, "payload", "data", "ChangeEventHeader", "recordIds", "changeType", "activities", "specversion", "leadId", "activityTypeId", "attributes", "id", "mergedObjectIds", "associationType"]), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), where=st.sampled_from(["hubspot", "salesforce", "marketo"]), xml=st.booleans())  # fmt: skip
def test_no_body_whatever_ends_in_an_error_of_ours_or_in_an_event_that_names_nothing(post: Post, body: bytes, where: str, xml: bool):
    if where == "hubspot":
        answer = post.hubspot(body)
    else:
        form = "text/xml" if xml and where == "salesforce" else "application/json"
        answer = post.to(where, body, {"X-Webhook-Secret": SECRET}, form=form)
    assert answer.status_code in (200, 400), answer.text
    assert all(w.event.record_id or w.event.what == "missed" for w in post.kept())
