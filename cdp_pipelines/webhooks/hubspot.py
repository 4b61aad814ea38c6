"""HubSpot's webhooks: an array of up to a hundred events, each about one record.

Sources: developers.hubspot.com, "Webhooks API" and, for `object.creation` and the like, "Create generic webhook subscriptions". An event's id
is not unique, so that an event is known by what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdp_pipelines.webhooks.event import Event, Malformed, What, items_of, json_of, milliseconds_of, number_of, text_of

MOST = 1_000
_PLURAL = {"contact": "contacts", "company": "companies", "deal": "deals"}
# Generic subscriptions (`object.creation`) name the object by its type's id.
_TYPES = {"0-1": "contacts", "0-2": "companies", "0-3": "deals"}
_WHAT: dict[str, What] = {
    "creation": "changed", "propertyChange": "changed", "restore": "restored", "deletion": "deleted", "privacyDeletion": "erased",
    "merge": "merged", "associationChange": "linked",
}  # fmt: skip


def events(connection: str, body: bytes) -> list[Event]:
    """The events of one call that concern contacts, companies and deals; others are left out. Raises Malformed."""
    return [event for item in items_of(json_of(body), MOST) for event in _events(connection, item)]


def _events(connection: str, item: dict[str, Any]) -> Iterator[Event]:
    kind = text_of(item, "subscriptionType" if "subscriptionType" in item else "eventType")
    singular, _, happened = kind.partition(".")
    what = _WHAT.get(happened)
    occurred_at = milliseconds_of(item, "occurredAt")
    if what == "linked" and singular in ("object", *_PLURAL):
        yield from _links(connection, item, occurred_at)
        return
    name = _TYPES.get(text_of(item, "objectTypeId")) if singular == "object" else _PLURAL.get(singular)
    if what is None or name is None:
        return
    record, related = _merge(item) if what == "merged" else (number_of(item, "objectId"), ())
    said = (str(item.get("portalId")), kind, record, str(item.get("propertyName")), str(item["occurredAt"]), *related)
    yield Event(connection, name, record, what, occurred_at, "|".join(said), related)


def _merge(item: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The record that is left, a new one in some merges, and those that went into it."""
    primary = number_of(item, "primaryObjectId" if "primaryObjectId" in item else "objectId")
    losers = item.get("mergedObjectIds")
    if not isinstance(losers, list) or not losers:
        raise Malformed("mergedObjectIds is not a list of ids")
    gone = [primary, *(number_of({"mergedObjectIds": loser}, "mergedObjectIds") for loser in losers)]
    left = number_of(item, "newObjectId") if item.get("newObjectId") else primary
    return left, tuple(dict.fromkeys(one for one in gone if one != left))


def _links(connection: str, item: dict[str, Any], occurred_at: Any) -> Iterator[Event]:
    if "fromObjectTypeId" in item:
        names = _TYPES.get(text_of(item, "fromObjectTypeId")), _TYPES.get(text_of(item, "toObjectTypeId"))
    else:
        start, _, end = text_of(item, "associationType").partition("_TO_")
        names = _PLURAL.get(start.lower()), _PLURAL.get(end.lower())
    if None in names:
        return
    ids = number_of(item, "fromObjectId"), number_of(item, "toObjectId")
    # HubSpot tells of a link from both of its ends; either is enough to know which two records to look at.
    said = (str(item.get("portalId")), f"{names[0]}/{names[1]}", *ids, str(item["occurredAt"]), str(item.get("associationRemoved")))
    yield Event(connection, f"{names[0]}/{names[1]}", ids[0], "linked", occurred_at, "|".join(said), (ids[1],))
