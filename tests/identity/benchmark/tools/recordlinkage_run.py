"""recordlinkage with its documented ways for records without training data: blocks, comparisons, then an ECM classifier, or a count of what agrees.

Runs in an environment of its own: `python recordlinkage_run.py records.parquet labels.parquet crm|febrl`.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import recordlinkage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def main(records: str, labels: str, kind: str) -> None:
    """Block, compare, classify; pairs that match are joined."""
    rows = pq.read_table(records).to_pandas()
    compare = recordlinkage.Compare()
    if kind == "febrl":
        blocks = [["first_name"], ["last_name"], ["date_of_birth"], ["national_id"], ["postcode"]]
        compare.string("first_name", "first_name", method="jarowinkler", threshold=0.85, label="first_name")
        compare.string("last_name", "last_name", method="jarowinkler", threshold=0.85, label="last_name")
        compare.string("street_name", "street_name", method="levenshtein", threshold=0.85, label="street_name")
        for column in ("date_of_birth", "national_id", "city", "state", "postcode"):
            compare.exact(column, column, label=column)
    else:
        blocks = [["crm_link"], ["email"], ["phone"], ["mobile_phone"], ["first_name", "last_name"]]
        compare.string("first_name", "first_name", method="jarowinkler", threshold=0.85, label="first_name")
        compare.string("last_name", "last_name", method="jarowinkler", threshold=0.85, label="last_name")
        compare.string("company", "company", method="jarowinkler", threshold=0.85, label="company")
        for column in ("email", "phone", "mobile_phone", "crm_link"):
            compare.exact(column, column, label=column)
    pairs = None
    for block in blocks:
        found = recordlinkage.index.Block(block).index(rows)
        pairs = found if pairs is None else pairs.union(found)
    features = compare.compute(pairs, rows)
    features = features.fillna(0)
    found = {"ECM": recordlinkage.ECMClassifier(binarize=0.5).fit_predict(features)}
    found |= {f"{least} fields agree": features.index[features.sum(axis=1) >= least] for least in (2, 3, 4)}
    clusters = {name: _joined(matches, len(rows)) for name, matches in found.items()}
    pq.write_table(pa.table({"row": rows["row"], **clusters}), labels)


def _joined(matches: pd.MultiIndex, size: int) -> np.ndarray:
    left, right = matches.get_level_values(0), matches.get_level_values(1)
    return connected_components(coo_matrix(([1] * len(left), (left, right)), shape=(size, size)), directed=False)[1]


if __name__ == "__main__":
    main(*sys.argv[1:])
