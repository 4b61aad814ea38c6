"""docs/monitoring.md says of the checks of how it runs what they say themselves."""

from __future__ import annotations

import re

from cdp_pipelines.config import PROJECT_DIR
from cdp_pipelines.quality import operational


def test_the_page_has_each_check_as_it_is():
    text = (PROJECT_DIR / "docs" / "monitoring.md").read_text()
    rows = {
        name: (int(number), *rest)
        for number, name, *rest in re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    }
    every_run, reconciles = {check.name for check in operational.CHECKS}, {check.name for check in operational.OF_RECONCILES}
    assert {name: row[1] for name, row in rows.items()} == {
        **dict.fromkeys(every_run, "each build"),
        **dict.fromkeys(reconciles, "`--reconcile`"),
    }
    for check in (*operational.CHECKS, *operational.OF_RECONCILES):
        number, _, passes, why, remedy = rows[check.name]
        assert (number, passes, why, remedy) == (check.number, check.description, check.why, check.remedy)
        assert why.startswith("Stops: " if check.blocking else "Warns: ")
