"""From a text back to the records that may hold it: an address names the firm or the person, a company's name its founder and its trade.

What comes out is few enough to be made and looked at, also in a world of a million; what is asked for is in lower case, without blanks around.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

import numpy as np

from cdp_pipelines.sandbox import dirt, names
from cdp_pipelines.sandbox.columns import Column, CompanyColumns
from cdp_pipelines.sandbox.people import PersonRecord
from cdp_pipelines.sandbox.records import HOME, NO_MAIL, PLACEHOLDER, SHARED, TYPO, WORK, Book


class Lookup:
    """Candidates among one CRM's records. `person` makes the record with a number."""

    def __init__(self, book: Book, companies: CompanyColumns, person: Callable[[int], PersonRecord]):
        self._book, self._companies, self._person = book, companies, person

    def people_with_email(self, text: str) -> Column:
        """Numbers of the people who may have this address, in order."""
        book = self._book
        local, at, domain = text.partition("@")
        if not at:
            return np.flatnonzero(book.mail == NO_MAIL)
        if text in dirt.PLACEHOLDER_EMAILS:
            return np.flatnonzero(book.mail == PLACEHOLDER)
        if domain in names.MAIL_PROVIDERS:
            return self._at_home(text, local)
        firms = book.population.firms_with_domain(domain)
        return np.flatnonzero(np.isin(book.firm, firms) & ((book.mail == WORK) | (book.mail == SHARED)))

    def _at_home(self, text: str, local: str) -> Column:
        """The person's number ends the address; with a mistake in it, it may be another's."""
        found = set(self._mistyped.get(text, ()))
        if digits := re.search(r"(\d{1,9})(\+|$)", local):
            # Partners have one address.
            for person in (int(digits[1]) - 1, int(digits[1])):
                found.update(range(*np.searchsorted(self._book.person, [person, person + 1]).tolist()))
        some = np.array(sorted(found), dtype=np.int64)
        return some[self._book.mail[some] == HOME]

    @cached_property
    def _mistyped(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in np.flatnonzero((self._book.mail == HOME) & (self._book.spelling == TYPO)).tolist():
            found.setdefault((self._person(number).email or "").strip().lower(), []).append(number)
        return found

    def companies_named(self, text: str) -> Column:
        """Numbers of the companies that may have this name, in order."""
        return np.flatnonzero(np.isin(self._companies.company, self._book.population.firms_named(text)))
