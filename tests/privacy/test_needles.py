"""A person's values in texts, and not in other people's."""

from __future__ import annotations

import pytest

from cdp_pipelines.privacy.needles import Needles

NEEDLES = Needles(
    {"ann@acme.com": "e-mail address", "+12125550143": "telephone number", "003Kx00000AbCdE": "id", "Ann Lee": "name"}, {"hubspot": ["101"]}
)


@pytest.mark.parametrize(
    "text",
    [
        "joann@acme.com", "ann@acme.com.au", "ann@acme.company", "x+ann@acme.com", "+121255501432", "1003Kx00000AbCdE", "003Kx00000AbCdEQAVx1", "Joann Lee", "Ann Leeds",
        "hubspot:1012", "otherhubspot:101",
    ],
)  # fmt: skip
def test_what_is_somebody_elses_stays(text):
    assert NEEDLES.without(text) == text
    assert not NEEDLES.found_in(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail ANN@acme.com.", "mail [erased]."), ('{"to":"ann@acme.com"}', '{"to":"[erased]"}'), ("<ann@acme.com>", "<[erased]>"),
        ("call +12125550143 or", "call [erased] or"), ("003Kx00000AbCdEQAV", "[erased]"), ("by Ann Lee, who", "by [erased], who"),
        ("hubspot:101, hubspot:102", "[erased], hubspot:102"), ("| hubspot | contacts 101 | update | a | b |\nnext", "[erased]\nnext"),
    ],
)  # fmt: skip
def test_what_is_the_persons_goes(text, left):
    assert NEEDLES.without(text) == left


def test_a_salesforce_id_is_not_another_one_that_differs_in_the_case_of_a_letter():
    one = Needles({"003Kx000000000e": "id"}, {})
    assert one.found_in("of 003Kx000000000eIAA")
    assert one.found_in("of 003Kx000000000e")
    assert not one.found_in("of 003Kx000000000EIAQ")
    assert one.without("003Kx000000000EIAQ, 003Kx000000000eIAA").startswith("003Kx000000000EIAQ, ")
