"""Our own resolver on a benchmark's records: `python -m tests.identity.benchmark.tools.ours records.parquet labels.parquet crm|febrl`."""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.parquet as pq

from cdp_pipelines.identity import Options, resolve
from tests.identity.records import NOON, SCHEMA

# FEBRL counts records of one family name, birth date and address as one person, also where first name and number differ; by default the
# resolver takes those for twins.
FEBRL = Options(twins=False)
# Columns beyond those of standardized.contacts that other kinds of records have.
EXTRA = ("date_of_birth", "national_id", "street", "postcode")


def adapted(records: pa.Table) -> pa.Table:
    """Any records with connection, customer_id and names as contacts; what they lack is null."""
    given: dict[str, pa.Array | pa.ChunkedArray] = {}
    always = {"is_deleted": False, "synced_at": NOON, "record_type": "contact", "source_system": "salesforce"}
    for field in SCHEMA:
        if field.name in records.column_names:
            given[field.name] = records[field.name].cast(field.type)
        elif field.name in always:
            given[field.name] = pa.repeat(pa.scalar(always[field.name], field.type), records.num_rows)
        else:
            given[field.name] = pa.nulls(records.num_rows, field.type)
    return pa.table(given | {name: records[name] for name in EXTRA if name in records.column_names})


def main(records: str, labels: str, kind: str) -> None:
    """Resolve, and write each record's customer in the records' order."""
    rows = pq.read_table(records)
    found = resolve(adapted(rows), options=FEBRL) if kind == "febrl" else resolve(rows.select(SCHEMA.names))
    links = found.customer_contacts
    columns = links.select(["connection", "customer_id", "customer_key"]).to_pydict()
    key_of = {(c, i): k for c, i, k in zip(columns["connection"], columns["customer_id"], columns["customer_key"], strict=True)}
    order = zip(rows["connection"].to_pylist(), rows["customer_id"].to_pylist(), strict=True)
    pq.write_table(pa.table({"row": range(rows.num_rows), "ours": [key_of[key] for key in order]}), labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
