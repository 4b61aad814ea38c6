from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.webhooks import Webhooks, WebhookTarget, signature_v1, signature_v2, signature_v3
from tests.sandbox.hubspot_portal import Portal, after
from tests.sandbox.listed_faults import shows

Serve = Callable[[ASGIApp], str]
SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
CONTACTS = "/crm/v3/objects/contacts"


@dataclass
class Listener:
    """What a receiver of webhooks was sent; it answers with `statuses` in turn, then with 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        self.calls.append((dict(request.headers), await request.body()))
        return Response(status_code=self.statuses.pop(0) if self.statuses else 204)

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        return [json.loads(body) for _, body in self.calls]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]

    def kinds(self) -> list[str]:
        return [event["subscriptionType"] for event in self.events]


class Told(Portal):
    """A portal whose events go to a listener."""

    def __init__(self, serve: Serve, listener: Listener, types: tuple[str, ...] = (), **options: Any):
        super().__init__(serve, webhook_retry_seconds=0.001, **options)
        self.webhooks: Webhooks = self.app.state.webhooks
        self.webhooks.target = WebhookTarget(listener.url, SECRET, frozenset(types))

    def settle(self) -> None:
        assert self.webhooks.settle()


@pytest.fixture
def listener(serve: Serve) -> Listener:
    found = Listener()
    found.url = serve(Starlette(routes=[Route("/hook", found.receive, methods=["POST"])])) + "/hook?source=sandbox"
    return found


def test_a_created_and_changed_contact_is_told_with_all_that_identifies_the_event(serve: Serve, listener: Listener) -> None:
    portal = Told(serve, listener)
    before = time.time_ns() // 1_000_000
    person = portal.post(CONTACTS, {"properties": {"email": "a@b.example"}}, 201)["id"]
    portal.send("PATCH", f"{CONTACTS}/{person}", {"properties": {"jobtitle": "Chef"}})
    portal.settle()
    assert listener.kinds()[0] == "contact.creation"
    creation, change = listener.events[0], listener.events[-1]
    assert creation["changeFlag"] == "CREATED"
    assert {k: v for k, v in change.items() if k not in ("eventId", "occurredAt", "subscriptionId")} == {
        "objectId": int(person), "propertyName": "jobtitle", "propertyValue": "Chef", "changeSource": "INTEGRATION", "portalId": 44237313,
        "appId": 19083857, "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectTypeId": "0-1",
    }  # fmt: skip
    assert before <= change["occurredAt"] <= time.time_ns() // 1_000_000
    assert "lastmodifieddate" not in [e.get("propertyName") for e in listener.events]


def test_what_the_world_does_is_told_as_well(serve: Serve, listener: Listener) -> None:
    portal = Told(serve, listener)
    store = portal.store
    keep, lose, third = store.live_people()[:3]
    store.delete_person(third, after(1))
    store.restore_person(third, after(2))
    store.merge_people(keep, lose, after(3))
    deal = store.create_deal({"name": "Tea"}, [keep], after(4))
    store.unlink(deal, keep, after(5))
    portal.settle()
    told = [(e["subscriptionType"], e.get("objectId")) for e in listener.events if "propertyChange" not in e["subscriptionType"]]
    assert told == [
        ("contact.deletion", int(third)), ("contact.restore", int(third)), ("contact.merge", int(keep)), ("deal.creation", int(deal)),
        ("deal.associationChange", None), ("contact.associationChange", None),
        ("deal.associationChange", None), ("contact.associationChange", None),
    ]  # fmt: skip
    merge = next(e for e in listener.events if e["subscriptionType"] == "contact.merge")
    assert (merge["primaryObjectId"], merge["mergedObjectIds"], merge["newObjectId"]) == (int(keep), [int(lose)], int(keep))
    link, back, unlink, _ = (e for e in listener.events if "associationChange" in e["subscriptionType"])
    assert (link["associationType"], back["associationType"]) == ("DEAL_TO_CONTACT", "CONTACT_TO_DEAL")
    assert (link["fromObjectId"], link["toObjectId"]) == (back["toObjectId"], back["fromObjectId"]) == (int(deal), int(keep))
    assert (link["associationRemoved"], unlink["associationRemoved"]) == (False, True)


def test_erasing_is_told_as_a_privacy_deletion_and_as_a_deletion(serve: Serve, listener: Listener) -> None:
    portal = Told(serve, listener)
    portal.send("POST", f"{CONTACTS}/gdpr-delete", {"objectId": portal.store.live_people()[0]}, 204)
    portal.settle()
    assert listener.kinds() == ["contact.privacyDeletion", "contact.deletion"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_call_has_two_valid_signatures(serve: Serve, listener: Listener, version: str) -> None:
    portal = Told(serve, listener, webhook_signature_version=version)
    portal.store.edit_person(portal.store.live_people()[0], {"title": "Käsemeister"}, after(1))
    portal.settle()
    headers, body = listener.calls[0]
    at = headers["x-hubspot-request-timestamp"]
    assert abs(int(at) - time.time_ns() // 1_000_000) < 60_000
    assert headers["x-hubspot-signature-v3"] == signature_v3(SECRET, "POST", listener.url, body, at)
    older = signature_v1(SECRET, body) if version == "v1" else signature_v2(SECRET, "POST", listener.url, body)
    assert (headers["x-hubspot-signature"], headers["x-hubspot-signature-version"]) == (older, version)


def test_signatures_are_those_that_were_published() -> None:
    body, url = b'{"example_field":"example_value"}', "https://www.example.com/webhook_uri"
    assert signature_v1(SECRET, body) == "54b2530692e3a3982727206aeee670ed1d85319cad55d4ddbafcf41725ebf2b3"
    assert signature_v2(SECRET, "POST", url, body) == "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"
    assert signature_v3(SECRET, "POST", url, body, "1700000000000") == "rQEKkaNUiu+1qGF//O/pw4BCzstSqO1PyUnGICmf+7o="
    encoded = signature_v3(SECRET, "POST", "https://www.example.com/a%3Fb%2fc%20d", body, "1")
    assert encoded == signature_v3(SECRET, "POST", "https://www.example.com/a?b/c%20d", body, "1")


@shows("HubSpot: webhook repeated after a failure")
def test_a_call_that_fails_is_repeated_with_a_higher_attempt_number(serve: Serve, listener: Listener) -> None:
    listener.statuses = [500, 404]
    portal = Told(serve, listener)
    portal.store.edit_person(portal.store.live_people()[0], {"title": "Chef"}, after(1))
    portal.settle()
    assert [batch[0]["attemptNumber"] for batch in listener.batches] == [0, 1, 2]
    assert len({batch[0]["eventId"] for batch in listener.batches}) == 1
    assert [d.status for d in portal.webhooks.deliveries] == [500, 404, 204]


def test_calls_end_after_the_last_attempt(serve: Serve, listener: Listener) -> None:
    listener.statuses = [500] * 3
    portal = Told(serve, listener, webhook_attempts=3)
    portal.store.edit_person(portal.store.live_people()[0], {"title": "Chef"}, after(1))
    portal.settle()
    portal.store.edit_person(portal.store.live_people()[0], {"title": "Cook"}, after(1))
    portal.settle()
    assert [batch[0]["propertyValue"] for batch in listener.batches] == ["Chef"] * 3 + ["Cook"]


def test_many_events_go_in_calls_of_a_hundred_at_most(serve: Serve, listener: Listener) -> None:
    portal = Told(serve, listener, types=("contact.propertyChange",))
    for person in portal.store.live_people()[:240]:
        portal.store.edit_person(person, {"title": "Chef of all chefs"}, after(1))
    portal.settle()
    assert sum(map(len, listener.batches)) == 240
    assert max(map(len, listener.batches)) <= 100


def test_only_what_was_subscribed_to_is_told_and_nothing_without_a_target_or_of_the_past(serve: Serve, listener: Listener) -> None:
    portal = Told(serve, listener, types=("deal.creation",))
    portal.post(CONTACTS, {"properties": {"email": "a@b.example"}}, 201)
    portal.store.create_deal({"name": "Tea"}, [], after(1))
    portal.settle()
    with clock.at(after(1), replaying=True):
        portal.store.create_deal({"name": "Old tea"}, [], after(1))
    portal.webhooks.target = None
    portal.store.create_deal({"name": "Coffee"}, [], after(1))
    portal.settle()
    assert listener.kinds() == ["deal.creation"]


@shows(
    "HubSpot: webhook twice",
    "HubSpot: webhook out of order",
    "HubSpot: webhook with a bad signature",
    "HubSpot: webhook with a stale timestamp",
)
def test_the_knobs_make_duplicates_reorder_and_spoil_signatures(serve: Serve, listener: Listener) -> None:
    portal = Told(serve, listener, webhook_duplicates=True, webhook_bad_signature=True, webhook_stale_timestamp=True)
    person = portal.store.live_people()[0]
    portal.store.edit_person(person, {"title": "Chef"}, after(1))
    portal.settle()
    assert listener.batches[0] == listener.batches[1]
    headers, body = listener.calls[0]
    at = headers["x-hubspot-request-timestamp"]
    assert time.time_ns() // 1_000_000 - int(at) > 300_000
    assert headers["x-hubspot-signature-v3"] != signature_v3(SECRET, "POST", listener.url, body, at)
    portal.options.webhook_duplicates, portal.options.webhook_reordered = False, True
    portal.webhooks.target = WebhookTarget(listener.url, SECRET, frozenset({"contact.propertyChange"}))
    listener.calls.clear()
    portal.store.edit_person(person, {"title": "A", "phone": "B", "first_name": "C"}, after(2))
    portal.settle()
    several = [batch for batch in listener.batches if len(batch) > 1]
    assert several
    for batch in several:
        assert [e["eventId"] for e in batch] == sorted((e["eventId"] for e in batch), reverse=True)
    assert sorted(e["propertyValue"] for e in listener.events) == ["A", "B", "C"]


@pytest.mark.parametrize(
    "url", ["http://example.com/hook", "https://127.0.0.1/hook", "http://10.0.0.1/", "ftp://localhost/", "hook", "http://"]
)
def test_events_go_to_this_machine_only(url: str) -> None:
    with pytest.raises(ValueError, match="this machine"):
        WebhookTarget(url, SECRET)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://[::1]:9/x", "http://localhost/x"])
def test_any_name_of_this_machine_will_do(url: str) -> None:
    assert WebhookTarget(url, SECRET).url == url
