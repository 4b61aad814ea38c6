"""`make bench-identity`: who is who, by our resolver and by public tools, against the truth.

Pairs of records are counted: precision is the share of joined pairs that are one person, recall the share of one person's pairs that were
joined. Every tool has a process of its own, measured from its start; where a tool gives several clusterings (Splink's thresholds), the one
with the best F1 is taken, which no user without the truth could do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from tests.identity.benchmark import environment, report
from tests.identity.benchmark.datasets import FOLDER, SETS, Dataset, dataset
from tests.identity.benchmark.running import TOOLS, run
from tests.identity.benchmark.shapes import wrong_pairs

# So many people of `crm_dirt` have a million contacts.
_MILLION = 515_000


def main() -> int:
    """Print a line for each run; 1 when one of ours failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.identity.benchmark", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=(*SETS, "million"), default=list(SETS),
                        help="sandbox: the sandbox's world, through the real pipeline; crm: the dirt of crm_dirt.py; febrl3, febrl4: the public "
                        "sets; million: a million contacts of crm, ours alone")  # fmt: skip
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--people", nargs="+", type=int, default=[5_000, 100_000], help="sizes of sandbox and crm (default 5000 100000)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--most-seconds", type=float, default=600, help="a run is stopped after that (default %(default)s)")
    parser.add_argument("--most-gb", type=float, default=8, help="and when it takes more memory than that (default %(default)s)")
    parser.add_argument(
        "--json", type=Path, default=FOLDER / "result.json", help="figures of this run and of those before (default %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/identity-benchmark.md")
    parser.add_argument("--wrong", type=int, default=0, metavar="N", help="print the N commonest shapes of the pairs that ours got wrong")
    given = parser.parse_args()
    if set(given.tools) != {"ours"}:
        environment.python()
        print(f"Others: {', '.join(environment.tools())}")
    print(report.HEAD, flush=True)
    done = []
    for data, tools in _wanted(given):
        for tool in tools:
            done.append(
                made := run(tool, data, most_seconds=given.most_seconds, most_gb=given.most_gb, labels=FOLDER / f"{tool}-labels.parquet")
            )
            print(report.line(made), flush=True)
            report.save([made], given.json)
            if given.wrong and tool == "ours" and made.score:
                _print_wrong(data, given.wrong)
    if given.write:
        report.write(given.json)
    return int(any(r.problem for r in done if r.tool == "ours"))


def _wanted(given: argparse.Namespace) -> Iterator[tuple[Dataset, list[str]]]:
    """Each record set, made when its turn comes, and the tools for it."""
    for name in given.sets:
        if name == "million":
            yield dataset("crm", _MILLION, given.seeds[0]), ["ours"]
        elif name.startswith("febrl"):
            yield dataset(name), given.tools
        else:
            for people in given.people:
                for seed in given.seeds:
                    yield dataset(name, people, seed), given.tools


def _print_wrong(data: Dataset, most: int) -> None:
    found = pq.read_table(FOLDER / "ours-labels.parquet")["ours"].to_pylist()
    for kind, shapes in wrong_pairs(pq.read_table(data.records), found, pq.read_table(data.truth)).items():
        print(f"  {kind}: {shapes.total():,} pairs")
        for shape, count in shapes.most_common(most):
            print(f"  {count:>6,}  {shape}")


if __name__ == "__main__":
    sys.exit(main())
