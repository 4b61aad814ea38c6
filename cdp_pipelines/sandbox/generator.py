"""Makes the world: who exists. How each CRM came to know them is in `records`, and what it got wrong in `dirt`.

What must be known of everybody (who works where, since when, whose name is whose) is in columns, made at once from the seed and the
numbers. A `Human` or a `Firm` is made from its number when somebody asks for it, so a world of a million is there in a second or two.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from cdp_pipelines.sandbox import dirt, names
from cdp_pipelines.sandbox.columns import Column, milliseconds
from cdp_pipelines.sandbox.draws import Rolls, chances, coarse, key, rank_within
from cdp_pipelines.sandbox.names import Country
from cdp_pipelines.sandbox.people import Owner

ANCHOR = datetime(2026, 6, 30, 12, tzinfo=UTC)
ANCHOR_MS = milliseconds(ANCHOR)
DAY_MS = 86_400_000
HISTORY_DAYS = 730
OWNERS = 12
COUNTRIES: tuple[Country, ...] = ("US", "GB", "DE", "FR")
_COUNTRY_SHARES = np.cumsum((0.70, 0.12, 0.09))
# HubSpot's internal names, the only CRM of the three with the notion as a standard field.
STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist", "other")
_STAGE_SHARES = (0.12, 0.40, 0.58, 0.70, 0.80, 0.95, 0.97, 1.0)
_NULL = -1  # stands for the last name "Null"
_HEADS = tuple(head + tail for head in names.COMPANY_HEADS for tail in names.COMPANY_TAILS)


@dataclass(slots=True)
class Firm:
    """A company as it is."""

    number: int
    name: str
    domain: str
    country: Country
    city: tuple[str, str, str]
    switchboard: str | None
    owner: int
    mail_style: int
    shared_mailbox: str | None


@dataclass(slots=True)
class Profile:
    """What else there is to know of a company."""

    street: str
    industry: str
    employees: int
    revenue: Decimal


class Home(NamedTuple):
    """A private mailbox: whose, how the names stand in its address (0 to 3), and the provider."""

    number: int
    first: str
    last: str
    style: int
    provider: str


@dataclass(slots=True)
class Human:
    """A person as they are. `former` is where a job mover worked before; some CRMs never heard of the move. For addresses see
    `Population.work_email` and `home_email`.
    """

    number: int
    first: str
    last: str
    country: Country
    city: tuple[str, str, str]
    firm: Firm | None
    former: Firm | None
    home: Home
    mobile: str | None
    title: str
    source: str
    stage: str
    no_mail: bool
    owner: int


def owners(seed: int) -> list[Owner]:
    """The sales team; the last one has left."""
    rng = Rolls(key(seed, "owners")).of(0)
    team = []
    for number in range(OWNERS):
        first, last = rng.choice(names.FIRST_NAMES["US"]), rng.choice(names.LAST_NAMES["US"])
        address = f"{names.ascii_letters(first)}.{names.ascii_letters(last)}{number}@sandbox.example.com"
        team.append(Owner(number, first, last, address, active=number < OWNERS - 1))
    return team


class Population:
    """Firms and humans. No two firms share a domain, no two humans (households apart) a mailbox or number.

    Columns by person: `firm` and `former` (a firm's number, -1 for none), `country`, `first` and `last` (places in the country's lists of
    names), `since` (ms), `score`; by firm: `firm_country`, `firm_head`, `firm_trade`, `firm_shared` (0 for no shared mailbox). Person n
    works at one of the firms 0 to n // 8, rather the newest; 6 % nowhere.
    """

    def __init__(self, seed: int, people: int):
        self.seed, self.people = seed, people
        self.firm_count = (people - 1) // 8 + 1
        self._firm_rolls, self._profile_rolls, self._person_rolls = (Rolls(key(seed, what)) for what in ("company", "profile", "person"))
        self._declare_firms()
        self._declare_people()
        self._number_phones()
        # Takes a while and is wanted only once somebody's address is.
        with_help = ThreadPoolExecutor(1)
        self._finding = with_help.submit(self._namesakes)
        with_help.shutdown(wait=False)
        # Enough for one CRM after another to be read without making those people anew of whom all three know.
        self.firm_of = lru_cache(65_536)(self._make_firm)
        self.human = lru_cache(200_000)(self._make_human)

    def _declare_firms(self) -> None:
        numbers = np.arange(self.firm_count)
        country, odd, shared, style = coarse(key(self.seed, "firms"), numbers)
        self.firm_country = np.searchsorted(_COUNTRY_SHARES, country, side="right").astype(np.uint8)
        chance = chances(key(self.seed, "heads"), numbers)
        sizes = _sizes(names.LAST_NAMES)[self.firm_country]
        # A fifth is named after its founder: a last name's place, counted from the end of the list of made-up heads.
        self.firm_head = np.where(odd < 0.2, len(_HEADS) + chance * sizes, chance * len(_HEADS)).astype(np.int32)
        self.firm_trade = (chances(key(self.seed, "trades"), numbers) * len(names.COMPANY_TRADES)).astype(np.uint8)
        self.firm_shared = np.where(shared < 0.15, 1 + shared / 0.15 * len(dirt.SHARED_MAILBOXES), 0).astype(np.uint8)
        self.firm_style = (style * 3).astype(np.uint8)
        slug = _slugs()[0][self.firm_country, self.firm_head].astype(np.int64)
        self._slug_rank, self._full_rank = rank_within(slug), rank_within(slug * 64 + self.firm_trade)

    def _declare_people(self) -> None:
        numbers = np.arange(self.people)
        newest = numbers // 8
        work, abroad, null, moved = coarse(key(self.seed, "works"), numbers)
        where = (chances(key(self.seed, "where"), numbers) * (newest + 1)).astype(np.int32)
        self.firm = np.where(work < 0.06, -1, np.where(work < 0.55, newest, where)).astype(np.int32)
        before = (chances(key(self.seed, "before"), numbers) * (newest + 1)).astype(np.int32)
        self.former = np.where((self.firm >= 0) & (moved < 0.05) & (before != self.firm), before, -1).astype(np.int32)
        country = np.searchsorted(_COUNTRY_SHARES, coarse(key(self.seed, "countries"), numbers)[0], side="right").astype(np.uint8)
        if self.people:
            at_home = (self.firm >= 0) & (abroad < 0.95)
            country = np.where(at_home, self.firm_country[self.firm], country)
        # Few, and by number rather than by chance, so that even a small world has them: couples, and fathers and sons.
        partners, sons = numbers[is_partner(numbers)], numbers[is_son(numbers)]
        for later in (partners, sons):
            country[later] = country[later - 1]
        self.country = country
        self.first = (chances(key(self.seed, "first"), numbers) * _sizes(names.FIRST_NAMES)[country]).astype(np.int16)
        last = (chances(key(self.seed, "last"), numbers) * _sizes(names.LAST_NAMES)[country]).astype(np.int16)
        self.last = np.where(null < 0.0025, _NULL, last).astype(np.int16)
        self.first[sons] = self.first[sons - 1]
        for later in (partners, sons):
            self.last[later] = self.last[later - 1]
        back = chances(key(self.seed, "since"), numbers) * (HISTORY_DAYS - 3) * 86_400
        self.since = ANCHOR_MS - 3 * DAY_MS - back.astype(np.int64) * 1000
        score = -35 * np.log1p(-chances(key(self.seed, "score"), numbers))
        self.score = np.minimum(score, 100).astype(np.int16)

    def _number_phones(self) -> None:
        """Give out a country's numbers in turn: a firm's switchboard comes before its first people."""
        self._phone = np.zeros(self.people, dtype=np.int32)
        self._switchboard = np.zeros(self.firm_count, dtype=np.int32)
        for place in range(len(COUNTRIES)):
            people, firms = np.cumsum(self.country == place, dtype=np.int32), np.cumsum(self.firm_country == place, dtype=np.int32)
            mine, ours = self.country == place, self.firm_country == place
            self._phone[mine] = (people + firms[np.arange(self.people) // 8])[mine] - 1
            self._switchboard[ours] = (firms - 1 + np.concatenate(([0], people[7::8]))[: self.firm_count])[ours]

    def _namesakes(self) -> dict[tuple[int, int], int]:
        """(person, firm) -> the number behind the name in an address, for all but the first with that address at that firm."""
        firsts, lasts = _name_ids()
        jr = np.asarray(is_son(np.arange(self.people)), dtype=np.int64)
        given, initial = firsts[:, self.country, self.first]
        family = lasts[self.country, self.last] * 2 + jr
        keys, who = [], []
        for firm in (self.firm, self.former):
            there = np.flatnonzero(firm >= 0)
            at = firm[there].astype(np.int64)
            local = np.where(self.firm_style[at] == 1, initial[there], given[there])
            keys.append(at << 34 | local << 17 | family[there])
            who.append(there)
        addresses, people = np.concatenate(keys), np.concatenate(who)
        in_order = np.sort(addresses)
        shared = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
        if not len(shared):
            return {}
        places = np.flatnonzero(shared[np.minimum(np.searchsorted(shared, addresses), len(shared) - 1)] == addresses)
        places = places[np.argsort(people[places], kind="stable")]
        ranks = rank_within(addresses[places])
        found = zip(people[places].tolist(), (addresses[places] >> 34).tolist(), ranks.tolist(), strict=True)
        return {(person, firm): rank + 1 for person, firm, rank in found if rank}

    @cached_property
    def _work_suffixes(self) -> dict[tuple[int, int], int]:
        return self._finding.result()

    def _make_firm(self, number: int) -> Firm:
        rng = self._firm_rolls.of(number)
        country = COUNTRIES[self.firm_country.item(number)]
        head_place, trade = self.firm_head.item(number), names.COMPANY_TRADES[self.firm_trade.item(number)]
        head = _HEADS[head_place] if head_place < len(_HEADS) else names.LAST_NAMES[country][head_place - len(_HEADS)]
        slug, rank = names.ascii_letters(head), self._full_rank.item(number)
        full = f"{slug}{trade.lower()}"
        domain = f"{slug}.example"
        if self._slug_rank.item(number):
            domain = (f"{full}.example", f"{slug}-{trade.lower()}.example", f"{full}{rank}.example")[min(rank, 2)]
        shared = self.firm_shared.item(number)
        return Firm(
            number=number, name=f"{head} {trade} {rng.choice(names.COMPANY_FORMS[country])}", domain=domain, country=country,
            city=rng.choice(names.CITIES[country]), switchboard=names.phone_number(country, self._switchboard.item(number)),
            owner=number * 7 % OWNERS, mail_style=self.firm_style.item(number),
            shared_mailbox=f"{dirt.SHARED_MAILBOXES[shared - 1]}@{domain}" if shared else None,
        )  # fmt: skip

    def firms_with_domain(self, domain: str) -> list[int]:
        """Numbers of the firms with this domain."""
        name = domain.removesuffix(".example")
        trades = (re.fullmatch(rf"(.+?)-?{trade.lower()}\d*", name) for trade in names.COMPANY_TRADES)
        table, known = _slugs()
        slugs = [known[slug] for slug in {name, *(found[1] for found in trades if found)} if slug in known]
        candidates = np.flatnonzero(np.isin(table[self.firm_country, self.firm_head], slugs))
        return [number for number in candidates.tolist() if self.firm_of(number).domain == domain]

    def firms_named(self, text: str) -> list[int]:
        """Numbers of the firms whose name begins as this one (in lower case) does, up to their trade: the legal form may differ."""
        words, found = text.split(" "), np.zeros(self.firm_count, dtype=bool)
        for place, word in enumerate(words):
            trades = [number for number, trade in enumerate(names.COMPANY_TRADES) if trade.lower() == word.rstrip(",")]
            for country, head in _heads().get(" ".join(words[:place]), ()) if trades else ():
                found |= (self.firm_country == country) & (self.firm_head == head) & (self.firm_trade == trades[0])
        return np.flatnonzero(found).tolist()

    def profile(self, number: int) -> Profile:
        """What only a company's own record says of it."""
        rng = self._profile_rolls.of(number)
        employees = int(rng.lognormvariate(5, 1.5)) + 1
        street = rng.choice(names.STREETS[COUNTRIES[self.firm_country[number]]]).format(n=rng.randint(1, 999), m=rng.randint(1, 40))
        return Profile(street, rng.choice(names.INDUSTRIES), employees, Decimal(employees * rng.randint(50, 400)) * 1000)

    def _make_human(self, number: int) -> Human:
        before = self.human(number - 1) if is_partner(number) or is_son(number) else None
        rng = self._person_rolls.of(number)
        country = COUNTRIES[self.country.item(number)]
        works, worked = self.firm.item(number), self.former.item(number)
        firm = self.firm_of(works) if works >= 0 else None
        former = self.firm_of(worked) if worked >= 0 else None
        first, place = names.FIRST_NAMES[country][self.first.item(number)], self.last.item(number)
        last = "Null" if place == _NULL else names.LAST_NAMES[country][place]
        city = firm.city if firm and firm.country == country and rng.random() < 0.8 else rng.choice(names.CITIES[country])
        mobile = names.phone_number(country, self._phone.item(number))
        home = None
        if before is not None:
            city = before.city
            if is_son(number):
                last, mobile = f"{last} Jr.", before.mobile
            else:
                home = before.home
        return Human(
            number=number, first=first, last=last, country=country, city=city, firm=firm,
            former=former, home=home or Home(number, first, last, rng.randint(0, 3), rng.choice(names.MAIL_PROVIDERS)), mobile=mobile,
            title=names.title(rng), source=rng.choice(names.LEAD_SOURCES), stage=rng.weighted(STAGES, _STAGE_SHARES),
            no_mail=rng.random() < 0.06, owner=firm.owner if firm else number % OWNERS,
        )  # fmt: skip

    def work_email(self, human: Human, firm: Firm) -> str:
        """The address that a firm gives somebody who works there."""
        a, b = names.ascii_letters(human.first), names.ascii_letters(human.last)
        local = (f"{a}.{b}", f"{a[:1]}{b}", f"{a}_{b}")[firm.mail_style]
        return f"{local}{self._work_suffixes.get((human.number, firm.number), '')}@{firm.domain}"


