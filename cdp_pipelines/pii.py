"""Classes of personal data: what a column says of a person, and what becomes of it in the masked file."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Pii = Literal["none", "id", "name", "contact", "organization", "quasi", "text"]
Treatment = Literal["kept", "token", "token_of_people", "truncated", "dropped"]


class Class(NamedTuple):
    """What columns of a class hold, how they are masked, and that in a sentence."""

    holds: str
    treatment: Treatment
    masked: str


CLASSES: dict[Pii, Class] = {
    "none": Class("nothing that says who somebody is: amounts, stages, times, marks", "kept", "as it is"),
    "id": Class("the id or key of a record, a person or a user", "token", "a token"),
    "name": Class("a person's name or login name", "token", "a token"),
    "contact": Class("what reaches a person or company: an e-mail address, a number", "token", "a token"),
    "organization": Class("a company's name", "token_of_people", "as it is, unless somebody in the contacts is called so: then a token"),
    "quasi": Class(
        "what says who somebody is together with other things: a town, a postal code, a job title, a date of birth",
        "truncated",
        "text: its first three characters, nothing where there are no more; dates and times: the year; all else: nothing",
    ),
    "text": Class("text or lists in which anything may stand: titles of deals, reasons", "dropped", "the column is not there"),
}
"""Every published column has one of these; mapping.yml says which."""
assert set(CLASSES) == set(get_args(Pii))


def described(description: str, pii: Pii) -> str:
    """A column's description, with its class where that is personal data."""
    return description if pii == "none" else f"{description} Personal data: {pii}."
