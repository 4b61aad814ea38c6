"""One spelling for each line, and numbers that are nobody's."""

from __future__ import annotations

import pytest

from cdp_pipelines.identity.phones import line, region


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("(212) 555-0143", "US", "+12125550143"), ("1-212-555-0143", "US", "+12125550143"), ("+1 212.555.0143 ext. 12", "DE", "+12125550143"),
        ("+1 (212) 555-0143 x9", "US", "+12125550143"), ("030 901820", "DE", "+4930901820"), ("+49 (0)30 901820", "US", "+4930901820"),
        ("0049 30 901820", "DE", "+4930901820"), ("020 7946 0018", "GB", "+442079460018"), ("06 12 34 56 78", "FR", "+33612345678"),
    ],
)  # fmt: skip
def test_one_spelling(text, where, expected):
    assert line(text, where) == expected


@pytest.mark.parametrize(
    "text", [None, "", "x", "911", "000-000-0000", "555-555-5555", "+1 999 999 9999", "123-456-7890", "9876543210", "111-111-1112"]
)
def test_nobodys_numbers(text):
    assert line(text, "US") is None


def test_a_number_outside_every_plan_is_kept_by_its_digits():
    assert line("02 123 456", "US") == "02123456"


def test_countries_as_people_write_them():
    assert [region(c, "US") for c in ("Germany", " de ", "UNITED KINGDOM", "Atlantis", None)] == ["DE", "DE", "GB", "US", "US"]
