"""Whatever a record says, its text leads back to it, without everybody being made."""

from __future__ import annotations

from functools import cache

import pytest

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.columns import candidates
from cdp_pipelines.sandbox.people import World, build_world


@cache
def world() -> World:
    return build_world(people=3_000, seed=5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_address_leads_to_all_people_who_have_it(kind: Kind) -> None:
    people = world().view(kind).people
    having: dict[str, set[int]] = {}
    for person in people:
        if person.email is not None:
            having.setdefault(person.email.strip().lower(), set()).add(person.number)
    for text, numbers in having.items():
        assert numbers <= set(candidates(people, "email", text)), text


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_leads_to_all_companies_that_have_it(kind: Kind) -> None:
    companies = world().view(kind).companies
    having: dict[str, set[int]] = {}
    for company in companies:
        having.setdefault(company.name.lower(), set()).add(company.number)
    for text, numbers in having.items():
        assert numbers <= set(candidates(companies, "name", text)), text


def test_few_candidates_are_to_be_looked_at() -> None:
    people = world().hubspot.people
    found = [
        len(list(candidates(people, "email", p.email)))
        for p in people
        if p.email and not p.email.endswith("@none.com") and "test@" not in p.email
    ]
    assert max(found) < 100
    assert list(candidates(people, "email", "nobody@tea.example")) == []
    assert list(candidates(world().hubspot.companies, "name", "no such company")) == []


def test_without_columns_everybody_is_a_candidate() -> None:
    some = world().hubspot.people[:7]
    assert list(candidates(some, "email", "ann@tea.example")) == list(range(7))
