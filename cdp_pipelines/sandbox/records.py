"""How each CRM came to know the people and companies of the world: its records, with everything that is wrong in them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox import dirt, names
from cdp_pipelines.sandbox.generator import ANCHOR, Firm, Human, Population
from cdp_pipelines.sandbox.people import CampaignMember, CompanyRecord, Deal, PersonRecord
from cdp_pipelines.sandbox.selling import memberships, open_deal

# Share of the world's people that a CRM knows.
KNOWN: dict[Kind, float] = {"salesforce": 0.60, "hubspot": 0.65, "marketo": 0.55}
# Nights on which a data job touched many records in the same second.
IMPORTS = tuple(ANCHOR - timedelta(days=days, hours=9) for days in (400, 275, 190, 96, 41, 6))


def populate(people: int, seed: int, salesforce_sync: bool) -> list[Book]:
    """The three CRMs' records of a world. With `salesforce_sync` the other two often name the Salesforce record of a shared person."""
    population = Population(seed)
    books = [Book(kind, seed) for kind in KINDS]
    colleagues: dict[int, list[int]] = defaultdict(list)
    deals = 0
    for number in range(people):
        human = population.add_human(number)
        rng = Random(f"{seed}:records:{number}")
        knowing = [rng.random() < KNOWN[kind] for kind in KINDS]
        if not any(knowing):
            knowing[rng.randrange(len(KINDS))] = True
        salesforce_record = None
        for book, knows in zip(books, knowing, strict=True):
            if knows:
                synced = rng.random() < 0.4 and salesforce_sync
                book.meet(rng, human, salesforce_record if synced else None)
                salesforce_record = book.main_record[number] if book.kind == "salesforce" else salesforce_record
        around = colleagues[human.firm.number] if human.firm else []
        if rng.random() < 0.16:
            for book in books:
                if rng.random() < 0.62:
                    open_deal(rng, deals, human, book, around[-6:])
            deals += 1
        around.append(number)
    return books


