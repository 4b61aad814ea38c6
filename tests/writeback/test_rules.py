"""writeback.yml: strict, and its own file is right."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cdp_pipelines.config import Settings
from cdp_pipelines.writeback import rules
from cdp_pipelines.writeback.rules import RulesError

FLOW = {"rows": "customers", "to": {"hubspot": {"fields": {"title": "fill_empty"}}}}


def read(tmp_path: Path, flow: object, **more: object) -> rules.Rules:
    path = tmp_path / "writeback.yml"
    path.write_text(yaml.safe_dump({"flows": {"people": flow}, **more}))
    return rules.read(path)


def test_the_projects_own_file_overwrites_nothing_and_makes_nobody() -> None:
    found = rules.read(Settings().writeback_file)
    targets = [target for flow in found.flows.values() for target in flow.to.values()]
    assert targets
    assert not any(target.create for target in targets)
    assert {rule.policy for target in targets for rule in target.fields.values()} == {"fill_empty"}
    assert found.guards.most_clears == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"to": {"hubspot": {"fields": {"shoe_size": "fill_empty"}}}},
            r"flows\.people: to\.hubspot\.fields: 'shoe_size' cannot be written",
        ),
        ({"to": {"hubspot": {"fields": {"customer_id": "fill_empty"}}}}, "'customer_id' cannot be written"),
        ({"to": {"hubspot": {"fields": {"title": "sometimes"}}}}, r"flows\.people\.to\.hubspot\.fields\.title\.policy"),
        ({"to": {"hubspot": {"fields": {"title": "newest"}}}}, "newest needs newest_by"),
        ({"to": {"hubspot": {"fields": {"title": {"policy": "fill_empty", "clear": True}}}}}, "clear: true goes with"),
        ({"to": {"hubspot": {"create": True, "fields": {"title": "fill_empty"}}}}, "create needs the field email"),
        ({"to": {}}, r"flows\.people\.to"),
        ({"rows": None}, "exactly one of rows and select"),
        ({"select": "select 1"}, "exactly one of rows and select"),
        ({"colour": "red"}, r"flows\.people\.colour"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(RulesError, match=says):
        read(tmp_path, FLOW | change)


def test_a_key_that_is_there_twice_and_a_file_that_is_not_are_named(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text("flows:\n  a: {}\n  a: {}\n")
    with pytest.raises(RulesError, match="'a' is there twice"):
        rules.read(tmp_path / "w.yml")
    with pytest.raises(RulesError, match="CDP_WRITEBACK_FILE"):
        rules.read(tmp_path / "nothing.yml")


def test_flows_are_chosen_by_name_and_a_place_that_is_no_connection_is_refused(tmp_path: Path) -> None:
    found = read(tmp_path, FLOW)
    assert list(found.chosen(["people"])) == ["people"] == list(found.chosen())
    with pytest.raises(RulesError, match="no flow 'others'"):
        found.chosen(["others"])
    emea = read(tmp_path, FLOW | {"to": {"emea": {"fields": {"title": "fill_empty"}}}})
    emea.check_connections(["emea"])
    with pytest.raises(RulesError, match="no such connection or kind"):
        emea.check_connections(["apac"])
