"""Deals and campaigns of the world."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from cdp_pipelines.sandbox.generator import ANCHOR, OWNERS, Human
from cdp_pipelines.sandbox.people import Campaign, CampaignMember, Deal, DealContact, PersonRecord

if TYPE_CHECKING:
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


def campaigns(seed: int, members: dict[int, list[CampaignMember]]) -> list[Campaign]:
    """The twelve campaigns with the members that one CRM has gathered."""
    made = []
    for number in range(CAMPAIGNS):
        rng = Random(f"{seed}:campaign:{number}")
        start = _campaign_start(number)
        kind = CAMPAIGN_TYPES[number % len(CAMPAIGN_TYPES)]
        end = start + timedelta(days=rng.choice((1, 14, 30)))
        status = "Completed" if end < ANCHOR else "In Progress"
        made.append(
            Campaign(
                number=number, name=f"{start:%Y-%m} {kind}", type=kind, status="Aborted" if rng.random() < 0.08 else status, start=start.date(),
                end=end.date() if rng.random() < 0.8 else None, members=tuple(members.get(number, ())), owner=rng.randrange(OWNERS),
                created=start - timedelta(days=20), updated=min(start + timedelta(hours=rng.randrange(900)), ANCHOR),
            )
        )  # fmt: skip
    return made


def _campaign_start(number: int) -> datetime:
    return ANCHOR - timedelta(days=690 - number * 60)


def memberships(rng: Random, record: PersonRecord) -> list[tuple[int, CampaignMember]]:
    """The campaigns that a person is in, by number, and their part in each."""
    chosen = rng.sample(range(CAMPAIGNS), rng.choices(range(6), (25, 25, 20, 15, 10, 5))[0])
    found = []
    for number in sorted(chosen):
        status = rng.choices(("Sent", "Responded", "Registered", "Attended", "No Show"), (60, 18, 10, 8, 4))[0]
        earliest = max(record.created, _campaign_start(number))
        created = min(earliest + timedelta(seconds=rng.randrange(10 * 86_400)), ANCHOR)
        found.append((number, CampaignMember(record.number, status, status in ("Responded", "Registered", "Attended"), created)))
    return found


def open_deal(rng: Random, deal: int, human: Human, book: Book, colleagues: Sequence[int]) -> None:
    """Add a deal around a person and their colleagues (truth numbers) to one CRM: with none, one or several of them, a primary one or none."""
    fit = []
    for person in (human.number, *colleagues):
        record = book.people[book.main_record[person]] if person in book.main_record else None
        # A Salesforce opportunity has contacts, never leads.
        if record is not None and record.fate == "alive" and (book.kind != "salesforce" or record.role == "contact"):
            fit.append(record.number)
    count = min(len(fit), rng.choices(range(5), (10, 45, 25, 12, 8))[0])
    primary = rng.random() < 0.75
    contacts = tuple(DealContact(person, rng.choice(CONTACT_ROLES), primary and nth == 0) for nth, person in enumerate(fit[:count]))
    created = human.since + (ANCHOR - human.since) * rng.random() * 0.95
    created = created.replace(microsecond=0)
    stage = rng.choices(range(7), (12, 12, 11, 10, 8, 25, 22))[0]
    updated = min(created + timedelta(seconds=int(rng.expovariate(1 / (30 * 86_400)))), ANCHOR)
    close = updated.date() if stage in (WON, LOST) else (ANCHOR + timedelta(days=rng.randint(-30, 180))).date()
    firm = human.firm
    book.deals.append(
        Deal(
            deal=deal, number=len(book.deals), name=f"{firm.name if firm else human.last} - {rng.choice(PRODUCTS)}",
            company=book.company(firm) if firm and rng.random() < 0.92 else None, contacts=contacts, stage=stage, amount=_amount(rng),
            currency=rng.choices(("USD", "EUR", "GBP", "JPY"), (86, 7, 6, 1))[0],
            close_date=close if stage in (WON, LOST) or rng.random() < 0.9 else None, owner=human.owner, created=created, updated=updated,
            deleted=rng.random() < 0.02,
        )
    )  # fmt: skip


def _amount(rng: Random) -> Decimal | None:
    """Round thousands, an amount with cents, zero, or none."""
    chance = rng.random()
    if chance < 0.1:
        return None
    if chance < 0.13:
        return Decimal("0.00")
    value = Decimal(int(rng.lognormvariate(9.5, 1.2)) + 1)
    return (value // 1000 + 1) * 1000 if chance < 0.6 else value + Decimal(rng.randrange(100)).scaleb(-2)
