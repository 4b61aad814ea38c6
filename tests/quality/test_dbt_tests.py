"""What dbt's tests tell of a row is its key, and never a value of a person's."""

from __future__ import annotations

import json

from cdp_pipelines import classified, mapping, transform
from cdp_pipelines.config import Settings
from cdp_pipelines.quality import dbt_tests


def test_every_test_has_its_words_and_tells_keys_alone():
    nodes = json.loads(transform.manifest(Settings()).read_text())["nodes"].values()
    tests = [node for node in nodes if node["resource_type"] == "test"]
    classes = classified.classes(mapping.load())
    assert {node["test_metadata"]["name"] for node in tests} == set(dbt_tests.TESTS)
    told = set()
    for node in tests:
        kind, table = node["test_metadata"]["name"], node["attached_node"].split(".")[-1]
        given = node["test_metadata"]["kwargs"]
        shown = {
            "unique_key": given.get("columns"),
            "one_is_counted": [given.get("group")],
            "no_opt_out_is_lost": ["customer_key", "channel"],
        }.get(kind, [] if kind in ("not_null", "accepted_values") else [given.get("column_name")])
        told |= {(table, column) for column in shown}
    unknown = {(table, column) for table, column in told if column not in classes.get(table, {})}
    assert unknown == set()
    assert {(t, c) for t, c in told if classes.get(t, {}).get(c, "id") not in ("none", "id")} == set()
