"""goldenmatch as it chooses its own configuration, and its probabilistic way.

Runs in an environment of its own: `python goldenmatch_run.py records.parquet labels.parquet crm|febrl`.
"""

from __future__ import annotations

import os
import sys

os.environ["GOLDENMATCH_SUGGEST_ON_DEDUPE"] = "0"

import goldenmatch
import pyarrow as pa
import pyarrow.parquet as pq


def main(records: str, labels: str, kind: str) -> None:
    """Cluster with no configuration given."""
    rows = pq.read_table(records)
    people = rows.drop_columns(["row", *(c for c in ("connection", "customer_id") if c in rows.column_names)])
    found = goldenmatch.dedupe_df(people)
    cluster_of = list(range(-1, -1 - len(rows), -1))
    for number, cluster in found.clusters.items():
        for member in cluster["members"]:
            cluster_of[member] = number
    pq.write_table(pa.table({"row": rows["row"], "zero-config": pa.array(cluster_of)}), labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
