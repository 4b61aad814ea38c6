"""Webhooks: what happens in the portal is told to a listener on this machine, signed as HubSpot signs.

Events are sent in the background, at most `webhook_batch` in a call. A call that is not answered with 2xx in time is repeated, up to
`webhook_attempts` times in all; the waits between (HubSpot: over 24 hours) are short here and grow. Every call has a signature of version 1
(or 2, `webhook_signature_version`) and one of version 3. Knobs: `webhook_duplicates` sends every call twice, `webhook_reordered` the events
of a call in reverse order, `webhook_bad_signature` and `webhook_stale_timestamp` what a listener must refuse.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.events import Happening
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.records import milliseconds
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore

TYPES = ("contact", "company", "deal", "ticket", "product", "line_item")
# Properties to which HubSpot takes no subscription.
UNHEARD = {"hs_lastmodifieddate", "lastmodifieddate", "num_unique_conversion_events"}
_FIRST_EVENT, _FIRST_SUBSCRIPTION = 3_816_279_340, 25
_STALE_MS = 600_000


@dataclass(frozen=True)
class WebhookTarget:
    """Where events go and the secret that signs them. `types` (as `contact.creation`) are the subscriptions; empty: all that there are.

    Raises ValueError for a host other than this machine's.
    """

    url: str
    client_secret: str
    types: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
            raise ValueError("A webhook's URL must begin with http:// and name this machine (127.0.0.1, ::1 or localhost)")


@dataclass
class Delivery:
    """One call to a listener: how many events, which attempt, what was answered (None: nothing)."""

    events: int
    attempt: int
    status: int | None


class Webhooks:
    """Sends a portal's events to `target`, which may be set, changed and taken away at any time; without one nothing is kept.

    `deliveries` are the last calls, newest last.
    """

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self._options = options
        self.target: WebhookTarget | None = None
        self.deliveries: list[Delivery] = []
        self._waiting: queue.SimpleQueue[tuple[WebhookTarget, dict[str, Any]]] = queue.SimpleQueue()
        self._sender: threading.Thread | None = None
        self._events = 0
        self._unsent = 0
        self._lock = threading.Lock()
        store.listeners.append(self._hear)

    def settle(self, seconds: float = 10) -> bool:
        """Wait until all events have been sent or given up; tells whether that was so in time."""
        end = time.monotonic() + seconds
        while self._unsent and time.monotonic() < end:
            time.sleep(0.005)
        return not self._unsent

    def _hear(self, happening: Happening) -> None:
        target = self.target
        if target is None or clock.replaying() or happening.kind.singular not in TYPES or happening.more.get("propertyName") in UNHEARD:
            return
        kind = f"{happening.kind.singular}.{happening.what}"
        if target.types and kind not in target.types:
            return
        with self._lock:
            self._events += 1
            self._unsent += 1
        self._waiting.put((target, self._event(happening, kind)))
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_all, name="hubspot-webhooks", daemon=True)
            self._sender.start()

    def _event(self, happening: Happening, kind: str) -> dict[str, Any]:
        # An association's event has no record of its own, a merge's is about the survivor.
        record = {} if happening.what == "associationChange" else {"objectId": happening.record_id}
        flags = {"creation": {"changeFlag": "CREATED"}, "deletion": {"changeFlag": "DELETED"}}.get(happening.what, {})
        return {
            **record, **happening.more, **flags, "changeSource": happening.source, "eventId": _FIRST_EVENT + self._events,
            "subscriptionId": _FIRST_SUBSCRIPTION + sum(kind.encode()) % 1000, "portalId": self._options.portal_id,
            "appId": self._options.app_id, "occurredAt": milliseconds(happening.at), "subscriptionType": kind, "attemptNumber": 0,
            "objectTypeId": happening.kind.type_id,
        }  # fmt: skip

    def _send_all(self) -> None:
        with httpx2.Client(timeout=self._options.webhook_timeout_seconds, trust_env=False) as http:
            for target, events in self._batches():
                for _ in range(2 if self._options.webhook_duplicates else 1):
                    self._deliver(http, target, events[::-1] if self._options.webhook_reordered else events)
                with self._lock:
                    self._unsent -= len(events)

    def _batches(self) -> Iterator[tuple[WebhookTarget, list[dict[str, Any]]]]:
        """What is waiting, in batches for one target each."""
        held = None
        while True:
            target, event = held or self._waiting.get()
            held, events = None, [event]
            while len(events) < self._options.webhook_batch and not self._waiting.empty():
                following = self._waiting.get()
                if following[0] != target:
                    held = following
                    break
                events.append(following[1])
            yield target, events

    def _deliver(self, http: httpx2.Client, target: WebhookTarget, events: list[dict[str, Any]]) -> None:
        for attempt in range(self._options.webhook_attempts):
            if attempt:
                time.sleep(self._options.webhook_retry_seconds * attempt)
            body = orjson.dumps([event | {"attemptNumber": attempt} for event in events])
            try:
                headers, timeout = self._headers(target, body), self._options.webhook_timeout_seconds
                status = http.post(target.url, content=body, headers=headers, timeout=timeout).status_code
            except httpx2.HTTPError:
                status = None
            self.deliveries = [*self.deliveries[-999:], Delivery(len(events), attempt, status)]
            if status is not None and 200 <= status < 300:
                return

    def _headers(self, target: WebhookTarget, body: bytes) -> dict[str, str]:
        secret = "not-the-secret" if self._options.webhook_bad_signature else target.client_secret
        at = str(time.time_ns() // 1_000_000 - (_STALE_MS if self._options.webhook_stale_timestamp else 0))
        version = self._options.webhook_signature_version
        older = signature_v1(secret, body) if version == "v1" else signature_v2(secret, "POST", target.url, body)
        return {
            "Content-Type": "application/json", "User-Agent": "HubSpot Connect 2.0 (sandbox)", "X-HubSpot-Signature": older,
            "X-HubSpot-Signature-Version": version, "X-HubSpot-Signature-v3": signature_v3(secret, "POST", target.url, body, at),
            "X-HubSpot-Request-Timestamp": at,
        }  # fmt: skip


def signature_v1(secret: str, body: bytes) -> str:
    """Hex SHA-256 of secret and body."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def signature_v2(secret: str, method: str, url: str, body: bytes) -> str:
    """Hex SHA-256 of secret, method, URL and body."""
    return hashlib.sha256(f"{secret}{method}{url}".encode() + body).hexdigest()


# What version 3 decodes in the URL before it signs.
_DECODED = {"%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")", "%2A": "*",
            "%2C": ",", "%3B": ";"}  # fmt: skip


def signature_v3(secret: str, method: str, url: str, body: bytes, timestamp: str) -> str:
    """Base64 HMAC-SHA-256, keyed with the secret, of method, URL, body and timestamp (ms)."""
    for code, character in _DECODED.items():
        url = url.replace(code, character).replace(code.lower(), character)
    signed = f"{method}{url}".encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
