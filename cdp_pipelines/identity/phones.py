"""Telephone numbers as evidence: one spelling for each line, in E.164 where the number can be understood."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

_EXTENSION = re.compile(r"(?:\s*(?:;?ext=|extn?\.?|extension|x|#|durchwahl|dw\.?)\s*\d{1,6})\s*$", re.IGNORECASE)
_ENDS_LIKE_ONE = re.compile(r"[a-z#=.]\s*\d{1,6}\s*$", re.IGNORECASE)
_NANP = re.compile(r"1?[2-9]\d{2}[2-9]\d{6}")
# All that people put between digits; `(0)` is the trunk zero that is not dialled after a country code.
_PUNCTUATION = str.maketrans("", "", " \t\r\n\u00a0()./-\u2010\u2011\u2012\u2013")
_RUN = "01234567890123456789"
COUNTRIES = {
    "usa": "US", "united states": "US", "united states of america": "US", "america": "US", "canada": "CA", "united kingdom": "GB", "uk": "GB",
    "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "ireland": "IE", "germany": "DE", "deutschland": "DE", "austria": "AT",
    "osterreich": "AT", "switzerland": "CH", "schweiz": "CH", "suisse": "CH", "france": "FR", "spain": "ES", "espana": "ES", "portugal": "PT",
    "italy": "IT", "italia": "IT", "netherlands": "NL", "the netherlands": "NL", "nederland": "NL", "belgium": "BE", "luxembourg": "LU",
    "denmark": "DK", "sweden": "SE", "norway": "NO", "finland": "FI", "iceland": "IS", "poland": "PL", "czech republic": "CZ", "czechia": "CZ",
    "slovakia": "SK", "hungary": "HU", "romania": "RO", "bulgaria": "BG", "greece": "GR", "turkey": "TR", "ukraine": "UA", "russia": "RU",
    "israel": "IL", "india": "IN", "china": "CN", "japan": "JP", "south korea": "KR", "korea": "KR", "singapore": "SG", "hong kong": "HK",
    "taiwan": "TW", "thailand": "TH", "malaysia": "MY", "indonesia": "ID", "philippines": "PH", "vietnam": "VN", "australia": "AU",
    "new zealand": "NZ", "south africa": "ZA", "nigeria": "NG", "kenya": "KE", "egypt": "EG", "united arab emirates": "AE", "uae": "AE",
    "saudi arabia": "SA", "brazil": "BR", "brasil": "BR", "mexico": "MX", "argentina": "AR", "chile": "CL", "colombia": "CO", "peru": "PE",
}  # fmt: skip


@lru_cache(maxsize=4096)
def region(country: str | None, default: str) -> str:
    """The two-letter region that a country as written names; `default` where it names none."""
    if not country:
        return default
    plain = country.strip().casefold()
    if len(plain) == 2 and plain.upper() in phonenumbers.SUPPORTED_REGIONS:
        return plain.upper()
    return COUNTRIES.get(plain, default)


def line(text: str | None, where: str) -> str | None:
    """The line that a number leads to, extension left out, in E.164: `+15552345678`.

    `where` is the two-letter region in which a number without country code is meant. A number that no plan knows is kept by its digits
    (at least seven), without a plus sign; None for what can be no line of anybody: too short, one digit over and over, a run of digits.
    """
    if not text:
        return None
    bare = _EXTENSION.sub("", text) if _ENDS_LIKE_ONE.search(text) else text
    compact = bare.translate(_PUNCTUATION)
    if compact.isdecimal() and where in ("US", "CA") and _NANP.fullmatch(compact):
        return f"+1{compact[-10:]}" if not _made_up(compact[-10:]) else None
    if compact.startswith("+1") and _NANP.fullmatch(compact[1:]):
        return compact if not _made_up(compact[2:]) else None
    return _parsed(compact, where)


@lru_cache(maxsize=262_144)
def _parsed(text: str, where: str) -> str | None:
    digits = re.sub(r"\D", "", text)
    if not 7 <= len(digits) <= 17 or _made_up(digits):
        return None
    try:
        number = phonenumbers.parse(text, where)
    except phonenumbers.NumberParseException:
        return digits
    national = phonenumbers.national_significant_number(number)
    if _made_up(national) or _made_up(str(number.national_number)):
        return None
    return f"+{number.country_code}{national}" if phonenumbers.is_possible_number(number) else digits


@lru_cache(maxsize=65_536)
def _made_up(digits: str) -> bool:
    """Whether nobody has such a number: 000-000-0000, 555-555-5555, 123-456-7890, 999-999-9998, or almost so."""
    different = set(digits)
    if len(different) <= 2 and max(map(digits.count, different)) >= len(digits) - 1:
        return True
    if len(set(digits[-7:])) == 1:
        return True
    return digits in _RUN or digits in _RUN[::-1]
