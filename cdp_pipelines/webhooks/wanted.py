"""What events come down to: which records of which raw tables to read again, and which tables as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from cdp_pipelines.config import Kind
from cdp_pipelines.crm_integrations.merges import survivors
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.hubspot import RECORDS
from cdp_pipelines.sources.reader import MERGED_INTO, KnownRecords, Named
from cdp_pipelines.webhooks.event import Event

# HubSpot's tables of links, by what they lead from and to.
_LINKS = {tuple(table.object.split("/")): table.name for table in registry.TABLES["hubspot"] if "/" in table.object}

Links = dict[str, set[tuple[str, str]]]


@dataclass
class Wanted:
    """Records to read again, and the tables that must be compared as a whole, since their CRM lost track of what changed."""

    named: Named = field(default_factory=Named)
    whole: set[str] = field(default_factory=set)


def wanted_of(kind: Kind, events: Iterable[Event], known: KnownRecords) -> Wanted:
    """What some events of one connection are about, each record once. What concerns no table that is read is left out.

    `known` tells to which records one was linked that is gone.
    """
    found, some = Wanted(), list(events)
    add = {"salesforce": _salesforce, "hubspot": _hubspot, "marketo": _marketo}[kind]
    for event in some:
        add(found, event)
    if kind == "hubspot":
        _other_ends(found, some, known)
    for table, keys in found.named.keys.items():
        if merges := {loser: winner for loser, winner in keys.items() if winner}:
            # Who was merged before into a record that is merged away now belongs to the one that is left, and no CRM tells it again.
            earlier = {loser: winner for winner, loser in known.pairs(table, MERGED_INTO, "id") if winner in merges}
            keys.update(survivors(earlier | merges))
    return found


def _salesforce(found: Wanted, event: Event) -> None:
    for table in registry.TABLES["salesforce"]:
        if table.object == event.object:
            if event.what == "missed":
                found.whole.add(table.name)
            else:
                found.named.add(table.name, [event.record_id])


def _hubspot(found: Wanted, event: Event) -> None:
    if event.what == "linked":
        start, end = event.object.split("/")
        # HubSpot counts links in properties of both ends, without saying that those changed.
        for name, ids in ((start, [event.record_id]), (end, event.related)):
            _records(found, name, ids)
        if (start, end) in _LINKS:
            found.named.add(_LINKS[start, end], [event.record_id])
        if (end, start) in _LINKS:
            found.named.add(_LINKS[end, start], event.related)
        return
    _records(found, event.object, [event.record_id])
    if event.what == "merged":
        for loser in event.related:
            found.named.add(event.object, [loser], event.record_id)
        _records(found, event.object, event.related)


def _other_ends(found: Wanted, events: Iterable[Event], known: KnownRecords) -> None:
    """The links of records that came or went, and the records at the other ends: what HubSpot counts of their links changes, and their
    modified date with it, and no event tells it. The warehouse is asked once for all of them."""
    moved: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.what not in ("changed", "linked"):
            moved[event.object].update((event.record_id, *event.related))
    for (start, end), table in _LINKS.items():
        if moved[start]:
            found.named.add(table, sorted(moved[start]))
            _records(found, end, known.values(table, "to_id", {"from_id": moved[start]}))
        if moved[end]:
            # Sets that had them are named by their own keys too: after an erasure nobody knows any more which they were.
            starts = list(known.values(table, "from_id", {"to_id": moved[end]}))
            found.named.ends[table].update(moved[end])
            found.named.add(table, starts)
            _records(found, start, starts)


def links_of(kind: Kind, named: Named, known: KnownRecords) -> Links:
    """The links of what is named, as the warehouse has them: by table, from which record to which. Only HubSpot has tables of links."""
    found: Links = {}
    for (start, end), table in _LINKS.items() if kind == "hubspot" else ():
        starts, ends = {*named.keys.get(table, ()), *named.keys.get(start, ())}, {*named.ends.get(table, ()), *named.keys.get(end, ())}
        asked = [(side, ids) for side, ids in (("from_id", starts), ("to_id", ends)) if ids]
        found[table] = {pair for side, ids in asked for pair in known.pairs(table, "from_id", "to_id", {side: ids})}
    return found


def ends_of(before: Links, after: Links) -> Named:
    """The records at both ends of the links that came or went between two looks: what HubSpot counts of them changes, and no event tells it.

    So it is when a record is read again for another reason than its deletion, whose event comes after, or is found to be restored.
    """
    found = Wanted()
    for (start, end), table in _LINKS.items():
        moved = before.get(table, set()) ^ after.get(table, set())
        _records(found, start, (pair[0] for pair in moved))
        _records(found, end, (pair[1] for pair in moved))
    return found.named


def _records(found: Wanted, name: str, ids: Iterable[str]) -> None:
    if name in RECORDS:
        some = list(ids)
        found.named.add(name, some)
        if name == "contacts":
            found.named.add("lifecycle_stage_history", some)


def _marketo(found: Wanted, event: Event) -> None:
    found.named.add("leads", [event.record_id])
    for loser in event.related:
        found.named.add("leads", [loser], event.record_id)
    if event.what != "changed":
        everyone = [event.record_id, *event.related]
        found.named.add("opportunity_roles", everyone)
        found.named.ends["opportunities"].update(everyone)
