"""Checks 13: whether what should reach people can: e-mail addresses, phone numbers, countries and states of the contacts.

People type such things, so some of it is always wrong, and one such value is no fault of the pipeline. What is told is when too much of it is,
connection by connection: then a form, an import or a field's mapping is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import phonenumbers
from babel import Locale

from cdp_pipelines.database import quoted
from cdp_pipelines.identity.emails import PLACEHOLDER_DOMAINS, PLACEHOLDERS, ROLES, SHAPE
from cdp_pipelines.identity.phones import COUNTRIES
from cdp_pipelines.quality.check import Check

FEW = 20
"""So many wrong values of a connection are never told: a share of a small table says nothing."""
_WARNS = "Warns: what people typed is what the CRM has, and holding the tables back mends none of it."
# Well-known services for addresses that live for minutes.
_DISPOSABLE = (
    "10minutemail.com", "discard.email", "dispostable.com", "fakeinbox.com", "getnada.com", "grr.la", "guerrillamail.com", "maildrop.cc",
    "mailinator.com", "mailnesia.com", "mintemail.com", "moakt.com", "mohmal.com", "sharklasers.com", "spam4.me", "temp-mail.org", "tempmail.com",
    "throwawaymail.com", "trashmail.com", "yopmail.com",
)  # fmt: skip
# ISO 3166-2:US, and the territories.
_STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado", "CT": "Connecticut",
    "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois",
    "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts",
    "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio",
    "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota",
    "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia",
    "WI": "Wisconsin", "WY": "Wyoming", "AS": "American Samoa", "GU": "Guam", "MP": "Northern Mariana Islands", "PR": "Puerto Rico",
    "VI": "U.S. Virgin Islands",
}  # fmt: skip
_LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt")


class _Rate(NamedTuple):
    """A check of one column: the SQL that says of a value (`v`: the column, or another expression of it) that it is wrong, and the share of
    values that may be."""

    name: str
    column: str
    wrong: str
    bound: float
    says: str
    remedy: str
    value: str | None = None


@cache
def checks() -> tuple[Check, ...]:
    """The checks of the contacts, one for each column and kind of fault."""
    return tuple(_check(rate) for rate in _rates())


def _rates() -> tuple[_Rate, ...]:
    local, domain = "split_part(v, '@', 1)", "split_part(v, '@', 2)"
    # E.164: fifteen digits at most, the first of them no 0 after a plus sign. Extensions, `(0)` and what people put between digits are no fault.
    bare = r"translate(regexp_replace(lower(phone), '(ext|x|#|durchwahl|dw)[. ]*[0-9]{1,6}$', ''), ' ()./-', '')"
    countries = _listed(_countries())
    return (
        _Rate("emails_well_formed", "email", f"not regexp_full_match(v, '{SHAPE.pattern}')", 0.10, "is no address",
              "Look at these records, and at the form or import that wrote them; write-back refuses such an address."),
        _Rate("emails_are_someones", "email",
              f"{local} in {_listed(PLACEHOLDERS)} or {domain} in {_listed(PLACEHOLDER_DOMAINS)} or {domain} in {_listed(_DISPOSABLE)}", 0.05,
              "is a placeholder or a throw-away address", "See which form or import asks for an address and gets none."),
        _Rate("emails_are_personal", "email", f"regexp_replace({local}, '[._-]', '', 'g') in {_listed(ROLES)}", 0.15,
              "is a mailbox of a function, such as info@", "Such records are no persons: keep them as companies in the CRM."),
        _Rate("phones_well_formed", "phone",
              "not regexp_full_match(v, '[+]?[0-9]{7,15}') or v like '+0%' or replace(ltrim(v, '+'), right(v, 1), '') = ''", 0.25,
              "can be no telephone number (E.164)", "Look at these records, and at the form or import that wrote them.", bare),
        _Rate("countries_known", "country", f"strip_accents(lower(v)) not in {countries}", 0.05, "is neither an ISO 3166 code nor a country's name",
              "See the values with `cdp sql \"select country, count(*) from contacts group by 1\"`; make the field a picklist in the CRM."),
        _Rate("states_known", "state", f"lower(v) not in {_listed([*_STATES, *_STATES.values()])} "
              f"and strip_accents(lower(coalesce(country, ''))) in ('us', 'usa', 'united states', 'united states of america')", 0.10,
              "is, in the United States, neither a state's code (ISO 3166-2) nor its name",
              "See the values with `cdp sql \"select state, count(*) from contacts group by 1\"`; make the field a picklist in the CRM."),
    )  # fmt: skip


def _check(rate: _Rate) -> Check:
    # A sum, not a count with a filter: over a window DuckDB counts the latter anew for each row (version 1.5.5).
    return Check(
        rate.name, "contacts", False, f"Of each connection's contacts at most {rate.bound:.0%} have a value in {rate.column} that {rate.says}.",
        rate.remedy,
        f"""select key, 1 as rows from (
            select key, wrong, sum(wrong::int) over of_connection as wrongs, count(*) over of_connection as given from (
                select connection || ':' || customer_id as key, connection, coalesce({rate.wrong}, false) as wrong
                from (select *, {rate.value or rate.column} as v from standardized.contacts where not is_deleted and {rate.column} is not null)
            ) window of_connection as (partition by connection)
        ) where wrong and wrongs > {FEW} and wrongs > {rate.bound} * given""",
        13, _WARNS,
    )  # fmt: skip


def _countries() -> set[str]:
    """What people call countries: codes of two letters, names in a few languages, and what the resolver understands; without accents."""
    names = {name.casefold() for language in _LANGUAGES for code, name in Locale(language).territories.items() if len(code) == 2}
    return names | {code.casefold() for code in phonenumbers.SUPPORTED_REGIONS} | {*COUNTRIES, *_THREE_LETTERS}


# ISO 3166-1 alpha-3, of the countries that CRMs most often hold.
_THREE_LETTERS = (
    "arg", "aus", "aut", "bel", "bra", "can", "che", "chl", "chn", "col", "cze", "deu", "dnk", "egy", "esp", "fin", "fra", "gbr", "grc", "hkg",
    "hun", "idn", "ind", "irl", "isr", "ita", "jpn", "kor", "lux", "mex", "mys", "nga", "nld", "nor", "nzl", "per", "phl", "pol", "prt", "rou",
    "rus", "sau", "sgp", "svk", "swe", "tha", "tur", "twn", "ukr", "usa", "vnm", "zaf",
)  # fmt: skip


def _listed(words: Iterable[str]) -> str:
    """Words for SQL's `in`: in lower case, without accents. As a query they are hashed once; in a list each value would be compared with each."""
    plain = {"".join(c for c in unicodedata.normalize("NFD", word.casefold()) if not unicodedata.combining(c)) for word in words}
    return "(select unnest([" + ", ".join(f"'{quoted(word)}'" for word in sorted(plain)) + "]))"
