"""Names that go together, names that contradict each other, and those of which nobody can tell."""

from __future__ import annotations

import pytest

from cdp_pipelines.identity.names import Agreement, Name, compare, guess, read


def level(one: tuple[str | None, str | None], other: tuple[str | None, str | None]) -> Agreement:
    a, b = read(*one), read(*other)
    assert a is not None
    assert b is not None
    assert compare(a, b) == compare(b, a)
    return compare(a, b)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("José", "Núñez"), ("Jose\u0301", "NUÑEZ"), Agreement.SAME),
        (("Dr. Ann", "Lee, PhD"), ("ann", "Lee"), Agreement.SAME),
        ((None, "Lee, Ann"), ("Ann", "Lee"), Agreement.SAME),
        (("Ann Lee", None), ("Ann", "Lee"), Agreement.SAME),
        (("Anne-Marie", "O'Brien"), ("Anne Marie", "OBrien"), Agreement.SAME),
        (("Lee", "Ann"), ("Ann", "Lee"), Agreement.CLOSE),
        (("Robert", "Lee"), ("Bob", "Lee"), Agreement.CLOSE),
        (("Lee", "Robert"), ("Bob", "Lee"), Agreement.CLOSE),
        (("Rob", "Lee"), ("Bobby", "Lee"), Agreement.CLOSE),
        (("Marc", "Meyer"), ("Mark", "Maier"), Agreement.CLOSE),
        (("Michael", "Brown"), ("Micheal", "Brwon"), Agreement.CLOSE),
        (("Maria", "Garcia Lopez"), ("Maria", "Garcia"), Agreement.CLOSE),
        (("Jan", "van der Berg"), ("Jan", "Vanderberg"), Agreement.SAME),
        (("James Robert", "Lee"), ("Robert", "Lee"), Agreement.CLOSE),
        (("J.", "Lee"), ("John", "Lee"), Agreement.PARTIAL),
        (("Lee", "Ann"), ("A.", "Lee"), Agreement.PARTIAL),
        ((None, "Lee"), ("Ann", "Lee"), Agreement.HALF),
        (("Williams", "Grant"), (None, "Williams"), Agreement.HALF),
        (("B.", "Lee"), ("Robert", "Lee"), Agreement.UNKNOWN),
        (("Joan", "Lee"), ("John", "Lee"), Agreement.UNKNOWN),
        (("Daniel", "Lee"), ("Daniela", "Lee"), Agreement.UNKNOWN),
        (("John", "Lee"), ("John", "Lee Jr."), Agreement.UNKNOWN),
        (("Иван", "Петров"), ("Ivan", "Petrov"), Agreement.UNKNOWN),
        (("Ann", "Lee"), ("Ann", "Smith"), Agreement.SURNAME),
        (("Ann", "Lee"), ("Bob", "Lee"), Agreement.CONFLICT),
        (("A.", "Lee"), ("Bob", "Lee"), Agreement.CONFLICT),
        (("John", "Lee Sr"), ("John", "Lee, Jr."), Agreement.GENERATION),
        (("John", "Lee II"), ("John", "Lee III"), Agreement.GENERATION),
    ],
)
def test_agreement(one, other, expected):
    assert level(one, other) == expected


@pytest.mark.parametrize("nothing", [None, "", " ", "N/A", "<NA>", "null", "None", "[not provided]", "--"])
def test_a_word_for_nothing_is_no_name(nothing):
    assert read(nothing, nothing) is None
    assert read("Ann", nothing) == Name(("ann",), ())


def test_a_mailbox_tells_the_part_that_is_missing():
    half = Name(("petar",), ())
    assert guess(half, "petar.gierschner") == Name(("petar",), ("gierschner",))
    assert guess(Name((), ("meyers",)), "dmeyers12") == Name(("d",), ("meyers",))
    assert guess(half, "office") == half
    assert guess(Name(("ann",), ("lee",)), "ann.smith") == Name(("ann",), ("lee",))
    assert guess(None, "ann.lee") is None
