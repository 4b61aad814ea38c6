"""Makes the world: who exists, then how each CRM came to know them.

Each person and company has random numbers of their own, drawn from the seed and their number, so a world of 500 people is the
beginning of the world of 5,000. Truth comes first (`Human`, `Firm`), records second; what a record gets wrong is in `dirt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from cdp_pipelines.sandbox import dirt, names
from cdp_pipelines.sandbox.names import Country
from cdp_pipelines.sandbox.people import Owner

ANCHOR = datetime(2026, 6, 30, 12, tzinfo=UTC)
HISTORY_DAYS = 730
OWNERS = 12
COUNTRIES: tuple[Country, ...] = ("US", "GB", "DE", "FR")
# HubSpot's internal names, the only CRM of the three with the notion as a standard field.
STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist", "other")


@dataclass(slots=True)
class Firm:
    """A company as it is."""

    number: int
    name: str
    domain: str
    country: Country
    city: tuple[str, str, str]
    street: str
    switchboard: str | None
    industry: str
    employees: int
    revenue: Decimal
    owner: int
    mail_style: int
    shared_mailbox: str | None


@dataclass(slots=True)
class Human:
    """A person as they are. `former` is where a job mover worked before; some CRMs never heard of the move."""

    number: int
    first: str
    last: str
    country: Country
    city: tuple[str, str, str]
    firm: Firm | None
    work_email: str | None
    former: Firm | None
    former_email: str | None
    home_email: str
    mobile: str | None
    title: str
    source: str
    stage: str
    score: int
    no_mail: bool
    owner: int
    since: datetime


def owners(seed: int) -> list[Owner]:
    """The sales team; the last one has left."""
    rng = Random(f"{seed}:owners")
    team = []
    for number in range(OWNERS):
        first, last = rng.choice(names.FIRST_NAMES["US"]), rng.choice(names.LAST_NAMES["US"])
        address = f"{names.ascii_letters(first)}.{names.ascii_letters(last)}{number}@sandbox.example.com"
        team.append(Owner(number, first, last, address, active=number < OWNERS - 1))
    return team


class Population:
    """Firms and humans, made one after another; no two firms share a domain, no two humans (households apart) a mailbox or number."""

    def __init__(self, seed: int):
        self.seed = seed
        self.firms: list[Firm] = []
        self._phones = names.PhoneBook()
        self._taken: set[str] = set()
        self._last: Human | None = None

    def _free(self, candidates: tuple[str, ...], numbered: str) -> str:
        """The first candidate that nobody has; else `numbered`, a pattern with {}, counted up from 2."""
        n = 2
        for candidate in candidates:
            if candidate not in self._taken:
                break
        else:
            while (candidate := numbered.format(n)) in self._taken:
                n += 1
        self._taken.add(candidate)
        return candidate

    def add_firm(self) -> Firm:
        """The next company."""
        number = len(self.firms)
        rng = Random(f"{self.seed}:company:{number}")
        country = rng.choices(COUNTRIES, (70, 12, 9, 9))[0]
        head, trade = rng.choice(names.COMPANY_HEADS) + rng.choice(names.COMPANY_TAILS), rng.choice(names.COMPANY_TRADES)
        if rng.random() < 0.2:
            head = rng.choice(names.LAST_NAMES[country])
        slug = names.ascii_letters(head)
        full = f"{slug}{trade.lower()}"
        domain = self._free((f"{slug}.example", f"{full}.example", f"{slug}-{trade.lower()}.example"), f"{full}{{}}.example")
        employees = int(rng.lognormvariate(5, 1.5)) + 1
        firm = Firm(
            number=number, name=f"{head} {trade} {rng.choice(names.COMPANY_FORMS[country])}", domain=domain, country=country,
            city=rng.choice(names.CITIES[country]), street=rng.choice(names.STREETS[country]).format(n=rng.randint(1, 999), m=rng.randint(1, 40)),
            switchboard=self._phones.next(country), industry=rng.choice(names.INDUSTRIES), employees=employees,
            revenue=Decimal(employees * rng.randint(50, 400)) * 1000, owner=rng.randrange(OWNERS), mail_style=rng.randrange(3),
            shared_mailbox=f"{rng.choice(dirt.SHARED_MAILBOXES)}@{domain}" if rng.random() < 0.15 else None,
        )  # fmt: skip
        self.firms.append(firm)
        return firm

    def add_human(self, number: int) -> Human:
        """The next person. Numbers ending a couple or a father and son share the home of the one before."""
        rng = Random(f"{self.seed}:person:{number}")
        firm = self._firm(rng, number)
        country = firm.country if firm and rng.random() < 0.95 else rng.choices(COUNTRIES, (70, 12, 9, 9))[0]
        first, last = rng.choice(names.FIRST_NAMES[country]), rng.choice(names.LAST_NAMES[country])
        if rng.random() < 0.0025:
            last = "Null"
        city = firm.city if firm and firm.country == country and rng.random() < 0.8 else rng.choice(names.CITIES[country])
        before = self._last
        home, mobile = None, None
        # Few, and by number rather than by chance, so that even a small world has them.
        if before is not None and number % 150 == 7:
            last, country, city, home = before.last, before.country, before.city, before.home_email
        elif before is not None and number % 250 == 9:
            first, last, country, city, mobile = before.first, f"{before.last} Jr.", before.country, before.city, before.mobile
        former = self._firm(rng, number) if firm and rng.random() < 0.05 else None
        if former is firm:
            former = None
        human = Human(
            number=number, first=first, last=last, country=country, city=city, firm=firm,
            work_email=self._work_email(first, last, firm) if firm else None,
            former=former, former_email=self._work_email(first, last, former) if former else None,
            home_email=home or self._home_email(rng, first, last), mobile=mobile or self._phones.next(country),
            title=names.title(rng), source=rng.choice(names.LEAD_SOURCES), stage=rng.choices(STAGES, (12, 28, 18, 12, 10, 15, 2, 3))[0],
            score=min(100, int(rng.expovariate(1 / 35))), no_mail=rng.random() < 0.06, owner=firm.owner if firm else rng.randrange(OWNERS),
            since=ANCHOR - timedelta(seconds=rng.randrange(3 * 86_400, HISTORY_DAYS * 86_400)),
        )  # fmt: skip
        self._last = human
        return human

    def _firm(self, rng: Random, number: int) -> Firm | None:
        """Where a person works: at one of the companies so far, rather the newest; 6 % nowhere."""
        while len(self.firms) <= number // 8:
            self.add_firm()
        chance = rng.random()
        if chance < 0.06:
            return None
        return self.firms[number // 8] if chance < 0.55 else self.firms[rng.randrange(number // 8 + 1)]

    def _work_email(self, first: str, last: str, firm: Firm) -> str:
        a, b = names.ascii_letters(first), names.ascii_letters(last)
        local = (f"{a}.{b}", f"{a[:1]}{b}", f"{a}_{b}")[firm.mail_style]
        return self._free((f"{local}@{firm.domain}", f"{a}{b}@{firm.domain}"), f"{local}{{}}@{firm.domain}")

    def _home_email(self, rng: Random, first: str, last: str) -> str:
        a, b = names.ascii_letters(first), names.ascii_letters(last)
        local = rng.choice((f"{a}.{b}", f"{a}{b}", f"{a[:1]}{b}", f"{b}.{a}")) + str(rng.randint(1, 99))
        provider = rng.choice(names.MAIL_PROVIDERS)
        return self._free((f"{local}@{provider}",), f"{local}{{}}@{provider}")