def is_partner(numbers: Column | int) -> Column | bool:
    """Which people share the last name and home of the one before."""
    return numbers % 150 == 7


def is_son(numbers: Column | int) -> Column | bool:
    """Which people have the name and number of the one before."""
    return numbers % 250 == 9


def home_email(home: Home) -> str:
    """The address of a private mailbox; the number in it makes it nobody else's."""
    a, b = names.ascii_letters(home.first), names.ascii_letters(home.last)
    return f"{(f'{a}.{b}', f'{a}{b}', f'{a[:1]}{b}', f'{b}.{a}')[home.style]}{home.number + 1}@{home.provider}"


def _sizes(words: dict[Country, tuple[str, ...]]) -> Column:
    return np.array([len(words[country]) for country in COUNTRIES])


@cache
def _name_ids() -> tuple[Column, Column]:
    """A number for each first name's letters and one for its initial, by country and place; and one for each last name's ("Null" at -1)."""
    known: dict[str, int] = {}
    firsts = np.zeros((2, len(COUNTRIES), _sizes(names.FIRST_NAMES).max()), dtype=np.int64)
    lasts = np.zeros((len(COUNTRIES), _sizes(names.LAST_NAMES).max() + 1), dtype=np.int64)
    for row, country in enumerate(COUNTRIES):
        for place, name in enumerate(names.FIRST_NAMES[country]):
            letters = names.ascii_letters(name)
            firsts[:, row, place] = known.setdefault(letters, len(known)), known.setdefault(letters[:1], len(known))
        for place, name in enumerate((*names.LAST_NAMES[country], "Null")):
            lasts[row, _NULL if name == "Null" else place] = known.setdefault(names.ascii_letters(name), len(known))
    return firsts, lasts


@cache
def _heads() -> dict[str, list[tuple[int, int]]]:
    """Country and place of each company head, by how it looks in lower case; ß becomes ss on the way through capitals."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row, country in enumerate(COUNTRIES):
        for place, head in enumerate((*_HEADS, *names.LAST_NAMES[country])):
            for text in {head.lower(), head.upper().lower()}:
                found.setdefault(text, []).append((row, place))
    return found


@cache
def _slugs() -> tuple[Column, dict[str, int]]:
    """A number for each company head's letters: by country and place, and by the letters."""
    known: dict[str, int] = {}
    table = np.zeros((len(COUNTRIES), len(_HEADS) + _sizes(names.LAST_NAMES).max()), dtype=np.int32)
    for row, country in enumerate(COUNTRIES):
        for place, head in enumerate((*_HEADS, *names.LAST_NAMES[country])):
            table[row, place] = known.setdefault(names.ascii_letters(head), len(known))
    return table, known
