"""Salesforce's two ways to tell of changes: outbound messages (SOAP, from a flow) and change events (as JSON, passed on by a relay).

Sources: developer.salesforce.com, "Outbound Messaging" and "Change Data Capture".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from cdp_pipelines.webhooks.event import Event, Malformed, What, iso_of, items_of, json_of, milliseconds_of, text_of

MOST = 1_000
_OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_WHAT: dict[str, What] = {
    "CREATE": "changed", "UPDATE": "changed", "UNDELETE": "restored", "DELETE": "deleted", "GAP_CREATE": "changed", "GAP_UPDATE": "changed",
    "GAP_UNDELETE": "restored", "GAP_DELETE": "deleted", "GAP_OVERFLOW": "missed",
}  # fmt: skip

# What Salesforce takes for an acknowledgement; without it, it sends the message again for a day.
ACKNOWLEDGED = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    "</soapenv:Body></soapenv:Envelope>"
)


def outbound_message(connection: str, body: bytes) -> list[Event]:
    """The records of an outbound message, up to a hundred. Raises Malformed, also for a body with a DTD or entities."""
    try:
        root = ElementTree.fromstring(body, forbid_dtd=True)
    except (DefusedXmlException, ParseError, ValueError, LookupError):
        raise Malformed("the body is not the XML of an outbound message") from None
    found = root.findall(f".//{_OUTBOUND}notifications/{_OUTBOUND}Notification")
    if not found:
        raise Malformed("there is no Notification")
    if len(found) > MOST:
        raise Malformed(f"there are more than {MOST} notifications in one message")
    return [_notified(connection, notification) for notification in found]


def _notified(connection: str, notification: Element) -> Event:
    identity = notification.findtext(f"{_OUTBOUND}Id")
    record = notification.find(f"{_OUTBOUND}sObject")
    if record is None or not identity:
        raise Malformed("a Notification lacks its Id or its sObject")
    values = {child.tag.rpartition("}")[2]: child.text for child in record}
    name = record.get(_TYPE, "").rpartition(":")[2]
    if not re.fullmatch(r"\w{1,80}", name):
        raise Malformed("an sObject lacks its type")
    return Event(connection, name, _id(values.get("Id")), "changed", iso_of(values, "SystemModstamp"), identity[:200])


def change_events(connection: str, body: bytes) -> list[Event]:
    """The records of change events: in the Streaming API's form, as CloudEvents around it, or a list of either. Raises Malformed."""
    return [event for item in items_of(json_of(body), MOST) for event in _changed(connection, item)]


def _changed(connection: str, item: dict[str, Any]) -> Iterator[Event]:
    payload = _inside(item, "data", "payload")
    header = payload.get("ChangeEventHeader")
    if not isinstance(header, dict):
        raise Malformed("there is no ChangeEventHeader")
    what, name = _WHAT.get(text_of(header, "changeType")), text_of(header, "entityName")
    if what is None:
        raise Malformed("changeType is not one of Salesforce's")
    at = milliseconds_of(header, "commitTimestamp")
    # One transaction's events share its key and are numbered; an overflow stands for all that were left out.
    said = f"{text_of(header, 'transactionKey')}|{header.get('sequenceNumber')}"
    if what == "missed":
        yield Event(connection, name, "", what, at, said)
        return
    ids = header.get("recordIds")
    if not isinstance(ids, list) or not ids:
        raise Malformed("recordIds is not a list of ids")
    for record in ids:
        if isinstance(record, str) and record.endswith("*"):
            # A wildcard: the change is of more records than are listed ("001*" in an overflow's place).
            yield Event(connection, name, "", "missed", at, f"{said}|*")
        else:
            yield Event(connection, name, record := _id(record), what, at, f"{said}|{record}")


def _inside(item: dict[str, Any], *names: str) -> dict[str, Any]:
    """What lies within the wrappings that there are."""
    for name in names:
        inner = item.get(name)
        if isinstance(inner, dict):
            item = inner
    return item


def _id(text: Any) -> str:
    """A record's id in its 18 characters, from those or from 15. Raises Malformed."""
    if not isinstance(text, str) or not re.fullmatch(r"[a-zA-Z0-9]{15}([A-Z0-5]{3})?", text):
        raise Malformed("a record's id is not one of Salesforce's")
    groups = (text[start : start + 5] for start in (0, 5, 10))
    return text[:15] + "".join(_CHECK[sum(1 << place for place, c in enumerate(group) if c.isupper())] for group in groups)
