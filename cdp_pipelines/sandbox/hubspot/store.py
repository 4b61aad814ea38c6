"""The portal's records: the world's, as HubSpot keeps them, and every change made since."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.hubspot import translate
from cdp_pipelines.sandbox.hubspot.associations import (
    CONTACT_COMPANY,
    CONTACT_COMPANY_PRIMARY,
    DEAL_COMPANY,
    DEAL_COMPANY_PRIMARY,
    DEAL_CONTACT,
    DEAL_CONTACT_LABELS,
    PRIMARY_CONTACT,
    Links,
    Types,
    no_links,
)
from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, LIFECYCLE_STAGES, TYPES, ObjectType
from cdp_pipelines.sandbox.hubspot.records import Record, Records, milliseconds
from cdp_pipelines.sandbox.people import CrmView, DealContact, Owner, PersonRecord
from cdp_pipelines.sandbox.salesforce.ids import make_id

Place = tuple[ObjectType, int]


class HubSpotStore:
    """A portal's contacts, companies, deals and owners; a `CrmStore`.

    `salesforce` is what the Salesforce org that this portal syncs with knows; from it comes whether a contact is known there as a contact
    or as a lead (without it: a contact). With `association_changes_bump`, a record whose number of associated records changes counts as
    modified, because HubSpot writes that number on the record. Approximated: whether every portal does so is not documented.
    """

    kind: ClassVar[Kind] = "hubspot"

    def __init__(self, view: CrmView, owners: Sequence[Owner], *, salesforce: CrmView | None = None, association_changes_bump: bool = True):
        self.owners = owners
        self.association_changes_bump = association_changes_bump
        self.tokens_revoked = False
        self._view, self._salesforce = view, salesforce
        self.merged_into: dict[int, int] = {}
        self.records = self._read_world(view)
        self.links = no_links()
        self._contact_company, self._deal_contact, self._deal_company = self.links
        self._link_world(view)

    def _read_world(self, view: CrmView) -> dict[str, Records]:
        """One pass over the world for what lists and searches need; the records themselves are made when asked for."""
        losers: dict[int, list[PersonRecord]] = {}
        gone, archived, updated = set(), array("q"), array("q")
        for person in view.people:
            updated.append(milliseconds(max(person.updated, person.created)))
            if person.fate == "merged":
                gone.add(person.number)
                losers.setdefault(_survivor(view, person), []).append(person)
            elif person.fate == "deleted":
                archived.append(person.number)

        def contact(number: int) -> Record:
            record = translate.contact(contacts.id(number), view.people[number], self._salesforce_ids)
            record.merged = [(contacts.id(p.number), p.fate_at or p.updated) for p in losers.get(number, [])]
            return record

        contacts = Records(CONTACTS, contact, updated, archived, gone)
        self.merged_into = {contacts.id(p.number): contacts.id(n) for n, found in losers.items() for p in found}
        companies = Records(
            COMPANIES, lambda n: translate.company(companies.id(n), view.companies[n]),
            array("q", (milliseconds(max(c.updated, c.created)) for c in view.companies)), array("q"), set(),
        )  # fmt: skip
        deals = Records(
            DEALS, lambda n: translate.deal(deals.id(n), view.deals[n]),
            array("q", (milliseconds(max(d.updated, d.created)) for d in view.deals)),
            array("q", (d.number for d in view.deals if d.deleted)), set(),
        )  # fmt: skip
        others = {t.plural: Records(t, _nothing, array("q"), array("q"), set()) for t in TYPES}
        return others | {"contacts": contacts, "companies": companies, "deals": deals}

    def _link_world(self, view: CrmView) -> None:
        contacts, companies, deals = (self.records[k] for k in ("contacts", "companies", "deals"))
        for person in view.people:
            if person.company is not None:
                contact, company = self._survivor(contacts.id(person.number)), companies.id(person.company)
                first = not self._contact_company.of(CONTACTS, contact)
                self._contact_company.add(contact, company, (CONTACT_COMPANY_PRIMARY, CONTACT_COMPANY) if first else (CONTACT_COMPANY,))
        for deal in view.deals:
            if deal.company is not None:
                self._deal_company.add(deals.id(deal.number), companies.id(deal.company), (DEAL_COMPANY_PRIMARY, DEAL_COMPANY))
            for part in deal.contacts:
                self._deal_contact.add(deals.id(deal.number), self._survivor(contacts.id(part.person)), _types(part))

    def person_id(self, number: int) -> str:
        """The id of the contact with this number in the world."""
        return str(self.records["contacts"].id(number))

    def company_id(self, number: int) -> str:
        """The id of the company with this number in the world."""
        return str(self.records["companies"].id(number))

    def revoke_tokens(self) -> None:
        """Let the access token no longer be accepted; a private app's has no way to renew itself."""
        self.tokens_revoked = True

    # What the API reads.

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

    def primary_company(self, contact: int) -> str | None:
        """The id of a contact's primary company."""
        ends = self._contact_company.of(CONTACTS, contact)
        return next(
            (str(end) for end, types in ends.items() if CONTACT_COMPANY_PRIMARY in types and self.records["companies"].is_live(end)), None
        )

    def _survivor(self, contact: int) -> int:
        return self.merged_into.get(contact, contact)

    def _salesforce_ids(self, number: int) -> dict[str, str]:
        record = self._salesforce.people[number] if self._salesforce is not None and number < len(self._salesforce.people) else None
        if record is None or record.role == "contact":
            return {"salesforcecontactid": make_id("003", number)}
        lead = {"salesforceleadid": make_id("00Q", number)}
        if record.fate == "converted" and record.merged_into is not None:
            return lead | {"salesforcecontactid": make_id("003", record.merged_into)}
        return lead

    # CrmStore: what the living world reads and changes.

    def live_people(self) -> list[str]:
        """See CrmStore."""
        return [str(i) for i in self.records["contacts"].live]

    def deleted_people(self) -> list[str]:
        """See CrmStore."""
        return [str(i) for i in self.records["contacts"].archived]

    def live_deals(self) -> list[str]:
        """See CrmStore."""
        return [str(i) for i in self.records["deals"].live]

    def deal_people(self, deal: str) -> list[str]:
        """See CrmStore."""
        return [str(i) for i in self.associated(DEALS, int(deal), CONTACTS)]

    def counts(self) -> dict[str, int]:
        """See CrmStore."""
        return {name: len(self.records[name].live) for name in ("contacts", "companies", "deals")} | {"owners": len(self.owners)}

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """See CrmStore. A new contact is a lead unless told otherwise, as in HubSpot."""
        record = self.records["contacts"].add(_to_milliseconds(at))
        properties = {translate.PERSON_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items() if v is not None}
        for name, value in {"lifecyclestage": "lead", "hs_object_source": "CRM_UI", **properties}.items():
            record.set(name, value, record.created, "CRM_UI")
        return str(record.id)

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore."""
        self.set_properties(CONTACTS, int(person), {translate.PERSON_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items()}, at)

    def delete_person(self, person: str, at: datetime) -> None:
        """See CrmStore. HubSpot archives; that does not count as a modification."""
        self.archive(CONTACTS, int(person), at)

    def restore_person(self, person: str, at: datetime) -> None:
        """See CrmStore. That does not count as a modification either."""
        contact, at = int(person), _to_milliseconds(at)
        with self._recounting(at, self._neighbours(CONTACTS, contact)):
            self.records["contacts"].change(contact, at).archived = None
            self.records["contacts"].show(contact)

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        """See CrmStore. The winner keeps its id and values, and takes the loser's where it has none, and its links."""
        keep, lose, at = int(winner), int(loser), _to_milliseconds(at)
        contacts = self.records["contacts"]
        with self._recounting(at, [*self._neighbours(CONTACTS, keep), *self._neighbours(CONTACTS, lose)]):
            winning, losing = contacts.change(keep, at), contacts.change(lose, at)
            contacts.hide(lose, archive=False)
            for name, value in losing.properties.items():
                if not winning.properties.get(name) or (name == "lifecyclestage" and _further(value, winning.properties[name])):
                    winning.set(name, value, at, "MERGE_OBJECTS")
            winning.merged += [(lose, at), *losing.merged]
            winning.created, winning.updated = min(winning.created, losing.created), at
            if self.primary_company(keep):
                for company, types in list(self._contact_company.of(CONTACTS, lose).items()):
                    self._contact_company.remove(lose, company)
                    self._contact_company.add(keep, company, tuple(t for t in types if t is not CONTACT_COMPANY_PRIMARY))
            self._contact_company.move(CONTACTS, lose, keep)
            self._deal_contact.move(CONTACTS, lose, keep)
            self.merged_into |= {lose: keep} | {gone: keep for gone, _ in losing.merged}

    def convert_person(self, person: str, at: datetime) -> str | None:
        """See CrmStore. HubSpot has contacts only."""
        return None

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """See CrmStore. HubSpot moves the contacts of a new deal on to the stage Opportunity."""
        at = _to_milliseconds(at)
        record = self.records["deals"].add(at)
        texts = {translate.DEAL_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items() if v is not None}
        defaults = {"dealstage": translate.STAGES[0], "pipeline": "default", "deal_currency_code": "USD", "hs_object_source": "CRM_UI"}
        for name, value in (defaults | texts).items():
            record.set(name, value, at, "CRM_UI")
        for person in people:
            self.link(str(record.id), person, at)
        self._advance_contacts(record, at)
        return str(record.id)

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore. HubSpot moves the contacts of a deal that is won on to the stage Customer."""
        self.set_properties(DEALS, int(deal), {translate.DEAL_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items()}, at)
        if fields.get("stage") is not None:
            self._advance_contacts(self.records["deals"].get(int(deal)), _to_milliseconds(at))

    def delete_deal(self, deal: str, at: datetime) -> None:
        """See CrmStore."""
        self.archive(DEALS, int(deal), at)

    def link(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        with self._recounting(_to_milliseconds(at), [(DEALS, int(deal)), (CONTACTS, int(person))]):
            self._deal_contact.add(int(deal), int(person), (DEAL_CONTACT,))

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        with self._recounting(_to_milliseconds(at), [(DEALS, int(deal)), (CONTACTS, int(person))]):
            self._deal_contact.remove(int(deal), int(person))

    # What they are made of, by type.

    def set_properties(self, kind: ObjectType, record_id: int, properties: dict[str, str], at: datetime, source: str = "CRM_UI") -> None:
        """Set properties of a record; it counts as modified if one of them changed."""
        at = _to_milliseconds(at)
        record = self.records[kind.plural].change(record_id, at)
        # Not a generator: every one of them must be set.
        changed = [record.set(name, value, at, source) for name, value in properties.items()]
        if any(changed):
            record.updated = at

    def archive(self, kind: ObjectType, record_id: int, at: datetime) -> None:
        """Put a live record among the archived ones."""
        at = _to_milliseconds(at)
        with self._recounting(at, self._neighbours(kind, record_id)):
            self.records[kind.plural].change(record_id, at).archived = at
            self.records[kind.plural].hide(record_id, archive=True)

    def _advance_contacts(self, deal: Record, at: datetime) -> None:
        stage = deal.properties["dealstage"]
        reached = "customer" if stage == "closedwon" else "opportunity"
        for contact in self.associated(DEALS, deal.id, CONTACTS) if stage != "closedlost" else ():
            if _further(reached, self.records["contacts"].get(contact).properties.get("lifecyclestage", "")):
                self.set_properties(CONTACTS, contact, {"lifecyclestage": reached}, at, "DEALS")

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
            if self.association_changes_bump and records.is_live(record_id) and self._numbers(kind, record_id) != numbers:
                records.change(record_id, at).updated = at

    def _numbers(self, kind: ObjectType, record_id: int) -> list[Any]:
        return [self.count(kind, record_id, other) for other in (CONTACTS, COMPANIES, DEALS)]


def _types(part: DealContact) -> Types:
    labels = [*([PRIMARY_CONTACT] if part.primary else []), *([part.role] if part.role else [])]
    return (DEAL_CONTACT, *(DEAL_CONTACT_LABELS[label] for label in labels if label in DEAL_CONTACT_LABELS))


def _survivor(view: CrmView, person: PersonRecord) -> int:
    while person.fate == "merged" and person.merged_into is not None:
        person = view.people[person.merged_into]
    return person.number


def _further(stage: str, than: str) -> bool:
    """Whether a lifecycle stage is further down the funnel than another."""
    order = list(LIFECYCLE_STAGES)
    return stage in order and (than not in order or order.index(stage) > order.index(than))


def _to_milliseconds(at: datetime) -> datetime:
    """HubSpot keeps moments to the millisecond."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _nothing(number: int) -> Record:
    raise KeyError(number)
