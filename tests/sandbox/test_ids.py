"""Lists of ids that are written when somebody looks at them."""

from __future__ import annotations

import numpy as np
import pytest

from cdp_pipelines.sandbox.ids import Ids


def ids(*numbers: int) -> Ids:
    """Even numbers are written e0, e2 ..., odd ones o1, o3 ..."""
    return Ids(
        np.array(numbers), lambda n: f"{'eo'[n % 2]}{n}", lambda text: int(text[1:]) if text[1:].isdigit() else None,
        lambda some, prefix: some % 2 == "eo".index(prefix),
    )  # fmt: skip


def test_it_reads_as_the_list_of_ids_would() -> None:
    found = ids(4, 1, 7)
    assert found == ["e4", "o1", "o7"]
    assert (len(found), found[0], found[-1], found[1:]) == (3, "e4", "o7", ["o1", "o7"])
    assert "o1" in found
    assert not {"o3", "o99", "tea"} & {text for text in ("o3", "o99", "tea") if text in found}
    assert ids() == []


def test_ids_go_and_come_at_the_end() -> None:
    found = ids(4, 1, 7)
    found.remove("e4")
    assert "e4" not in found
    found.append("o5001")
    found.append("e4")
    assert found == ["o1", "o7", "o5001", "e4"]
    with pytest.raises(ValueError, match="e2 is not there"):
        found.remove("e2")
    with pytest.raises(ValueError, match="tea is no id"):
        found.append("tea")


def test_those_that_start_with_a_text_keep_their_order_and_are_a_list_of_their_own() -> None:
    found = ids(7, 4, 1)
    odd = found.starting_with("o")
    assert odd == ["o7", "o1"]
    odd.remove("o7")
    assert found == ["o7", "e4", "o1"]
