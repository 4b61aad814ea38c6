"""What the emulated Marketo sends: Call Webhook of a requested campaign, every change of a lead, and CloudEvents."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.api import app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.marketo.webhook import render
from cdp_pipelines.sandbox.people import World, build_world
from tests.sandbox.marketo_calls import Caller


class Receiver:
    """What a webhook's target was sent: headers and body of each request."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.got.append((dict(request.headers), (await request.body()).decode()))
        return Response(status_code=200)

    def wait(self, count: int) -> list[tuple[dict[str, str], str]]:
        end = time.monotonic() + 10
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.got) == count
        return self.got


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(people=100)


@pytest.fixture
def store(world: World) -> MarketoStore:
    return MarketoStore(world.marketo, world.owners, world.salesforce.people)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def active(call: Caller) -> int:
    """A campaign that can be requested."""
    campaigns = [c for c in call.get("/rest/v1/campaigns.json")["result"] if c["type"] == "trigger"]
    if not campaigns[0]["active"]:
        call.post(f"/rest/asset/v1/smartCampaign/{campaigns[0]['id']}/activate.json")
    return campaigns[0]["id"]


def test_a_requested_campaign_calls_the_webhook_for_each_lead(serve: Callable, store: MarketoStore, receiver: Receiver):
    payload = '{"id": {{lead.Id}}, "who": "{{lead.First Name:default=you}}", "note": "{{my.note}}", "from": "{{campaign.name}}"}'
    options = MarketoOptions(webhook_payload=payload)
    call = Caller(serve(app(store, options)))
    options.webhook_url = f"{serve(receiver.app)}/hook"
    made = call.post("/rest/v1/leads.json", {"input": [{"email": "q@new.example", "firstName": 'A "B"\n'}, {"email": "r@new.example"}]})
    ids, campaign = [r["id"] for r in made["result"]], active(call)
    body = {"input": {"leads": [{"id": i} for i in ids], "tokens": [{"name": "{{my.note}}", "value": "hi"}]}}
    assert call.post(f"/rest/v1/campaigns/{campaign}/trigger.json", body)["success"]
    got = receiver.wait(2)
    name = call.get(f"/rest/v1/campaigns/{campaign}.json")["result"][0]["name"]
    assert [json.loads(body) for _, body in got] == [
        {"id": ids[0], "who": 'A "B"\n', "note": "hi", "from": name}, {"id": ids[1], "who": "you", "note": "hi", "from": name},
    ]  # fmt: skip
    assert got[0][0]["x-webhook-secret"] == options.webhook_secret and got[0][0]["content-type"] == "application/json"


@pytest.mark.parametrize("form", ["template", "cloudevents"])
def test_every_change_of_a_lead_is_sent_when_that_is_asked_for(serve: Callable, store: MarketoStore, receiver: Receiver, form: Any):
    url = f"{serve(receiver.app)}/hook"
    call = Caller(serve(app(store, MarketoOptions(webhook_url=url, webhook_on_change=True, webhook_form=form))))
    lead = call.post("/rest/v1/leads.json", {"input": [{"email": "e@new.example"}]})["result"][0]["id"]
    call.post("/rest/v1/leads.json", {"input": [{"email": "e@new.example", "title": "CTO"}]})
    bodies = [json.loads(body) for _, body in receiver.wait(2)]
    if form == "template":
        assert [(b["id"], b["email"]) for b in bodies] == [(str(lead), "e@new.example")] * 2
        return
    assert [b["type"].rpartition(".")[2] for b in bodies] == ["newlead", "changedatavalue"]
    assert all(b["specversion"] == "1.0" and b["data"]["leadId"] == str(lead) for b in bodies)
    assert bodies[1]["data"]["primaryAttributeValue"] == "Job Title"
    assert {"name": "New Value", "dataType": "string", "value": "CTO"} in bodies[1]["data"]["attributes"]


def test_nothing_is_sent_beyond_this_machine_nor_when_the_past_is_done_again(serve: Callable, store: MarketoStore, receiver: Receiver):
    served = app(store, MarketoOptions(webhook_url="http://203.0.113.9/hook", webhook_on_change=True))
    call = Caller(serve(served))
    call.post("/rest/v1/leads.json", {"input": [{"email": "e@new.example"}]})
    end = time.monotonic() + 10
    while not served.state.webhooks.sent and time.monotonic() < end:
        time.sleep(0.01)
    assert served.state.webhooks.sent[0].error == "a sandbox sends to this machine only"
    with clock.at(datetime.now(UTC), replaying=True):
        store.create_lead({"email": "past@new.example"}, clock.now())
    assert len(served.state.webhooks.sent) == 1


@pytest.mark.parametrize(
    ("encoding", "shown"), [("json", r"O\"Neil & Söhne"), ("form", "O%22Neil%20%26%20S%C3%B6hne"), ("none", 'O"Neil & Söhne')]
)
def test_token_values_are_escaped_as_the_encoding_says(encoding: str, shown: str):
    assert render("{{lead.Last Name}}", {"lastName": 'O"Neil & Söhne'}, {}, encoding) == shown
    assert render("{{lead.Unknown}}{{nonsense}}", {}, {}, encoding) == ""
