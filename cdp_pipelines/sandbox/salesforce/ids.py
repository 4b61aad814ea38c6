"""Salesforce record ids: 15 case-sensitive characters, and three more that carry their case."""

from __future__ import annotations

import string
from functools import cache

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECK = string.ascii_uppercase + "012345"
# Instance and reserved characters of every id of this org, between the object's prefix and the number.
_ORG = "Kx0"

# Every character as "1" for a capital and "0" for another, and the check character of five of those.
_CAPITALS = str.maketrans({chr(code): str(int(chr(code) in string.ascii_uppercase)) for code in range(128)})
_CHECK_OF = {f"{number:05b}"[::-1]: char for number, char in enumerate(_CHECK)}


def with_checksum(id15: str) -> str:
    """The 18-character form: for each group of five characters, one that says which of them are capitals."""
    capitals, check = id15.translate(_CAPITALS), _CHECK_OF.get
    return f"{id15}{check(capitals[:5], '')}{check(capitals[5:10], '')}{check(capitals[10:], '')}"


# Every two digits, and which of them are capitals (the first one is bit 0); the same of one digit.
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]
_PAIR_CAPITALS = [a.isupper() + 2 * b.isupper() for a in _DIGITS for b in _DIGITS]
_DIGIT_CAPITALS = [a.isupper() for a in _DIGITS]
_SQUARE, _LAST_FIVE = len(_DIGITS) ** 2, len(_DIGITS) ** 5


def make_id(prefix: str, number: int) -> str:
    """The id of an object's record; ids sort as their numbers do, and numbers 26 apart often differ in case only."""
    head, last = divmod(number, _LAST_FIVE)
    first, last = divmod(last, _SQUARE * _SQUARE)
    second, third = divmod(last, _SQUARE)
    capitals = _DIGIT_CAPITALS[first] + 2 * _PAIR_CAPITALS[second] + 8 * _PAIR_CAPITALS[third]
    start, checks = _start(prefix, head)
    return f"{start}{_DIGITS[first]}{_PAIRS[second]}{_PAIRS[third]}{checks}{_CHECK[capitals]}"


@cache
def _start(prefix: str, head: int) -> tuple[str, str]:
    """An id up to its last five digits, and the characters that say which of those are capitals."""
    digits = _PAIRS[head // _SQUARE] + _PAIRS[head % _SQUARE]
    return (start := prefix + _ORG + digits), with_checksum(f"{start}00000")[15:17]


def well_formed(text: str, prefix: str = "") -> bool:
    """Whether this could be an id of some org's object: 15 characters, or 18 of which the last three fit the others."""
    if not (text.isascii() and text.isalnum() and text.startswith(prefix)):
        return False
    return len(text) == 15 or (len(text) == 18 and with_checksum(text[:15]) == text)


def read_id(text: str, prefix: str) -> int | None:
    """The number in an id of 15 or 18 characters; None when it is no id of this object in this org."""
    if len(text) not in (15, 18) or not text.startswith(prefix + _ORG) or (len(text) == 18 and with_checksum(text[:15]) != text):
        return None
    number = 0
    for char in text[6:15]:
        if (digit := _DIGITS.find(char)) < 0:
            return None
        number = number * len(_DIGITS) + digit
    return number
