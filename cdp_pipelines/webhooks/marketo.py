"""Marketo's two ways: the flow step Call Webhook, whose body is ours to design, and Data Streams, which send activities.

Sources: experienceleague.adobe.com, "Webhooks" and "Data Streams". Neither signs anything; a secret header says who calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from cdp_pipelines.webhooks.event import Event, Malformed, What, iso_of, items_of, json_of, number_of

MOST = 1_000
_DELETED, _MERGED, _ROLES = 37, 32, frozenset({34, 35, 36})


def events(connection: str, body: bytes, form: bool) -> list[Event]:
    """The leads of one call. Raises Malformed.

    Data Streams send CloudEvents, one or several, or in an older form `activities`. Anything else is a Call Webhook step, as JSON or (`form`)
    as a form, whose template must have `id` or `leadId` (`{"id": "{{lead.Id}}"}`): such a call has nothing that tells it from the next one with
    the same body, and each counts.
    """
    try:
        found = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=200)) if form else json_of(body)
    except ValueError:
        raise Malformed("the form has too many fields") from None
    if isinstance(found, dict) and "activities" in found:
        found = found["activities"]
    elif isinstance(found, dict) and "specversion" not in found:
        return [Event(connection, "leads", number_of(found, "leadId" if "leadId" in found else "id"), "changed")]
    return [event for item in items_of(found, MOST) for event in activity(connection, item)]


def activity(connection: str, item: dict[str, Any]) -> Iterator[Event]:
    """What an activity says is to be read again. Raises Malformed."""
    data = item.get("data", item)
    if not isinstance(data, dict):
        raise Malformed("data is not an object")
    lead, kind = number_of(data, "leadId"), int(number_of(data, "activityTypeId"))
    identity = str(item.get("id") or data.get("marketoGUID") or "")[:200]
    at = iso_of(data, "activityDate")
    what: What = "deleted" if kind == _DELETED else "merged" if kind == _MERGED else "linked" if kind in _ROLES else "changed"
    yield Event(connection, "leads", lead, what, at, identity, tuple(_losers(data)) if kind == _MERGED else ())


def _losers(data: dict[str, Any]) -> Iterator[str]:
    """The leads that were merged into this one, which the activity has in an attribute such as `[1234, 1235]`."""
    for attribute in data.get("attributes") or ():
        if isinstance(attribute, dict) and str(attribute.get("name", "")).replace(" ", "").lower() == "mergeids":
            for part in str(attribute.get("value", "")).strip("[] ").split(","):
                yield number_of({"Merge IDs": part.strip()}, "Merge IDs")
