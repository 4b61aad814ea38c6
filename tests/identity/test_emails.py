"""One spelling for each mailbox, and whose it can be."""

from __future__ import annotations

import pytest

from cdp_pipelines.identity.emails import company_of, is_slip, mailbox


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Ann.Lee@Acme.COM ", "ann.lee@acme.com"), ("annlee+crm@googlemail.com", "Ann.Lee@gmail.com"), ("ann-lee@pm.me", "annlee@protonmail.com"),
        ("ann-shop@yahoo.com", "ann@yahoo.com"), ("mailto:ann@acme.com", "ann@acme.com"), ("Ann Lee <ann@acme.com>", "ann@acme.com"),
        ("ann+news@acme.com", "ann@acme.com"),
    ],
)  # fmt: skip
def test_spellings_of_one_mailbox(one, other):
    assert mailbox(one) is not None
    assert mailbox(one) == mailbox(other)


@pytest.mark.parametrize(
    ("one", "other"), [("ann.lee@acme.com", "annlee@acme.com"), ("ann-lee@acme.com", "ann@acme.com"), ("a@acme.com", "a@acme.de")]
)
def test_different_mailboxes(one, other):
    assert mailbox(one) != mailbox(other)


def test_plus_tags_can_be_told_apart_but_for_providers_who_say_what_they_are():
    assert mailbox("ann+news@acme.com", plus_tags=False) != mailbox("ann@acme.com", plus_tags=False)
    assert mailbox("ann+news@gmail.com", plus_tags=False) == mailbox("ann@gmail.com", plus_tags=False)


@pytest.mark.parametrize(
    "text", [None, "", "n/a", "ann", "@acme.com", "ann@acme", "ann@@acme.com", "a b@acme.com", "a@b.com, c@d.com", "+@gmail.com."]
)
def test_what_is_no_address(text):
    found = mailbox(text)
    assert found is None or found.kind == "placeholder"


@pytest.mark.parametrize(
    ("address", "kind"),
    [("ann@acme.com", "personal"), ("info@acme.com", "role"), ("Sales2@acme.com", "role"), ("acme@acme.com", "role"), ("none@none.com", "placeholder"),
     ("test@acme.com", "placeholder"), ("xxx@acme.com", "placeholder"), ("ann@nowhere.invalid", "placeholder"), ("---@acme.com", "placeholder")],
)  # fmt: skip
def test_kinds(address, kind):
    found = mailbox(address)
    assert found is not None
    assert found.kind == kind


def test_a_company_is_called_by_its_domain_and_a_provider_is_none():
    assert [company_of(d) for d in ("acme.com", "mail.acme.co.uk", "acme-tools.de", "acme.example")] == [
        "acme",
        "acme",
        "acmetools",
        "acme",
    ]
    companies = [m.company for a in ("a@gmail.com", "a@yahoo.co.uk", "a@mail.example.com", "a@acme.com") if (m := mailbox(a))]
    assert companies == [None, None, None, "acme"]


def test_a_slip_is_a_letter_and_not_a_dot_or_a_digit():
    assert is_slip("leon.hatfield", "leon.htafield")
    assert is_slip("leon.hatfield", "leon.hatfeld")
    assert not is_slip("ann.lee", "annlee")
    assert not is_slip("annlee1", "annlee2")
    assert not is_slip("ann", "amn")
