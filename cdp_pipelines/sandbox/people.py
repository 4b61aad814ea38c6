"""The seeded world: people, companies, deals and campaigns, and how each of the three CRMs knows them, dirt included.

Everything follows from the seed, the number of people and a record's number, so the same world is the same on every machine. The emulated CRMs translate
these neutral records to their own objects; who is the same person as whom is known here, and only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from cdp_pipelines.config import KINDS, Kind


@dataclass(frozen=True)
class Owner:
    """A sales representative: a Salesforce user and a HubSpot owner."""

    number: int
    first_name: str
    last_name: str
    email: str
    active: bool = True


@dataclass(frozen=True)
class CompanyRecord:
    """A company as one CRM knows it. `company` is the truth: equal numbers are the same company.

    `salesforce_number` is the number of the account that a HubSpot with a Salesforce sync says this one belongs to.
    """

    company: int
    number: int
    name: str
    domain: str | None
    industry: str | None
    phone: str | None
    street: str | None
    city: str | None
    state: str | None
    postal_code: str | None
    country: str | None
    employees: int | None
    annual_revenue: Decimal | None
    owner: int
    created: datetime
    updated: datetime
    salesforce_number: int | None = None


# Not frozen, since that makes the making of one five times as long, and pages are made of them.
@dataclass(slots=True)
class PersonRecord:
    """A person as one CRM knows them. Not to be changed. `person` is the truth: equal numbers are the same person, in any CRM.

    `number` is the record's place among this CRM's person records (0, 1, 2 ... with no gap), from which its id is made.
    `merged_into` and `salesforce_number` are such numbers too: of the surviving record in this CRM, and of the Salesforce record that
    a CRM with a Salesforce sync says this one belongs to. `company` is a CompanyRecord's number in this CRM. Of a converted lead,
    `merged_into` is the contact that it became. `lifecycle_stage` is one of HubSpot's internal names (`marketingqualifiedlead`).
    """

    person: int
    number: int
    role: Literal["contact", "lead"]
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    mobile: str | None
    title: str | None
    company: int | None
    company_name: str | None
    city: str | None
    state: str | None
    country: str | None
    lead_score: int | None
    lead_source: str | None
    lifecycle_stage: str
    do_not_email: bool
    owner: int
    created: datetime
    updated: datetime
    fate: Literal["alive", "deleted", "merged", "converted"] = "alive"
    fate_at: datetime | None = None
    merged_into: int | None = None
    salesforce_number: int | None = None


def does_not_want_calls(person: int) -> bool:
    """Whether somebody asked not to be called; all CRMs that can say it say so."""
    return person % 31 == 17


@dataclass(frozen=True)
class DealContact:
    """A person's part in a deal; `person` is a PersonRecord's number in the same CRM."""

    person: int
    role: str | None
    primary: bool


@dataclass(frozen=True)
class Deal:
    """A deal as one CRM knows it. `deal` is the truth: equal numbers are the same deal.

    `stage` is 0 to 6 in the default pipeline, 5 is won, 6 is lost. `salesforce_number` is the number of the opportunity that a HubSpot with
    a Salesforce sync says this one belongs to.
    """

    deal: int
    number: int
    name: str
    company: int | None
    contacts: tuple[DealContact, ...]
    stage: int
    amount: Decimal | None
    currency: str
    close_date: date | None
    owner: int
    created: datetime
    updated: datetime
    deleted: bool = False
    salesforce_number: int | None = None


@dataclass(frozen=True)
class CampaignMember:
    """A person's part in a campaign; `person` is a PersonRecord's number in the same CRM."""

    person: int
    status: str
    responded: bool
    created: datetime


@dataclass(frozen=True)
class Campaign:
    """A campaign as one CRM knows it (Salesforce campaigns, Marketo programs with a smart campaign each; HubSpot has none)."""

    number: int
    name: str
    type: str
    status: str
    start: date
    end: date | None
    members: Sequence[CampaignMember]
    owner: int
    created: datetime
    updated: datetime


@dataclass(frozen=True)
class CrmView:
    """What one CRM knows of the world. Each sequence is in order of `number`."""

    kind: Kind
    companies: Sequence[CompanyRecord]
    people: Sequence[PersonRecord]
    deals: Sequence[Deal]
    campaigns: Sequence[Campaign]


@dataclass(frozen=True)
class World:
    """The whole world. `anchor` is the moment at which its history ends; nothing in it is later."""

    seed: int
    anchor: datetime
    owners: Sequence[Owner]
    salesforce: CrmView
    hubspot: CrmView
    marketo: CrmView

    def view(self, kind: Kind) -> CrmView:
        """What one CRM knows."""
        return getattr(self, kind)


def build_world(*, people: int = 5000, seed: int = 1, empty: frozenset[Kind] = frozenset()) -> World:
    """The world with this many people. CRMs named in `empty` know nobody and nothing (owners apart); the others stay as they were.

    Records are made when somebody asks for them; `columns` tells what must be known of all of them before.
    """
    # What makes the records above can only be imported once they exist.
    from cdp_pipelines.sandbox.columns import Lazy
    from cdp_pipelines.sandbox.generator import ANCHOR, Population, owners
    from cdp_pipelines.sandbox.lookup import Lookup
    from cdp_pipelines.sandbox.records import Book, knowing
    from cdp_pipelines.sandbox.selling import Deals, Market, campaigns
    from cdp_pipelines.sandbox.wording import Wording

    population = Population(seed, people)
    market, known = Market(population), knowing(population)

    def known_by(kind: Kind) -> tuple[Book, Deals, CrmView]:
        book = Book(kind, population, known[kind])
        columns, companies = book.columns(), book.company_columns()
        wording = Wording(book, columns, companies)
        lookup = Lookup(book, companies, wording.person)
        deals = Deals(market, book)
        view = CrmView(
            kind=kind,
            companies=Lazy(len(companies.company), wording.company, companies, {"name": lookup.companies_named}),
            people=Lazy(len(columns.person), wording.person, columns, {"email": lookup.people_with_email}),
            deals=deals.sequence(),
            campaigns=campaigns(book) if people and kind != "hubspot" else [],
        )
        return book, deals, view

    views: dict[Kind, CrmView] = {kind: CrmView(kind, (), (), (), ()) for kind in KINDS}
    kinds = [kind for kind in KINDS if kind not in empty]
    # Columns are made outside Python's lock, so that two processors are of use.
    with ThreadPoolExecutor() as pool:
        books = dict(zip(kinds, pool.map(known_by, kinds), strict=True))
    for kind, (book, deals, view) in books.items():
        views[kind] = view
        if kind != "salesforce" and "salesforce" in books:
            book.sync_with(books["salesforce"][0])
        if kind == "hubspot" and "salesforce" in books:
            deals.sync_with(books["salesforce"][1])
    return World(seed=seed, anchor=ANCHOR, owners=owners(seed), **views)


def truth(world: World) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Who is who: `people`, `companies` and `deals`, each the truth's number (as text) -> the records that speak of it, as crm, number and role.

    Every record of every CRM is in it exactly once, deleted, merged and converted ones too.
    """
    # As in build_world.
    from cdp_pipelines.sandbox.columns import of_deals

    found: dict[str, dict[str, list[dict[str, Any]]]] = {"people": {}, "companies": {}, "deals": {}}
    for kind in KINDS:
        for person in world.view(kind).people:
            found["people"].setdefault(str(person.person), []).append({"crm": kind, "number": person.number, "role": person.role})
        for company in world.view(kind).companies:
            found["companies"].setdefault(str(company.company), []).append({"crm": kind, "number": company.number, "role": "company"})
        for number, deal in enumerate(of_deals(world.view(kind).deals).truth.tolist()):
            found["deals"].setdefault(str(deal), []).append({"crm": kind, "number": number, "role": "deal"})
    return found
