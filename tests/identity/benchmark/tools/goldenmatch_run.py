"""goldenmatch with the configuration that it chooses itself, or with its probabilistic one.

Runs in an environment of its own: `python goldenmatch_run.py records.parquet labels.parquet crm|febrl [probabilistic]`.
"""

from __future__ import annotations

import os
import sys

os.environ["GOLDENMATCH_SUGGEST_ON_DEDUPE"] = "0"

import goldenmatch
import pyarrow as pa
import pyarrow.parquet as pq
from goldenmatch.core.autoconfig import auto_configure_probabilistic_df


def main(records: str, labels: str, kind: str, way: str = "zero-config") -> None:
    """Cluster with no configuration given."""
    rows = pq.read_table(records)
    people = rows.drop_columns(["row"])
    found = goldenmatch.dedupe_df(people, config=auto_configure_probabilistic_df(people) if way == "probabilistic" else None)
    cluster_of = list(range(-1, -1 - len(rows), -1))
    for number, cluster in found.clusters.items():
        for member in cluster["members"]:
            cluster_of[member] = number
    pq.write_table(pa.table({"row": rows["row"], way: pa.array(cluster_of)}), labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
