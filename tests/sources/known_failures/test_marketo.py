"""Reports about reading Marketo that no other test answers, over HTTP against the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.faulty import Faulty
from tests.sources.faulty_reads import Kept, problems
from tests.sources.known_failures import known_failure


def leads(sandbox: Faulty, folder: Path) -> Kept:
    return Kept(sandbox, "marketo", folder, ("leads",))


@known_failure("airbytehq/airbyte#9322", "airbytehq/airbyte#14149", "airbytehq/airbyte#15683")
@pytest.mark.parametrize("code", ["1003", "609"])
def test_an_export_that_cannot_be_created_is_a_problem_and_the_cursor_stays(sandbox: Faulty, tmp_path: Path, code: str) -> None:
    kept = leads(sandbox, tmp_path)
    sandbox.set("marketo", "error", code=code, message="No such luck", path="*/create.json")
    (table,) = kept.sync().tables
    assert (table.state, table.cursor) == ("incomplete", None)
    assert f"{code}: No such luck" in (table.problem or "")
    sandbox.control("DELETE", "/sandbox/faults")
    assert problems(kept.sync()) == {}
    assert kept.query("select count(*) > 10 from raw_marketo.leads where _deleted is null") == [(True,)]


@known_failure("airbytehq/airbyte#28999", "singer-io/tap-marketo#70", "singer-io/tap-marketo#73")
def test_dirt_in_a_file_costs_no_row(sandbox: Faulty, tmp_path: Path) -> None:
    whole = leads(sandbox, tmp_path / "whole")
    whole.sync()
    sandbox.option("marketo", csv_dirt=["nul", "crlf", "u2028"])
    kept = leads(sandbox, tmp_path / "kept")
    assert problems(kept.sync()) == {}
    ids = "select id from raw_marketo.leads order by id"
    assert kept.query(ids) == whole.query(ids)


@known_failure("jepcastelein/marketo-rest-python#52")
def test_a_file_is_fetched_when_the_export_has_ended(sandbox: Faulty, tmp_path: Path) -> None:
    sandbox.option("marketo", export_seconds=0.05)
    kept = leads(sandbox, tmp_path)
    # Fetched too early, a file is an error, which would fail the table.
    assert problems(kept.sync()) == {}


@known_failure("airbytehq/airbyte#73309", "segmentio/action-destinations#1799")
@pytest.mark.parametrize(("kind", "settings"), [("error", {"code": "601"}), ("error", {"code": "602"}), ("error", {"code": "611"})])
def test_an_error_inside_a_good_status_is_tried_again_and_never_an_answer(
    sandbox: Faulty, tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    kept = Kept(sandbox, "marketo", tmp_path, ("campaigns",))
    sandbox.set("marketo", kind, path="*/campaigns.json", count=1, **settings)
    assert problems(kept.sync()) == {}
    assert sandbox.control("GET", "/sandbox/faults").json()["on"] == []
    assert kept.query("select count(*) > 0 from raw_marketo.campaigns") == [(True,)]
    sandbox.set("marketo", kind, path="*/campaigns.json", **settings)
    assert list(problems(kept.sync(full=True))) == ["campaigns"]
    assert kept.query("select count(*) > 0 from raw_marketo.campaigns where _deleted is null") == [(True,)]
