"""One key for every way to write a company."""

from __future__ import annotations

import pytest

from cdp_pipelines.identity.companies import company_key


@pytest.mark.parametrize(
    "text", ["Acme", "ACME, Inc.", "The Acme Company", "acme S.A.", "Acme GmbH & Co. KG", "Acmé Ltd", " Acme (Pty) Ltd "]
)
def test_one_company(text):
    assert company_key(text) == "acme"


def test_other_companies_and_none():
    assert company_key("Acme Tools Inc") == "acmetools"
    assert company_key("Smith & Sons Ltd") == "smithandsons"
    assert company_key("Inc.") == "inc"
    assert company_key("n/a") is None
    assert company_key(None) is None