class Book:
    """One CRM's records while they are made."""

    def __init__(self, kind: Kind, seed: int):
        self.kind: Kind = kind
        self.seed = seed
        self.companies: list[CompanyRecord] = []
        self.people: list[PersonRecord] = []
        self.deals: list[Deal] = []
        self.members: dict[int, list[CampaignMember]] = defaultdict(list)
        # Truth number of a company -> its records; of a person -> the record to which other CRMs and deals point.
        self.company_records: dict[int, list[int]] = {}
        self.main_record: dict[int, int] = {}
        self._emails: set[str] = set()

    def company(self, firm: Firm) -> int:
        """A record of the company, made when it is first spoken of; about 3 % of companies have two."""
        if firm.number not in self.company_records:
            rng = Random(f"{self.seed}:{self.kind}:company:{firm.number}")
            self.company_records[firm.number] = [self._add_company(rng, firm)]
            if rng.random() < 0.03:
                self.company_records[firm.number].append(self._add_company(rng, firm, twin=True))
        return self.company_records[firm.number][0]

    def _add_company(self, rng: Random, firm: Firm, twin: bool = False) -> int:
        created = ANCHOR - timedelta(seconds=rng.randrange(400 * 86_400, 730 * 86_400))
        city, state, postal_code = firm.city
        number = len(self.companies)
        self.companies.append(
            CompanyRecord(
                company=firm.number, number=number, name=dirt.company_name(rng, firm.name),
                domain=None if twin else rng.choice((firm.domain, firm.domain, firm.domain, f"www.{firm.domain}", None)),
                industry=firm.industry if rng.random() < 0.85 else None,
                phone=dirt.phone(rng, firm.switchboard, firm.country) if firm.switchboard and rng.random() < 0.8 else None,
                street=firm.street if rng.random() < 0.8 else None, city=city, state=state, postal_code=postal_code,
                country=rng.choice(names.COUNTRY_SPELLINGS[firm.country]), employees=firm.employees if rng.random() < 0.7 else None,
                annual_revenue=firm.revenue if rng.random() < 0.6 else None, owner=firm.owner, created=created, updated=_updated(rng, created),
            )
        )  # fmt: skip
        return number

    def meet(self, rng: Random, human: Human, salesforce_number: int | None) -> None:
        """Add the record or records of a person: usually one, sometimes a duplicate, merged, deleted or converted one."""
        role: Literal["contact", "lead"] = "contact" if self.kind == "hubspot" else "lead"
        if self.kind == "salesforce" and rng.random() >= 0.425:
            role = "contact"
        first = self._add_person(rng, human, role, salesforce_number)
        chance = rng.random()
        if chance < 0.15 and role == "lead" and self.kind == "salesforce":
            first = self._convert(rng, human, first)
        elif chance > 0.985:
            self._end(rng, first, "deleted")
        twin = rng.random()
        if twin < 0.05:
            role = self.people[first].role
            second = self._add_person(rng, human, role, salesforce_number)
            if twin < 0.012 and self.people[first].fate == "alive":
                self._end(rng, second, "merged", into=first)
        for number in {first, len(self.people) - 1}:
            self._register(rng, human, number)
        self.main_record[human.number] = first

    def _add_person(self, rng: Random, human: Human, role: Literal["contact", "lead"], salesforce_number: int | None) -> int:
        stale = human.former is not None and rng.random() < 0.45
        firm, work = (human.former, human.former_email) if stale else (human.firm, human.work_email)
        first_name, last_name = dirt.first_and_last(rng, human.first, human.last, self.kind)
        created = human.since + (ANCHOR - human.since) * (rng.random() ** 3 * 0.8)
        created = created.replace(microsecond=created.microsecond // 1000 * 1000 if self.kind == "hubspot" else 0)
        city, state, _ = human.city
        phone, mobile = self._phones(rng, human, firm)
        needs_company = self.kind == "salesforce" and role == "lead"
        known_city = rng.random() < 0.8
        person = PersonRecord(
            person=human.number, number=len(self.people), role=role, first_name=first_name, last_name=last_name,
            email=self._email(rng, human, firm, work), phone=phone, mobile=mobile, title=self._title(rng, human),
            company=self._company_of(rng, firm) if firm and not needs_company else None,
            company_name=dirt.company_name(rng, firm.name) if firm else (rng.choice(dirt.REQUIRED) if needs_company else None),
            city=city if known_city else rng.choice(dirt.MISSING[self.kind]), state=state if known_city else None,
            country=rng.choice(names.COUNTRY_SPELLINGS[human.country]) if rng.random() < 0.85 else None,
            lead_score=max(0, human.score + rng.randint(-5, 5)) if rng.random() < 0.85 else None, lead_source=human.source if rng.random() < 0.8 else None,
            lifecycle_stage=human.stage, do_not_email=human.no_mail != (rng.random() < 0.01), owner=human.owner,
            created=created, updated=self._person_updated(rng, created), salesforce_number=salesforce_number,
        )  # fmt: skip
        self.people.append(person)
        return person.number

    def _company_of(self, rng: Random, firm: Firm) -> int | None:
        self.company(firm)
        return rng.choice(self.company_records[firm.number]) if rng.random() < 0.95 else None

    def _email(self, rng: Random, human: Human, firm: Firm | None, work: str | None) -> str | None:
        """Work address rather than home, spelled somehow; a shared mailbox, a placeholder or nothing now and then."""
        chance = rng.random()
        if firm is not None and firm.shared_mailbox is not None and rng.random() < 0.18:
            address = firm.shared_mailbox
        elif chance < 0.01:
            address = rng.choice(dirt.PLACEHOLDER_EMAILS)
        elif chance < 0.06:
            return rng.choice(dirt.MISSING[self.kind]) if self.kind == "marketo" else None
        else:
            clean = human.home_email if work is None or rng.random() < 0.15 else work
            address = dirt.email_typo(rng, clean) if chance < 0.07 else dirt.email(rng, clean, self.kind)
        if self.kind == "hubspot":
            # HubSpot refuses a second contact with the same address (409 CONFLICT), so there the latecomer has none.
            if address in self._emails:
                return None
            self._emails.add(address)
        return address

    def _phones(self, rng: Random, human: Human, firm: Firm | None) -> tuple[str | None, str | None]:
        """Phone and mobile: the switchboard in about 30 % of the rows, else the person's own, a placeholder or nothing."""
        own = dirt.phone(rng, human.mobile, human.country) if human.mobile else None
        chance = rng.random()
        if chance < 0.33 and firm is not None and firm.switchboard is not None:
            number = dirt.phone(rng, firm.switchboard, firm.country)
        elif chance < 0.72:
            number = own
        elif chance < 0.75:
            number = rng.choice(dirt.PLACEHOLDER_PHONES)
        else:
            number = rng.choice(dirt.MISSING[self.kind])
        mobile = dirt.phone(rng, human.mobile, human.country) if human.mobile and rng.random() < 0.4 else None
        return number, mobile

    def _title(self, rng: Random, human: Human) -> str | None:
        chance = rng.random()
        if chance < 0.015:
            return rng.choice(names.TITLES_ODD)
        if chance < 0.25:
            return rng.choice(dirt.MISSING[self.kind])
        return human.title if chance < 0.9 else names.title(rng)

    def _person_updated(self, rng: Random, created: datetime) -> datetime:
        # Marketo's real exports have rows that were updated one second before they were created.
        if self.kind == "marketo" and rng.random() < 0.03:
            return created - timedelta(seconds=1)
        return _updated(rng, created)

    def _convert(self, rng: Random, human: Human, lead: int) -> int:
        """Convert a lead: the contact takes over the lead's values at that moment."""
        at = self._end(rng, lead, "converted", into=len(self.people))
        old = self.people[lead]
        company = self._company_of(rng, human.firm) if human.firm else None
        contact: dict[str, Any] = {
            "number": len(self.people),
            "role": "contact",
            "company": company,
            "created": at,
            "updated": _updated(rng, at),
        }
        self.people.append(replace(old, **contact, fate="alive", fate_at=None, merged_into=None))
        return len(self.people) - 1

    def _end(self, rng: Random, number: int, fate: Literal["deleted", "merged", "converted"], into: int | None = None) -> datetime:
        """Give a record its fate at some moment after its last change."""
        record = self.people[number]
        start = max(record.created, record.updated, self.people[into].created if fate == "merged" and into is not None else record.created)
        at = (start + (ANCHOR - start) * rng.random()).replace(microsecond=0)
        at = max(at, start)
        if fate == "merged" and into is not None:
            self.people[into] = replace(self.people[into], updated=at)
        self.people[number] = replace(record, fate=fate, fate_at=at, merged_into=into)
        return at

    def _register(self, rng: Random, human: Human, number: int) -> None:
        """Let campaigns know of a record that is still there."""
        record = self.people[number]
        if self.kind != "hubspot" and record.fate == "alive":
            for campaign, member in memberships(rng, record):
                self.members[campaign].append(member)


def _updated(rng: Random, created: datetime) -> datetime:
    """A last change at or after the creation and before the anchor: soon after it, or on the night of an import."""
    if rng.random() < 0.06:
        nights = [night for night in IMPORTS if night > created]
        if nights:
            return rng.choice(nights)
    # Most changes come soon after the creation.
    return created + timedelta(seconds=int((ANCHOR - created).total_seconds() * rng.random() ** 3))
