"""The portal's records: the world's, as HubSpot keeps them, and every change made since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import numpy as np

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox import columns
from cdp_pipelines.sandbox.hubspot import translate
from cdp_pipelines.sandbox.hubspot.associations import CONTACT_COMPANY_PRIMARY, DEAL_CONTACT
from cdp_pipelines.sandbox.hubspot.portal import Portal, further
from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, TYPES, Property
from cdp_pipelines.sandbox.hubspot.records import Record, Records
from cdp_pipelines.sandbox.hubspot.schema import GROUPS
from cdp_pipelines.sandbox.hubspot.world_links import WorldLinks
from cdp_pipelines.sandbox.ids import Ids
from cdp_pipelines.sandbox.people import CrmView, Owner
from cdp_pipelines.sandbox.salesforce.ids import make_id

_ADDED = "everyday_"


class HubSpotStore(Portal):
    """A portal that begins with the world's contacts, companies, deals and owners; a `CrmStore`.

    `salesforce` is what the Salesforce org that this portal syncs with knows; from it comes whether a contact is known there as a contact
    or as a lead (without it: a contact).
    """

    kind: ClassVar[Kind] = "hubspot"

    def __init__(self, view: CrmView, owners: Sequence[Owner], *, salesforce: CrmView | None = None):
        super().__init__()
        self.owners = owners
        self.tokens_revoked = False
        self._salesforce_people = columns.of_people(salesforce.people) if salesforce is not None else None
        self._world_links = WorldLinks(view)
        self.records = self._read_world(view)
        self._contact_company, self._deal_contact, self._deal_company = self.links[:3]
        self._link_world()

    def _read_world(self, view: CrmView) -> dict[str, Records]:
        """One pass over the world for what lists and searches need; the records themselves are made when asked for."""
        people, kept = columns.of_people(view.people), self._world_links
        lost = kept.survivors != np.arange(len(people.fate))

        def contact(number: int) -> Record:
            record = translate.contact(contacts.id(number), view.people[number], self._salesforce_ids)
            record.merged = [(contacts.id(n), columns.moment(int(people.fate_at[n]))) for n in kept.losers.get(number, ())]
            return record

        contacts = Records(CONTACTS, contact, people.created, people.updated, np.flatnonzero(people.fate == columns.DELETED), lost,
            {"email": lambda text: columns.candidates(view.people, "email", text)})  # fmt: skip
        self.merges["contacts"] = {contacts.id(loser): contacts.id(winner) for winner, found in kept.losers.items() for loser in found}
        of_companies, of_deals = columns.of_companies(view.companies), columns.of_deals(view.deals)
        companies = Records(
            COMPANIES, lambda n: translate.company(companies.id(n), view.companies[n]), of_companies.created, of_companies.updated
        )  # fmt: skip
        deals = Records(
            DEALS, lambda n: translate.deal(deals.id(n), view.deals[n]), of_deals.created, of_deals.updated, np.flatnonzero(of_deals.deleted)
        )  # fmt: skip
        others = {t.plural: Records(t, _nothing) for t in TYPES}
        return others | {"contacts": contacts, "companies": companies, "deals": deals}

    def _link_world(self) -> None:
        world = self._world_links
        self._contact_company.begin_with(world.companies_of, world.contacts_of)
        self._deal_contact.begin_with(world.deal_contacts_of, world.contact_deals_of)
        self._deal_company.begin_with(world.company_of_deal, world.deals_of_company)

    def person_id(self, number: int) -> str:
        """The id of the contact with this number in the world."""
        return str(self.records["contacts"].id(number))

    def company_id(self, number: int) -> str:
        """The id of the company with this number in the world."""
        return str(self.records["companies"].id(number))

    def deal_id(self, number: int) -> str:
        """The id of the deal with this number in the world."""
        return str(self.records["deals"].id(number))

    def revoke_tokens(self) -> None:
        """Let the access token no longer be accepted; a private app's has no way to renew itself."""
        self.tokens_revoked = True

    def primary_company(self, contact: int) -> str | None:
        """The id of a contact's primary company."""
        ends = self._contact_company.of(CONTACTS, contact)
        return next(
            (str(end) for end, types in ends.items() if CONTACT_COMPANY_PRIMARY in types and self.records["companies"].is_live(end)), None
        )

    @property
    def merged_into(self) -> dict[int, int]:
        """Contacts that were merged away, and the contact that stands for each."""
        return self.merges["contacts"]

    def _salesforce_ids(self, number: int) -> dict[str, str]:
        people = self._salesforce_people
        if people is None or number >= len(people.contact) or people.contact.item(number):
            return {"salesforcecontactid": make_id("003", number)}
        lead = {"salesforceleadid": make_id("00Q", number)}
        if people.fate.item(number) == columns.CONVERTED:
            return lead | {"salesforcecontactid": make_id("003", people.merged_into.item(number))}
        return lead

    # CrmStore: what the living world reads and changes.

    def live_people(self) -> Ids:
        """See CrmStore."""
        contacts = self.records["contacts"]
        return contacts.ids(contacts.live)

    def deleted_people(self) -> Ids:
        """See CrmStore."""
        contacts = self.records["contacts"]
        return contacts.ids(contacts.archived)

    def purgeable_people(self) -> Ids:
        """See Purges: live and archived contacts."""
        contacts = self.records["contacts"]
        return contacts.ids(contacts.live + contacts.archived)

    def purge_record(self, record: str, at: datetime) -> None:
        """See Purges. Erase a contact, live or archived. Raises KeyError when there is none."""
        contacts, contact = self.records["contacts"], int(record)
        if not contacts.is_live(contact) and not contacts.is_archived(contact):
            raise KeyError(record)
        self.purge(CONTACTS, contact, at)

    def live_companies(self) -> Ids:
        """See KeepsCompanies."""
        companies = self.records["companies"]
        return companies.ids(companies.live)

    def edit_company(self, company: str, fields: dict[str, Any], at: datetime) -> dict[str, Any]:
        """See KeepsCompanies. A HubSpot company has no region."""
        known = {name: value for name, value in fields.items() if name != "region"}
        texts = {name: value.upper().replace(" ", "_") if name == "industry" else value for name, value in known.items()}
        self.set_properties(COMPANIES, int(company), texts, at)
        return known

    def move_person(self, person: str, company: str, at: datetime) -> bool:
        """See KeepsCompanies: another company becomes the primary one, and the person stays with the others."""
        if self.primary_company(int(person)) == company:
            return False
        self.associate(self._contact_company, int(person), int(company), (CONTACT_COMPANY_PRIMARY,), at)
        return True

    def added_fields(self) -> list[str]:
        """See HasCustomFields."""
        return [name for name in self.schema.definitions("contacts") if name.startswith(_ADDED)]

    def add_field_for_people(self, number: int, at: datetime) -> str:
        """See HasCustomFields."""
        name = f"{_ADDED}{number}"
        self.schema.put("contacts", Property(name, f"Everyday {number}", "string", "text", GROUPS["contacts"], "x", created=at, updated=at))
        return name

    def rename_field_for_people(self, field: str, number: int, at: datetime) -> str:
        """See HasCustomFields. In HubSpot only a property's label can change, never its name."""
        self.schema.change("contacts", field, at, label=f"Everyday {number}")
        return field

    def live_deals(self) -> Ids:
        """See CrmStore."""
        deals = self.records["deals"]
        return deals.ids(deals.live)

    def deal_people(self, deal: str) -> list[str]:
        """See CrmStore."""
        return [str(i) for i in self.associated(DEALS, int(deal), CONTACTS)]

    def counts(self) -> dict[str, int]:
        """See CrmStore."""
        return {name: len(self.records[name].live) for name in ("contacts", "companies", "deals")} | {"owners": len(self.owners)}

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """See CrmStore. A new contact is a lead unless told otherwise, as in HubSpot."""
        texts = {translate.PERSON_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items() if v is not None}
        return str(self.create(CONTACTS, texts, at).id)

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore."""
        self.set_properties(CONTACTS, int(person), {translate.PERSON_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items()}, at)

    def delete_person(self, person: str, at: datetime) -> None:
        """See CrmStore. HubSpot archives; that does not count as a modification."""
        self.archive(CONTACTS, int(person), at)

    def restore_person(self, person: str, at: datetime) -> None:
        """See CrmStore. That does not count as a modification either."""
        self.restore(CONTACTS, int(person), at)

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        """See CrmStore. The winner keeps its id and values, and takes the loser's where it has none, and its links."""
        self.merge(CONTACTS, int(winner), int(loser), at)

    def convert_person(self, person: str, at: datetime) -> str | None:
        """See CrmStore. HubSpot has contacts only."""
        return None

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """See CrmStore. HubSpot moves the contacts of a new deal on to the stage Opportunity."""
        texts = {translate.DEAL_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items() if v is not None}
        record = self.create(DEALS, texts, at)
        for person in people:
            self.link(str(record.id), person, at)
        self.advance_contacts(record, at)
        return str(record.id)

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """See CrmStore. HubSpot moves the contacts of a deal that is won on to the stage Customer."""
        record = self.records["deals"].get(int(deal))
        texts = {translate.DEAL_FIELDS[f]: translate.text_of(f, v) for f, v in fields.items()}
        self.set_properties(DEALS, record.id, self.pipelines.completed("deals", texts, record.properties), at)
        if fields.get("stage") is not None:
            self.advance_contacts(self.records["deals"].get(int(deal)), at)

    def delete_deal(self, deal: str, at: datetime) -> None:
        """See CrmStore."""
        self.archive(DEALS, int(deal), at)

    def link(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        self.associate(self._deal_contact, int(deal), int(person), (DEAL_CONTACT,), at)

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """See CrmStore."""
        self.dissociate(self._deal_contact, int(deal), int(person), at)

    def advance_contacts(self, deal: Record, at: datetime) -> None:
        """Move a deal's contacts on: to the stage Customer when it is won, to Opportunity while it is not lost."""
        stage = self.pipelines.stage("deals", deal.properties["dealstage"])
        if stage is None or (stage.closed and not stage.won):
            return
        reached = "customer" if stage.won else "opportunity"
        for contact in self.associated(DEALS, deal.id, CONTACTS):
            if further(reached, self.records["contacts"].get(contact).properties.get("lifecyclestage", "")):
                self.set_properties(CONTACTS, contact, {"lifecyclestage": reached}, at, "DEALS")


def _nothing(number: int) -> Record:
    raise KeyError(number)
