"""What the suppression list holds instead of names: keyed hashes of identifiers in one spelling, so that every variant of one is the same.

An address is a mailbox by its provider's rules, a number a line in E.164, a Salesforce id its fifteen significant characters. Buckets (a
domain, the last digits) come first and are few, so that what cannot be on the list costs a look into a set.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Literal, Self

from nicknames import NickNamer

from cdp_pipelines.audit import keys
from cdp_pipelines.audit.keys import PrivacyKey
from cdp_pipelines.config import Settings
from cdp_pipelines.identity import emails, names, phones
from cdp_pipelines.identity.blanks import filled
from cdp_pipelines.identity.emails import Mailbox

# `mailbox` and `line` stand for one person alone; with `shared_` others had the value too, and a name must agree. `named` is a value and a name.
Kind = Literal["id", "mailbox", "shared_mailbox", "line", "shared_line", "named", "bucket"]
_ADDRESS = re.compile(r"[^\s;,<>()\"'\[\]{}|\\]+@[^\s;,<>()\"'\[\]{}|\\]+")


class Hasher:
    """Hashes of one installation. `region` and `plus_tags` are those of the identity settings."""

    def __init__(self, key: PrivacyKey, region: str, plus_tags: bool):
        self._key, self.region, self._plus_tags = key.of("suppression"), region, plus_tags

    @classmethod
    def of_settings(cls, settings: Settings) -> Self:
        """The hasher of these settings."""
        return cls(keys.load(settings), settings.identity_region, settings.identity_plus_tags)

    def hash(self, kind: Kind, text: str) -> str:
        """32 hexadecimal digits."""
        return hashlib.blake2b(f"{kind}\n{text}".encode(), key=self._key, digest_size=16).hexdigest()

    def id(self, connection: str, record_id: str) -> str:
        """Of a record."""
        return self.hash("id", f"{connection}\n{plain_id(record_id)}")

    def bucket(self, what: str, text: str) -> str:
        """Of a bucket of ids, domains or numbers."""
        return self.hash("bucket", f"{what}\n{text}")

    def mailbox(self, address: str) -> Mailbox | None:
        """The mailbox of an address; None for none, and for a placeholder that is nobody's."""
        found = emails.mailbox(filled(address), plus_tags=self._plus_tags)
        return None if found is None or found.kind == "placeholder" else found

    def line(self, number: str, country: str | None) -> str | None:
        """The line of a number in E.164, or its digits."""
        return phones.line(filled(number), phones.region(country, self.region))


def plain_id(record_id: str) -> str:
    """An id in one spelling: Salesforce's last three characters only repeat the case of the others."""
    return record_id[:15] if len(record_id) == 18 else record_id


def id_bucket(record_id: str) -> str:
    """The bucket of an id."""
    return plain_id(record_id)[-2:]


def addresses(text: str) -> Iterator[str]:
    """Every e-mail address in a text, as it is written there."""
    yield from map(_bare, _ADDRESS.findall(text))


def without_addresses(text: str, gone: Callable[[str], bool], instead: str) -> str:
    """A text with something else instead of those addresses that are to go."""
    return _ADDRESS.sub(lambda found: found[0].replace(_bare(found[0]), instead) if gone(_bare(found[0])) else found[0], text)


def _bare(found: str) -> str:
    return found.removeprefix("mailto:").strip(".!?:*`~")


def spelled(text: str) -> str:
    """A text with the compatibility forms of letters made plain."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


@lru_cache(maxsize=65_536)
def last_digits(number: str) -> str:
    """The bucket of a number; empty where an extension may follow, which has digits of its own."""
    return "" if re.search(r"[^\d\s()+./\u00a0\u2010-\u2013-]", number) else re.sub(r"\D", "", number)[-4:]


def name_signs(first: str | None, last: str | None) -> set[str]:
    """What later tells that a name is the same person's: given names in all their usual forms, family names, and initials."""
    name = names.read(first, last)
    if name is None:
        return set()
    given = {form for word in name.first for form in _forms(word)}
    signs = {f"g:{word}" for word in given} | {f"f:{word}" for word in name.last}
    return signs | {f"i:{word[0]}:{family}" for word in given for family in name.last}


def name_looks(first: str | None, last: str | None) -> list[str] | None:
    """The signs of which one must be known for a name to be the same person's; None where there is no name to compare."""
    name = names.read(first, last)
    if name is None:
        return None
    if not name.first:
        return [f"f:{word}" for word in name.last]
    looks = [f"g:{word}" for word in (*name.first, *name.last) if len(word) > 1]
    return looks + [f"i:{word}:{family}" for word in name.first if len(word) == 1 for family in name.last]


@lru_cache(maxsize=4_096)
def _forms(word: str) -> frozenset[str]:
    lookup = _nicknames()
    full = lookup.canonicals_of(word)
    return frozenset({word, *full, *lookup.nicknames_of(word), *_all(lookup.nicknames_of(name) for name in full)})


def _all(sets: Iterable[Iterable[str]]) -> Iterator[str]:
    for one in sets:
        yield from one


@lru_cache(maxsize=1)
def _nicknames() -> NickNamer:
    return NickNamer()
