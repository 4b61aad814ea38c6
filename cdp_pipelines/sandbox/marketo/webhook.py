"""What the emulated Marketo sends by itself: the flow step Call Webhook, and activities as Data Streams show them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.activities import TYPES, Activity
from cdp_pipelines.sandbox.marketo.lead_fields import LeadFields
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

TIMEOUT = 30
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Activities that are a change of a lead: new, value, merged, in or out of an opportunity, deleted.
CHANGES = frozenset({12, 13, 32, 34, 35, 36, 37})
_TOKEN = re.compile(r"\{\{\s*([^{}:]+?)\s*(?::default=([^{}]*))?\}\}")
_CONTENT = {"json": "application/json", "form": "application/x-www-form-urlencoded", "none": "text/plain; charset=utf-8"}


@dataclass(frozen=True)
class Delivery:
    """One request that was sent, and what came of it: a status, or the reason for none."""

    url: str
    body: str
    status: int | None
    error: str = ""


class Webhooks:
    """Sends in the order of events, one after the other, while requests go on being answered. `sent` are the latest deliveries."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.store, self.options = store, options
        self.sent: deque[Delivery] = deque(maxlen=1000)
        self._waiting: deque[tuple[str, str, dict[str, str]]] = deque()
        self._task: asyncio.Task[None] | None = None
        store.listeners.append(self._changed)

    def requested(self, campaign: dict[str, Any], leads: list[int], tokens: dict[str, str]) -> None:
        """Call Webhook of a requested campaign."""
        known = tokens | {"campaign.name": campaign["name"], "campaign.id": str(campaign["id"]), "program.name": campaign["programName"]}
        for lead in leads:
            self._call(lead, known)

    def settle(self, seconds: float = 10) -> bool:
        """Wait until everything has been sent; tells whether that was so in time. Not to be called by whoever serves the instance."""
        end = time.monotonic() + seconds
        while not (idle := not self._waiting and (self._task is None or self._task.done())) and time.monotonic() < end:
            time.sleep(0.005)
        return idle

    def _changed(self, activity: Activity) -> None:
        options = self.options
        if not options.webhook_url or not options.webhook_on_change or activity["activityTypeId"] not in CHANGES:
            return
        if options.webhook_form == "cloudevents":
            self._send(json.dumps(cloud_event(activity, options)), "application/cloudevents+json")
        else:
            self._call(activity["leadId"], {"campaign.name": "Every change", "trigger.name": TYPES[activity["activityTypeId"]][0]})

    def _call(self, lead: int, tokens: dict[str, str]) -> None:
        if self.options.webhook_url:
            body = render(
                self.options.webhook_payload, self.store.leads.get(lead), tokens, self.options.webhook_encoding, self.store.fields
            )
            self._send(body, _CONTENT[self.options.webhook_encoding])

    def _send(self, body: str, content_type: str) -> None:
        if clock.replaying():
            return
        headers = {"Content-Type": content_type, self.options.webhook_header: self.options.webhook_secret}
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Nobody is served: changes of the past are being done again.
            return
        self._waiting.append((self.options.webhook_url, body, headers))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())

    async def _work(self) -> None:
        async with httpx2.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
            while self._waiting:
                url, body, headers = self._waiting.popleft()
                self.sent.append(await _deliver(http, url, body, headers))


async def _deliver(http: httpx2.AsyncClient, url: str, body: str, headers: dict[str, str]) -> Delivery:
    try:
        if urlsplit(url).hostname not in LOOPBACK:
            return Delivery(url, body, None, "a sandbox sends to this machine only")
        answer = await http.post(url, content=body.encode(), headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        return Delivery(url, body, None, type(error).__name__)
    return Delivery(url, body, answer.status_code)


def render(template: str, lead: dict[str, Any], tokens: dict[str, str], encoding: str = "none", fields: LeadFields | None = None) -> str:
    """A payload with its tokens filled in: `{{lead.Email Address}}` or `{{lead.email}}`, with `:default=`, `{{campaign.name}}`, `{{my.X}}`.

    `encoding` is how a value is escaped: `json` (inside a JSON string), `form` or `none`. A token that is not known becomes nothing.
    """

    known = fields or LeadFields()

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2] or ""
        scope, _, rest = name.partition(".")
        if scope in ("lead", "company"):
            found = lead.get(rest if rest in lead else known.with_label(rest))
        elif name == "system.dateTime":
            found = iso(epoch(clock.now()))
        else:
            found = tokens.get(name)
        text = default if found in (None, "") else str(found).lower() if isinstance(found, bool) else str(found)
        return json.dumps(text, ensure_ascii=False)[1:-1] if encoding == "json" else quote(text, safe="") if encoding == "form" else text

    return _TOKEN.sub(value, template)


def cloud_event(activity: Activity, options: MarketoOptions) -> dict[str, Any]:
    """An activity as a CloudEvent of Data Streams; the lead's id is text there."""
    name, primary, attributes = TYPES[activity["activityTypeId"]]
    kinds = dict(attributes)
    data: dict[str, Any] = {
        "munchkinId": options.munchkin_id, "leadId": str(activity["leadId"]), "activityDate": activity["activityDate"],
        "activityTypeId": activity["activityTypeId"], "activityType": name, "activityLogItemId": activity["id"],
        "attributes": [{"name": a["name"], "dataType": kinds.get(a["name"], "string"), "value": a["value"]} for a in activity["attributes"]],
    }  # fmt: skip
    if primary:
        data |= {key: activity.get(key) for key in ("primaryAttributeValueId", "primaryAttributeValue")}
    return {
        "specversion": "1.0", "type": f"com.adobe.platform.marketo.activity.standard.{name.lower().replace(' ', '')}",
        "source": "urn:marketo_activity_stream", "id": activity["marketoGUID"], "time": activity["activityDate"],
        "datacontenttype": "application/json", "recipientclientid": options.client_id, "data": data,
    }  # fmt: skip
