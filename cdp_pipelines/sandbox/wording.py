"""The wording of one CRM's records: each made from its number, as somebody typed it. When it was made and how it ended is in `Book`."""

from __future__ import annotations

from cdp_pipelines.sandbox import dirt, names
from cdp_pipelines.sandbox.columns import CONVERTED, FATES, CompanyColumns, PeopleColumns, moment
from cdp_pipelines.sandbox.draws import Dice, Rolls, key
from cdp_pipelines.sandbox.generator import Firm, Human, home_email
from cdp_pipelines.sandbox.people import CompanyRecord, PersonRecord
from cdp_pipelines.sandbox.records import HOME, NO_MAIL, PLACEHOLDER, SHARED, TAGGED, TYPO, Book


class Wording:
    """Makes the person and company records of a CRM."""

    def __init__(self, book: Book, people: PeopleColumns, companies: CompanyColumns):
        self._book, self._columns, self._companies = book, people, companies
        self._population, self._kind = book.population, book.kind
        self._person_rolls, self._company_rolls = (Rolls(key(self._population.seed, self._kind, what)) for what in ("person", "company"))

    def person(self, number: int) -> PersonRecord:
        """The person record with this number."""
        book, columns = self._book, self._columns
        # The contact that a lead became was written by the lead's author.
        fate = columns.fate.item(number)
        converted = number and columns.merged_into.item(number - 1) == number and columns.fate.item(number - 1) == CONVERTED
        author = number - 1 if converted else number
        human, worked = self._population.human(columns.person.item(number)), book.firm.item(number)
        firm = self._population.firm_of(worked) if worked >= 0 else None
        rng = self._person_rolls.of(author)
        contact = columns.contact.item(number)
        first_name, last_name = dirt.first_and_last(rng, human.first, human.last, self._kind)
        city, state, _ = human.city
        phone, mobile = self._phones(rng, human, firm)
        known_city = rng.random() < 0.8
        score, company = columns.score.item(number), columns.company.item(number)
        merged_into, salesforce = columns.merged_into.item(number), book.salesforce.item(number)
        return PersonRecord(
            person=human.number, number=number, role="contact" if contact else "lead", first_name=first_name, last_name=last_name,
            email=self._email(rng, human, firm, author), phone=phone, mobile=mobile, title=self._title(rng, human),
            company=company if company >= 0 else None,
            company_name=dirt.company_name(rng, firm.name) if firm else self._no_company(rng, author),
            city=city if known_city else rng.choice(dirt.MISSING[self._kind]), state=state if known_city else None,
            country=rng.choice(names.COUNTRY_SPELLINGS[human.country]) if rng.random() < 0.85 else None,
            lead_score=score if score >= 0 else None, lead_source=human.source if rng.random() < 0.8 else None,
            lifecycle_stage=human.stage, do_not_email=human.no_mail != (rng.random() < 0.01), owner=human.owner,
            created=moment(columns.created.item(number)), updated=moment(columns.updated.item(number)), fate=FATES[fate],
            fate_at=moment(columns.fate_at.item(number)) if fate else None,
            merged_into=merged_into if merged_into >= 0 else None, salesforce_number=salesforce if salesforce >= 0 else None,
        )  # fmt: skip

    def _no_company(self, rng: Dice, author: int) -> str | None:
        """Salesforce wants a company of a lead; people write something."""
        wanted = self._kind == "salesforce" and not self._columns.contact[author]
        return rng.choice(dirt.REQUIRED) if wanted else None

    def _email(self, rng: Dice, human: Human, firm: Firm | None, number: int) -> str | None:
        mail, spelling = self._book.mail.item(number), self._book.spelling.item(number)
        if mail == NO_MAIL:
            return rng.choice(dirt.MISSING[self._kind]) if self._kind == "marketo" else None
        if mail == PLACEHOLDER:
            return dirt.PLACEHOLDER_EMAILS[number % 2]
        if mail == SHARED and firm is not None:
            return firm.shared_mailbox
        address = home_email(human.home) if mail == HOME or firm is None else self._population.work_email(human, firm)
        if spelling == TYPO:
            return dirt.email_typo(rng, address)
        if spelling == TAGGED:
            return dirt.email_tagged(rng, address)
        return dirt.email(rng, address, self._kind)

    def _phones(self, rng: Dice, human: Human, firm: Firm | None) -> tuple[str | None, str | None]:
        """Phone and mobile: the switchboard in about 30 % of the rows, else the person's own, a placeholder or nothing."""
        chance = rng.random()
        if chance < 0.33 and firm is not None and firm.switchboard is not None:
            number = dirt.phone(rng, firm.switchboard, firm.country)
        elif chance < 0.72:
            number = dirt.phone(rng, human.mobile, human.country) if human.mobile else None
        elif chance < 0.75:
            number = rng.choice(dirt.PLACEHOLDER_PHONES)
        else:
            number = rng.choice(dirt.MISSING[self._kind])
        mobile = dirt.phone(rng, human.mobile, human.country) if human.mobile and rng.random() < 0.4 else None
        return number, mobile

    def _title(self, rng: Dice, human: Human) -> str | None:
        chance = rng.random()
        if chance < 0.015:
            return rng.choice(names.TITLES_ODD)
        if chance < 0.25:
            return rng.choice(dirt.MISSING[self._kind])
        return human.title if chance < 0.9 else names.title(rng)

    def company(self, number: int) -> CompanyRecord:
        """The company record with this number."""
        rng = self._company_rolls.of(number)
        columns = self._companies
        firm, profile = self._population.firm_of(int(columns.company[number])), self._population.profile(int(columns.company[number]))
        twin = number > 0 and columns.company[number - 1] == firm.number
        city, state, postal_code = firm.city
        account = self._book.company_salesforce.item(number)
        return CompanyRecord(
            company=firm.number, number=number, name=dirt.company_name(rng, firm.name),
            domain=None if twin else rng.choice((firm.domain, firm.domain, firm.domain, f"www.{firm.domain}", None)),
            industry=profile.industry if rng.random() < 0.85 else None,
            phone=dirt.phone(rng, firm.switchboard, firm.country) if firm.switchboard and rng.random() < 0.8 else None,
            street=profile.street if rng.random() < 0.8 else None, city=city, state=state, postal_code=postal_code,
            country=rng.choice(names.COUNTRY_SPELLINGS[firm.country]), employees=profile.employees if rng.random() < 0.7 else None,
            annual_revenue=profile.revenue if rng.random() < 0.6 else None, owner=firm.owner,
            created=moment(int(columns.created[number])), updated=moment(int(columns.updated[number])),
            salesforce_number=account if account >= 0 else None,
        )  # fmt: skip
