"""A portal's records and links, and all that can be done to them, by object type."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from cdp_pipelines.sandbox.hubspot.associations import Links, Types, no_links, primary, unlabelled
from cdp_pipelines.sandbox.hubspot.events import Happening, Listener, What
from cdp_pipelines.sandbox.hubspot.pipelines import Pipelines
from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, LIFECYCLE_STAGES, ObjectType
from cdp_pipelines.sandbox.hubspot.records import Record, Records
from cdp_pipelines.sandbox.hubspot.schema import Schema

Place = tuple[ObjectType, int]
# The property whose text no two live records share, by type.
UNIQUE = {"contacts": "email"}
MORE_EMAILS = "hs_additional_emails"


class Portal:
    """Records by type, the links between them, the definitions of their properties, their pipelines.

    Everything that changes a record goes through here, is stamped with its moment and told to the `listeners`. While
    `association_changes_bump` says so, a record whose number of associated records changes counts as modified, because HubSpot writes that
    number on the record. Approximated: whether every portal does so is not documented.
    """

    def __init__(self) -> None:
        self.association_changes_bump: Callable[[], bool] = lambda: True
        self.records: dict[str, Records] = {}
        self.links: list[Links] = no_links()
        self.schema, self.pipelines = Schema(), Pipelines()
        # Records that were merged away -> the record that stands for them now; by type, because ids of two types may be equal.
        self.merges: dict[str, dict[int, int]] = {}
        self.listeners: list[Listener] = []

    # Reading.

    def links_between(self, start: ObjectType, end: ObjectType) -> Links | None:
        """The links between two types, in whichever direction they are kept."""
        return next((ln for ln in self.links if {ln.start, ln.end} == {start, end}), None)

    def associated(self, kind: ObjectType, record_id: int, other: ObjectType) -> dict[int, Types]:
        """Live records of another type that a live record is associated with, by id, in order."""
        links = self.links_between(kind, other)
        if links is None or not self.records[kind.plural].is_live(record_id):
            return {}
        found = links.of(kind, record_id)
        return {end: found[end] for end in sorted(found) if self.records[other.plural].is_live(end)}

    def count(self, kind: ObjectType, record_id: int, other: ObjectType) -> int:
        """How many live records of another type a record is associated with."""
        links = self.links_between(kind, other)
        return sum(map(self.records[other.plural].is_live, links.others(kind, record_id))) if links else 0

    def survivor(self, kind: ObjectType, record_id: int) -> int:
        """The record that stands for this one: itself, or the one that it was merged into."""
        return self.merges.get(kind.plural, {}).get(record_id, record_id)

    # Records.

    def create(self, kind: ObjectType, properties: Mapping[str, str], at: datetime, source: str = "CRM_UI") -> Record:
        """A new live record. A contact is a lead and a deal in the first stage of the default pipeline unless told otherwise."""
        at = to_milliseconds(at)
        record = self.records[kind.plural].add(at)
        for name, value in {**_DEFAULTS.get(kind.plural, {}), "hs_object_source": source, **properties}.items():
            if value != "" and record.set(name, value, at, source):
                self._note(kind, record, name, "")
        self._tell(kind, "creation", record.id, at, source, {})
        for name, value in properties.items():
            if value != "":
                self._tell(kind, "propertyChange", record.id, at, source, {"propertyName": name, "propertyValue": value})
        return record

    def set_properties(self, kind: ObjectType, record_id: int, properties: Mapping[str, str], at: datetime, source: str = "CRM_UI") -> None:
        """Set properties of a record; it counts as modified if one of them changed."""
        at = to_milliseconds(at)
        record = self.records[kind.plural].change(record_id, at)
        for name, value in properties.items():
            old = record.properties.get(name, "")
            if record.set(name, value, at, source):
                record.updated = at
                self._note(kind, record, name, old)
                self._tell(kind, "propertyChange", record_id, at, source, {"propertyName": name, "propertyValue": value})

    def archive(self, kind: ObjectType, record_id: int, at: datetime, source: str = "CRM_UI") -> None:
        """Put a live record among the archived ones. That does not count as a modification."""
        at = to_milliseconds(at)
        with self._recounting(at, self._neighbours(kind, record_id)):
            record = self.records[kind.plural].change(record_id, at)
            record.archived = at
            self.records[kind.plural].hide(record_id, archive=True)
        self._drop(kind, record)
        self._tell(kind, "deletion", record_id, at, source, {})

    def restore(self, kind: ObjectType, record_id: int, at: datetime) -> None:
        """Bring an archived record back. That does not count as a modification either."""
        at = to_milliseconds(at)
        with self._recounting(at, self._neighbours(kind, record_id)):
            record = self.records[kind.plural].change(record_id, at)
            record.archived = None
            self.records[kind.plural].show(record_id)
        for text in self._unique_texts(kind, record):
            self.records[kind.plural].note_value(UNIQUE[kind.plural], text, record_id)
        self._tell(kind, "restore", record_id, at, "CRM_UI", {})

    def merge(self, kind: ObjectType, keep: int, lose: int, at: datetime, *, mint: bool = False, source: str = "CRM_UI") -> int:
        """Merge two live records and give the survivor's id: `keep`, or with `mint` a new one.

        The winner's values stay; where it has none it takes the loser's, and a lifecycle stage that is further. Links go to the survivor.
        """
        at, records = to_milliseconds(at), self.records[kind.plural]
        with self._recounting(at, [*self._neighbours(kind, keep), *self._neighbours(kind, lose)]):
            winning, losing = records.change(keep, at), records.change(lose, at)
            records.hide(lose, archive=False)
            moved = self._take_values(kind, winning, losing, at)
            winning.merged += [(lose, at), *losing.merged]
            winning.created, winning.updated = min(winning.created, losing.created), at
            gone = {lose, *(number for number, _ in losing.merged)}
            self._move_links(kind, lose, keep)
            if mint:
                winning, keep = self._renumber(kind, winning, at), winning.id
                gone.add(keep)
                self._move_links(kind, keep, winning.id)
            known = self.merges.setdefault(kind.plural, {})
            for number in [*gone, *(n for n, s in known.items() if s in gone)]:
                known[number] = winning.id
        more = {"primaryObjectId": keep, "mergedObjectIds": [lose], "newObjectId": winning.id, "numberOfPropertiesMoved": moved}
        self._tell(kind, "merge", winning.id, at, source, more)
        return winning.id

    def purge(self, kind: ObjectType, record_id: int, at: datetime) -> None:
        """Erase a record as the law asks: nothing shows it any more, nor what was merged into it."""
        at, records = to_milliseconds(at), self.records[kind.plural]
        with self._recounting(at, self._neighbours(kind, record_id)):
            self._drop(kind, records.get(record_id))
            for links in self.links:
                for other in list(links.others(kind, record_id)) if kind in (links.start, links.end) else []:
                    links.remove(*((record_id, other) if links.start is kind else (other, record_id)))
            records.forget(record_id)
            known = self.merges.get(kind.plural, {})
            self.merges[kind.plural] = {n: s for n, s in known.items() if s != record_id}
        self._tell(kind, "privacyDeletion", record_id, at, "API", {})
        self._tell(kind, "deletion", record_id, at, "API", {})

    # Links.

    def associate(
        self, links: Links, start: int, end: int, types: Types, at: datetime, source: str = "CRM_UI", *, first_is_primary: bool = False
    ) -> None:
        """Link two records, `types` as read from the start; every pair has the unlabelled type, a start one primary pair at most.

        With `first_is_primary` a start's first pair becomes its primary one, as it does for a contact's first company.
        """
        main = primary(links)
        if first_is_primary and main is not None and not any(main in t for t in links.of(links.start, start).values()):
            types = (main, *types)
        with self._recounting(to_milliseconds(at), [(links.start, start), (links.end, end)]):
            if main is not None and main in types:
                for other in [o for o, t in links.of(links.start, start).items() if main in t and o != end]:
                    links.take(start, other, (main,))
            links.add(start, end, tuple(dict.fromkeys((*types, unlabelled(links)))))
        self._tell_links(links, start, end, at, source, removed=False)

    def dissociate(self, links: Links, start: int, end: int, at: datetime, source: str = "CRM_UI", types: Types | None = None) -> None:
        """Unlink two records, or take some types from the pair; taking the unlabelled one unlinks it."""
        if end not in links.of(links.start, start):
            return
        with self._recounting(to_milliseconds(at), [(links.start, start), (links.end, end)]):
            if types is None or unlabelled(links) in types:
                links.remove(start, end)
            else:
                links.take(start, end, types)
        self._tell_links(links, start, end, at, source, removed=True)

    # What they are made of.

    def _take_values(self, kind: ObjectType, winning: Record, losing: Record, at: datetime) -> int:
        self._drop(kind, losing)
        unique = UNIQUE.get(kind.plural)
        addresses = self._unique_texts(kind, losing) if unique and winning.properties.get(unique) else []
        moved = 0
        for name, value in losing.properties.items():
            if name == MORE_EMAILS:
                continue
            if not winning.properties.get(name) or (name == "lifecyclestage" and further(value, winning.properties[name])):
                moved += winning.set(name, value, at, "MERGE_OBJECTS")
        if addresses:
            winning.set(MORE_EMAILS, ";".join([*filter(None, [winning.properties.get(MORE_EMAILS)]), *addresses]), at, "MERGE_OBJECTS")
        for text in self._unique_texts(kind, winning):
            self.records[kind.plural].note_value(UNIQUE[kind.plural], text, winning.id)
        return moved

    def _renumber(self, kind: ObjectType, old: Record, at: datetime) -> Record:
        records = self.records[kind.plural]
        new = records.add(at)
        new.created, new.updated, new.properties, new.history = old.created, at, old.properties, old.history
        new.merged = [(old.id, at), *old.merged]
        records.hide(old.id, archive=False)
        for text in self._unique_texts(kind, new):
            records.note_value(UNIQUE[kind.plural], text, new.id)
        return new

    def _move_links(self, kind: ObjectType, lose: int, keep: int) -> None:
        for links in (ln for ln in self.links if kind in (ln.start, ln.end)):
            main = primary(links)
            if main is not None and links.start is kind and any(main in t for t in links.of(kind, keep).values()):
                for other in list(links.of(kind, lose)):
                    links.take(lose, other, (main,))
            links.move(kind, lose, keep)

    def _unique_texts(self, kind: ObjectType, record: Record) -> list[str]:
        name = UNIQUE.get(kind.plural)
        if name is None:
            return []
        found = [record.properties.get(name, ""), *record.properties.get(MORE_EMAILS, "").split(";")]
        return [text for text in found if text]

    def _note(self, kind: ObjectType, record: Record, name: str, old: str) -> None:
        """Keep the index of a unique property in step with a value that was set."""
        if "u" in (known.flags if (known := self.schema.definitions(kind.plural).get(name)) else ""):
            records = self.records[kind.plural]
            records.drop_values(name, [old], record.id)
            if record.properties[name]:
                records.note_value(name, record.properties[name], record.id)

    def _drop(self, kind: ObjectType, record: Record) -> None:
        for name, known in self.schema.definitions(kind.plural).items():
            if "u" in known.flags and name in record.properties:
                self.records[kind.plural].drop_values(name, [record.properties[name]], record.id)
        if kind.plural in UNIQUE:
            self.records[kind.plural].drop_values(UNIQUE[kind.plural], self._unique_texts(kind, record), record.id)

    def _neighbours(self, kind: ObjectType, record_id: int) -> list[Place]:
        both = [(links, links.end if links.start is kind else links.start) for links in self.links if kind in (links.start, links.end)]
        return [(other, end) for links, other in both for end in links.others(kind, record_id)]

    @contextmanager
    def _recounting(self, at: datetime, places: Iterable[Place]) -> Generator[None]:
        """Change links within; the records whose numbers of associated records changed by that count as modified."""
        before = {place: self._numbers(*place) for place in places}
        yield
        for (kind, record_id), numbers in before.items():
            records = self.records[kind.plural]
            records.version += 1
            if self.association_changes_bump() and records.is_live(record_id) and self._numbers(kind, record_id) != numbers:
                records.change(record_id, at).updated = at

    def _numbers(self, kind: ObjectType, record_id: int) -> list[Any]:
        return [self.count(kind, record_id, other) for other in (CONTACTS, COMPANIES, DEALS)]

    def _tell_links(self, links: Links, start: int, end: int, at: datetime, source: str, *, removed: bool) -> None:
        main = primary(links)
        is_primary = main is not None and main in links.of(links.start, start).get(end, ())
        for kind, mine, other, its in ((links.start, start, links.end, end), (links.end, end, links.start, start)):
            more = {
                "associationType": f"{kind.singular}_to_{other.singular}".upper(), "fromObjectId": mine, "toObjectId": its,
                "associationRemoved": removed, "isPrimaryAssociation": is_primary,
            }  # fmt: skip
            self._tell(kind, "associationChange", mine, to_milliseconds(at), source, more)

    def _tell(self, kind: ObjectType, what: What, record_id: int, at: datetime, source: str, more: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener(Happening(kind, what, record_id, at, source, more))


_DEFAULTS = {
    "contacts": {"lifecyclestage": "lead"},
    "deals": {"dealstage": "appointmentscheduled", "pipeline": "default", "deal_currency_code": "USD"},
}


def further(stage: str, than: str) -> bool:
    """Whether a lifecycle stage is further down the funnel than another. A portal's own stages are nowhere on it: any move is taken."""
    order = list(LIFECYCLE_STAGES)
    return stage not in order or than not in order or order.index(stage) > order.index(than)


def to_milliseconds(at: datetime) -> datetime:
    """HubSpot keeps moments to the millisecond."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
