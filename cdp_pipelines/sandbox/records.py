"""How each CRM came to know the people and companies of the world: its records, with everything that is wrong in them.

`Book` holds the columns of one CRM: which record is whose, when it came and changed, how it ended. `Wording` makes a record from its
number, in the words that somebody typed.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.columns import ALIVE, CONVERTED, DELETED, MERGED, Column, CompanyColumns, PeopleColumns
from cdp_pipelines.sandbox.draws import chances, coarse, key
from cdp_pipelines.sandbox.generator import ANCHOR_MS, DAY_MS, Population, is_partner

# Share of the world's people that a CRM knows.
KNOWN: dict[Kind, float] = {"salesforce": 0.60, "hubspot": 0.65, "marketo": 0.55}
# Nights on which a data job touched many records in the same second.
IMPORTS = np.array([ANCHOR_MS - days * DAY_MS - 9 * 3_600_000 for days in (400, 275, 190, 96, 41, 6)])
NO_MAIL, SHARED, PLACEHOLDER, HOME, WORK = range(5)
PLAIN, TYPO, TAGGED = range(3)


def knowing(population: Population) -> dict[Kind, Column]:
    """Which people each CRM knows; everybody is known to one at least."""
    drawn = coarse(key(population.seed, "known"), np.arange(population.people))
    known = {kind: drawn[place] < KNOWN[kind] for place, kind in enumerate(KINDS)}
    nowhere = ~np.logical_or.reduce(list(known.values()))
    for place, kind in enumerate(KINDS):
        known[kind] |= nowhere & ((drawn[3] * len(KINDS)).astype(int) == place)
    return known


class Book:
    """One CRM's records. A person has one, or a duplicate, merged, deleted or converted one besides.

    Columns by record, besides those of `columns`: `firm` (of which the record speaks, -1 for none), `mail` (NO_MAIL ... WORK), `spelling`
    of the mail (PLAIN, TYPO, TAGGED), `salesforce` (number of the Salesforce record that it is synced with, or -1); by person: `main`, the
    record to which other CRMs and deals point (-1 for none); by company record: `company_salesforce`, the account that it is synced with.
    """

    def __init__(self, kind: Kind, population: Population, known: Column):
        self.kind: Kind = kind
        self.population = population
        persons = np.flatnonzero(known).astype(np.int32)
        self._number(persons)
        self._date()
        self._employ()
        self._write_to()
        self.salesforce = np.full(len(self.person), -1, dtype=np.int32)
        self.company_salesforce = np.full(len(self.company_firm), -1, dtype=np.int32)

    def sync_with(self, salesforce: Book) -> None:
        """Let many records name the Salesforce record of their person, where there is one."""
        synced = coarse(self._key("synced"), self.person)[0] < 0.4
        self.salesforce[synced] = salesforce.main[self.person[synced]]
        if self.kind == "hubspot":
            firms = np.flatnonzero((self.firm_record >= 0) & (coarse(self._key("synced firms"), np.arange(len(self.firm_record)))[0] < 0.4))
            self.company_salesforce[self.firm_record[firms]] = salesforce.firm_record[firms]

    def _key(self, purpose: str) -> int:
        return key(self.population.seed, self.kind, purpose)

    def _number(self, persons: Column) -> None:
        """How many records each person has, and what they are."""
        role, end, twin, _ = coarse(self._key("met"), persons)
        contact = np.full(len(persons), self.kind == "hubspot") | ((role >= 0.425) & (self.kind == "salesforce"))
        converted = (end < 0.15) & ~contact & (self.kind == "salesforce")
        deleted = (end > 0.985) & ~converted
        merged = (twin < 0.012) & ~deleted
        counts = 1 + converted + (twin < 0.05)
        starts = np.cumsum(counts) - counts
        first = starts + converted
        size = int(counts.sum())
        self.person = np.repeat(persons, counts)
        self.contact = np.repeat(contact | converted, counts)
        self.contact[starts[converted]] = False
        self.fate = np.full(size, ALIVE, dtype=np.uint8)
        self.merged_into = np.full(size, -1, dtype=np.int32)
        self._converted, self._deleted = starts[converted], first[deleted]
        self._merged, self._winners = (starts + counts - 1)[merged], first[merged]
        self.fate[self._converted], self.fate[self._deleted], self.fate[self._merged] = CONVERTED, DELETED, MERGED
        self.merged_into[self._converted], self.merged_into[self._merged] = self._converted + 1, self._winners
        self.main = np.full(self.population.people, -1, dtype=np.int32)
        self.main[persons] = first

    def _date(self) -> None:
        """When records were made, last changed and ended."""
        numbers = np.arange(len(self.person))
        since = self.population.since[self.person]
        created = since + ((ANCHOR_MS - since) * (chances(self._key("created"), numbers) ** 3 * 0.8)).astype(np.int64)
        self.created = created if self.kind == "hubspot" else created // 1000 * 1000
        self.updated = self._changed("updated", self.created)
        self.fate_at = np.full(len(numbers), -1, dtype=np.int64)
        contacts = self._converted + 1
        self._end(self._converted, self.created[self._converted])
        self.created[contacts] = self.fate_at[self._converted]
        self.updated[contacts] = self._changed("contact", self.created[contacts])
        self._end(self._deleted, self.created[self._deleted])
        self._end(self._merged, np.maximum(self.created[self._winners], self.updated[self._winners]))
        self.updated[self._winners] = self.fate_at[self._merged]
        if self.kind == "marketo":
            # Marketo's real exports have rows that were updated one second before they were created.
            early = (coarse(self._key("early"), numbers)[0] < 0.03) & (self.fate == ALIVE)
            early[self._winners] = False
            self.updated[early] = self.created[early] - 1000

    def _changed(self, purpose: str, created: Column) -> Column:
        """A last change at or after the creation and before the anchor: soon after it, or on the night of an import."""
        numbers = np.arange(len(created))
        soon = ((ANCHOR_MS - created) / 1000 * chances(self._key(purpose), numbers) ** 3).astype(np.int64) * 1000
        imported, night, *_ = coarse(self._key(f"{purpose}:import"), numbers)
        before = np.searchsorted(IMPORTS, created, side="right")
        nights = IMPORTS[np.minimum(before + (night * (len(IMPORTS) - before)).astype(int), len(IMPORTS) - 1)]
        return np.where((imported < 0.06) & (before < len(IMPORTS)), nights, created + soon)

    def _end(self, records: Column, not_before: Column) -> None:
        """Give records their fate at some moment after their last change."""
        start = np.maximum(np.maximum(self.created[records], self.updated[records]), not_before)
        at = start + ((ANCHOR_MS - start) * chances(self._key("end"), records)).astype(np.int64)
        self.fate_at[records] = np.maximum(at // 1000 * 1000, start)

    def _employ(self) -> None:
        """Which firm a record speaks of, and which company record it is linked to; about 3 % of companies have two."""
        world = self.population
        stale, linked, which, _ = coarse(self._key("firm"), np.arange(len(self.person)))
        former = world.former[self.person]
        self.firm = np.where((former >= 0) & (stale < 0.45), former, world.firm[self.person])
        # The contact that a lead became has the lead's values, but the account of today's firm.
        contacts = self._converted + 1
        self.firm[contacts] = self.firm[self._converted]
        employer = self.firm.copy()
        employer[contacts] = world.firm[self.person[contacts]]
        employer[~self.contact & (self.kind == "salesforce")] = -1
        employer[linked >= 0.95] = -1
        known = np.zeros(world.firm_count, dtype=bool)
        known[employer[employer >= 0]] = True
        # A deal may be the first to speak of a firm.
        known[world.firm[(world.firm >= 0) & (self.main >= 0)]] = True
        records = known * (1 + (coarse(self._key("twins"), np.arange(world.firm_count))[0] < 0.03))
        self.firm_record = np.where(known, np.cumsum(records) - records, -1)
        self.company_firm = np.repeat(np.arange(world.firm_count, dtype=np.int32), records)
        second = (which < 0.5) & (records[employer] > 1)
        self.company = np.where(employer >= 0, self.firm_record[employer] + second, -1).astype(np.int32)

    def _write_to(self) -> None:
        """What stands in the mail field: work address rather than home; a shared mailbox, a placeholder or nothing now and then."""
        world = self.population
        chance, shared, home, tagged = coarse(self._key("mail"), np.arange(len(self.person)))
        has_shared = (self.firm >= 0) & (world.firm_shared[self.firm] > 0)
        # Couples rather give the address that they share.
        at_home = np.where(is_partner(self.person) | is_partner(self.person + 1), 0.6, 0.15)
        self.mail = np.where((self.firm < 0) | (home < at_home), HOME, WORK).astype(np.uint8)
        self.mail[chance < 0.06] = NO_MAIL
        self.mail[chance < 0.01] = PLACEHOLDER
        self.mail[has_shared & (shared < 0.18)] = SHARED
        self.spelling = np.where(self.mail < HOME, PLAIN, np.where(chance < 0.07, TYPO, np.where(tagged < 0.04, TAGGED, PLAIN))).astype(
            np.uint8
        )
        contacts = self._converted + 1
        self.mail[contacts], self.spelling[contacts] = self.mail[self._converted], self.spelling[self._converted]
        if self.kind == "hubspot":
            self._drop_repeated_mail()

    def _drop_repeated_mail(self) -> None:
        """HubSpot refuses a second contact with the same address (409 CONFLICT), so there the latecomer has none."""
        people, person = self.population.people, self.person.astype(np.int64)
        former = (self.firm != self.population.firm[self.person]).astype(np.int64)
        address = np.select(
            [self.mail == HOME, self.mail == WORK, self.mail == SHARED],
            [person - is_partner(person), people + 2 * person + former, 3 * people + self.firm],
            -1 - np.arange(len(person)) % 2,
        ) * 3 + self.spelling  # fmt: skip
        with_mail = np.flatnonzero(self.mail != NO_MAIL)
        _, kept = np.unique(address[with_mail], return_index=True)
        repeated = np.ones(len(person), dtype=bool)
        repeated[with_mail[kept]] = False
        self.mail[repeated] = NO_MAIL

    @cached_property
    def score(self) -> Column:
        """The lead score that each record shows, -1 for none."""
        wrong, shown, *_ = coarse(self._key("score"), np.arange(len(self.person)))
        score = np.maximum(self.population.score[self.person] + (wrong * 11).astype(np.int16) - 5, 0)
        score = np.where(shown < 0.85, score, -1)
        score[self._converted + 1] = score[self._converted]
        return score

    def columns(self) -> PeopleColumns:
        """What a store needs to know of all person records."""
        return PeopleColumns(
            self.person, self.contact, self.created, self.updated, self.fate, self.fate_at, self.merged_into, self.company, self.score
        )

    def company_columns(self) -> CompanyColumns:
        """What a store needs to know of all company records."""
        numbers = np.arange(len(self.company_firm))
        created = ANCHOR_MS - ((400 + 330 * chances(self._key("founded"), numbers)) * 86_400).astype(np.int64) * 1000
        return CompanyColumns(self.company_firm, created, self._changed("company", created))
