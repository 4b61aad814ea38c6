"""What the runs found: lines for the terminal, a file of figures that later runs add to, and the table in the documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cdp_pipelines.config import PROJECT_DIR
from tests.identity.benchmark import environment
from tests.identity.benchmark.running import TOOLS, Run

PAGE = PROJECT_DIR / "docs" / "identity-benchmark.md"
_BEGIN, _END = "<!-- printed by `python -m tests.identity.benchmark --write`; do not edit -->\n", "<!-- end -->\n"
HEAD = (
    f"{'records':<32} {'rows':>9} {'tool':<25} {'precision':>9} {'recall':>7} {'F1':>7} {'largest':>8} {'true':>5} "
    f"{'seconds':>8} {'CPU s':>7} {'peak MB':>8}  how"
)


def line(made: Run) -> str:
    """A run as a line of the table."""
    if made.score is None:
        figures = f"{'-':>9} {'-':>7} {'-':>7} {'-':>8} {'-':>5}"
    else:
        s = made.score
        figures = f"{s.precision:>9.4f} {s.recall:>7.4f} {s.f1:>7.4f} {s.largest:>8,} {s.true_largest:>5}"
    end = f"{made.seconds:>8.1f} {made.cpu_seconds:>7.1f} {made.peak_mb:>8,.0f}  {made.problem or made.how}"
    return f"{made.data:<32} {made.records:>9,} {made.tool:<25} {figures} {end}"


def save(runs: Sequence[Run], path: Path) -> None:
    """Add the runs to the file; one of the same tool on the same records takes the older one's place."""
    known = {(run["data"], run["tool"]): run for run in _saved(path)}
    known |= {(run.data, run.tool): asdict(run) for run in runs}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"tools": environment.tools(), "runs": list(known.values())}, indent=1) + "\n")


def write(path: Path, page: Path = PAGE) -> None:
    """Put the file's figures into the documentation's page. Raises ValueError when the page has no place for them."""
    before, begin, rest = page.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {_BEGIN.strip()!r} and {_END.strip()!r}. Put the table's place back.")
    page.write_text(f"{before}{begin}{markdown(_saved(path))}{end}{after}")


def markdown(runs: Sequence[dict[str, Any]]) -> str:
    """The figures as a table, by record set and in the tools' order."""
    rows = ["| records | rows | tool | precision | recall | F1 | largest (true) | seconds | CPU s | peak MB | |", "|" + "---|" * 11]
    for run in sorted(runs, key=lambda run: (run["data"].partition(" ")[0], run["records"], run["data"], TOOLS.index(run["tool"]))):
        name = f"**{run['tool']}**" if run["tool"] == "ours" else run["tool"]
        if s := run["score"]:
            figures = f"{s['precision']:.4f} | {s['recall']:.4f} | {s['f1']:.4f} | {s['largest']:,} ({s['true_largest']})"
        else:
            figures = "| | |"
        how = run["problem"] or ("" if run["how"] in run["tool"] else run["how"])
        rows.append(
            f"| {run['data']} | {run['records']:,} | {name} | {figures} | {run['seconds']:,.0f} | {run['cpu_seconds']:,.0f} | "
            f"{run['peak_mb']:,.0f} | {how} |"
        )
    return "\n".join(rows) + "\n"


def _saved(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["runs"] if path.exists() else []
