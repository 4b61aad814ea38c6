"""What the org tells of its changes: change data capture as a relay passes it on (JSON), or outbound messages (SOAP).

Sent in the background, in order, up to a hundred records in a call. A message that is not acknowledged is sent again, after waits that are
short here and grow (Salesforce: over a day). Real orgs send outbound messages from flows, for the objects that those are about; here every
change of every object is told (approximated).
"""

from __future__ import annotations

import ipaddress
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import httpx2
import orjson

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.salesforce.ids import make_id
from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.org_records import Change
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

A_CALL, TIMEOUT, FIRST_WAIT = 100, 10, 0.05


@dataclass
class Delivery:
    """One call: how many records, which attempt, what was answered (None: nothing)."""

    records: int
    attempt: int
    status: int | None


class ChangeEvents:
    """Sends an org's changes to the address in its options. `deliveries` are the last calls, newest last."""

    def __init__(self, store: SalesforceStore, options: SalesforceOptions):
        self._store, self._options = store, options
        self.deliveries: list[Delivery] = []
        self._waiting: queue.SimpleQueue[tuple[str, bytes, dict[str, str], int]] = queue.SimpleQueue()
        self._sender: threading.Thread | None = None
        self._unsent = self._messages = self._commits = 0
        self._lock = threading.Lock()
        store.listeners.append(self._hear)

    def settle(self, seconds: float = 10) -> bool:
        """Wait until all calls have been made or given up; tells whether that was so in time."""
        end = time.monotonic() + seconds
        while self._unsent and time.monotonic() < end:
            time.sleep(0.005)
        return not self._unsent

    def _hear(self, changes: Sequence[Change]) -> None:
        if not self._options.events_url or clock.replaying() or not _is_loopback(self._options.events_url):
            return
        transaction = str(uuid.uuid4())
        for start in range(0, len(changes), A_CALL):
            some = changes[start : start + A_CALL]
            if self._options.events_form == "outbound":
                for name in dict.fromkeys(change.object for change in some):
                    self._send_message([c for c in some if c.object == name and c.type != "DELETE"])
            else:
                events = [self._event(change, transaction, start + n + 1) for n, change in enumerate(some)]
                headers = {"Content-Type": "application/json", "X-Webhook-Secret": self._options.events_secret}
                self._put(self._options.events_url, orjson.dumps(events), headers, len(some))

    def _put(self, url: str, body: bytes, headers: dict[str, str], records: int) -> None:
        with self._lock:
            self._unsent += 1
        self._waiting.put((url, body, headers, records))
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_all, name="salesforce-events", daemon=True)
            self._sender.start()

    def _event(self, change: Change, transaction: str, number: int) -> dict[str, Any]:
        self._commits += 1
        kind: str = change.type
        ids, fields = [change.record_id], list(change.fields)
        if self._options.events_overflow:
            kind, ids = "GAP_OVERFLOW", []
        elif self._options.events_gaps:
            kind = f"GAP_{change.type}"
        header = {
            "entityName": change.object, "recordIds": ids, "changeType": kind, "changedFields": [] if kind.startswith("GAP") else fields,
            "changeOrigin": "", "transactionKey": transaction, "sequenceNumber": number, "commitTimestamp": int(change.at.timestamp() * 1000),
            "commitNumber": 1_745_500_706_683_617_281 + self._commits, "commitUser": self._store.me,
        }  # fmt: skip
        # Which fields changed is told, but not their values: a receiver must ask for those anyway.
        return {"schema": "sandbox", "payload": {"ChangeEventHeader": header}, "event": {"replayId": self._commits}}

    def _send_message(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        notifications = []
        for change in changes:
            self._messages += 1
            notifications.append(
                f'<Notification><Id>{make_id("04l", self._messages)}</Id><sObject xsi:type="sf:{change.object}" '
                f'xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>{escape(change.record_id)}</sf:Id></sObject></Notification>'
            )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications '
            'xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00D000000000001EAA</OrganizationId>'
            f'<ActionId>04k000000000001AAA</ActionId><SessionId xsi:nil="true"/>{"".join(notifications)}</notifications>'
            "</soapenv:Body></soapenv:Envelope>"
        )
        url = f"{self._options.events_url.rstrip('/')}/{self._options.events_secret}"
        self._put(url, body.encode(), {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}, len(changes))

    def _send_all(self) -> None:
        with httpx2.Client(timeout=TIMEOUT, trust_env=False) as http:
            while True:
                call = self._waiting.get()
                self._deliver(http, *call)
                with self._lock:
                    self._unsent -= 1

    def _deliver(self, http: httpx2.Client, url: str, body: bytes, headers: dict[str, str], records: int) -> None:
        for attempt in range(self._options.events_attempts):
            if attempt:
                time.sleep(FIRST_WAIT * attempt)
            try:
                answer = http.post(url, content=body, headers=headers)
            except httpx2.HTTPError:
                answer = None
            self.deliveries = [*self.deliveries[-999:], Delivery(records, attempt, answer.status_code if answer else None)]
            if answer is None or answer.status_code >= 300:
                continue
            if headers["Content-Type"].startswith("text/xml") and b"<Ack>true</Ack>" not in answer.content:
                continue
            return


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
