"""Whose a value is follows from the names on it."""

from __future__ import annotations

import pytest

from cdp_pipelines.identity.names import Name, read
from cdp_pipelines.identity.sharing import count_people


def names(*texts: str) -> list[Name]:
    found = [read(*text.split(" ", 1)) for text in texts]
    return [name for name in found if name]


@pytest.mark.parametrize(
    ("people", "texts"),
    [
        (1, ["Ann Lee", "Anne Lee", "A. Lee", "Lee Ann"]),
        (1, ["Robert Fischer", "Bob Fischer", "Rob Fisher", "R. Fischer", "Fischer Robert"]),
        (2, ["Ann Lee", "Bob Lee", "A. Lee"]),
        (2, ["Jo Lee Sr", "Jo Lee Jr"]),
        (3, ["Ann Lee", "Bob Ray", "Cia Dow", "Dan Fox", "Eva Orr"]),
    ],
)
def test_people_on_a_value(people, texts):
    assert count_people(names(*texts), 3) == people
    assert count_people(names(*reversed(texts)), 3) == people
