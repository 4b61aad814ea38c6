"""Salesforce record ids: 15 case-sensitive characters, and three more that carry their case."""

from __future__ import annotations

import string

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECK = string.ascii_uppercase + "012345"
# Instance and reserved characters of every id of this org, between the object's prefix and the number.
_ORG = "Kx0"


_CAPITAL = {char: int(char in string.ascii_uppercase) for char in string.digits + string.ascii_letters}


def with_checksum(id15: str) -> str:
    """The 18-character form: for each group of five characters, one that says which of them are capitals."""
    bits = [_CAPITAL.get(char, 0) for char in id15]
    # Written out, since a store makes some hundred thousand ids when it looks through its records.
    first = bits[0] | bits[1] << 1 | bits[2] << 2 | bits[3] << 3 | bits[4] << 4
    second = bits[5] | bits[6] << 1 | bits[7] << 2 | bits[8] << 3 | bits[9] << 4
    third = bits[10] | bits[11] << 1 | bits[12] << 2 | bits[13] << 3 | bits[14] << 4
    return id15 + _CHECK[first] + _CHECK[second] + _CHECK[third]


def make_id(prefix: str, number: int) -> str:
    """The id of an object's record; ids sort as their numbers do, and numbers 26 apart often differ in case only."""
    digits = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return with_checksum(prefix + _ORG + digits.rjust(9, _DIGITS[0]))


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
