"""The activity log: what the world's records imply, and what happened since. Past activities are numbers until somebody reads them.

Approximated: activities are never purged, and a deleted or merged lead's earlier activities stay readable under its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import orjson

from cdp_pipelines.sandbox.columns import DELETED, MERGED, Column, of_deals, of_members, of_people
from cdp_pipelines.sandbox.marketo.assets import CAMPAIGN_ID, PROGRAM_ID
from cdp_pipelines.sandbox.marketo.deals import STAGES, Deals
from cdp_pipelines.sandbox.marketo.fields import LEAD_LABELS
from cdp_pipelines.sandbox.marketo.leads import Leads
from cdp_pipelines.sandbox.marketo.moments import iso
from cdp_pipelines.sandbox.people import CrmView

Activity = dict[str, Any]
FIRST_GUID = 100_001


_PROGRESSION = (
    ("Acquired By", "boolean"),
    ("New Status", "string"),
    ("Old Status", "string"),
    ("Reason", "string"),
    ("Success", "boolean"),
)
_ROLE = (("Role", "string"), ("Is Primary", "boolean"))
_CHANGE = (("New Value", "string"), ("Old Value", "string"), ("Reason", "string"), ("Source", "string"))
# id -> name, primary attribute, other attributes. dataType's case varies in real answers, and New Lead has no primary attribute.
TYPES: dict[int, tuple[str, tuple[str, str] | None, tuple[tuple[str, str], ...]]] = {
    6: ("Send Email", ("Mailing ID", "integer"), (("Campaign Run ID", "integer"),)),
    7: ("Email Delivered", ("Mailing ID", "integer"), (("Campaign Run ID", "integer"),)),
    10: ("Open Email", ("Mailing ID", "integer"), (("Device", "string"), ("Platform", "string"))),
    11: ("Click Email", ("Mailing ID", "integer"), (("Link", "string"), ("Platform", "string"))),
    12: ("New Lead", None, (("Created Date", "date"), ("Source Type", "string"))),
    13: ("Change Data Value", ("Attribute Name", "integer"), _CHANGE),
    22: ("Change Score", ("Score Name", "Integer"), (("Change Value", "score"), ("New Value", "integer"), ("Old Value", "integer"))),
    32: ("Merge Leads", ("Lead ID", "integer"), (("Master Updated", "boolean"), ("Merge IDs", "string"), ("Merge Source", "string"))),
    34: ("Add to Opportunity", ("Opportunity ID", "integer"), _ROLE),
    35: ("Remove from Opportunity", ("Opportunity ID", "integer"), _ROLE),
    36: ("Update Opportunity", ("Opportunity ID", "integer"), (("Data Value Changes", "string"), *_ROLE)),
    37: ("Delete Lead", ("Lead ID", "integer"), (("Campaign", "string"),)),
    24: ("Add to List", ("List ID", "integer"), (("Source", "string"),)),
    25: ("Remove from List", ("List ID", "integer"), (("Source", "string"),)),
    104: ("Change Status in Progression", ("Program ID", "integer"), _PROGRESSION),
}


def describe_types() -> list[dict[str, Any]]:
    """The result of `activities/types.json`."""
    made = []
    for number, (name, primary, attributes) in TYPES.items():
        entry: dict[str, Any] = {"id": number, "name": name, "description": name}
        if primary:
            entry["primaryAttribute"] = {"name": primary[0], "dataType": primary[1]}
        made.append(entry | {"attributes": [{"name": n, "dataType": t} for n, t in attributes]})
    return made


class ActivityLog:
    """All activities in order of time; a place in it, from 0 on, is what a paging token stands for.

    `listeners` are called with each new activity once it is written down.
    """

    def __init__(self, view: CrmView, leads: Leads, deals: Deals, listeners: Sequence[Callable[[Activity], None]] = ()):
        self._view, self._leads, self._deals = view, leads, deals
        self._later: list[tuple[int, Activity]] = []
        self._listeners = listeners
        self._size = sum(len(record) for _, _, record, _ in _events(view))

    def __len__(self) -> int:
        return self._size + len(self._later)

    @cached_property
    def _history(self) -> History:
        """The past in order of time. Sorting millions takes seconds, which only who reads activities has to wait for."""
        return _in_order(self._view)

    def place_of(self, at: float) -> int:
        """The place of the first activity at or after a moment."""
        past = self._history.at
        if len(past) and past[-1] >= at:
            return int(np.searchsorted(past, int(at), side="left"))
        return self._size + next((n for n, (when, _) in enumerate(self._later) if when >= int(at)), len(self._later))

    def scan(self, place: int, count: int, types: Iterable[int] | None = None) -> Iterator[tuple[int, Activity]]:
        """The activities of these types at the `count` places from `place` on, each with its place."""
        stop = min(place + count, len(self))
        wanted = set(types) if types is not None else None
        base = min(stop, self._size)
        kinds = self._history.kind[place:base]
        chosen = range(len(kinds)) if wanted is None else np.nonzero(np.isin(kinds, list(wanted)))[0]
        for offset in chosen:
            yield place + int(offset), self._past(place + int(offset))
        for spot in range(max(place, self._size), stop):
            activity = self._later[spot - self._size][1]
            if wanted is None or activity["activityTypeId"] in wanted:
                yield spot, activity

    def between(self, start: int, end: int, types: Iterable[int] | None) -> Iterator[Activity]:
        """The activities from `start` to `end`, both included."""
        place = self.place_of(start)
        for _, activity in self.scan(place, self.place_of(end + 1) - place, types):
            yield activity

    def add(self, at: int, kind: int, lead: int, primary: tuple[int | None, Any] = (None, None), **attributes: Any) -> None:
        """Write down what happened to a lead; attribute names with `_` for a space."""
        named = {name.replace("_", " "): value for name, value in attributes.items()}
        self._later.append((at, self._made(len(self), at, kind, lead, primary, named)))
        # Changes come in order of time; a straggler is put where its time belongs to keep the log searchable.
        if len(self._later) > 1 and self._later[-2][0] > at:
            self._later[-1] = (self._later[-2][0], self._later[-1][1] | {"activityDate": iso(self._later[-2][0])})
        for listener in self._listeners:
            listener(self._later[-1][1])

    @staticmethod
    def _made(place: int, at: int, kind: int, lead: int, primary: tuple[int | None, Any], attributes: dict[str, Any]) -> Activity:
        guid = str(FIRST_GUID + place)
        made: Activity = {"id": int(guid), "marketoGUID": guid, "leadId": lead, "activityDate": iso(at), "activityTypeId": kind}
        if primary[0] is not None:
            made |= {"primaryAttributeValueId": primary[0], "primaryAttributeValue": primary[1]}
        return made | {"attributes": [{"name": n, "value": v} for n, v in attributes.items()]}

    def _past(self, place: int) -> Activity:
        at, kind, number, part = (column.item(place) for column in self._history)
        if kind in (34, 35, 36):
            return self._made(place, at, kind, *self._deal_event(kind, number, part))
        if kind in (6, 7, 10, 11, 104):
            made = self._made(place, at, kind, *self._campaign_event(kind, number, part))
            return made | {"campaignId": CAMPAIGN_ID + number}
        return self._made(place, at, kind, *self._lead_event(kind, number))

    def _lead_event(self, kind: int, number: int) -> tuple[int, tuple[int | None, Any], dict[str, Any]]:
        person, lead = self._view.people[number], self._leads.id_of(number)
        name = " ".join(filter(None, (person.first_name, person.last_name))) or None
        score = person.lead_score or 0
        old = max(score - 10, 0)
        if kind == 12:
            return lead, (None, None), {"Source Type": "Web form fillout", "Created Date": person.created.date().isoformat()}
        if kind == 13:
            return lead, LEAD_LABELS["leadScore"], {"New Value": str(score), "Old Value": str(old), "Source": "Marketo Flow Action"}
        if kind == 22:
            return lead, LEAD_LABELS["leadScore"], {"Change Value": f"+{score - old}", "New Value": score, "Old Value": old}
        if kind == 32:
            winner = self._leads.id_of(person.merged_into or 0)
            return winner, (winner, None), {"Master Updated": False, "Merge IDs": [lead], "Merge Source": "leaddb"}
        return lead, (lead, name), {"Campaign": "Run Action Delete Lead"}

    def _deal_event(self, kind: int, number: int, part: int) -> tuple[int, tuple[int | None, Any], dict[str, Any]]:
        deal = self._view.deals[number]
        contact = deal.contacts[part]
        attributes: dict[str, Any] = {"Role": contact.role or "Other", "Is Primary": contact.primary}
        if kind == 36:
            attributes["Data Value Changes"] = stage_change(STAGES[0][0], STAGES[deal.stage][0])
        return self._leads.id_of(contact.person), (number + 1, deal.name), attributes

    def _campaign_event(self, kind: int, number: int, part: int) -> tuple[int, tuple[int | None, Any], dict[str, Any]]:
        campaign = self._view.campaigns[number]
        member = campaign.members[part]
        if kind == 104:
            attributes = {"Acquired By": False, "New Status": member.status, "Old Status": "Not in Program", "Success": member.responded}
            return self._leads.id_of(member.person), (PROGRAM_ID + number, campaign.name), attributes
        attributes = {
            10: {"Device": "unknown", "Platform": "iOS"}, 11: {"Link": "https://www.example.com/offer", "Platform": "iOS"}
        }.get(kind, {"Campaign Run ID": number + 1})  # fmt: skip
        return self._leads.id_of(member.person), (501 + number, f"{campaign.name}.Invitation"), attributes


def stage_change(old: Any, new: Any, attribute: str = "Stage") -> str:
    """The attribute `Data Value Changes` of an Update Opportunity activity."""
    return changes_text([(attribute, old, new)])


def changes_text(changes: Iterable[tuple[str, Any, Any]]) -> str:
    """The same for several changes: attribute, old value, new value."""
    parts = ({"attributeName": name, "newValue": str(new), "oldValue": str(old)} for name, old, new in changes)
    return orjson.dumps(list(parts)).decode()


class History(NamedTuple):
    """What the records imply, in order of time: seconds since 1970, type, record's number, part's place."""

    at: Column
    kind: Column
    record: Column
    part: Column


# When the events of these records were, their type, the records, and their parts (None: all of them the first).
_Events = tuple[Callable[[], Column], int, Column, Column | None]


def _events(view: CrmView) -> Iterator[_Events]:
    people, deals = of_people(view.people), of_deals(view.deals)
    scored = np.flatnonzero((people.updated // 1000 > people.created // 1000) & (people.score > 0))
    yield partial(_seconds, people.created), 12, np.arange(len(people.created)), None
    for kind in (22, 13):
        yield partial(_seconds, people.updated, scored), kind, scored, None
    for fate, kind in ((DELETED, 37), (MERGED, 32)):
        gone = np.flatnonzero(people.fate == fate)
        yield partial(_seconds, people.fate_at, gone), kind, gone, None
    begun, ended = deals.created // 1000, np.maximum(deals.created // 1000, deals.updated // 1000)
    yield partial(begun.take, deals.part_deal), 34, deals.part_deal, deals.part_place
    lost = deals.deleted[deals.part_deal]
    for chosen, kind in ((lost, 35), (~lost & (ended > begun)[deals.part_deal], 36)):
        yield partial(ended.take, deals.part_deal[chosen]), kind, deals.part_deal[chosen], deals.part_place[chosen]
    for campaign in view.campaigns:
        members = of_members(campaign)
        places = np.arange(len(members.created), dtype=np.int32)
        answered = np.flatnonzero(members.responded)
        for some, kinds in ((places, (104, 6, 7)), (answered, (10, 11))):
            for kind in kinds:
                yield partial(_seconds, members.created, some), kind, np.full(len(some), campaign.number, dtype=np.int32), some


def _seconds(milliseconds: Column, places: Column | None = None) -> Column:
    return (milliseconds if places is None else milliseconds[places]) // 1000


def _in_order(view: CrmView) -> History:
    found = [
        (
            at(),
            np.full(len(record), kind, dtype=np.int16),
            record.astype(np.int32),
            np.zeros(len(record), np.int32) if part is None else part,
        )
        for at, kind, record, part in _events(view)
    ]
    at, kind, record, part = (np.concatenate(column) for column in zip(*found, strict=True))
    del found
    # Of one moment, a record's events stay in the order above: a score's change comes before the one of its value.
    order = np.argsort((at.astype(np.int64) << 24) + record, kind="stable").astype(np.int32)
    return History(at[order].astype(np.int64), kind[order], record[order], part[order].astype(np.int32))
