"""Deals and campaigns of the world."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

import numpy as np

from cdp_pipelines.sandbox import dirt
from cdp_pipelines.sandbox.columns import ALIVE, Column, DealColumns, Lazy, MemberColumns, milliseconds, moment
from cdp_pipelines.sandbox.draws import Dice, Rolls, chances, coarse, hashed, key
from cdp_pipelines.sandbox.generator import ANCHOR, ANCHOR_MS, DAY_MS, OWNERS, Population
from cdp_pipelines.sandbox.people import Campaign, CampaignMember, Deal, DealContact
from cdp_pipelines.sandbox.records import Book

CAMPAIGNS = 12
CAMPAIGN_TYPES = ("Webinar", "Email", "Conference", "Trade Show", "Advertisement", "Direct Mail")
CONTACT_ROLES = (
    "Decision Maker",
    "Economic Buyer",
    "Evaluator",
    "Influencer",
    "Business User",
    "Executive Sponsor",
    "Technical Buyer",
    None,
)
PRODUCTS = ("Platform", "Renewal", "Pilot", "Expansion", "Training", "Support, 3 years", 'Upgrade "Pro"')
WON, LOST = 5, 6
_STATUSES = ("Sent", "Responded", "Registered", "Attended", "No Show")
_RESPONSES = np.array([False, True, True, True, False])
_STATUS_SHARES = np.cumsum((0.60, 0.18, 0.10, 0.08))
_PARTS = np.cumsum((0.10, 0.45, 0.25, 0.12))  # shares of deals with none, one, two and three people; the rest have four
_AROUND = 6
_STAGE_SHARES = (0.12, 0.24, 0.35, 0.45, 0.53, 0.78, 1.0)
_CURRENCY_SHARES = (0.86, 0.93, 0.99, 1.0)


class Market:
    """Who deals are about: 16 % of people, with the colleagues who came before them."""

    def __init__(self, population: Population):
        self.population = population
        # What a deal is, whoever writes it down.
        self.rolls = Rolls(key(population.seed, "deal"))
        self.deal_people = np.flatnonzero(coarse(key(population.seed, "market"), np.arange(population.people))[0] < 0.16).astype(np.int32)
        self.around = self._around()

    def _around(self) -> Column:
        """By deal: the person, then the last colleagues before them, the oldest first; -1 where there is none."""
        firm = self.population.firm
        order = np.argsort(firm, kind="stable").astype(np.int32)
        place = np.empty(len(order), dtype=np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        people = self.deal_people
        columns = [people]
        for back in range(_AROUND, 0, -1):
            at = place[people] - back
            found = order[np.maximum(at, 0)]
            columns.append(np.where((at >= 0) & (firm[people] >= 0) & (firm[found] == firm[people]), found, -1))
        return np.stack(columns, axis=1)


class Deals:
    """One CRM's deals."""

    def __init__(self, market: Market, book: Book):
        self._book, self._population, self._market = book, market.population, market
        seed = self._population.seed
        known = coarse(key(seed, book.kind, "deals"), market.deal_people)[0] < 0.62
        # The truth's numbers of the deals that this CRM knows; what the CRM's people are not known for here has no contacts.
        self._truth = np.flatnonzero(known).astype(np.int32)
        self._salesforce = np.full(len(self._truth), -1, dtype=np.int32)
        self._people = market.deal_people[known]
        self._key = key(seed, book.kind, "deal")
        self._rolls = Rolls(self._key)
        self.columns = self._columns(market.around[known])

    def _columns(self, around: Column) -> DealColumns:
        book, numbers = self._book, np.arange(len(self._truth))
        record = np.where(around >= 0, book.main[around], -1)
        fit = (record >= 0) & (book.fate[record] == ALIVE)
        if book.kind == "salesforce":
            fit &= book.contact[record]  # an opportunity has contacts, never leads
        parts, linked, gone, _ = coarse(key(self._key, "parts"), numbers)
        wanted = np.searchsorted(_PARTS, parts, side="right")
        taken = np.cumsum(fit, axis=1)
        deal, place = np.nonzero(fit & (taken <= wanted[:, None]))
        since = self._population.since[self._people]
        created = since + ((ANCHOR_MS - since) * (chances(key(self._key, "created"), numbers) * 0.95)).astype(np.int64)
        created = created // 1000 * 1000
        days = -30 * np.log1p(-chances(key(self._key, "updated"), numbers))
        updated = np.minimum(created + (days * 86_400).astype(np.int64) * 1000, ANCHOR_MS)
        firm = self._population.firm[self._people]
        company = np.where((firm >= 0) & (linked < 0.92), book.firm_record[firm], -1)
        return DealColumns(self._truth, created, updated, gone < 0.02, company, deal, taken[deal, place] - 1, record[deal, place])

    def sync_with(self, salesforce: Deals) -> None:
        """Let many deals name the Salesforce opportunity that they are, where there is one."""
        synced = coarse(key(self._key, "synced"), np.arange(len(self._truth)))[0] < 0.4
        at = np.searchsorted(salesforce._truth, self._truth)
        there = at < len(salesforce._truth)
        there[there] = salesforce._truth[at[there]] == self._truth[there]
        self._salesforce[synced & there] = at[synced & there]

    def sequence(self) -> Lazy[Deal, DealColumns]:
        """The deals."""
        return Lazy(len(self._truth), self._deal, self.columns)

    @cached_property
    def _starts(self) -> Column:
        return np.searchsorted(self.columns.part_deal, np.arange(len(self._truth) + 1))

    def _deal(self, number: int) -> Deal:
        columns, person = self.columns, int(self._people[number])
        human, truth = self._population.human(person), int(self._truth[number])
        rng = self._market.rolls.of(truth)
        name = f"{human.firm.name if human.firm else human.last} - {rng.choice(PRODUCTS)}"
        stage, amount = rng.weighted(range(7), _STAGE_SHARES), _amount(rng)
        currency = rng.weighted(("USD", "EUR", "GBP", "JPY"), _CURRENCY_SHARES)
        since = moment(int(self._population.since[person]))
        close = (since + (ANCHOR - since) * rng.random() if stage in (WON, LOST) else ANCHOR + timedelta(days=rng.randint(-30, 180))).date()
        rng = self._rolls.of(number)
        people = columns.part_person[self._starts[number] : self._starts[number + 1]].tolist()
        primary = rng.random() < 0.75
        contacts = tuple(DealContact(person, rng.choice(CONTACT_ROLES), primary and nth == 0) for nth, person in enumerate(people))
        # This CRM may be behind the others, and its people type what they think.
        stage = rng.randint(0, 4) if rng.random() < 0.15 else stage
        company, opportunity = int(columns.company[number]), self._salesforce.item(number)
        return Deal(
            deal=truth, number=number, name=dirt.deal_name(rng, name), company=company if company >= 0 else None, contacts=contacts, stage=stage,
            amount=dirt.deal_amount(rng, amount), currency=currency, close_date=dirt.deal_date(rng, close, closed=stage in (WON, LOST)),
            owner=human.owner, created=moment(int(columns.created[number])), updated=moment(int(columns.updated[number])),
            deleted=bool(columns.deleted[number]), salesforce_number=opportunity if opportunity >= 0 else None,
        )  # fmt: skip


