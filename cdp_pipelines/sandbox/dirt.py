"""How clean values become what CRMs hold: spellings, formats, blanks, placeholders. Each kind was seen in real CRMs (CDP practice)."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.names import NICKNAMES, Country

# What stands where a value is missing. Salesforce trims text and turns '' into null; the other two keep what an import gave them.
MISSING: dict[Kind, tuple[str | None, ...]] = {
    "salesforce": (None, None, None, "N/A", "null"),
    "hubspot": (None, None, "", "N/A", "null", "  "),
    "marketo": (None, None, "", "N/A", "null", "  ", "NULL"),
}
# Salesforce wants a last name and a lead's company; this is what people and Marketo's sync put there.
REQUIRED = ("[not provided]", "Unknown", "N/A", "-")
PLACEHOLDER_EMAILS = ("none@none.com", "test@test.com", "none@none.com")
PLACEHOLDER_PHONES = ("000-000-0000", "0000000000", "+1 (000) 000-0000", "111-111-1111", "N/A", "x")
SHARED_MAILBOXES = ("info", "sales", "office")
PLUS_TAGS = ("crm", "webinar", "news", "test")
_CALLING_CODES: dict[Country, str] = {"US": "1", "GB": "44", "DE": "49", "FR": "33"}


def phone(rng: Random, digits: str, country: Country) -> str:
    """A national number in one of the ways that people write it."""
    code = _CALLING_CODES[country]
    if country == "US":
        area, middle, last = digits[:3], digits[3:6], digits[6:]
        return rng.choice(
            (f"+1 ({area}) {middle}-{last}", f"({area}) {middle}-{last}", f"{area}.{middle}.{last}", f"{area}-{middle}-{last}", digits, f"+1{digits}",
             f"1-{area}-{middle}-{last}", f"({area}) {middle}-{last} ext. 12")
        )  # fmt: skip
    head, tail = digits[:3], digits[3:]
    return rng.choice(
        (f"+{code} {head} {tail}", f"+{code}{digits}", f"0{head} {tail}", f"00{code} {head} {tail}", f"+{code} (0){head}-{tail}")
    )


def email(rng: Random, address: str, kind: Kind) -> str:
    """An address with other case, or (Marketo, which does not check imports) blanks around it. HubSpot keeps lower case only."""
    chance = rng.random()
    if kind == "hubspot":
        return address
    if chance < 0.06:
        return address.upper()
    if chance < 0.16:
        local, _, domain = address.partition("@")
        return f"{local.title()}@{domain}"
    if chance < 0.20 and kind == "marketo":
        return rng.choice((f" {address}", f"{address} ", f"{address}\t"))
    return address


def email_tagged(rng: Random, address: str) -> str:
    """An address with a plus tag."""
    local, _, domain = address.partition("@")
    return f"{local}+{rng.choice(PLUS_TAGS)}@{domain}"


def email_typo(rng: Random, address: str) -> str:
    """An address with two neighbouring letters before the @ changed over, or one lost."""
    local, _, domain = address.partition("@")
    return f"{typo(rng, local)}@{domain}"


def typo(rng: Random, word: str) -> str:
    """A word with two neighbouring letters changed over, or one lost; short words stay."""
    if len(word) < 4:
        return word
    at = rng.randrange(1, len(word) - 2)
    if rng.random() < 0.5:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :]


def accents(rng: Random, name: str) -> str:
    """An accented name as composed letters, as letters with separate accents (NFD), or without them."""
    if name.isascii():
        return name
    chance = rng.random()
    if chance < 0.2:
        return unicodedata.normalize("NFD", name)
    if chance < 0.3:
        return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
    return name


def first_and_last(rng: Random, first: str, last: str, kind: Kind) -> tuple[str | None, str | None]:
    """A person's names as somebody typed them: nickname, typo, changed over, shouted, initial, missing."""
    if first in NICKNAMES and rng.random() < 0.3:
        first = rng.choice(NICKNAMES[first])
    first, last = accents(rng, first), accents(rng, last)
    chance = rng.random()
    if chance < 0.015:
        return last, first
    if chance < 0.03:
        return typo(rng, first), last
    if chance < 0.04:
        return first, typo(rng, last)
    if chance < 0.06:
        return first.upper(), last.upper()
    if chance < 0.08:
        return first.lower(), last.lower()
    if chance < 0.09:
        return f"{first[0]}.", last
    if chance < 0.11:
        return rng.choice(MISSING[kind]), last
    if chance < 0.125:
        return first, rng.choice(REQUIRED if kind == "salesforce" else MISSING[kind])
    if chance < 0.14 and kind != "salesforce":
        return f" {first}", f"{last} "
    return first, last


def company_name(rng: Random, name: str) -> str:
    """A company's name with another legal form, other case, or none at all."""
    chance = rng.random()
    if chance < 0.15:
        return name.rsplit(" ", 1)[0].rstrip(",")
    if chance < 0.2:
        return name.upper()
    if chance < 0.25:
        return f"{name.rsplit(' ', 1)[0]}, {name.rsplit(' ', 1)[1]}"
    return name


def deal_name(rng: Random, name: str) -> str:
    """A deal's name in other case, with another mark between its parts, or with a year behind it."""
    chance = rng.random()
    if chance < 0.06:
        return name.upper()
    if chance < 0.12:
        return name.replace(" - ", " – ")
    if chance < 0.18:
        return name.replace(" - ", ": ")
    if chance < 0.24:
        return f"{name} 2026"
    return name


def deal_amount(rng: Random, amount: Decimal | None) -> Decimal | None:
    """An amount that was forgotten, rounded, or negotiated since."""
    chance = rng.random()
    if not amount or chance < 0.82:
        return amount
    if chance < 0.88:
        return None
    if chance < 0.94:
        return (amount // 1000 + 1) * 1000
    return (amount * rng.randint(80, 120) / 100).quantize(Decimal("0.01"))


def deal_date(rng: Random, day: date, *, closed: bool) -> date | None:
    """A closing date that is a day or two off, or, of a deal that is not closed, a month off or not known."""
    chance = rng.random()
    if chance < 0.80:
        return day
    if chance < 0.90:
        return day + timedelta(days=rng.choice((-2, -1, 1, 2)))
    if closed:
        return day
    return day + timedelta(days=30) if chance < 0.94 else None