def _amount(rng: Dice) -> Decimal | None:
    """Round thousands, an amount with cents, zero, or none."""
    chance = rng.random()
    if chance < 0.1:
        return None
    if chance < 0.13:
        return Decimal("0.00")
    value = Decimal(int(rng.lognormvariate(9.5, 1.2)) + 1)
    return (value // 1000 + 1) * 1000 if chance < 0.6 else value + Decimal(rng.randint(0, 99)).scaleb(-2)


def campaigns(book: Book) -> list[Campaign]:
    """The twelve campaigns, with the members that one CRM has gathered from the records that are still there."""
    seed = book.population.seed
    alive = np.flatnonzero(book.fate == ALIVE).astype(np.int32)
    bits = hashed(key(seed, book.kind, "members"), alive)
    rolls, made = Rolls(key(seed, "campaign")), []
    for number in range(CAMPAIGNS):
        rng = rolls.of(number)
        start = _campaign_start(number)
        kind = CAMPAIGN_TYPES[number % len(CAMPAIGN_TYPES)]
        end = start + timedelta(days=rng.choice((1, 14, 30)))
        status = "Completed" if end < ANCHOR else "In Progress"
        members = alive[((bits >> np.uint64(5 * number)) & np.uint64(31)) < 4.5]
        made.append(
            Campaign(
                number=number, name=f"{start:%Y-%m} {kind}", type=kind, status="Aborted" if rng.random() < 0.08 else status, start=start.date(),
                end=end.date() if rng.random() < 0.8 else None, members=_members(book, number, members), owner=rng.randint(0, OWNERS - 1),
                created=start - timedelta(days=20), updated=min(start + timedelta(hours=rng.randint(0, 900)), ANCHOR),
            )
        )  # fmt: skip
    return made


def _campaign_start(number: int) -> datetime:
    return ANCHOR - timedelta(days=690 - number * 60)


def _members(book: Book, campaign: int, people: Column) -> Lazy[CampaignMember, MemberColumns]:
    """The members of a campaign, each with their part in it."""
    purpose = key(book.population.seed, book.kind, "member", campaign)
    status = np.searchsorted(_STATUS_SHARES, coarse(purpose, people)[0], side="right").astype(np.uint8)
    earliest = np.maximum(book.created[people], milliseconds(_campaign_start(campaign)))
    later = (chances(key(purpose, "joined"), people) * 10 * DAY_MS).astype(np.int64) // 1000 * 1000
    created = np.minimum(earliest + later, ANCHOR_MS)
    columns = MemberColumns(people, _RESPONSES[status], created)

    def member(place: int) -> CampaignMember:
        said = _STATUSES[status[place]]
        return CampaignMember(int(people[place]), said, bool(columns.responded[place]), moment(int(created[place])))

    return Lazy(len(people), member, columns)
